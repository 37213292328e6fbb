"""`make test-arm64`: what it would run is there, a difference is told, and where it cannot be installed it says so."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.places import ROOT
from tools import arm64, arm64_install, same_bytes
from tools.arm64 import ALL, LANES, LEFT_OUT, Lane, lanes_of


@pytest.mark.parametrize("test", [test for lane in (*LANES, *ALL) for test in lane.tests])
def test_what_it_runs_is_there(test: str) -> None:
    path, _, function = test.partition("::")
    assert (ROOT / path).exists()
    assert not function or re.search(rf"^def {function}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_every_subject_is_in_a_lane_and_the_names_left_out_exist() -> None:
    for lanes in (LANES, ALL):
        assert {name for lane in lanes for name in getattr(same_bytes, lane.name)} == set(same_bytes.SUBJECTS)
    text = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert [word for word in LEFT_OUT if not re.search(rf"^def test_\w*{word}", text, re.MULTILINE)] == []


def test_options_go_to_the_chosen_tests_and_tests_replace_them() -> None:
    assert lanes_of(["tests/test_vm.py::test_x", "-x"]) == (Lane("", ("tests/test_vm.py::test_x", "-x")),)
    assert [lane.tests for lane in lanes_of(["-x"])] == [(*lane.tests, "-x") for lane in LANES]
    assert lanes_of([], is_all=True) == ALL


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--required"], 3)])
def test_without_apt_one_sentence_says_so(
    options: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(arm64, "FOLDER", tmp_path / "arm64")
    monkeypatch.setattr(arm64_install.platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert arm64.main(options) == code
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("test-arm64 is skipped, nothing was tested on arm64: there is no apt-get")
    assert not (tmp_path / "arm64").exists()


@pytest.mark.parametrize(
    ("system", "machine", "why"), [("darwin", "arm64", "this is darwin"), ("linux", "aarch64", "is arm64")]
)
def test_other_machines_are_told_why(system: str, machine: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64_install.sys, "platform", system)
    monkeypatch.setattr(arm64_install.platform, "machine", lambda: machine)
    with pytest.raises(arm64_install.NotHereError, match=why):
        arm64_install.require_possible()


def test_a_failed_download_is_told_by_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """apt and its like in place of the real ones, of which one fails as it does without a network."""
    for name, text in (("apt-get", "echo 'E: no network' >&2; exit 100"), ("dpkg", "echo amd64")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(arm64_install.NotHereError, match=r"^apt-get update failed with exit code 100: E: no network$"):
        arm64_install.install(tmp_path / "arm64")
    assert not arm64_install.is_installed(tmp_path / "arm64")


def test_wheels_have_the_bounds_of_the_project() -> None:
    listed = (ROOT / "pyproject.toml").read_text("utf-8")
    assert [one.partition(">=")[0] for one in arm64_install.requirements()] == list(arm64_install.WHEELS)
    assert all(f'"{one}"' in listed for one in arm64_install.requirements())


def test_a_difference_is_told_by_its_subject_and_first_place(tmp_path: Path) -> None:
    whole = np.arange(12, dtype=np.uint32).reshape(3, 4)
    other = whole.copy()
    other[1, 2] = other[2, 3] = 77
    for side, values in (("here", whole), ("there", other)):
        same_bytes.write(
            tmp_path / side, {"a": lambda: {"x": whole}, "b": lambda values=values: {"x": whole, "y": values}}
        )
    same_bytes.write(tmp_path / "here", {"c": lambda: {"x": whole}})
    lines, n_unequal = same_bytes.compare(tmp_path / "here", tmp_path / "there", ["a", "b", "c"])
    assert n_unequal == 2
    assert lines[0].endswith(" equal")
    assert lines[1].endswith(" DIFFERS")
    assert lines[2] == "  y: 2 of 12 differ, first at [1, 2]: 6 and 77"
    assert lines[3] == "c: there did not get so far"


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (np.array([0.0]), np.array([-0.0]), "x: 1 of 1 differ, first at [0]: 0.0 and -0.0"),
        (np.array([np.nan]), np.array([np.nan]), None),
        (np.zeros(2, np.uint8), np.zeros(3, np.uint8), "x: |u1[2] and |u1[3]"),
        (np.zeros(2, np.uint32), np.zeros(2, np.int32), "x: <u4[2] and <i4[2]"),
        (np.array(5), np.array(6), "x: 1 of 1 differ, first at []: 5 and 6"),
    ],
)
def test_bytes_are_compared_and_not_numbers(one: np.ndarray, other: np.ndarray, said: str | None) -> None:
    assert list(same_bytes.differences({"x": one}, {"x": other})) == ([said] if said else [])


def test_the_inputs_reach_all_verdicts() -> None:
    found = same_bytes.SUBJECTS["verdicts, filters"]()
    assert all(np.unique(found[name]).size >= 6 for name in (f"{same_bytes.N_CALL} calls", "arguments and conduits"))
    again = same_bytes.SUBJECTS["verdicts, filters"]()
    assert list(same_bytes.differences(found, again)) == []
