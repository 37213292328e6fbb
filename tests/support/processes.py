"""Processes of tests, as /proc shows them: whose children they are, and whether they are gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.places import ROOT


def _stat(pid: int) -> tuple[int, str] | None:
    """Parent and state of a process; None if there is none."""
    try:
        rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(rest[1]), rest[0]


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that these started."""
    everyone = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    parents = {one: found[0] for one in everyone if (found := _stat(one)) is not None}
    family = [pid]
    for one in family:
        family += [child for child, parent in parents.items() if parent == one]
    return family[1:]


def alive(pids: list[int]) -> list[int]:
    """Which of some processes run; one that has ended and that nobody has waited for does not."""
    return [pid for pid in pids if (found := _stat(pid)) is not None and found[1] != "Z"]


def left_after(pids: list[int], seconds: float) -> list[int]:
    """Which of some processes still run after so many seconds, or none as soon as none does."""
    end = time.monotonic() + seconds
    while (left := alive(pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def kill(pid: int) -> None:
    """Ends a process as the kernel does where memory is short."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Cluster:
    """A Dask cluster on loopback, each part a process of its own, as docs/cluster.md starts them."""

    def __init__(self, folder: Path, *, n_worker: int = 2, environment: dict[str, str] | None = None) -> None:
        self._environment = {**os.environ, **(environment or {}), "PYTHONPATH": str(ROOT)}
        self._folder = folder
        self._place = folder / "scheduler.json"
        options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(self._place))
        self.scheduler = self._started("scheduler", *options)
        while not self._place.exists():
            assert self.scheduler.poll() is None, (folder / "dask.log").read_text()
            time.sleep(0.05)
        while not (text := self._place.read_text()).rstrip().endswith("}"):
            time.sleep(0.05)
        import json

        self.address: str = json.loads(text)["address"]
        self.workers = [self.worker() for _ in range(n_worker)]

    def _started(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        with (self._folder / "dask.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", what, *options],
                stdout=log, stderr=log, env=self._environment, cwd=self._folder, process_group=0,
            )  # fmt: skip

    def worker(self) -> subprocess.Popen[bytes]:
        """Starts a worker, with the nanny that would start it again."""
        return self._started("worker", self.address, "--nthreads", "1", "--no-dashboard")

    def kill_worker(self, number: int) -> None:
        """Kills a worker and its nanny."""
        nanny = self.workers[number]
        for pid in [nanny.pid, *descendants(nanny.pid)]:
            kill(pid)
        nanny.wait()

    def end(self) -> None:
        """Ends all of it."""
        for process in (*self.workers, self.scheduler):
            for pid in [process.pid, *descendants(process.pid)]:
                kill(pid)
            process.wait()


@contextlib.contextmanager
def cluster(folder: Path, **options: int) -> Iterator[Cluster]:
    """A cluster that is gone at the end."""
    found = Cluster(folder, **options)  # type: ignore[arg-type]
    try:
        yield found
    finally:
        found.end()
