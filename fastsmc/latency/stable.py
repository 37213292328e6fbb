"""Whether an open workload has a steady state: calls that come faster than they are served wait longer and longer."""

from __future__ import annotations

from fastsmc import kernels_queue_each as each
from fastsmc.latency.group import Group
from fastsmc.scenario import Scenario


def check_stable(scenario: Scenario, groups: list[Group]) -> None:
    """Looks at the utilisation every open group would have.

    Raises:
        InputError: at or above 1, with the rate that would be stable; every such group is named.
    """
    problems = scenario.problems()
    for group in groups:
        given, rate = group.given, group.given.workload.rate_hz
        if rate is None or given.lock == "none" or not group.forwarded_share:
            continue
        stretch = 1 + float(group.law[each.OTHERS])  # the lock's holder may wait for a core
        per_call = group.forwarded_share * group.mean_work_ns * stretch * 1e-9
        utilisation = rate * given.vcpus * per_call / group.n_worker
        if utilisation >= 1:
            limit = group.n_worker / (given.vcpus * per_call)
            problems.add(
                ("workloads", given.workload.name, "arrivals", "rate_hz"),
                f"{rate:.10g} calls/s of each of the {given.vcpus} vCPUs of a VM of {given.name!r} ask for"
                f" {utilisation:.3g} times what its VMM can do: there is no steady state, waiting grows without end",
                f"a rate below {limit:.6g} calls/s is stable",
            )
    problems.raise_any()
