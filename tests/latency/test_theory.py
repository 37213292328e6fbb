"""Open workloads against closed forms: M/M/1, M/D/1, M/G/1, M/M/k, M/M/infinity, bursts (IPP/M/1)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastsmc.facts.smccc import Verdict
from fastsmc.latency import simulate
from fastsmc.scenario import Law, MixEntry, OnOff
from tests.support.queue_checks import (
    DENIED_ID,
    EXIT_ID,
    FORWARDED_ID,
    HANDLED_ID,
    Sample,
    checks_of_mm1,
    conserved,
    exponential,
    failures,
    fixed,
    means,
    near,
    right_bucket,
    scenario,
)
from tests.support.queue_formulas import (
    burst_root,
    erlang_c,
    exponential_tail,
    mixed_moments,
    pollaczek_khinchine,
    waiting_tail_md1,
)

SERVICE = 5000.0


@pytest.mark.parametrize(
    "load",
    [
        0.3,
        0.7,
        pytest.param(0.85, marks=pytest.mark.soak("a higher load; make test has the other cases of this theorem")),
    ],
)
def test_mm1(load: float) -> None:
    calls = 30_000 if load > 0.8 else 12_000
    simulation = simulate(scenario("open", exponential(SERVICE / load), exponential(SERVICE), calls=calls))
    assert simulation.groups[0].group.is_lanes
    conserved(simulation)
    assert failures(checks_of_mm1(Sample.of(simulation), load / SERVICE, SERVICE)) == {}


@pytest.mark.parametrize(
    ("count", "vcpus"),
    [
        pytest.param(128, 4, id="lanes"),
        pytest.param(7, 4, id="each"),
        pytest.param(
            2,
            16,
            id="each, 16",
            marks=pytest.mark.soak("16 vCPUs, one VM at a time; make test has the other cases of this theorem"),
        ),
    ],
)
def test_vcpus_of_a_vm_that_call_at_random_are_one_poisson_stream(count: int, vcpus: int) -> None:
    load, rate = 0.6, 0.6 / SERVICE
    given = scenario(
        "open", exponential(vcpus / rate), exponential(SERVICE), count=count, vcpus=vcpus,
        calls=320_000 // (count * vcpus), warmup=200,
    )  # fmt: skip
    simulation = simulate(given)
    assert simulation.groups[0].group.is_lanes == (count == 128)
    conserved(simulation)
    assert failures(checks_of_mm1(Sample.of(simulation), load / SERVICE, SERVICE)) == {}


def test_md1() -> None:
    load = 0.7
    simulation = simulate(scenario("open", exponential(SERVICE / load), fixed(SERVICE), calls=12_000))
    conserved(simulation)
    sample, tail = Sample.of(simulation), waiting_tail_md1(load / SERVICE, SERVICE)
    near("waiting", means(sample.waiting), pollaczek_khinchine(load / SERVICE, SERVICE, SERVICE**2))
    near("utilisation", sample.busy_ns / sample.window_ns, load)
    for share in (0.9, 0.99, 0.999):
        right_bucket("waiting", sample.waiting, share, tail)
        right_bucket("response", sample.response, share, lambda t: tail(t - SERVICE) if t > SERVICE else 1.0)
    assert {h.quantile(0.5) for h in sample.service} == {SERVICE}


def test_dm1() -> None:
    """Arrivals at equal distances: sigma = A*(mu (1 - sigma)), and A* of a constant is an exponential."""
    load, sigma = 0.7, 0.5
    for _ in range(1000):
        sigma = math.exp(-(1 - sigma) / load)
    simulation = simulate(scenario("open", fixed(SERVICE / load), exponential(SERVICE), calls=8000))
    conserved(simulation)
    sample, drain = Sample.of(simulation), (1 - sigma) / SERVICE
    near("waiting", means(sample.waiting), sigma / drain)
    near("utilisation", sample.busy_ns / sample.window_ns, load)
    for share in (0.99, 0.999):
        right_bucket("waiting", sample.waiting, share, exponential_tail(drain, share=sigma))
        right_bucket("response", sample.response, share, exponential_tail(drain))


PARTS = ((0.5, "deterministic", 2000.0), (0.3, "exponential", 4000.0), (0.2, "deterministic", 14_000.0))
MIX = tuple(
    MixEntry(f"f{k}", FORWARDED_ID + k, share=share, service=Law(law, mean))  # type: ignore[arg-type]
    for k, (share, law, mean) in enumerate(PARTS)
)


def mg1_waits(n: int, gap: float, seed: int) -> np.ndarray:
    """Waiting in M/G/1 with these parts, by Lindley's recursion on NumPy's generator, beginning without a queue."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(len(PARTS), n, p=[share for share, _, _ in PARTS])
    mean = np.array([m for _, _, m in PARTS])[kind]
    is_fixed = np.array([law == "deterministic" for _, law, _ in PARTS])[kind]
    work = np.where(is_fixed, mean, mean * rng.exponential(size=n))
    walk = np.concatenate([[0.0], np.cumsum(work[:-1] - rng.exponential(gap, n - 1))])
    return np.asarray(walk - np.minimum.accumulate(walk))


