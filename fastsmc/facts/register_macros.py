"""Register ids written in C: the macros of KVM's headers, of the kernel's selftests and of VMMs.

Sources: Linux arch/arm64/include/uapi/asm/kvm.h and include/uapi/linux/kvm.h (KVM_REG_*, ARM64_SYS_REG, struct
kvm_regs), arch/arm64/include/asm/sysreg.h (sys_reg), tools/testing/selftests/kvm (KVM_ARM64_SYS_REG, ARM64_CORE_REG);
QEMU target/arm/kvm_arm.h (AARCH64_CORE_REG and AARCH64_SIMD_*).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.facts.register_names import sysreg_ids
from fastsmc.facts.registers import (
    ARCH_ARM64,
    ARCH_FIELD,
    CLASS_CORE,
    CLASS_DEMUX,
    CLASS_FW,
    CLASS_FW_FEAT_BMAP,
    CLASS_SVE,
    CLASS_SYSREG,
    PTIMER_CNT,
    SIZE_SHIFT,
    SIZE_U64,
    SVE_VLS,
    TIMER_CNT,
    core_register,
    sysreg,
)

_U2048, _U256 = 8, 5
_CONSTANTS = {
    "KVM_REG_ARM64": ARCH_ARM64,
    "KVM_REG_ARM_CORE": CLASS_CORE,
    "KVM_REG_ARM_DEMUX": CLASS_DEMUX,
    "KVM_REG_ARM_DEMUX_ID_CCSIDR": 0,
    "KVM_REG_ARM64_SYSREG": CLASS_SYSREG,
    "KVM_REG_ARM64_SVE": CLASS_SVE,
    "KVM_REG_ARM_FW": CLASS_FW,
    "KVM_REG_ARM_FW_FEAT_BMAP": CLASS_FW_FEAT_BMAP,
    "KVM_REG_ARM64_SVE_VLS": SVE_VLS,
    "KVM_REG_ARM_TIMER_CTL": sysreg(3, 3, 14, 3, 1),
    "KVM_REG_ARM_TIMER_CVAL": sysreg(3, 3, 14, 0, 2),
    "KVM_REG_ARM_TIMER_CNT": TIMER_CNT,
    "KVM_REG_ARM_PTIMER_CTL": sysreg(3, 3, 14, 2, 1),
    "KVM_REG_ARM_PTIMER_CVAL": sysreg(3, 3, 14, 2, 2),
    "KVM_REG_ARM_PTIMER_CNT": PTIMER_CNT,
    **{f"KVM_REG_SIZE_U{8 << n}": n << SIZE_SHIFT for n in range(9)},
}
"""Macros of uapi/asm/kvm.h. TIMER_CVAL and TIMER_CNT have each other's encoding, by mistake, and it is ABI."""

_CORE_OFFSETS = {"regs.sp": 248, "regs.pc": 256, "regs.pstate": 264, "sp_el1": 272, "elr_el1": 280}
_CORE_OFFSETS |= {"fp_regs.fpsr": 848, "fp_regs.fpcr": 852}
_CORE_ARRAYS = {"regs.regs": (0, 8, 31), "spsr": (288, 8, 5), "fp_regs.vregs": (336, 16, 32)}
"""Fields of struct kvm_regs that are arrays: first byte, stride in bytes, length."""
_SPSR = {"EL1": 0, "SVC": 0, "ABT": 1, "UND": 2, "IRQ": 3, "FIQ": 4}
"""Indices KVM_SPSR_* of spsr."""

FIELDS = (("op0", 3), ("op1", 7), ("CRn", 15), ("CRm", 15), ("op2", 7))
"""The fields of a system register's encoding, with the highest value of each."""
LIMITS = "op0 is 0 to 3, op1 and op2 are 0 to 7, CRn and CRm 0 to 15"

_CALL = re.compile(r"(\w+)\s*\(([^()]*)\)", re.ASCII)
_NESTED = re.compile(r"KVM_ARM64_SYS_REG\s*\((.*)\)", re.ASCII | re.DOTALL)
_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,16}|[0-9]{1,20}", re.ASCII)
_MAX_TERMS = 16
"""Terms that an expression may have: size, architecture, class and a few numbers."""
_SHOWN = 60


