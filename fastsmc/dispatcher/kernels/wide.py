"""Dispatch by wide registers: passes over some thousand calls, for CPUs with AVX-512, VBMI and VBMI2.

Classes first, 64 calls a step; then verdicts, by look-ups in registers: of calls of one row, or of rows that are bits;
of others by a load each; then the ids that a range may decide. What one pass leaves to the next stays in L1. Nothing
here may be compiled unless `jit.level.HAS_WIDE`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.dispatcher.kernels.passes import (
    CHUNK,
    LONG_CHUNK,
    STEP,
    Chunk,
    by_runs,
    classes_and_unknown,
    classes_of,
    codes_of,
    count,
    rows_of,
    span_of,
    spans_of,
)
from fastsmc.dispatcher.kernels.search import Searches, begin_search, end_search
from fastsmc.dispatcher.kernels.steps import ask_ahead, ask_soon, bits_step, fold_row, mixed_step, small_step
from fastsmc.dispatcher.kernels.vcpu_steps import group_step
from fastsmc.jit.compiled import borrowing_kernel, inlined_kernel, inner_kernel
from fastsmc.jit.simd import finish_streams
from fastsmc.jit.types import U8, U16, U32, U64, Index, u32, u64
from fastsmc.jit.words import store_word
from fastsmc.kernels import N_BIT_VCPU, Division, Groups, Trees


class RowIndex(NamedTuple):
    """Which row each vCPU has (rows.Rows), where rows change, and which row as bits it has (bit_rows.BitRows)."""

    groups: Groups
    run_of_group: U32
    bit_groups: Groups


class RowTables(NamedTuple):
    """What becomes of each class in each row (rows.Rows), as bytes, as fields of four bits and as bits."""

    n_row: np.uint32
    multiplier: np.uint32
    lookup: U8
    verdict: U8
    packed: U8
    byte_bits: np.uint32
    bits: U8


class Counter(NamedTuple):
    """Cells by VM and code, uint32[n_vm, 1 or 0, N_CODE], and the VM of each vCPU."""

    vm_of_vcpu: U32
    counts: U32


class Room(NamedTuple):
    """Memory for what one pass leaves to the next: of each call, and `folded`, the table of one row."""

    classes: U8
    code: U8
    folded: U8
    bit_row: U8
    row: U32
    vcpu: Index
    searches: Searches


class How(NamedTuple):
    """How a pass runs. `asks`: ids are prefetched. `is_small`: few vCPUs. `streams`: verdicts go around the caches."""

    asks: bool
    is_small: bool
    streams: bool


@inner_kernel
def by_small_bits(vcpu: Index, classes: U8, bits: U8, streams: bool, out: U8) -> None:
    """Verdicts of calls by HVC in a fleet of up to N_BIT_VCPU vCPUs, of any rows that are bits.

    unsigned[n_call], uint8[n_call], bit_rows.BitRows.table -> uint8[n_call].
    """
    for step in range(0, out.size, STEP):
        ask_ahead(vcpu, u64(step))
        if not streams:
            ask_ahead(out, u64(step))
        small_step(classes, vcpu, u64(min(step, out.size - STEP)), bits, streams, out)


@inner_kernel
def by_bits(func_id: U32, vcpu: Index, bit_groups: Groups, classes: U8, bits: U8, row: U8, group: U32, out: U8) -> None:
    """Verdicts of calls by HVC in a fleet of any size, of any rows that are bits.

    unsigned[n_call] x 2, groups of bit_rows.BitRows.row_of_group, uint8[n_call], bit_rows.BitRows.table -> scratch,
    uint8[n_call] and uint32[STEP]; uint8[n_call].
    """
    last = u64(0)
    for step in range(0, out.size, STEP):
        at = u64(min(step, out.size - STEP))
        ask_soon(func_id, at)
        ask_soon(vcpu, at)
        group_step(vcpu, at, bit_groups.by.magic, bit_groups.by.shift, u32(bit_groups.row.size - 1), group)
        for first in range(0, STEP, 8):
            word = u64(0)
            for j in range(8):
                word |= u64(bit_groups.row[group[first + j]]) << u64(8 * j)
            store_word(row, at + u64(first), word)
        if step:
            bits_step(classes, last, bits, row, out)
        last = at
    bits_step(classes, last, bits, row, out)


@inlined_kernel
def verdicts_of(calls: Chunk, is_one: bool, rows: RowIndex, tables: RowTables, room: Room, how: How) -> bool:
    """Decides a chunk whose classes are known; returns whether the next chunk had better prefetch its ids."""
    by_hvc, groups = calls.conduit.size == 0, rows.groups
    if by_hvc and by_runs(calls.vcpu, is_one, groups, rows.run_of_group, room.classes, tables.verdict, calls.out):
        return False
    if by_hvc and tables.bits.size > 0:
        if how.is_small:
            by_small_bits(calls.vcpu, room.classes, tables.bits, how.streams, calls.out)
        else:
            scratch = (room.bit_row, room.row)
            by_bits(calls.func_id, calls.vcpu, rows.bit_groups, room.classes, tables.bits, *scratch, calls.out)
        return how.is_small
    if by_hvc:
        rows_of(calls.vcpu, calls.conduit, groups, tables.n_row, room.row)
    for step in range(0, calls.out.size, STEP):
        at = u64(min(step, calls.out.size - STEP))
        mixed_step(room.classes, at, tables.packed, tables.byte_bits, room.row, calls.out)
    return False


@inlined_kernel
def decide_chunk(
    calls: Chunk, span: U64, rows: RowIndex, tables: RowTables, trees: Trees, counter: Counter, room: Room, how: How
) -> bool:
    """Decides one chunk and counts it; returns whether the next chunk had better prefetch its ids.

    Classes come first, then verdicts by class; ids that a range may decide are searched for before and after that.
    """
    by_hvc, coded, searches = calls.conduit.size == 0, len(counter.counts) > 0, room.searches
    is_one = by_hvc and rows.run_of_group[span[0]] == rows.run_of_group[span[1]]
    is_folded, asks, n = is_one and not coded, False, 0
    if is_folded:
        fold_row(tables.lookup, tables.verdict, u32(rows.groups.row[span[0]]), room.folded)
    table, found = (room.folded, calls.out) if is_folded else (tables.lookup, room.classes)
    if trees.depth > 0:
        its = (calls.func_id, tables.multiplier, tables.lookup, table, found)
        n = classes_and_unknown(*its, searches.listed)
    else:
        classes_of(calls.func_id, tables.multiplier, tables.lookup, table, how.asks, found)
    if not by_hvc:
        rows_of(calls.vcpu, calls.conduit, rows.groups, tables.n_row, room.row)
    begun = Searches(searches.listed[:n], searches.ids, searches.node, searches.default)
    if n:
        its_row = room.row[:0] if by_hvc else room.row
        begin_search(begun, calls.func_id, calls.vcpu, its_row, rows.groups, trees)
    if not is_folded:
        asks = verdicts_of(calls, is_one, rows, tables, room, how)
    if coded:
        codes_of(room.classes, tables.lookup, calls.out, room.code)
    if n:
        end_search(begun, tables.lookup, trees.nodes, calls.out, room.code)
    if coded:
        code = room.code[: calls.out.size]
        count(code, calls.vcpu, calls.n_again, counter.vm_of_vcpu, room.vcpu, counter.counts)
    return asks


@borrowing_kernel
def decide(
    func_id: U32,
    vcpu: Index,
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
    byte_bits: np.uint32,
    bit_row_of_group: U8,
    bit_row: U8,
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
    own: Index,
    out: U8,
) -> int:
    """The verdict of every call of at least 64, arguments not looked at; how many were decided before a bad vCPU.

    A last step of fewer than 64 calls is moved back over calls decided before, which get the same verdicts again.
    As `kernels.decide` has it, with all of rows.Rows; whether verdicts are better written around the caches; scratch:
    uint64[n_chunk or 1, 2], with one of each chunk if all vCPUs are to be looked at before the first verdict is
    written, uint8[5, ROOM], uint16[ROOM], uint32[3, ROOM], `vcpu`'s type[COUNTED] -> uint8[n_call].
    """
    by = Division(magic, magic_shift)
    rows = RowIndex(Groups(by, row_of_group), run_of_group, Groups(by, bit_row_of_group))
    tables = RowTables(n_row, multiplier, lookup, verdict, packed, byte_bits, bit_row)
    trees, counter = Trees(search_of_row, depth, nodes), Counter(vm_of_vcpu, counts)
    searches = Searches(scratch16, scratch32[1], scratch32[2], scratch8[2])
    room = Room(scratch8[0], scratch8[1], scratch8[4], scratch8[3], scratch32[0], own, searches)
    chunk, looks_first = LONG_CHUNK if depth > 0 else CHUNK, len(spans) > 1
    may_stream = streams and not (len(counts) > 0 or depth > 0)  # or verdicts are read or written again
    asks = func_id.size < 0  # false, but not by its type, which would compile `classes_of` twice
    if looks_first and not spans_of(vcpu, chunk, n_vcpu, by, spans):
        return 0
    for start in range(0, func_id.size, chunk):
        end = min(start + chunk, func_id.size)
        first = min(start, end - STEP)
        calls = Chunk(func_id[first:end], vcpu[first:end], conduit[first:end], out[first:end], start - first)
        span = spans[start // chunk if looks_first else 0]
        if not looks_first and not span_of(calls.vcpu, n_vcpu, by, span):
            return start
        how = How(asks, n_vcpu <= N_BIT_VCPU, may_stream)
        asks = decide_chunk(calls, span, rows, tables, trees, counter, room, how)
    if may_stream:
        finish_streams()
    return func_id.size
