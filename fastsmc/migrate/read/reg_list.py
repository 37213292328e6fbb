"""Text of the kernel's selftest `get-reg-list --list`: one C expression a line, no values.

Source: tools/testing/selftests/kvm/arm64/get-reg-list.c (print_reg) and uapi/asm/kvm.h. The test leaves out the DEMUX
registers (cache sizes); `--list-filtered` prints those. Comments and a heading "config:" are passed over, and a plain
"0x6030000000140000," is read too, which is what other architectures' tests print.
"""

from __future__ import annotations

import re

from fastsmc.checks import shown
from fastsmc.errors import InputError, RegisterFileError
from fastsmc.facts.register_macros import register_expression
from fastsmc.facts.registers import ARCH_ARM64, core_register
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.lines import is_heading, numbered, uncommented
from fastsmc.migrate.read.result import Format
from fastsmc.migrate.read.told import Told

_X0 = core_register(0)
_PART = "a fragment of a list: it lacks the core registers, which every vCPU has"
_HEADING = re.compile(r"[\w+, -]+:", re.ASCII)
_PLAIN = re.compile(r"(?:[\w+, -]+:)?\s*0x60[0-9a-fA-F]{14},?\s*\n", re.ASCII)


def is_ours(text: str) -> bool:
    """Whether the text has the selftest's words near its beginning, or begins with an arm64 id alone in its line."""
    head = text[:8192]
    if "KVM_REG_ARM" in head or "ARM64_SYS_REG(" in head:
        return True
    lines = [line for line in head.splitlines() if line.strip() and not is_heading(line.strip())]
    return bool(_PLAIN.match("\n".join((*lines[:2], ""))))


def read(text: str) -> Told:
    """The ids of one vCPU.

    Raises:
        RegisterFileError: a line that is no register, or a register twice.
    """
    registers = Registers("the list")
    for number, raw in numbered(text):
        line = uncommented(raw).strip().rstrip(",").strip()
        if not line or _HEADING.fullmatch(line) or is_heading(line):
            continue
        where = f"line {number}"
        reg = expression(line, where)
        if reg in registers.own:
            msg = f"{where}: register {reg:#x} is there twice in the list: lists of two vCPUs? --config=NAME gives one"
            raise RegisterFileError(msg)
        registers.add(reg, None, where)
    part = "" if _X0 in registers.own else _PART
    return Told(Format.REG_LIST, registers, notes=("A list has no values.",), part_of=part)


def expression(line: str, where: str) -> int:
    """The id that terms joined by "|" give.

    Raises:
        RegisterFileError: a term that is none, or what they give is no arm64 id.
    """
    try:
        reg = register_expression(line)
    except InputError as error:
        msg = f"{where}: {error}"
        raise RegisterFileError(msg) from None
    if reg >> 60 != ARCH_ARM64 >> 60:
        msg = f"{where}: {shown(line)} gives {reg:#x}, which is no arm64 register id"
        raise RegisterFileError(msg)
    return reg
