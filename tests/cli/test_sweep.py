"""`fastsmc sweep`: what is typed, what comes back, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.cli.sweep import _values
from fastsmc.errors import InputError
from tests.support.command import fastsmc
from tests.support.places import names
from tests.support.sweeps import TOML

ALL = ("--over", "vms[0].vcpus=1,2", "--over", "vms[0].vmm.lock=vm,none", "--workers", "1")
UNSTABLE = TOML.replace('kind = "closed"', 'kind = "open"').replace(
    'think = { law = "exponential", mean_us = 20 }', 'arrivals = { law = "poisson", rate_hz = 100 }'
)
RATES = ("--over", "workloads.w.arrivals.rate_hz=100,1e9", "--workers", "1")


@pytest.fixture
def storm(tmp_path: Path) -> Path:
    (tmp_path / "storm.toml").write_text(TOML)
    return tmp_path / "storm.toml"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2.5,1e3", [1, 2.5, 1000.0]),
        ("vm,none", ["vm", "none"]),
        ("neoverse-n1, x-gene-2016", ["neoverse-n1", "x-gene-2016"]),
        ('"a,b","c"', ["a,b", "c"]),
        ("1,vm", [1, "vm"]),
        ("true,false", [True, False]),
        ('{lock="vm"},{lock="workers",workers=2}', [{"lock": "vm"}, {"lock": "workers", "workers": 2}]),
        ('["psci02"],["psci02","pmu"]', [["psci02"], ["psci02", "pmu"]]),
        ("6.12,6.18", [6.12, 6.18]),
        ("'6.12','6.18'", ["6.12", "6.18"]),
        ("2024-01-01,b", ["2024-01-01", "b"]),
        ("007", ["007"]),
    ],
)
def test_values_are_as_in_toml_and_words_need_no_quotes(text: str, values: list[object]) -> None:
    assert _values([f"a.b={text}"]) == {"a.b": values}


@pytest.mark.parametrize("over", [["vms[0].vcpus"], ["vms[0].vcpus="], ["a=1", "a=2"], ["=1", "=2"]])
def test_what_gives_no_values_is_refused(over: list[str]) -> None:
    with pytest.raises(InputError, match="--over"):
        _values(over)


def test_a_command_prints_what_the_function_returns(storm: Path) -> None:
    over = {"vms[0].vcpus": [1, 2], "vms[0].vmm.lock": ["vm", "none"]}
    typed = fastsmc("sweep", storm, *ALL, "--repeats", "2", "--seed", "5", "--where", "vms[0].vcpus < 2", "--json")
    assert (typed.returncode, typed.stderr) == (0, "")
    with smc.sweep(storm, over=over, repeats=2, seed=5, where="vms[0].vcpus < 2", run_on=1) as done:
        assert typed.stdout == done.to_json() + "\n"
    table = fastsmc("sweep", storm, *ALL, "--measure", "calls", "--csv")
    assert table.stdout.splitlines()[:2] == ["vms[0].vcpus,vms[0].vmm.lock,repeat,seed,calls", "1,vm,0,3,5.0"]


def test_a_journal_is_gone_on_with_only_where_that_is_said(storm: Path) -> None:
    to = storm.with_name("j.db")
    first = fastsmc("sweep", storm, *ALL, "--to", to)
    assert first.returncode == 0
    assert "(4 computed now, 0 reused)" in first.stdout
    again = fastsmc("sweep", storm, *ALL, "--to", to)
    assert again.returncode == 3
    assert "it is there already: give --resume" in again.stderr
    for arguments in ((storm, *ALL), ("--workers", "1")):
        resumed = fastsmc("sweep", *arguments, "--to", to, "--resume", "--netcdf", storm.with_name("a.nc"))
        assert resumed.returncode == 0
        assert "(0 computed now, 4 reused)" in resumed.stdout
    other = fastsmc("sweep", storm, *ALL, "--seed", "9", "--to", to, "--resume")
    assert other.returncode == 3
    assert "another sweep, with other seed: seed is '3' there and '9' here" in other.stderr
    assert names(storm.parent) == ["a.nc", "j.db", "storm.toml"]


def test_cells_that_failed_are_exit_code_4_and_can_be_listed(storm: Path) -> None:
    storm.write_text(UNSTABLE)
    to = storm.with_name("j.db")
    done = fastsmc("sweep", storm, *RATES, "--to", to)
    assert done.returncode == 4
    assert "1 done, 1 failed, 0 left" in done.stdout
    assert fastsmc("sweep", "--to", to, "--resume", "--workers", "1").returncode == 4
    held = fastsmc("sweep", "--to", to, "--resume", "--workers", "1", "-q", "--fail-if", "failed > 0")
    assert (held.returncode, held.stderr) == (4, "fastsmc: failed > 0 holds: failed is 1\n")
    listed = fastsmc("sweep", "--to", to, "--list-failed")
    assert listed.returncode == 0
    assert listed.stdout.startswith(
        "workloads.w.arrivals.rate_hz=1000000000.0, repeat=0: storm: workloads.w.arrivals.rate"
    )
    assert len(listed.stdout.splitlines()) == 1
    told = json.loads(fastsmc("sweep", "--to", to, "--list-failed", "--json").stdout)
    assert [one["at"] for one in told] == [{"workloads.w.arrivals.rate_hz": 1e9, "repeat": 0}]


def test_a_threshold_is_about_every_cell_and_what_is_saved_is_what_is_printed(storm: Path) -> None:
    with smc.sweep(storm, over={"vms[0].vcpus": [1, 2]}, run_on=1) as done:
        calls = sorted(done.dataset["calls"].values.ravel().tolist())
    assert calls[0] < calls[1]
    words = ("sweep", storm, "--over", "vms[0].vcpus=1,2", "--workers", "1", "-q", "--fail-if")
    above = fastsmc(*words, f"calls > {calls[0]}", "-o", storm.with_name("a.json"))
    assert (above.returncode, above.stdout.count("\n")) == (4, 1)
    assert f"calls is {calls[1]:.6g}, 1 of 2" in above.stderr
    assert fastsmc(*words, f"calls > {calls[1]}").returncode == 0
    with smc.sweep(storm, over={"vms[0].vcpus": [1, 2]}, run_on=1) as done:
        assert json.loads(storm.with_name("a.json").read_text()) == done.as_dict()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "give a scenario and what to vary"),
        (("--resume",), 2, "give --to FILE"),
        (("--list-failed",), 2, "give --to FILE"),
        (("SCENARIO", "--workers", "2", "--scheduler", "tcp://h:1"), 2, "give one of them"),
        (("SCENARIO", "--scheduler", "somewhere"), 2, "give an address such as tcp://"),
        (("SCENARIO", "--json", "--csv"), 2, "give one of --json, --csv, --markdown and --quiet"),
        (("--to", "a.db", "--list-failed", "--csv"), 2, "it has --json only"),
        (("--to", "a.db", "--resume", "--over", "calls=1"), 2, "the journal has the values"),
        (("SCENARIO", "--over", "vms[0].vcpu=1"), 2, "storm: vms[0].vcpu: no such key: did you mean vcpus?"),
        (("SCENARIO", "--over", "vms[3].vcpus=1"), 2, "did you mean vms[0].vcpus?"),
        (("SCENARIO", "--over", "calls=1", "--where", "call > 1"), 2, "did you mean calls?"),
        (("SCENARIO", "--over", "calls=1", "--measure", "cals"), 2, "did you mean calls?"),
        (("SCENARIO", "--over", "calls=1", "--to", "no/j.db"), 3, "the folder no is not there"),
        (("not-there.toml", "--over", "calls=1"), 3, "give the path of a scenario"),
        (("--to", "not-there.db", "--list-failed"), 3, "there is no such file"),
        (("--to", "not-there.db", "--resume"), 3, "there is no such file"),
    ],
)
def test_bad_input_is_a_sentence(storm: Path, arguments: tuple[str, ...], code: int, told: str) -> None:
    given = [str(storm) if argument == "SCENARIO" else argument for argument in arguments]
    done = fastsmc("sweep", *given, cwd=storm.parent)
    assert done.returncode == code
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert names(storm.parent) == ["storm.toml"]
