"""Workers of a Dask cluster: it computes and never holds the truth, which is the journal that the caller writes.

A task is the name of a function of ours, a design's parts as text, and numbers of cells. Workers must have the same
sources of fastsmc as the caller; each task compares them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

from fastsmc.checks import shown
from fastsmc.errors import FastsmcError, InputError
from fastsmc.jit.compiled import sources_digest
from fastsmc.sweeping.cell import failed, prepared
from fastsmc.sweeping.design import Design
from fastsmc.sweeping.record import Outcome
from fastsmc.sweeping.tasks import Queue, some_of

_BATCH_S = 0.5
"""A task costs the scheduler 1 to 3 ms, a cell takes some 10."""
_CONNECT_S, _LOOK_S, _NO_WORKER_S = 10.0, 1.0, 60.0
_AHEAD = 2
_LOUD = ("distributed", "distributed.client", "distributed.core", "distributed.comm", "tornado.application", "asyncio")
Told = tuple[str, list[tuple[int, bool, bytes]]]
"""What a task returns: the digest of the worker's sources, and outcomes, none where it is not the caller's."""


def hold(text: str) -> str:
    """A task that has a design's parts, for other tasks to take from the worker that has them."""
    return text


def compute(text: str, cells: list[int], sources: str) -> Told:
    """A task: outcomes of some cells, as data."""
    if sources != sources_digest():
        return sources_digest(), []
    ready = prepared(tuple(json.loads(text).items()))
    outcomes = [ready.outcome(cell) for cell in cells]
    return sources, [(one.cell, one.is_done, one.content) for one in outcomes]


def compile_for(text: str, cells: list[int], sources: str) -> Told:
    """A task that runs on one worker of each host before others have work: the others find what it compiled."""
    if sources == sources_digest():
        ready = prepared(tuple(json.loads(text).items()))
        for cell in cells:
            ready.warm_up(cell)
    return sources_digest(), []


def cluster(design: Design, cells: list[int], run_on: Any) -> Iterator[list[Outcome]]:
    """Computes cells on a cluster; they come in any order.

    Args:
        run_on: address of its scheduler, or a `distributed.Client`, which stays open.

    Raises:
        FastsmcError: there is no such cluster, it has no worker, one has other sources, or the connection is lost.
    """
    kind = _client_class()  # first, as importing it sets the levels of its loggers
    with _quiet(), _connected(run_on, kind) as client:
        yield from _Run(client, design, cells).outcomes()


