"""What a guest waits for its hypercalls when many call at once: a queueing simulation, modelled from a cost profile.

A call that stays in the kernel takes the profile's time on its vCPU and waits for nobody. A call that is forwarded, or
that ends in an exit to the VMM, takes the round trip, and in the VMM it is served under one lock per VM, by one of k
workers, or by its own thread, first come first served. docs/latency.md has the model and what it leaves out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial

from fastsmc.checks import whole
from fastsmc.errors import InputError
from fastsmc.jit.threads import n_core, share
from fastsmc.latency import memory
from fastsmc.latency.group import Group, group_of
from fastsmc.latency.outcome import CallKind, GroupOutcome, outcome_of
from fastsmc.latency.overcommit import find_runnable
from fastsmc.latency.run import Counts, Quota, Sums, n_chunk, parts_of, run_part
from fastsmc.latency.saving import saved_times
from fastsmc.latency.simulation import Simulation
from fastsmc.latency.stable import check_stable
from fastsmc.latency.times import Times
from fastsmc.progress import Progress
from fastsmc.scenario import Scenario

__all__ = ["CallKind", "GroupOutcome", "Simulation", "Times", "saved_times", "simulate"]

MOST_THREADS = 1 << 16
"""Asking for more threads is a slip of the pen. A run uses no more threads than the process has cores."""


def simulate(
    scenario: Scenario | str | os.PathLike[str],
    *,
    seed: int | None = None,
    calls: int | None = None,
    profile: str | None = None,
    force: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Simulation:
    """Simulates a scenario: service, waiting and response times, utilisation, queue length, throughput.

    Args:
        scenario: one that is loaded, or the path of its TOML file.
        seed, calls, profile: take the place of what the file says, as for `Scenario.load`; only beside a path.
        force: take a profile that was measured on an emulated host too; only beside a path.
        threads: the outcome is the same to the byte for any number.
        progress: called with (group, chunks of work done, chunks in all), in the caller's thread.
        stop: asked between chunks of work; once it says True the run ends, with what it has.

    Raises:
        InputError: a scenario with problems, an open workload that has no steady state, more memory than there is, no
            thread, or a seed, calls, a profile or force beside a scenario that is loaded.

    Cost: 5 to 10 ns a call where many VMs are alike and of few vCPUs, 50 to 150 ns where they are not; memory does not
    grow with the number of calls.
    """
    if not isinstance(scenario, Scenario):
        scenario = Scenario.load(scenario, seed=seed, calls=calls, profile=profile, force=force)
    elif (seed, calls, profile, force) != (None, None, None, False):
        msg = f"scenario {scenario.name!r} is loaded: give seed, calls, profile and force to Scenario.load"
        raise InputError(msg)
    whole("threads", threads, first=1, last=MOST_THREADS)
    groups = [group_of(scenario, given) for given in scenario.groups]
    memory.check(scenario, groups, threads)
    check_stable(scenario, groups)
    runnable = find_runnable(scenario, groups)
    if runnable is not None:
        check_stable(scenario, groups, overcommitted=True)
    work = _Work(scenario, groups, progress, stop)
    n_thread = min(threads, n_core(), len(work.parts)) or 1
    counts = share(work.take, work.parts, n_thread)
    outcomes = [
        outcome_of(group, work.sums[g], [one[g] for one in counts if g in one] or [Counts(group)])
        for g, group in enumerate(groups)
    ]
    return Simulation(scenario, tuple(outcomes), work.is_partial, n_thread, runnable)


class _Work:
    """The parts of all groups, and what the threads that share them have done. The caller's thread shows progress."""

    def __init__(
        self, scenario: Scenario, groups: list[Group], progress: Progress | None, stop: Callable[[], bool]
    ) -> None:
        self.groups, self.progress, self.stop = groups, progress, stop
        self.sums = [Sums.of(group) for group in groups]
        self.parts = [(g, part) for g, group in enumerate(groups) for part in parts_of(group)]
        self.caller = threading.current_thread()
        self.n_done, self.is_partial = 0, False
        self.quotas, first = [], 0
        for group in groups:
            self.quotas.append(Quota(scenario.warmup, scenario.calls, scenario.seed, first))
            first += group.given.count * group.given.vcpus
        self.n_chunk = sum(n_chunk(groups[g], part, self.quotas[g]) for g, part in self.parts)

    def _stop_or_show(self, name: str) -> bool:
        """Asked before each chunk. Threads may miss one another's counts: they are for the eye only."""
        if self.progress is not None and threading.current_thread() is self.caller:
            self.progress(name, self.n_done, self.n_chunk)
        self.n_done += 1
        return self.stop()

    def take(self, parts: Iterator[tuple[int, slice]]) -> dict[int, Counts]:
        """Simulates the parts that this thread gets; returns its counts by group."""
        counts: dict[int, Counts] = {}
        uncounted: dict[int, Counts] = {}
        for g, part in parts:
            group = self.groups[g]
            if g not in counts:
                counts[g], uncounted[g] = Counts(group), Counts(group)
            stop = partial(self._stop_or_show, group.given.name)
            if not run_part(group, part, self.quotas[g], self.sums[g], counts[g], uncounted[g], stop):
                self.is_partial = True
            if self.is_partial:
                break
        return counts
