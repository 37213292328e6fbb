"""Arrays of words as a stream carries them: what a row holds, worked out once for a set of registers.

vCPU 0's row is complete. Later rows are like it, or leave out the columns that are sent once. Rows may come in blocks,
so that a fleet larger than memory streams through (`chunks`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsmc.checks import BoolArray, U64Array
from fastsmc.errors import InputError
from fastsmc.migrate._checks import is_narrow
from fastsmc.migrate.moves import Pieces, reading, writing

_U32_BITS = np.uint64(32)
_NONE = np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class RowKind:
    """What a row of the stream holds: some ids, then values of the columns that are sent.

    Attributes:
        ids: uint64[n_id], the ids in front of the values, native; empty where the stream has none.
        ids_be: the same ids with their bytes as in the stream.
        sent: bool[n_reg], the columns whose values are sent.
        n_word: words of a row, ids and values together.
        to_stream, to_matrix: the pieces that are moved either way.
    """

    ids: U64Array
    ids_be: U64Array
    sent: BoolArray
    n_word: int
    to_stream: Pieces
    to_matrix: Pieces

    @classmethod
    def of(cls, ids: U64Array, sent: BoolArray, *, has_ids: bool) -> RowKind:
        head = ids[sent] if has_ids else ids[:0]
        moves = writing(sent, head.size), reading(sent, head.size)
        return cls(head, head.byteswap(), sent, head.size + int(np.count_nonzero(sent)), *moves)


class Arrays:
    """All rows of a stream of one set of registers: vCPU 0's, and the later ones.

    Args:
        ids: uint64[n_reg], ascending.
        once: bool[n_reg], columns sent for vCPU 0 only; None: every row is complete.
    """

    def __init__(self, ids: U64Array, *, has_ids: bool, once: BoolArray | None) -> None:
        self.ids = ids
        self.first = RowKind.of(ids, np.ones(ids.size, np.bool_), has_ids=has_ids)
        self.later = self.first if once is None else RowKind.of(ids, ~once, has_ids=has_ids)
        self._narrow = is_narrow(ids)
        self._has_narrow = bool(self._narrow.any())

    def n_word(self, n_vcpu: int, first: int = 0) -> int:
        """Words that the rows of `n_vcpu` vCPUs take, from vCPU number `first` on."""
        if first or not n_vcpu:
            return n_vcpu * self.later.n_word
        return self.first.n_word + (n_vcpu - 1) * self.later.n_word

    def _blocks(self, n_vcpu: int, first: int) -> list[tuple[slice, int, RowKind]]:
        """Blocks of rows that are alike: (rows of the matrix, first word in the stream, kind of row)."""
        if first:
            return [(slice(0, n_vcpu), 0, self.later)]
        if self.later is self.first:
            return [(slice(0, n_vcpu), 0, self.first)]
        return [(slice(0, 1), 0, self.first), (slice(1, n_vcpu), self.first.n_word, self.later)]

    def write(self, values: U64Array, words: U64Array, first: int = 0) -> None:
        """uint64[n_vcpu, n_reg] of vCPUs from number `first` on -> uint64[n_word]."""
        for vcpus, at, kind in self._blocks(values.shape[0], first):
            rows = values[vcpus]
            out = words[at : at + len(rows) * kind.n_word].reshape(len(rows), kind.n_word)
            kind.to_stream.run(rows, kind.ids, out)

    def read(
        self, words: U64Array, out: U64Array, first: int = 0, base: U64Array | None = None, offset: int = 0
    ) -> None:
        """Undo `write`: uint64[n_word] -> uint64[n_vcpu, n_reg].

        Args:
            base: vCPU 0's row, needed where `first` is not 0 and columns are sent once.
            offset: byte in the stream where `words` begin, for messages.

        Raises:
            InputError: an id other than the expected one, or a value too wide for its register.
        """
        from fastsmc.migrate.kernels.arrays import row_differences

        for vcpus, at, kind in self._blocks(out.shape[0], first):
            target = out[vcpus]
            rows = words[at : at + len(target) * kind.n_word].reshape(len(target), kind.n_word)
            place = offset + 8 * at, first + vcpus.start
            if kind.ids.size and len(rows):
                differs = np.empty(len(rows), np.uint64)
                row_differences(rows, kind.ids_be, differs)
                if differs.any():
                    raise _wrong_id(rows, kind, int(np.argmax(differs != 0)), place)
            shared = (out[0] if base is None else base).byteswap() if kind is not self.first else _NONE
            kind.to_matrix.run(rows, shared, target)
            if self._has_narrow and len(rows):
                self._check_widths(target, kind, place)

    def _check_widths(self, target: U64Array, kind: RowKind, place: tuple[int, int]) -> None:
        narrow = np.flatnonzero(self._narrow & kind.sent)
        wide = target[:, narrow] >> _U32_BITS
        if wide.any():
            row, which = (int(index[0]) for index in np.nonzero(wide))
            column = int(narrow[which])
            at = place[0] + 8 * (row * kind.n_word + kind.ids.size + int(np.count_nonzero(kind.sent[:column])))
            where = f"byte {at}: vCPU {place[1] + row}, register {int(self.ids[column]):#x}"
            msg = f"{where}: {int(target[row, column]):#x} does not fit its 32 bits"
            raise InputError(msg)


def _wrong_id(rows: U64Array, kind: RowKind, row: int, place: tuple[int, int]) -> InputError:
    column = int(np.argmax(rows[row, : kind.ids.size] != kind.ids_be))
    found, right = int(rows[row, column].byteswap()), int(kind.ids[column])
    where = f"vCPU {place[1] + row}, register {column} of {kind.ids.size}"
    at = place[0] + 8 * (row * kind.n_word + column)
    return InputError(f"byte {at}: {where}: id {found:#x} in the stream, {right:#x} expected")
