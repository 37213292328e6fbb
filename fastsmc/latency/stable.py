"""Whether an open workload has a steady state: calls that come faster than they are served wait longer and longer."""

from __future__ import annotations

import statistics

from fastsmc.latency.group import Group
from fastsmc.latency.kernels import entries
from fastsmc.results.units import significant
from fastsmc.scenario import Scenario


def check_stable(scenario: Scenario, groups: list[Group], *, overcommitted: bool = False) -> None:
    """Looks at the utilisation every open group would have, and how long a closed one's vCPU takes to come round.

    Raises:
        InputError: at or above 1, with the rate that would be stable; or no time at all; every such group is named.
    """
    problems = scenario.problems()
    for group in groups:
        given, rate = group.given, group.given.workload.rate_hz
        if given.workload.kind == "closed" and not _time_round(group):
            problems.add(
                ("workloads", given.workload.name, "think"),
                f"thinking and every call of {given.name!r} take 0 ns, so simulated time stands still",
                "give it a thinking time above 0",
            )
        if rate is None or given.lock == "none" or not group.forwarded_share:
            continue
        stretch = 1 + held_for_cores(group) if overcommitted else 1.0
        per_call = group.forwarded_share * group.mean_work_ns * stretch * 1e-9
        utilisation = rate * given.vcpus * per_call / group.n_worker
        if utilisation >= 1:
            limit = group.n_worker / (given.vcpus * per_call)
            problems.add(
                ("workloads", given.workload.name, "arrivals", "rate_hz"),
                f"{rate:.10g} calls/s of each of the {given.vcpus} vCPUs of a VM of {given.name!r} ask for"
                f" {significant(utilisation)} times what its VMM can do:"
                " there is no steady state, waiting grows without end",
                f"a rate below {limit:.6g} calls/s is stable",
            )
    problems.raise_any()


def held_for_cores(group: Group) -> float:
    """How long the lock's holder waits for a core, on average, as a multiple of its work."""
    law = group.law
    if not law[entries.SLICE]:
        return 0.0
    ahead = above_zero(float(law[entries.OTHERS]), float(law[entries.SPREAD]))
    return ahead * float(law[entries.TURN]) / float(law[entries.SLICE])


def above_zero(mean: float, spread: float) -> float:
    """Mean of what is above 0 of a normal variate."""
    if spread <= 0:
        return max(mean, 0.0)
    normal = statistics.NormalDist()
    return mean * normal.cdf(mean / spread) + spread * normal.pdf(mean / spread)


def _time_round(group: Group) -> float:
    """Mean ns of a closed vCPU from call to call where nobody is in its way; a script has its own times."""
    gap, call = group.given.workload.gap, group.enter_ns + group.mean_work_ns
    in_kernel = sum(e.share * max(ns, 0.0) for e, ns in zip(group.given.workload.mix, group.class_ns, strict=True))
    return float((gap.mean_ns if gap else 0.0) + in_kernel + group.forwarded_share * call)
