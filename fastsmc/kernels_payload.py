"""Register matrices into bytes and back: the loops.

A matrix is uint64[n_vcpu, n_reg], native (little-endian). A row of the stream is `n_id` ids, then the values of the
chosen columns, all big-endian. Columns are chosen as runs [start, stop), ascending and disjoint: real VM-global
registers lie side by side (ID block, firmware), so a run is a long contiguous copy. One full run with or without
ids gives the plain codecs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsmc._jit import kernel

U64Array = NDArray[np.uint64]
I64Array = NDArray[np.int64]

_BYTES = np.uint64(0x00FF_00FF_00FF_00FF)
_HALVES = np.uint64(0x0000_FFFF_0000_FFFF)
_8, _16, _32 = np.uint64(8), np.uint64(16), np.uint64(32)


@kernel
def _swapped(word: np.uint64) -> np.uint64:
    """A word with its bytes reversed; LLVM turns the three steps into one shuffle of a whole vector."""
    word = (word & _BYTES) << _8 | (word >> _8) & _BYTES
    word = (word & _HALVES) << _16 | (word >> _16) & _HALVES
    return word << _32 | word >> _32


@kernel
def swap_words(words: U64Array, out: U64Array) -> None:
    """Reverse the bytes of every word: native to big-endian and back. uint64[n] -> uint64[n]."""
    for i in range(words.size):
        out[i] = _swapped(words[i])


@kernel
def _differences(words: U64Array, expected: U64Array) -> np.uint64:
    """OR of all bits in which two rows differ; 0 if they are equal."""
    bits = np.uint64(0)
    for i in range(words.size):
        bits |= words[i] ^ expected[i]
    return bits


@kernel
def encode_rows(ids_be: U64Array, values: U64Array, starts: I64Array, stops: I64Array, out: U64Array) -> None:
    """Write one row of the stream per vCPU: ids as they are, then the chosen columns big-endian.

    Big-endian uint64[n_id], uint64[n_row, n_reg], 2 x int64[n_run] -> uint64[n_row, n_id + n_column].
    """
    n_id = ids_be.size
    for v in range(values.shape[0]):
        row, stream = values[v], out[v]
        stream[:n_id] = ids_be
        at = n_id
        for k in range(starts.size):
            length = stops[k] - starts[k]
            swap_words(row[starts[k] : stops[k]], stream[at : at + length])
            at += length


@kernel
def decode_rows(
    stream: U64Array,
    ids_be: U64Array,
    starts: I64Array,
    stops: I64Array,
    shared: U64Array,
    id_differs: U64Array,
    out: U64Array,
) -> None:
    """Undo `encode_rows`: chosen columns from the stream, the others from `shared`.

    `id_differs[v]` is 0 if row v carries exactly `ids_be`; `out` is filled either way and must not be used otherwise.
    uint64[n_row, n_id + n_column], big-endian uint64[n_id], 2 x int64[n_run], uint64[n_reg]
    -> uint64[n_row], uint64[n_row, n_reg].
    """
    n_id = ids_be.size
    n_reg = out.shape[1]
    for v in range(out.shape[0]):
        row, wire = out[v], stream[v]
        id_differs[v] = _differences(wire[:n_id], ids_be)
        at = n_id
        done = 0
        for k in range(starts.size):
            row[done : starts[k]] = shared[done : starts[k]]
            length = stops[k] - starts[k]
            swap_words(wire[at : at + length], row[starts[k] : stops[k]])
            at += length
            done = stops[k]
        row[done:n_reg] = shared[done:n_reg]


@kernel
def column_differences(values: U64Array, out: U64Array) -> None:
    """OR of the bits in which any vCPU differs from vCPU 0, per column. uint64[n_vcpu, n_reg] -> uint64[n_reg]."""
    first = values[0]
    out[:] = 0
    for v in range(1, values.shape[0]):
        row = values[v]
        for r in range(out.size):
            out[r] |= row[r] ^ first[r]
