"""How long dispatch takes, measured: the wall clock of this process on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsmc.calls.grouped import AnyCalls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.jit.first import take_kernels_at_once
from fastsmc.vm import Fleet


@dataclass(frozen=True, slots=True)
class DispatchTime:
    """Measured time of verdicts, one core, this machine.

    Attributes:
        ns_per_call: float64[n_repeat], each repeat's mean over its calls.
    """

    n_call: int
    ns_per_call: NDArray[np.float64]

    @property
    def median_ns_per_call(self) -> float:
        return float(np.median(self.ns_per_call))

    @property
    def calls_per_s(self) -> float:
        return 1e9 / self.median_ns_per_call


def measure_dispatch(fleet: Fleet, calls: AnyCalls, *, repeats: int = 7) -> DispatchTime:
    """Times `verdicts` of a whole batch, after one untimed call that compiles and warms.

    A batch replayed unchanged flatters the branch predictor; give a long or a random one, and say which.
    """
    take_kernels_at_once()
    out = verdicts(fleet, calls, threads=1)
    times = np.empty(repeats)
    for r in range(repeats):
        start = time.perf_counter_ns()
        verdicts(fleet, calls, out, threads=1)
        times[r] = (time.perf_counter_ns() - start) / max(len(calls), 1)
    return DispatchTime(len(calls), times)


@dataclass(frozen=True, slots=True)
class DispatchRatio:
    """Measured time per call of one fleet over another's, round by round in one run.

    Attributes:
        ratio: float64[n_round]; above 1 the second fleet is slower.
        first, second: the times themselves, good for this machine and minute only.
    """

    ratio: NDArray[np.float64]
    first: DispatchTime
    second: DispatchTime

    def __str__(self) -> str:
        low, middle, high = np.quantile(self.ratio, [0.25, 0.5, 0.75])
        return f"{middle:.2f}x (middle half of rounds {low:.2f} to {high:.2f}, measured)"


def compare_dispatch(first: Fleet, second: Fleet, calls: AnyCalls, *, rounds: int = 21) -> DispatchRatio:
    """Times the same calls on two fleets by turns, so that a noisy machine disturbs both alike."""
    take_kernels_at_once()
    out = verdicts(first, calls, threads=1)
    verdicts(second, calls, out, threads=1)
    times = np.empty((rounds, 2))
    for r in range(rounds):
        for which in (0, 1) if r % 2 else (1, 0):
            start = time.perf_counter_ns()
            verdicts((first, second)[which], calls, out, threads=1)
            times[r, which] = (time.perf_counter_ns() - start) / max(len(calls), 1)
    return DispatchRatio(
        times[:, 1] / times[:, 0], DispatchTime(len(calls), times[:, 0]), DispatchTime(len(calls), times[:, 1])
    )


@dataclass(frozen=True, slots=True)
class BatchLatency:
    """Measured time of one batch in which every vCPU makes one call, through the public function.

    Attributes:
        ns: float64[n_batch], each batch's wall time.
    """

    n_vcpu: int
    ns: NDArray[np.float64]

    def quantile_ns(self, q: float) -> float:
        return float(np.quantile(self.ns, q, method="higher"))

    def summary(self) -> dict[str, float]:
        """p50, p99, p99.9 and max in ns, of single batches; nothing is averaged."""
        return {
            "p50_ns": self.quantile_ns(0.5),
            "p99_ns": self.quantile_ns(0.99),
            "p99.9_ns": self.quantile_ns(0.999),
            "max_ns": float(self.ns.max()),
        }


def measure_batches(fleet: Fleet, batches: Sequence[AnyCalls], *, n_batch: int = 5000) -> BatchLatency:
    """Times batches one by one, taking turns through the list so that no branch predictor learns one of them."""
    take_kernels_at_once()
    for batch in batches:
        verdicts(fleet, batch)
    times = np.empty(n_batch)
    for i in range(n_batch):
        batch = batches[i % len(batches)]
        start = time.perf_counter_ns()
        verdicts(fleet, batch)
        times[i] = time.perf_counter_ns() - start
    return BatchLatency(fleet.n_vcpu, times)
