"""Dispatch by registers that hold a row, but not all rows: for CPUs with AVX-512 but no VBMI, with AVX2, or with NEON.

Calls of one row, or in steps of one row, are decided by look-ups in registers, as by wide ones. Of others the classes
are looked up in registers, then each verdict is loaded from a table of rows by vCPU; in a fleet whose table would be
too large, and by other conduits than HVC, calls are decided one by one (kernels.by_table). A gather is no help: three
for eight calls took 2.5x the time of the loads.
Nothing here may be compiled unless `jit.level.HAS_VECTORS`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.dispatcher.kernels.load_steps import field_step, load_step, place_step
from fastsmc.dispatcher.kernels.one_row import by_one_row
from fastsmc.dispatcher.kernels.passes import (
    CHUNK,
    STEP,
    Chunk,
    by_runs,
    classes_and_unknown,
    classes_of,
    codes_of,
    count,
    is_run,
    span_of,
    spans_of,
)
from fastsmc.dispatcher.kernels.search import Searches, begin_search, end_search
from fastsmc.dispatcher.kernels.steps import ask_ahead, fold_row
from fastsmc.jit.compiled import borrowing_kernel, inlined_kernel, inner_kernel
from fastsmc.jit.types import I64, U8, U16, U32, U64, Index, u32, u64
from fastsmc.kernels import (
    Columns,
    Division,
    Groups,
    Places,
    Tables,
    Trees,
    by_table,
    count_by_table,
    group_of,
    row_of,
)

LONG_BLOCK = 128
"""Blocks of so many calls and more are decided by registers. Folding a row costs as much as 20 look-ups."""


class ByRow(NamedTuple):
    """What decides calls of one row by registers (rows.Rows)."""

    groups: Groups
    run_of_group: U32
    lookup: U8
    verdict: U8
    by_vcpu: U8
    byte_bits: np.uint32


class How(NamedTuple):
    """How a chunk is decided. `is_one`: all calls are of one row. `asks`: ids are prefetched. `is_coded`: counted."""

    is_one: bool
    asks: bool
    is_coded: bool


class Room(NamedTuple):
    """Memory for what one pass leaves to the next: of each call, and `folded`, the table of one row."""

    classes: U8
    code: U8
    folded: U8
    pair: U8
    place: U32
    vcpu: Index
    searches: Searches


@inner_kernel
def by_loads(calls: Chunk, by_row: ByRow, last: np.uint32, room: Room) -> None:
    """Verdicts of calls by HVC of any rows, a load each from a table of packed rows by vCPU.

    Where a step's verdicts are is found while those of the step before are loaded. `last`: the last vCPU.
    """
    vcpu, classes, place, before = calls.vcpu, room.classes, room.place, u64(0)
    place_step(classes, vcpu, before, last, by_row.byte_bits, place, before)
    for step in range(STEP, calls.out.size, STEP):
        at, turn = u64(min(step, calls.out.size - STEP)), u64(step & STEP)
        ask_ahead(vcpu, at)
        ask_ahead(calls.out, at)
        place_step(classes, vcpu, at, last, by_row.byte_bits, place, turn)
        load_step(place, turn ^ u64(STEP), by_row.by_vcpu, room.pair, before)
        before = at
    load_step(place, u64((calls.out.size - 1) & STEP), by_row.by_vcpu, room.pair, before)
    for step in range(0, calls.out.size, STEP):
        field_step(classes, room.pair, u64(min(step, calls.out.size - STEP)), calls.out)


@inlined_kernel
def _by_classes(calls: Chunk, group: np.uint64, how: How, by_row: ByRow, tables: Tables, room: Room) -> bool:
    """Decides a chunk of calls by HVC by their classes; whether it could: in a large fleet by steps of one row only.

    `group`: one of the calls' groups, looked at before, as another thread may write to the column.
    """
    trees, searches, its, n = tables.trees, room.searches, by_row, 0
    is_folded = how.is_one and not how.is_coded
    if is_folded:
        fold_row(its.lookup, its.verdict, u32(its.groups.row[group]), room.folded)
    table, found = (room.folded, calls.out) if is_folded else (its.lookup, room.classes)
    if trees.depth > 0:
        n = classes_and_unknown(calls.func_id, tables.multiplier, its.lookup, table, found, searches.listed)
    else:
        classes_of(calls.func_id, tables.multiplier, its.lookup, table, how.asks, found)
    if not is_folded and not by_runs(
        calls.vcpu, how.is_one, its.groups, its.run_of_group, room.classes, its.verdict, calls.out
    ):
        if its.by_vcpu.size == 0:
            return False
        by_loads(calls, its, u32(tables.places.n_vcpu - 1), room)
    if how.is_coded:
        codes_of(room.classes, its.lookup, calls.out, room.code)
    if n:
        begun = Searches(searches.listed[:n], searches.ids, searches.node, searches.default)
        begin_search(begun, calls.func_id, calls.vcpu, searches.ids[:0], its.groups, trees)
        end_search(begun, its.lookup, trees.nodes, calls.out, room.code)
    return True


@borrowing_kernel
def decide(
    func_id: U32,
    vcpu: Index,
    conduit: U8,
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
    group_magic: np.uint64,
    group_shift: np.uint64,
    row_of_group: Index,
    run_of_group: U32,
    lookup: U8,
    verdict: U8,
    by_vcpu: U8,
    byte_bits: np.uint32,
    vm_of_vcpu: U32,
    counts: U32,
    spans: U64,
    scratch8: U8,
    scratch16: U16,
    scratch32: U32,
    own: Index,
    out: U8,
) -> int:
    """The verdict of every call of at least 64, arguments not looked at; how many were decided before a bad vCPU.

    As `kernels.decide` has it, then what rows have in registers (rows.Rows), and as `wide.decide` has it.
    """
    places = Places(n_vcpu, Division(magic, magic_shift), offset, plane_bytes)
    tables = Tables(places, multiplier, table, Trees(search_of_row, depth, nodes))
    groups = Groups(Division(group_magic, group_shift), row_of_group)
    by_row = ByRow(groups, run_of_group, lookup, verdict, by_vcpu, byte_bits)
    searches = Searches(scratch16, scratch32[1], scratch32[2], scratch8[2])
    room = Room(scratch8[0], scratch8[1], scratch8[4], scratch8[3], scratch32[0], own, searches)
    by_hvc, looks_first, is_coded = conduit.size == 0, len(spans) > 1, len(counts) > 0
    if looks_first and not spans_of(vcpu, CHUNK, n_vcpu, groups.by, spans):
        return 0
    for start in range(0, func_id.size, CHUNK):
        end = min(start + CHUNK, func_id.size)
        first = min(start, end - STEP)
        calls = Chunk(func_id[first:end], vcpu[first:end], conduit[first:end], out[first:end], start - first)
        span = spans[start // CHUNK if looks_first else 0]
        if not looks_first and not span_of(calls.vcpu, n_vcpu, groups.by, span):
            return start
        is_one = by_hvc and run_of_group[span[0]] == run_of_group[span[1]]
        runs = is_one or (by_hvc and is_run(calls.vcpu, u64(0), groups, run_of_group))
        how, has_rows = How(is_one, not runs, is_coded), runs or (by_hvc and by_vcpu.size > 0)
        if has_rows and _by_classes(calls, span[0], how, by_row, tables, room):
            if is_coded:
                count(room.code[: calls.out.size], calls.vcpu, calls.n_again, vm_of_vcpu, room.vcpu, counts)
            continue
        by_table(Columns(calls.func_id, calls.vcpu, calls.conduit), tables, searches.listed, calls.out)
        if is_coded:
            new = Columns(func_id[start:end], vcpu[start:end], conduit[start:end])
            count_by_table(new, tables, out[start:end], vm_of_vcpu, counts)
    return func_id.size


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
    group_magic: np.uint64,
    group_shift: np.uint64,
    row_of_group: Index,
    lookup: U8,
    verdict: U8,
    scratch8: U8,
    scratch16: U16,
    out: U8,
) -> None:
    """The verdict of every call by HVC, in blocks of one vCPU each, nothing counted; blocks as `blocks` has them."""
    by, groups = Division(magic, magic_shift), Groups(Division(group_magic, group_shift), row_of_group)
    tables = Tables(Places(n_vcpu, by, offset, plane_bytes), multiplier, table, Trees(search_of_row, depth, nodes))
    folded = scratch8[4]
    for block in range(block_vcpu.size):
        first, end, vcpu = block_first[block], block_first[block + 1], block_vcpu[block]
        if end - first >= LONG_BLOCK and depth == 0:
            fold_row(lookup, verdict, u32(row_of(vcpu, groups)), folded)
            classes_of(func_id[first:end], multiplier, lookup, folded, False, out[first:end])
        else:
            by_one_row(func_id[first:end], u64(offset[group_of(vcpu, by)]), tables, scratch16, out[first:end])
