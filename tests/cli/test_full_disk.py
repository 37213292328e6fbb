"""A disk that is full when a command has found something: it is printed or kept, and the exit code says what failed."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastsmc import scaling
from fastsmc.results.files import load
from fastsmc.scaling import report as module
from tests.support.command import fastsmc
from tests.support.killed import SCENARIO
from tests.support.places import ROOT


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(opened: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", write)


@pytest.mark.usefixtures("full")
def test_a_simulation_is_printed_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SCENARIO)
    done = fastsmc("simulate", "s.toml", "--json", "--out", "a.json", "--per-vm", "b.csv", cwd=tmp_path)
    assert done.returncode == 3
    assert json.loads(done.stdout)["fleet"]["calls"] == 4 * 4 * 20
    assert done.stderr == (
        "fastsmc: a.json, b.csv: No space left on device; results need a folder that can be written\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["s.toml"]


@pytest.mark.usefixtures("full")
def test_a_migration_is_told_without_its_figure(tmp_path: Path) -> None:
    done = fastsmc("migrate", "downtime", "--vcpus", "4", "--registers", "300", "--figure", tmp_path / "f.png")
    assert done.returncode == 3
    assert "ms" in done.stdout
    assert "No space left on device" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_report_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(ROOT / "reports" / "scaling" / "data.json")

    def fails(run: Any, folder: Path) -> Path:
        raise module.ResultFileError("no room")

    monkeypatch.setattr(scaling, "run", lambda *_, **__: replace(run))
    monkeypatch.setattr(module.pages, "write", fails)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = fastsmc("report", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (3, "")
    kept = re.search(r"no room; what was measured is kept in (\S+): ", done.stderr)
    assert kept is not None
    assert load(kept[1]).provenance == run.provenance
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    done = fastsmc("report", "--out", tmp_path / "out")
    assert done.returncode == 3
    assert json.loads(done.stdout)["provenance"]["seed"] == run.provenance.seed


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = fastsmc("report", "--out", tmp_path / "file" / "x")
    assert (done.returncode, done.stdout) == (3, "")
    assert "results need a folder that can be written" in done.stderr
