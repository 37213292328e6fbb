"""A VM's SMCCC filter as sorted ranges: what may be inserted, and the step function a kernel searches.

Source: Linux arch/arm64/kvm/hypercalls.c since 6.4; Documentation/virt/kvm/devices/vm.rst, KVM_ARM_VM_SMCCC_FILTER.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from errno import EBUSY, EEXIST, EINVAL

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import whole
from fastsmc.errors import InputError
from fastsmc.facts.releases import Release
from fastsmc.facts.smccc import RESERVED_RANGES, FilterAction

_LAST_ID = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class FilterRange:
    """One insert: `nr_functions` ids from `base` on get `action`; u32, u32, u8 as in struct kvm_smccc_filter."""

    base: int
    nr_functions: int
    action: FilterAction | int

    def __post_init__(self) -> None:
        whole("filter range base (u32)", self.base, last=_LAST_ID)
        whole("filter range nr_functions (u32)", self.nr_functions, last=_LAST_ID)
        whole("filter range action (u8)", self.action, last=0xFF)

    @property
    def last(self) -> int:
        """The last id covered, modulo 2**32 as KVM computes it."""
        return (int(self.base) + int(self.nr_functions) - 1) & _LAST_ID

    def __str__(self) -> str:
        return f"0x{self.base:08x}+{self.nr_functions}"


def listed(ranges: object) -> list[FilterRange]:
    """One range or several, as a list.

    Raises:
        InputError: something else.
    """
    if isinstance(ranges, FilterRange):
        return [ranges]
    if not isinstance(ranges, Iterable):
        msg = f"ranges is {ranges!r}: give a FilterRange, or a list of them"
        raise InputError(msg)
    wanted = list(ranges)
    for r, one in enumerate(wanted):
        if not isinstance(one, FilterRange):
            msg = f"ranges[{r}] is {one!r}: give a FilterRange(base, nr_functions, action)"
            raise InputError(msg)
    return wanted


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


def refusal(new: FilterRange, errno: int, *, old: Filter, rules: Release) -> str:
    """Why a release refused to insert a range into a filter: the one reason that KVM comes to first."""
    if errno == EBUSY:
        return "the VM has run: install filters before the first KVM_RUN"
    if errno == EEXIST:
        everything = "base 0 with nr_functions 0 stands for all ids, so " if new.nr_functions == 0 else ""
        return f"{everything}it overlaps {_met(new, old)}; ranges must be disjoint"
    if not rules.has_filter:
        return f"Linux {rules.name} has no SMCCC filter: it came with 6.4"
    if new.action > FilterAction.FWD_TO_USER:
        return f"action {int(new.action)} is none of HANDLE (0), DENY (1) and FWD_TO_USER (2)"
    if new.nr_functions == 0:
        return "nr_functions is 0: it must be 1 or more"
    return f"it ends past 0xffffffff: from that base on, nr_functions can be {_LAST_ID - int(new.base) + 1} at most"


def _met(new: FilterRange, old: Filter) -> str:
    """The first reserved or installed range that a new one meets."""
    for first, last in RESERVED_RANGES:
        if first <= new.last and new.base <= last:
            return f"0x{first:08x}-0x{last:08x}, which is reserved for Arm architecture calls"
    first, last, action = next(r for r in old.ranges if r[0] <= new.last and new.base <= r[1])
    return f"the installed range {FilterRange(first, last - first + 1, action)} ({FilterAction(action).name})"


def _insert_errno(taken: list[tuple[int, int, int]], new: FilterRange, empty_at_0_errno: int) -> int:
    if malformed(new, empty_at_0_errno=empty_at_0_errno):
        return EINVAL
    index = bisect_right(taken, new.last, key=lambda r: r[0]) - 1  # the last range that starts at or before our end
    return EEXIST if index >= 0 and taken[index][1] >= new.base else 0
