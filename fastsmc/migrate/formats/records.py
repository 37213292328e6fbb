"""Records of fixed layout: a template per vCPU, registers at fixed places in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsmc.checks import BoolArray, I64Array, U8Array, U64Array
from fastsmc.migrate.formats.base import damage


@dataclass(frozen=True, slots=True)
class Field:
    """Where a register's value stands in a record: `n_bytes` from `offset`, 4 or 8 of `column`'s low 64 bits."""

    column: int
    offset: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class WideField:
    """Bytes `start` to `start` + `n_bytes` of a wide register's value, at `offset`; in words of 8 if big-endian."""

    reg: int
    start: int
    offset: int
    n_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One vCPU's record.

    Attributes:
        template: uint8[n_byte], what it holds beside the registers.
        is_fixed: bool[n_byte], bytes of the template that have to be there when it is read.
    """

    template: U8Array
    is_fixed: BoolArray
    fields: tuple[Field, ...]
    wide: tuple[WideField, ...]
    is_big: bool

    def write(self, values: U64Array, wide: dict[int, U8Array], out: U8Array) -> None:
        """uint64[n_vcpu, n_reg] -> uint8[n_vcpu, n_byte]."""
        from fastsmc.migrate.kernels.records import put_fields

        out[:] = self.template
        put_fields(values, *self._places(), self.is_big, out.reshape(-1))
        for one in self.wide:
            rows = wide[one.reg][:, one.start : one.start + one.n_bytes]
            out[:, one.offset : one.offset + one.n_bytes] = self._turned(rows)

    def read(self, data: U8Array, values: U64Array, wide: dict[int, U8Array]) -> None:
        """uint8[n_vcpu, n_byte] -> uint64[n_vcpu, n_reg], uint8[n_vcpu, n_byte] by id."""
        from fastsmc.migrate.kernels.records import take_fields

        take_fields(data.reshape(-1), *self._places(), self.is_big, values)
        for one in self.wide:
            rows = data[:, one.offset : one.offset + one.n_bytes]
            wide[one.reg][:, one.start : one.start + one.n_bytes] = self._turned(rows)

    def check(self, data: U8Array, at: int, what: str) -> None:
        """The template's fixed bytes; `at`: byte where the records begin.

        Raises:
            InputError: naming the first byte that is another.
        """
        places = np.flatnonzero(self.is_fixed)
        for first in range(0, len(data), 256):
            rows = data[first : first + 256]
            differs = (rows[:, places] != self.template[places]).any(axis=1)
            if differs.any():
                row = int(np.argmax(differs))
                place = int(places[np.argmax(rows[row, places] != self.template[places])])
                found, right = int(rows[row, place]), int(self.template[place])
                msg = f"{what} {first + row}, byte {place} of {self.template.size}: {found:#x}, {right:#x} expected"
                raise damage(at + (first + row) * self.template.size + place, msg)

    def _places(self) -> tuple[I64Array, I64Array, BoolArray]:
        column, offset, n_bytes = (
            np.array([getattr(one, name) for one in self.fields], np.int64) for name in ("column", "offset", "n_bytes")
        )
        return column, offset, n_bytes == 4

    def _turned(self, rows: U8Array) -> U8Array:
        """Words of 8 bytes, turned if the record is big-endian."""
        if not self.is_big:
            return rows
        return rows.reshape(len(rows), -1, 8)[:, :, ::-1].reshape(rows.shape)
