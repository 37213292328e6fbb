"""Which kernel decides a batch, or a part of it, on this thread, and the memory it works in."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc import kernels
from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher import columnwise
from fastsmc.dispatcher.given import all_exist
from fastsmc.dispatcher.kernels import narrow
from fastsmc.dispatcher.kernels.blocks import decide_blocks as wide_decide_blocks
from fastsmc.dispatcher.kernels.one_row import decide_blocks as one_row_blocks
from fastsmc.dispatcher.kernels.passes import CHUNK, COUNTED, ROOM, STEP
from fastsmc.dispatcher.kernels.wide import decide as wide_decide
from fastsmc.fleet.rows import Rows
from fastsmc.jit.cache_lines import empty_on_lines
from fastsmc.jit.first import Awaited
from fastsmc.jit.level import HAS_VECTORS, HAS_WIDE

N_VECTORS = STEP
"""Fewest calls the vector passes take."""
SPREAD = 1 << 16
"""Grouped calls whose vCPUs are written out at a time, so that the vCPUs stay in L2."""
_FEW, _MANY = Awaited(kernels.decide), Awaited(wide_decide if HAS_WIDE else narrow.decide)
_FEW_BLOCKS, _MANY_BLOCKS = Awaited(one_row_blocks), Awaited(wide_decide_blocks if HAS_WIDE else narrow.decide_blocks)
_SPREAD = Awaited(kernels.spread)
_ALL_HVC = np.zeros(0, np.uint8)
Columns = tuple[NDArray[np.uint32], NDArray[np.unsignedinteger[Any]], NDArray[np.uint8]]
"""The columns func_id, vcpu and conduit (empty: all calls are HVC)."""


class _Scratch(threading.local):
    """The memory that the wide kernels work in, which each thread has for itself."""

    def __init__(self) -> None:
        self.arrays = (
            empty_on_lines((5, ROOM), np.uint8),
            empty_on_lines(ROOM, np.uint16),
            empty_on_lines((3, ROOM), np.uint32),
        )
        self.span = np.empty((1, 2), np.uint64)
        self.vcpu = empty_on_lines(8 * COUNTED, np.uint8)


_scratch = _Scratch()


def takes_vectors(n_call: int) -> bool:
    """Whether vector passes decide so many calls: the CPU has what they need, and the calls are enough."""
    return HAS_VECTORS and n_call >= N_VECTORS


def decide(
    calls: AnyCalls,
    rows: Rows,
    vm_of_vcpu: NDArray[np.uint32],
    counts: NDArray[np.uint32],
    out: NDArray[np.uint8],
    *,
    looks_first: bool = False,
    streams: bool = False,
) -> bool:
    """Writes and counts the verdict of every call on this thread, `out` unchecked; returns whether all vCPUs exist.

    This is the dispatch itself, without the checks, threads and arguments that `dispatch` and `verdicts` put around it.

    Args:
        counts: uint32[n_vm, 1 or 0, N_CODE], added to.
        looks_first: all vCPUs are looked at before the first verdict is written, so that `out` is left as it was where
            one does not exist. Grouped and frozen calls are looked at first in any case, as that costs next to nothing.
        streams: verdicts are written around the caches where that is possible.
    """
    exist = all_exist(calls, rows.n_vcpu)
    if exist is False:
        return False
    if isinstance(calls, GroupedCalls):
        _decide_blocks(calls, rows, vm_of_vcpu, counts, out)
        return True
    looks_first = looks_first and exist is None
    given = columns(calls)
    return decide_columns(given, rows, vm_of_vcpu, counts, out, looks_first=looks_first, streams=streams) == len(out)


def columns(calls: Calls) -> Columns:
    """The columns that verdicts depend on."""
    return calls.func_id, calls.vcpu, _ALL_HVC if calls.conduit is None else calls.conduit


def decide_columns(
    columns: Columns,
    rows: Rows,
    vm_of_vcpu: NDArray[np.uint32],
    counts: NDArray[np.uint32],
    out: NDArray[np.uint8],
    *,
    looks_first: bool = False,
    streams: bool = False,
) -> int:
    """Decides calls; how many come before the first by a vCPU the fleet lacks (with `looks_first`, all or none)."""
    n_call = len(out)
    arguments: tuple[Any, ...]
    if not takes_vectors(n_call):
        awaited = _FEW
        arguments = (*columns, *rows.portable, vm_of_vcpu, counts, looks_first, _scratch.arrays[1], out)
    else:
        awaited = _MANY
        is_one_chunk = n_call <= CHUNK  # the kernel looks at all vCPUs of a chunk before it decides any call of it
        spans = np.empty((-(-n_call // CHUNK), 2), np.uint64) if looks_first and not is_one_chunk else _scratch.span
        own = _scratch.vcpu.view(columns[1].dtype)
        if HAS_WIDE:
            arguments = (*columns, *rows.wide, vm_of_vcpu, counts, streams, spans, *_scratch.arrays, own, out)
        else:
            arguments = (*columns, *rows.narrow, vm_of_vcpu, counts, spans, *_scratch.arrays, own, out)
    itemsize = columns[1].itemsize
    if itemsize in awaited.ready or awaited.is_due(itemsize, n_call, arguments):
        n_decided: int = awaited.kernel(*arguments)
        return n_decided
    return columnwise.decide(columns, rows.portable, vm_of_vcpu, counts, out, looks_first=looks_first)


def _decide_blocks(
    calls: GroupedCalls, rows: Rows, vm_of_vcpu: NDArray[np.uint32], counts: NDArray[np.uint32], out: NDArray[np.uint8]
) -> None:
    """Decides block by block where only verdicts are wanted and no range is searched for; else call by call."""
    if calls.conduit is None and not len(counts) and _decide_plain_blocks(calls, rows, out):
        return
    conduit = _ALL_HVC if calls.conduit is None else calls.conduit
    vcpu = np.empty(min(SPREAD, len(out)), np.uint32)
    for first in range(0, len(out), SPREAD):
        part = slice(first, min(first + SPREAD, len(out)))
        its_vcpu = vcpu[: part.stop - first]
        _spread(calls, first, its_vcpu)
        decide_columns((calls.func_id[part], its_vcpu, conduit[part]), rows, vm_of_vcpu, counts, out[part])


def _decide_plain_blocks(calls: GroupedCalls, rows: Rows, out: NDArray[np.uint8]) -> bool:
    """Decides block by block, and returns whether it did: only all by HVC, of which only verdicts are wanted."""
    blocks, (bytes_, places, words) = (calls.block_first, calls.block_vcpu, calls.func_id), _scratch.arrays
    arguments: tuple[Any, ...]
    if not takes_vectors(len(out)):
        awaited, arguments = _FEW_BLOCKS, (*blocks, *rows.portable, places, out)
    elif not HAS_WIDE:
        awaited, arguments = _MANY_BLOCKS, (*blocks, *rows.narrow_blocks, bytes_, places, out)
    elif not rows.has_ranges:
        awaited, arguments = _MANY_BLOCKS, (*blocks, *rows.wide_blocks, bytes_, words, out)
    else:
        return False
    if awaited.is_due(calls.block_vcpu.itemsize, len(out), arguments):
        awaited.kernel(*arguments)
    else:
        columnwise.decide_blocks(calls, rows.portable, out)
    return True


def _spread(calls: GroupedCalls, first: int, out: NDArray[np.uint32]) -> None:
    """The vCPU of each call from number `first` on."""
    block = int(np.searchsorted(calls.block_first, first, side="right")) - 1
    arguments = calls.block_first, calls.block_vcpu, block, first, out
    if _SPREAD.is_due(out.itemsize, 0, arguments):
        kernels.spread(*arguments)
    else:
        columnwise.spread(calls, first, out)
