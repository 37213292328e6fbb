"""Closed workloads against the machine repairman (M/M/1//N), and against SimPy on a mix of three kinds of call."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import simpy

from fastsmc.errors import InputError
from fastsmc.latency import Simulation, simulate
from fastsmc.results.histogram import Histogram
from fastsmc.scenario import MixEntry
from tests.support.queue_checks import (
    DENIED_ID,
    FORWARDED,
    FORWARDED_ID,
    HANDLED_ID,
    Sample,
    conserved,
    exponential,
    fixed,
    means,
    near,
    right_bucket,
    scenario,
)
from tests.support.queue_formulas import repairman, repairman_tail

THINK, SERVICE = 20_000.0, 5000.0
MIX = (
    MixEntry("denied", DENIED_ID, share=0.2),
    MixEntry("handled", HANDLED_ID, share=0.4),
    MixEntry("forwarded", FORWARDED_ID, share=0.4),
)


def rates(simulation: Simulation) -> np.ndarray:
    """Calls per ns of a VM, by replica."""
    groups = simulation.groups
    return np.array([group.n_call.sum() / group.window_ns.sum() for group in groups])


@pytest.mark.parametrize(
    ("n", "count", "calls", "replicas", "is_lanes"),
    [
        (1, 128, 500, 32, True),
        (2, 128, 3000, 32, True),
        (4, 128, 1500, 32, True),
        (4, 7, 6000, 32, False),
        (64, 32, 300, 16, True),
        (64, 8, 600, 16, False),
        (1024, 2, 200, 16, False),
    ],
)
def test_machine_repairman(n: int, count: int, calls: int, replicas: int, is_lanes: bool) -> None:
    think = THINK if n <= 4 else n * SERVICE / 0.85
    given = scenario(
        "closed", exponential(think), exponential(SERVICE), vcpus=n, count=count, calls=calls, warmup=calls // 10,
        replicas=replicas,
    )  # fmt: skip
    simulation = simulate(given)
    assert simulation.groups[0].group.is_lanes == is_lanes
    conserved(simulation)
    sample = Sample.of(simulation)
    rate, wait = repairman(n, think, SERVICE)
    near("rate", rates(simulation), rate)
    near("utilisation", sample.busy_ns / sample.window_ns, rate * SERVICE)
    if n == 1:
        assert max(h.max_ns for h in sample.waiting) == 0
        return
    near("waiting", means(sample.waiting), wait, sharp=0.01 if n < 1024 else 0.03)
    if n > 64:
        return
    for share in (0.99, 0.999):
        right_bucket("waiting", sample.waiting, share, repairman_tail(n, think, SERVICE, waiting=True))
        right_bucket("response", sample.response, share, repairman_tail(n, think, SERVICE, waiting=False))


def test_every_vcpu_is_thinking_waiting_or_served() -> None:
    n = 16
    simulation = simulate(scenario("closed", exponential(THINK), fixed(SERVICE), vcpus=n, calls=200, round_trip=1600.0))
    conserved(simulation)
    # Little's law for all vCPUs of a VM, and for the server alone: neither is how the outcome was made.
    in_system = [
        r * (THINK + g.times.response.mean_ns) for r, g in zip(rates(simulation), simulation.groups, strict=True)
    ]
    near("vCPUs", in_system, n, sharp=0.003)
    near(
        "utilisation",
        [g.utilisation.mean() for g in simulation.groups],
        rates(simulation).mean() * SERVICE,
        sharp=0.003,
    )


@pytest.mark.parametrize(("vcpus", "count"), [(4, 128), (24, 4)], ids=["lanes", "each"])
def test_a_mix_of_three_is_a_closed_network(vcpus: int, count: int) -> None:
    """Time in the kernel delays nobody else, so by mean value analysis only its mean counts."""
    think = THINK * vcpus / 4
    given = scenario(
        "closed", exponential(think), exponential(SERVICE), mix=MIX, vcpus=vcpus, count=count,
        calls=1_000_000 // (vcpus * count), warmup=100, replicas=16, trap=200.0, denied=100.0, handled=300.0,
        round_trip=1600.0,
    )  # fmt: skip
    simulation = simulate(given)
    assert simulation.groups[0].group.is_lanes == (count == 128)
    conserved(simulation)
    sample = Sample.of(simulation)
    delay = think + 0.2 * 300 + 0.4 * 500 + 0.4 * 1600
    rate, wait = repairman(vcpus, delay, SERVICE, visits=0.4)
    near("rate", rates(simulation), rate)
    near("waiting", means(sample.waiting), wait)
    near("utilisation", sample.busy_ns / sample.window_ns, rate * 0.4 * SERVICE)


# -- SimPy ---------------------------------------------------------------------------------------------------------


N_SIMPY = 18_000


def simpy_run(seed: int, n_call: int, n_vcpu: int, think: float) -> tuple[list[float], float, float]:
    """Waiting of forwarded calls, the time the lock was held, and time in all, of one VM."""
    env, draw = simpy.Environment(), random.Random(seed)
    lock, waits, held, made = simpy.Resource(env, 1), [], [0.0], [0]

    def vcpu() -> Any:
        while made[0] < n_call:
            yield env.timeout(draw.expovariate(1 / think))
            made[0] += 1
            kind = draw.random()
            if kind < 0.6:
                yield env.timeout(300.0 if kind < 0.2 else 500.0)
                continue
            came = env.now
            with lock.request() as turn:
                yield turn
                waits.append(env.now - came)
                held[0] += SERVICE
                yield env.timeout(SERVICE)

    for _ in range(n_vcpu):
        env.process(vcpu())
    env.run()
    return waits, held[0], env.now


def test_simpy_finds_the_same_of_a_mix_of_three() -> None:
    """About three seconds of SimPy; both sides have a standard error of their own."""
    think, n_vcpu, n_run = 10_000.0, 4, 16
    given = scenario(
        "closed", exponential(think), fixed(SERVICE), mix=MIX, vcpus=n_vcpu, calls=2000, warmup=50, trap=300.0,
        handled=200.0,
    )  # fmt: skip
    simulation = simulate(given)
    conserved(simulation)
    ours = Sample.of(simulation)
    runs = [simpy_run(seed, N_SIMPY, n_vcpu, think) for seed in range(n_run)]
    theirs = [Histogram.of(waits) for waits, _, _ in runs]
    both = {
        "waiting": (means(ours.waiting), means(theirs)),
        "utilisation": (ours.busy_ns / ours.window_ns, np.array([held / end for _, held, end in runs])),
        "rate": (rates(simulation), np.array([N_SIMPY / end for _, _, end in runs])),
    }
    for name, (a, b) in both.items():
        error = np.hypot(a.std(ddof=1) / np.sqrt(a.size), b.std(ddof=1) / np.sqrt(b.size))
        assert abs(a.mean() - b.mean()) <= 3 * error, f"{name}: {a.mean():.6g}, SimPy {b.mean():.6g} +- {error:.2g}"
        assert 3 * error <= 0.025 * b.mean(), f"{name}: the sample is too small to tell"
    whole, other = Histogram.merged(ours.waiting), Histogram.merged(theirs)

    def tail(t: float) -> float:
        return whole.share_above(np.nextafter(t, 0))

    # Our sample is 30 times theirs, so it stands for the truth, and the standard error is SimPy's.
    assert whole.n > 30 * other.n
    for share in (0.75, 0.9, 0.99, 0.999):
        right_bucket("waiting of SimPy", theirs, share, tail, reach=4)


def test_time_that_stands_still_is_refused() -> None:
    given = scenario("closed", fixed(0), fixed(0), mix=MIX, replicas=1)
    with pytest.raises(InputError, match="time stands still"):
        simulate(given)
    assert simulate(scenario("closed", fixed(0), fixed(1), mix=MIX, replicas=1, calls=10)).n_call == 1280


def test_forwarded_alone_with_costs_is_only_moved_in_time() -> None:
    """The way into the VMM is service time that holds no lock: it counts as thinking for everybody else."""
    enter = 1600.0
    simulation = simulate(
        scenario(
            "closed", exponential(THINK), exponential(SERVICE), vcpus=4, mix=FORWARDED, calls=3000, round_trip=enter
        )
    )
    rate, wait = repairman(4, THINK + enter, SERVICE)
    sample = Sample.of(simulation)
    near("rate", rates(simulation), rate)
    near("waiting", means(sample.waiting), wait)
    near("response", means(sample.response), wait + SERVICE + enter)
