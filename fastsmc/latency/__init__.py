"""What a guest waits for its hypercalls when many call at once: a queueing simulation, modelled from a cost profile.

A call that stays in the kernel takes the profile's time on its vCPU and waits for nobody. A call that is forwarded, or
that ends in an exit to the VMM, takes the round trip, and in the VMM it is served under one lock per VM, by one of k
workers, or by its own thread, first come first served. docs/latency.md has the model and what it leaves out.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from fastsmc.errors import InputError
from fastsmc.latency.group import Group, group_of
from fastsmc.latency.outcome import CallKind, GroupOutcome, Simulation, Times, outcome_of
from fastsmc.latency.run import Counts, Span, Sums, parts_of, run_part
from fastsmc.latency.stable import check_stable
from fastsmc.parts import n_core
from fastsmc.scenario import Scenario

__all__ = ["CallKind", "GroupOutcome", "Simulation", "Times", "simulate"]

Progress = Callable[[str, int, int], None]


def simulate(
    scenario: Scenario | str | os.PathLike[str],
    *,
    threads: int = 1,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Simulation:
    """Simulates a scenario: service, waiting and response times, utilisation, queue length, throughput.

    Args:
        scenario: one that is loaded, or the path of its TOML file.
        threads: the outcome is the same to the byte for any number.
        progress: called with (group, parts done, parts in all), in the caller's thread.
        stop: asked between chunks of work; once it says True the run ends, with what it has.

    Raises:
        InputError: a scenario with problems, an open workload that has no steady state, or no thread.

    Cost: 5 to 10 ns a call where many VMs are alike and of few vCPUs, 50 to 150 ns where they are not; memory does not
    grow with the number of calls.
    """
    if not isinstance(scenario, Scenario):
        scenario = Scenario.load(scenario)
    asked: object = threads
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        msg = f"threads is {threads!r}: it must be a whole number from 1 up"
        raise InputError(msg)
    groups = [group_of(scenario, given) for given in scenario.groups]
    check_stable(scenario, groups)
    work = _Work(scenario, groups, progress, stop)
    n_thread = min(threads, n_core(), len(work.left)) or 1
    with ThreadPoolExecutor(n_thread, thread_name_prefix="fastsmc") as pool:
        others = [pool.submit(work.take, shows=False) for _ in range(n_thread - 1)]
        try:
            counts = [work.take(shows=True)]
        finally:
            work.left.clear()
        counts += [other.result() for other in others]
    outcomes = [
        outcome_of(group, work.sums[g], [one[g] for one in counts if g in one] or [Counts(group)])
        for g, group in enumerate(groups)
    ]
    return Simulation(scenario, tuple(outcomes), work.is_partial, n_thread)


class _Work:
    """The parts of all groups, taken by whichever thread is free."""

    def __init__(
        self, scenario: Scenario, groups: list[Group], progress: Progress | None, stop: Callable[[], bool]
    ) -> None:
        self.groups, self.progress, self.stop = groups, progress, stop
        self.sums = [Sums.of(group) for group in groups]
        self.left = deque((g, part) for g, group in enumerate(groups) for part in parts_of(group))
        self.n_part, self.n_done, self.is_partial = len(self.left), 0, False
        self.spans, first = [], 0
        for group in groups:
            self.spans.append(Span(scenario.warmup, scenario.calls, scenario.seed, first))
            first += group.given.count * group.given.vcpus

    def take(self, *, shows: bool) -> dict[int, Counts]:
        """Does parts until none is left; counts by group."""
        counts: dict[int, Counts] = {}
        uncounted: dict[int, Counts] = {}
        while not self.is_partial:
            try:
                g, part = self.left.popleft()
            except IndexError:
                break
            group = self.groups[g]
            if g not in counts:
                counts[g], uncounted[g] = Counts(group), Counts(group)
            if not run_part(group, part, self.spans[g], self.sums[g], counts[g], uncounted[g], self.stop):
                self.is_partial = True
            self.n_done += 1
            if shows and self.progress is not None:
                self.progress(group.given.name, self.n_done, self.n_part)
        return counts
