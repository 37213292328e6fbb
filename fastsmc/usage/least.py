"""The least policy that answers what a guest called, and the proof: the calls dispatched again, verdict by verdict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastsmc.calls.workload import Calls
from fastsmc.checks import LAST_U32
from fastsmc.dispatcher.batch import verdicts
from fastsmc.errors import CheckError
from fastsmc.facts.registers import BITMAP_REGISTERS
from fastsmc.facts.releases import Release
from fastsmc.facts.smccc import FUNCTION_BY_ID, RESERVED_RANGES, FilterAction, Gate, Verdict
from fastsmc.fleet.filters import FilterRange
from fastsmc.usage.policy import Policy


def bits_used(func_ids: Sequence[int], verdict: Sequence[int]) -> dict[str, int]:
    """The bits that the calls need, by bitmap register: those of the functions that the kernel answered."""
    bits = {row.name: 0 for row in BITMAP_REGISTERS}
    names = [row.name for row in BITMAP_REGISTERS]
    for func_id, what in zip(func_ids, verdict, strict=True):
        function = FUNCTION_BY_ID.get(func_id)
        if function and function.gate is Gate.BITMAP and what == Verdict.HANDLED:
            bits[names[function.bitmap]] |= 1 << function.bit
    return bits


def least_bitmaps(rules: Release, bits: dict[str, int]) -> tuple[tuple[str, int], ...]:
    """The words to set, of the bitmap registers that the release has."""
    return tuple((name, bits[name]) for name in bits if name in rules.fw_registers)


def least_filter(rules: Release, func_ids: Sequence[int]) -> tuple[FilterRange, ...]:
    """Ranges that deny every id that was not called; none before 6.4.

    An id that was called is in none of them, whatever its verdict. What KVM denies by itself it denies without a range;
    and where a filter of the VMM's has the id, to answer it, another range over it would be refused. The ranges of Arm
    architecture calls may not be filtered.
    """
    if not rules.has_filter:
        return ()
    kept = [(i, i) for i in func_ids]
    ranges, begin = [], 0
    for first, last in sorted([*kept, *RESERVED_RANGES]):
        if first > begin:
            ranges.append(FilterRange(begin, first - begin, FilterAction.DENY))
        begin = max(begin, last + 1)
    if begin <= LAST_U32:
        ranges.append(FilterRange(begin, LAST_U32 + 1 - begin, FilterAction.DENY))
    return tuple(ranges)


def forwarding(rules: Release, func_ids: Sequence[int]) -> Policy:
    """A VM that nobody configured, but for a filter that hands these functions to the VMM."""
    ranges = [FilterRange(i, 1, FilterAction.FWD_TO_USER) for i in sorted(func_ids)] if rules.has_filter else []
    return Policy(ranges=tuple(ranges))


def least(rules: Release, calls: Calls, base: Policy, before: NDArray[np.uint8]) -> Policy:
    """The least bitmaps and filter under which every call gets the verdict it got before.

    Args:
        base: `forwarding`, of the functions that the VMM answered.
        before: uint8[n_call], the verdicts under it.

    Raises:
        CheckError: a call that gets another verdict under the bitmaps, the filter or both: a fault of fastsmc.

    Cost: three dispatches of the calls.
    """
    ids, at = np.unique(calls.func_id, return_index=True)
    bitmaps = least_bitmaps(rules, bits_used(ids.tolist(), before[at].tolist()))
    ranges = (*least_filter(rules, ids.tolist()), *base.ranges)
    for policy in (Policy(bitmaps, None, base.ranges), Policy(ranges=ranges), Policy(bitmaps, None, ranges)):
        changed = np.flatnonzero(verdicts(policy.fleet(rules.name), calls) != before)
        if changed.size:
            func_id = int(calls.func_id[changed[0]])
            message = f"under the least policy ({policy}) 0x{func_id:08x} would get another verdict; please report this"
            raise CheckError(message)
    return Policy(bitmaps, None, ranges)
