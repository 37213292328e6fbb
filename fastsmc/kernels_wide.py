"""Dispatch by wide registers: passes over some thousand calls, for CPUs with AVX-512, VBMI and VBMI2.

Classes first, 64 calls a step; then verdicts, of calls of one row or few rows by look-ups in registers, of others by a
load each; then, one by one, the ids that a range may decide. What one pass leaves to the next stays in L1. Nothing here
may be compiled unless `_jit.HAS_WIDE`.
"""

from __future__ import annotations

import numpy as np

from fastsmc._jit import kernel
from fastsmc._simd import extremes_64, keys_below, list_bits
from fastsmc.kernels import CODE_AT, FEW_ROW_BYTES, U8, U16, U32, UNKNOWN_AT, Index, group_of, is_psci, merged
from fastsmc.kernels_steps import (
    allow_step,
    ask_ahead,
    class_step,
    code_step,
    few_step,
    mixed_step,
    row_step,
    rows_step,
)

STEP = 64
CHUNK = 2048
"""Calls of a pass: their ids, vCPUs, indices, classes and verdicts stay in L1 and near."""
_LOW_HALF, _HIGH, _NONE = np.uint64(0xFFFF_FFFF), np.uint64(32), np.uint64(0)
_LAST_LANE = np.uint64(STEP - 1)
_COUNT = np.uint32(1)
_SMC, _IMMEDIATE = np.uint8(1), np.uint8(2)


@kernel
def extremes(index: Index) -> tuple[np.uint64, np.uint64]:
    """The least and the greatest of some indices: vectorized, which costs a hundredth of what follows it."""
    low = high = index[0]
    for c in range(index.size):
        low, high = min(low, index[c]), max(high, index[c])
    return np.uint64(low), np.uint64(high)


@kernel
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


@kernel
def classes_of(func_id: U32, multiplier: np.uint32, lookup: U8, has_ranges: bool, classes: U8, listed: U16) -> int:
    """The class of every id; where there are ranges, those of unknown ids are left out and their places listed.

    uint32[n_call] -> uint8[n_call], uint16[n_listed + 64 of no meaning]; n_listed, a call of the last step maybe twice.
    """
    n = _NONE
    for step in range(0, func_id.size, STEP):
        at = np.uint64(min(step, func_id.size - STEP))
        if has_ranges:
            ask_ahead(func_id, at)
        bits = class_step(func_id, at, lookup, multiplier, classes)
        if has_ranges:
            n = list_bits(bits, at, listed, n)
        elif bits != _NONE:
            allow_step(func_id, at, lookup, bits, classes)
    return int(n)


@kernel
def by_row(
    vcpu: Index,
    one_until: int,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: Index,
    run_of_group: U32,
    classes: U8,
    verdict: U8,
    few: U8,
    packed: U8,
    byte_bits: np.uint32,
    index: Index,
    out: U8,
) -> None:
    """Verdicts of calls by HVC. A step is of one row if its vCPUs lie in one run of equal rows.

    unsigned[n_call]; the calls before `one_until` are of one row; then rows.Rows; unsigned[n_call], the rows of
    `packed` -> uint8[n_call].
    """
    for step in range(0, vcpu.size, STEP):
        at = np.uint64(min(step, vcpu.size - STEP))
        its_group = group_of(vcpu[at], magic, magic_shift)
        run = run_of_group[its_group]
        is_one = step < one_until
        if not is_one and run == run_of_group[group_of(vcpu[at + _LAST_LANE], magic, magic_shift)]:
            both = extremes_64(vcpu, at)
            low, high = group_of(both & _LOW_HALF, magic, magic_shift), group_of(both >> _HIGH, magic, magic_shift)
            is_one = run_of_group[low] == run_of_group[high]
        if is_one:
            row_step(classes, at, verdict, np.uint32(row_of_group[its_group]), out)
        elif few.size:
            few_step(classes, at, few, vcpu, out)
        else:
            mixed_step(classes, at, packed, byte_bits, index, out)


@kernel
def count(code: U8, vcpu: Index, vm_of_vcpu: Index, counts: U32) -> None:
    """Adds calls to their cells; counts of one VM are those of all.

    uint8[n_call], unsigned[n_call], uint32[n_vcpu] -> uint32[n_vm or 1, N_CODE], added to.
    """
    if len(counts) == 1:
        for c in range(code.size):
            counts[0, code[c]] += _COUNT
    else:
        for c in range(code.size):
            counts[vm_of_vcpu[vcpu[c]], code[c]] += _COUNT


