"""One point of the study: VMs alike under load, simulated, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

from fastsmc.facts.smccc import Verdict
from fastsmc.latency import simulate
from fastsmc.scaling._rows import IS_HYPOTHETICAL, Heading
from fastsmc.scaling.study.knees import Demand
from fastsmc.scaling.study.sizes import StudySizes
from fastsmc.scenario import Scenario
from fastsmc.scenario.model import Lock
from fastsmc.scenario.profiles import Profile, filter_levels, load_profile

PROFILE = "neoverse-n1"
FORWARDED = "TRNG_RND64"
"""What the filter forwards: entropy, which a VMM may want to give itself."""
KEPT = {"VENDOR_HYP_PTP": 0.8, "PSCI_FEATURES": 0.2}
"""The functions that stay in the kernel, and the share of each among them."""
UNUSED = 0x8300_0000
"""First id of the other ranges of large filters: OEM calls, which nobody here makes."""


@dataclass(frozen=True, slots=True)
class Point:
    """What one point of an axis simulates.

    Attributes:
        workers: 1 unless the lock is "workers".
        n_range: ranges of the filter; the first forwards FORWARDED. 0: no filter, and nothing is forwarded.
    """

    n_vcpu: int
    lock: Lock = "vm"
    workers: int = 1
    share: float = 0.5
    n_range: int = 1


@cache
def profile_of() -> Profile:
    """The profile of the study."""
    return load_profile(PROFILE)


def scenario_of(point: Point, sizes: StudySizes, seed: int) -> Scenario:
    """The point as a scenario."""
    mix = {FORWARDED: point.share} | {name: part * (1 - point.share) for name, part in KEPT.items()}
    vmm: dict[str, Any] = {"lock": point.lock}
    if point.lock == "workers":
        vmm["workers"] = point.workers
    ranges: list[dict[str, Any]] = [{"base": FORWARDED, "count": 1, "action": "FWD_TO_USER"}]
    ranges += [{"base": UNUSED + 2 * k, "count": 1, "action": "DENY"} for k in range(point.n_range - 1)]
    most = min(sizes.n_forwarded / point.share if point.share else sizes.n_forwarded, sizes.most_call)
    vms = {
        "count": sizes.n_vm,
        "vcpus": point.n_vcpu,
        "workload": "load",
        "vmm": vmm,
        "filter": ranges[: point.n_range],
        "service": {"law": sizes.service_law, "mean_ns": profile_of().vmm_service_ns.value},
    }
    load = {"kind": "closed", "think": {"law": "exponential", "mean_us": sizes.think_us}, "mix": mix}
    given = {
        "seed": seed,
        "calls": ceil(most / (sizes.n_vm * point.n_vcpu)),
        "warmup": ceil(sizes.warmup / (point.share or 1)),
        "profile": PROFILE,
        "vms": [vms],
        "workloads": {"load": load},
    }
    return Scenario.of(given, name="study")


def row_of(point: Point, sizes: StudySizes, seed: int) -> dict[str, Any]:
    """The point, simulated: a value for each column of `columns_of`."""
    profile = profile_of()
    outcome = simulate(scenario_of(point, sizes, seed)).groups[0]
    forwarded = outcome.forwarded_times
    share = outcome.group.forwarded_share  # by the verdicts of the dispatch path
    in_kernel = profile.kernel_ns(Verdict.HANDLED, n_range=point.n_range)
    service = profile.vmm_service_ns.value
    alone = profile.kernel_ns(Verdict.FORWARDED, n_range=point.n_range) + service
    n_thread = {"vm": 1, "workers": point.workers, "none": point.n_vcpu}[point.lock]
    demand = Demand(sizes.think_us * 1e3, share, in_kernel, alone, service, n_thread)
    n_forwarded = int(outcome.forwarded.sum())
    per_thread = point.n_vcpu if point.lock == "none" else 1
    return {
        "n_vcpu": point.n_vcpu,
        "is_hypothetical": outcome.group.given.is_hypothetical,
        "lock": point.lock,
        "n_thread": n_thread,
        "n_range": point.n_range,
        "filter_levels": filter_levels(point.n_range),
        "share": share,
        "n_call": int(outcome.n_call.sum()),
        "n_forwarded": n_forwarded,
        "in_kernel_ns": in_kernel,
        "alone_ns": alone if n_forwarded else 0.0,
        "mean_ns": forwarded.response.mean_ns,
        "p50_ns": forwarded.response.quantile(0.5),
        "p99_ns": forwarded.response.quantile(0.99),
        "p99_9_ns": forwarded.response.quantile(0.999),
        "waiting_ns": forwarded.waiting.mean_ns,
        "waiting_error_ns": outcome.waiting_error_ns if n_forwarded and outcome.n_vm > 1 else 0.0,
        "utilisation": float(outcome.utilisation.mean()) / per_thread,
        "throughput_hz": float(outcome.throughput_hz.mean()),
        "forwarded_hz": float((outcome.forwarded / outcome.window_ns).mean()) * 1e9,
        "bound_hz": demand.most_hz(point.n_vcpu),
        "most_forwarded_hz": demand.most_forwarded_hz,
        "knee_vcpus": demand.knee_vcpus,
        "knee_share": demand.knee_share(point.n_vcpu),
    }


def columns_of(sizes: StudySizes) -> tuple[Heading, ...]:
    """The columns of a point; all that rests on the VMM's work, which nobody has published, is assumed."""
    few = f"; fewer than {sizes.n_forwarded} where they are rare"
    return (
        ("n_vcpu", "input", "vCPUs of the VM"),
        IS_HYPOTHETICAL,
        ("lock", "input", "vm: one lock for the VM; workers: threads share the work; none: a thread per vCPU, no lock"),
        ("n_thread", "input", "threads of the VMM that can serve forwarded calls at the same time"),
        ("n_range", "input", "ranges of the VM's SMCCC filter; with 0 nothing is forwarded"),
        ("filter_levels", "modelled", "levels of the filter's tree that a look-up goes through"),
        ("share", "modelled", "share of calls that are forwarded, by the dispatch path's verdicts"),
        ("n_call", "modelled", "calls that were counted"),
        ("n_forwarded", "modelled", f"forwarded ones of them{few}"),
        ("in_kernel_ns", "assumed", "a call that stays in the kernel, its filter look-up in it"),
        (
            "alone_ns",
            "assumed",
            "a forwarded call that waits for nobody; 0 where none is forwarded, as in what follows",
        ),
        ("mean_ns", "assumed", "mean response time of forwarded calls: waiting and service"),
        ("p50_ns", "assumed", "median response time of forwarded calls"),
        ("p99_ns", "assumed", "99th percentile of their response time"),
        ("p99_9_ns", "assumed", "99.9th percentile of their response time"),
        ("waiting_ns", "assumed", "mean waiting of forwarded calls for the lock or a thread"),
        ("waiting_error_ns", "assumed", "standard error of that mean, from its spread over VMs"),
        ("utilisation", "assumed", "share of the time the lock was held; with several threads, that one was busy"),
        ("throughput_hz", "assumed", "calls per second of one VM, all kinds"),
        ("forwarded_hz", "assumed", "forwarded calls per second of one VM"),
        ("bound_hz", "assumed", "closed form: the lower of the two asymptotes of throughput_hz"),
        (
            "most_forwarded_hz",
            "assumed",
            "closed form: forwarded calls a second at which the lock or the threads saturate",
        ),
        ("knee_vcpus", "assumed", "closed form: vCPUs at which the asymptotes cross; 0: they never do"),
        (
            "knee_share",
            "assumed",
            "closed form: share at which they cross for these vCPUs; above 1 or 0: they never do",
        ),
    )
