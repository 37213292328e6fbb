"""Calls grouped by vCPU: one index per block of calls instead of one per call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.calls.columns import check_array, check_levels, column, frozen, part_of, whole_slice
from fastsmc.calls.workload import COLUMNS, Calls
from fastsmc.errors import InputError
from fastsmc.facts.smccc import Conduit, Level
from fastsmc.kernels import spread


@dataclass(frozen=True, slots=True, eq=False)
class GroupedCalls:
    """A batch of hypercalls in blocks, a block being calls that one vCPU makes in a row.

    Verdicts and answers are those of the same calls as `Calls`. Blocks of some 32 calls or more are decided faster,
    because only ids are read per call and a vCPU is looked up once per block; shorter blocks cost more than a vCPU per
    call. `of` takes any array-likes; the constructor takes these arrays only.

    Attributes:
        block_vcpu: uint32[n_block], fleet-wide vCPU index.
        block_first: int64[n_block + 1], the number of each block's first call, ascending from 0; the last is n_call.
        func_id: uint32[n_call], low half of x0.
        conduit: uint8[n_call] of smccc.Conduit, None = HVC with immediate 0 throughout.
        x1, x2, x3: uint64[n_call], None = 0 throughout.
        level: uint8[n_call] of smccc.Level, None = Level.EL1 throughout. Only vCPUs with EL2 have others.
        n_vcpu: the least number that no block's vCPU reaches.
    """

    block_vcpu: NDArray[np.uint32]
    block_first: NDArray[np.int64]
    func_id: NDArray[np.uint32]
    conduit: NDArray[np.uint8] | None = None
    x1: NDArray[np.uint64] | None = None
    x2: NDArray[np.uint64] | None = None
    x3: NDArray[np.uint64] | None = None
    level: NDArray[np.uint8] | None = None
    n_vcpu: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Checks every column, because kernels trust what a batch holds.

        Raises:
            InputError: a column of another dtype, shape or length, a level that is none, or blocks that do not add up
                to the calls.
        """
        check_array("block_vcpu", self.block_vcpu, np.uint32, (np.size(self.block_vcpu),), "GroupedCalls.of")
        check_array("block_first", self.block_first, np.int64, (len(self.block_vcpu) + 1,), "GroupedCalls.of")
        for name, dtype in COLUMNS.items():
            values = getattr(self, name)
            if values is not None or name == "func_id":
                check_array(name, values, dtype, (np.size(self.func_id),), "GroupedCalls.of")
        if self.level is not None:
            check_array("level", self.level, np.uint8, (np.size(self.func_id),), "GroupedCalls.of")
            check_levels(self.level)
        for name in ("block_vcpu", "block_first"):  # before they are looked at: what is checked is what is kept
            object.__setattr__(self, name, frozen(getattr(self, name)))
        first = self.block_first
        if first[0] != 0 or first[-1] != len(self.func_id) or (first[1:] < first[:-1]).any():
            msg = f"block_first must ascend from 0 to {len(self.func_id)}, the number of calls: `of` makes it"
            raise InputError(msg)
        if len(self.block_vcpu):  # here and not by each dispatch, whose calls push what this needs out of the caches
            object.__setattr__(self, "n_vcpu", int(self.block_vcpu.max()) + 1)

    @classmethod
    def of(
        cls,
        vcpu: ArrayLike,
        func_id: ArrayLike,
        *,
        n_call: ArrayLike,
        conduit: ArrayLike | None = None,
        x1: ArrayLike | None = None,
        x2: ArrayLike | None = None,
        x3: ArrayLike | None = None,
        level: ArrayLike | None = None,
    ) -> GroupedCalls:
        """Calls in blocks: each block's vCPU and number of calls, and the columns of all calls, block after block.

        Raises:
            InputError: a column that is not one-dimensional, not as long as it must be, or holds a value that is not a
                whole number in range; counts that do not add up to the calls.

        >>> GroupedCalls.of([3, 0], [0x8400_0000, 0x8400_0053, 0x8400_0000], n_call=[2, 1]).each().vcpu
        array([3, 3, 0], dtype=uint32)
        """
        vcpus = column("vcpu", vcpu, np.uint32, each="block")
        counts = column("n_call", n_call, np.uint32, n_call=len(vcpus), each="block")
        ids = column("func_id", func_id, np.uint32)
        first = np.zeros(len(vcpus) + 1, np.int64)
        np.cumsum(counts, out=first[1:])
        total = int(first[-1])
        if total != len(ids):
            msg = f"n_call adds up to {total} calls and func_id has {len(ids)}: give one id per call"
            raise InputError(msg)

        def optional(name: str, values: ArrayLike | None) -> NDArray[np.uint64] | None:
            if values is None:
                return None
            return column(name, values, np.uint64, n_call=total, counted_by="n_call adds up to")

        def small(name: str, values: ArrayLike | None, last: int) -> NDArray[np.uint8] | None:
            if values is None:
                return None
            return column(name, values, np.uint8, n_call=total, last=last, counted_by="n_call adds up to")

        words = optional("x1", x1), optional("x2", x2), optional("x3", x3)
        conduits, levels = small("conduit", conduit, max(Conduit)), small("level", level, max(Level))
        return cls(vcpus, first, ids, conduits, *words, levels)

    @classmethod
    def from_calls(cls, calls: Calls) -> GroupedCalls:
        """The same calls in the same order, a block wherever the vCPU changes. The other columns are not copied."""
        first = np.concatenate([[0], np.flatnonzero(np.diff(calls.vcpu)) + 1, [len(calls)]]).astype(np.int64)
        first = first[: len(first) if len(calls) else 1]
        vcpu = calls.vcpu[first[:-1]].astype(np.uint32)
        return cls(vcpu, first, calls.func_id, calls.conduit, calls.x1, calls.x2, calls.x3, calls.level)

    def __len__(self) -> int:
        """Number of calls."""
        return len(self.func_id)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is checked and frozen anew, because an array that comes out of a pickle is writeable."""
        columns = (self.func_id, self.conduit, self.x1, self.x2, self.x3, self.level)
        return GroupedCalls, (self.block_vcpu, self.block_first, *columns)

    def each(self) -> Calls:
        """The same calls with a vCPU for every one. The other columns are not copied."""
        vcpu = np.empty(len(self), np.uint32)
        spread(self.block_first, self.block_vcpu, 0, 0, vcpu)
        return Calls(vcpu, self.func_id, self.conduit, self.x1, self.x2, self.x3, self.level)

    def part(self, part: slice) -> GroupedCalls:
        """The calls in a slice; none but the blocks' own columns are copied.

        Raises:
            InputError: a slice with a step other than 1.
        """
        part = whole_slice(part, len(self))
        start, stop = part.start, part.stop
        low = max(int(np.searchsorted(self.block_first, start, side="right")) - 1, 0)
        high = max(int(np.searchsorted(self.block_first, stop, side="left")), low)
        first = np.clip(self.block_first[low : high + 1], start, stop) - start
        x1, x2, x3 = (part_of(values, part) for values in (self.x1, self.x2, self.x3))
        conduit, level = part_of(self.conduit, part), part_of(self.level, part)
        return GroupedCalls(self.block_vcpu[low:high], first, self.func_id[part], conduit, x1, x2, x3, level)

    def vcpu_of(self, call: NDArray[np.integer[Any]]) -> NDArray[np.uint32]:
        """The vCPU that makes each of some calls, by number. integer[n] -> uint32[n].

        Raises:
            InputError: a number that is not one of a call.
        """
        call = np.asarray(call)
        bad = np.flatnonzero((call < 0) | (call >= len(self)))
        if bad.size:
            msg = f"there is no call {int(call[bad[0]])}: there are {len(self)} calls (0 is the first)"
            raise InputError(msg)
        return self.block_vcpu[np.searchsorted(self.block_first, call, side="right") - 1]


AnyCalls = Calls | GroupedCalls
"""A batch of calls, whichever way it came."""


def each_call(calls: AnyCalls) -> Calls:
    """Calls with a vCPU for every one, whichever way they came."""
    return calls.each() if isinstance(calls, GroupedCalls) else calls
