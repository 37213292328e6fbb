"""Dispatch of calls in blocks of one vCPU each, by one look-up a call, on any CPU."""

from __future__ import annotations

import numpy as np

from fastsmc.jit.compiled import borrowing_kernel, inner_kernel
from fastsmc.jit.simd import stand_alone
from fastsmc.jit.types import I64, U8, U16, U32, U64, u64
from fastsmc.kernels import (
    CHUNK,
    ROW_BYTES,
    ROWS_AT,
    Division,
    Places,
    Tables,
    Trees,
    bucket_of,
    group_of,
    is_key,
    unnamed,
)


@inner_kernel
def _by_row(func_id: U32, at: np.uint64, multiplier: np.uint32, table: U8, listed: U16, out: U8) -> np.uint64:
    """Decides calls of one row and lists those whose ids have no name; returns how many (kernels.by_table)."""
    stand_alone()
    n = u64(0)
    for c in range(u64(func_id.size)):
        bucket = bucket_of(func_id[c], multiplier)
        out[c] = table[at + bucket]
        if not is_key(func_id[c], bucket, table):
            listed[n] = c
            n += u64(1)
    return n


@inner_kernel
def by_one_row(func_id: U32, at: np.uint64, tables: Tables, listed: U16, out: U8) -> None:
    """Verdicts of calls that are all of the row that begins at `at` in the table."""
    row = (at - u64(ROWS_AT)) // u64(ROW_BYTES)
    for first in range(0, func_id.size, CHUNK):
        ids, verdict = func_id[first : first + CHUNK], out[first : first + CHUNK]
        for c in listed[: _by_row(ids, at, tables.multiplier, tables.table, listed, verdict)]:
            verdict[c] = unnamed(ids[c], row, tables.trees)


@borrowing_kernel
def decide_blocks(
    block_first: I64,
    block_vcpu: U32,
    func_id: U32,
    n_vcpu: int,
    magic: np.uint64,
    magic_shift: np.uint64,
    offset: U32,
    plane_bytes: np.uint64,
    multiplier: np.uint32,
    table: U8,
    search_of_row: U64,
    depth: int,
    nodes: U32,
    listed: U16,
    out: U8,
) -> None:
    """The verdict of every call by HVC in blocks of one vCPU each, whose row is looked up once per block.

    int64[n_block + 1], uint32[n_block], whose vCPUs exist, uint32[n_call], then as `kernels.decide` has it; scratch
    uint16[CHUNK] -> uint8[n_call].
    """
    by = Division(magic, magic_shift)
    tables = Tables(Places(n_vcpu, by, offset, plane_bytes), multiplier, table, Trees(search_of_row, depth, nodes))
    for block in range(block_vcpu.size):
        first, end = block_first[block], block_first[block + 1]
        by_one_row(func_id[first:end], u64(offset[group_of(block_vcpu[block], by)]), tables, listed, out[first:end])
