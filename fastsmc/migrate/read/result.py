"""What every reader of register files returns: one type, whatever wrote the file.

vCPUs that list the same registers share a *bank*: one list of ids and a matrix of values. A file whose vCPUs all list
the same has one bank. Registers wider than 64 bits keep all their bytes beside the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.facts.register_sets import RegisterSet, is_vm_global
from fastsmc.facts.registers import reg_size


class Format(StrEnum):
    """What wrote the file."""

    QEMU_STREAM = "qemu-stream"
    ANALYZE_MIGRATION = "analyze-migration"
    FINGERPRINT = "firecracker-fingerprint"
    SNAPSHOT_EDITOR = "snapshot-editor"
    REG_LIST = "get-reg-list"
    CLOUD_HYPERVISOR = "cloud-hypervisor"
    RECORDED_LIST = "recorded-reglist"
    RECORDED_PAYLOAD = "recorded-payload"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the file: a whole section of a stream, or a named rest (header, end of file).

    Attributes:
        name: the device's name, or what the rest is.
        instance: the device's instance as the stream numbers it, None for what has none.
        n_bytes: from its first byte to its last; all parts and the description add up to the file.
    """

    name: str
    instance: int | None
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the registers come from.

    Attributes:
        path: as given, "-" for standard input.
        total_bytes: length of the file, after xz if it was compressed.
        sha256: of those bytes, hexadecimal; "" where they were not all read (guest memory is skipped).
        told_by: what the file says about its maker: {"machine": "virt-7.2"}, {"kernel_version": ...}.
    """

    path: str
    total_bytes: int
    sha256: str = ""
    told_by: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """vCPUs that list the same registers.

    Attributes:
        registers: the set; `registers.ids` is uint64[n_reg], ascending.
        vcpus: int64[n_vcpu], which vCPUs, ascending.
        values: uint64[n_vcpu, n_reg], the lowest 64 bits of each value; None for a list without values.
        known: bool[n_vcpu, n_reg], False where the file lists the register but does not tell its value.
        wide: uint8[n_vcpu, n_bytes] by id, little-endian, of registers over 64 bits; absent when not told.
    """

    registers: RegisterSet
    vcpus: NDArray[np.int64]
    values: NDArray[np.uint64] | None
    known: NDArray[np.bool_] | None = None
    wide: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each register's value: int64[n_reg]."""
        return np.fromiter(map(reg_size, self.registers.ids.tolist()), np.int64, self.registers.n_reg)

    def value(self, row: int, column: int) -> int | None:
        """The whole value of one register on the bank's vCPU number `row`, None where the file does not tell it."""
        if self.values is None or (self.known is not None and not self.known[row, column]):
            return None
        reg = int(self.registers.ids[column])
        if reg in self.wide:
            return int.from_bytes(self.wide[reg][row].tobytes(), "little")
        return int(self.values[row, column]) if reg_size(reg) <= 8 else None


