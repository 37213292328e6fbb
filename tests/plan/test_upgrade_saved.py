"""A plan with further tables: saved and read back, shown, and asked for on the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastsmc.errors import ResultFileError
from fastsmc.plan import Inventory, Plan, upgrade
from fastsmc.results.layout import laid_out_for
from fastsmc.results.tables import Column, Table
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
    assert list(again.tables) == ["causes", "blocking", "vms", "back", "hosts", "moves"]
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


FLEET = Path(__file__).parent / "fleet"


def fleet_plan(name: str, **asked: Any) -> Plan:
    """A plan of one of the sample fleets."""
    files = {what: FLEET / f"{name}{what}.csv" for what in ("hosts", "vms")}
    return upgrade(Inventory.read(**files), to="6.18", **asked)


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("name", ["", "pool-"])
def test_a_plan_is_printed_at_the_width_of_the_terminal(name: str, columns: int) -> None:
    """Wrapped, and not cut: the answer and what is assumed are there word for word."""
    plan = fleet_plan(name, vmm="qemu:10.1")
    with laid_out_for(columns):
        lines = str(plan).splitlines()
    assert max(map(len, lines)) <= columns
    words = " ".join(" ".join(lines).split())
    assert words.startswith(plan.answer)
    assert all(f"assumes {told}" in words for told in plan.assumptions)


def test_a_remedy_is_printed_once_for_all_registers_that_it_is_for() -> None:
    """Two VMs of one cause and of two feature sets, and one of 77 registers that have several remedies."""
    plan = fleet_plan("pool-", vmm="qemu:10.1")
    with laid_out_for(400):
        told = str(plan)
    assert told.count("QEMU 11.1 or newer at the destination") == 1
    assert plan.to_markdown().count("QEMU 11.1 or newer at the destination") == 1
    assert "TCR2_EL1, PIRE0_EL1, PIR_EL1 on 6.18.15" in told
    assert "PMINTENSET_EL1 and 73 more on 6.18.15" in told
    assert "stored nowhere; give the destination's vCPUs the feature pmu" in told
    assert "why not, " not in told
    assert "more rows, which JSON has: blocking 83" in told
    assert len(plan.as_dict()["tables"]["blocking"]) == 83
    assert [row["why"] for row in plan.as_dict()["tables"]["causes"]] == [excuse.why for excuse in plan.excuses]


def test_causes_count_each_vm_once_and_excuses_that_are_no_cause_are_still_told() -> None:
    plan = fleet_plan("")
    causes = plan.tables["causes"]
    assert sum(causes["vms"]) == plan.tables["vms"].n_row == 5
    assert causes["vms"].tolist() == sorted(causes["vms"], reverse=True)
    assert set(causes["example"]) <= set(plan.tables["vms"]["vm"])
    with laid_out_for(400):
        told = str(plan)
    assert "why not, 1: its host is not in the inventory" in told
    assert "a row per register" not in told
    assert "more rows, which JSON has: blocking 6" in told


def test_of_many_causes_the_first_are_printed_and_the_rest_counted(plan: Plan) -> None:
    n = 50
    columns = {
        "example": Column.of([f"v{k}" for k in range(n)]),
        "why": Column.of([f"reason {k}" for k in range(n)]),
    }
    told = str(replace(plan, tables={"causes": Table("a cause", columns)}))
    assert "reason 11" in told
    assert "reason 12" not in told
    assert "and 38 more rows" in told


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
