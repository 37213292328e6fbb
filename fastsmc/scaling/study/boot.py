"""Bring-up and reseeding as a recorded guest does them, with a filter that forwards some of it and with none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastsmc.latency import simulate
from fastsmc.results.tables import Table
from fastsmc.scaling._rows import IS_HYPOTHETICAL, Heading, table
from fastsmc.scaling.study.points import PROFILE
from fastsmc.scaling.study.sizes import StudySizes
from fastsmc.scenario import Scenario

BOOT, RESEED = "boot-storm", "trng-reseed"
CASES: tuple[tuple[str, str], ...] = (
    (BOOT, ""),
    (BOOT, "PSCI_CPU_ON64"),
    (BOOT, "TRNG_RND64"),
    (RESEED, ""),
    (RESEED, "TRNG_RND64"),
)
"""Shape and the function that the filter forwards; "": no filter. Reseeding is by every vCPU at once."""


def boot_table(sizes: StudySizes, seed: int, told: Callable[[], None]) -> Table:
    """Each case for each number of vCPUs, one lock per VM."""
    rows: list[tuple[object, ...]] = []
    unforwarded: dict[tuple[str, int], float] = {}
    for shape, forwarded in CASES:
        for n_vcpu in sizes.boot_vcpus:
            scenario = _scenario(shape, forwarded, n_vcpu, seed)
            outcome = simulate(scenario).groups[0]
            whole_ns = float(outcome.window_ns[0])
            unforwarded.setdefault((shape, n_vcpu), whole_ns)  # the case without a filter comes first
            rows.append(
                (
                    shape,
                    forwarded or "nothing",
                    n_vcpu,
                    scenario.is_hypothetical,
                    int(outcome.n_call[0]),
                    int(outcome.forwarded[0]),
                    whole_ns,
                    whole_ns - unforwarded[shape, n_vcpu],
                    float(outcome.max_response_ns[0]),
                    outcome.times.waiting.max_ns,
                    float(outcome.utilisation[0]),
                )
            )
            told()
    return table("A guest's bring-up and its reseeding; a row per shape, filter and vCPUs.", _BOOT, rows)


def _scenario(shape: str, forwarded: str, n_vcpu: int, seed: int) -> Scenario:
    script: dict[str, Any] = {"kind": "script", "shape": shape}
    if shape == RESEED:
        script["callers"] = "every-vcpu"
    ranges = [{"base": forwarded, "count": 1, "action": "FWD_TO_USER"}] if forwarded else []
    vms = {"vcpus": n_vcpu, "workload": "script", "vmm": {"lock": "vm"}, "filter": ranges}
    given = {"seed": seed, "profile": PROFILE, "vms": [vms], "workloads": {"script": script}}
    return Scenario.of(given, name="study")


_BOOT: tuple[Heading, ...] = (
    (
        "shape",
        "input",
        f"{BOOT}: vCPU 0 starts the others one by one; {RESEED}: every vCPU reads TRNG at the same times",
    ),
    ("forwarded", "input", "what the filter forwards"),
    ("n_vcpu", "input", "vCPUs of the VM"),
    IS_HYPOTHETICAL,
    ("n_call", "modelled", "calls of the shape, as recorded and extended to that many vCPUs"),
    ("n_forwarded", "modelled", "calls that went to the VMM"),
    ("whole_ns", "assumed", "from the VM's start to the end of the last call; the recording's own time is in it"),
    ("added_ns", "assumed", "what of that the filter and the VMM's work added"),
    ("most_response_ns", "assumed", "the longest response time of a call"),
    ("most_waiting_ns", "assumed", "the longest waiting for the lock"),
    ("utilisation", "assumed", "share of the time the lock was held"),
)
