"""Register matrices into bytes and back: the loops.

A matrix is uint64[n_vcpu, n_reg], native (little-endian). A row of a stream of arrays is made of *pieces*: runs of
words, ascending and without gaps, each from the matrix or from one row that all vCPUs share (ids; values sent once).
Real VM-global registers lie side by side (ID block, firmware), so a piece is a long contiguous copy.

Bytes are swapped on the way, in both directions and on both sources.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import borrowing_kernel, inner_kernel, kernel, lane_kernel
from fastsmc.jit.words import swap_8, swap_8_past, swapped

U64Array = NDArray[np.uint64]
U8Array = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]

_8 = np.uint64(8)
PAGE = 512
"""Words of a page of memory."""
KEPT_BYTES = 12 << 20
"""Larger outputs gain from being written past the caches: measured, 16 MiB do and 8 MiB do not."""


@borrowing_kernel
def swap_all(words: U64Array, out: U64Array) -> None:
    """Every word with its bytes reversed, eight at a time. uint64[n] -> uint64[n].

    A page of each half by turns, so that what hardware fetches ahead in one has the time of the other.
    """
    half = np.uint64(words.size // 2 // PAGE * PAGE)
    for page in range(0, half, PAGE):
        for start in (np.uint64(page), np.uint64(page) + half):
            for step in range(0, PAGE, 8):
                at = start + np.uint64(step)
                swap_8(words, at, out, at)
    at = half + half
    for _ in range((words.size - at) // 8):
        swap_8(words, at, out, at)
        at += _8
    for i in range(at, words.size):
        out[i] = swapped(words[i])


@kernel
def swap_matrix(values: U64Array, out: U8Array, n_reg: int) -> bool:
    """Does what `swap_all` does, if it can: sizes fit, the memory is apart, and `out` is aligned and small enough.

    `out` must lie at a multiple of 8 bytes, and is small enough if it is to stay in the caches. uint64[n_vcpu, n_reg]
    -> uint8[8 * n_vcpu * n_reg]; returns whether it was done.
    """
    source, target, n_byte = values.ctypes.data, out.ctypes.data, 8 * values.size
    is_apart = source + n_byte <= target or target + n_byte <= source
    if (
        values.shape[1] != n_reg
        or not n_byte
        or out.size != n_byte
        or n_byte > KEPT_BYTES
        or target % 8
        or not is_apart
    ):
        return False
    swap_all(values.reshape(-1), out.view(np.uint64))
    return True


@kernel
def swap_all_past(words: U64Array, out: U64Array) -> None:
    """`swap_all` past the caches, for an `out` at a multiple of 64 bytes."""
    at = np.uint64(0)
    for _ in range(words.size // 8):
        swap_8_past(words, at, out, at)
        at += _8
    for i in range(words.size // 8 * 8, words.size):
        out[i] = swapped(words[i])


class RowPieces(NamedTuple):
    """What a row is made of, as `move_rows` takes it: bool[n_piece], 3 x uint64[n_piece]; words of a row in and out."""

    from_source: BoolArray
    at: U64Array
    to: U64Array
    n: U64Array
    n_in: np.uint64
    n_out: np.uint64


@inner_kernel
def _copy_eights(
    words: U64Array, word: np.uint64, out: U64Array, place: np.uint64, end: np.uint64, is_past: bool
) -> None:
    """Words from `word` on to out[place:end], eight at a time; past the caches on demand."""
    if is_past:
        while place < end:
            swap_8_past(words, word, out, place)
            word += _8
            place += _8
    else:
        while place < end:
            swap_8(words, word, out, place)
            word += _8
            place += _8


@inner_kernel
def _move_eights(
    source: U64Array, shared: U64Array, pieces: RowPieces, n_row: np.uint64, is_past: bool, out: U64Array
) -> None:
    """Every piece of some rows, eight words at a time, ascending: up to seven words past the end of each piece.

    The words beyond a piece's end belong to the next piece or row, which is written later. So another row must follow
    in `out` and in `source`, and seven words in `shared`. Past the caches only pieces of whole eights may go, each at a
    multiple of 64 bytes of `out`.

    uint64[at least n_row * n_in + 7], uint64[n_shared + 7] -> uint64[...].
    """
    first, second = np.uint64(0), np.uint64(0)
    for _ in range(n_row):
        for k in range(pieces.at.size):
            word = pieces.at[k]
            place = second + pieces.to[k]
            end = place + pieces.n[k]
            if pieces.from_source[k]:
                _copy_eights(source, first + word, out, place, end, is_past)
            else:
                _copy_eights(shared, word, out, place, end, is_past)
        first += pieces.n_in
        second += pieces.n_out


@kernel
def move_rows(
    source: U64Array,
    n_in: np.uint64,
    shared: U64Array,
    from_source: BoolArray,
    at: U64Array,
    to: U64Array,
    n: U64Array,
    n_row: np.uint64,
    n_eights: np.uint64,
    is_past: bool,
    n_out: np.uint64,
    out: U64Array,
) -> None:
    """Every piece of every row: row[to:to + n] = source's row[at:at + n], or `shared`'s, the bytes of words reversed.

    The first `n_eights` rows are moved eight words at a time (past the caches on demand), the others to the word.

    uint64[n_row * n_in], uint64[n_shared + 7], bool[n_piece], 3 x uint64[n_piece] -> uint64[n_row * n_out].
    """
    pieces = RowPieces(from_source, at, to, n, n_in, n_out)
    _move_eights(source, shared, pieces, n_eights, is_past, out)
    first, second = n_eights * n_in, n_eights * n_out
    for _ in range(n_row - n_eights):
        for k in range(at.size):
            place = second + to[k]
            if from_source[k]:
                word = first + at[k]
                for i in range(n[k]):
                    out[place + i] = swapped(source[word + i])
            else:
                for i in range(n[k]):
                    out[place + i] = swapped(shared[at[k] + i])
        first += n_in
        second += n_out


@kernel
def row_differences(stream: U64Array, expected: U64Array, out: U64Array) -> None:
    """OR of the bits in which the first words of each row differ from those expected.

    uint64[n_row, n_word], uint64[n_expected] -> uint64[n_row]; 0 where they are equal.
    """
    for v in range(out.size):
        row = stream[v]
        bits = np.uint64(0)
        for i in range(expected.size):
            bits |= row[i] ^ expected[i]
        out[v] = bits


@lane_kernel
def _add_differences(a: U64Array, b: U64Array, c: U64Array, d: U64Array, first: U64Array, out: U64Array) -> None:
    """Four rows at once: one load and one store of `out` instead of four."""
    for r in range(out.size):
        word = first[r]
        out[r] |= ((a[r] ^ word) | (b[r] ^ word)) | ((c[r] ^ word) | (d[r] ^ word))


@kernel
def column_differences(values: U64Array, out: U64Array) -> None:
    """OR of the bits in which any vCPU differs from vCPU 0, per column. uint64[n_vcpu, n_reg] -> uint64[n_reg]."""
    out[:] = 0
    n, v = values.shape[0], 0
    while v + 4 <= n:
        _add_differences(values[v], values[v + 1], values[v + 2], values[v + 3], values[0], out)
        v += 4
    while v < n:
        _add_differences(values[v], values[v], values[v], values[v], values[0], out)
        v += 1
