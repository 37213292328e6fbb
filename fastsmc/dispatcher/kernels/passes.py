"""Passes over a chunk of calls, 64 a step, that every back end of vectors makes: vCPUs looked at, classes, counters.

Nothing here may be compiled unless `jit.level.HAS_VECTORS`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.dispatcher.kernels.search import group_within, row_within
from fastsmc.dispatcher.kernels.steps import (
    allow_step,
    allow_steps,
    ask_ahead,
    class_step,
    class_steps,
    code_step,
    row_step,
)
from fastsmc.dispatcher.kernels.vcpu_steps import within_step
from fastsmc.jit.compiled import inlined_kernel, inner_kernel
from fastsmc.jit.simd import extremes_64
from fastsmc.jit.types import U8, U16, U32, U64, Index, u32, u64
from fastsmc.jit.vectors import N_TOGETHER, list_bits
from fastsmc.kernels import Division, Groups, group_of, plane_of

STEP = 64
CHUNK, LONG_CHUNK = 2048, 8192
"""Calls of a pass, so few that their ids, vCPUs, rows, classes and verdicts stay in or near L1. A pass that searches
for ids takes LONG_CHUNK calls, because the time that its first searches wait is then shared by more."""
COUNTED = 512
"""Calls that are counted at a time."""
ROOM = LONG_CHUNK + 2 * STEP
"""Elements of a row of scratch."""


class Chunk(NamedTuple):
    """The calls of one chunk and their verdicts; the first `n_again` of them were decided with the chunk before."""

    func_id: U32
    vcpu: Index
    conduit: U8
    out: U8
    n_again: int


@inner_kernel
def extremes(index: Index) -> tuple[np.uint64, np.uint64]:
    """The least and the greatest of some indices: vectorized, which costs a hundredth of what follows it."""
    low = high = index[0]
    for c in range(index.size):
        low, high = min(low, index[c]), max(high, index[c])
    return u64(low), u64(high)


@inner_kernel
def span_of(vcpu: Index, n_vcpu: int, by: Division, span: U64) -> bool:
    """The first and the last group of some vCPUs, if all exist, and whether they do. unsigned[n] -> uint64[2]."""
    low, high = extremes(vcpu)
    if high >= n_vcpu:
        return False
    span[0], span[1] = group_of(low, by), group_of(high, by)
    return True


@inner_kernel
def spans_of(vcpu: Index, chunk: int, n_vcpu: int, by: Division, spans: U64) -> bool:
    """The span of every chunk, if all vCPUs exist, and whether they do. unsigned[n_call] -> uint64[n_chunk, 2]."""
    for start in range(0, vcpu.size, chunk):
        end = min(start + chunk, vcpu.size)
        if not span_of(vcpu[min(start, end - STEP) : end], n_vcpu, by, spans[start // chunk]):
            return False
    return True


@inner_kernel
def rows_of(vcpu: Index, conduit: U8, groups: Groups, n_row: np.uint32, out: U32) -> None:
    """The row of each call.

    unsigned[n_call], uint8[n_call or 0 = all HVC] -> uint32[n_call].
    """
    for c in range(vcpu.size):
        out[c] = row_within(vcpu[c], groups)
    for c in range(conduit.size):
        out[c] += n_row * u32(plane_of(conduit[c]))


@inner_kernel
def classes_of(func_id: U32, multiplier: np.uint32, lookup: U8, table: U8, asks: bool, classes: U8) -> None:
    """The class of every id; with `asks`, ids are prefetched, which pays where another loop comes in between.

    uint32[n_call]; `table` is `lookup`, or verdicts in place of classes (`fold_row`), and so is what comes out ->
    uint8[n_call].
    """
    together = func_id.size - func_id.size % (N_TOGETHER * STEP)
    for step in range(0, together, N_TOGETHER * STEP):
        at = u64(step)
        if asks:
            for k in range(N_TOGETHER):
                ask_ahead(func_id, at + u64(STEP * k))
        allow_steps(func_id, at, lookup, table, multiplier, classes)
    for step in range(together, func_id.size, STEP):
        allow_step(func_id, u64(min(step, func_id.size - STEP)), lookup, table, multiplier, classes)


@inner_kernel
def classes_and_unknown(func_id: U32, multiplier: np.uint32, lookup: U8, table: U8, classes: U8, listed: U16) -> int:
    """The class of every known id, and the places of unknown ids, whose classes are left out.

    As `classes_of` -> uint8[n_call], uint16[n_listed + 64 of no meaning]; n_listed. The last step may list a call that
    was listed before.
    """
    n = u64(0)
    together = func_id.size - func_id.size % (N_TOGETHER * STEP)
    for step in range(0, together, N_TOGETHER * STEP):
        at = u64(step)
        for bits in class_steps(func_id, at, lookup, table, multiplier, classes):
            ask_ahead(func_id, at)
            n = list_bits(bits, at, listed, n)
            at += u64(STEP)
    for step in range(together, func_id.size, STEP):
        at = u64(min(step, func_id.size - STEP))
        ask_ahead(func_id, at)
        n = list_bits(class_step(func_id, at, lookup, table, multiplier, classes)[0], at, listed, n)
    return int(n)


@inlined_kernel
def is_run(vcpu: Index, at: np.uint64, groups: Groups, run_of_group: U32) -> bool:
    """Whether 64 calls are of one row, as their vCPUs lie in one run of equal rows."""
    run = run_of_group[group_within(vcpu[at], groups)]
    if run != run_of_group[group_within(vcpu[at + u64(STEP - 1)], groups)]:
        return False
    both = extremes_64(vcpu, at)
    low, high = group_within(both & u64(0xFFFF_FFFF), groups), group_within(both >> u64(32), groups)
    return bool(run_of_group[low] == run_of_group[high])


@inner_kernel
def by_runs(vcpu: Index, is_one: bool, groups: Groups, run_of_group: U32, classes: U8, verdict: U8, out: U8) -> bool:
    """Verdicts of calls by HVC as long as each step is of one row, as its vCPUs lie in one run of equal rows.

    unsigned[n_call]; whether all calls are of one row; then rows.Rows and uint8[n_call] -> uint8[n_call]; whether
    every step was of one row.
    """
    for step in range(0, vcpu.size, STEP):
        at = u64(min(step, vcpu.size - STEP))
        if not is_one and not is_run(vcpu, at, groups, run_of_group):
            return False
        row_step(classes, at, verdict, row_within(vcpu[at], groups), out)
    return True


@inner_kernel
def codes_of(classes: U8, lookup: U8, verdict: U8, code: U8) -> None:
    """The code of each call. uint8[n_call], rows.Rows.lookup, uint8[n_call] -> uint8[n_call]."""
    for step in range(0, verdict.size, STEP):
        at = u64(min(step, verdict.size - STEP))
        code_step(classes, at, lookup, verdict, code)


@inner_kernel
def count(code: U8, vcpu: Index, n_again: int, vm_of_vcpu: Index, own: Index, counts: U32) -> None:
    """Adds calls from number `n_again` on to their cells; counts of one VM are those of all.

    uint8[n_call], unsigned[n_call of at least 64], uint32[n_vcpu], scratch unsigned[COUNTED] -> uint32[n_vm or 1,
    N_CODE], added to.
    """
    if len(counts) == 1:
        its_code = code[n_again:]
        for c in range(its_code.size):
            counts[0, its_code[c]] += u32(1)
        return
    last = u64(vm_of_vcpu.size - 1)
    for first in range(n_again, code.size, COUNTED):
        start = min(first, code.size - STEP)
        end = min(start + COUNTED, code.size)
        for step in range(start, end, STEP):  # compared in the loops below, they would take an eighth longer
            at = min(step, end - STEP)
            within_step(vcpu, u64(at), last, own, u64(at - start))
        its_code, its_vcpu = code[first:end], own[first - start : end - start]
        if len(counts) == vm_of_vcpu.size:  # a vCPU each: a load less, 1.3x of this loop
            for c in range(its_code.size):
                counts[its_vcpu[c], its_code[c]] += u32(1)
        else:
            for c in range(its_code.size):
                counts[vm_of_vcpu[its_vcpu[c]], its_code[c]] += u32(1)