def register_expression(text: str) -> int:
    """The id that terms joined by | give, as C has it: a lone KVM_REG_ARM_CORE_REG(...) is an offset, and no id yet.

    Raises:
        InputError: a term that is none of a register's macros, with those spelled alike; or a field out of its range.

    >>> hex(register_expression("KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc)"))
    '0x6030000000100040'
    """
    value = 0
    terms = text.split("|", _MAX_TERMS)
    for term in terms[:_MAX_TERMS]:
        value |= _term(term.strip())
    if len(terms) > _MAX_TERMS:
        msg = f"{shown(text)} has more than {_MAX_TERMS} terms, which no register id needs"
        raise InputError(msg)
    return value


def register_of_expression(text: str) -> int:
    """The register that an expression means, if it is whole or one macro that leaves the rest of the id open.

    Raises:
        InputError: as `register_expression`; or terms that make no id of arm64, x86 or any other architecture.

    >>> hex(register_of_expression("KVM_REG_ARM_CORE_REG(regs.regs[3])"))
    '0x6030000000100006'
    """
    alone = _CALL.fullmatch(text.strip())
    if alone and alone[1].upper() == "KVM_REG_ARM_CORE_REG":
        return core_field(alone[2])
    value = register_expression(text)
    if not value & ARCH_FIELD:
        msg = f"{shown(text)} gives {value:#x}, which has no architecture: KVM_REG_ARM64 and a size belong to it"
        raise InputError(msg)
    return value


def encoded(given: list[int] | tuple[int, ...], said: str) -> int:
    """The id of a system register from its five fields.

    Raises:
        InputError: another number of fields, or one out of its range.
    """
    if len(given) != len(FIELDS) or any(value > last for value, (_, last) in zip(given, FIELDS, strict=True)):
        msg = f"{shown(said)} is no system register: it takes op0, op1, CRn, CRm and op2; {LIMITS}"
        raise InputError(msg)
    return sysreg(*given)


def core_field(field: str) -> int:
    """The id of the core register that a field of struct kvm_regs is: regs.pc, spsr[KVM_SPSR_EL1].

    Raises:
        InputError: no such field, with the one that is spelled alike.
    """
    offset, size = _core(field.strip())
    return core_register(offset, (size.bit_length() - 1) << SIZE_SHIFT)


def core_fields() -> dict[str, int]:
    """Ids of all core registers by their field in struct kvm_regs."""
    arrays = [f"{name}[{n}]" for name, (_, _, length) in _CORE_ARRAYS.items() for n in range(length)]
    return {field: core_field(field) for field in (*_CORE_OFFSETS, *arrays)}


def _term(term: str) -> int:
    if term.upper() in _CONSTANTS:
        return _CONSTANTS[term.upper()]
    if _NUMBER.fullmatch(term):
        return int(term, 0) if term.startswith("0x") or term == "0" else int(term)
    nested = _NESTED.fullmatch(term)
    if nested and "(" in nested[1]:
        return _term(nested[1].strip())
    found = _CALL.fullmatch(term)
    if found is None:
        return _unknown(term, term, [*_CONSTANTS])
    name, given = _CANONICAL.get(found[1].upper(), found[1]), [part.strip() for part in found[2].split(",")]
    if name in _FIELD_CALLS and len(given) == 1:
        return _FIELD_CALLS[name](given[0])
    if name in _CALLS and all(_NUMBER.fullmatch(part) for part in given):
        value = _CALLS[name](tuple(int(part, 16 if part.startswith("0x") else 10) for part in given), term)
        if value is not None:
            return value
    return _unknown(term, name, [*_CALLS, *_FIELD_CALLS])


