"""Sweeps of which a part is killed at random moments: `python -m tests.support.killed_sweeps PART N FOLDER`.

PART is client, worker, or, on a Dask cluster, dask-client, dask-worker (with its nanny) or dask-scheduler. Each time
the sweep is gone on with, and must come to the bytes of one that nobody disturbed. Prints what was found, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import fastsmc as smc
from fastsmc.errors import FastsmcError
from tests.support.processes import Cluster, alive, descendants, kill, left_after
from tests.support.sweeps import TABLE

BIG = TABLE | {"calls": 300, "vms": [TABLE["vms"][0] | {"vcpus": 64}]}
"""Cells of some ms, so that a kill may come in one."""
OVER = {"vms[0].vcpus": [64, 96, 128], "vms[0].vmm.lock": ["vm", "none"]}
RATES: dict[str, Any] = {"over": OVER, "repeats": 20, "measure": ["calls", "response_p99_ns"]}
N_CELL, WITHIN_S = 120, 5.0


def swept(journal: Path, run_on: Any, **more: Any) -> str:
    with smc.sweep(BIG, to=journal, run_on=run_on, **RATES, **more) as done:
        assert done.done + len(done.failed) == N_CELL
        assert done.left == 0
        return done.to_json()


def n_done_of(journal: Path) -> int:
    """Cells in a journal, which may not be there yet, or not be one yet."""
    if journal.exists() and journal.stat().st_size:
        with contextlib.suppress(FastsmcError), smc.open_sweep(journal) as found:
            return found.done + len(found.failed)
    return 0


def client_killed(journal: Path, run_on: Any, draw: random.Random) -> dict[str, int]:
    """A child sweeps, and is killed at a moment of its own."""
    child = os.fork()
    if child == 0:
        try:
            swept(journal, run_on)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    at, end = (0, time.monotonic() + draw.uniform(0, 3)) if draw.random() < 0.25 else (draw.randrange(1, N_CELL), 0.0)
    while alive([child]) and (n_done_of(journal) < at if at else time.monotonic() < end):
        time.sleep(0.01)
    family = descendants(child)
    kill(child)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 1
    left = left_after(family, WITHIN_S)
    n_done = n_done_of(journal)
    return {"workers": len(family), "left": len(left), "was_begun": int(n_done > 0), "was_left": int(n_done < N_CELL)}


def worker_killed(journal: Path, draw: random.Random) -> dict[str, int]:
    """The sweep goes on in this process, and one of its workers is killed after some cell."""
    at, killed = draw.randrange(N_CELL - 20), []

    def progress(_step: str, n_done: int, _total: int) -> None:
        if n_done >= at and not killed and (workers := descendants(os.getpid())):
            killed.append(draw.choice(workers))
            kill(killed[0])

    swept(journal, 2, progress=progress)
    return {"killed": len(killed), "left": len(left_after(descendants(os.getpid()), WITHIN_S))}


def cluster_worker_killed(journal: Path, cluster: Cluster, draw: random.Random) -> dict[str, int]:
    at, killed = draw.randrange(N_CELL - 20), []

    def progress(_step: str, n_done: int, _total: int) -> None:
        if n_done >= at and not killed:
            killed.append(draw.randrange(2))
            cluster.kill_worker(killed[0])
            cluster.workers[killed[0]] = cluster.worker()

    swept(journal, cluster.address, progress=progress)
    return {"killed": len(killed), "left": 0}


def scheduler_killed(journal: Path, cluster: Cluster, draw: random.Random) -> dict[str, int]:
    at, killed = draw.randrange(N_CELL - 20), []

    def progress(_step: str, n_done: int, _total: int) -> None:
        if n_done >= at and not killed:
            killed.append(n_done)
            kill(cluster.scheduler.pid)

    told = ""
    try:
        swept(journal, cluster.address, progress=progress)
    except FastsmcError as error:
        told = str(error)
    assert not told or "connection to the scheduler is lost" in told, told
    return {"killed": len(killed), "told": int(bool(told)), "left": 0}


def one(part: str, journal: Path, cluster: Cluster | None, draw: random.Random) -> dict[str, int]:
    if cluster is None:
        return client_killed(journal, 2, draw) if part == "client" else worker_killed(journal, draw)
    if part == "dask-client":
        return client_killed(journal, cluster.address, draw)
    kill_part = cluster_worker_killed if part == "dask-worker" else scheduler_killed
    return kill_part(journal, cluster, draw)


def main(part: str, n: int, folder: Path) -> dict[str, int]:
    draw = random.Random(f"{part} {n}")
    whole = swept(folder / "whole.db", 1)
    found = {"rounds": 0}
    cluster = None
    try:
        for number in range(n):
            if part.startswith("dask") and (cluster is None or cluster.scheduler.poll() is not None):
                if cluster is not None:
                    cluster.end()
                cluster = Cluster(folder_of(folder, number))
            journal = folder / f"{number}.db"
            for key, value in one(part, journal, cluster, draw).items():
                found[key] = found.get(key, 0) + value
            again = swept(journal, 1)
            assert again == whole
            found["rounds"] += 1
    finally:
        if cluster is not None:
            cluster.end()
    return found


def folder_of(folder: Path, number: int) -> Path:
    new = folder / f"cluster-{number}"
    new.mkdir()
    return new


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
