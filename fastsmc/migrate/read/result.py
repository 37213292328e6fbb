"""What every reader of register files returns: one type, whatever wrote the file.

vCPUs that list the same registers share a *bank*: one list of ids and a matrix of values. A file whose vCPUs all list
the same has one bank. Registers wider than 64 bits keep all their bytes beside the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from fastsmc.checks import BoolArray, I64Array, U8Array, U64Array
from fastsmc.errors import InputError
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.facts.registers import ARCH_ARM32, ARCH_FIELD, reg_size
from fastsmc.facts.releases import Release
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table


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
    REG_LIST_REPORT = "get-reg-list-report"
    IDREGS = "debugfs-idregs"
    CPU_TEMPLATE = "firecracker-template"
    CPU_MODEL = "qmp-cpu-model"
    QEMU_LOG = "qemu-log"
    VMM_LOG = "vmm-log"
    HOST_PROFILE = "host-profile"


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
class FileProvenance:
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
    vcpus: I64Array
    values: U64Array | None
    known: BoolArray | None = None
    wide: Mapping[int, U8Array] = field(default_factory=dict)

    @property
    def sizes(self) -> I64Array:
        """Bytes of each register's value: int64[n_reg]."""
        return np.fromiter(map(reg_size, self.registers.ids.tolist()), np.int64, self.registers.n_reg)

    def __repr__(self) -> str:
        return f"Bank({self.registers.name[:80]!r}, {self.vcpus.size} vCPUs, {self.registers.n_reg} registers)"

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
        part_of: what the file is where it does not have all registers of a VM's vCPUs, such as one vCPU's state out of
            a snapshot; "" for a whole file. A part is shown and never judged.
        rules: those of its kernel where they were found on the host itself; None where its name alone is told, if any.
        parts: pieces of the file in file order; with `description_bytes` they add up to `provenance.total_bytes`.
        description_bytes: length of the JSON text that describes a QEMU stream, 0 if there is none.
        notes: what a reader of the numbers should know, one sentence each.
    """

    format: Format
    provenance: FileProvenance
    banks: tuple[Bank, ...]
    parts: tuple[Part, ...]
    description_bytes: int = 0
    core: Bank | None = None
    notes: tuple[str, ...] = ()
    part_of: str = ""
    rules: Release | None = None

    @property
    def no_host(self) -> str:
        """Why the file tells of no vCPU that could be judged, "" where it does."""
        return f"is {self.part_of}, so nothing can be judged by it" if self.part_of else ""

    @property
    def emulated(self) -> str:
        """By what the registers show that the vCPU is one of QEMU's TCG and not of KVM; "" where they do not.

        arm64 KVM lists arm64 ids only, while QEMU's emulated CPUs have their AArch32 registers beside them. Source:
        Linux arch/arm64/kvm/guest.c, QEMU target/arm/helper.c; so it is in all streams of tests/streams.
        """
        if self.format not in (Format.QEMU_STREAM, Format.ANALYZE_MIGRATION):
            return ""
        ids = self.banks[0].registers.ids
        n_coprocessor = int(np.count_nonzero(ids & np.uint64(ARCH_FIELD) == np.uint64(ARCH_ARM32)))
        if not n_coprocessor:
            return ""
        return f"emulated by QEMU's TCG, not KVM: {n_coprocessor} of {ids.size} registers are 32-bit coprocessor ids"

    @property
    def guest(self) -> str:
        """What kind of guest the registers of vCPU 0 show, where it is no ordinary one of KVM's; else "".

        A guest with EL2 is one that is a hypervisor itself. With E2H0 it has fewer registers of EL2.
        """
        from fastsmc.migrate.compat.lists import HCR_EL2, HIDDEN_BY_E2H0, el2_registers

        ids = set(self.banks[0].registers.ids.tolist()) if self.banks else set()
        if HCR_EL2 not in ids or self.emulated:
            return ""
        features = "el2" if ids >= HIDDEN_BY_E2H0 else "el2+e2h0"
        n_el2 = len(ids & el2_registers())
        return f"of a guest with EL2 (vCPU features {features}): {n_el2} of {len(ids)} registers are EL2's"

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

    @property
    def answer(self) -> str:
        """One sentence: what the file is, and whose registers it has."""
        s, values = "s" * (self.n_vcpu != 1), "" if self.has_values else ", without values"
        counts = f"{self.n_vcpu} vCPU{s} with {self.registers_per_vcpu} registers{values}"
        return f"{self.headline}; {counts}, {self.total_bytes:,} bytes"

    @property
    def headline(self) -> str:
        """What the file is: its format, its maker, and whether it is emulated, a part, or of a guest with EL2."""
        maker = ", ".join(f"{key} {value}" for key, value in self.provenance.told_by.items())
        line = f"{self.provenance.path}: {self.format}" + f" ({maker})" * bool(maker)
        kind = "; ".join(filter(None, (self.emulated or self.part_of, self.guest)))
        return line + f": {kind}" * bool(kind)

    def table(self) -> Table:
        """A row per register: its id, its name, and the values of vCPU 0; `listed` tells where others differ."""
        from fastsmc.migrate.read.listing import listing

        rows = []
        for one in listing(self):
            told = one.as_dict()
            others = "; ".join(f"vCPU {vcpus}: {value}" for vcpus, value in one.others)
            rows.append({"id": told["id"], "name": told["name"], "value": told["value"], "others": others})
        return table_of_rows("A row per register of the file.", rows, "", columns=("id", "name", "value", "others"))

    def numbers(self) -> dict[str, list[float | None]]:
        """Counts of vCPUs, registers and bytes, for thresholds."""
        return {
            "vcpus": [self.n_vcpu],
            "registers_per_vcpu": [self.registers_per_vcpu],
            "total_bytes": [self.total_bytes],
            "description_bytes": [self.description_bytes],
        }

    def as_dict(self) -> dict[str, Any]:
        """What the file is, its parts, its registers, and which are equal on all vCPUs, as plain values."""
        from fastsmc.migrate.read.text import as_dict

        return as_dict(self)

    def listed(self) -> str:
        """Every register as a line of text: id, name, vCPU 0's value, and where other vCPUs differ."""
        from fastsmc.migrate.read.listing import listing

        return "\n".join(map(str, listing(self)))

    def __repr__(self) -> str:
        counts = f"{self.n_vcpu} vCPUs, {len(self.parts)} parts, {self.total_bytes} B"
        return f"RegisterFile({self.provenance.path[:80]!r}, {self.format}, {counts})"

    def __str__(self) -> str:
        from fastsmc.migrate.read.text import told

        return told(self)

    def values_of(self, vcpu: int = 0) -> dict[int, int | None]:
        """Every register of one vCPU by id, ascending, None where the file does not tell the value."""
        bank, row = self.bank_of(vcpu)
        return {reg: bank.value(row, column) for column, reg in enumerate(bank.registers.ids.tolist())}
