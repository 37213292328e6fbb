"""Full answers: the registers each call leaves, from a table of answers per policy and functions of the arguments.

Independent of `reference`, with which the tests compare it. Random and clock-derived bits are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.bitmaps import MULTIPLIER, SLOT_ID, SLOT_OF_BUCKET
from fastsmc.calls.grouped import AnyCalls, each_call
from fastsmc.checks import U32Array, U64Array
from fastsmc.dispatcher.answer_tables import (
    IS_NARROW,
    LOOKUP,
    LOOKUP_BARE,
    PARAMETER,
    VALUE_ROW,
    build_answer_tables,
)
from fastsmc.dispatcher.batch import verdict_filler
from fastsmc.dispatcher.decide import takes_vectors
from fastsmc.dispatcher.given import filled_array, own_vcpus
from fastsmc.dispatcher.kernels import answers as kinds
from fastsmc.dispatcher.kernels.answers_wide import list_block as wide_list
from fastsmc.facts.guests import PROTECTED_ANSWERS, PROTECTED_INVALID
from fastsmc.facts.services import MPIDR_AFFINITY
from fastsmc.facts.smccc import Verdict
from fastsmc.jit.cache_lines import LINE
from fastsmc.jit.threads import in_parts, thread_count
from fastsmc.vm import Fleet

STREAMED_BYTES = 1 << 24
"""Answers of so many bytes and more are written around the caches, which could not hold them."""


def answers(
    fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint64] | None = None, *, threads: int | None = None
) -> NDArray[np.uint64]:
    """x0..x3 after every call, as the guest sees them, or userspace at an exit: uint64[n_call, 4].

    Each call is made on its own in the power state of `fleet.mp_state`, which is read and not changed. Bits that may be
    anything (random words, clocks) are 0. A call that a guest's own EL2 gets leaves all registers as they were; as of a
    forwarded call, x0 is told as its low half, the id.

    Args:
        out: filled and returned when given; uint64[n_call, 4], C-contiguous, apart from the columns of `calls`.
        threads: at most so many, by the rules of `dispatch`.

    Raises:
        InputError: a call by a vCPU the fleet does not have, or at a level by a vCPU without EL2; an `out` of another
            shape or dtype, or one that shares memory with a column.

    Cost: O(n_call); AFFINITY_INFO looks at every vCPU of its VM. 32 bytes are written per call.
    """
    calls = each_call(calls)
    out = filled_array(calls, out, np.uint64, 4)
    now, mp_state = fleet.snapshot(), fleet.mp_state
    fill = verdict_filler(now, calls)
    tables = now.kept(build_answer_tables)
    none = np.zeros(0, np.uint64)
    x1, x2, x3 = (none if column is None else column for column in (calls.x1, calls.x2, calls.x3))
    lookup = LOOKUP if x1.size + x2.size + x3.size else LOOKUP_BARE
    is_streamed = out.nbytes >= STREAMED_BYTES and out.ctypes.data % LINE == 0
    size = min(kinds.BLOCK, len(calls))
    multiplier = np.uint32(MULTIPLIER)
    its: tuple[Any, ...] = (
        *(tables.of_vcpu, fleet.vm_of_vcpu, fleet.first_vcpu, mp_state, np.uint64(MPIDR_AFFINITY)),
        *(lookup[kinds.KIND_AT :], IS_NARROW, PARAMETER, multiplier, SLOT_OF_BUCKET, SLOT_ID),
        *(tables.word_row, tables.feature, tables.flags, VALUE_ROW, tables.answer),
    )

    has_protected, has_el2 = bool(now.is_protected.any()), now.without_el2()[1] < len(now.vm_of_vcpu)

    def work(parts: Iterator[slice]) -> None:
        verdict, row = np.empty(size, np.uint8), np.empty(size, np.uint16)
        listed, by_kind = np.empty(kinds.LISTED, np.uint16), np.empty((kinds.N_KIND, size), np.uint16)
        for here in _blocks(parts, size):
            func_id, n_call = calls.func_id[here], here.stop - here.start
            what, rows = verdict[:n_call], row[:n_call]
            fill(here, what)
            if has_el2:  # for the registers a guest's hypervisor is what a VMM is: nobody has answered yet
                what[what == Verdict.TO_VEL2] = Verdict.FORWARDED
            list_block: Callable[..., int] = wide_list if takes_vectors(n_call) else kinds.list_block
            n_listed = list_block(func_id, what, multiplier, lookup, rows, listed)
            answer: Callable[..., None] = kinds.answer
            columns = (func_id, own_vcpus(calls, here, fleet.n_vcpu), x1[here], x2[here], x3[here], what)
            answer(*columns, rows, listed[:n_listed], by_kind, is_streamed, *its, out[here])
            if has_protected:
                _answer_protected(func_id, (x1[here], x2[here], x3[here]), what, out[here])

    in_parts(work, len(calls), thread_count(threads, len(calls)))
    return out


def _answer_protected(func_id: U32Array, words: Sequence[U64Array], verdict: NDArray[np.uint8], out: U64Array) -> None:
    """Writes what the real EL2 answers calls of protected VMs; no other VM's call of these ids is the fast path's.

    uint32[n_call], x1..x3, uint64[n_call or 0 = all 0] each, uint8[n_call] -> uint64[n_call, 4].
    """
    for its_id, (x0, *forbidden) in PROTECTED_ANSWERS.items():
        place = np.flatnonzero((func_id == its_id) & (verdict == Verdict.FAST_PATH))
        refused = np.zeros(place.size, np.bool_)
        for word, bits in zip(words, (*forbidden, forbidden[-1]), strict=True):
            if word.size:
                refused |= word[place] & np.uint64(bits) != 0
        out[place] = 0
        out[place, 0] = np.where(refused, np.int64(PROTECTED_INVALID), np.int64(x0)).astype(np.uint64)


def _blocks(parts: Iterator[slice], size: int) -> Iterator[slice]:
    for part in parts:
        for first in range(part.start, part.stop, size):
            yield slice(first, min(first + size, part.stop))
