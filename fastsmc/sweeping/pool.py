"""Workers on this machine: processes of this Python, each with a socket of its own, that end with the caller.

They are not `multiprocessing`'s: those import the caller's script once more, and outlive a caller that is killed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from fastsmc.errors import FastsmcError
from fastsmc.jit.threads import n_core
from fastsmc.sweeping.cell import failed
from fastsmc.sweeping.design import Design
from fastsmc.sweeping.record import Outcome
from fastsmc.sweeping.tasks import MOST_DEATHS, Queue, some_of
from fastsmc.sweeping.worker import outcome_of

_BATCH_S = 0.05
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from fastsmc.sweeping.worker import main; main({}, {})"
)


class _Worker:
    """One process, and the cells that it has: the first of them is the one that it computes.

    Args:
        design: all that the worker needs, as text. compiled_for: cells whose kernels it compiles before it is ready.
    """

    def __init__(self, design: str, compiled_for: list[int]) -> None:
        ours, theirs = socket.socketpair()
        path = json.dumps([os.path.abspath(part) if part else os.getcwd() for part in sys.path])  # noqa: PTH100, PTH109
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START.format(theirs.fileno(), os.getpid()), path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is the caller's, who ends the workers
            )
        except OSError as error:
            ours.close()
            msg = f"a worker cannot be started: {error.strerror or error}: give fewer workers"
            raise FastsmcError(msg) from error
        finally:
            theirs.close()
        self.connection = Connection(ours.detach())
        self.is_ready = False
        self.cells: list[int] = []
        with suppress(OSError):
            self.connection.send_bytes(design.encode())
            self.connection.send_bytes(json.dumps(compiled_for).encode())

    def ask(self, cells: list[int]) -> None:
        """Hands cells to the worker; one that has ended meanwhile is noticed when it is listened to."""
        self.cells += cells
        with suppress(OSError):
            self.connection.send_bytes(json.dumps(cells).encode())

    def heard(self) -> list[Outcome] | None:
        """The outcomes that have come; None once it has ended."""
        outcomes = []
        try:
            while self.connection.poll():
                message = self.connection.recv_bytes()
                if message:
                    outcomes.append(outcome_of(message))
                    self.cells.remove(outcomes[-1].cell)
                self.is_ready = True
        except (EOFError, OSError):
            return outcomes or None
        return outcomes

    def end(self) -> int:
        """Ends the process, whatever it does; returns how it ended."""
        self.connection.close()
        self.process.kill()
        return self.process.wait()


def pool(design: Design, cells: list[int], n_worker: int) -> Iterator[list[Outcome]]:
    """Computes cells in processes of this machine; they come in any order.

    Raises:
        FastsmcError: no worker can be started.
    """
    team = _Team(design.as_json(), some_of(cells), min(n_worker, len(cells)))
    queue = Queue(cells, batch_s=_BATCH_S, n_worker=team.size)
    n_left, n_unready = len(cells), 0
    try:
        while n_left:
            team.start_more()
            if team.has_compiled:
                _hand_out(queue, team.workers)
            outcomes: list[Outcome] = []
            heard = wait([worker.connection for worker in team.workers])
            for i, worker in enumerate(team.workers):
                found = worker.heard() if worker.connection in heard else []
                if found is None:
                    n_unready = 0 if worker.is_ready else n_unready + 1
                    outcomes += _ended(worker, queue, n_unready)
                    team.start_again(i)
                else:
                    outcomes += found
            queue.note_done(len(outcomes))
            n_left -= len(outcomes)
            if outcomes:
                yield outcomes
    finally:
        for worker in team.workers:
            worker.end()


class _Team:
    """The workers. The first compiles the kernels that all read then.

    Meanwhile the others start, as many at once as there are other cores. All at once they would take the core from the
    one that compiles, for as long as all their imports take: 8 workers on 2 cores were ready after 1.2 to 1.4 times
    what one takes.
    """

    def __init__(self, design: str, some: list[int], size: int) -> None:
        self.design, self.some, self.size = design, some, size
        self.workers: list[_Worker] = []

    @property
    def has_compiled(self) -> bool:
        """Whether the first worker has compiled what the others need."""
        return bool(self.workers) and self.workers[0].is_ready

    def start_more(self) -> None:
        """Starts as many workers as may start now."""
        if not self.workers:
            self.workers.append(_Worker(self.design, self.some))
        n_starting = sum(not worker.is_ready for worker in self.workers[1:])
        n_more = self.size - len(self.workers)
        if not self.has_compiled:
            n_more = min(n_more, max(n_core() - 1, 1) - n_starting)
        self.workers += (_Worker(self.design, []) for _ in range(n_more))

    def start_again(self, i: int) -> None:
        """Puts another in the place of one that has ended. It compiles nothing: that may be what ended the first."""
        self.workers[i] = _Worker(self.design, [])


def _hand_out(queue: Queue, workers: list[_Worker]) -> None:
    """Gives cells to all that have none, then a second batch in advance, as long as there is enough for everybody."""
    for worker in workers:
        if len(queue) and worker.is_ready and not worker.cells:
            worker.ask(queue.batch())
    for worker in workers:
        if len(queue) >= len(workers) and worker.is_ready and len(worker.cells) <= max(1, queue.size // 2):
            worker.ask(queue.batch())


def _ended(worker: _Worker, queue: Queue, n_unready: int) -> list[Outcome]:
    """Puts back the cells of a worker that has ended; one that several did not survive is a failed cell."""
    code = worker.end()
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    if n_unready >= MOST_DEATHS:
        msg = f"workers end before they are ready, {how}: give one worker, and it is this process"
        raise FastsmcError(msg)
    told = f"the worker that computed it ended {how}, {MOST_DEATHS} times: it may have had too little memory"
    return [failed(cell, told) for cell in queue.died(worker.cells)]
