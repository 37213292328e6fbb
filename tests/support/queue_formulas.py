"""Textbook results that simulations are compared with. Times in ns, rates in calls per ns.

Sources: L. Kleinrock, Queueing Systems I (1975): M/M/1, M/M/k, M/G/1, GI/M/1. A. K. Erlang (1909), as in D. Gross and
C. M. Harris, Fundamentals of Queueing Theory: waiting in M/D/1. M. Reiser and S. Lavenberg, Mean value analysis of
closed multichain queueing networks, JACM 27 (1980). A. Kuczura, The interrupted Poisson process as an overflow process,
BSTJ 52 (1973).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext

Survival = Callable[[float], float]
"""The share of calls that take longer than t."""


def exponential_tail(rate: float, *, share: float = 1.0) -> Survival:
    """`share` of the calls take an exponential time, the others none."""
    return lambda t: share * math.exp(-rate * t)


def pollaczek_khinchine(rate: float, mean: float, second_moment: float) -> float:
    """Mean waiting in M/G/1."""
    return rate * second_moment / (2 * (1 - rate * mean))


def erlang_c(workers: int, load: float) -> float:
    """The share of calls that wait in M/M/k, from Erlang's B by its recursion."""
    blocked = 1.0
    for k in range(1, workers + 1):
        blocked = load * blocked / (k + load * blocked)
    utilisation = load / workers
    return blocked / (1 - utilisation * (1 - blocked))


def waiting_tail_md1(rate: float, service: float) -> Survival:
    """Erlang's series for M/D/1. Its terms alternate and are large, so it is summed with 60 digits."""

    def survival(t: float) -> float:
        with localcontext() as context:
            context.prec = 60
            lam, d, at = Decimal(rate), Decimal(service), Decimal(t)
            total = Decimal(0)
            for k in range(math.floor(t / service) + 1):
                x = lam * (k * d - at)
                total += x**k / math.factorial(k) * (-x).exp() if k else (-x).exp()
            return float(1 - (1 - lam * d) * total)

    return survival


def repairman(n: int, think: float, service: float, *, visits: float = 1.0) -> tuple[float, float]:
    """Rate of calls of all vCPUs together, and mean waiting of one that is forwarded: mean value analysis.

    Args:
        think: mean time from the end of a call to the next one that is forwarded or not, all that is no queue.
        visits: share of calls that are forwarded.
    """
    in_queue = rate = wait = 0.0
    for vcpus in range(1, n + 1):
        wait = service * in_queue
        rate = vcpus / (think + visits * (wait + service))
        in_queue = rate * visits * (wait + service)
    return rate, wait


def repairman_tail(n: int, think: float, service: float, *, waiting: bool) -> Survival:
    """Waiting or response in M/M/1//N. An arrival finds the queue of N - 1 machines, and each in it takes a service."""
    log_weights = [math.lgamma(n) - math.lgamma(n - j) + j * math.log(service / think) for j in range(n)]
    top = max(log_weights)
    weights = [math.exp(w - top) for w in log_weights]
    total = math.fsum(weights)

    def survival(t: float) -> float:
        x = t / service
        terms, erlang, term = [], 0.0, math.exp(-x)
        for j, weight in enumerate(weights):
            if not waiting:
                erlang += term
            terms.append(weight / total * min(erlang, 1.0))
            if waiting:
                erlang += term
            term *= x / (j + 1)
        return math.fsum(terms)

    return survival


def burst_root(rate_on: float, on: float, off: float, service: float) -> float:
    """sigma of GI/M/1 with interrupted Poisson arrivals: an arrival waits with probability sigma.

    sigma = A*(mu (1 - sigma)), where A* is the Laplace transform of the time between arrivals. From an arrival on the
    source is on; it gives the next arrival with rate r, or goes silent with rate a = 1 / on, to come back with rate
    b = 1 / off: A*(s) = r (s + b) / ((s + r + a)(s + b) - a b).
    """
    a, b, mu = 1 / on, 1 / off, 1 / service

    def transform(s: float) -> float:
        return rate_on * (s + b) / ((s + rate_on + a) * (s + b) - a * b)

    sigma = 0.0
    for _ in range(100_000):
        following = transform(mu * (1 - sigma))
        if abs(following - sigma) < 1e-15:
            break
        sigma = following
    return sigma


def mixed_moments(parts: Sequence[tuple[float, str, float]]) -> tuple[float, float]:
    """First and second moment of a mix of (share, law, mean)."""
    factor = {"deterministic": 1.0, "exponential": 2.0}
    mean = math.fsum(share * m for share, _, m in parts)
    return mean, math.fsum(share * factor[law] * m * m for share, law, m in parts)
