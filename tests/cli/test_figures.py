"""--figure: the picture of the library beside what is printed, all files or none, and wrong names before any work."""

from __future__ import annotations

import io
import re
from pathlib import Path

import matplotlib.image
import pytest
from typer.testing import CliRunner, Result

import fastsmc as smc
from fastsmc.cli.app import app
from fastsmc.reporting import style
from fastsmc.reporting.style import styled, to_svg

SHAPE = ("plan", "largest-shape", "--registers", "182", "--downtime-ms", "100,300", "-q")
TRACE = ("trace", "sample:boot.ftrace.txt", "-q")
FLEET = ("--hosts", "sample:hosts.csv", "--vms", "sample:vms.csv", "-q")
MOVING = ("--vcpus", "4", "--memory-gib", "8", "--dirty-mib-per-s", "9", "-q")
DRAWING = [
    SHAPE,
    TRACE,
    ("simulate", "sample:entropy.toml", "--calls", "5", "-q"),
    ("plan", "baseline", *FLEET),
    ("plan", "filter-cost", "--no-measure", "-q"),
    ("plan", "evacuate", *FLEET, "--drain", "h1", "--within", "30min"),
    ("plan", "upgrade", *FLEET, "--to", "6.18", "--vmm", "qemu:10.1"),
    ("plan", "migration-table", "--registers", "6.18", *MOVING),
]


def fastsmc(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_png_opens_and_the_answer_is_printed_all_the_same(tmp_path: Path) -> None:
    done = fastsmc(*SHAPE, "--figure", tmp_path / "x.png")
    assert done.exit_code == 0
    assert done.stdout.startswith("130 to 392 vCPUs")
    assert done.stderr == f"wrote {tmp_path / 'x.png'}\n"
    height, width, _ = matplotlib.image.imread(io.BytesIO((tmp_path / "x.png").read_bytes())).shape
    assert width == 1200
    assert 400 < height < 1200


@pytest.mark.parametrize("command", DRAWING, ids=lambda command: " ".join(command[:2]))
def test_each_of_these_commands_draws(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is drawn is tested with the library; here it is not made into dots, which takes longest."""
    monkeypatch.setattr(style, "to_png", lambda figure: figure.get_suptitle().encode())
    done = fastsmc(*command, "--figure", tmp_path / "x.png")
    assert done.exit_code in (0, 4), done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stderr.endswith(f"wrote {tmp_path / 'x.png'}\n")
    assert re.search(r"\d", (tmp_path / "x.png").read_text()), "a title has a number"


def test_an_svg_is_the_librarys_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert fastsmc(*SHAPE, "--figure", tmp_path / name / "x.svg").exit_code == 0
    plan = smc.plan.largest_shape(registers=182, link="10Gb/s", downtime_ms=[100, 300])
    with styled():
        assert (tmp_path / "a" / "x.svg").read_text() == to_svg(plan.figure(), "x")
    assert (tmp_path / "a" / "x.svg").read_bytes() == (tmp_path / "b" / "x.svg").read_bytes()


def test_files_of_two_options_are_written_together(tmp_path: Path) -> None:
    out, figure = tmp_path / "x.json", tmp_path / "x.svg"
    done = fastsmc(*SHAPE, "--out", out, "--figure", figure)
    assert done.stderr == f"wrote {out}\nwrote {figure}\n"
    assert sorted(tmp_path.iterdir()) == [out, figure]


def test_without_a_figure_neither_file_is_there_and_the_answer_is(tmp_path: Path) -> None:
    hosts, vms = tmp_path / "hosts.csv", tmp_path / "vms.csv"
    hosts.write_text("name,kernel,vmm\nh1,6.18.15,qemu:10.1\nh2,6.18.15,qemu:10.1\n")
    vms.write_text("name,host,vcpus,memory_gib\na,h1,4,8\n")
    asked = ("--hosts", hosts, "--vms", vms, "--drain", "h2", "--within", "30min", "-q")
    done = fastsmc("plan", "evacuate", *asked, "--out", tmp_path / "x.json", "--figure", tmp_path / "x.svg")
    assert done.stdout == "h2 has no VMs: nothing has to move\n"
    assert done.exit_code != 0
    assert "nothing to draw" in f"{done.exception} {done.output}"
    assert sorted(tmp_path.iterdir()) == [hosts, vms]


@pytest.mark.parametrize("command", [SHAPE, TRACE])
def test_another_ending_is_refused_before_any_work(command: tuple[str, ...]) -> None:
    done = fastsmc(*command, "--figure", "x.gif")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--figure" in done.stderr
    assert "x.gif: give a name that ends in .svg or .png" in " ".join(done.stderr.split())


def test_a_folder_that_is_not_there_is_told() -> None:
    done = fastsmc(*SHAPE, "--figure", "no/such/x.svg")
    assert "--figure no/such/x.svg: cannot be written" in str(done.exception)


def test_a_figure_beside_rows_of_vms_needs_another_name(tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    done = fastsmc("simulate", "sample:entropy.toml", "--per-vm", path, "--figure", path)
    assert done.exit_code == 2
    assert "are the same file" in " ".join(done.stderr.split())
