"""Time per call against vCPUs and against VMs, for three patterns of calls and filters of three lengths.

Every time here is what this simulator takes on this machine. KVM's own path was not timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fastsmc.calls.trace import Trace
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.timing import measure_dispatch
from fastsmc.errors import InputError
from fastsmc.facts.registers import register
from fastsmc.facts.releases import release
from fastsmc.facts.smccc import FUNCTIONS, FilterAction
from fastsmc.facts.vcpu import FEATURE_EL1_32BIT, FEATURE_PSCI_0_2
from fastsmc.fleet.filters import FilterRange
from fastsmc.progress import Progress, silent
from fastsmc.results.tables import Table
from fastsmc.scaling._rows import IS_HYPOTHETICAL, SPREAD, TIMINGS_PER_TURN, Heading, spread, table
from fastsmc.vm import Fleet

STREAM_CELLS = 2
"""Purpose number of the cells' random streams: default_rng([seed, STREAM_CELLS, pattern, n_vcpu])."""

TRACE, KNOWN, RANDOM = "real trace", "random known ids", "random 32-bit ids"
PATTERNS = {
    TRACE: "the trace's calls in order, every vCPU making call k before any makes call k + 1",
    KNOWN: "any function KVM has a name for, any vCPU, evenly",
    RANDOM: "any 32-bit number as function id, any vCPU, evenly",
}
"""Which calls a batch is made of."""

VCPUS_PER_VM = 64
FILTERS = (0, 32, 500)
"""Ranges of the SMCCC filter; more than 0 for random 32-bit ids only, as named ids never search it."""