def _unknown(term: str, name: str, known: list[str]) -> int:
    """Refuse a term that means nothing, or that is given what it does not take."""
    if name in known:
        msg = f"{shown(term)} is not a register: {name} takes {_TAKES.get(name, 'other numbers')}"
    else:
        close = get_close_matches(name[:_SHOWN].upper(), known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        msg = f"{shown(term)} is none of the macros of which register ids are made{hint}"
    raise InputError(msg)


def _core(field: str) -> tuple[int, int]:
    """Offset of a field of struct kvm_regs and its size, both in bytes."""
    if field in _CORE_OFFSETS:
        return _CORE_OFFSETS[field], 4 if field.startswith("fp_regs") else 8
    found = re.fullmatch(r"([\w.]+)\[(?:KVM_SPSR_)?(\w{1,3})\]", field, re.ASCII)
    if found and found[1] in _CORE_ARRAYS:
        first, stride, length = _CORE_ARRAYS[found[1]]
        index = int(found[2]) if found[2].isdigit() else _SPSR.get(found[2], length) if found[1] == "spsr" else length
        if index < length:
            return first + stride * index, stride
        msg = f"struct kvm_regs has no field {shown(field)}: {found[1]} has {length} entries, from 0"
        raise InputError(msg)
    close = get_close_matches(field[:40], [*_CORE_OFFSETS, *(f"{name}[0]" for name in _CORE_ARRAYS)], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    msg = f"struct kvm_regs has no field {shown(field)}{hint}"
    raise InputError(msg)


def _named_sysreg(text: str) -> int:
    """What KVM_ARM64_SYS_REG takes: SYS_ID_AA64PFR0_EL1."""
    ids = sysreg_ids()
    name = text.upper().removeprefix("SYS_")
    if name in ids and not name.startswith("KVM_REG_"):
        return ids[name]
    close = get_close_matches(name[:_SHOWN], ids, n=1)
    hint = f"; did you mean SYS_{close[0]}?" if close else ""
    msg = f"no system register is called {shown(text)} here{hint}"
    raise InputError(msg)


def _firmware(kind: int, given: tuple[int, ...]) -> int | None:
    return ARCH_ARM64 | SIZE_U64 | kind | given[0] if len(given) == 1 and given[0] <= 0xFFFF else None


def _sve(size: int, base: int, last: int, given: tuple[int, ...]) -> int | None:
    """Z, P and FFR: number in bits 5 and up, slice in bits 0 to 4."""
    number, part = given if len(given) == 2 else (0, given[0])
    if len(given) > 2 or number > last or part > 31:
        return None
    return ARCH_ARM64 | size << SIZE_SHIFT | CLASS_SVE | base | number << 5 | part


def sve_register(kind: str, number: int, part: int) -> int | None:
    """The id of a slice of an SVE register: "Z", "P" or "FFR"; None for one that there is not."""
    size, base, last = {"Z": (_U2048, 0x000, 31), "P": (_U256, 0x400, 15), "FFR": (_U256, 0x600, 0)}[kind]
    return _sve(size, base, last, (number, part))


_CALLS: dict[str, Callable[[tuple[int, ...], str], int | None]] = {
    **dict.fromkeys(("ARM64_SYS_REG", "KVM_ARM64_SYS_REG", "sys_reg"), encoded),
    "KVM_REG_ARM_FW_REG": lambda given, _: _firmware(CLASS_FW, given),
    "KVM_REG_ARM_FW_FEAT_BMAP_REG": lambda given, _: _firmware(CLASS_FW_FEAT_BMAP, given),
    "KVM_REG_ARM64_SVE_ZREG": lambda given, _: _sve(_U2048, 0x000, 31, given) if len(given) == 2 else None,
    "KVM_REG_ARM64_SVE_PREG": lambda given, _: _sve(_U256, 0x400, 15, given) if len(given) == 2 else None,
    "KVM_REG_ARM64_SVE_FFR": lambda given, _: _sve(_U256, 0x600, 0, given) if len(given) == 1 else None,
}
_TAKES = {
    "KVM_REG_ARM_FW_REG": "one number up to 0xFFFF",
    "KVM_REG_ARM_FW_FEAT_BMAP_REG": "one number up to 0xFFFF",
    "KVM_REG_ARM64_SVE_ZREG": "a number up to 31 and a slice up to 31",
    "KVM_REG_ARM64_SVE_PREG": "a number up to 15 and a slice up to 31",
    "KVM_REG_ARM64_SVE_FFR": "a slice up to 31",
    **dict.fromkeys(("ARM64_SYS_REG", "sys_reg"), f"op0, op1, CRn, CRm and op2; {LIMITS}"),
    "KVM_ARM64_SYS_REG": f"SYS_ and a name, or op0, op1, CRn, CRm and op2; {LIMITS}",
}
_FIELD_CALLS: dict[str, Callable[[str], int]] = {
    "KVM_REG_ARM_CORE_REG": lambda field: _core(field)[0] // 4,
    **dict.fromkeys(
        ("ARM64_CORE_REG", "AARCH64_CORE_REG", "AARCH64_SIMD_CORE_REG", "AARCH64_SIMD_CTRL_REG"), core_field
    ),
    "KVM_ARM64_SYS_REG": _named_sysreg,
}
"""Macros that take a field of struct kvm_regs or a name."""
_CANONICAL = {name.upper(): name for name in (*_CALLS, *_FIELD_CALLS)}
MACROS = (*_CALLS, *_FIELD_CALLS, *_CONSTANTS)
"""Every macro that can be part of an id."""
