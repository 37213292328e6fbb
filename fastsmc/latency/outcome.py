"""What a simulation found of one group of VMs, all of it modelled: times by kind of call, and a row per VM."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastsmc.facts.other_calls import service_and_name
from fastsmc.facts.smccc import Service, Verdict
from fastsmc.latency.group import Group
from fastsmc.latency.kernels import entries
from fastsmc.latency.run import Counts, Sums
from fastsmc.latency.times import Times
from fastsmc.results.histogram import Histogram, bucket_of
from fastsmc.results.log_linear import FIRST_OCTAVE, N_BUCKET

LEAST_NS = 2.0**FIRST_OCTAVE
"""The shortest window. A window of calls that all took no time counts as so long, so that rates stay finite."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CallKind:
    """One entry of a group's mix: what became of it, and its times."""

    name: str
    func_id: int
    verdict: Verdict
    times: Times

    def __repr__(self) -> str:
        return f"<CallKind {self.name}: {self.verdict.name}, {self.times.n_call} calls>"

    @property
    def service(self) -> str:
        """The service or family of calls that the function belongs to; "unknown" for an id of none."""
        name = service_and_name(self.func_id)[0]
        return "unknown" if name == Service.UNKNOWN.name else name


@dataclass(frozen=True, eq=False, repr=False)
class GroupOutcome:
    """One group of VMs. Per-VM arrays hold the VMs that made counted calls, which are all unless the run was stopped.

    Attributes:
        n_vm: VMs in them.
        vm: int64[n_vm], which of the group's VMs, from 0.
        n_call: int64[n_vm].
        window_ns: float64[n_vm], simulated time in which they were made.
        forwarded: int64[n_vm], calls that went to the VMM.
        mean_waiting_ns, mean_response_ns, max_response_ns: float64[n_vm], over all calls of a VM.
        utilisation: float64[n_vm], share of the window the VMM's lock was held, or its workers busy. Without a lock:
            vCPU threads busy in the VMM on average, which may exceed 1.
        queue_length: float64[n_vm], calls waiting for the lock or a worker on average over time; none for a core.
        forwarded_waiting_ns: float64[n_vm], all waiting of the calls that went to the VMM.
        throughput_hz: float64[n_vm], calls per simulated second.
    """

    group: Group
    kinds: tuple[CallKind, ...]
    n_vm: int
    vm: NDArray[np.int64]
    n_call: NDArray[np.int64]
    window_ns: NDArray[np.float64]
    forwarded: NDArray[np.int64]
    mean_waiting_ns: NDArray[np.float64]
    mean_response_ns: NDArray[np.float64]
    max_response_ns: NDArray[np.float64]
    utilisation: NDArray[np.float64]
    queue_length: NDArray[np.float64]
    throughput_hz: NDArray[np.float64]
    forwarded_waiting_ns: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"<GroupOutcome {self.name[:80]}: {self.n_vm} VMs, {int(self.n_call.sum())} calls (modelled)>"

    @property
    def name(self) -> str:
        """The group's name in the scenario."""
        return self.group.given.name

    @cached_property
    def times(self) -> Times:
        """The times of all calls of the group."""
        return Times.merged(kind.times for kind in self.kinds)

    @cached_property
    def forwarded_times(self) -> Times:
        """The times of the calls that went to the VMM."""
        return Times.merged(kind.times for c, kind in enumerate(self.kinds) if self.group.class_ns[c] < 0)

    def by_service(self) -> dict[str, Times]:
        """Times by the service called, in the order of the mix."""
        names = dict.fromkeys(kind.service for kind in self.kinds)
        return {name: Times.merged(kind.times for kind in self.kinds if kind.service == name) for name in names}

    @property
    def mean_forwarded_waiting_ns(self) -> float:
        """Mean waiting of the calls that went to the VMM: Wq of queueing theory."""
        return self.forwarded_times.waiting.mean_ns

    @property
    def waiting_error_ns(self) -> float:
        """Standard error of the mean waiting of forwarded calls, from its spread over VMs, which are independent.

        It is NaN for fewer than two VMs. The estimator is that of a ratio, as VMs forward different numbers of calls.
        """
        if self.n_vm < 2 or not self.forwarded.sum():
            return float("nan")
        rest = self.forwarded_waiting_ns - self.mean_forwarded_waiting_ns * self.forwarded
        return float(np.sqrt((rest**2).sum() / (self.n_vm * (self.n_vm - 1))) / self.forwarded.mean())


