"""A release is refused in the same words wherever one is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fastsmc as smc
from fastsmc.cli.app import app
from fastsmc.facts.releases import release
from fastsmc.migrate.compat.matrix import matrix
from fastsmc.migrate.compat.result import Outlook
from fastsmc.migrate.read.detect import inspect
from fastsmc.recordings.folder import open_recording
from fastsmc.scaling.axes import distinct_fleet
from tests.support.dumps import dumped, written
from tests.support.places import TESTS

STREAM = TESTS / "streams" / "cortex-a57-2.bin.xz"
REFUSED = [
    ("6.81", "release '6.81' never existed: 6.19 was the last 6.x; did you mean 6.18?"),
    ("5.20", "release '5.20' never existed: 5.19 was the last 5.x"),
    ("5.19.18", "release '5.19.18' never existed: 5.19.17 was the last 5.19.x"),
    ("7.4", "release 7.4 is outside 5.10 to 7.3, the releases fastsmc knows; it is newer than any of them"),
    ("8.0", "release 8.0 is outside 5.10 to 7.3, the releases fastsmc knows; it is newer than any of them"),
    ("4.19", "release 4.19 is outside 5.10 to 7.3, the releases fastsmc knows; it is older than any of them"),
    ("4.18.0-553.el8_10.aarch64", "a kernel of RHEL 8, which carries patches"),
    ("6.12.0-39.el10.x86_64", "is a kernel for x86_64: fastsmc models KVM of arm64"),
    ("6.12x", "is not a Linux version"),
]
FEATURED = ("6.12+pmu", "release '6.12+pmu' names vCPU features (pmu), which a VM has and no host")


def scenario(name: str) -> smc.Scenario:
    """A scenario of one group that runs the release."""
    vms = {"name": "g", "vcpus": 1, "workload": "w", "release": name}
    workload = {"kind": "open", "arrivals": {"law": "poisson", "rate_hz": 1000.0}, "mix": {"PSCI_VERSION": 1.0}}
    return smc.Scenario.of({"calls": 50, "warmup": 0, "vms": [vms], "workloads": {"w": workload}})


LINK = smc.Link(gbit_per_s=10)
HOSTS: dict[str, Callable[[str], object]] = {
    "release": release,
    "Host.of": smc.Host.of,
    "Fleet": lambda name: smc.Fleet([1], hosts=[name]),
    "Fleet.uniform": lambda name: smc.Fleet.uniform(n_vm=1, n_vcpu=1, host=name),
    "explain": lambda name: smc.explain("PTP", release=name),
    "scenario": scenario,
    "distinct fleets": lambda name: distinct_fleet(1, 1, host=name),
    "source release": lambda name: smc.migrate.check(STREAM, "6.12", source_release=name),
    "dest release": lambda name: smc.migrate.check("6.12", STREAM, dest_release=name),
}
"""Places that take a host's release."""
LISTS: dict[str, Callable[[str], object]] = {
    "source": lambda name: smc.migrate.check(name, "6.12"),
    "dest": lambda name: smc.migrate.check("6.12", name),
    "matrix": lambda name: matrix([name, "6.12"]),
    "recorded host": lambda name: smc.migrate.check(f"linux-{name}-max", "6.12"),
    "scope": lambda name: smc.scope(name),
    "add_registers": lambda name: smc.migrate.add_registers(name, n_new=1, n_vcpu=[1], link=LINK),
    "register_set": lambda name: smc.register_set(name),
}
"""Places that take the release of a register list, in some with features."""


@pytest.mark.parametrize(("name", "told"), REFUSED)
@pytest.mark.parametrize("place", [*HOSTS, *LISTS])
def test_a_release_is_refused_in_the_same_words_everywhere(place: str, name: str, told: str) -> None:
    with pytest.raises(smc.FastsmcError) as error:
        (HOSTS | LISTS)[place](name)
    if place in LISTS and name == "6.12x":
        return  # it may also be a file's name, or a recording's
    assert told in str(error.value)


@pytest.mark.parametrize("place", HOSTS)
def test_a_host_has_no_vcpu_features_anywhere(place: str) -> None:
    with pytest.raises(smc.FastsmcError) as error:
        HOSTS[place](FEATURED[0])
    assert FEATURED[1] in str(error.value)


@pytest.mark.parametrize(("name", "told"), [*REFUSED, FEATURED])
def test_a_recording_of_such_a_release_is_refused_with_its_file(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"release": name, "version": "#1 SMP"}))
    with pytest.raises(smc.FastsmcError, match=r"meta\.json: ") as error:
        open_recording(tmp_path)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "PTP", "--release", "6.81"),
        ("scope", "--release", "6.81"),
        ("migrate", "check", "6.81", "6.12"),
        ("migrate", "check", "6.12", "6.81+pmu"),
        ("migrate", "check", str(STREAM), "6.12", "--source-release", "6.81"),
        ("migrate", "size", "--vcpus", "2", "--release", "6.81"),
        ("migrate", "downtime", "--vcpus", "2", "--release", "6.81"),
        ("migrate", "add-registers", "1", "--release", "6.81"),
    ],
    ids=" ".join,
)
def test_the_command_line_refuses_it_with_exit_code_2(words: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 2
    assert "never existed: 6.19 was the last 6.x; did you mean 6.18?" in ran.stderr


def test_a_file_whose_kernel_is_none_says_why_and_is_judged_without_rules(tmp_path: Path) -> None:
    path = written(tmp_path, "host", dumped("linux-6.12.107-max", kernel="4.18.0-553.el8_10.aarch64"))
    assert inspect(path).has_values
    found = smc.migrate.check(path, "6.12")
    assert found.forward.outlook is not Outlook.RESTORES
    notes = found.source.notes
    assert any("a kernel of RHEL 8, which carries patches" in note for note in notes)
