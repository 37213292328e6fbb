"""Dispatch by wide registers: passes over some thousand calls, for CPUs with AVX-512, VBMI and VBMI2.

Classes first, 64 calls a step; then verdicts, by look-ups in registers: of calls of one row, or of rows that are bits;
of others by a load each; then the ids that a range may decide. What one pass leaves to the next stays in L1. Nothing
here may be compiled unless `_jit.HAS_WIDE`.
"""

from __future__ import annotations

import numpy as np

from fastsmc.dispatcher.kernels.steps import (
    N_TOGETHER,
    allow_step,
    ask_ahead,
    ask_node,
    ask_soon,
    bits_step,
    class_step,
    class_steps,
    code_step,
    fold_row,
    group_step,
    mixed_step,
    row_step,
    small_step,
)
from fastsmc.jit.compiled import borrowing_kernel, inner_kernel
from fastsmc.jit.simd import extremes_64, finish_streams, keys_below, store_word
from fastsmc.jit.simd_wide import list_bits
from fastsmc.kernels import CODE_AT, N_BIT_VCPU, U8, U16, U32, U64, UNKNOWN_AT, Index, decided, default_of, group_of

STEP = 64
CHUNK, LONG_CHUNK = 2048, 8192
"""Calls of a pass: their ids, vCPUs, rows, classes and verdicts stay in L1 and near. Longer where ids are searched for:
what the first searches of a pass wait for is shared by more."""
ROOM = LONG_CHUNK + 2 * STEP
"""Elements of a row of scratch."""
_LOW_HALF, _HIGH, _NONE = np.uint64(0xFFFF_FFFF), np.uint64(32), np.uint64(0)
_EIGHT, _WORD = np.uint64(8), np.uint64(15)
_LAST_LANE = np.uint64(STEP - 1)
_COUNT, _STEP = np.uint32(1), np.uint64(STEP)
_SMC, _IMMEDIATE = np.uint8(1), np.uint8(2)


@inner_kernel
def extremes(index: Index) -> tuple[np.uint64, np.uint64]:
    """The least and the greatest of some indices: vectorized, which costs a hundredth of what follows it."""
    low = high = index[0]
    for c in range(index.size):
        low, high = min(low, index[c]), max(high, index[c])
    return np.uint64(low), np.uint64(high)


@inner_kernel
def span_of(vcpu: Index, n_vcpu: int, magic: np.uint64, magic_shift: np.uint64, span: U64) -> bool:
    """The first and the last group of some vCPUs, if all exist, and whether they do. unsigned[n] -> uint64[2]."""
    low, high = extremes(vcpu)
    if high >= n_vcpu:
        return False
    span[0], span[1] = group_of(low, magic, magic_shift), group_of(high, magic, magic_shift)
    return True


@inner_kernel
def rows_of(
    vcpu: Index,
    conduit: U8,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: Index,
    n_row: np.uint32,
    out: Index,
) -> None:
    """The row of each call.

    unsigned[n_call], uint8[n_call or 0 = all HVC], unsigned[n_group] -> unsigned[n_call].
    """
    for c in range(vcpu.size):
        out[c] = row_of_group[group_of(vcpu[c], magic, magic_shift)]
    for c in range(conduit.size):
        plane = 0 if conduit[c] & _SMC == 0 else 2 if conduit[c] & _IMMEDIATE else 1
        out[c] += n_row * np.uint32(plane)


@inner_kernel
def classes_of(func_id: U32, multiplier: np.uint32, lookup: U8, table: U8, asks: bool, classes: U8) -> None:
    """The class of every id; `asks` for ids ahead, which pays where another loop comes in between.

    uint32[n_call]; `table` is `lookup`, or verdicts in place of classes (`fold_row`), and so is what comes out ->
    uint8[n_call].
    """
    together = func_id.size - func_id.size % (N_TOGETHER * STEP)
    for step in range(0, together, N_TOGETHER * STEP):
        at = np.uint64(step)
        if asks:
            for k in range(N_TOGETHER):
                ask_ahead(func_id, at + _STEP * np.uint64(k))
        unknown = class_steps(func_id, at, lookup, table, multiplier, classes)
        if unknown[0] | unknown[1] | unknown[2] | unknown[3]:
            for bits in unknown:
                allow_step(func_id, at, table, bits, classes)
                at += _STEP
    for step in range(together, func_id.size, STEP):
        at = np.uint64(min(step, func_id.size - STEP))
        allow_step(func_id, at, table, class_step(func_id, at, lookup, table, multiplier, classes), classes)


