"""The sample files are the project's own, and each is read by the command that stands beside it."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import ResultFileError
from fastsmc.recordings.samples import SAMPLES, Sample
from tests.support.command import fastsmc
from tests.support.places import ROOT

INCLUDED = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
INSTALLED = "fastsmc/data/samples/"


def test_they_are_written_byte_for_byte_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "boot.txt").write_text("older")
    written = smc.samples(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    for one in written.files:
        assert (tmp_path / one.name).read_bytes() == (ROOT / one.source).read_bytes(), one.name


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultFileError, match="file: the samples cannot be written there"):
        smc.samples(tmp_path / "file")


def test_the_wheel_takes_each_from_where_it_lies() -> None:
    """By pyproject.toml what lies elsewhere; what lies in the package's own folder comes with it."""
    taken = {place: source for source, place in INCLUDED["force-include"].items() if place.startswith(INSTALLED)}
    expected = {f"{INSTALLED}{one.name}": one.source for one in SAMPLES}
    assert taken == {place: source for place, source in expected.items() if not source.startswith("fastsmc/")}
    assert {str(path.relative_to(ROOT)) for path in (ROOT / INSTALLED).iterdir()} <= set(expected.values())


@pytest.mark.parametrize("one", SAMPLES, ids=lambda one: one.name)
def test_its_command_reads_it(one: Sample, tmp_path: Path) -> None:
    smc.samples(tmp_path)
    done = fastsmc(*shlex.split(one.command)[1:], cwd=tmp_path)
    assert done.returncode in (0, 4, 5), done.stderr
    assert done.stdout
    assert one.name in one.command