@dataclass(frozen=True, slots=True, eq=False)
class RegisterFile:
    """The registers of all vCPUs of a VM as a file tells them.

    Attributes:
        format: what wrote it.
        banks: vCPUs by the list of registers they have, in the order of their first vCPU. For QEMU these are the
            cpreg arrays; core and SVE registers travel in fields of their own (`core`).
        core: x0 to x30, sp, pc, pstate, sp_el1, elr_el1, spsr of all vCPUs where a QEMU stream tells them.
        parts: pieces of the file in file order; with `description_bytes` they add up to `provenance.total_bytes`.
        description_bytes: length of the JSON text that describes a QEMU stream, 0 if there is none.
        notes: what a reader of the numbers should know, one sentence each.
    """

    format: Format
    provenance: Provenance
    banks: tuple[Bank, ...]
    parts: tuple[Part, ...]
    description_bytes: int = 0
    core: Bank | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_vcpu(self) -> int:
        """How many vCPUs the file tells about."""
        return sum(int(bank.vcpus.size) for bank in self.banks)

    @property
    def total_bytes(self) -> int:
        """Length of the file."""
        return self.provenance.total_bytes

    @property
    def has_values(self) -> bool:
        """Whether the file tells values at all."""
        return any(bank.values is not None for bank in self.banks)

    @property
    def registers_per_vcpu(self) -> int:
        """Registers of vCPU 0: of all vCPUs where there is one bank, which is what real systems have."""
        return self.banks[0].registers.n_reg

    def bank_of(self, vcpu: int) -> tuple[Bank, int]:
        """The bank a vCPU is in, and its row there.

        Raises:
            InputError: there is no such vCPU.
        """
        for bank in self.banks:
            row = int(np.searchsorted(bank.vcpus, vcpu))
            if row < bank.vcpus.size and bank.vcpus[row] == vcpu:
                return bank, row
        msg = f"vCPU {vcpu}: {self.provenance.path} tells about {self.n_vcpu} vCPUs, from 0 on"
        raise InputError(msg)

    def register_set(self, vcpu: int = 0) -> RegisterSet:
        """The registers one vCPU has."""
        return self.bank_of(vcpu)[0].registers

    def values_of(self, vcpu: int = 0) -> dict[int, int | None]:
        """Every register of one vCPU by id, ascending, None where the file does not tell the value."""
        bank, row = self.bank_of(vcpu)
        return {reg: bank.value(row, column) for column, reg in enumerate(bank.registers.ids.tolist())}


@dataclass(frozen=True, slots=True)
class Scopes:
    """Registers by what the values say against what is declared; ids, ascending. Of registers that all vCPUs have.

    Attributes:
        equal_global: equal on all vCPUs and declared VM-global.
        equal_undeclared: equal on all vCPUs but not declared; most registers are, on vCPUs that never ran.
        conflicts: declared VM-global, yet different on some vCPU.
        different: different, and not declared.
        untold: at least one vCPU's value is not known.
        not_everywhere: some vCPU does not have it.
    """

    equal_global: tuple[int, ...]
    equal_undeclared: tuple[int, ...]
    conflicts: tuple[int, ...]
    different: tuple[int, ...]
    untold: tuple[int, ...]
    not_everywhere: tuple[int, ...]


def scopes(file: RegisterFile) -> Scopes:
    """Which registers are equal on all vCPUs, against which are declared VM-global (`is_vm_global`).

    One vCPU says nothing about equality: then every register counts as equal.
    """
    everywhere = set.intersection(*(set(bank.registers.ids.tolist()) for bank in file.banks))
    anywhere = set.union(*(set(bank.registers.ids.tolist()) for bank in file.banks))
    found: dict[str, list[int]] = {name: [] for name in ("equal_global", "equal_undeclared", "conflicts", "different")}
    untold = []
    for reg in sorted(everywhere):
        equal = _is_equal(file.banks, reg)
        if equal is None:
            untold.append(reg)
        elif is_vm_global(reg):
            found["equal_global" if equal else "conflicts"].append(reg)
        else:
            found["equal_undeclared" if equal else "different"].append(reg)
    lists = {name: tuple(ids) for name, ids in found.items()}
    return Scopes(**lists, untold=tuple(untold), not_everywhere=tuple(sorted(anywhere - everywhere)))


def _is_equal(banks: tuple[Bank, ...], reg: int) -> bool | None:
    """Whether all vCPUs have one value of a register; None where that is not told."""
    first: bytes | None = None
    is_known = True
    for bank in banks:
        column = int(np.searchsorted(bank.registers.ids, np.uint64(reg)))
        if bank.values is None or (reg_size(reg) > 8 and reg not in bank.wide):
            return None
        rows = bank.wide[reg] if reg in bank.wide else bank.values[:, column : column + 1]
        if bank.known is not None and not bank.known[:, column].all():
            is_known = False
            rows = rows[bank.known[:, column]]
        if not len(rows):
            continue
        first = first if first is not None else rows[0].tobytes()
        if (rows != rows[0]).any() or rows[0].tobytes() != first:
            return False
    return True if is_known else None
