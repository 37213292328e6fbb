"""The ID registers of a running VM, as KVM's debugfs file "idregs" shows them: "ID_AA64PFR0_EL1:	1100000011111112".

Kernels print the name with or without "SYS_", and an encoding that has no name as S3_0_0_CRm_op2. Source: Linux
arch/arm64/kvm/sys_regs.c, idregs_debug_show (since 6.9).
"""

from __future__ import annotations

import re

from fastsmc.checks import shown
from fastsmc.errors import RegisterFileError
from fastsmc.facts.register_names import sysreg_ids
from fastsmc.facts.registers import sysreg
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.lines import is_heading, numbered
from fastsmc.migrate.read.result import Format
from fastsmc.migrate.read.told import Told

_LINE = re.compile(r"(?:\S{1,200}idregs:\s*)?(?:SYS_)?([A-Z][A-Z0-9_]{1,40}):\s+(?:0x)?([0-9a-fA-F]{16})", re.ASCII)
_ENCODED = re.compile(r"S([0-3])_([0-7])_C?(\d{1,2})_C?(\d{1,2})_([0-7])", re.ASCII)
_PART = "the ID registers of a VM as KVM's debugfs shows them; a vCPU has many registers more"
_SHOWN = 8


def is_ours(text: str) -> bool:
    """Whether the first line that is neither empty nor a heading has a register's name and sixteen digits."""
    lines = (line.strip() for line in text[:8192].splitlines())
    first = next((line for line in lines if line and not is_heading(line)), "")
    return bool(_LINE.fullmatch(first))


def read(text: str) -> Told:
    """The registers; those whose names are not known here are told in a note.

    Raises:
        RegisterFileError: another line, a register twice, or none that is known.
    """
    registers, unknown, n_unknown = Registers("the list"), [], 0
    for number, line in numbered(text):
        if not line or is_heading(line):
            continue
        where = f"line {number}"
        match = _LINE.fullmatch(line)
        if match is None:
            msg = f'{where}: {shown(line)} is not "NAME: sixteen hexadecimal digits"'
            raise RegisterFileError(msg)
        reg = _register(match[1])
        if reg is None:
            n_unknown += 1
            unknown += [match[1]] if n_unknown <= _SHOWN else []
        else:
            registers.add(reg, int(match[2], 16), where)
    if not len(registers):
        msg = f"none of its names is a register's that is known here: {', '.join(unknown)}"
        raise RegisterFileError(msg)
    names = ", ".join(unknown) + f" and {n_unknown - _SHOWN} more" * (n_unknown > _SHOWN)
    notes = (f"{n_unknown} registers have names that no id is known for here: {names}.",) if unknown else ()
    return Told(Format.IDREGS, registers, notes=notes, part_of=_PART)


def _register(name: str) -> int | None:
    if encoded := _ENCODED.fullmatch(name):
        op0, op1, crn, crm, op2 = map(int, encoded.groups())
        return sysreg(op0, op1, crn, crm, op2) if crn < 16 and crm < 16 else None
    return sysreg_ids().get(name)
