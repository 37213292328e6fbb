"""The jitted loops of levels: which calls a guest's own EL2 traps, and which are at a level that their vCPU lacks."""

from __future__ import annotations

import numpy as np

from fastsmc.jit.compiled import inner_kernel, kernel
from fastsmc.jit.types import U8, Index, u8, u64

BLOCK = 1024
"""Calls that are looked at together."""
_VEL1_TSC, _NOT_SMC, _ALL = u8(5), u8(2), u8(3)
_FAST_PATH, _TO_VEL2 = u8(5), u8(7)


@inner_kernel
def _bad(level: U8, vcpu: Index, lacks: U8, stops: bool) -> np.int64:
    """How many calls come before the first at a level by a vCPU that lacks it; or, unless it `stops`, 0 if any is."""
    last, bad = u64(lacks.size - 1), u8(0)
    for c in range(u64(level.size)):
        v = u64(vcpu[c])
        bad |= level[c] & lacks[v if v < last else last]
        if stops and bad:
            return np.int64(c)
    return np.int64(0) if bad else np.int64(level.size)


@kernel
def first_lacking(level: U8, vcpu: Index, lacks: U8) -> int:
    """The first call at a level other than 0 by a vCPU that has no other, or how many calls there are.

    A vCPU that was overwritten meanwhile by one that the fleet lacks counts as the last one. uint8[n_call],
    unsigned[n_call], uint8[n_vcpu]: 0 where a vCPU has levels, else 0xff.
    """
    for first in range(0, level.size, BLOCK):
        end = min(first + BLOCK, level.size)
        any_level = u8(0)
        for c in range(first, end):
            any_level |= level[c]
        if any_level and _bad(level[first:end], vcpu[first:end], lacks, False) == 0:
            return first + int(_bad(level[first:end], vcpu[first:end], lacks, True))
    return level.size


@kernel
def as_hvc(conduit: U8, level: U8, out: U8) -> None:
    """The conduits, those of SMCs that vEL1 traps as if they were HVCs. uint8[n_call] x 2 -> uint8[n_call]."""
    for c in range(conduit.size):
        out[c] = conduit[c] & (_NOT_SMC if level[c] == _VEL1_TSC else _ALL)


@kernel
def trap(conduit: U8, taken: U8, verdict: U8) -> None:
    """Gives trapped calls, whose conduits are not those they were decided by, their verdict where the fast path had it.

    uint8[n_call] x 2 -> uint8[n_call], in place.
    """
    for c in range(verdict.size):
        what = verdict[c]
        verdict[c] = _TO_VEL2 if (what == _FAST_PATH) & (conduit[c] != taken[c]) else what
