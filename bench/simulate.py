"""Queues simulated, side by side with SimPy and ciw: a closed mix of three kinds of call, and open M/M/1.

Customers of all contestants are calls. Ours keeps its histograms, counts its warm-up as time but not as calls, and runs
on one core. SimPy and ciw simulate one VM; what they keep is a list of waiting times.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from bench import queue_rivals as rivals
from bench.cases import Setup
from bench.timing import Contestant
from fastsmc.facts.smccc import FilterAction
from fastsmc.fleet.filters import FilterRange
from fastsmc.latency import simulate
from fastsmc.scenario import Law, MixEntry, Scenario, VmGroup, Workload
from fastsmc.scenario.profiles import load_profile

N_VM = 1024
N_RIVAL = {"simpy": 20_000, "ciw": 5000}
"""Calls of one timed run; they cost 3 to 30 us each."""
N_AGREE = {"simpy": 200_000, "ciw": 50_000}
"""Calls of the run whose mean waiting is compared with ours."""
MOST_ERRORS = 4.0
"""How many standard errors two means may be apart."""

_FORWARDED, _DENIED, _HANDLED = 0xC500_0000, 0xC500_0100, 0x8000_0000
_FILTER = (
    FilterRange(_FORWARDED, 1, FilterAction.FWD_TO_USER),
    FilterRange(_DENIED, 1, FilterAction.DENY),
)


def _scenario(workload: Workload, n_vcpu: int, service: Law, calls: int) -> Scenario:
    """The costs in the kernel are those the other programs have."""
    trap, more = 1000 * rivals.DENIED_US, 1000 * (rivals.HANDLED_US - rivals.DENIED_US)
    costs = {"trap_ns": trap, "handled_ns": more, "denied_ns": 0.0, "filter_ns": 0.0, "round_trip_ns": 0.0}
    profile = load_profile("neoverse-n1").with_overrides(costs, source="bench/simulate.py")
    group = VmGroup("vms", N_VM, n_vcpu, "6.18", 4, 0, (), _FILTER, workload, "vm", 1, service)
    return Scenario("bench", 1, calls, max(calls // 50, 1), profile, None, (group,), "")


def closed(n_call: int) -> Setup:
    """Four vCPUs a VM think 20 us, exponential; 10 % denied, 80 % handled, 10 % forwarded, 5 us under one lock."""
    mix = (
        MixEntry("denied", _DENIED, share=rivals.DENIED_SHARE),
        MixEntry("handled", _HANDLED, share=rivals.HANDLED_SHARE),
        MixEntry("forwarded", _FORWARDED, share=rivals.FORWARDED_SHARE),
    )
    workload = Workload("closed", "closed", mix, Law("exponential", 1000 * rivals.THINK_US))
    service, calls = Law("deterministic", 1000 * rivals.WORK_US), n_call // (N_VM * rivals.N_VCPU)
    given = _scenario(workload, rivals.N_VCPU, service, max(calls, 1))
    return _setup("closed, 4 vCPUs a VM, 10 % forwarded", given, rivals.simpy_closed, rivals.ciw_closed)


def mm1(n_call: int) -> Setup:
    """Poisson arrivals, one server, exponential service of 5 us, utilisation 0.7."""
    gap = Law("exponential", 1000 * rivals.WORK_US / rivals.LOAD)
    workload = Workload("mm1", "open", (MixEntry("forwarded", _FORWARDED),), gap)
    given = _scenario(workload, 1, Law("exponential", 1000 * rivals.WORK_US), max(n_call // N_VM, 1))
    return _setup("open, M/M/1 at 0.7", given, rivals.simpy_mm1, rivals.ciw_mm1)


SIMULATIONS: dict[str, Callable[[int], Setup]] = {"simulate-closed": closed, "simulate-mm1": mm1}
"""The cases by name, without a size."""

Rival = Callable[[int, int], rivals.Found]


def _setup(pattern: str, given: Scenario, simpy: Rival, ciw: Rival) -> Setup:
    others = {"simpy": simpy, "ciw": ciw}
    # A small run would compare its own error with theirs.
    outcome = simulate(_at_least(given, 1 << 21)).groups[0]
    for name, rival in others.items():
        found = rival(min(N_AGREE[name], max(given.calls * given.n_vcpu, 20_000)), 1)
        _agree(name, found, outcome.mean_forwarded_waiting_ns / 1000, outcome.waiting_error_ns / 1000)
    n_call = given.calls * given.n_vcpu
    contestants = {
        "ours": Contestant(lambda: simulate(given), n_call),
        **{name: Contestant(_bound(rival, N_RIVAL[name]), N_RIVAL[name]) for name, rival in others.items()},
    }
    return Setup(pattern, "", contestants)


def _at_least(given: Scenario, n_call: int) -> Scenario:
    calls = max(given.calls, n_call // given.n_vcpu)
    return replace(given, calls=calls, warmup=calls // 50)


def _agree(name: str, found: rivals.Found, mean_us: float, error_us: float) -> None:
    """Means of waiting that differ by no more than chance.

    Raises:
        AssertionError: with both means and their errors.
    """
    allowed = MOST_ERRORS * math.hypot(found.error_us, error_us)
    if abs(found.mean_us - mean_us) > allowed:
        raise AssertionError(
            f"{name} says calls wait {found.mean_us:.4g} +- {found.error_us:.2g} us, "
            f"we say {mean_us:.4g} +- {error_us:.2g}"
        )


def _bound(rival: Rival, n_call: int) -> Callable[[], object]:
    return lambda: rival(n_call, 2)
