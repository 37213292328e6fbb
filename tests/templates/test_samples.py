"""The sample files are the project's own, and each is read by the command that stands beside it."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import ResultFileError
from fastsmc.facts.packaged import SAMPLES
from tests.support.command import fastsmc
from tests.support.places import ROOT

INCLUDED = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
INSTALLED = "fastsmc/data/samples/"


def test_they_are_written_byte_for_byte_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "boot.ftrace.txt").write_text("older")
    written = smc.samples(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert [one.name for one in written.samples] == list(SAMPLES)
    for name, source in SAMPLES.items():
        for path in source.iterdir() if source.is_dir() else [source]:
            there = tmp_path / name / path.name if source.is_dir() else tmp_path / name
            assert there.read_bytes() == path.read_bytes(), there


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultFileError, match="file: the samples cannot be written there"):
        smc.samples(tmp_path / "file")


def test_the_wheel_takes_each_from_where_it_lies() -> None:
    """By pyproject.toml what lies elsewhere; what lies in the package's own folder comes with it."""
    taken = {place: source for source, place in INCLUDED["force-include"].items() if place.startswith(INSTALLED)}
    elsewhere = {name: path for name, path in SAMPLES.items() if not path.is_relative_to(ROOT / "fastsmc")}
    assert elsewhere.pop("recording").is_relative_to(ROOT / "tests" / "recordings")
    assert taken == {f"{INSTALLED}{name}": str(path.relative_to(ROOT)) for name, path in elsewhere.items()}
    assert {path.name for path in (ROOT / INSTALLED).iterdir()} <= set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_its_command_reads_it(name: str, tmp_path: Path) -> None:
    command = next(one.command for one in smc.samples(tmp_path).samples if one.name == name)
    done = fastsmc(*shlex.split(command)[1:], cwd=tmp_path)
    assert done.returncode in (0, 4, 5), done.stderr
    assert done.stdout
    assert name in command
