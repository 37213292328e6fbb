"""Two that write the same output at once: one of them is there whole, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fastsmc.recordings.compact import compact
from fastsmc.reporting import page as pages
from fastsmc.results.files import load, to_json
from fastsmc.verification import verify
from tests.cli.test_pipes import SCENARIO
from tests.support.places import ROOT
from tests.support.small_recording import small_recording

ROUNDS = 2


def together(*works: Callable[[], object]) -> None:
    """Runs all at once, and raises what one of them raised."""
    failed: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_two_commands_save_to_one_file(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_bytes(SCENARIO)
    command = [sys.executable, "-m", "fastsmc", "simulate", "s.toml", "--out", "run.json", "--per-vm", "vms.csv"]
    running = [
        subprocess.Popen([*command, "--seed", str(seed)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for seed in (1, 2)
    ]
    for one in running:
        _, errors = one.communicate(timeout=100)
        assert one.returncode == 0, errors
    assert load(tmp_path / "run.json").provenance.seed in (1, 2)
    assert len((tmp_path / "vms.csv").read_text().splitlines()) == 2
    assert left(tmp_path) == {"s.toml", "run.json", "vms.csv"}


def test_two_reports_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(ROOT / "reports" / "scaling" / "data.json")
    runs = [replace(run, provenance=replace(run.provenance, cpu=f"cpu-{k}")) for k in range(2)]
    monkeypatch.setattr(pages, "render", lambda run, *_: run.provenance.cpu)
    monkeypatch.setattr(pages, "PAGES", {"index.html": ("", lambda run: [])})
    monkeypatch.setattr(pages, "to_svg", lambda figure, name: "<svg>")
    monkeypatch.setattr(pages, "to_png", lambda figure: b"png")
    drawn = threading.Lock()  # figures are not for threads; what is written is
    written = pages.write_files

    def write(run: object) -> None:
        with drawn:
            pages.write(run, tmp_path / "page")  # type: ignore[arg-type]

    def later(folder: Path, files: dict[str, bytes]) -> None:
        drawn.release()
        try:
            written(folder, files)
        finally:
            drawn.acquire()

    monkeypatch.setattr(pages, "write_files", later)
    for _ in range(ROUNDS):
        together(*(lambda run=run: write(run) for run in runs))  # type: ignore[misc]
        told = (tmp_path / "page" / "index.html").read_text()
        which = runs[int(told.removeprefix("cpu-"))]
        assert (tmp_path / "page" / "data.json").read_text() == to_json(which)
        assert left(tmp_path) == {"page"}


def test_two_copies_in_one_folder(tmp_path: Path) -> None:
    host = small_recording(tmp_path / "from")
    for _ in range(ROUNDS):
        together(*[lambda: compact([host], tmp_path / "copy")] * 2)
        assert verify(tmp_path / "copy" / host.name, kinds=["misc"]).ok
        listed = json.loads((tmp_path / "copy" / host.name / "meta.json").read_text())["files"]
        assert left(tmp_path / "copy" / host.name) == {"meta.json", *listed}
        assert left(tmp_path) == {"from", "copy"}
