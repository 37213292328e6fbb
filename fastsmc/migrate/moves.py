"""Rows of words from a matrix into a stream and back: which pieces, and which loop does it fastest.

All words change their byte order on the way. Rows are moved eight words at a time, which may run past a piece, into
what comes later; past the caches where a large output is aligned; and the last row to the word.
docs/performance.md has what each gained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np

from fastsmc.checks import BoolArray, I64Array, U64Array
from fastsmc.jit.cache_lines import LINE

STEP = 8
"""Words moved at a time."""
_ROOM = np.zeros(STEP, np.uint64)


@cache
def loops() -> ModuleType:
    """The kernels, imported when they are first needed: with Numba, which takes longer than most commands."""
    from fastsmc.migrate.kernels import arrays

    return arrays


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """What a row of output is made of, ascending and without gaps: bool[n_piece] and uint64[n_piece].

    Attributes:
        from_source: whether the piece comes from the matrix's row, or else from the row that all share.
        at, to: the piece's first word in the row it comes from, and in the output.
        n: words of the piece.
        n_in, n_out: words of a row of the matrix, and of the output.
        is_whole: whether the output's row is the matrix's.
        are_eights: whether every piece is of whole eights.
    """

    from_source: BoolArray
    at: U64Array
    to: U64Array
    n: U64Array
    n_in: np.uint64
    n_out: np.uint64
    is_whole: bool
    are_eights: bool

    @classmethod
    def of(cls, pieces: Iterable[tuple[bool, int, int]], n_in: int) -> Pieces:
        """Pieces from (from_source, first word there, words), in the output's order; empty ones are left out."""
        rows = [piece for piece in pieces if piece[2]]
        from_source = np.array([row[0] for row in rows], np.bool_)
        at, n = (np.array([row[k] for row in rows], np.uint64) for k in (1, 2))
        n_out = int(n.sum())
        is_whole = len(rows) == 1 and rows[0][0] and n_in == n_out
        are_eights = not (n % np.uint64(STEP)).any()
        return cls(from_source, at, np.cumsum(n) - n, n, np.uint64(n_in), np.uint64(n_out), is_whole, are_eights)

    def run(self, source: U64Array, shared: U64Array, out: U64Array) -> None:
        """Moves all rows.

        Args:
            source: uint64[n_row, n_in]. shared: uint64[n_shared]. out: uint64[n_row, n_out]; all contiguous, no two
            of them overlapping.
        """
        if not out.size:
            return
        words, kernels = out.reshape(-1), loops()
        is_past = out.nbytes > kernels.KEPT_BYTES and out.ctypes.data % LINE == 0
        if self.is_whole:
            swap = kernels.swap_all_past if is_past else kernels.swap_all
            swap(source.reshape(-1), words)
            return
        n_row = len(out)
        n_eights = n_row - 1 if min(self.n_in, self.n_out) >= STEP else 0
        kernels.move_rows(
            source.reshape(-1),
            *(self.n_in, np.concatenate((shared, _ROOM)), self.from_source, self.at, self.to, self.n),
            *(np.uint64(n_row), np.uint64(n_eights), is_past and self.are_eights, self.n_out, words),
        )


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
