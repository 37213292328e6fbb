"""`smc.sweep` and `smc.open_sweep`: a design is run by an engine, and its journal is written as cells come."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any, Literal, cast

from fastsmc.checks import shown, whole, word_of
from fastsmc.errors import InputError
from fastsmc.jit.compiled import sources_digest
from fastsmc.jit.threads import n_core
from fastsmc.progress import Progress, silent
from fastsmc.sweeping.design import Design, Where, design_of
from fastsmc.sweeping.journal import Journal
from fastsmc.sweeping.record import Outcome
from fastsmc.sweeping.result import Sweep
from fastsmc.sweeping.tasks import here
from fastsmc.sweeping.text import told

MOST_WORKERS = 1024
OnError = Literal["keep", "raise"]


def sweep(
    subject: str | os.PathLike[str] | Mapping[str, Any],
    *,
    over: Mapping[str, Any],
    where: Where = None,
    repeats: int = 1,
    seed: int | None = None,
    measure: object = None,
    to: str | os.PathLike[str] | None = None,
    run_on: Any = "processes",
    on_error: OnError = "keep",
    progress: Progress = silent,
) -> Sweep:
    """Simulates a scenario, or asks a planner's question, over a grid of values, on all cores or on a cluster.

    What is in the journal is not redone.

    Every point has the same repeats with the same seeds, so designs meet the same random numbers, and what differs
    between them is the designs' doing. What comes out does not depend on where or in which order cells run.

    Args:
        subject: the path of a TOML file, or its table: a scenario; or a question, which has its name at `question` and
            the keywords of the function of `smc.plan` beside it. docs/sweeps.md has the few that are otherwise.
        over: values by override path, as messages about scenarios show it: {"vms[0].vcpus": [64, 256, 1024]}.
        where: which points are kept: a condition over the paths, "vms[0].vcpus * calls < 10000", or a function of a
            point's coordinates; None: all.
        repeats: of each point, where random numbers are drawn. seed: of the first repeat; None: that of the file.
        measure: names of numbers to keep, such as "response_p99_ns", "web.utilisation_mean" of a group, "drain_p90_s"
            of a question; None: those that docs/sweeps.md names.
        to: the journal's file; one that is there is gone on with, failed cells included. None: memory.
        run_on: "processes", one per core; a number of processes, of which 1 is this one; "tcp://HOST:PORT" of a Dask
            scheduler, or a `distributed.Client`.
        on_error: keep: a cell that fails is kept with what was wrong. raise: the first one ends the sweep.
        progress: called with (a cell's coordinates, cells done, cells in all).

    Raises:
        InputError: what is wrong with one of these, before anything runs; a journal of another sweep; a cell that
            failed, with on_error="raise".
        FastsmcError: the cluster is gone. ResultFileError: the journal cannot be written. What was committed stays.

    >>> vms = [{"vcpus": 4, "workload": "w"}]
    >>> think = {"law": "exponential", "mean_us": 20}
    >>> workloads = {"w": {"kind": "closed", "think": think, "mix": {"PTP": 1.0}}}
    >>> sweep({"vms": vms, "workloads": workloads}, over={"vms[0].vcpus": [1, 2]}, repeats=3, run_on=1)
    <Sweep of scenario: 6 cells, 6 done, 0 failed, 0 left (modelled)>
    >>> question = {"question": "largest_shape", "registers": "7.3", "link": "25G"}
    >>> sweep(question, over={"downtime_ms": [100, 300]}, run_on=1).dataset["n_vcpu"].values.ravel().tolist()
    [131.0, 394.0]
    """
    word_of("on_error", on_error, ("keep", "raise"))
    _check_engine(run_on)
    design = design_of(subject, over, where=where, repeats=repeats, seed=seed, measure=measure)
    return _swept(Journal.to_write(to, design), run_on, on_error, progress)


def open_sweep(path: str | os.PathLike[str]) -> Sweep:
    """The sweep in a journal, as far as it is; another process may be at it.

    Raises:
        ResultFileError: there is no such journal, or it is damaged.
    """
    return Sweep(Journal.to_read(path))


def resumed(path: str | os.PathLike[str], *, run_on: Any, on_error: OnError, progress: Progress) -> Sweep:
    """Goes on with the sweep in a journal; `Sweep.resume` has more."""
    word_of("on_error", on_error, ("keep", "raise"))
    _check_engine(run_on)
    with closing(Journal.to_read(path)) as found:
        design = found.design
    now = replace(design, sources=sources_digest())  # where other sources began it, that is what differs
    return _swept(Journal.to_write(path, now), run_on, on_error, progress)


def _swept(journal: Journal, run_on: Any, on_error: OnError, progress: Progress) -> Sweep:
    """Computes what is left of a journal's sweep."""
    design = journal.design
    try:
        done = set(journal.cells(done=True))
        cells = [cell for cell in design.grid.cells.tolist() if cell not in done]
        n_done, n_all = len(done), len(done) + len(cells)
        progress(design.name, n_done, n_all)
        if cells:
            with closing(cast(Any, _engine(design, cells, run_on))) as engine:
                for outcomes in engine:
                    journal.add(outcomes)
                    n_done += len(outcomes)
                    progress(told(design.grid.coordinates(outcomes[-1].cell)), n_done, n_all)
                    if on_error == "raise":
                        _raise_first(design, outcomes)
    except BaseException:
        journal.close()
        raise
    if journal.path is not None:
        journal.close()
        journal = Journal.to_read(journal.path)
    return Sweep(journal, computed=len(cells), reused=len(done))


def _check_engine(run_on: object) -> None:
    """Refuses what is no engine before a journal is made."""
    if isinstance(run_on, str) and run_on != "processes" and "://" not in run_on:
        msg = f"run_on is {shown(run_on)}: give 'processes', a number of processes, tcp://HOST:PORT or a Client"
        raise InputError(msg)
    if isinstance(run_on, int | float):
        whole("run_on", run_on, first=1, last=MOST_WORKERS, remark="a number of processes")


def _engine(design: Design, cells: list[int], run_on: Any) -> Iterator[list[Outcome]]:
    if run_on == "processes":
        run_on = n_core()
    if not isinstance(run_on, int):
        from fastsmc.sweeping.cluster import cluster

        return cluster(design, cells, run_on)
    if run_on == 1:
        return here(design, cells)
    from fastsmc.sweeping.pool import pool

    return pool(design, cells, run_on)


def _raise_first(design: Design, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if not outcome.is_done:
            msg = f"{told(design.grid.coordinates(outcome.cell))}: {outcome.content.decode(errors='replace')}"
            raise InputError(msg)
