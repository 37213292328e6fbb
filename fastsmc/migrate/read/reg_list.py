"""Text of the kernel's selftest `get-reg-list --list`: one C expression a line, no values.

Source: tools/testing/selftests/kvm/arm64/get-reg-list.c (print_reg) and uapi/asm/kvm.h. The test leaves out the DEMUX
registers (cache sizes); `--list-filtered` prints those. Comments and a heading "config:" are passed over, and a plain
"0x6030000000140000," is read too, which is what other architectures' tests print.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fastsmc.errors import RegisterFileError
from fastsmc.facts.registers import (
    ARCH_ARM64,
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
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.lines import numbered
from fastsmc.migrate.read.result import Format
from fastsmc.migrate.read.told import Told

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

_SYSREG_FIELDS = ((14, 3), (11, 7), (7, 15), (3, 15), (0, 7))
"""(shift, highest value) of op0, op1, CRn, CRm, op2."""

_X0 = core_register(0)
_PART = "a fragment of a list: it lacks the core registers, which every vCPU has"

_CALL = re.compile(r"(\w+)\(([^()]*)\)", re.ASCII)
_HEADING = re.compile(r"[\w+, -]+:", re.ASCII)
_PLAIN = re.compile(r"(?:[\w+, -]+:)?\s*0x60[0-9a-fA-F]{14},?\s*\n", re.ASCII)


def is_ours(text: str) -> bool:
    """Whether the text has the selftest's words near its beginning, or begins with an arm64 id alone in its line."""
    return "KVM_REG_ARM" in text[:8192] or "ARM64_SYS_REG(" in text[:8192] or bool(_PLAIN.match(f"{text[:8192]}\n"))


def read(text: str) -> Told:
    """The ids of one vCPU.

    Raises:
        RegisterFileError: a line that is no register, or a register twice.
    """
    registers = Registers("the list")
    for number, raw in numbered(text):
        line = re.sub(r"/\*.*?\*/", "", raw).strip().rstrip(",").strip()
        if not line or _HEADING.fullmatch(line):
            continue
        where = f"line {number}"
        reg = expression(line, where)
        if reg in registers.values:
            msg = f"{where}: register {reg:#x} is there twice in the list: lists of two vCPUs? --config=NAME gives one"
            raise RegisterFileError(msg)
        registers.add(reg, None, where)
    part = "" if _X0 in registers.values else _PART
    return Told(Format.REG_LIST, [registers.values], notes=("A list has no values.",), part_of=part)


def expression(line: str, where: str) -> int:
    """The id that terms joined by "|" give.

    Raises:
        RegisterFileError: a term that is none, or what they give is no arm64 id.
    """
    reg = 0
    for term in line.split("|"):
        reg |= _term(term.strip(), where)
    if reg >> 60 != ARCH_ARM64 >> 60:
        msg = f"{where}: {line[:80]!r} gives {reg:#x}, which is no arm64 register id"
        raise RegisterFileError(msg)
    return reg


def _term(term: str, where: str) -> int:
    if term in _CONSTANTS:
        return _CONSTANTS[term]
    if re.fullmatch(r"0x[0-9a-fA-F]{1,16}|[0-9]{1,5}", term, re.ASCII):
        return int(term, 16 if term.startswith("0x") else 10)
    if found := _CALL.fullmatch(term):
        name, given = found[1], [part.strip() for part in found[2].split(",")]
        if name == "KVM_REG_ARM_CORE_REG" and len(given) == 1:
            return _core(given[0], where) // 4
        if name in _CALLS and all(re.fullmatch(r"[0-9]{1,5}", part, re.ASCII) for part in given):
            value = _CALLS[name](tuple(map(int, given)))
            if value is not None:
                return value
    msg = f"{where}: {term[:60]!r} is not a term of the selftest's list"
    raise RegisterFileError(msg)


def _core(field: str, where: str) -> int:
    """Offset of a field of struct kvm_regs in bytes."""
    if field in _CORE_OFFSETS:
        return _CORE_OFFSETS[field]
    found = re.fullmatch(r"([\w.]+)\[([0-9]{1,2})\]", field, re.ASCII)
    if found and found[1] in _CORE_ARRAYS:
        first, stride, length = _CORE_ARRAYS[found[1]]
        if int(found[2]) < length:
            return first + stride * int(found[2])
    msg = f"{where}: struct kvm_regs has no field {field[:40]!r}"
    raise RegisterFileError(msg)


def _sys_reg(given: tuple[int, ...]) -> int | None:
    if len(given) != 5 or any(value > last for value, (_, last) in zip(given, _SYSREG_FIELDS, strict=True)):
        return None
    encoding = sum(value << shift for value, (shift, _) in zip(given, _SYSREG_FIELDS, strict=True))
    return ARCH_ARM64 | SIZE_U64 | CLASS_SYSREG | encoding


def _firmware(kind: int, given: tuple[int, ...]) -> int | None:
    return ARCH_ARM64 | SIZE_U64 | kind | given[0] if len(given) == 1 and given[0] <= 0xFFFF else None


def _sve(size: int, base: int, last: int, given: tuple[int, ...]) -> int | None:
    """Z, P and FFR: number in bits 5 and up, slice in bits 0 to 4."""
    number, part = given if len(given) == 2 else (0, given[0])
    if len(given) > 2 or number > last or part > 31:
        return None
    return ARCH_ARM64 | size << SIZE_SHIFT | CLASS_SVE | base | number << 5 | part


_CALLS: dict[str, Callable[[tuple[int, ...]], int | None]] = {
    "ARM64_SYS_REG": _sys_reg,
    "KVM_REG_ARM_FW_REG": lambda given: _firmware(CLASS_FW, given),
    "KVM_REG_ARM_FW_FEAT_BMAP_REG": lambda given: _firmware(CLASS_FW_FEAT_BMAP, given),
    "KVM_REG_ARM64_SVE_ZREG": lambda given: _sve(_U2048, 0x000, 31, given) if len(given) == 2 else None,
    "KVM_REG_ARM64_SVE_PREG": lambda given: _sve(_U256, 0x400, 15, given) if len(given) == 2 else None,
    "KVM_REG_ARM64_SVE_FFR": lambda given: _sve(_U256, 0x600, 0, given) if len(given) == 1 else None,
}
