"""`fastsmc migrate downtime` and `add-registers` as a stranger meets them."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fastsmc.cli.app import app
from fastsmc.errors import InputError, ResultFileError
from fastsmc.migrate.link import line_rate, microseconds
from tests.support.command import fastsmc as run
from tests.support.places import ROOT

SAMPLES = ROOT / "tests" / "downtime"
HOST = ("--vcpus", "4", "--registers", "182")


def fastsmc(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["migrate", *map(str, arguments)])


def test_downtime_as_json_adds_up() -> None:
    told = json.loads(fastsmc("downtime", "--vcpus", "512", "--release", "6.18", "--json").stdout)
    assert sum(
        step["ioctls"] for step in told["steps"] if step["name"].startswith("GETs, ") and "GIC" not in step["name"]
    )
    assert told["total_ms"]["mid"] == pytest.approx(sum(step["ms"]["mid"] for step in told["steps"]))
    assert (told["unseen_share"], told["registers_per_vcpu"], told["hypothetical"]) == (1, 182, False)
    assert all(step["kind"] in ("modelled", "assumed") and step["source"] for step in told["steps"])


def test_downtime_with_measurements_marks_them() -> None:
    logs = ("--trace", SAMPLES / "source.log", "--trace", SAMPLES / "destination.log")
    done = fastsmc("downtime", *HOST, *logs, "--query-migrate", SAMPLES / "query-migrate-7.2.22.json")
    assert done.exit_code == 0
    kinds = {
        line.rsplit(maxsplit=1)[-1] for line in done.stdout.splitlines() if line.startswith(("pause  ", "resume  "))
    }
    assert kinds == {"measured"}
    assert "one after another" in done.stdout
    assert "query-migrate-7.2.22.json: downtime 18 ms" in done.stdout


@pytest.mark.parametrize("command", [("downtime", *HOST), ("add-registers", "1", "--vcpus", "512")])
def test_figures_are_drawn_twice_alike(command: tuple[str, ...], tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "x.svg", tmp_path / "b" / "x.svg"
    for path in (first, second):
        path.parent.mkdir()
        assert fastsmc(*command, "--figure", path).exit_code == 0
    text = first.read_text()
    assert text == second.read_text()
    assert text.startswith("<svg")
    assert "assumed" in text, "the tag says what it rests on"


@pytest.mark.parametrize(
    "command",
    [
        ("downtime", "--vcpus", "1", "--registers", "1", "--ioctl-ns", "0", "--line-rate", "999T", "--limit-ms", "1e9"),
        ("downtime", *HOST, "--limit-ms", "0.001", "--line-rate", "1K"),
        ("add-registers", "1", "--ioctl-ns", "0", "--share", "1e9"),
        ("add-registers", "60000", "--vcpus", "1", "--ioctl-ns", "1e9", "--limit-ms", "0.001", "--share", "0.001"),
    ],
)
def test_figures_of_extreme_questions_are_drawn(command: tuple[str, ...], tmp_path: Path) -> None:
    assert fastsmc(*command, "--figure", tmp_path / "x.png").exit_code == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_add_registers_as_json_has_the_claim_and_the_map() -> None:
    done = fastsmc("add-registers", "3", "--release", "6.18", "--vcpus", "1,512", "--json")
    told = json.loads(done.stdout)
    assert [point["value_bytes"] for point in told["claim"]] == [8_388_608, 8_000]
    assert [row["n_global"] for row in told["map"]] == [73, 73]
    assert told["map"][0]["break_even_registers"] is None, "one vCPU repeats nothing"
    assert {row["vmm"] for row in told["rows"]} == {"QEMU", "Firecracker", "Cloud Hypervisor", "crosvm"}
    assert told["ioctl_ns_kind"] == "assumed"


def test_add_registers_prints_what_is_crossed() -> None:
    text = fastsmc("add-registers", "300", "--vcpus", "8").stdout
    assert "limit CROSSED: Firecracker, Cloud Hypervisor, registers in rust-vmm's list: 257 before, 557 after" in text
    assert "rust-vmm's list takes 500 registers, and there would be 557" in text
    assert "verdict: " in text
    assert "QEMU ends at vCPU init" in fastsmc("add-registers", "1", "--size", "128").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("downtime", *HOST, "--vmm", "crosvm"), "only 'qemu' is modelled"),
        (("downtime", *HOST, "--line-rate", "fast"), "line rate 'fast'"),
        (("downtime", *HOST, "--line-rate", "0G"), "--line-rate is 0.0: it must be a number above 0"),
        (("downtime", *HOST, "--rtt", "80"), "time '80': give it with its unit"),
        (("downtime", *HOST, "--ioctl-ns", "1,2"), "--ioctl-ns '1,2'"),
        (("downtime", *HOST, "--ioctl-ns", "x"), "--ioctl-ns 'x'"),
        (("downtime", "--vcpus", "4", "--release", "2.6"), "release 2.6 is outside 5.10"),
        (("add-registers", "0"), "COUNT is 0: "),
        (("add-registers", "1", "--vcpus", "8,x"), "--vcpus '8,x'"),
        (("add-registers", "1", "--share", "0"), "--share is 0.0: "),
        (("add-registers", "1", "--family", "x"), "--family is 'x': "),
    ],
)
def test_bad_options_end_in_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    done = fastsmc(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.splitlines()[0].startswith("fastsmc: ")


@pytest.mark.parametrize(("option", "name"), [("--trace", "none.log"), ("--query-migrate", "none.json")])
def test_a_file_that_cannot_be_read_is_exit_code_3(option: str, name: str) -> None:
    done = run("migrate", "downtime", *HOST, option, name)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"fastsmc: {name}: cannot be read")
    assert done.stderr.count("\n") == 1


def test_several_vcpus_make_a_table() -> None:
    told = json.loads(fastsmc("downtime", "--vcpus", "64,512", "--registers", "182", "--json").stdout)
    each = [json.loads(fastsmc("downtime", "--vcpus", n, "--registers", "182", "--json").stdout) for n in ("64", "512")]
    assert told == each
    rows = list(
        csv.DictReader(fastsmc("downtime", "--vcpus", "64..512..x8", "--registers", "182", "--csv").stdout.splitlines())
    )
    assert [row["n_vcpu"] for row in rows] == ["64", "512"]
    assert [float(row["downtime_ms"]) for row in rows] == pytest.approx([one["total_ms"]["mid"] for one in each])
    assert fastsmc("downtime", "--vcpus", "4,8", "--registers", "182", "--trace", "x.log").exit_code == 2


def test_a_figure_that_cannot_be_is_refused_before_any_work() -> None:
    wrong = fastsmc("downtime", *HOST, "--figure", "x.gif")
    assert wrong.exit_code == 2
    assert "ends in .svg or .png" in wrong.output
    done = fastsmc("downtime", *HOST, "--figure", "no/such/x.svg")
    assert isinstance(done.exception, ResultFileError)
    assert "cannot be written" in str(done.exception)


SESSIONS = re.findall(
    r"^```console\n\$ fastsmc migrate (.*)\n((?:.+\n)+?)```", (ROOT / "docs" / "downtime.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize(("command", "shown"), SESSIONS, ids=[command for command, _ in SESSIONS])
def test_sessions_in_the_documents_are_real(command: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SAMPLES)
    lines = shown.splitlines()
    printed = fastsmc(*shlex.split(command)).stdout.replace("\N{NO-BREAK SPACE}", " ").splitlines()
    if lines[-1] == "…":
        lines, printed = lines[:-1], printed[: len(lines) - 1]
    assert printed == lines


def test_there_are_three_sessions() -> None:
    assert len(SESSIONS) == 3


def test_neither_registers_nor_release_is_a_wrong_use() -> None:
    assert fastsmc("downtime", "--vcpus", "4").exit_code == 2
    assert fastsmc("downtime", *HOST, "--features", "sve").exit_code == 2


@pytest.mark.parametrize(
    ("text", "gbit"),
    [("10Gb/s", 10), ("25G", 25), ("100Gbps", 100), ("1.25GB/s", 10), ("128MiB/s", 2**30 / 1e9), ("40 Gbit/s", 40)],
)
def test_line_rates_as_people_write_them(text: str, gbit: float) -> None:
    assert line_rate(text) == pytest.approx(gbit)


@pytest.mark.parametrize("text", ["", "10", "10X", "-1G", "1e3G", "10Gb/h", "G", "1" * 20 + "G", "10Gb/s x"])
def test_line_rates_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="line rate"):
        line_rate(text)


def test_times_have_units() -> None:
    assert [microseconds(text) for text in ("80us", "0.2 ms", "0", "1s", "500ns", "3µs")] == [80, 200, 0, 1e6, 0.5, 3]
    for text in ("80", "ms", "-1us", "1min"):
        with pytest.raises(InputError, match="with its unit"):
            microseconds(text)
