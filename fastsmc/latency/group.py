"""What the kernels need to know of a group of VMs: classes of calls, laws of time, scripts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsmc.facts.smccc import Verdict
from fastsmc.latency.kernels import entries, forwarded, lanes
from fastsmc.latency.verdicts import verdicts_of
from fastsmc.scenario import HostCores, Law, Scenario, VmGroup, Workload
from fastsmc.scenario.profiles import Profile

IN_VMM = frozenset({Verdict.FORWARDED, Verdict.EXIT})
"""Verdicts of calls that leave the kernel."""
LANES_LEAST_VM = 8
"""A group of fewer VMs is simulated one VM at a time: its lanes would stay empty, and one VM alone costs less."""
LANES_VCPU_PER_VM = 4
"""Lanes are for VMs of at most so many vCPUs per VM of the group. Lanes cost a step per vCPU and block, so many vCPUs
need many VMs that share the step. Measured: at 128 VMs lanes are as fast as one VM at a time with some 300 vCPUs, at 8
VMs with some 30."""


@dataclass(frozen=True, slots=True, eq=False)
class ScriptTables:
    """A script as `kernels.each` reads it; all arrays are empty where there is none.

    Attributes:
        tables: int64[n_step] vCPU, float64[n_step] ns after the step waited for, int64[n_step] class, int64[n_step + 1]
            and int64[n_follow]: which steps follow which.
        first_step: int64[n_vcpu], the first step of each vCPU.
        first_ns: float64[n_vcpu], when it comes; infinity where it waits for another vCPU or there is none.
    """

    tables: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    first_step: NDArray[np.int64]
    first_ns: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """VMs that are alike, in the terms of the kernels.

    Attributes:
        verdicts: of each entry of the mix, a class of calls each; from the dispatch path.
        class_ns: float64[n_class], time of a call that stays in the kernel; -1: it goes to the VMM.
        threshold: uint64[n_class - 1], where the classes lie among 64-bit random numbers.
        work_ns, random_work_ns: float64[n_class], the VMM's work: a fixed part, the mean of an exponential one.
        law: float64[N_LONG_LAW].
        is_lanes: simulated by `kernels.lanes`; depends on the group alone, never on threads or chunks.
    """

    given: VmGroup
    profile: Profile
    verdicts: tuple[Verdict, ...]
    class_ns: NDArray[np.float64]
    threshold: NDArray[np.uint64]
    work_ns: NDArray[np.float64]
    random_work_ns: NDArray[np.float64]
    law: NDArray[np.float64]
    n_worker: int
    script: ScriptTables | None
    is_lanes: bool

    @property
    def is_forwarded(self) -> bool:
        """Whether all calls are forwarded and alike."""
        return self.class_ns.size == 1 and bool(self.class_ns[0] < 0)

    @property
    def block(self) -> int:
        """How many VMs the kernel takes side by side."""
        if not self.is_lanes:
            return 1
        return forwarded.BLOCK if self.is_forwarded else lanes.BLOCK

    @property
    def enter_ns(self) -> float:
        """The time of a forwarded call without the VMM's work."""
        return float(self.law[entries.ENTER])

    @property
    def forwarded_share(self) -> float:
        """Share of the mix's calls that go to the VMM."""
        mix = self.given.workload.mix
        return sum(entry.share for entry, ns in zip(mix, self.class_ns, strict=True) if ns < 0)

    @property
    def mean_work_ns(self) -> float:
        """The VMM's mean work per forwarded call; 0 where none is."""
        mean, share = 0.0, self.forwarded_share
        for c, entry in enumerate(self.given.workload.mix):
            if self.class_ns[c] < 0:
                mean += entry.share / share * float(self.work_ns[c] + self.random_work_ns[c])
        return mean