def test_mg1_with_the_moments_of_its_mix() -> None:
    mean, second = mixed_moments(PARTS)
    gap = mean / 0.6
    simulation = simulate(
        scenario("open", exponential(gap), fixed(1.0), mix=MIX, count=8, calls=16_000, warmup=1000, round_trip=1800.0)
    )
    assert not simulation.groups[0].group.is_lanes
    conserved(simulation)
    sample = Sample.of(simulation)
    waiting = pollaczek_khinchine(1 / gap, mean, second)
    near("waiting", means(sample.waiting), waiting)
    near("utilisation", sample.busy_ns / sample.window_ns, 0.6)
    near("service", means(sample.service), mean + 1800)
    # Every kind waits alike, whatever its own service.
    for k, (_, _, own) in enumerate(PARTS):
        near(f"kind {k}", [g.kinds[k].times.waiting.mean_ns for g in simulation.groups], waiting, sharp=0.012)
        near(f"kind {k}", [g.kinds[k].times.service.mean_ns for g in simulation.groups], own + 1800)
    other = np.sort(np.concatenate([mg1_waits(500_000, gap, seed)[1000:] for seed in range(16)]))
    near("Lindley", other.reshape(16, -1).mean(axis=1), other.mean(), sharp=np.inf)

    def tail(t: float) -> float:
        return 1 - float(np.searchsorted(other, t, side="left")) / other.size

    for share in (0.9, 0.99):
        right_bucket("waiting", sample.waiting, share, tail)


@pytest.mark.parametrize(
    ("workers", "load", "sharp"),
    [
        (2, 0.7, 0.01),
        (4, 0.7, 0.012),
        pytest.param(
            16, 0.8, 0.02, marks=pytest.mark.soak("16 workers; make test has the other cases of this theorem")
        ),
    ],
)
def test_mmk(workers: int, load: float, sharp: float) -> None:
    rate = load * workers / SERVICE
    given = scenario(
        "open", exponential(4 / rate), exponential(SERVICE), vcpus=4, lock="workers", workers=workers, count=8,
        calls=9000, warmup=500,
    )  # fmt: skip
    simulation = simulate(given)
    conserved(simulation)
    sample = Sample.of(simulation)
    waits, drain = erlang_c(workers, load * workers), workers / SERVICE - rate
    near("waiting", means(sample.waiting), waits / drain, sharp=sharp)
    near("utilisation", sample.busy_ns / sample.window_ns, load)
    tail = exponential_tail(drain, share=waits)
    right_bucket("waiting", sample.waiting, 0.99, tail)
    right_bucket("waiting", sample.waiting, 0.999, tail)


