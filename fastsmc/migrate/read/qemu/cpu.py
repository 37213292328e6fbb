"""Register ids and values out of the `cpu` sections of a QEMU stream.

Version 22 of the section, as QEMU writes it for Arm since 2015: the general registers and banked ones, then how many
system registers there are, all their ids, all their values. Source: QEMU target/arm/machine.c (vmstate_arm_cpu), whose
"int32 le" means less-or-equal, not little-endian; offsets checked against the description of QEMU 7.2's streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastsmc.checks import U64Array
from fastsmc.errors import RegisterFileError
from fastsmc.facts.registers import PSTATE, SIZE_MASK, SIZE_SHIFT, core_register
from fastsmc.migrate.read.banks import check_counts, check_ways, named_set
from fastsmc.migrate.read.limits import MAX_REGISTERS
from fastsmc.migrate.read.result import Bank

VERSION = 22
_XREGS, _PC, _CPSR, _BANKED_SPSR, _ELR, _SP = 64, 320, 328, 336, 504, 536
COUNT = 568
"""Offset of cpreg_vmstate_array_len in the section's fields."""
_ID_HEADS = (0x4020_0000, 0x4030_0000, 0x6020_0000, 0x6030_0000)
"""Upper halves of the ids QEMU carries: 32-bit Arm or arm64, 32 or 64 bits."""


@dataclass(frozen=True, slots=True)
class CpuFields:
    """Fields of one vCPU's section, and where they are in the file.

    Attributes:
        count_at: offset of cpreg_vmstate_array_len in the fields. described: registers the description tells, or None.
    """

    instance: int
    data: memoryview
    offset: int
    count_at: int = COUNT
    described: int | None = None


def _fail(cpu: CpuFields, at: int, message: str) -> RegisterFileError:
    return RegisterFileError(f"byte {cpu.offset + at}, section cpu {cpu.instance}: {message}")


def cpreg_arrays(cpu: CpuFields) -> tuple[U64Array, U64Array]:
    """Ids and values of one vCPU's system registers, uint64[n_reg] each.

    Raises:
        RegisterFileError: more registers announced than there are bytes, ids that do not ascend, a size no register of
            QEMU's has, or ids that go on where values would begin.
    """
    data, arrays = cpu.data, cpu.count_at + 4
    count = int.from_bytes(data[cpu.count_at : arrays], "big")
    if len(data) < arrays or count > MAX_REGISTERS or arrays + 16 * count > len(data):
        raise _fail(cpu, cpu.count_at, f"{count} registers announced in a section of {len(data)} bytes")
    if not count:
        raise _fail(cpu, cpu.count_at, "no system registers in the list, as of a CPU of Arm's M profile")
    if cpu.described not in (None, count):
        raise _fail(cpu, cpu.count_at, f"{count} registers announced, and the description tells of {cpu.described}")
    words = np.frombuffer(data, ">u8", 2 * count, arrays).astype(np.uint64)
    ids, values = words[:count], words[count:]
    falls = np.flatnonzero(ids[1:] <= ids[:-1])
    if falls.size:
        i = int(falls[0]) + 1
        order = "stands twice" if ids[i] == ids[i - 1] else f"follows {int(ids[i - 1]):#x}"
        raise _fail(cpu, arrays + 8 * i, f"register {int(ids[i]):#x} {order}; QEMU writes ids in ascending order")
    sizes = (ids & np.uint64(SIZE_MASK)) >> np.uint64(SIZE_SHIFT)
    misfits = np.flatnonzero((sizes != 2) & (sizes != 3))
    if misfits.size:
        i = int(misfits[0])
        bits = 8 << int(sizes[i])
        raise _fail(cpu, arrays + 8 * i, f"register {int(ids[i]):#x} would have {bits} bits; QEMU carries 32 and 64")
    if values[0] > ids[-1] and int(values[0]) >> 32 in _ID_HEADS:
        raise _fail(cpu, cpu.count_at, f"{count} registers announced, and more ids follow: {int(values[0]):#x}")
    return ids, values


def cpreg_banks(cpus: Sequence[CpuFields], name: str) -> tuple[Bank, ...]:
    """Banks of all vCPUs, in the order of their instances; vCPU n is the n-th.

    Raises:
        RegisterFileError: as `cpreg_arrays`.
    """
    groups: dict[bytes, tuple[list[int], list[U64Array]]] = {}
    n_value = 0
    for vcpu, cpu in enumerate(cpus):
        ids, values = cpreg_arrays(cpu)
        n_value += ids.size
        check_counts(len(cpus), n_value)
        members, rows = groups.setdefault(ids.tobytes(), ([], []))
        members.append(vcpu)
        rows.append(values)
    check_ways(groups)
    return tuple(
        Bank(named_set(np.frombuffer(ids, np.uint64).copy(), name), np.array(members, np.int64), np.stack(rows))
        for ids, (members, rows) in groups.items()
    )


def upper_bits(banks: Sequence[Bank]) -> int:
    """How many 32-bit registers have more than 32 bits in their slot on some vCPU: QEMU's emulated CPUs do that."""
    found = set[int]()
    for bank in banks:
        assert bank.values is not None
        ids = bank.registers.ids
        narrow = (ids & np.uint64(SIZE_MASK)) >> np.uint64(SIZE_SHIFT) == 2
        over = (bank.values >> np.uint64(32) != 0).any(axis=0)
        found |= set(ids[narrow & over].tolist())
    return len(found)


_AARCH32 = 0x10
"""pstate.nRW. Source: Arm ARM C5.2.20 SPSR_EL1, M[4]."""

_CORE_FIELDS = (
    *((core_register(8 * n), _XREGS + 8 * n, 8) for n in range(31)),
    (core_register(248), _SP, 8),  # regs.sp is SP_EL0
    (core_register(256), _PC, 8),
    (PSTATE, _CPSR, 4),  # in a field of 32 bits
    (core_register(272), _SP + 8, 8),
    (core_register(280), _ELR + 8, 8),
    *((core_register(288 + 8 * n), _BANKED_SPSR + 8 * (n + 1), 8) for n in range(5)),
)
"""(id, offset in the section, bytes). Source: uapi/asm/kvm.h struct kvm_regs; QEMU target/arm/kvm64.c."""


def core_bank(cpus: Sequence[CpuFields], name: str) -> Bank:
    """x0 to x30, sp, pc, pstate, sp_el1, elr_el1, spsr[5] of all vCPUs, under KVM's ids.

    Of a vCPU in AArch32 only pstate is known: QEMU has r0 to r15 in other fields then, and these may be stale.
    """
    ids = np.array([reg for reg, _, _ in _CORE_FIELDS], np.uint64)
    rows = [[int.from_bytes(cpu.data[at : at + n], "big") for _, at, n in _CORE_FIELDS] for cpu in cpus]
    values = np.array(rows, np.uint64)
    pstate = [reg for reg, _, _ in _CORE_FIELDS].index(PSTATE)
    is_64 = values[:, pstate] & np.uint64(_AARCH32) == 0
    known = is_64[:, None] | (np.arange(ids.size) == pstate)
    vcpus = np.arange(len(cpus), dtype=np.int64)
    return Bank(named_set(ids, name), vcpus, values, None if is_64.all() else known)
