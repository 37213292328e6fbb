"""Scenarios for comparisons with theory, what came out of them, and the checks every discipline and law has to pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.facts.smccc import FilterAction
from fastsmc.fleet.filters import FilterRange
from fastsmc.latency import Simulation
from fastsmc.results.histogram import Histogram, bucket_edges, bucket_of
from fastsmc.scenario import HostCores, Law, MixEntry, OnOff, Scenario, VmGroup, Workload
from fastsmc.scenario.profiles import FIGURES, load_profile
from tests.support.queue_formulas import Survival

F64 = NDArray[np.float64]

HANDLED_ID, FORWARDED_ID, DENIED_ID, EXIT_ID = 0x8000_0000, 0xC500_0000, 0xC500_0100, 0x8400_0008
FILTER = (
    FilterRange(FORWARDED_ID, 16, FilterAction.FWD_TO_USER),
    FilterRange(DENIED_ID, 16, FilterAction.DENY),
)
FORWARDED = (MixEntry("forwarded", FORWARDED_ID),)


def exponential(mean_ns: float) -> Law:
    return Law("exponential", mean_ns)


def fixed(mean_ns: float) -> Law:
    return Law("deterministic", mean_ns)


def scenario(
    kind: str,
    gap: Law,
    service: Law,
    *,
    count: int = 128,
    vcpus: int = 1,
    mix: tuple[MixEntry, ...] = FORWARDED,
    calls: int = 8000,
    warmup: int = 500,
    replicas: int = 32,
    lock: str = "vm",
    workers: int = 1,
    onoff: OnOff | None = None,
    host: HostCores | None = None,
    seed: int = 1,
    **costs_ns: float,
) -> Scenario:
    """So many groups that are alike, which give a standard error. Calls cost nothing in the kernel but `costs_ns`."""
    costs = dict.fromkeys(FIGURES, 0.0) | {f"{name}_ns": value for name, value in costs_ns.items()}
    profile = load_profile("neoverse-n1").with_overrides(costs, source="a test")
    workload = Workload("w", kind, mix, gap, onoff)  # type: ignore[arg-type]
    groups = tuple(
        VmGroup(f"g{i}", count, vcpus, "6.18", 4, 0, (), FILTER, workload, lock, workers, service)  # type: ignore[arg-type]
        for i in range(replicas)
    )
    return Scenario("test", seed, calls, warmup, profile, host, groups, "")


@dataclass(frozen=True, eq=False)
class Sample:
    """What some simulation found of calls that went to the VMM, in replicas that know nothing of each other.

    Attributes:
        busy_ns, window_ns: per replica, time its server was busy (of several, on average) and time in all.
    """

    waiting: list[Histogram]
    service: list[Histogram]
    response: list[Histogram]
    busy_ns: F64
    window_ns: F64

    @classmethod
    def of(cls, simulation: Simulation) -> Sample:
        times = [group.forwarded_times for group in simulation.groups]
        window = np.array([group.window_ns.sum() for group in simulation.groups])
        busy = np.array([(group.utilisation * group.window_ns).sum() for group in simulation.groups])
        return cls([t.waiting for t in times], [t.service for t in times], [t.response for t in times], busy, window)

    @classmethod
    def of_arrays(cls, runs: Iterable[tuple[F64, F64, float]]) -> Sample:
        """Of (waiting, service, time in all), a run each."""
        rows = [
            (Histogram.of(w), Histogram.of(s), Histogram.of(w + s), float(s.sum()), window) for w, s, window in runs
        ]
        waiting, service, response, busy, window = (list(column) for column in zip(*rows, strict=True))
        return cls(waiting, service, response, np.array(busy), np.array(window))


def near(name: str, values: Sequence[float] | F64, exact: float, *, sharp: float = 0.01) -> None:
    """The mean of replicas is within 3 standard errors of `exact`, and these are no more than `sharp` of it.

    So it is within 1 %, too, of where it should be: a sample too small to tell does not pass.
    """
    each = np.asarray(values, np.float64)
    mean, error = float(each.mean()), float(each.std(ddof=1) / np.sqrt(each.size))
    assert abs(mean - exact) <= 3 * error + 1e-9 * abs(exact), f"{name}: {mean:.6g} +- {error:.2g}, theory {exact:.6g}"
    assert 3 * error <= sharp * abs(exact), f"{name}: 3 standard errors are {3 * error / abs(exact):.2%} of {exact:.6g}"


def means(histograms: list[Histogram]) -> F64:
    return np.array([h.mean_ns for h in histograms])


def right_bucket(name: str, replicas: list[Histogram], share: float, survival: Survival, *, reach: int = 1) -> None:
    """The quantile lies in the bucket that theory says.

    One bucket further is accepted only where theory puts the quantile so near to the edge between the two that the
    sample cannot tell: the share beyond that edge is 1 - `share` within 3 standard errors.

    Args:
        reach: buckets further than the right one that a small sample may be.
    """
    whole = Histogram.merged(replicas)
    low, high = whole.bucket(share)
    beyond = 1 - share
    if survival(low) >= beyond > survival(high):
        return
    is_above = survival(high) >= beyond
    edge = high if is_above else low
    last = float(bucket_edges()[int(bucket_of([edge])[0]) + (reach if is_above else -reach)])
    text = f"{name} p{100 * share:g}: found in [{low:.6g}, {high:.6g}), theory has {survival(low):.3g} above {low:.6g}"
    assert (survival(last) >= beyond) != is_above, f"{text} and {survival(high):.3g} above {high:.6g}"
    found = np.array([h.share_above(np.nextafter(edge, 0)) for h in replicas])
    error = float(found.std(ddof=1) / np.sqrt(found.size))
    assert abs(survival(edge) - beyond) <= 3 * error, f"{text}; {found.mean():.4g} +- {error:.2g} above {edge:.6g}"


def conserved(simulation: Simulation) -> None:
    """What holds of any simulation: calls asked are calls counted, times add up, and Little's law."""
    span = simulation.scenario
    for group in simulation.groups:
        given = group.group.given
        assert (group.n_call == span.calls * given.vcpus).all()
        assert sum(kind.times.n_call for kind in group.kinds) == group.n_call.sum()
        assert group.forwarded.sum() == group.forwarded_times.n_call
        for times in (*(kind.times for kind in group.kinds), group.times):
            assert times.waiting.n == times.service.n == times.response.n
            total = times.waiting.total_ns + times.service.total_ns
            assert np.isclose(times.response.total_ns, total, rtol=1e-12, atol=0)
            assert times.response.max_ns <= (times.waiting.max_ns + times.service.max_ns) * (1 + 1e-12)
        # The sums per VM and those per kind of call are added up apart.
        assert np.isclose((group.mean_waiting_ns * group.n_call).sum(), group.times.waiting.total_ns, rtol=1e-9)
        assert np.isclose((group.mean_response_ns * group.n_call).sum(), group.times.response.total_ns, rtol=1e-9)
        assert np.allclose(group.queue_length, group.throughput_hz * 1e-9 * group.mean_waiting_ns, rtol=1e-12)


