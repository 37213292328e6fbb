"""A VM's SMCCC filter as sorted ranges: what may be inserted, and the step function a kernel searches.

Source: Linux arch/arm64/kvm/hypercalls.c since 6.4; Documentation/virt/kvm/devices/vm.rst, KVM_ARM_VM_SMCCC_FILTER.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from errno import EEXIST, EINVAL

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.smccc import RESERVED_RANGES, FilterAction

_LAST_ID = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class FilterRange:
    """One insert: `nr_functions` ids from `base` on get `action`; u32, u32, u8 as in struct kvm_smccc_filter."""

    base: int
    nr_functions: int
    action: FilterAction | int

    def __post_init__(self) -> None:
        for name, value, bits in (
            ("base", self.base, 32),
            ("nr_functions", self.nr_functions, 32),
            ("action", self.action, 8),
        ):
            if not 0 <= int(value) < 1 << bits:
                msg = f"filter range {name} {value} does not fit u{bits}: give 0 to {hex((1 << bits) - 1)}"
                raise InputError(msg)

    @property
    def last(self) -> int:
        """The last id covered, modulo 2**32 as KVM computes it."""
        return (int(self.base) + int(self.nr_functions) - 1) & _LAST_ID

    def __str__(self) -> str:
        return f"0x{self.base:08x}+{self.nr_functions}"


@dataclass(frozen=True, slots=True)
class Filter:
    """The ranges one VM has installed, disjoint and ascending; equal filters compare and hash equal."""

    ranges: tuple[tuple[int, int, int], ...] = ()  # (first, last, action)

    def __len__(self) -> int:
        return len(self.ranges)

    def steps(self) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """The filter as a step function: from `start[i]` on, up to the next start, ids get `action[i]`.

        Returns:
            start: uint32[n_step], ascending, start[0] = 0; action: uint8[n_step], FilterAction.
        """
        start, action = [0], [int(FilterAction.HANDLE)]
        for first, last, what in self.ranges:
            if start[-1] == first:
                action[-1] = what
            else:
                start.append(first)
                action.append(what)
            if last < _LAST_ID:
                start.append(last + 1)
                action.append(int(FilterAction.HANDLE))
        return np.array(start, np.uint32), np.array(action, np.uint8)

    def action(self, func_id: int) -> FilterAction:
        """The action for one id; HANDLE where no range covers it. Cost: O(log n_range)."""
        index = bisect_right(self.ranges, func_id, key=lambda r: r[0]) - 1
        if index >= 0 and func_id <= self.ranges[index][1]:
            return FilterAction(self.ranges[index][2])
        return FilterAction.HANDLE


def inserted(old: Filter, ranges: Iterable[FilterRange], *, empty_at_0_errno: int) -> tuple[Filter, list[int]]:
    """The filter after a list of inserts into a VM that has not run, and each insert's errno.

    Each insert stands alone: one that fails (EINVAL, then EEXIST) leaves the others in.

    Args:
        empty_at_0_errno: what this release says to base 0, nr_functions 0 (`Release.filter_empty_at_0_errno`).

    Cost: O(n_range) per insert for the list, O(log n_range) for the search.
    """
    taken = sorted((*old.ranges, *((first, last, -1) for first, last in RESERVED_RANGES)))
    errnos = []
    for new in ranges:
        errno = _insert_errno(taken, new, empty_at_0_errno)
        errnos.append(errno)
        if errno == 0:
            taken.insert(bisect_right(taken, new.base, key=lambda r: r[0]), (int(new.base), new.last, int(new.action)))
    return Filter(tuple(r for r in taken if r[2] >= 0)), errnos


def malformed(new: FilterRange, *, empty_at_0_errno: int) -> bool:
    """Whether KVM refuses the range with EINVAL before it looks at the VM."""
    if new.action > FilterAction.FWD_TO_USER or new.last < new.base:
        return True
    return new.base == 0 and new.nr_functions == 0 and empty_at_0_errno == EINVAL


def _insert_errno(taken: list[tuple[int, int, int]], new: FilterRange, empty_at_0_errno: int) -> int:
    if malformed(new, empty_at_0_errno=empty_at_0_errno):
        return EINVAL
    index = bisect_right(taken, new.last, key=lambda r: r[0]) - 1  # the last range that starts at or before our end
    return EEXIST if index >= 0 and taken[index][1] >= new.base else 0