def group_of(scenario: Scenario, given: VmGroup) -> Group:
    """The tables of one group. Verdicts come from the dispatch path, costs from the scenario's profile."""
    workload, profile, n_range = given.workload, scenario.profile, len(given.filter)
    verdicts = tuple(verdicts_of(given))
    times = [-1.0 if v in IN_VMM else profile.kernel_ns(v, n_range=n_range) for v in verdicts]
    services = [entry.service or given.service for entry in workload.mix]
    law = np.zeros(entries.N_LONG_LAW)
    law[entries.ENTER] = profile.kernel_ns(Verdict.FORWARDED, n_range=n_range)
    law[entries.WORK], law[entries.RANDOM_WORK] = _parts(services[0])
    law[entries.IS_CLOSED] = workload.kind != "open"
    law[entries.HAS_LOCK] = given.lock != "none"
    if workload.gap is not None:
        law[entries.GAP], law[entries.RANDOM_GAP] = _parts(workload.gap)
    if workload.onoff is not None:
        law[entries.ON], law[entries.OFF] = workload.onoff.on_ns, workload.onoff.off_ns
    _overcommit(scenario.host, scenario.n_vcpu, law)
    n_worker = given.workers if given.lock == "workers" else 1
    in_vmm = {service for service, ns in zip(services, times, strict=True) if ns < 0}
    if len(in_vmm) == 1:
        law[entries.WORK], law[entries.RANDOM_WORK] = _parts(next(iter(in_vmm)))
    is_plain = len(in_vmm) <= 1 and n_worker == 1 and workload.script is None
    is_plain = is_plain and not law[entries.ON] and not law[entries.SLICE]
    fits = given.count >= LANES_LEAST_VM and given.vcpus <= LANES_VCPU_PER_VM * min(given.count, lanes.BLOCK)
    parts = np.array([_parts(service) for service in services])
    return Group(
        given, profile, verdicts, np.array(times), _thresholds(workload), parts[:, 0].copy(), parts[:, 1].copy(), law,
        n_worker, script_tables(workload, given.vcpus), is_plain and fits,
    )  # fmt: skip


def _parts(law: Law) -> tuple[float, float]:
    """A span of time as its fixed part and the mean of its exponential part, in ns."""
    return (law.mean_ns, 0.0) if law.kind == "deterministic" else (0.0, law.mean_ns)


def _overcommit(host: HostCores | None, n_vcpu: int, law: NDArray[np.float64]) -> None:
    if host is not None and n_vcpu > host.cores:
        law[entries.OTHERS] = n_vcpu / host.cores - 1
        law[entries.SLICE] = law[entries.TURN] = law[entries.REST] = host.slice_ns.value


def _thresholds(workload: Workload) -> NDArray[np.uint64]:
    """Class c is drawn by numbers from threshold[c - 1] up to threshold[c]."""
    edges = np.cumsum([entry.share for entry in workload.mix])[:-1]
    return np.array([min(int(edge * 2.0**64), 2**64 - 1) for edge in edges], np.uint64)


def script_tables(workload: Workload, n_vcpu: int) -> ScriptTables | None:
    """A workload's script for VMs of `n_vcpu` vCPUs."""
    script = workload.script
    if script is None:
        return None
    vcpu = np.repeat(np.arange(script.n_vcpu), np.diff(script.first_step))
    # An open workload keeps the recorded times, whatever calls take: each step comes a gap after its vCPU's last.
    is_open = workload.kind == "open"
    after = np.arange(-1, len(script) - 1, dtype=np.int64) if is_open else script.after.copy()
    starts = script.first_step[:-1][np.diff(script.first_step) > 0]
    if is_open:
        after[starts] = -1
    wait = script.gap_ns if is_open else script.wait_ns
    by_before = np.argsort(after, kind="stable")
    following = by_before[np.count_nonzero(after < 0) :]
    first_next = np.searchsorted(after[following], np.arange(len(script) + 1))
    first_ns = np.full(n_vcpu, np.inf)
    begins = starts[after[starts] < 0]
    first_ns[vcpu[begins]] = wait[begins]
    first_step = np.zeros(n_vcpu, np.int64)
    first_step[: script.n_vcpu] = script.first_step[:-1]
    kinds = np.array(workload.step_entry, np.int64)
    tables = (vcpu.astype(np.int64), np.ascontiguousarray(wait), kinds, first_next.astype(np.int64), following)
    return ScriptTables(tables, first_step, first_ns)
