"""One vCPU's state as Cloud Hypervisor writes it: core registers, system registers, and those of SVE.

{"Kvm": {core_regs, sys_regs, …}}, and without "Kvm" up to v20. An entry of sys_regs is struct kvm_one_reg with the
value in place of the address, either {"id", "addr"} or, as kvm-bindings writes structs since 0.10, its 16 bytes;
core_regs is struct kvm_regs as an object or as its 864 bytes. pre_finalize_regs and extended_regs (v53) are
{"id", "data": bytes}; a vCPU with SVE has no V registers, so those of its core_regs are left out. Source: Cloud
Hypervisor hypervisor/src/kvm/aarch64/mod.rs at v20.0 to v53.0; uapi/asm/kvm.h, struct kvm_regs.
"""

from __future__ import annotations

from fastsmc.checks import LAST_U64
from fastsmc.errors import RegisterFileError
from fastsmc.facts.registers import (
    ARCH_ARM64,
    CLASS_CORE,
    CLASS_SVE,
    SIZE_SHIFT,
    reg_class,
    reg_size,
)
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.members import member, whole

_ENTRY_BYTES, _CORE_BYTES = 16, 864
_WIDE_KEYS = ("pre_finalize_regs", "extended_regs", "wide_regs")
_FIRST_V, _END_V = 336, 848
_CORE_LAYOUT = (
    *((offset, 3) for offset in range(0, 328, 8)),
    *((offset, 4) for offset in range(_FIRST_V, _END_V, 16)),
    (848, 2),
    (852, 2),
)
"""The core registers: (offset in struct kvm_regs, log2 of the bytes)."""

_REGS, _FP = (("regs", 0, 8, 31),), (("vregs", _FIRST_V, 16, 32),)
_CORE_FIELDS = (
    ((), (("spsr", 288, 8, 5),), {"sp_el1": 272, "elr_el1": 280}),
    (("regs",), _REGS, {"sp": 248, "pc": 256, "pstate": 264}),
    (("fp_regs",), _FP, {"fpsr": 848, "fpcr": 852}),
)
"""Fields of core_regs as an object: (inside which, its arrays as (name, offset, stride, length), offsets by name)."""


def add_registers(registers: Registers, state: object, what: str) -> None:
    """Adds a vCPU with its registers.

    Raises:
        RegisterFileError: another shape, or a register twice.
    """
    if isinstance(state, dict) and "Kvm" in state:
        state = member(state, "Kvm", dict, what)
    if isinstance(state, dict) and "msrs" in state:
        msg = f"{what} has MSRs: it is an x86 guest's"
        raise RegisterFileError(msg)
    registers.begin(what)
    for number, entry in enumerate(member(state, "sys_regs", list, what)):
        where = f"{what}, sys_regs[{number}]"
        registers.add(*_one_reg(entry, where), where)
    assert isinstance(state, dict)
    for key in _WIDE_KEYS:
        for number, entry in enumerate(member(state, key, list, what) if key in state else ()):
            where = f"{what}, {key}[{number}]"
            reg = whole(f"{where}, id", member(entry, "id", int, where), last=LAST_U64)
            data = bytes_of(member(entry, "data", list, where), f"{where}, data", reg_size(reg))
            registers.add(reg, int.from_bytes(data, "little"), where)
    has_sve = any(reg_class(reg) == CLASS_SVE for reg in registers.own)
    if "core_regs" in state:
        core = _core(member(state, "core_regs", (dict, list), what), f"{what}, core_regs")
        for offset, size in _CORE_LAYOUT:
            if has_sve and _FIRST_V <= offset < _END_V:
                continue
            reg = ARCH_ARM64 | size << SIZE_SHIFT | CLASS_CORE | offset // 4
            registers.add(reg, core[offset], f"{what}, core_regs")


def _core(core: object, what: str) -> dict[int, int]:
    """Values of the core registers by offset in struct kvm_regs."""
    if isinstance(core, list):
        data = bytes_of(core, what, _CORE_BYTES)
        return {at: int.from_bytes(data[at : at + (1 << size)], "little") for at, size in _CORE_LAYOUT}
    sizes, found = dict(_CORE_LAYOUT), {}
    for path, arrays, fields in _CORE_FIELDS:
        table = member(core, path[0], dict, what) if path else core
        where = ", ".join((what, *path))
        named = {name: (at, member(table, name, int, where)) for name, at in fields.items()}
        for name, first, stride, length in arrays:
            entries = member(table, name, list, where)
            if len(entries) != length:
                msg = f"{where}, {name}: {len(entries)} values where {length} belong"
                raise RegisterFileError(msg)
            named |= {f"{name}[{i}]": (first + stride * i, entry) for i, entry in enumerate(entries)}
        for name, (at, value) in named.items():
            last = (1 << (8 << sizes[at])) - 1
            found[at] = whole(f"{where}, {name}", value, last=last)
    return found


def _one_reg(entry: object, where: str) -> tuple[int, int]:
    """Id and value of an entry of sys_regs."""
    if isinstance(entry, list):
        data = bytes_of(entry, where, _ENTRY_BYTES)
        return int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")
    reg = whole(f"{where}, id", member(entry, "id", int, where), last=LAST_U64)
    return reg, whole(f"{where}, register {reg:#x}, addr", member(entry, "addr", int, where), last=LAST_U64)


def bytes_of(entries: list[object], where: str, n_bytes: int | None = None) -> bytes:
    """A JSON list of numbers as bytes.

    Raises:
        RegisterFileError: an entry that is no byte, or not n_bytes of them.
    """
    if n_bytes is not None and len(entries) != n_bytes:
        msg = f"{where}: {len(entries)} bytes where {n_bytes} belong"
        raise RegisterFileError(msg)
    try:
        if set(map(type, entries)) <= {int}:  # a snapshot has millions of them
            return bytes(entries)  # type: ignore[arg-type]
    except ValueError:
        pass
    return bytes(whole(f"{where}, a byte", entry, last=255) for entry in entries)
