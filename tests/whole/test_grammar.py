"""One grammar, typed or imported: a command has its function of the same words, and a result speaks for itself."""

from __future__ import annotations

import inspect
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import fastsmc as smc
from fastsmc.cli.app import app
from fastsmc.facts.packaged import SAMPLES as SAMPLES_BROUGHT
from tests.support.places import ROOT, TESTS

NAMESPACES = {"fastsmc": smc, "fastsmc.migrate": smc.migrate, "fastsmc.plan": smc.plan}
TRACE = TESTS / "recordings" / "guest-traces" / "6.1-6.1.ftrace.txt"
HOST = TESTS / "recordings" / "linux-6.12.107-max"
SCENARIO = ROOT / "examples" / "trng_to_vmm.toml"
STREAM = TESTS / "streams" / "cortex-a57-2.bin.xz"
OTHER_STREAM = TESTS / "streams" / "max-1.bin.xz"
FLEET = TESTS / "plan" / "fleet"
BEGUN = Path(tempfile.gettempdir()) / f"fastsmc-new-{os.getpid()}.toml"
LINK = smc.Link(gbit_per_s=10)
SAMPLES = Path(mkdtemp(prefix="fastsmc-samples-"))

SAME: dict[tuple[str, ...], tuple[tuple[Any, ...], Callable[[], Any]]] = {
    ("verify",): ((HOST, "--kind", "danger"), lambda: smc.verify([HOST], kinds=["danger"])),
    ("samples",): ((SAMPLES,), lambda: smc.samples(SAMPLES)),
    ("trace",): ((TRACE,), lambda: smc.trace(TRACE)),
    ("services",): (
        (TRACE, "--release", "6.12", "--bitmap", "STD_BMAP=0", "--deny", "ptp"),
        lambda: smc.services(TRACE, release="6.12", bitmaps={"STD_BMAP": 0}, deny=["ptp"]),
    ),
    ("explain",): (("0x86000001", "STD_BMAP"), lambda: smc.explain(["0x86000001", "STD_BMAP"])),
    ("scope",): (("--release", "6.18", "--vcpus", "1,3-4"), lambda: smc.scope("6.18", n_vcpu=[1, 3, 4])),
    ("simulate",): ((SCENARIO,), lambda: smc.simulate(SCENARIO)),
    ("plan", "problems"): (
        ("--hosts", FLEET / "hosts.csv", "--vms", FLEET / "vms.csv"),
        lambda: smc.plan.problems(hosts=FLEET / "hosts.csv", vms=FLEET / "vms.csv"),
    ),
    ("plan", "evacuate"): (
        (
            *("--hosts", FLEET / "hosts.csv", "--vms", FLEET / "vms.csv", "--drain", "n1,n3", "--within", "30min"),
            *("--replicas", 20),
        ),
        lambda: smc.plan.evacuate(
            smc.plan.Inventory.read(hosts=FLEET / "hosts.csv", vms=FLEET / "vms.csv"),
            hosts=["n1", "n3"],
            within_s=1800,
            replicas=20,
        ),
    ),
    ("sweep",): (
        (SCENARIO, "--over", "vms[0].count=1,2", "--over", "calls=5", "--workers", 1),
        lambda: smc.sweep(SCENARIO, over={"vms[0].count": [1, 2], "calls": [5]}, run_on=1),
    ),
    ("migrate", "inspect"): ((STREAM,), lambda: smc.migrate.inspect(STREAM)),
    ("migrate", "diff"): ((STREAM, OTHER_STREAM), lambda: smc.migrate.diff(STREAM, OTHER_STREAM)),
    ("migrate", "encode"): (("6.12", "--vcpus", 4), lambda: smc.migrate.encode("6.12", n_vcpu=4)),
    ("migrate", "check"): (("6.12", "6.18"), lambda: smc.migrate.check("6.12", "6.18")),
    ("migrate", "size"): (
        ("--registers", 182, "--vcpus", 4),
        lambda: smc.migrate.size(182, n_vcpu=4),
    ),
    ("migrate", "downtime"): (
        ("--registers", 182, "--vcpus", 64),
        lambda: smc.migrate.downtime(182, n_vcpu=64, link=LINK),
    ),
    ("migrate", "add-registers"): (
        (2, "--vcpus", "64,512"),
        lambda: smc.migrate.add_registers("7.3", n_new=2, n_vcpu=[64, 512], link=LINK),
    ),
    ("plan", "baseline"): (
        ("--hosts", FLEET / "pool-hosts.csv", "--vms", FLEET / "pool-vms.csv"),
        lambda: smc.plan.baseline(
            smc.plan.Inventory.read(hosts=FLEET / "pool-hosts.csv", vms=FLEET / "pool-vms.csv"),
        ),
    ),
    ("plan", "upgrade"): (
        ("--hosts", FLEET / "pool-hosts.csv", "--vms", FLEET / "pool-vms.csv", "--to", "6.18", "--vmm", "qemu:11.1"),
        lambda: smc.plan.upgrade(
            smc.plan.Inventory.read(hosts=FLEET / "pool-hosts.csv", vms=FLEET / "pool-vms.csv"),
            to="6.18",
            vmm="qemu:11.1",
        ),
    ),
    ("plan", "largest-shape"): (
        ("--registers", "182,6.18+pmu", "--line-rate", "10G,25G", "--rtt", "80us", "--downtime-ms", "100,300"),
        lambda: smc.plan.largest_shape(
            registers=[182, "6.18+pmu"], link=[smc.Link(10, 80), smc.Link(25, 80)], downtime_ms=[100.0, 300.0]
        ),
    ),
    ("plan", "migration-table"): (
        ("--registers", "6.18", "--vcpus", 64, "--memory-gib", 64, "--dirty-mib-per-s", 200, "--line-rate", "1G,10G"),
        lambda: smc.plan.migration_table(
            registers="6.18", n_vcpu=64, memory_gib=64, dirty_mib_per_s=200, link=["1G", "10G"]
        ),
    ),
    ("dispatch",): (
        ("TRNG_RND64=3", "PTP", "--release", "6.12", "--bitmap", "STD_BMAP=0", "--forward", "ptp"),
        lambda: smc.dispatch(["TRNG_RND64=3", "PTP"], release="6.12", bitmaps={"STD_BMAP": 0}, forward=["ptp"]),
    ),
    ("releases",): ((), lambda: smc.releases()),
    ("probe",): ((SAMPLES_BROUGHT["host.json.xz"],), lambda: smc.probe(SAMPLES_BROUGHT["host.json.xz"])),
    ("new",): (("scenario", BEGUN, "--force"), lambda: smc.new("scenario", BEGUN, force=True)),
    ("schema",): (("dispatch",), lambda: smc.schema("dispatch")),
    ("compare",): ((STREAM, OTHER_STREAM), lambda: smc.compare(STREAM, OTHER_STREAM)),
    ("plan", "filter-cost"): (
        ("--ranges", "0,100", "--no-measure"),
        lambda: smc.plan.filter_cost(n_range=[0, 100], measure=False),
    ),
}
"""By command: its arguments, and the call of the library that means the same."""
NO_JSON = {("report",), ("bench",)}
"""Commands whose JSON is compared elsewhere: it is what a clock says, or takes a minute (tests/cli/test_report.py)."""


