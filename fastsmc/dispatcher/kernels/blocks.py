"""Dispatch of calls in blocks of one vCPU each, by wide registers: what a vCPU decides is looked up once per block.

Nothing here may be compiled unless `jit.level.HAS_WIDE`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.dispatcher.kernels.passes import CHUNK, STEP, classes_of
from fastsmc.dispatcher.kernels.steps import bits_step, fold_row, mixed_step
from fastsmc.jit.compiled import borrowing_kernel, inner_kernel
from fastsmc.jit.types import I64, U8, U32, Index, u64
from fastsmc.kernels import Division, Groups, group_of, row_of

LONG_BLOCK = 256
"""Blocks of so many calls and more are decided one by one. Folding a row costs as much as four steps then save."""


class Blocks(NamedTuple):
    """Calls in blocks: the number of each block's first call, and its vCPU."""

    first: I64
    vcpu: U32


@inner_kernel
def spread_rows(blocks: Blocks, block: int, start: int, end: int, groups: Groups, row: Index) -> None:
    """Writes the row of each call from `start`, in block `block`, to `end`; up to 63 more elements are written.

    The first call and the end -> unsigned[end - start + 63].
    """
    at = start
    while at < end:
        its_row = groups.row[group_of(blocks.vcpu[block], groups.by)]
        block_end = min(blocks.first[block + 1], end)
        for first in range(at - start, block_end - start, STEP):
            place = u64(first)
            for lane in range(STEP):  # whole stores, and no branch that a short block's length decides
                row[place + u64(lane)] = its_row
        at, block = max(block_end, at), block + 1


@inner_kernel
def end_of_stretch(blocks: Blocks, block: int, start: int, n_call: int) -> tuple[int, int]:
    """Where a stretch of short blocks that begins with `block` ends, and the number of the block after it."""
    at = start
    while at < n_call and at < start + CHUNK:
        end = min(blocks.first[block + 1], n_call)
        if end - at >= LONG_BLOCK:
            break
        at, block = end, block + 1
    return at, block


@borrowing_kernel
def decide_blocks(
    block_first: I64,
    block_vcpu: U32,
    func_id: U32,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: Index,
    multiplier: np.uint32,
    lookup: U8,
    verdict: U8,
    packed: U8,
    byte_bits: np.uint32,
    bit_row_of_group: U8,
    bit_row: U8,
    scratch8: U8,
    scratch32: U32,
    out: U8,
) -> None:
    """The verdict of every call of at least 64 by HVC, no range looked at and nothing counted.

    A long block is decided as one row; a stretch of short ones with a row per call. Where a stretch is shorter than a
    step, calls of a neighbouring block are decided with it, and once more with their own block.

    int64[n_block + 1], uint32[n_block], whose vCPUs exist, uint32[n_call], then rows.Rows; scratch as
    `wide.decide` has it -> uint8[n_call].
    """
    blocks, by = Blocks(block_first, block_vcpu), Division(magic, magic_shift)
    groups, bit_groups = Groups(by, row_of_group), Groups(by, bit_row_of_group)
    classes, byte_row, folded, row = scratch8[0], scratch8[3], scratch8[4], scratch32[0]
    at, block, has_bits = 0, 0, bit_row.size > 0
    while at < func_id.size:
        end = min(block_first[block + 1], func_id.size)
        if end - at >= LONG_BLOCK:
            fold_row(lookup, verdict, row_of(block_vcpu[block], groups), folded)
            classes_of(func_id[at:end], multiplier, lookup, folded, False, out[at:end])
            at, block = end, block + 1
            continue
        start, its_block = at, block
        at, block = end_of_stretch(blocks, block, at, func_id.size)
        end = min(max(at, start + STEP), func_id.size)
        start = min(start, end - STEP)
        while block_first[its_block] > start:
            its_block -= 1
        classes_of(func_id[start:end], multiplier, lookup, lookup, False, classes)
        verdicts = out[start:end]
        if has_bits:
            spread_rows(blocks, its_block, start, end, bit_groups, byte_row)
        else:
            spread_rows(blocks, its_block, start, end, groups, row)
        for step in range(0, verdicts.size, STEP):
            place = u64(min(step, verdicts.size - STEP))
            if has_bits:
                bits_step(classes, place, bit_row, byte_row, verdicts)
            else:
                mixed_step(classes, place, packed, byte_bits, row, verdicts)
