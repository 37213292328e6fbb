"""Rows of words from a matrix into a stream and back: which pieces, and which loop does it fastest.

All words change their byte order on the way. Three loops do the same: one to the word; one that takes eight words at a
time and may run past a piece, into what comes later; and that one past the caches, where a large output is aligned.
docs/performance.md has what each gained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fastsmc.migration._checks import BoolArray, I64Array, U8Array, U64Array

STEP = 8
"""Words moved at a time."""
_PAST_BYTES = 12 << 20
"""Larger outputs gain from being written past the caches: measured, 16 MiB do and 8 MiB do not."""
_LINE_BYTES = 64
_ROOM = np.zeros(STEP, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """What a row of output is made of, ascending and without gaps: int64[n_piece] and bool[n_piece].

    Attributes:
        from_source: whether the piece comes from the matrix's row, or else from the row that all share.
        at, to: first word there and in the output. n: words.
        n_in, n_out: words of a row of the matrix, of the output.
    """

    from_source: BoolArray
    at: I64Array
    to: I64Array
    n: I64Array
    n_in: int
    n_out: int

    @classmethod
    def of(cls, pieces: Iterable[tuple[bool, int, int]], n_in: int) -> Pieces:
        """From (from_source, first word there, words), in the order of the output; empty ones are left out."""
        rows = [piece for piece in pieces if piece[2]]
        from_source = np.array([row[0] for row in rows], np.bool_)
        at, n = (np.array([row[k] for row in rows], np.int64) for k in (1, 2))
        to = np.concatenate(([0], np.cumsum(n)[:-1])) if rows else n
        return cls(from_source, at, to, n, n_in, int(n.sum()))

    def run(self, source: U64Array, shared: U64Array, out: U64Array) -> None:
        """Moves all rows.

        Args:
            source: uint64[n_row, n_in]. shared: uint64[n_shared]. out: uint64[n_row, n_out]; all contiguous, no two
            of them overlapping.
        """
        from fastsmc import kernels_payload as kernels

        if not out.size:
            return
        is_past = out.nbytes > _PAST_BYTES and out.ctypes.data % _LINE_BYTES == 0
        if self.n.size == 1 and self.from_source[0] and self.n_in == self.n_out:  # all rows are one
            swap = kernels.swap_all_past if is_past else kernels.swap_all
            swap(source.reshape(-1), out.reshape(-1))
            return
        done = out.shape[0] - 1 if min(self.n_in, self.n_out) >= STEP else 0
        if done:
            move = kernels.move_eights_past if is_past and not (self.n % STEP).any() else kernels.move_eights
            room = np.concatenate((shared, _ROOM))
            at, to, n = (words.view(np.uint64) for words in (self.at, self.to, self.n))
            sizes = np.uint64(self.n_in), np.uint64(done), np.uint64(self.n_out)
            flat = source.reshape(-1), out.reshape(-1)
            move(flat[0], sizes[0], room, self.from_source, at, to, n, sizes[1], sizes[2], flat[1])
        kernels.move_pieces(source[done:], shared, self.from_source, self.at, self.to, self.n, out[done:])


def runs(chosen: BoolArray) -> tuple[I64Array, I64Array]:
    """Where runs of True begin and end: 2 x int64[n_run]."""
    edges = np.diff(np.concatenate(([0], chosen.astype(np.int8), [0])))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def writing(sent: BoolArray, n_id: int) -> Pieces:
    """A row of the stream: ids from the shared row, then the columns sent."""
    columns = [(True, int(a), int(b - a)) for a, b in zip(*runs(sent), strict=True)]
    return Pieces.of([(False, 0, n_id), *columns], sent.size)


def reading(sent: BoolArray, n_id: int) -> Pieces:
    """A row of the matrix: columns sent from the stream, the others from the shared row."""
    pieces: list[tuple[bool, int, int]] = []
    at, done = n_id, 0
    for a, b in zip(*(edge.tolist() for edge in runs(sent)), strict=True):
        pieces += [(False, done, a - done), (True, at, b - a)]
        at, done = at + b - a, b
    return Pieces.of([*pieces, (False, done, sent.size - done)], at)


def aligned(n_bytes: int) -> U8Array:
    """A new buffer that begins at a multiple of 64 bytes."""
    room = np.empty(n_bytes + _LINE_BYTES, np.uint8)
    start = -room.ctypes.data % _LINE_BYTES
    return room[start : start + n_bytes]
