"""Text of the kernel's selftest `get-reg-list --list`: one C expression a line, no values.

Source: tools/testing/selftests/kvm/arm64/get-reg-list.c (print_reg) and uapi/asm/kvm.h. The test leaves out the DEMUX
registers (cache sizes); `--list-filtered` prints those. Comments and a heading "config:" are passed over, and a plain
"0x6030000000140000," is read too, which is what other architectures' tests print.
"""

from __future__ import annotations

import re

from fastsmc.errors import InputError, RegisterFileError
from fastsmc.facts.register_macros import register_expression
from fastsmc.facts.registers import ARCH_ARM64
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.lines import numbered
from fastsmc.migrate.read.result import Format
from fastsmc.migrate.read.told import Told

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
        registers.add(_expression(line, where), None, where)
    return Told(Format.REG_LIST, [registers.values], notes=("A list has no values.",))


def _expression(line: str, where: str) -> int:
    """The id that terms joined by "|" give."""
    try:
        reg = register_expression(line)
    except InputError as error:
        msg = f"{where}: {error}"
        raise RegisterFileError(msg) from None
    if reg >> 60 != ARCH_ARM64 >> 60:
        msg = f"{where}: {line[:80]!r} gives {reg:#x}, which is no arm64 register id"
        raise RegisterFileError(msg)
    return reg
