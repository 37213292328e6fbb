"""Registers by every spelling that kernels, VMMs, tests and people have for them: one parser for all.

Names of system registers and of firmware registers, C expressions (`register_macros`), the Arm manual's S3_0_C10_C2_2,
fields of struct kvm_regs, and what QEMU prints. Numbers are not spelled: a caller has its own rule for those.

Sources: QEMU 10.2 target/arm/kvm.c (kvm_print_register_name and the messages that have its result), and patches of
2025 for the messages about a stream; Arm DDI 0487 for S<op0>_<op1>_C<CRn>_C<CRm>_<op2>.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from fastsmc.checks import LAST_U64
from fastsmc.errors import InputError
from fastsmc.facts import register_macros as macros
from fastsmc.facts.register_names import core_names, sysreg_ids
from fastsmc.facts.registers import (
    ARCH_ARM64,
    CLASS_CORE,
    CLASS_DEMUX,
    CLASS_FW,
    CLASS_FW_FEAT_BMAP,
    CLASS_ROOM,
    FW_REGISTERS,
    PTIMER_CNT,
    SIZE_U32,
    SIZE_U64,
    SVE_VLS,
    sysreg,
)

PHRASES = (
    "fw reg N",
    "fw feat reg N",
    "core reg ID",
    "demuxed reg ID",
    "system register op0:N op1:N crn:N crm:N op2:N",
)
"""QEMU's words for registers, for a caller to offer."""

_N = r"\s*[:= ]?\s*(\d{1,20})"
_ENCODING = re.compile(r"S(\d{1,9})_(\d{1,9})_C(\d{1,9})_C(\d{1,9})_(\d{1,9})", re.ASCII | re.IGNORECASE)
_FIELDS = re.compile(
    rf"(?:system register )?op0{_N}\W+op1{_N}\W+crn{_N}\W+crm{_N}\W+op2{_N}(?: ?\(S\w+\))?", re.ASCII | re.IGNORECASE
)
_FIRMWARE = re.compile(r"fw (feat(?:ure)? )?reg (\d{1,20})", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"(core|demuxed) reg (?:0x)?([0-9a-f]{1,16})", re.ASCII | re.IGNORECASE)
_SVE = re.compile(r"SVE (?:(z|p)reg n:(\d{1,9}) slice:(\d{1,9})|ffr slice:(\d{1,9})|(VLS))", re.ASCII | re.IGNORECASE)
_SLICE = re.compile(r"(Z|P|FFR)(\d{0,9}) slice (\d{1,9})", re.ASCII | re.IGNORECASE)
_CCSIDR = re.compile(
    r"CCSIDR(?:_EL1)?(?:(?: ?[(\[]| demux | )(\d{1,9})[)\]]?"
    r"|(?: of level |_L)(\d)(?:, |_)(D|I|data or unified|instruction))?",
    re.ASCII | re.IGNORECASE,
)
_SET = re.compile(r".*?could not (?:set|get) register (.+?)(?: to [0-9a-f]+ \(is [0-9a-f]+\)|: .*)?", re.IGNORECASE)
_STREAM = re.compile(r".*?register in input stream: \d+ 0x([0-9a-f]{16})\b.*", re.IGNORECASE)
_TIMERS = {
    "CNTPCT_EL0": PTIMER_CNT,
    "CNTP_CTL_EL0": sysreg(3, 3, 14, 2, 1),
    "CNTP_CVAL_EL0": sysreg(3, 3, 14, 2, 2),
    "CNTV_CTL_EL0": sysreg(3, 3, 14, 3, 1),
}
_SWAPPED = ("CNTV_CVAL_EL0", "CNTVCT_EL0")
"""The Arm manual's names of the timers' registers, for which KVM has its own. Source: uapi/asm/kvm.h."""
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_MAX_TEXT = 1000
"""Characters of a spelling; a longer text is no register."""
_CORE_FIELD = re.compile(r"(?:regs|fp_regs)\..*|spsr\[.*|sp_el1|elr_el1", re.ASCII)


