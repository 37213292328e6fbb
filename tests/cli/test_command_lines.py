"""One rule for every command and option: 2 for what the shell line says wrongly, 3 for files, and options by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import typer

import fastsmc as smc
from fastsmc.cli.app import app
from fastsmc.facts.packaged import SAMPLES
from tests.support.command import Done, fastsmc
from tests.support.places import ROOT, TESTS

WRITTEN_HERE = TemporaryDirectory(prefix="fastsmc-")
PLACE = Path(WRITTEN_HERE.name)
FLEET = ("--hosts", TESTS / "plan/fleet/pool-hosts.csv", "--vms", TESTS / "plan/fleet/pool-vms.csv")
TRACE = TESTS / "recordings/guest-traces/6.1-6.1.ftrace.txt"
SIZE = {"--vcpus": "4", "--registers": "182"}
BASE: dict[str, dict[str, Any]] = {
    "explain": {"ID": "PSCI_CPU_ON"},
    "trace": {"FILE": TRACE},
    "services": {"FILE": TRACE},
    "scope": {"--vcpus": "4"},
    "verify": {"FOLDER": TESTS / "recordings/linux-5.10.218-n1", "--kind": "reglist"},
    "simulate": {"SCENARIO.TOML": ROOT / "examples/trng_to_vmm.toml", "--calls": "2"},
    "sweep": {"FILE.TOML": ROOT / "examples/trng_to_vmm.toml", "--over": "calls=1,2", "--workers": "1"},
    "dispatch": {"CALL": "TRNG_RND64=3", "--bitmap": "STD_BMAP=0"},
    "compare": {"A": TESTS / "streams/max-1.bin.xz", "B": TESTS / "streams/max-4.bin.xz"},
    "releases": {},
    "schema": {},
    "samples": {"FOLDER": PLACE / "samples"},
    "probe": {"FILE": SAMPLES["host.json.xz"]},
    "new": {"KIND": "scenario", "FILE": PLACE / "scenario.toml", "--force": None},
    "bench": {"--seconds": "0.01", "--only": "answers"},
    "report": {},
    "migrate encode": {"FILE|RELEASE": "6.18"},
    "migrate check": {"SOURCE": "6.12", "DEST": "6.12"},
    "migrate diff": {"A": TESTS / "streams/max-1.bin.xz", "B": TESTS / "streams/max-1.bin.xz"},
    "migrate inspect": {"FILE": TESTS / "streams/max-1.bin.xz"},
    "migrate size": SIZE,
    "migrate downtime": SIZE,
    "migrate add-registers": {"COUNT": "1", "--vcpus": "4"},
    "plan problems": dict(zip(FLEET[::2], FLEET[1::2], strict=True)),
    "plan baseline": dict(zip(FLEET[::2], FLEET[1::2], strict=True)),
    "plan upgrade": {**dict(zip(FLEET[::2], FLEET[1::2], strict=True)), "--to": "6.18"},
    "plan evacuate": {
        **dict(zip(FLEET[::2], FLEET[1::2], strict=True)),
        **{"--drain": "h1", "--within": "30min", "--replicas": "2", "--line-rate": "10G"},
    },
    "plan filter-cost": {"--ranges": "0,1", "--no-measure": None},
    "plan largest-shape": {"--registers": "182"},
    "plan migration-table": {
        **{"--registers": "182", "--vcpus": "4", "--memory-gib": "16", "--dirty-mib-per-s": "20"},
        **{"--line-rate": "10G", "--downtime-ms": "300"},
    },
}
"""By command: a command line that works."""
OWN_FORMS = {"new", "report", "migrate encode"}
"""Commands whose result is what they write: files to begin with, a folder of pages, bytes.

