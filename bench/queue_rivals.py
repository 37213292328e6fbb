"""The two simulated queues as other programs do them: SimPy and ciw, with the same laws and in the same units.

Each returns what it found, so that nothing is timed before all agree. Times in us.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import ciw
import numpy as np
import simpy

THINK_US, WORK_US = 20.0, 5.0
DENIED_US, HANDLED_US = 0.3, 0.5
DENIED_SHARE, HANDLED_SHARE, FORWARDED_SHARE = 0.1, 0.8, 0.1
N_VCPU = 4
LOAD = 0.7


@dataclass(frozen=True, slots=True)
class Found:
    """Mean waiting in us of `n` calls that were forwarded, and their standard error, from means of 20 batches."""

    mean_us: float
    error_us: float
    n: int

    @classmethod
    def of(cls, waits: list[float]) -> Found:
        batches = np.array([part.mean() for part in np.array_split(np.array(waits), 20)])
        return cls(float(np.mean(waits)), float(batches.std(ddof=1) / np.sqrt(20)), len(waits))


def simpy_closed(n_call: int, seed: int) -> Found:
    """vCPUs of one VM think, call, and share one lock for a tenth of their calls."""
    env, draw = simpy.Environment(), random.Random(seed)
    lock, waits, made = simpy.Resource(env, 1), [], [0]

    def vcpu() -> Any:
        while made[0] < n_call:
            yield env.timeout(draw.expovariate(1 / THINK_US))
            made[0] += 1
            kind = draw.random()
            if kind < DENIED_SHARE:
                yield env.timeout(DENIED_US)
            elif kind < DENIED_SHARE + HANDLED_SHARE:
                yield env.timeout(HANDLED_US)
            else:
                came = env.now
                with lock.request() as turn:
                    yield turn
                    waits.append(env.now - came)
                    yield env.timeout(WORK_US)

    for _ in range(N_VCPU):
        env.process(vcpu())
    env.run()
    return Found.of(waits)


def simpy_mm1(n_call: int, seed: int) -> Found:
    """An open queue with one server."""
    env, draw = simpy.Environment(), random.Random(seed)
    server, waits = simpy.Resource(env, 1), []

    def customer() -> Any:
        came = env.now
        with server.request() as turn:
            yield turn
            waits.append(env.now - came)
            yield env.timeout(draw.expovariate(1 / WORK_US))

    def source() -> Any:
        for _ in range(n_call):
            yield env.timeout(draw.expovariate(LOAD / WORK_US))
            env.process(customer())

    env.process(source())
    env.run()
    return Found.of(waits)


def ciw_mm1(n_call: int, seed: int) -> Found:
    """An open queue with one server."""
    ciw.seed(seed)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=LOAD / WORK_US)],
        service_distributions=[ciw.dists.Exponential(rate=1 / WORK_US)],
        number_of_servers=[1],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(n_call, method="Finish")
    return Found.of([record.waiting_time for record in simulation.get_all_records()])


class _AtStart(ciw.dists.Distribution):  # type: ignore[misc]  # ciw has no types
    """N_VCPU arrivals at once, and no more."""

    def __init__(self) -> None:
        self.left = N_VCPU

    def sample(self, t: float | None = None, ind: Any = None) -> float:
        self.left -= 1
        return 0.0 if self.left >= 0 else float("inf")


def ciw_closed(n_call: int, seed: int) -> Found:
    """Four nodes: thinking, a denial, an answer in the kernel, the VMM's lock. Customers never leave."""
    ciw.seed(seed)
    network = ciw.create_network(
        arrival_distributions=[_AtStart(), None, None, None],
        service_distributions=[
            ciw.dists.Exponential(rate=1 / THINK_US),
            *(ciw.dists.Deterministic(value=value) for value in (DENIED_US, HANDLED_US, WORK_US)),
        ],
        number_of_servers=[float("inf"), float("inf"), float("inf"), 1],
        routing=[[0.0, DENIED_SHARE, HANDLED_SHARE, FORWARDED_SHARE], *([1.0, 0.0, 0.0, 0.0] for _ in range(3))],
    )
    simulation = ciw.Simulation(network)
    cycle_us = THINK_US + DENIED_SHARE * DENIED_US + HANDLED_SHARE * HANDLED_US + FORWARDED_SHARE * (WORK_US + 0.5)
    simulation.simulate_until_max_time(n_call / N_VCPU * cycle_us)
    return Found.of(
        [record.waiting_time for record in simulation.get_all_records(only=["service"]) if record.node == 4]
    )