@inner_kernel
def classes_and_unknown(func_id: U32, multiplier: np.uint32, lookup: U8, table: U8, classes: U8, listed: U16) -> int:
    """As `classes_of` for known ids; those of unknown ids are left out and their places listed.

    -> uint8[n_call], uint16[n_listed + 64 of no meaning]; n_listed, a call of the last step maybe twice.
    """
    n = _NONE
    together = func_id.size - func_id.size % (N_TOGETHER * STEP)
    for step in range(0, together, N_TOGETHER * STEP):
        at = np.uint64(step)
        for bits in class_steps(func_id, at, lookup, table, multiplier, classes):
            ask_ahead(func_id, at)
            n = list_bits(bits, at, listed, n)
            at += _STEP
    for step in range(together, func_id.size, STEP):
        at = np.uint64(min(step, func_id.size - STEP))
        ask_ahead(func_id, at)
        n = list_bits(class_step(func_id, at, lookup, table, multiplier, classes), at, listed, n)
    return int(n)


@inner_kernel
def by_runs(
    vcpu: Index,
    is_one: bool,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: Index,
    run_of_group: U32,
    classes: U8,
    verdict: U8,
    out: U8,
) -> bool:
    """Verdicts of calls by HVC as long as each step is of one row, as its vCPUs lie in one run of equal rows.

    unsigned[n_call]; whether all of them are; then rows.Rows; uint8[n_call] -> uint8[n_call]; whether every step was.
    """
    for step in range(0, vcpu.size, STEP):
        at = np.uint64(min(step, vcpu.size - STEP))
        its_group = group_of(vcpu[at], magic, magic_shift)
        if not is_one:
            if run_of_group[its_group] != run_of_group[group_of(vcpu[at + _LAST_LANE], magic, magic_shift)]:
                return False
            both = extremes_64(vcpu, at)
            low, high = group_of(both & _LOW_HALF, magic, magic_shift), group_of(both >> _HIGH, magic, magic_shift)
            if run_of_group[low] != run_of_group[high]:
                return False
        row_step(classes, at, verdict, np.uint32(row_of_group[its_group]), out)
    return True


@inner_kernel
def by_bits(
    func_id: U32,
    vcpu: Index,
    is_small: bool,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: U8,
    classes: U8,
    bit_row: U8,
    row: U8,
    group: U32,
    streams: bool,
    out: U8,
) -> None:
    """Verdicts of calls by HVC of any rows that are bits; `is_small`: vCPUs are fewer than N_BIT_VCPU.

    unsigned[n_call], bit_rows.BitRows.row_of_group, uint8[n_call], bit_rows.BitRows.table -> uint8[n_call] x 2; `row`
    is scratch.
    """
    if is_small:
        for step in range(0, out.size, STEP):
            ask_ahead(vcpu, np.uint64(step))
            if not streams:
                ask_ahead(out, np.uint64(step))
            small_step(classes, vcpu, np.uint64(min(step, out.size - STEP)), bit_row, streams, out)
        return
    last = _NONE
    for step in range(0, out.size, STEP):
        at = np.uint64(min(step, out.size - STEP))
        ask_soon(func_id, at)
        ask_soon(vcpu, at)
        group_step(vcpu, at, magic, magic_shift, group)
        for first in range(0, STEP, 8):
            word = _NONE
            for j in range(8):
                word |= np.uint64(row_of_group[group[first + j]]) << np.uint64(8 * j)
            store_word(row, at + np.uint64(first), word)
        if step:
            bits_step(classes, last, bit_row, row, out)
        last = at
    bits_step(classes, last, bit_row, row, out)


@inner_kernel
def count(code: U8, vcpu: Index, vm_of_vcpu: Index, counts: U32) -> None:
    """Adds calls to their cells; counts of one VM are those of all.

    uint8[n_call], unsigned[n_call], uint32[n_vcpu] -> uint32[n_vm or 1, N_CODE], added to.
    """
    if len(counts) == 1:
        for c in range(code.size):
            counts[0, code[c]] += _COUNT
    elif len(counts) == vm_of_vcpu.size:  # a vCPU each: a load less, 1.3x of this loop
        for c in range(code.size):
            counts[vcpu[c], code[c]] += _COUNT
    else:
        for c in range(code.size):
            counts[vm_of_vcpu[vcpu[c]], code[c]] += _COUNT


@inner_kernel
def begin_search(
    listed: U16,
    func_id: U32,
    vcpu: Index,
    row: U32,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: Index,
    search_of_row: U64,
    depth: int,
    nodes: U32,
    ids: U32,
    node: U32,
    default: U8,
) -> None:
    """The leaf in which each search ends, asked for ahead: it is there when `end_search` comes.

    All searches go down level by level, so that their cache misses overlap. uint16[n_listed], uint32[n_call],
    unsigned[n_call], uint32[n_call or 0: by vCPU], then rows.Rows -> uint32[n_listed] x 2, uint8[n_listed].
    """
    for j in range(listed.size):
        c = listed[j]
        its_row = row[c] if row.size else np.uint32(row_of_group[group_of(vcpu[c], magic, magic_shift)])
        search = search_of_row[its_row]
        node[j] = np.uint32(search >> _EIGHT)
        ids[j] = func_id[c]
        default[j] = default_of(search, ids[j])
    for _ in range(depth - 1):
        for j in range(listed.size):
            node[j] = nodes[node[j], _WORD] + keys_below(nodes, node[j], ids[j])
            ask_node(nodes, node[j])