They print it in fewer forms, and --out, where they have it, is that folder or file."""
BESIDE = {
    ("migrate encode", "--form"): {"--out": "x.bin"},
    ("migrate encode", "--out"): {"--form": "firecracker-like"},
    ("migrate check", "--features"): {"--matrix": None, "SOURCE": False, "DEST": False},
    ("migrate check", "--figure"): {"--matrix": None, "SOURCE": False, "DEST": False},
    ("migrate size", "--release"): {"--registers": False},
    ("migrate size", "--features"): {"--registers": False, "--release": "6.18"},
    ("migrate downtime", "--release"): {"--registers": False},
    ("probe", "--only"): {"--record": "x", "FILE": False},
    ("probe", "--restore"): {"--record": "x", "FILE": False},
    ("migrate downtime", "--features"): {"--registers": False, "--release": "6.18"},
}
"""What an option needs beside it, or (False) does not go with."""
FILES = {"FILE", "FOLDER", "SCENARIO.TOML", "FILE.TOML", "A", "B"}
"""What stands for a file in help."""
WRITTEN = {"--out": "x.json", "--figure": "x.svg", "--per-vm": "x.csv", "--netcdf": "x.nc"}


MADE = {("samples", "FOLDER"), ("report", "--out"), ("probe", "--record")}
"""Folders that are made if they are not there."""
OF_THE_FILE = {("migrate inspect", "--features"), ("migrate diff", "--features")}
"""Options that choose from what a file holds: what it does not hold is said of the file."""


def commands(group: Any = None, above: str = "") -> Iterator[tuple[str, Any]]:
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


def word(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar).upper().strip("[].")


def is_flag(parameter: Any) -> bool:
    return bool(getattr(parameter, "is_flag", False))


PARAMETERS = [
    (name, word(parameter), str(parameter.metavar).strip("[].").upper())
    for name, command in commands()
    if name in BASE
    for parameter in command.params
    if not is_flag(parameter) and word(parameter) != "--help"
]


def line(name: str, changed: dict[str, Any]) -> list[str]:
    given = {**BASE[name], **changed}
    options = [(key, value) for key, value in given.items() if value is not False]
    first = [str(value) for key, value in options if not key.startswith("-")]
    rest = [str(part) for key, value in options if key.startswith("-") for part in (key, value) if part is not None]
    return [*name.split(), *first, *rest]


def run(name: str, changed: dict[str, Any], folder: Path) -> Done:
    return fastsmc(*line(name, changed), cwd=folder)


def test_every_command_is_looked_at() -> None:
    assert {name for name, _ in commands()} == set(BASE)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, option)
        for name, option, metavar in PARAMETERS
        if metavar not in FILES and (name, option) not in OF_THE_FILE
    ],
)
def test_a_wrong_value_is_exit_code_2_and_names_the_option(name: str, option: str, tmp_path: Path) -> None:
    done = run(name, {**BESIDE.get((name, option), {}), option: "no.such+thing"}, tmp_path)
    sentence, *usage = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert sentence.startswith("fastsmc: ")
    assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", sentence), sentence
    assert [part.split()[0] for part in usage] == ["Usage:", "Help:"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, option)
        for name, option, metavar in PARAMETERS
        if metavar in FILES and option != "--compact" and (name, option) not in MADE
    ],
)
def test_a_file_that_cannot_be_used_is_exit_code_3_and_named(name: str, option: str, tmp_path: Path) -> None:
    path = f"no/such/{WRITTEN.get(option, 'file')}"
    done = run(name, {**BESIDE.get((name, option), {}), option: path}, tmp_path)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert done.stderr.startswith("fastsmc: ")
    assert Path(path).name in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in BASE if name not in OWN_FORMS])
def test_every_command_takes_the_same_options_of_output(name: str, tmp_path: Path) -> None:
    command = dict(commands())[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "--csv", "--markdown", "-o", "--out", "-q", "--quiet"} <= options
    both = run(name, {"--json": None, "--csv": None}, tmp_path)
    assert (both.returncode, both.stdout) == (2, "")
    assert "give one of --json, --csv, --markdown and --quiet" in both.stderr
    wrong = run(name, {"--out": "x.pdf"}, tmp_path)
    assert wrong.returncode == 2
    assert "--out: x.pdf: give a name that ends in .json, .csv or .md" in wrong.stderr
    unknown = run(name, {"--fail-if": "no_such_number > 1", "--quiet": None}, tmp_path)
    assert unknown.returncode == 2
    assert "--fail-if no_such_number > 1: no number no_such_number here; there are " in unknown.stderr


@pytest.mark.parametrize("name", list(BASE))
def test_a_command_calls_its_parameters_as_the_library_does(name: str) -> None:
    """As that is how messages get the names of options: n_vcpu is told as --vcpus."""
    *rooms, last = name.replace("-", "_").split()
    function: Any = smc
    for room in [*rooms, last]:
        function = getattr(function, room)
    own = {parameter.name for parameter in dict(commands())[name].params}
    asked = inspect.signature(function).parameters
    counts = {one for one in asked if one.startswith("n_") or asked[one].annotation in ("float", "int")}
    assert counts - {"n_reg"} <= own


def test_what_a_file_does_not_hold_is_said_of_the_file() -> None:
    lists = TESTS / "recordings/linux-5.10.218-n1/reglist.jsonl.xz"
    for words in (("inspect", lists), ("diff", lists, lists)):
        done = fastsmc("migrate", *words, "--features", "psci02+sve")
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith(f"fastsmc: {lists}: features 'psci02+sve' have no list here; there are ")


def test_a_count_below_zero_is_no_option() -> None:
    done = fastsmc("migrate", "add-registers", "--", "-1")
    assert done.returncode == 2
    assert done.stderr.startswith("fastsmc: COUNT is -1: it must be a whole number in 1..")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        *((name, f"Did you mean 'migrate {name}'?") for name in ("check", "inspect", "diff", "size", "downtime")),
        *(("evacuate", "Did you mean 'plan evacuate'?"), ("version", "Did you mean '--version'?")),
        *(("help", "Did you mean '--help'?"), ("chek", "Did you mean 'migrate check'?")),
        *(("migrate trace", "Did you mean 'fastsmc trace'?"), ("migrate chek", "Did you mean 'check'?")),
        *(("tracee", "Did you mean 'trace'?"), ("divine", "No such command 'divine'.")),
    ],
)
def test_a_word_that_is_no_command_here_finds_the_one_that_is_meant(words: str, hint: str) -> None:
    done = fastsmc(*words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0].endswith(hint)


def test_a_mistyped_option_is_found() -> None:
    done = fastsmc("scope", "--vcpu", "4")
    assert done.returncode == 2
    assert "--vcpus" in done.stderr.splitlines()[0]
