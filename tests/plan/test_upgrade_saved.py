"""A plan with further tables: saved and read back, shown, and asked for on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastsmc.errors import ResultFileError
from fastsmc.plan import Inventory, Plan, upgrade
from tests.support.command import fastsmc

HOSTS = "name,kernel,cpu,vmm,cores,memory_gib\n" + "".join(f"h{k},6.12.107,one,qemu:10.1,8,32\n" for k in range(3))
VMS = "name,host,vcpus,memory_gib,features,tenant\n" + "".join(f"v{k},h{k},4,8,psci02+pmu,t\n" for k in range(3))


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "hosts.csv").write_text(HOSTS)
    (tmp_path / "vms.csv").write_text(VMS)
    return "--hosts", str(tmp_path / "hosts.csv"), "--vms", str(tmp_path / "vms.csv")


@pytest.fixture
def plan(files: tuple[str, ...]) -> Plan:
    return upgrade(Inventory.read(hosts=files[1], vms=files[3]), to="6.18")


def test_further_tables_are_saved_and_read_back(plan: Plan, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan.json")
    again = Plan.load(tmp_path / "plan.json")
    assert again.as_dict() == plan.as_dict()
    assert list(again.tables) == ["blocking", "vms", "back", "hosts", "moves"]
    assert again.tables["blocking"].meaning == plan.tables["blocking"].meaning


def test_a_file_without_them_is_read_and_a_damaged_one_is_not(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    plan.save(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in content.items() if key != "tables"}))
    assert Plan.load(path).tables == {}
    damages: tuple[object, ...] = ([], {"a b": content["table"]}, {"blocking": {}})
    for damaged in damages:
        path.write_text(json.dumps(content | {"tables": damaged}))
        with pytest.raises(ResultFileError, match="damaged"):
            Plan.load(path)


def test_what_blocks_is_part_of_the_text(plan: Plan) -> None:
    assert "TCR2_EL1" in str(plan)
    assert "TCR2_EL1" in plan.to_markdown()
    assert "TCR2_EL1" in plan._repr_html_()


def test_the_command_says_what_the_function_returns(files: tuple[str, ...], plan: Plan) -> None:
    done = fastsmc("plan", "upgrade", *files, "--to", "6.18", "--json")
    assert done.returncode == 4
    told = json.loads(done.stdout)
    mine = plan.as_dict()
    for one in (told, mine):
        del one["provenance"]
    assert told == mine


def test_the_commands_exit_codes(files: tuple[str, ...]) -> None:
    assert fastsmc("plan", "upgrade", *files, "--to", "6.18", "--to-vmm", "qemu:11.1", "-q").returncode == 0
    unknown = fastsmc("plan", "upgrade", *files, "--to", "9.9")
    assert unknown.returncode == 2
    assert "9.9" in unknown.stderr
    assert fastsmc("plan", "upgrade", *files, "--to", "6.17", "--to-vmm", "qemu:11.1", "-q").returncode == 5
