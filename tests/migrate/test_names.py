"""The public namespaces: each command has its function of the same words, and results print themselves."""

from __future__ import annotations

import inspect as python
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import fastsmc as smc
from fastsmc.cli.app import app
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.counts import ioctls, payload_cost
from tests.support.places import ROOT
from tests.support.read_samples import STREAMS

LINK = smc.Link(10)
NAMESPACES = (smc.migrate, smc.plan)


def results() -> dict[str, Any]:
    """Something that every public function returns, by a name."""
    log = ROOT / "tests" / "downtime" / "source-10.0.2.log"
    query = ROOT / "tests" / "downtime" / "query-migrate-10.0.2.json"
    check = smc.migrate.check("6.18", "6.12")
    file = smc.migrate.inspect(STREAMS / "max-4.bin.xz")
    matrix = smc.migrate.matrix(("6.12", "6.18"))
    more = smc.migrate.add_registers("6.18+pmu", n_new=1, n_vcpu=[8, 512], link=LINK)
    downtime = smc.migrate.downtime("6.18+sve", n_vcpu=64, link=LINK)
    size = smc.migrate.size("6.18", n_vcpu=4)
    downtimes = smc.migrate.downtimes("6.18", n_vcpu=[8, 512], link="10G")
    shapes = smc.plan.largest_shape(registers="7.3", link=LINK)
    return {
        "check": check,
        "direction": check.forward,
        "fate": check.forward.failing[0],
        "caution": check.forward.cautions[0],
        "remedy": check.forward.remedies[0],
        "side": check.source,
        "file": file,
        "bank": file.banks[0],
        "matrix": matrix,
        "cell": matrix.cells[1],
        "more": more,
        "row": more.rows[0],
        "savings": more.savings[0],
        "downtime": downtime,
        "step": downtime.steps[0],
        "size": size,
        "sizes": smc.migrate.size(182, n_vcpu=[4, 600]),
        "log": smc.migrate.read_downtime_log(log),
        "query": smc.migrate.read_query_migrate(query),
        "ioctls": ioctls(n_reg=182, n_vcpu=[1, 512]),
        "cost": payload_cost("values", n_reg=[[1], [2]], n_vcpu=[1, 512]),
        "machine": smc.migrate.QemuMachine(),
        "downtimes": downtimes,
        "modelled step": downtimes.step("encode"),
        "plan": shapes,
        "cube": shapes.cube,
        "migrations": smc.plan.migration_table(
            registers="6.18", n_vcpu=64, memory_gib=64, dirty_mib_per_s=200, link="10G", downtime_ms=[100, 300]
        ),
        "shapes": smc.plan.largest_shape(registers=[182, 9], link="10G", downtime_ms=[0.1, 300]),
        "added": smc.plan.added_register(smc.register_set("7.3"), n_vcpu=[64, 512]),
        "table": smc.plan.register_table()[0],
        "claim": smc.plan.claim(link=LINK)[0],
    }


RESULTS = results()


@pytest.mark.parametrize("namespace", NAMESPACES, ids=lambda one: one.__name__)
def test_public_names_are_there_and_none_is_a_submodule(namespace: Any) -> None:
    """A submodule that is called like a public name replaces it as soon as anything imports it."""
    assert dir(namespace) == sorted(namespace.__all__)
    inside = {module.name for module in pkgutil.iter_modules(namespace.__path__)}
    assert not inside & set(namespace.__all__)
    for name in namespace.__all__:
        assert getattr(namespace, name).__name__ == name
    with pytest.raises(AttributeError, match=f"'{namespace.__name__}' has no attribute 'nothing'"):
        _ = namespace.nothing


def test_no_submodule_has_replaced_a_name_after_everything_was_imported() -> None:
    code = """
import pkgutil, fastsmc as smc
for namespace in (smc.migrate, smc.plan):
    for module in pkgutil.walk_packages(namespace.__path__, namespace.__name__ + "."):
        __import__(module.name)
    for name in namespace.__all__:
        assert callable(getattr(namespace, name)), name
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_command_has_its_function() -> None:
    commands = get_command(app).commands["migrate"].commands  # type: ignore[attr-defined]
    assert {name.replace("-", "_") for name in commands} <= set(smc.migrate.__all__)


@pytest.mark.parametrize("namespace", NAMESPACES, ids=lambda one: one.__name__)
def test_counts_are_keyword_only(namespace: Any) -> None:
    for name in namespace.__all__:
        value = getattr(namespace, name)
        if python.isfunction(value):
            for parameter in python.signature(value).parameters.values():
                is_count = parameter.name.startswith("n_")
                assert not is_count or parameter.kind is parameter.KEYWORD_ONLY, (name, parameter.name)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_has_a_short_repr_and_a_text(name: str) -> None:
    found = RESULTS[name]
    assert len(repr(found)) <= 200
    assert "array(" not in repr(found)
    assert str(found).strip()


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("inspect tests/streams/max-4.bin.xz", lambda: smc.migrate.inspect("tests/streams/max-4.bin.xz")),
        ("check 6.12 6.18 --vmm kvm", lambda: smc.migrate.check("6.12", "6.18", vmm="kvm")),
        ("size --vcpus 4 --release 6.18", lambda: smc.migrate.size("6.18", n_vcpu=4)),
        ("size --vcpus 4,8 --registers 9", lambda: smc.migrate.size(9, n_vcpu=[4, 8])),
        ("downtime --vcpus 8 --release 6.18", lambda: smc.migrate.downtime("6.18", n_vcpu=8, link=LINK)),
        (
            "add-registers 2 --vcpus 8 --release 6.18",
            lambda: smc.migrate.add_registers("6.18", n_new=2, n_vcpu=[8], link=LINK),
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_command_prints_what_its_function_returns(command: str, found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = CliRunner().invoke(app, ["migrate", *command.split()]).stdout
    told = CliRunner().invoke(app, ["migrate", *command.split(), "--json"]).stdout
    assert text == f"{found()}\n"
    assert told == json.dumps(found().as_dict(), indent=1) + "\n"


def test_a_measured_downtime_is_asked_for_in_one_call(tmp_path: Path) -> None:
    logs = [ROOT / "tests" / "downtime" / name for name in ("source-10.0.2.log", "destination-10.0.2.log")]
    query = ROOT / "tests" / "downtime" / "query-migrate-10.0.2.json"
    before = smc.migrate.downtime(274, n_vcpu=2, link=LINK)
    after = smc.migrate.with_logs(before, [smc.migrate.read_downtime_log(path) for path in logs])
    after = smc.migrate.with_query(after, smc.migrate.read_query_migrate(query))
    assert smc.migrate.downtime(274, n_vcpu=2, link=LINK, trace=logs, query_migrate=query) == after


def test_vmms_are_named_in_one_place_and_a_question_says_which_it_answers() -> None:
    with pytest.raises(smc.FastsmcError, match="vmm is 'crosvm': it must be one of qemu, minimal"):
        smc.migrate.ioctls(n_reg=1, n_vcpu=1, vmm="crosvm")
    with pytest.raises(smc.FastsmcError, match="vmm is 'minimal': it must be one of qemu, firecracker"):
        smc.migrate.check("6.12", "6.18", vmm="minimal")
    assert {vmm.full_name for vmm in Vmm} >= {"QEMU", "Firecracker", "Cloud Hypervisor", "crosvm"}
