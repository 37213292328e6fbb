"""Dispatch of calls in blocks of one vCPU each, by wide registers: a long block needs no vCPU per call.

Nothing here may be compiled unless `_jit.HAS_WIDE`.
"""

from __future__ import annotations

import numpy as np

from fastsmc._jit import borrowing_kernel, inner_kernel
from fastsmc.kernels import I64, U8, U16, U32, U64, Index, group_of, spread
from fastsmc.kernels_steps import bits_step, fold_row
from fastsmc.kernels_wide import CHUNK, STEP, classes_of, decide

LONG_BLOCK = 256
"""Calls from which on a block is decided by itself. Folding its row costs as much as four steps then save."""


@inner_kernel
def spread_rows(
    block_first: I64,
    block_vcpu: U32,
    block: int,
    start: int,
    end: int,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: U8,
    row: U8,
) -> None:
    """The row of each call of a stretch that begins in that block; up to 63 more elements are written.

    int64[n_block + 1], uint32[n_block], the first call and the end, then bit_rows.BitRows -> uint8[end - start + 63].
    """
    at = start
    while at < end:
        its_row = row_of_group[group_of(block_vcpu[block], magic, magic_shift)]
        block_end = min(block_first[block + 1], end)
        for first in range(at - start, block_end - start, STEP):
            place = np.uint64(first)
            for lane in range(STEP):  # one store, and no branch that a short block's length decides
                row[place + np.uint64(lane)] = its_row
        at, block = max(block_end, at), block + 1


@borrowing_kernel
def decide_blocks(
    block_first: I64,
    block_vcpu: U32,
    its_vcpu: U32,
    func_id: U32,
    conduit: U8,
    n_vcpu: int,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: Index,
    run_of_group: U32,
    n_row: np.uint32,
    multiplier: np.uint32,
    lookup: U8,
    verdict: U8,
    packed: U8,
    bit_row_of_group: U8,
    bit_row: U8,
    byte_bits: np.uint32,
    search_of_row: U64,
    depth: int,
    nodes: U32,
    vm_of_vcpu: U32,
    counts: U32,
    streams: bool,
    spans: U64,
    scratch8: U8,
    scratch16: U16,
    scratch32: U32,
    out: U8,
) -> None:
    """The verdict of every call of at least 64 by HVC, no range looked at and nothing counted.

    A stretch of short blocks is decided as calls of any rows are, `kernels_wide.decide` doing it where these are no
    bits. Where it is shorter than a step, calls of a neighbouring block are decided with it and by themselves as well.

    int64[n_block + 1], uint32[n_block], whose vCPUs exist; scratch: uint32[CHUNK + LONG_BLOCK + STEP]; then as
    `kernels_wide.decide` has it, with `conduit` and `counts` empty and `depth` 0 -> uint8[n_call].
    """
    at, block, folded = 0, 0, scratch8[4]
    while at < func_id.size:
        end = min(block_first[block + 1], func_id.size)
        if end - at >= LONG_BLOCK:
            its_row = np.uint32(row_of_group[group_of(block_vcpu[block], magic, magic_shift)])
            fold_row(lookup, verdict, its_row, folded)
            classes_of(func_id[at:end], multiplier, lookup, folded, False, out[at:end])
            at, block = end, block + 1
            continue
        start, its_block = at, block
        while at < func_id.size and at < start + CHUNK:
            end = min(block_first[block + 1], func_id.size)
            if end - at >= LONG_BLOCK:
                break
            at, block = end, block + 1
        end = min(max(at, start + STEP), func_id.size)
        start = min(start, end - STEP)
        while block_first[its_block] > start:
            its_block -= 1
        if bit_row.size:
            classes, row, verdicts = scratch8[0], scratch8[3], out[start:end]
            classes_of(func_id[start:end], multiplier, lookup, lookup, False, classes)
            spread_rows(block_first, block_vcpu, its_block, start, end, magic, magic_shift, bit_row_of_group, row)
            for step in range(0, verdicts.size, STEP):
                bits_step(classes, np.uint64(min(step, verdicts.size - STEP)), bit_row, row, verdicts)
            continue
        vcpu = its_vcpu[: end - start]
        spread(block_first, block_vcpu, its_block, start, vcpu)
        decide(
            func_id[start:end],
            vcpu,
            conduit,
            n_vcpu,
            magic,
            magic_shift,
            row_of_group,
            run_of_group,
            n_row,
            multiplier,
            lookup,
            verdict,
            packed,
            bit_row_of_group,
            bit_row,
            byte_bits,
            search_of_row,
            depth,
            nodes,
            vm_of_vcpu,
            counts,
            streams,
            spans,
            scratch8,
            scratch16,
            scratch32,
            out[start:end],
        )
