"""What formats write and read: the registers of all vCPUs of a VM, of any width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import BoolArray, I64Array, U8Array, U64Array, whole
from fastsmc.errors import InputError
from fastsmc.facts.registers import MAX_VALUE_BYTES, reg_size
from fastsmc.migrate._checks import MAX_COUNT, checked_matrix, checked_scope, is_narrow
from fastsmc.migrate.read.result import Bank


@dataclass(frozen=True, slots=True, eq=False)
class RegisterState:
    """Registers and values of all vCPUs of a VM; `RegisterState.of` checks them.

    Attributes:
        ids: uint64[n_reg], ascending.
        values: uint64[n_vcpu, n_reg], the lowest 64 bits of each value.
        wide: uint8[n_vcpu, n_bytes] by id, little-endian, of registers over 64 bits.
        is_global: bool[n_reg], what is sent once by formats that do; None where nobody asked.
    """

    ids: U64Array
    values: U64Array
    wide: Mapping[int, U8Array] = field(default_factory=dict)
    is_global: BoolArray | None = None

    @classmethod
    def of(
        cls,
        ids: ArrayLike,
        values: ArrayLike,
        *,
        wide: Mapping[int, U8Array] | None = None,
        is_global: ArrayLike | None = None,
    ) -> RegisterState:
        """Checked arrays; the low 64 bits of wide registers are taken from `wide`.

        Raises:
            InputError: ids that do not ascend, a size no register has, values that do not fit, or `wide` other than
                exactly the registers over 64 bits.
        """
        names, matrix, wide = checked_any_ids(ids), checked_matrix(values), wide or {}
        if matrix.shape[1] != names.size:
            msg = f"values have {matrix.shape[1]} columns for {names.size} ids"
            raise InputError(msg)
        scope = None if is_global is None else checked_scope(is_global, names.size, is_needed=True)
        needed = [(i, reg, reg_size(reg)) for i, reg in enumerate(names.tolist()) if reg_size(reg) > 8]
        if {reg for _, reg, _ in needed} != set(wide):
            odd = min({reg for _, reg, _ in needed} ^ set(wide))
            msg = f"register {odd:#x} has {8 * reg_size(odd)} bits: `wide` has to hold those over 64 and no others"
            raise InputError(msg)
        if needed:
            matrix = matrix.copy()
        for column, reg, size in needed:
            rows = np.asarray(wide[reg])
            if rows.dtype != np.uint8 or rows.shape != (matrix.shape[0], size):
                msg = f"wide[{reg:#x}]: uint8[{matrix.shape[0]}, {size}] is needed"
                raise InputError(msg)
            matrix[:, column] = np.ascontiguousarray(rows[:, :8]).view("<u8")[:, 0]
        check_widths(names, matrix)
        return cls(names, matrix, dict(wide), scope)

    @classmethod
    def of_bank(cls, *banks: Bank) -> RegisterState:
        """The registers of banks of the same vCPUs, as `inspect` tells them (cpregs and core of QEMU).

        Raises:
            InputError: values that the file does not tell, or banks of different vCPUs.
        """
        for bank in banks:
            if bank.values is None or (bank.known is not None and not bank.known.all()):
                msg = f"{bank.registers.name}: not all values are told"
                raise InputError(msg)
            if bank.vcpus.tolist() != banks[0].vcpus.tolist():
                msg = "these banks are of different vCPUs"
                raise InputError(msg)
        ids = np.concatenate([bank.registers.ids for bank in banks])
        order = np.argsort(ids)
        values = np.concatenate([bank.values for bank in banks if bank.values is not None], axis=1)
        wide = {reg: rows for bank in banks for reg, rows in bank.wide.items()}
        return cls.of(ids[order], values[:, order], wide=wide)

    def __repr__(self) -> str:
        return f"RegisterState({self.ids.size} registers, {self.n_vcpu} vCPUs, {len(self.wide)} over 64 bits)"

    @property
    def n_vcpu(self) -> int:
        """How many vCPUs there are."""
        return int(self.values.shape[0])

    @property
    def expected(self) -> Expected:
        """What an end that has the same registers expects."""
        return Expected(self.ids, self.n_vcpu, self.is_global)

    def equals(self, other: RegisterState) -> bool:
        """Whether ids and all values are the same, bit for bit."""
        return (
            np.array_equal(self.ids, other.ids)
            and np.array_equal(self.values, other.values)
            and self.wide.keys() == other.wide.keys()
            and all(np.array_equal(rows, other.wide[reg]) for reg, rows in self.wide.items())
        )


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What the reading end has: it knows its own registers and vCPUs, and takes no others.

    Attributes:
        ids: uint64[n_reg], ascending.
        is_global: bool[n_reg], the registers that some formats send once.
    """

    ids: U64Array
    n_vcpu: int
    is_global: BoolArray | None = None

    def __repr__(self) -> str:
        return f"Expected({self.ids.size} registers, {self.n_vcpu} vCPUs)"

    @classmethod
    def of(cls, ids: ArrayLike, *, n_vcpu: int, is_global: ArrayLike | None = None) -> Expected:
        """What the reading end expects, checked.

        Raises:
            InputError: ids that do not ascend, no number of vCPUs, or another shape.
        """
        names = checked_any_ids(ids)
        scope = None if is_global is None else checked_scope(is_global, names.size, is_needed=True)
        return cls(names, whole("n_vcpu", n_vcpu, first=1, last=MAX_COUNT), scope)


def checked_any_ids(ids: ArrayLike) -> U64Array:
    """Register ids as uint64[n_reg]: they ascend, and every register has a size that exists.

    Raises:
        InputError: otherwise.
    """
    array: U64Array = checked_matrix(np.asarray(ids)[None])[0]
    falls = np.flatnonzero(array[1:] <= array[:-1])
    if falls.size:
        i = int(falls[0])
        msg = f"ids[{i + 1}] = {int(array[i + 1]):#x} does not follow {int(array[i]):#x}: ids must ascend"
        raise InputError(msg)
    sizes = reg_sizes(array)
    if sizes.max() > MAX_VALUE_BYTES:
        msg = f"register {int(array[np.argmax(sizes)]):#x} has {8 * int(sizes.max())} bits; 2048 is the most there is"
        raise InputError(msg)
    return array


def reg_sizes(ids: U64Array) -> I64Array:
    """Bytes of each register's value: uint64[n_reg] -> int64[n_reg]."""
    sizes: I64Array = np.int64(1) << (ids >> np.uint64(52) & np.uint64(15)).astype(np.int64)
    return sizes


def check_widths(ids: U64Array, values: U64Array) -> None:
    """Every value fits its register; uint64[n_reg], uint64[n_vcpu, n_reg].

    Raises:
        InputError: naming the first that does not.
    """
    for size in np.unique(reg_sizes(ids)[reg_sizes(ids) < 8]).tolist():
        columns = np.flatnonzero(is_narrow(ids) if size == 4 else reg_sizes(ids) == size)
        wide = values[:, columns] >> np.uint64(8 * size)
        if wide.any():
            vcpu, which = (int(place[0]) for place in np.nonzero(wide))
            reg, value = int(ids[columns[which]]), int(values[vcpu, columns[which]])
            msg = f"vCPU {vcpu}, register {reg:#x}: {value:#x} does not fit its {8 * size} bits"
            raise InputError(msg)
