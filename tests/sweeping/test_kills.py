"""Sweeps of which a part is killed: the journal goes on to the same bytes, and no process is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import fastsmc as smc
from fastsmc.errors import FastsmcError
from fastsmc.sweeping import pool
from tests.support.places import ROOT
from tests.support.processes import descendants, kill, left_after
from tests.support.sweeps import OVER, TABLE

N_SOAK = 4


def killed(part: str, n: int, folder: Path) -> dict[str, int]:
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_sweeps", part, str(n), str(folder)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=1800,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found: dict[str, int] = json.loads(run.stdout)
    assert found["rounds"] == n
    assert found["left"] == 0
    return found


def test_a_client_that_is_killed_leaves_no_process_and_a_journal_that_goes_on(tmp_path: Path) -> None:
    found = killed("client", 1, tmp_path)
    assert found["was_left"] == 1


@pytest.mark.soak(f"{N_SOAK} kills of each part; make test has one of a client, and one of a worker")
@pytest.mark.parametrize("part", ["client", "worker", "dask-client", "dask-worker", "dask-scheduler"])
def test_whatever_is_killed_a_sweep_goes_on_to_the_same_bytes(part: str, tmp_path: Path) -> None:
    found = killed(part, N_SOAK, tmp_path)
    if part.endswith("client"):
        assert found["was_begun"]
        assert found["was_left"]
    else:
        assert found["killed"]


def test_a_worker_that_is_killed_is_replaced_and_its_cells_are_computed(tmp_path: Path) -> None:
    gone: list[int] = []

    def progress(_step: str, n_done: int, _total: int) -> None:
        if n_done == 0:
            return
        if not gone:
            gone.append(descendants(os.getpid())[0])
            kill(gone[0])

    with smc.sweep(TABLE, over=OVER, repeats=50, run_on=2, progress=progress) as done:
        assert (done.done, len(done.failed)) == (300, 0)
        text = done.to_json()
    assert len(gone) == 1
    with smc.sweep(TABLE, over=OVER, repeats=50, run_on=1) as done:
        assert done.to_json() == text


ENDS = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
"""What a worker runs whose machine has too little memory."""


def test_a_cell_that_ends_its_workers_is_a_failed_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    start = pool._START.replace(
        "main({}, {})",
        "from fastsmc.sweeping import scenarios; own = scenarios.simulate; "
        f"scenarios.simulate = lambda s: exec('{ENDS}') if s.groups[0].vcpus == 2 else own(s); main({{}}, {{}})",
    )
    monkeypatch.setattr(pool, "_START", start)
    with smc.sweep(TABLE, over={"vms[0].vcpus": [1, 2, 3]}, run_on=2) as done:
        assert done.done == 2
        (failed,) = done.failed
    assert failed.coordinates == {"vms[0].vcpus": 2, "repeat": 0}
    assert failed.error.startswith("the worker that computed it ended by signal 9, 3 times")


def test_workers_that_never_get_ready_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_START", "import sys; {}, {}; sys.exit(7)")
    with pytest.raises(FastsmcError, match="workers end before they are ready, with exit code 7"):
        smc.sweep(TABLE, over=OVER, run_on=2)


def test_an_error_in_the_caller_leaves_no_worker() -> None:
    def progress(_step: str, n_done: int, _total: int) -> None:
        if n_done:
            raise KeyboardInterrupt

    before = set(descendants(os.getpid()))
    with pytest.raises(KeyboardInterrupt):
        smc.sweep(TABLE, over=OVER, run_on=2, progress=progress)
    assert left_after(sorted(set(descendants(os.getpid())) - before), 5) == []


def test_a_sweep_runs_in_a_thread_too() -> None:
    """Workers ask to be ended with the thread that started them, which waits for them."""
    found: list[int] = []

    def sweep() -> None:
        with smc.sweep(TABLE, over=OVER, run_on=2) as done:
            found.append(done.done)

    thread = threading.Thread(target=sweep)
    thread.start()
    thread.join()
    assert found == [6]
