"""`fastsmc plan largest-shape` and `migration-table`: what is typed is what the library is asked, and wrong words."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import fastsmc as smc
from fastsmc.cli.app import app

SHAPE = ("plan", "largest-shape")
TABLE = ("plan", "migration-table", "--vcpus", "64", "--memory-gib", "64", "--dirty-mib-per-s", "200")


def test_a_grid_is_typed_with_commas() -> None:
    typed = (*SHAPE, "--registers", "182,6.18+sve", "--line-rate", "10G,128MiB/s", "--rtt", "0.2ms", "--limit", "100")
    done = CliRunner().invoke(app, [*typed, "--downtime-ms", "30,300.5", "--ioctl-ns", "1,2,3", "--csv"])
    asked = smc.plan.largest_shape(
        registers=[182, "6.18+sve"],
        link=[smc.Link("10G", 200), smc.Link("128MiB/s", 200)],
        downtime_ms=[30, 300.5],
        ioctl_ns=(1, 2, 3),
        limit=100,
    )
    assert (done.exit_code, done.stdout) == (0, asked.to_csv())


def test_sve_is_typed_as_for_sizes() -> None:
    """Of numbers only: a release says it by its features."""
    done = CliRunner().invoke(app, [*SHAPE, "--registers", "182,200", "--sve", "--csv"])
    asked = smc.plan.largest_shape(registers=[182, 200], has_sve=True, link="10Gb/s", downtime_ms=300)
    without = smc.plan.largest_shape(registers=[182, 200], link="10Gb/s", downtime_ms=300)
    assert done.stdout == asked.to_csv() != without.to_csv()
    done = CliRunner().invoke(app, [*TABLE, "--registers", "182", "--sve", "--json"])
    assert json.loads(done.stdout)["inputs"]["sve"] is True
    done = CliRunner().invoke(app, [*TABLE, "--registers", "182", "--json"])
    assert json.loads(done.stdout)["inputs"]["sve"] is False


@pytest.mark.parametrize(("command", "registers"), [(SHAPE, "6.18"), (SHAPE, "182,6.18+sve"), (TABLE, "6.18+sve")])
def test_sve_beside_a_release_is_refused(command: tuple[str, ...], registers: str) -> None:
    done = CliRunner().invoke(app, [*command, "--registers", registers, "--sve"])
    assert done.exit_code == 2
    assert "--sve belongs to numbers" in done.output


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ((*SHAPE, "--registers", "7.3"), 0),
        ((*SHAPE, "--registers", "7.3", "--downtime-ms", "300,0.1"), 4),
        ((*SHAPE, "--registers", "7.3", "--downtime-ms", "1"), 5),
        ((*TABLE, "--registers", "6.18"), 0),
        ((*TABLE, "--registers", "6.18", "--line-rate", "1G"), 4),
        ((*TABLE, "--registers", "6.18", "--line-rate", "10G", "--downtime-ms", "50"), 5),
    ],
)
def test_the_exit_code_tells_whether_it_can_be_had(command: tuple[str, ...], code: int) -> None:
    done = CliRunner().invoke(app, [*command, "-q"])
    assert done.exit_code == code
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            (*SHAPE, "--registers", "7.3", "--downtime-ms", "fast"),
            "--downtime-ms 'fast': give numbers joined by commas",
        ),
        ((*SHAPE, "--registers", "7.3", "--downtime-ms", "nan"), "--downtime-ms is nan: it must be a number above 0"),
        ((*SHAPE, "--registers", "7.3", "--line-rate", "10G,fast"), "--line-rate: line rate 'fast': give it as 10Gb/s"),
        ((*SHAPE, "--registers", "7.3", "--line-rate", "0G"), "--line-rate is 0.0: it must be a number above 0"),
        ((*SHAPE, "--registers", "7.3", "--rtt", "80"), "--rtt: time '80': give it with its unit"),
        ((*SHAPE, "--registers", "7.3", "--vmm", "crosvm"), "--vmm is 'crosvm': it must be one of qemu"),
        ((*SHAPE, "--registers", "7.3,6.99"), "--registers: "),
        ((*SHAPE, "--registers", "0"), "--registers is 0"),
        ((*TABLE, "--registers", "182,9"), "--registers '182,9': a table is of one VM: give one release or number"),
        (
            (*TABLE, "--registers", "182", "--hot-set-mib", "1e6"),
            "--hot-set-mib is 1e+06: it must be at most the memory",
        ),
    ],
)
def test_wrong_words_are_told(command: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, list(command))
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())
