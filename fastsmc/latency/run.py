"""A group's VMs run through the kernels in parts, so that threads can share them and a run can be stopped.

A part is a block of VMs from their first call to their last. What comes out does not depend on the parts: VMs know
nothing of each other, a vCPU's random numbers are its own, counts are whole numbers, and sums are kept per VM or per
block of fixed VMs, to be added up in one order at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.cache_lines import on_lines
from fastsmc.latency.group import Group
from fastsmc.latency.kernels import each, entries, forwarded, lanes
from fastsmc.latency.kernels.variates import start_streams
from fastsmc.results.log_linear import N_BUCKET

CHUNK = 1 << 21
"""Calls between two looks at whether to go on: some 10 to 200 ms of work."""
_ROOM = (1 << 32) - 1
"""Calls that counters of 32 bits have room for, should they all fall into one bucket."""

Stop = Callable[[], bool]


@dataclass(slots=True, eq=False)
class Sums:
    """What the kernels add to, for one group.

    Attributes:
        per_vm: float64[N_SUM, n_vm].
        n_call: int64[n_vm], counted calls of each VM; 0: not simulated, or its warm-up was not over.
        begin_ns, end_ns: float64[n_vm], the time in which these calls were made.
        by_part: float64[n_block or n_vm, n_class, 5].
    """

    per_vm: NDArray[np.float64]
    n_call: NDArray[np.int64]
    begin_ns: NDArray[np.float64]
    end_ns: NDArray[np.float64]
    by_part: NDArray[np.float64]

    @classmethod
    def of(cls, group: Group) -> Sums:
        n_vm, n_class = group.given.count, group.class_ns.size
        n_part = -(-n_vm // group.block)
        times = np.zeros((2, n_vm))
        return cls(
            np.zeros((entries.N_SUM, n_vm)),
            np.zeros(n_vm, np.int64),
            times[0],
            times[1],
            np.zeros((n_part, n_class, 5)),
        )


class Counts:
    """Counts of calls. Every thread may have its own, because whole numbers add up to the same in any order.

    Attributes:
        n_of_class: int64[n_class].
        some: uint32[n_class, 3 * N_BUCKET], what kernels count in, half the cache that int64 takes.
    """

    def __init__(self, group: Group) -> None:
        shape = group.class_ns.size, 3 * N_BUCKET
        self.n_of_class = np.zeros(shape[0], np.int64)
        self.some, self._rest = np.zeros(shape, np.uint32), np.zeros(shape, np.int64)
        self._room = _ROOM

    def make_room(self, n_call: int) -> None:
        """Makes room in the counters of 32 bits. Has to be called before kernels count that many more calls."""
        self._room -= n_call
        if self._room < 0:
            self._rest += self.some
            self.some[:] = 0
            self._room = _ROOM - n_call

    @property
    def buckets(self) -> NDArray[np.int64]:
        """int64[n_class, 3 * N_BUCKET]: calls by bucket of waiting, service, response."""
        return self._rest + self.some


@dataclass(frozen=True, slots=True)
class Quota:
    """How many calls each vCPU makes on average, first uncounted and then counted, and which stream it draws from."""

    warmup: int
    calls: int
    seed: int
    first_vcpu: int


def part_width(group: Group) -> int:
    """VMs of a part: a block of lanes, or as many whole VMs as make a chunk."""
    width = group.block if group.is_lanes else max(1, min(64, CHUNK // (64 * group.given.vcpus)))
    return min(width, group.given.count)


def n_part(group: Group) -> int:
    """How many parts a group has."""
    return -(-group.given.count // part_width(group))


def parts_of(group: Group) -> list[slice]:
    """The parts of a group."""
    n_vm, width = group.given.count, part_width(group)
    return [slice(first, min(first + width, n_vm)) for first in range(0, n_vm, width)]


def n_chunk(group: Group, part: slice, quota: Quota) -> int:
    """How often `run_part` asks whether to go on."""
    chunk = _chunk(part.stop - part.start)
    return sum(-(-n_step // chunk) for n_step in steps_of(group, quota))


def _chunk(n_vm: int) -> int:
    """Calls that each VM makes before `run_part` asks once more whether to go on."""
    return max(CHUNK // n_vm, 1)


def steps_of(group: Group, quota: Quota) -> tuple[int, int]:
    """Calls of a VM that are not counted, and then those that are."""
    if group.script is not None:
        return 0, group.script.tables[0].size
    return quota.warmup * group.given.vcpus, quota.calls * group.given.vcpus


def run_part(
    group: Group, part: slice, quota: Quota, sums: Sums, counts: Counts, uncounted: Counts, stop: Stop
) -> bool:
    """Simulates some VMs; returns whether it came to the end.

    Where it was stopped before, the calls counted until then count; those of the warm-up do not.
    """
    vms = _Lanes(group, part, quota) if group.is_lanes else OneByOne(group, part, quota)
    n_warm, n_call = steps_of(group, quota)
    per_vm = on_lines(np.zeros((entries.N_SUM, part.stop - part.start)))
    by_part = np.zeros_like(sums.by_part[vms.rows])
    if not vms.run(n_warm, per_vm, by_part, uncounted, stop)[1]:
        return False
    per_vm[:], by_part[:] = 0, 0
    sums.begin_ns[part] = vms.now() if not group.script else 0.0
    made, is_whole = vms.run(n_call, per_vm, by_part, counts, stop)
    sums.per_vm[:, part], sums.by_part[vms.rows] = per_vm, by_part
    sums.n_call[part] = made
    sums.end_ns[part] = per_vm[entries.LAST_END] if group.script else vms.now()
    return is_whole


class _Vms:
    """Some VMs' state."""

    rows: slice

    def __init__(self, group: Group, part: slice, quota: Quota) -> None:
        self.group, self.n_vm = group, part.stop - part.start
        vcpus = group.given.vcpus
        self.stream = np.empty(self.n_vm * vcpus, np.uint64)
        start_streams(np.uint64(quota.seed), np.uint64(quota.first_vcpu + part.start * vcpus), self.stream)
        self.clock, self.left = np.empty(self.stream.size), np.zeros(self.stream.size)
        each.start_clocks(self.stream, group.law, self.clock)
        if group.law[entries.ON]:
            each.start_bursts(self.stream, group.law, self.clock, self.left)

    def run(
        self, n_step: int, per_vm: NDArray[np.float64], by_part: NDArray[np.float64], counts: Counts, stop: Stop
    ) -> tuple[int, bool]:
        """Lets each VM make n_step calls; returns how many it made, and whether these are all."""
        chunk = _chunk(self.n_vm)
        for done in range(0, n_step, chunk):
            if stop():
                return done, False
            n = min(chunk, n_step - done)
            counts.make_room(n * self.n_vm)
            self.kernel(n, per_vm, by_part, counts.n_of_class, counts.some)
        return n_step, True

    def kernel(self, n_step: int, per_vm: Any, by_part: Any, n_of_class: Any, some: Any) -> None:
        raise NotImplementedError

    def now(self) -> NDArray[np.float64]:
        """float64[n_vm]: when each VM's next call is."""
        raise NotImplementedError