@contextmanager
def _quiet() -> Iterator[None]:
    """What Dask logs of a lost connection, in many lines, is told in a sentence."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _client_class() -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        msg = f"a cluster needs Dask, which is not installed ({error}): pip install 'fastsmc[dask]'"
        raise InputError(msg) from error
    return Client


@contextmanager
def _connected(run_on: Any, kind: Any) -> Iterator[Any]:
    if isinstance(run_on, kind):
        yield run_on
        return
    if not isinstance(run_on, str):
        msg = f"run_on is {shown(run_on)}: give 'processes', a number of processes, tcp://HOST:PORT or a Client"
        raise InputError(msg)
    try:
        client = kind(run_on, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        msg = f"{run_on}: no scheduler answers ({shown(str(error))}): start one (docs/cluster.md), or give its address"
        raise InputError(msg) from error
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=2)


class _Run:
    """One sweep on a cluster: tasks that are under way, and cells that wait."""

    def __init__(self, client: Any, design: Design, cells: list[int]) -> None:
        self.client, self.design = client, design
        self.where = getattr(client.scheduler, "address", "the cluster")
        self.cells, self.sources = cells, design.sources
        self.pending: dict[Any, list[int]] = {}
        self.done: SimpleQueue[Any] = SimpleQueue()
        self.single: list[int] = []
        self.seen_worker = time.monotonic()

    def outcomes(self) -> Iterator[list[Outcome]]:
        """The outcomes of all cells, as they come."""
        workers = self._workers(wait_s=_NO_WORKER_S)
        n_thread = sum(int(worker["nthreads"]) for worker in workers.values())
        queue = Queue(self.cells, batch_s=_BATCH_S, n_worker=n_thread)
        with self._told():
            self.text = self.client.submit(hold, self.design.as_json(), pure=False)
            self._compile(workers)
        try:
            while queue or self.single or self.pending:
                with self._told():
                    self._submit(queue, n_thread)
                found = self._heard()
                queue.note_done(len(found))
                if found:
                    yield found
        finally:
            with suppress(Exception):
                self.client.cancel(list(self.pending), force=True)

    def _compile(self, workers: dict[str, Any]) -> None:
        """One worker of each host compiles first; says which worker has other sources, if one has."""
        hosts = {worker["host"]: address for address, worker in workers.items()}
        some = some_of(self.cells)
        tasks = {
            address: self.client.submit(compile_for, self.text, some, self.sources, workers=[address], pure=False)
            for address in hosts.values()
        }
        for address, task in tasks.items():
            try:
                self._require_same(task.result()[0], address)
            except FastsmcError:
                raise
            except Exception as error:
                raise self._cannot(error) from error

    def _submit(self, queue: Queue, n_thread: int) -> None:
        while len(self.pending) < _AHEAD * n_thread and (self.single or queue):
            batch = [self.single.pop()] if self.single else queue.batch()
            task = self.client.submit(compute, self.text, batch, self.sources, pure=False)
            self.pending[task] = batch
            task.add_done_callback(self.done.put)

    def _heard(self) -> list[Outcome]:
        """What has come within a second; what is wrong with the cluster is said."""
        tasks = []
        with suppress(Empty):
            tasks.append(self.done.get(timeout=_LOOK_S))
            while True:
                tasks.append(self.done.get_nowait())
        if not tasks:
            self._require_workers()
        return [outcome for task in tasks for outcome in self._taken(task)]

    def _taken(self, task: Any) -> list[Outcome]:
        from distributed.scheduler import KilledWorker

        batch = self.pending.pop(task, [])
        if task.status == "finished":
            try:
                sources, rows = task.result(timeout=_CONNECT_S)
            except Exception as error:  # the connection may be lost between the two
                raise self._lost(error) from error
            self._require_same(sources, "a worker")
            return [Outcome(*row) for row in rows]
        if task.status != "error":
            raise self._lost()
        failure = task.exception()
        if isinstance(failure, KilledWorker):
            if len(batch) == 1:
                return [failed(batch[0], "the workers that computed it ended: they may have had too little memory")]
            self.single += batch
            return []
        raise self._cannot(failure)

    def _workers(self, *, wait_s: float) -> dict[str, Any]:
        """The workers of the cluster, waited for if there is none yet."""
        end = time.monotonic() + wait_s
        while True:
            with self._told():
                found: dict[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
            if found or time.monotonic() > end:
                break
            time.sleep(0.2)
        if not found:
            msg = f"{self.where}: the scheduler has no worker: start one (docs/cluster.md), and resume"
            raise InputError(msg)
        return found

    def _require_workers(self) -> None:
        with self._told():
            if self.client.scheduler_info(n_workers=-1)["workers"]:
                self.seen_worker = time.monotonic()
        if time.monotonic() - self.seen_worker > _NO_WORKER_S:
            self._workers(wait_s=0)

    def _require_same(self, sources: str, who: str) -> None:
        if sources != self.sources:
            msg = (
                f"{self.where}: {who} runs other sources of fastsmc ({sources}, here {self.sources}):"
                " install the same version on both"
            )
            raise InputError(msg)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Makes a sentence of what Dask raises once the connection is lost."""
        try:
            yield
        except FastsmcError:
            raise
        except Exception as error:
            raise self._lost(error) from error

    def _lost(self, error: BaseException | None = None) -> FastsmcError:
        how = f" ({type(error).__name__})" if error is not None else ""
        return FastsmcError(
            f"{self.where}: the connection to the scheduler is lost{how}; what was computed is in the journal:"
            " resume once a scheduler is there"
        )

    def _cannot(self, error: Any) -> FastsmcError:
        return FastsmcError(
            f"{self.where}: a worker cannot run the sweep ({type(error).__name__}: {shown(str(error))}):"
            " install the same version of fastsmc on each"
        )
