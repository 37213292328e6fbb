"""Which kernel decides a batch, or a part of it, on this thread, and what it works in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc import kernels
from fastsmc.calls.grouped import GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.kernels.blocks import decide_blocks as wide_decide_blocks
from fastsmc.dispatcher.kernels.wide import CHUNK, ROOM, STEP
from fastsmc.dispatcher.kernels.wide import decide as wide_decide
from fastsmc.fleet.rows import Rows
from fastsmc.jit.cache_lines import on_lines
from fastsmc.jit.compiled import HAS_WIDE

AnyCalls = Calls | GroupedCalls

N_WIDE = STEP
"""From so many calls on the wide kernel is used, where the CPU has what it needs; it takes no fewer."""
SPREAD = 1 << 16
"""Calls of blocks that are given a vCPU each at a time; these stay in L2."""
_ALL_HVC = np.zeros(0, np.uint8)


class _Scratch(threading.local):
    """What the wide kernel works in, of each thread."""

    def __init__(self) -> None:
        self.arrays = (
            on_lines(np.empty((5, ROOM), np.uint8)),
            on_lines(np.empty(ROOM, np.uint16)),
            on_lines(np.empty((3, ROOM), np.uint32)),
        )
        self.span = np.empty((1, 2), np.uint64)


_scratch = _Scratch()


def decide(
    calls: AnyCalls,
    rows: Rows,
    vm_of_vcpu: NDArray[np.uint32],
    counts: NDArray[np.uint32],
    is_whole: bool,
    out: NDArray[np.uint8],
    *,
    streams: bool = False,
) -> bool:
    """Writes the verdict of every call and counts them; whether all vCPUs exist.

    Args:
        counts: uint32[n_vm, 1 or 0, N_CODE], added to.
        is_whole: `out` is left as it was if a vCPU does not exist. That of blocks always is.
        streams: verdicts are written around the caches where that is possible.
    """
    conduit = _ALL_HVC if calls.conduit is None else calls.conduit
    if isinstance(calls, GroupedCalls):
        all_exist = not len(calls.block_vcpu) or int(calls.block_vcpu.max()) < rows.n_vcpu
        if all_exist:
            _decide_blocks(calls, conduit, rows, vm_of_vcpu, counts, out)
        return all_exist
    if is_whole and calls.n_vcpu is not None:
        if calls.n_vcpu > rows.n_vcpu:
            return False
        is_whole = False
    arguments = (calls.func_id, calls.vcpu, conduit, *rows.arguments, vm_of_vcpu, counts)
    return decide_columns(arguments, is_whole, out, streams=streams) == len(out)


def decide_columns(arguments: tuple[Any, ...], is_whole: bool, out: NDArray[np.uint8], *, streams: bool = False) -> int:
    """How many calls were decided before one by a vCPU the fleet lacks; with `is_whole` none, if there is one.

    Args:
        arguments: as `kernels.decide` has them, func_id to counts.
    """
    n_call = len(out)
    if not HAS_WIDE or n_call < N_WIDE:
        portable: Callable[..., int] = kernels.decide
        return portable(*arguments, is_whole, out)
    is_one_chunk = n_call <= CHUNK  # whose vCPUs are looked at first as it is
    spans = np.empty((-(-n_call // CHUNK), 2), np.uint64) if is_whole and not is_one_chunk else _scratch.span
    wide: Callable[..., int] = wide_decide
    return wide(*arguments, streams, spans, *_scratch.arrays, out)


def _decide_blocks(
    calls: GroupedCalls,
    conduit: NDArray[np.uint8],
    rows: Rows,
    vm_of_vcpu: NDArray[np.uint32],
    counts: NDArray[np.uint32],
    out: NDArray[np.uint8],
) -> None:
    """Blocks by themselves, where only verdicts are wanted and nothing is searched for; else as calls are."""
    is_plain = not (len(conduit) or len(counts) or rows.has_ranges)
    if HAS_WIDE and is_plain and len(out) >= N_WIDE:
        wide: Callable[..., None] = wide_decide_blocks
        bytes_, _, words = _scratch.arrays
        wide(calls.block_first, calls.block_vcpu, calls.func_id, *rows.block_arguments, bytes_, words, out)
        return
    vcpu = np.empty(min(SPREAD, len(out)), np.uint32)
    for first in range(0, len(out), SPREAD):
        part = slice(first, min(first + SPREAD, len(out)))
        block = int(np.searchsorted(calls.block_first, first, side="right")) - 1
        its_vcpu = vcpu[: part.stop - first]
        kernels.spread(calls.block_first, calls.block_vcpu, block, first, its_vcpu)
        columns = (calls.func_id[part], its_vcpu, conduit[part])
        decide_columns((*columns, *rows.arguments, vm_of_vcpu, counts), False, out[part])
