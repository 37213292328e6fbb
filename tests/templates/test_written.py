"""Files to begin with: each is read, works as it is, and takes nobody's place."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.plan.inventory.columns import HOSTS, VMS
from fastsmc.templates import KINDS
from tests.support.command import fastsmc


def test_a_scenario_runs_in_a_moment_and_is_what_its_sentence_says(tmp_path: Path) -> None:
    begun = smc.new("scenario", tmp_path / "s.toml")
    scenario = smc.Scenario.load(tmp_path / "s.toml")
    n_vm = sum(group.count for group in scenario.groups)
    assert f"{n_vm} VMs with {scenario.n_vcpu} vCPUs" in begun.answer
    done = smc.simulate(tmp_path / "s.toml", calls=10)
    assert done.n_call == scenario.n_vcpu * 10
    assert done["to-vmm"].forwarded.sum() == 16 * 64 * 10
    assert done["in-kernel"].forwarded.sum() == 0


def test_keys_that_are_commented_out_are_keys(tmp_path: Path) -> None:
    """Every line that only a # keeps from being a key is taken in, and the file is read all the same."""
    smc.new("scenario", tmp_path / "s.toml")
    text = (tmp_path / "s.toml").read_text(encoding="utf-8")
    all_in, n = re.subn(r"^# (\[?\w+\]?(?: = .*)?)([ \t]+#.*)?$", r"\1", text, flags=re.MULTILINE)
    assert n == 6
    (tmp_path / "s.toml").write_text(all_in, encoding="utf-8")
    scenario = smc.Scenario.load(tmp_path / "s.toml")
    assert scenario.host is not None
    assert scenario.host.cores == 64


def test_an_inventory_has_nothing_wrong_and_every_column(tmp_path: Path) -> None:
    smc.new("inventory", tmp_path)
    hosts, vms = tmp_path / "hosts.csv", tmp_path / "vms.csv"
    found = smc.plan.problems(hosts=hosts, vms=vms)
    assert found.exit_code == 0, str(found)
    assert hosts.read_text(encoding="utf-8").splitlines()[0].split(",") == list(HOSTS)
    assert set(vms.read_text(encoding="utf-8").splitlines()[0].split(",")) <= set(VMS)
    plan = smc.plan.upgrade(smc.plan.Inventory.read(hosts=hosts, vms=vms), to="6.18")
    assert plan.exit_code in (0, 4, 5)


def test_a_profile_is_read_and_used(tmp_path: Path) -> None:
    smc.new("profile", tmp_path / "p.toml")
    profile = smc.load_profile(str(tmp_path / "p.toml"))
    packaged = smc.load_profile("neoverse-n1")
    assert profile.figures().keys() == packaged.figures().keys()
    assert {figure.kind for figure in profile.figures().values()} == {"assumed", "derived"}
    smc.new("scenario", tmp_path / "s.toml")
    assert smc.simulate(tmp_path / "s.toml", calls=5, profile=str(tmp_path / "p.toml")).n_call


def test_a_question_is_one_that_the_library_answers(tmp_path: Path) -> None:
    smc.new("question", tmp_path / "q.toml")
    table = tomllib.loads((tmp_path / "q.toml").read_text(encoding="utf-8"))
    plan = getattr(smc.plan, table.pop("question"))(**table)
    assert plan.is_met


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_is_not_replaced_unless_forced(kind: str, tmp_path: Path) -> None:
    path = tmp_path if kind == "inventory" else tmp_path / "one.toml"
    begun = smc.new(kind, path)
    last = Path(begun.files[-1])
    last.write_text("mine", encoding="utf-8")
    if kind == "inventory":
        Path(begun.files[0]).unlink()  # one of the two is enough to refuse both
    with pytest.raises(smc.FastsmcError, match="is there already"):
        smc.new(kind, path)
    assert last.read_text(encoding="utf-8") == "mine"
    assert Path(begun.files[0]).exists() == (kind != "inventory")
    smc.new(kind, path, force=True)
    assert last.read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_command_is_one_that_runs(kind: str, tmp_path: Path) -> None:
    done = fastsmc("new", kind, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "".join(f"wrote {name}\n" for name in KINDS[kind].files)
    then = done.stdout.strip().rpartition("Next: ")[2]
    assert then == smc.new(kind, tmp_path / "x" if kind != "inventory" else tmp_path, force=True).then.replace(
        shlex.quote(str(tmp_path / "x")), KINDS[kind].files[0]
    ).replace(f"{tmp_path}/", "")
    if kind not in ("question", "probe", "recorder"):  # which `fastsmc sweep` asks, and an arm64 host's Python runs
        words = shlex.split(then)
        assert words[0] == "fastsmc"
        ran = fastsmc(*words[1:], cwd=tmp_path)
        assert ran.returncode in (0, 4, 5), ran.stderr


def test_a_wrong_kind_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(smc.FastsmcError, match="must be one of scenario, inventory"):
        smc.new("plan")
    assert fastsmc("new", "plan").returncode == 2
    done = fastsmc("new", "scenario", tmp_path / "no" / "s.toml")
    assert done.returncode == 3
