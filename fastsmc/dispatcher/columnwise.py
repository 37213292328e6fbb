"""Verdicts without a kernel: NumPy applies the formulas of `kernels` to whole columns, by the same tables.

For the first calls of a process (`jit.first`). A call takes ten times as long as by the scalar kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc import kernels
from fastsmc.calls.grouped import GroupedCalls
from fastsmc.facts.smccc import Verdict
from fastsmc.jit.compiled import over_columns
from fastsmc.kernels import CODES_AT, N_CODE, ROW_BYTES, ROWS_AT, SEARCH, UNKNOWN_CODE_AT, WORD, Division

PART = 1 << 14
"""Calls whose columns are worked on at a time, so that they stay in the cache."""
_group_of, _bucket_of = over_columns(kernels.group_of), over_columns(kernels.bucket_of)
_default_of, _decided = over_columns(kernels.default_of), over_columns(kernels.decided)
_refuses = over_columns(kernels.refuses)
_PLANE = np.array([over_columns(kernels.plane_of)(conduit) for conduit in range(256)], np.uint64)
"""The plane of each conduit."""
_ALL_HVC, _NO_COUNTS = np.zeros(0, np.uint8), np.zeros((0, N_CODE), np.uint32)
Columns = tuple[NDArray[np.uint32], NDArray[np.unsignedinteger[Any]], NDArray[np.uint8]]


def decide(
    columns: Columns,
    portable: tuple[Any, ...],
    vm_of_vcpu: NDArray[np.uint32],
    counts: NDArray[np.uint32],
    out: NDArray[np.uint8],
    *,
    looks_first: bool,
) -> int:
    """Does what `kernels.decide` does.

    Args:
        columns: func_id, vcpu and conduit. portable: rows.Rows.portable.
    """
    n_vcpu = portable[0]
    if looks_first and columns[1].size and int(columns[1].max()) >= n_vcpu:
        return 0
    for first in range(0, len(out), PART):
        part = slice(first, min(first + PART, len(out)))
        # Copies, because another thread may write to the columns meanwhile.
        func_id, vcpu, conduit = columns[0][part].copy(), columns[1][part].copy(), columns[2][part].copy()
        lacks = vcpu >= n_vcpu
        n = int(lacks.argmax()) if lacks.any() else lacks.size
        bucket, is_known = _decide_part((func_id[:n], vcpu[:n], conduit[:n]), portable, out[first : first + n])
        if len(counts):
            of_vm = vm_of_vcpu[vcpu[:n]] if len(counts) > 1 else np.zeros(n, np.uint32)
            _count(bucket, is_known, portable[6], out[first : first + n], of_vm, counts)
        if n < lacks.size:
            return first + n
    return len(out)


def _decide_part(
    columns: Columns, portable: tuple[Any, ...], out: NDArray[np.uint8]
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Verdicts of calls whose vCPUs exist; returns the bucket of each id, and whether it is the bucket's own."""
    _, magic, shift, offset, plane_bytes, multiplier, table, search_of_row, depth, nodes = portable
    func_id, vcpu, conduit = columns
    bucket = _bucket_of(func_id, multiplier)
    at = offset[_group_of(vcpu, Division(magic, shift))].astype(np.uint64)
    if conduit.size:
        at += plane_bytes * _PLANE[conduit]
    out[:] = table[at + bucket]
    is_known = table[:CODES_AT].view(np.uint32)[bucket] == func_id
    listed = np.flatnonzero(~is_known)
    if listed.size:
        row = (at[listed] - np.uint64(ROWS_AT)) // np.uint64(ROW_BYTES)
        out[listed] = _unnamed(func_id[listed], search_of_row[row], depth, nodes)
    return bucket, is_known


def _unnamed(
    func_id: NDArray[np.uint32], search: NDArray[np.uint64], depth: int, nodes: NDArray[np.uint32]
) -> NDArray[np.uint8]:
    """Verdicts of ids without a name: as `kernels.unnamed` and `kernels.searched` have it."""
    verdict: NDArray[np.uint8] = _default_of(search, func_id)
    searched = np.flatnonzero(verdict >= SEARCH)
    if searched.size:
        its_id, node = func_id[searched], (search[searched] >> np.uint64(8)).astype(np.uint32)
        for _ in range(depth - 1):
            node = nodes[node, WORD] + _keys_below(nodes, node, its_id)
        step = _keys_below(nodes, node, its_id)
        verdict[searched] = _decided(nodes[node, WORD], step, verdict[searched])
    return verdict


def _keys_below(nodes: NDArray[np.uint32], node: NDArray[np.uint32], func_id: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """How many of the keys of each node are below an id, as `jit.simd.keys_below` has it."""
    n: NDArray[np.uint32] = np.count_nonzero(nodes[node, : int(WORD)] < func_id[:, None], axis=1).astype(np.uint32)
    return n


def _count(
    bucket: NDArray[np.uint64],
    is_known: NDArray[np.bool_],
    table: NDArray[np.uint8],
    verdict: NDArray[np.uint8],
    vm: NDArray[np.uint32],
    counts: NDArray[np.uint32],
) -> None:
    """Adds decided calls to their cells, as `kernels.count_by_table` has it."""
    code = table[np.where(is_known, np.uint64(CODES_AT) + bucket, np.uint64(UNKNOWN_CODE_AT))] | verdict
    np.add.at(counts.reshape(-1), vm * np.uint64(N_CODE) + code, np.uint32(1))


def decide_blocks(calls: GroupedCalls, portable: tuple[Any, ...], out: NDArray[np.uint8]) -> None:
    """Decides calls by HVC in blocks, whose vCPUs exist; nothing is counted."""
    vcpu, none = np.empty(min(PART, len(out)), np.uint32), np.zeros(0, np.uint32)
    for first in range(0, len(out), PART):
        here = out[first : first + PART]
        its_vcpu = vcpu[: len(here)]
        spread(calls, first, its_vcpu)
        columns = calls.func_id[first : first + PART], its_vcpu, _ALL_HVC
        decide(columns, portable, none, _NO_COUNTS, here, looks_first=False)


def spread(calls: GroupedCalls, first: int, out: NDArray[np.uint32]) -> None:
    """The vCPU of each call from number `first` on."""
    part = calls.part(slice(first, first + out.size))
    out[:] = np.repeat(part.block_vcpu, np.diff(part.block_first))


def check_arguments(
    func_id: NDArray[np.uint32], x1: NDArray[np.uint64], x2: NDArray[np.uint64], out: NDArray[np.uint8]
) -> None:
    """Does what `kernels.check_arguments` does."""
    exits = np.flatnonzero(out == Verdict.EXIT)
    none = np.zeros(exits.size, np.uint64)
    one, two = (column[exits] if column.size else none for column in (x1, x2))
    out[exits[_refuses(func_id[exits], one, two)]] = Verdict.HANDLED
