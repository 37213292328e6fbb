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
"""Words a step moves."""
_PAST_BYTES = 4 << 20
"""Output from which on writing past the caches gains: measured at 8 and 16 MiB."""
_LINE_BYTES = 64


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
        from_source, at, n = (np.array([row[k] for row in rows], kind) for k, kind in enumerate((np.bool_, int, int)))
        to = np.concatenate(([0], np.cumsum(n)[:-1])) if rows else n
        return cls(from_source, at, to, n, n_in, int(n.sum()))

    def steps(self) -> tuple[BoolArray, U64Array, U64Array]:
        """Pieces cut into steps of eight words, the last of each perhaps too long."""
        counts = -(-self.n // STEP)
        first = np.cumsum(counts) - counts
        into = STEP * (np.arange(int(counts.sum())) - np.repeat(first, counts))
        at, to = (np.repeat(start, counts) + into for start in (self.at, self.to))
        return np.repeat(self.from_source, counts), at.astype(np.uint64), to.astype(np.uint64)

    def run(self, source: U64Array, shared: U64Array, out: U64Array) -> None:
        """Moves all rows.

        Args:
            source: uint64[n_row, n_in]. shared: uint64[n_shared]. out: uint64[n_row, n_out]; all contiguous, no two
            of them overlapping.
        """
        from fastsmc.kernels_payload import move_pieces, move_steps, move_steps_past

        n_row = out.shape[0]
        if not n_row or not self.n_out:
            return
        done = 0
        if n_row > 1 and min(self.n_in, self.n_out) >= STEP:
            done = n_row - 1
            is_whole = not (self.n % STEP).any()
            is_past = is_whole and out.nbytes >= _PAST_BYTES and out.ctypes.data % _LINE_BYTES == 0
            move = move_steps_past if is_past else move_steps
            room = np.concatenate((shared, np.zeros(STEP, np.uint64)))
            numbers = (np.uint64(k) for k in (self.n_in, done, self.n_out))
            n_in, n_row_done, n_out = numbers
            move(source.reshape(-1), n_in, room, *self.steps(), n_row_done, n_out, out.reshape(-1))
        move_pieces(source[done:], shared, self.from_source, self.at, self.to, self.n, out[done:])


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