def register_spelled(text: str) -> int | None:
    """The id of the register that a text names in one of its spellings; None for a text of another shape.

    Raises:
        InputError: the shape is a register's and the content is not: a field out of its range, a macro with a typo.

    >>> [hex(register_spelled(text)) for text in ("fw reg 3", "S3_0_C10_C2_2", "ARM64_SYS_REG(3, 0, 10, 2, 2)")]
    ['0x6030000000140003', '0x603000000013c512', '0x603000000013c512']
    """
    if len(text) > _MAX_TEXT:
        return None
    said = " ".join(_COMMENT.sub(" ", text).split()).rstrip(",; ")
    if found := _STREAM.fullmatch(said):
        return int(found[1], 16)
    if found := _SET.fullmatch(said):
        said = found[1]
    for shape, meant in _SHAPES:
        if found := shape.fullmatch(said):
            return meant(found)
    reg = register_names().get(said.upper())
    if reg is not None:
        return reg
    if said.upper() in _SWAPPED:
        both = "KVM_REG_ARM_TIMER_CVAL or KVM_REG_ARM_TIMER_CNT"
        msg = f"KVM has the ids of {' and '.join(_SWAPPED)} swapped: write {both}"
        raise InputError(msg)
    if "(" in said or "|" in said:
        return macros.register_of_expression(said)
    if _CORE_FIELD.fullmatch(said):
        return macros.core_field(said)
    if said in macros.MACROS:
        msg = f"{said} is a part of register ids: write KVM_REG_ARM_FW_REG(3), or terms joined by | with a size"
        raise InputError(msg)
    return None


@cache
def register_names() -> dict[str, int]:
    """Ids by name in capitals: system registers (with SYS_ too), firmware registers, core registers, macros."""
    firmware = {row.name: row.reg for row in FW_REGISTERS}
    system = {f"SYS_{name}": reg for name, reg in sysreg_ids().items() if not name.startswith("KVM_REG_")}
    linux = {f"KVM_REG_ARM_{name}": reg for name, reg in firmware.items()} | {"KVM_REG_ARM64_SVE_VLS": SVE_VLS}
    core = {name.upper(): reg for name, reg in core_names().items()}
    return core | _TIMERS | sysreg_ids() | system | firmware | linux


def _encoding(found: re.Match[str]) -> int:
    return macros.encoded([int(text) for text in found.groups()], found[0])


def _firmware(found: re.Match[str]) -> int:
    number = int(found[2])
    if number >= CLASS_ROOM:
        msg = f"{found[0]!r} is no register: firmware registers have numbers up to {CLASS_ROOM - 1}"
        raise InputError(msg)
    return ARCH_ARM64 | SIZE_U64 | (CLASS_FW_FEAT_BMAP if found[1] else CLASS_FW) | number


def _whole(found: re.Match[str]) -> int:
    """QEMU's "core reg" and "demuxed reg" have the whole id, in hexadecimal; a short one is the number in the class."""
    value = int(found[2], 16)
    if value >= CLASS_ROOM:
        return value & LAST_U64
    if found[1].lower() == "demuxed":
        return ARCH_ARM64 | SIZE_U32 | CLASS_DEMUX | value
    sizes = (reg for reg in core_names().values() if reg & (CLASS_ROOM - 1) == value)
    return next(sizes, ARCH_ARM64 | SIZE_U64 | CLASS_CORE | value)


def _sve(found: re.Match[str]) -> int:
    if found[5]:
        return SVE_VLS
    kind = found[1].upper() if found[1] else "FFR"
    return _slice_of(kind, int(found[2] or 0), int(found[3] or found[4]), found[0])


def _slice(found: re.Match[str]) -> int:
    return _slice_of(found[1].upper(), int(found[2] or 0), int(found[3]), found[0])


def _slice_of(kind: str, number: int, part: int, said: str) -> int:
    reg = macros.sve_register(kind, number, part)
    if reg is None:
        msg = f"{said!r} is no register: there are Z0 to Z31, P0 to P15 and FFR, with slices 0 to 31"
        raise InputError(msg)
    return reg


def _ccsidr(found: re.Match[str]) -> int:
    if not found[1] and not found[2]:
        msg = (
            f"{found[0]} is one register for each cache in KVM: CCSIDR(0) is level 1, data; CCSIDR(1) its instructions"
        )
        raise InputError(msg)
    number = int(found[1]) if found[1] else 2 * int(found[2]) - 2 + (found[3][0] in "iI")
    if not 0 <= number <= 0xF:
        msg = f"{found[0]!r} is no register: KVM has 16 cache sizes, two for each of 8 levels"
        raise InputError(msg)
    return ARCH_ARM64 | SIZE_U32 | CLASS_DEMUX | number


QEMU_WORDS = {"fw": "fw reg 3", "core": "core reg 6030000000100040", "demuxed": "demuxed reg 6020000000110000"}
QEMU_WORDS |= {"fw feat": "fw feat reg 1", "system": "system register op0:3 op1:0 crn:10 crm:2 op2:2"}
"""An example of each of QEMU's phrases, by what it begins with."""

_SHAPES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], int]], ...] = (
    (_ENCODING, _encoding),
    (_FIELDS, _encoding),
    (_FIRMWARE, _firmware),
    (_WHOLE, _whole),
    (_SVE, _sve),
    (_SLICE, _slice),
    (_CCSIDR, _ccsidr),
)
"""What a spelling looks like, and the id that its parts make."""