def dispatch_by_vcpu(
    trace: Trace,
    vcpus: Sequence[int],
    *,
    n_call: int,
    repeats: int = 15,
    seed: int = 1,
    host: str = "7.3",
    progress: Progress = silent,
) -> Table:
    """Time per call against vCPUs, in VMs of 64 (one smaller VM below that) that share one policy.

    Raises:
        InputError: a vCPU count that is neither below 64 nor a multiple of it.
    """
    cells: list[_Cell] = []
    for n_vcpu in vcpus:
        n_vm, rest = (1, 0) if 0 < n_vcpu < VCPUS_PER_VM else divmod(n_vcpu, VCPUS_PER_VM)
        if rest or not n_vm:
            msg = f"{n_vcpu} vCPUs are no whole number of VMs with 64: give 1 to 64, or a multiple of 64"
            raise InputError(msg)

        def fleet(n_vm: int = n_vm, per_vm: int = n_vcpu // n_vm) -> Fleet:
            return Fleet.uniform(n_vm=n_vm, n_vcpu=per_vm, host=host)

        cells += _cells(fleet, trace, n_call, seed)
    rows = _timed(cells, repeats, "dispatch by vCPUs", progress)
    return table("Time per call against vCPUs, all VMs alike; a row per fleet, pattern and filter.", _DISPATCH, rows)


def dispatch_by_vm(
    trace: Trace,
    vms: Sequence[int],
    *,
    n_vcpu: int,
    n_call: int,
    repeats: int = 15,
    seed: int = 1,
    host: str = "7.3",
    progress: Progress = silent,
) -> Table:
    """Time per call against VMs, each with a policy of its own, `n_vcpu` vCPUs in all shared out evenly.

    Raises:
        InputError: a VM count that does not divide n_vcpu, or more VMs than there are policies.
    """
    cells: list[_Cell] = []
    for n_vm in vms:
        if n_vm < 1 or n_vcpu % n_vm:
            msg = f"{n_vcpu} vCPUs cannot be shared out evenly among {n_vm} VMs"
            raise InputError(msg)

        def fleet(n_vm: int = n_vm) -> Fleet:
            return distinct_fleet(n_vm, n_vcpu // n_vm, host=host)

        cells += _cells(fleet, trace, n_call, seed)
    rows = _timed(cells, repeats, "dispatch by VMs", progress)
    return table("Time per call against VMs, no two alike; a row per fleet, pattern and filter.", _DISPATCH, rows)


def distinct_fleet(n_vm: int, n_vcpu: int, *, host: str = "7.3") -> Fleet:
    """VMs of n_vcpu vCPUs each, no two with the same policy.

    VM k takes the k-th combination of the four bitmaps, PSCI versions from 0.2 on, the SYSTEM_SUSPEND capability and
    32-bit EL1, each as the release allows.

    Raises:
        InputError: more VMs than combinations.
    """
    rules = release(host)
    versions = np.array(rules.psci_versions[1:], np.uint64)
    bases = (*(limit + 1 for limit in rules.bitmap_limit), versions.size, 1 + rules.has_system_suspend, 2)
    if n_vm > np.prod(bases):
        msg = f"{n_vm} VMs with distinct policies: Linux {host} has {np.prod(bases)} combinations"
        raise InputError(msg)
    *bitmaps, version, suspends, is_a32 = np.unravel_index(np.arange(n_vm), bases, order="F")
    features = np.where(is_a32 == 1, FEATURE_PSCI_0_2 | FEATURE_EL1_32BIT, FEATURE_PSCI_0_2)
    fleet = Fleet.uniform(n_vm=n_vm, n_vcpu=n_vcpu, host=host, features=features)
    for name, values in zip(("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP", "VENDOR_HYP_BMAP_2"), bitmaps, strict=True):
        if name in rules.fw_registers:
            fleet.set_one_reg(register(name), values)
    fleet.set_one_reg(register("PSCI_VERSION"), versions[version])
    fleet.enable_system_suspend(vms=suspends == 1)
    return fleet


def deny_ranges(n_range: int) -> list[FilterRange]:
    """Ranges that deny every other stretch of the id space: half of all random ids, at no place a CPU can guess."""
    step = (1 << 32) // max(n_range, 1)
    return [FilterRange(r * step + step // 4, step // 2, FilterAction.DENY) for r in range(n_range)]


def calls_of(pattern: str, trace: Trace, *, n_vcpu: int, n_call: int, seed: int) -> Calls:
    """A batch of `n_call` calls of one of PATTERNS."""
    if pattern == TRACE:
        c = np.arange(n_call)
        return Calls.of(c % n_vcpu, trace.func_id[c // n_vcpu % len(trace)])
    rng = np.random.default_rng([seed, STREAM_CELLS, list(PATTERNS).index(pattern), n_vcpu])
    vcpu = rng.integers(n_vcpu, size=n_call, dtype=np.uint32)
    if pattern == KNOWN:
        return Calls.of(vcpu, rng.choice(np.array([f.func_id for f in FUNCTIONS], np.uint32), n_call))
    return Calls.of(vcpu, rng.integers(1 << 32, size=n_call, dtype=np.uint32))


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """A fleet whose tables are built, and the batch it will be timed with."""

    fleet: Fleet
    pattern: str
    n_range: int
    calls: Calls
    build_ms: float
    ns_per_call: list[float]


def _cells(new_fleet: Callable[[], Fleet], trace: Trace, n_call: int, seed: int) -> Iterator[_Cell]:
    """A cell per pattern and filter, each with a fleet of its own."""
    for pattern in PATTERNS:
        calls = calls_of(pattern, trace, n_vcpu=new_fleet().n_vcpu, n_call=n_call, seed=seed)
        for n_range in FILTERS if pattern == RANDOM else FILTERS[:1]:
            fleet = new_fleet()
            fleet.install_filter(deny_ranges(n_range))
            start = time.perf_counter_ns()
            fleet.tables()
            yield _Cell(fleet, pattern, n_range, calls, (time.perf_counter_ns() - start) / 1e6, [])


def _timed(cells: Sequence[_Cell], repeats: int, step: str, progress: Progress) -> list[tuple[object, ...]]:
    """Rows of all cells, which take turns: a slow minute of the machine then falls on all of them alike."""
    rounds = max(1, repeats // TIMINGS_PER_TURN)
    for done in range(1, rounds + 1):
        for cell in cells:
            cell.ns_per_call.extend(measure_dispatch(cell.fleet, cell.calls, repeats=TIMINGS_PER_TURN).ns_per_call)
        progress(step, done, rounds)
    return [
        (
            cell.fleet.n_vm,
            cell.fleet.n_vcpu,
            len(cell.fleet.tables()[0].filter_of_policy),
            cell.fleet.is_hypothetical,
            cell.pattern,
            cell.n_range,
            len(cell.calls),
            *spread(np.array(cell.ns_per_call)),
            cell.build_ms,
        )
        for cell in cells
    ]


_DISPATCH: tuple[Heading, ...] = (
    ("n_vm", "input", "VMs"),
    ("n_vcpu", "input", "vCPUs in all"),
    ("n_policy", "modelled", "distinct policies among the VMs"),
    IS_HYPOTHETICAL,
    ("pattern", "input", "; ".join(f"{name}: {what}" for name, what in PATTERNS.items())),
    ("n_range", "input", "ranges of every VM's SMCCC filter"),
    ("n_call", "input", "calls in the batch"),
    *SPREAD,
    ("table_build_ms", "measured", "time to build the tables of all policies, once per change of a policy"),
)