def test_a_thread_per_vcpu_is_a_worker_per_call() -> None:
    load = 2.5
    given = scenario(
        "open", exponential(4 * SERVICE / load), exponential(SERVICE), vcpus=4, lock="none", calls=2000, warmup=50
    )
    simulation = simulate(given)
    conserved(simulation)
    sample = Sample.of(simulation)
    assert max(h.max_ns for h in sample.waiting) == 0
    near("busy threads", sample.busy_ns / sample.window_ns, load)
    near("response", means(sample.response), SERVICE)
    right_bucket("response", sample.response, 0.999, exponential_tail(1 / SERVICE))


def test_calls_that_stay_in_the_kernel_wait_for_nobody() -> None:
    mix = (MixEntry("denied", DENIED_ID, share=0.25), MixEntry("handled", HANDLED_ID, share=0.75))
    given = scenario(
        "open", exponential(1000), exponential(SERVICE), mix=mix, vcpus=2, calls=1000, replicas=8,
        trap=300.0, denied=10.0, handled=150.0,
    )  # fmt: skip
    simulation = simulate(given)
    conserved(simulation)
    for group in simulation.groups:
        denied, handled = group.kinds
        assert (denied.verdict, handled.verdict) == (Verdict.DENIED, Verdict.HANDLED)
        assert group.forwarded.sum() == group.utilisation.sum() == group.times.waiting.max_ns == 0
        assert denied.times.response.max_ns == 310
        assert handled.times.response.max_ns == 450
        assert group.times.response.total_ns == denied.times.n_call * 310 + handled.times.n_call * 450
    near("denied", [g.kinds[0].times.n_call / g.n_call.sum() for g in simulation.groups], 0.25)


def test_exits_queue_as_forwarded_calls_do() -> None:
    load = 0.7
    mix = (MixEntry("off", EXIT_ID, share=0.5), MixEntry("forwarded", FORWARDED_ID, share=0.5))
    given = scenario("open", exponential(SERVICE / load), exponential(SERVICE), mix=mix, calls=12_000)
    simulation = simulate(given)
    conserved(simulation)
    assert [kind.verdict for kind in simulation.groups[0].kinds] == [Verdict.EXIT, Verdict.FORWARDED]
    assert failures(checks_of_mm1(Sample.of(simulation), load / SERVICE, SERVICE)) == {}
    exits = [group.kinds[0].times.waiting.mean_ns for group in simulation.groups]
    near("waiting of exits", exits, load * SERVICE / (1 - load))


@pytest.mark.parametrize(
    ("on", "off"),
    [
        (50_000.0, 50_000.0),
        pytest.param(
            20_000.0, 180_000.0, marks=pytest.mark.soak("rarer bursts; make test has the other cases of this theorem")
        ),
    ],
)
def test_bursts_are_an_interrupted_poisson_process(on: float, off: float) -> None:
    load = 0.5
    gap_on = SERVICE / load * on / (on + off)
    given = scenario(
        "open", exponential(gap_on), exponential(SERVICE), onoff=OnOff(on, off), count=16, calls=24_000, warmup=1000
    )
    simulation = simulate(given)
    conserved(simulation)
    sample = Sample.of(simulation)
    sigma = burst_root(1 / gap_on, on, off, SERVICE)
    drain = (1 - sigma) / SERVICE
    near("waiting", means(sample.waiting), sigma / drain, sharp=0.02)
    near("utilisation", sample.busy_ns / sample.window_ns, load)
    for share in (0.99, 0.999):
        right_bucket("waiting", sample.waiting, share, exponential_tail(drain, share=sigma))
        right_bucket("response", sample.response, share, exponential_tail(drain))
    assert sigma > load + 0.1  # burstier than Poisson
    assert math.isclose(burst_root(load / SERVICE, 1e15, 1.0, SERVICE), load, rel_tol=1e-6)  # one burst: M/M/1
