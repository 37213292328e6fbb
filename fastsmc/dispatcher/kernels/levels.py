"""The jitted loops of levels: which calls a guest's own EL2 traps, and which are at a level that their vCPU lacks."""

from __future__ import annotations

from fastsmc.jit.compiled import kernel
from fastsmc.jit.types import U8, Flags, Index, u8, u64

BLOCK = 1024
"""Calls that are looked at together."""
_VEL1_TSC, _SMC, _NOT_SMC = u8(5), u8(1), u8(2)


@kernel
def first_lacking(level: U8, vcpu: Index, has_el2: Flags) -> int:
    """The first call at a level by a vCPU that has none, or how many calls there are; without branches in a block.

    A vCPU that was overwritten meanwhile by one that the fleet lacks counts as the last one. uint8[n_call],
    unsigned[n_call], bool[n_vcpu].
    """
    last = u64(has_el2.size - 1)
    for first in range(0, level.size, BLOCK):
        end = min(first + BLOCK, level.size)
        lacks = False
        for c in range(first, end):
            v = u64(vcpu[c])
            lacks |= (level[c] != u8(0)) & ~has_el2[v if v < last else last]
        if lacks:
            for c in range(first, end):
                v = u64(vcpu[c])
                if level[c] != u8(0) and not has_el2[v if v < last else last]:
                    return c
    return level.size


@kernel
def as_hvc(conduit: U8, level: U8, out: U8) -> None:
    """The conduits, those of SMCs that vEL1 traps as if they were HVCs. uint8[n_call] x 2 -> uint8[n_call]."""
    for c in range(conduit.size):
        out[c] = conduit[c] & (_NOT_SMC if level[c] == _VEL1_TSC else u8(3))
