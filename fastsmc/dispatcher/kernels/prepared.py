"""The entry of prepared dispatch: columns as Python holds them are looked at and handed to the kernel that decides."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from fastsmc.jit.compiled import brief_kernel, inner_kernel
from fastsmc.jit.held import (
    ALIGNED,
    CONTIGUOUS,
    DATA_AT,
    DTYPE_AT,
    FLAGS_AT,
    LENGTHS_AT,
    RANK_AT,
    TYPE_AT,
    WRITEABLE,
    array_at,
    called,
    entry_point,
    half_at,
    items_at,
    object_at,
    word_at,
)
from fastsmc.jit.types import u64
from fastsmc.kernels import check_arguments

ARRAY, NONE, DTYPES, LAST, N_VECTORS, VECTORS_AT, PART_BYTES, HEAD_BYTES = (
    u64(8 * word) for word in (0, 1, 2, 6, 7, 8, 9, 10)
)
"""Byte offsets of what a block begins with: the addresses of NumPy's array type, of None and of the dtypes U8 to U64;
the most calls that are decided here; from how many on vector passes decide; where its words lie in a part; bytes of
a part. Behind these lie three parts, for vCPUs of U8, U16 and U32: each has the words of both kernels."""
U8, U16, U32, U64 = (u64(kind) for kind in range(4))
"""Kinds of columns by dtype: an item has 1 << kind bytes."""
DONE, UNPREPARED, ELSEWHERE = 0, 1, 2
"""What the entry returns: `out` is filled; the kernel has no address yet; `verdicts` is to look at the columns."""
READ, WRITTEN = u64(CONTIGUOUS | ALIGNED), u64(CONTIGUOUS | ALIGNED | WRITEABLE)
NO_ARRAY = u64(0xFFFF_FFFF_FFFF_FFFF)


@inner_kernel
def length_of(array: np.uint64, kind: np.uint64, needs: np.uint64, block: np.uint64) -> np.uint64:
    """How many numbers an object holds one after another, NO_ARRAY unless it is a NumPy array of the kind.

    Args:
        array: its address. kind: U8 to U64. needs: flags that the array must have.
    """
    dtype = word_at(block, DTYPES + u64(8) * kind)
    if word_at(array, TYPE_AT) != word_at(block, ARRAY) or word_at(array, DTYPE_AT) != dtype:
        return NO_ARRAY
    if half_at(array, RANK_AT) != u64(1) or half_at(array, FLAGS_AT) & needs != needs:
        return NO_ARRAY
    length: np.uint64 = word_at(word_at(array, LENGTHS_AT), u64(0))
    return length


@inner_kernel
def column_at(array: np.uint64, kind: np.uint64, n_call: np.uint64, out: np.uint64, block: np.uint64) -> np.uint64:
    """Where the numbers of a column lie, one for each call; NO_ARRAY if it is none, or shares memory with `out`."""
    if length_of(array, kind, READ, block) != n_call:
        return NO_ARRAY
    first: np.uint64 = word_at(array, DATA_AT)
    first_out = word_at(out, DATA_AT)
    is_apart = first + (n_call << kind) <= first_out or first_out + n_call <= first
    return first if is_apart else NO_ARRAY


@cache
def entry_of(portable: str, vectors: str) -> Callable[..., int]:
    """The entry for kernels that take such kinds of arguments (held.kinds_of): an int of a block and six columns.

    It takes Python's objects as they are: the block, func_id, vcpu, conduit, x1, x2, out. Anything may be given as a
    column. What is no column that it knows is left to others, and nothing was written.
    """

    @brief_kernel
    def decide_held(its_block, its_func_id, its_vcpu, its_conduit, its_x1, its_x2, its_out):  # type: ignore[no-untyped-def]
        block = word_at(object_at(its_block), DATA_AT)
        none, out = word_at(block, NONE), object_at(its_out)
        n = length_of(out, U8, WRITTEN, block)
        if n > word_at(block, LAST):
            return ELSEWHERE
        ids, kind = column_at(object_at(its_func_id), U32, n, out, block), U16
        vcpus = column_at(object_at(its_vcpu), kind, n, out, block)
        if vcpus == NO_ARRAY:
            kind = U32
            vcpus = column_at(object_at(its_vcpu), kind, n, out, block)
        if vcpus == NO_ARRAY:
            kind = U8
            vcpus = column_at(object_at(its_vcpu), kind, n, out, block)
        conduits = x1 = x2 = n_conduit = n_x1 = n_x2 = u64(0)
        if object_at(its_conduit) != none:
            conduits, n_conduit = column_at(object_at(its_conduit), U8, n, out, block), n
        if object_at(its_x1) != none:
            x1, n_x1 = column_at(object_at(its_x1), U64, n, out, block), n
        if object_at(its_x2) != none:
            x2, n_x2 = column_at(object_at(its_x2), U64, n, out, block), n
        if ids == NO_ARRAY or vcpus == NO_ARRAY or conduits == NO_ARRAY or x1 == NO_ARRAY or x2 == NO_ARRAY:
            return ELSEWHERE
        has_vectors, verdicts = n >= word_at(block, N_VECTORS), word_at(out, DATA_AT)
        kernel = block + HEAD_BYTES + word_at(block, PART_BYTES) * kind
        kernel += word_at(block, VECTORS_AT) if has_vectors else u64(0)
        if word_at(kernel, u64(0)) == u64(0):
            return UNPREPARED
        func_id, conduit = items_at(ids, n, u64(4)), items_at(conduits, n_conduit, u64(1))
        vcpu, verdict = items_at(vcpus, n, u64(1) << kind), items_at(verdicts, n, u64(1))
        if has_vectors:
            n_decided = called(vectors, kernel, func_id, vcpu, conduit, verdict)
        else:
            n_decided = called(portable, kernel, func_id, vcpu, conduit, verdict)
        if u64(n_decided) != n:
            return ELSEWHERE
        if n_x1 or n_x2:
            arguments = array_at(x1, n_x1, np.uint64), array_at(x2, n_x2, np.uint64)
            check_arguments(array_at(ids, n, np.uint32), *arguments, array_at(verdicts, n, np.uint8))
        return DONE

    return entry_point(decide_held, 7)