@inner_kernel
def end_search(
    listed: U16,
    lookup: U8,
    nodes: U32,
    ids: U32,
    node: U32,
    default: U8,
    out: U8,
    code: U8,
) -> None:
    """Verdicts and codes of calls with unknown ids.

    No branch depends on a call. uint16[n_listed], then rows.Rows, then what `begin_search` left -> uint8[n_call] x 2.
    """
    its_code = lookup[CODE_AT + lookup[UNKNOWN_AT]]
    for j in range(listed.size):
        c = listed[j]
        what = decided(nodes[node[j], _WORD], keys_below(nodes, node[j], ids[j]), default[j])
        out[c] = what
        code[c] = its_code | what


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
) -> int:
    """The verdict of every call of at least 64, arguments not looked at; how many were decided before a bad vCPU.

    A last step of fewer than 64 calls is moved back over calls decided before, which get the same verdicts again.

    uint32[n_call], unsigned[n_call], uint8[n_call or 0 = all HVC], then rows.Rows, uint32[n_vcpu] ->
    uint32[n_vm, 1 or 0, N_CODE], added to; whether verdicts are better written around the caches; scratch:
    uint64[n_chunk or 1, 2], with one of each chunk (`n_chunk`) if all vCPUs are to be looked at before the first
    verdict is written, uint8[5, ROOM], uint16[ROOM], uint32[3, ROOM]; uint8[n_call].
    """
    classes, code, default, row_byte, folded = scratch8[0], scratch8[1], scratch8[2], scratch8[3], scratch8[4]
    row, ids, node, listed = scratch32[0], scratch32[1], scratch32[2], scratch16
    has_runs, coded, has_ranges = conduit.size == 0, len(counts) > 0, depth > 0
    has_bits, is_small = has_runs and bit_row.size > 0, n_vcpu <= N_BIT_VCPU
    chunk = LONG_CHUNK if has_ranges else CHUNK
    may_stream = streams and not (coded or has_ranges)  # or verdicts are read or written again
    asks = func_id.size < 0  # false, but not by its type, which would compile `classes_of` twice
    if len(spans) > 1:
        for start in range(0, func_id.size, chunk):
            end = min(start + chunk, func_id.size)
            if not span_of(vcpu[min(start, end - STEP) : end], n_vcpu, magic, magic_shift, spans[start // chunk]):
                return 0
    for start in range(0, func_id.size, chunk):
        end = min(start + chunk, func_id.size)
        first = min(start, end - STEP)
        f, v, verdicts = func_id[first:end], vcpu[first:end], out[first:end]
        span = spans[start // chunk if len(spans) > 1 else 0]
        if len(spans) == 1 and not span_of(v, n_vcpu, magic, magic_shift, span):
            return start
        is_one = has_runs and run_of_group[span[0]] == run_of_group[span[1]]
        is_folded = is_one and not coded
        if is_folded:
            fold_row(lookup, verdict, np.uint32(row_of_group[span[0]]), folded)
        table, found = (folded, verdicts) if is_folded else (lookup, classes)
        n = 0
        if has_ranges:
            n = classes_and_unknown(f, multiplier, lookup, table, found, listed)
        else:
            classes_of(f, multiplier, lookup, table, asks, found)
        if not has_runs:
            rows_of(v, conduit[first:end], magic, magic_shift, row_of_group, n_row, row)
        if n:
            its = (listed[:n], f, v, row[:0] if has_runs else row, magic, magic_shift, row_of_group, search_of_row)
            begin_search(*its, depth, nodes, ids, node, default)
        asks = False
        if is_folded or (
            has_runs and by_runs(v, is_one, magic, magic_shift, row_of_group, run_of_group, classes, verdict, verdicts)
        ):
            pass
        elif has_bits:
            asks = is_small
            by_bits(
                f,
                v,
                is_small,
                magic,
                magic_shift,
                bit_row_of_group,
                classes,
                bit_row,
                row_byte,
                row,
                may_stream,
                verdicts,
            )
        else:
            if has_runs:
                rows_of(v, conduit, magic, magic_shift, row_of_group, n_row, row)
            for step in range(0, f.size, STEP):
                mixed_step(classes, np.uint64(min(step, f.size - STEP)), packed, byte_bits, row, verdicts)
        if coded:
            for step in range(0, f.size, STEP):
                code_step(classes, np.uint64(min(step, f.size - STEP)), lookup, verdicts, code)
        if n:
            end_search(listed[:n], lookup, nodes, ids, node, default, verdicts, code)
        if coded:
            count(code[start - first : end - first], v[start - first :], vm_of_vcpu, counts)
    if may_stream:
        finish_streams()
    return func_id.size