@kernel
def search_ranges(
    listed: U16,
    func_id: U32,
    its_row: U32,
    lookup: U8,
    verdict: U8,
    root_of_row: U32,
    depth: int,
    key: U32,
    child: U32,
    step_verdict: U8,
    node: U32,
    out: U8,
    code: U8,
) -> None:
    """Verdicts and codes of calls with unknown ids, all of them level by level, so that their cache misses overlap.

    No branch depends on a call. uint16[n_listed], uint32[n_call], uint32[n_listed], then rows.Rows ->
    uint8[n_call] x 2; node is scratch.
    """
    refused, passed = lookup[UNKNOWN_AT], lookup[UNKNOWN_AT + 1]
    its_code = lookup[CODE_AT + refused]
    for j in range(listed.size):
        node[j] = root_of_row[its_row[j]]
    for _ in range(depth - 1):
        for j in range(listed.size):
            node[j] = child[node[j]] + keys_below(key, node[j], func_id[listed[j]])
    for j in range(listed.size):
        c = listed[j]
        f = func_id[c]
        found = step_verdict[node[j], keys_below(key, node[j], f)]
        what = merged(found, verdict[its_row[j], passed if is_psci(f) else refused])
        out[c] = what
        code[c] = its_code | what


@kernel
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
    packed_of_vcpu: U8,
    few: U8,
    byte_bits: np.uint32,
    root_of_row: U32,
    depth: int,
    key: U32,
    child: U32,
    step_verdict: U8,
    vm_of_vcpu: U32,
    counts: U32,
    out: U8,
) -> int:
    """The verdict of every call of at least 64, arguments not looked at; how many were decided before a bad vCPU.

    A last step of fewer than 64 calls is moved back over calls decided before, which get the same verdicts again.

    uint32[n_call], unsigned[n_call], uint8[n_call or 0 = all HVC], then rows.Rows, uint32[n_vcpu] ->
    uint32[n_vm, 1 or 0, N_CODE], added to; uint8[n_call].
    """
    classes, code, listed = np.empty(CHUNK, np.uint8), np.empty(CHUNK, np.uint8), np.empty(CHUNK + 2 * STEP, np.uint16)
    row, its_row, node = (
        np.empty(CHUNK, np.uint32),
        np.empty(CHUNK + STEP, np.uint32),
        np.empty(CHUNK + STEP, np.uint32),
    )
    has_runs, coded, has_ranges = conduit.size == 0, len(counts) > 0, depth > 0
    is_direct = has_runs and (len(packed_of_vcpu) > 0 or few.size > 0)
    has_few_rows = has_runs and not is_direct and n_row << byte_bits <= FEW_ROW_BYTES
    row_byte = np.empty(CHUNK, np.uint8)
    for start in range(0, func_id.size, CHUNK):
        end = min(start + CHUNK, func_id.size)
        first = min(start, end - STEP)
        f, v, verdicts = func_id[first:end], vcpu[first:end], out[first:end]
        low, high = extremes(v)
        if high >= n_vcpu:
            return start
        n = classes_of(f, multiplier, lookup, has_ranges, classes, listed)
        if has_few_rows:
            rows_of(v, conduit, magic, magic_shift, row_of_group, n_row, row_byte)
        elif not is_direct:
            rows_of(v, conduit[first:end], magic, magic_shift, row_of_group, n_row, row)
        if has_few_rows:
            for step in range(0, f.size, STEP):
                ask_ahead(f, np.uint64(step))
                ask_ahead(v, np.uint64(step))
                rows_step(classes, np.uint64(min(step, f.size - STEP)), packed, byte_bits, row_byte, verdicts)
        elif has_runs:
            low, high = group_of(low, magic, magic_shift), group_of(high, magic, magic_shift)
            one_until = f.size if run_of_group[low] == run_of_group[high] else 0
            some = (v, one_until, magic, magic_shift, row_of_group, run_of_group, classes, verdict, few)
            if is_direct:
                by_row(*some, packed_of_vcpu, byte_bits, v, verdicts)
            else:
                by_row(*some, packed, byte_bits, row, verdicts)
        else:
            for step in range(0, f.size, STEP):
                mixed_step(classes, np.uint64(min(step, f.size - STEP)), packed, byte_bits, row, verdicts)
        if coded:
            for step in range(0, f.size, STEP):
                code_step(classes, np.uint64(min(step, f.size - STEP)), lookup, verdicts, code)
        if n:
            # Stored one after another: into places of `row` LLVM would scatter, 13 ns each on Zen 4.
            for j in range(n):
                c = listed[j]
                its_row[j] = row_of_group[group_of(v[c], magic, magic_shift)] if is_direct or has_few_rows else row[c]
            its = (listed[:n], f, its_row, lookup, verdict, root_of_row, depth, key, child, step_verdict)
            search_ranges(*its, node, verdicts, code)
        if coded:
            count(code[start - first : end - first], v[start - first :], vm_of_vcpu, counts)
    return func_id.size