def checks_of_mm1(
    sample: Sample, rate: float, service: float, *, sharp: float = 0.01, reach: int = 1
) -> dict[str, Callable[[], Any]]:
    """All that an M/M/1 queue, first come first served, has to satisfy: each by its name."""
    load, drain = rate * service, 1 / service - rate
    waits, stays = (lambda t: load * np.exp(-drain * t)), (lambda t: np.exp(-drain * t))
    return {
        "waiting": lambda: near("waiting", means(sample.waiting), load / drain, sharp=sharp),
        "response": lambda: near("response", means(sample.response), 1 / drain, sharp=sharp),
        "service": lambda: near("service", means(sample.service), service, sharp=sharp),
        "utilisation": lambda: near("utilisation", sample.busy_ns / sample.window_ns, load, sharp=sharp),
        **{
            f"{what} p{100 * share:g}": lambda what=what, of=of, tail=tail, share=share: right_bucket(  # type: ignore[misc]
                what, of, share, tail, reach=reach
            )
            for what, of, tail in (("waiting", sample.waiting, waits), ("response", sample.response, stays))
            for share in (0.99, 0.999)
        },
    }


def failures(checks: dict[str, Callable[[], Any]]) -> dict[str, str]:
    """The names of the checks that fail, and what they say."""
    found = {}
    for name, check in checks.items():
        try:
            check()
        except AssertionError as error:
            found[name] = str(error)
    return found
