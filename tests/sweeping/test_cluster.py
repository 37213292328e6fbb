"""Sweeps on a Dask cluster of separate processes on loopback: the same bytes, and what becomes of it in a sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import FastsmcError, InputError
from fastsmc.sweeping import cluster as engine
from tests.support.places import ROOT
from tests.support.processes import Cluster, cluster, kill
from tests.support.sweeps import OVER, TABLE, TOML

SWEEP = ("sweep", "storm.toml", "--over", "vms[0].vcpus=1,2,3", "--over", "vms[0].vmm.lock=vm,none", "--repeats", "9")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("dask")) as found:
        yield found


@pytest.fixture
def storm(tmp_path: Path) -> Path:
    (tmp_path / "storm.toml").write_text(TOML)
    return tmp_path


def typed(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own: Dask has threads that the tests' process should not keep."""
    return subprocess.run(
        [sys.executable, "-m", "fastsmc", *arguments],
        capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300,
    )  # fmt: skip


def test_a_cluster_finds_the_same_bytes(running: Cluster, storm: Path) -> None:
    done = typed(*SWEEP, "--scheduler", running.address, "--to", "j.db", "--json", cwd=storm)
    assert (done.returncode, done.stderr) == (0, "")
    with (
        smc.sweep(storm / "storm.toml", over=OVER, repeats=9, run_on=1) as here,
        smc.open_sweep(storm / "j.db") as there,
    ):
        assert done.stdout == here.to_json() + "\n" == there.to_json() + "\n"


def begun(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """The same, as soon as a cell is in its journal."""
    sweeping = subprocess.Popen(
        [sys.executable, "-m", "fastsmc", *arguments, "--to", "j.db"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    wait_for_cells(sweeping, cwd / "j.db", 1)
    return sweeping


def test_a_worker_that_is_killed_with_its_nanny_costs_nothing_but_time(running: Cluster, storm: Path) -> None:
    sweeping = begun(*SWEEP[:-1], "200", "--scheduler", running.address, "--json", cwd=storm)
    running.kill_worker(0)
    running.workers[0] = running.worker()
    out, errors = sweeping.communicate(timeout=300)
    assert (sweeping.returncode, errors) == (0, "")
    with smc.sweep(storm / "storm.toml", over=OVER, repeats=200, run_on=1) as here:
        assert out == here.to_json() + "\n"


def wait_for_cells(sweeping: subprocess.Popen[str], journal: Path, n: int) -> None:
    while sweeping.poll() is None:
        if journal.exists() and journal.stat().st_size:
            try:
                with smc.open_sweep(journal) as found:
                    if found.done >= n:
                        return
            except FastsmcError:
                pass
        time.sleep(0.05)


def test_a_scheduler_that_is_killed_is_a_sentence_and_the_journal_stays(storm: Path) -> None:
    with cluster(storm, n_worker=1) as dying:
        sweeping = begun(*SWEEP[:-1], "999", "--scheduler", dying.address, cwd=storm)
        kill(dying.scheduler.pid)
        out, errors = sweeping.communicate(timeout=300)
    assert (sweeping.returncode, out) == (3, "")
    assert len(errors.splitlines()) == 1
    assert "the connection to the scheduler is lost" in errors
    with smc.open_sweep(storm / "j.db") as found:
        assert found.done > 0
        assert found.left > 0


def test_a_scheduler_that_is_not_there_is_a_sentence(storm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_CONNECT_S", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(InputError, match="no scheduler answers"):
        smc.sweep(TABLE, over=OVER, run_on=address)


def test_workers_of_other_sources_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "sources_digest", lambda: "other")
    assert engine.compute("", [0], "ours") == ("other", [])
    assert engine.compile_for("", [0], "ours") == ("other", [])
    run = engine._Run.__new__(engine._Run)
    run.where, run.sources = "tcp://h:1", "ours"
    with pytest.raises(InputError, match=r"runs other sources of fastsmc \(other, here ours\): install the same"):
        run._require_same("other", "a worker")
