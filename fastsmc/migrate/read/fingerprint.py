"""Firecracker's CPU fingerprint: one vCPU's registers as {addr, bitmap}, beside what the host is.

`cpu-template-helper fingerprint dump` writes the fingerprint of a fresh vCPU, and `template dump` its registers alone;
PC and two timer ids are left out by both. A bitmap may have "x" where a bit is not told; then the value is not told.
Source: Firecracker src/vmm/src/cpu_config/aarch64/custom_cpu_template.rs; tested on six real fingerprints.
"""

from __future__ import annotations

from typing import Any

from fastsmc.checks import shown
from fastsmc.errors import RegisterFileError
from fastsmc.facts.registers import reg_size
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.cpu_template import is_dump
from fastsmc.migrate.read.members import hexadecimal, member
from fastsmc.migrate.read.result import Format
from fastsmc.migrate.read.told import Told

_TOLD_BY = ("kernel_version", "firecracker_version", "microcode_version", "bios_version", "bios_revision")


def is_ours(value: object) -> bool:
    """Whether a JSON value looks like a fingerprint, or like a vCPU's whole configuration."""
    return isinstance(value, dict) and ("guest_cpu_config" in value or is_dump(value))


def read(value: dict[str, Any], _: bytes) -> Told:
    """The registers of a fingerprint.

    Raises:
        RegisterFileError: another shape, or a bitmap that does not fit its register.
    """
    config = member(value, "guest_cpu_config", dict, "the fingerprint") if "guest_cpu_config" in value else value
    registers = Registers("reg_modifiers")
    for number, entry in enumerate(member(config, "reg_modifiers", list, "guest_cpu_config")):
        where = f"reg_modifiers[{number}]"
        reg = hexadecimal(member(entry, "addr", str, where), f"{where}, addr")
        registers.add(reg, _bitmap(member(entry, "bitmap", str, where), reg, where), where)
    told_by = {name: str(value[name])[:200] for name in _TOLD_BY if isinstance(value.get(name), str)}
    return Told(Format.FINGERPRINT, registers, told_by)


def _bitmap(text: str, reg: int, where: str) -> int | None:
    digits = text[2:].replace("_", "")
    if not text.startswith("0b") or not digits or set(digits) - set("01x"):
        msg = f'{where}, register {reg:#x}: bitmap {shown(text)} is not "0b" and digits 0, 1 or x'
        raise RegisterFileError(msg)
    # The tool writes 128 digits for registers of 64 bits and less too.
    if len(digits) > max(128, 8 * reg_size(reg)):
        msg = f"{where}, register {reg:#x}: a bitmap of {len(digits)} digits for {8 * reg_size(reg)} bits"
        raise RegisterFileError(msg)
    return None if "x" in digits else int(digits, 2)