class _Lanes(_Vms):
    def __init__(self, group: Group, part: slice, quota: Quota) -> None:
        super().__init__(group, part, quota)
        shape = self.n_vm, group.given.vcpus
        clock, stream = self.clock.reshape(shape).T, self.stream.reshape(shape).T
        order = np.argsort(clock, axis=0, kind="stable")
        self.clock = on_lines(np.take_along_axis(clock, order, 0))
        self.stream = on_lines(np.take_along_axis(stream, order, 0))
        self.free = on_lines(np.zeros(self.n_vm))
        self.scratch: Any = (
            forwarded.scratch(self.n_vm, group.law)
            if group.is_forwarded
            else lanes.scratch(self.n_vm, group.class_ns, group.law)
        )
        block = part.start // group.block
        self.rows = slice(block, block + 1)

    def kernel(self, n_step: int, per_vm: Any, by_part: Any, n_of_class: Any, some: Any) -> None:
        g = self.group
        if g.is_forwarded:
            forwarded.simulate_forwarded(
                self.clock, self.stream, self.free, g.law, n_step, per_vm, n_of_class, some, *self.scratch
            )  # fmt: skip
            return
        lanes.simulate_block(
            self.clock, self.stream, self.free, g.threshold, g.class_ns, g.law, n_step, per_vm, n_of_class, some,
            by_part[0], *self.scratch,
        )  # fmt: skip

    def now(self) -> NDArray[np.float64]:
        first: NDArray[np.float64] = self.clock[0].copy()
        return first


def n_slot(group: Group, n_call: int) -> int:
    """Workers that a VM which makes so many calls can tell from more: one of them is always free."""
    most = group.given.vcpus if group.law[entries.IS_CLOSED] else n_call
    return min(group.n_worker, most + 1)


class OneByOne(_Vms):
    """VMs for `kernels.each`.

    Args:
        n_call: calls that each VM will make; those of the quota unless given.
    """

    def __init__(self, group: Group, part: slice, quota: Quota, n_call: int | None = None) -> None:
        super().__init__(group, part, quota)
        vcpus = group.given.vcpus
        shape = self.n_vm, 1 << (vcpus - 1).bit_length()
        clock, stream, left = np.full(shape, np.inf), np.zeros(shape, np.uint64), np.zeros(shape)
        self.used = np.zeros(shape)
        if group.law[entries.SLICE]:
            each.start_slices(self.stream, group.law[entries.SLICE], self.used, vcpus)
        for whole, given in ((clock, self.clock), (stream, self.stream), (left, self.left)):
            whole[:, :vcpus] = given.reshape(self.n_vm, vcpus)
        self.position = np.zeros(shape, np.int64)
        none, no_times = np.zeros(0, np.int64), np.zeros(0)
        self.script = (none, no_times, none, none, none)
        if group.script is not None:
            self.script = group.script.tables
            clock[:, :vcpus], self.position[:, :vcpus] = group.script.first_ns, group.script.first_step
        self.clock, self.stream, self.left = clock, stream, left
        self.free = np.zeros((self.n_vm, n_slot(group, sum(steps_of(group, quota)) if n_call is None else n_call)))
        self.rows = part

    def kernel(self, n_step: int, per_vm: Any, by_part: Any, n_of_class: Any, some: Any) -> None:
        g = self.group
        each.simulate_each(
            self.clock, self.stream, self.free, self.left, self.used, self.position, g.threshold, g.class_ns,
            g.work_ns, g.random_work_ns, g.law, self.script, n_step, per_vm, n_of_class, some, by_part,
        )  # fmt: skip

    def now(self) -> NDArray[np.float64]:
        first: NDArray[np.float64] = self.clock.min(axis=1)
        return first