def outcome_of(group: Group, sums: Sums, counts: list[Counts]) -> GroupOutcome:
    """A group's outcome, from what the kernels added up."""
    done = np.flatnonzero(sums.n_call)
    n_call, per_vm = sums.n_call[done], sums.per_vm[:, done]
    n_of_class = np.sum([one.n_of_class for one in counts], axis=0)
    buckets = np.sum([one.buckets for one in counts], axis=0)
    if group.is_forwarded:
        per_vm[entries.FORWARDED] = n_call
    kinds = []
    for c, entry in enumerate(group.given.workload.mix):
        if group.is_forwarded:
            times = _of_all(per_vm, buckets[0])
        elif buckets[c].any():
            times = _counted(buckets[c], sums.by_part[:, c])
        else:
            times = _constant(int(n_of_class[c]), max(float(group.class_ns[c]), 0.0))
        kinds.append(CallKind(entry.name, entry.func_id, group.verdicts[c], times))
    window = np.maximum(sums.end_ns[done] - sums.begin_ns[done], LEAST_NS)
    calls = np.maximum(n_call, 1)
    mean_waiting = per_vm[entries.WAITING] / calls
    queued, forwarded_waiting = per_vm[entries.WAITING], mean_waiting * n_call
    if group.law[entries.SLICE]:  # calls that stay in the kernel wait too, and not all wait for the lock
        queued = per_vm[entries.QUEUED]
        forwarded_waiting = sums.by_part[done][:, group.class_ns < 0, 0].sum(axis=1)
    return GroupOutcome(
        group, tuple(kinds), int(done.size), done, n_call, window, per_vm[entries.FORWARDED].astype(np.int64),
        mean_waiting, per_vm[entries.RESPONSE] / calls, per_vm[entries.MOST_RESPONSE],
        per_vm[entries.BUSY] / window / group.n_worker, queued / window, n_call / window * 1e9,
        forwarded_waiting,
    )  # fmt: skip


def _histograms(buckets: NDArray[np.int64], totals: list[float], largest: list[float]) -> Times:
    parts = buckets.reshape(3, N_BUCKET)
    return Times(*(Histogram(parts[k].copy(), totals[k], largest[k]) for k in range(3)))


def _counted(buckets: NDArray[np.int64], by_part: NDArray[np.float64]) -> Times:
    waiting, served = (float(by_part[:, k].sum()) for k in (0, 1))
    largest = [float(by_part[:, k].max()) for k in (2, 3, 4)]
    return _histograms(buckets, [waiting, served, waiting + served], largest)


def _of_all(per_vm: NDArray[np.float64], buckets: NDArray[np.int64]) -> Times:
    """The times of calls that are all forwarded, for which the sums per VM are all there is."""
    waiting, response = float(per_vm[entries.WAITING].sum()), float(per_vm[entries.RESPONSE].sum())
    rows = (entries.MOST_WAITING, entries.MOST_SERVED, entries.MOST_RESPONSE)
    largest = [float(per_vm[row].max(initial=0)) for row in rows]
    return _histograms(buckets, [waiting, response - waiting, response], largest)


def _constant(n: int, time_ns: float) -> Times:
    """The times of calls that stay in the kernel: all take the same time, so that kernels only count them."""
    counts = np.zeros(N_BUCKET, np.int64)
    zero, taken = counts.copy(), counts
    if n:
        zero[0] = n
        taken[int(bucket_of([time_ns])[0])] = n
    largest = time_ns if n else 0.0
    service = Histogram(taken, n * time_ns, largest)
    return Times(Histogram(zero), service, service)