@cache
def returned(words: tuple[str, ...]) -> Any:
    """What the library's call returns, asked once."""
    return SAME[words][1]()


def commands(group: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command of the command line."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name)


def public() -> Iterator[tuple[str, Any]]:
    """Every public name, with what it names."""
    for path, namespace in NAMESPACES.items():
        yield from ((f"{path}.{name}", getattr(namespace, name)) for name in namespace.__all__)


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function, and the public methods of every public class."""
    for path, value in public():
        if inspect.isfunction(value):
            yield path, value
        elif inspect.isclass(value):
            yield from (
                (f"{path}.{name}", method)
                for name, method in inspect.getmembers(value, callable)
                if not name.startswith("_") and hasattr(method, "__module__") and "fastsmc" in (method.__module__ or "")
            )


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_has_its_function_of_the_same_words(words: tuple[str, ...]) -> None:
    *rooms, name = (word.replace("-", "_") for word in words)
    namespace = NAMESPACES[".".join(["fastsmc", *rooms])]
    assert name in namespace.__all__
    assert inspect.isfunction(getattr(namespace, name))


@pytest.mark.parametrize("words", [words for words in commands() if words not in NO_JSON], ids=" ".join)
def test_a_command_prints_what_its_function_returns(words: tuple[str, ...]) -> None:
    arguments, result = SAME[words][0], returned(words)
    typed = CliRunner().invoke(app, [*words, *map(str, arguments), "--json"])
    assert typed.exception is None or isinstance(typed.exception, SystemExit | smc.FastsmcError), typed.exception
    assert without_times(json.loads(typed.stdout)) == without_times(json.loads(json.dumps(result.as_dict())))
    text = CliRunner().invoke(app, [*words, *map(str, arguments)]).stdout
    assert text.splitlines()[0] == str(result).splitlines()[0]


@pytest.mark.parametrize("words", SAME, ids=" ".join)
def test_a_result_is_short_in_a_session_and_readable_when_printed(words: tuple[str, ...]) -> None:
    result = returned(words)
    assert len(repr(result)) <= 200
    assert "\n" not in repr(result)
    assert str(result) != repr(result)
    assert max(map(len, str(result).splitlines())) < 4000


TIMES = {"created", "date_utc", "seconds", "wall_s"}


def without_times(told: Any) -> Any:
    """The same without what differs from run to run: when it was made, and how long that took."""
    if isinstance(told, dict):
        return {key: without_times(value) for key, value in told.items() if key not in TIMES}
    return [without_times(one) for one in told] if isinstance(told, list) else told


def test_no_public_name_is_a_submodule() -> None:
    for path, namespace in NAMESPACES.items():
        submodules = {module.name for module in pkgutil.iter_modules(namespace.__path__)}
        namespaces = {name.rpartition(".")[2] for name in NAMESPACES}
        assert submodules & (set(namespace.__all__) - namespaces) == set(), path


def test_public_names_stay_what_they_are_when_every_module_is_imported() -> None:
    code = """
import importlib, pkgutil, types
import fastsmc
for module in pkgutil.walk_packages(fastsmc.__path__, "fastsmc."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
spaces = [fastsmc, fastsmc.migrate, fastsmc.plan]
print([name for space in spaces for name in space.__all__
       if isinstance(getattr(space, name), types.ModuleType) and getattr(space, name) not in spaces])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout == "[]\n"


def test_the_flat_names_are_few() -> None:
    """40; Level, as calls of guests with EL2 have a column of it; the probe, as a command has its function."""
    assert len(smc.__all__) <= 42
    modules = {name for name in smc.__all__ if isinstance(getattr(smc, name), ModuleType)}
    assert modules == {"migrate", "plan"}


def test_counts_are_named_where_they_are_given() -> None:
    """So that no call takes (n_reg, n_vcpu) here and (n_vcpu, n_reg) there."""
    by_place = [
        f"{path}({name})"
        for path, function in callables()
        for name, parameter in inspect.signature(function).parameters.items()
        if name.startswith("n_") and parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert by_place == []


def test_no_public_call_takes_more_than_ten_things() -> None:
    long = [path for path, function in callables() if len(inspect.signature(function).parameters) > 10]
    assert long == []
