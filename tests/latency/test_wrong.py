"""The checks of theory can fail: customers served in another order, or by another law, do not pass them.

M/M/1 in plain Python, with the order of service as a choice. Whatever the order, the mean is the same, and so are
utilisation and throughput (no order that ignores service times changes the number in the system); the tails are not.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import numpy as np
import pytest

from tests.support.queue_checks import Sample, checks_of_mm1, failures

LOAD, SERVICE, N_CALL, N_RUN = 0.6, 5000.0, 25_000, 16

Pick = Callable[[list[int], random.Random], int]
ORDERS: dict[str, Pick] = {
    "first come, first served": lambda waiting, _: waiting.pop(0),
    "last come, first served": lambda waiting, _: waiting.pop(),
    "random order": lambda waiting, draw: waiting.pop(draw.randrange(len(waiting))),
}
Run = tuple[np.ndarray, np.ndarray, float]


def arrivals(draw: random.Random, law: str) -> tuple[list[float], list[float]]:
    now, at, work = 0.0, [], []
    for _ in range(N_CALL):
        now += draw.expovariate(LOAD / SERVICE)
        at.append(now)
        work.append(SERVICE if law == "fixed" else draw.expovariate(1 / SERVICE))
    return at, work


def one_at_a_time(seed: int, pick: Pick, law: str = "exponential") -> Run:
    """Waiting, service and time in all of a queue whose server takes up whom `pick` says."""
    draw = random.Random(seed)
    at, work = arrivals(draw, law)
    waits, waiting, now, coming = np.zeros(N_CALL), [], 0.0, 0
    for _ in range(N_CALL):
        if not waiting:
            now = max(now, at[coming])
        while coming < N_CALL and at[coming] <= now:
            waiting.append(coming)
            coming += 1
        served = pick(waiting, draw)
        waits[served] = now - at[served]
        now += work[served]
    return waits, np.array(work), now


def shared(seed: int) -> Run:
    """Processor sharing: all in the system are served at once, each at its share. Waiting is what exceeds the work."""
    at, work = arrivals(random.Random(seed), "exponential")
    waits, ends = np.zeros(N_CALL), []  # work that somebody in the system since the start would have had done
    done = now = 0.0
    for i in range(N_CALL):
        while ends and (ends[0][0] - done) * len(ends) <= at[i] - now:
            now += (ends[0][0] - done) * len(ends)
            done, k = heapq.heappop(ends)
            waits[k] = max(now - at[k] - work[k], 0.0)
        done += (at[i] - now) / len(ends) if ends else 0.0
        now = at[i]
        heapq.heappush(ends, (done + work[i], i))
    end = now
    while ends:
        end += (ends[0][0] - done) * len(ends)
        done, k = heapq.heappop(ends)
        waits[k] = max(end - at[k] - work[k], 0.0)
    return waits, np.array(work), end


def wrong_of(runs: list[Run]) -> dict[str, str]:
    return failures(checks_of_mm1(Sample.of_arrays(runs), LOAD / SERVICE, SERVICE, sharp=0.1, reach=4))


def test_first_come_first_served_passes() -> None:
    assert wrong_of([one_at_a_time(seed, ORDERS["first come, first served"]) for seed in range(N_RUN)]) == {}


@pytest.mark.parametrize("name", ["last come, first served", "random order"])
def test_another_order_has_the_same_mean_and_another_tail(name: str) -> None:
    found = wrong_of([one_at_a_time(seed, ORDERS[name]) for seed in range(N_RUN)])
    assert set(found).isdisjoint({"waiting", "response", "service", "utilisation"}), found
    assert {"waiting p99", "waiting p99.9", "response p99.9"} <= set(found)


def test_processor_sharing_has_the_same_mean_and_another_tail() -> None:
    found = wrong_of([shared(seed) for seed in range(N_RUN)])
    assert set(found).isdisjoint({"response", "service", "utilisation"}), found
    assert {"response p99", "response p99.9"} <= set(found)


def test_service_that_does_not_vary_is_not_exponential() -> None:
    runs = [one_at_a_time(seed, ORDERS["first come, first served"], law="fixed") for seed in range(N_RUN)]
    found = wrong_of(runs)
    assert {"waiting", "response", "waiting p99", "response p99"} <= set(found)
    assert "utilisation" not in found
