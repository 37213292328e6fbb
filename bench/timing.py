"""Contestants timed by turns, so that whatever disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_S = 0.005
"""A sample repeats its contestant until it lasts about so long."""
LONG_S = 0.02
"""A run of so long is not warmed: what the ones before it left behind is over after a few milliseconds of it."""

Times = Mapping[str, NDArray[np.float64]]
"""ns per call of each contestant: float64[n_round], the same rounds for all."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something that answers `n_call` calls each time it is run."""

    run: Callable[[], object]
    n_call: int


def interleave(
    contestants: Mapping[str, Contestant],
    *,
    budget_s: float,
    least: int = 5,
    most: int = 41,
    clock: Callable[[], int] = time.process_time_ns,
    seed: int = 0,
) -> Times:
    """Rounds of all contestants, each round in a new random order, until the budget is used.

    A sample begins with as many runs that are not timed. Without them, who came before would decide: after tens of
    milliseconds of other loops the first runs over 10 MB take twice as long, and such runs are a larger part of a
    sample that has fewer of them.

    Args:
        least, most: bounds of the number of rounds; `least` are run whatever the budget.
        clock: CPU time of this process by default. On a machine shared with others, wall time would charge long
            samples, which are the slow contestants', for their turns, and spare the short ones.
    """
    repeats = {name: _repeats(one, clock) for name, one in contestants.items()}
    order = list(contestants)
    rng = np.random.default_rng(seed)
    times: dict[str, list[float]] = {name: [] for name in order}
    end = time.perf_counter() + budget_s
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for done in range(most):
            if done >= least and time.perf_counter() > end:
                break
            for i in rng.permutation(len(order)):
                one, (n_warm, n) = contestants[order[i]], repeats[order[i]]
                for _ in range(n_warm):
                    one.run()
                start = clock()
                for _ in range(n):
                    one.run()
                times[order[i]].append((clock() - start) / (n * one.n_call))
    finally:
        if was_enabled:
            gc.enable()
    return {name: np.array(of_one) for name, of_one in times.items()}


def _repeats(one: Contestant, clock: Callable[[], int]) -> tuple[int, int]:
    """How often to run it in a sample, not timed and then timed, by the shortest run of two samples' time.

    The first runs do not tell: the contestant that is asked first would get fewer than the others.
    """
    best, began, now = math.inf, clock(), 0
    while now < began + 2e9 * SAMPLE_S:
        start = clock()
        one.run()
        now = clock()
        best = min(best, now - start)
    n = max(1, min(10_000, round(SAMPLE_S * 1e9 / max(best, 1))))
    return n if best < LONG_S * 1e9 else 0, n


def ratio(times: Times, other: str, ours: str = "ours") -> float:
    """Median over rounds of the other's time over ours: above 1, we are faster."""
    return float(np.median(times[other] / times[ours]))


def spread(values: NDArray[np.float64]) -> float:
    """Interquartile range over median."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float((high - low) / middle)
