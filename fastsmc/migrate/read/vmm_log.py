"""What Firecracker, Cloud Hypervisor and crosvm say of a restore that KVM refused: in a log, or in an API's answer.

Firecracker names the register from 1.4 on, in decimal digits, and with its value from 1.13 on; the answer of its API is
JSON with a "fault_message". Cloud Hypervisor tells which kind of register it was, crosvm which system register.
Sources: Firecracker src/vmm/src/arch/aarch64/{vcpu,regs}.rs of 1.0 to 1.16; Cloud Hypervisor hypervisor/src/cpu.rs of
v20 to v53; crosvm hypervisor/src/aarch64.rs; all read, 2026.
"""

from __future__ import annotations

import re
from typing import Any

from fastsmc.errors import RegisterFileError
from fastsmc.facts.registers import ARCH_ARM64
from fastsmc.migrate.read.lines import printable
from fastsmc.migrate.read.log_lines import named
from fastsmc.migrate.read.naming import NamedRegister, NamedRegisters
from fastsmc.migrate.read.qemu_log import register_meant
from fastsmc.migrate.read.result import Format

_FAULT = "fault_message"
_WHY = r"\w{1,20}(?: \w{1,20}){0,8}(?: \(os error \d{1,4}\))?"
_REGISTER = re.compile(
    rf"Failed to set register (0x[0-9a-fA-F]{{1,16}}|\d{{1,20}})(?: to value 0x([0-9a-fA-F]{{1,512}}))?: ({_WHY})",
    re.ASCII,
)
_SYSTEM = re.compile(r"Failed to restore system register ([\w:(){}, ]{1,80})", re.ASCII)
_KINDS = (
    r"(?:aarch64 |x86_64 )?(?:core |system |extended |non-core )?register|core register"
    r"|(?:SP|PC|PState) register|[XV]\d{1,2}|cache info|hypervisor specific data"
)
_OTHER = re.compile(
    rf"Failed to (?:set|restore) (?:{_KINDS})(?:: {_WHY})?|Failed to get V\d{{1,2}}"
    rf"|GetAarchCoreRegister\({_WHY}\)|Found unsupported KVM_ARM_VCPU_PMU_V3 bit set in vcpu features",
    re.ASCII,
)
_MARK = re.compile(
    r"Failed to set (?:register|(?:aarch64 )?core register|system register|extended register|non-core register)"
    r"|Failed to restore (?:system register|the state of the vcpu|cache info|hypervisor specific data)"
    r"|Failed to get V\d|GetAarchCoreRegister\(|KVM_ARM_VCPU_PMU_V3 bit set",
    re.ASCII,
)


def is_ours(text: str) -> bool:
    """Whether the text has one of their sentences about a register."""
    return _MARK.search(text) is not None


def is_answer(value: object) -> bool:
    """Whether a JSON value is an answer of Firecracker's API that says why it failed."""
    return isinstance(value, dict) and isinstance(value.get(_FAULT), str)


def read_answer(value: dict[str, Any], _: bytes) -> NamedRegisters:
    """The registers that an answer of Firecracker's API names.

    Raises:
        RegisterFileError: its fault is about no register.
    """
    fault = value[_FAULT]
    if not is_ours(fault):
        msg = f"is an answer of Firecracker's API, whose fault names no register: {printable(fault[:160])}"
        raise RegisterFileError(msg)
    return read(fault)


def read(text: str) -> NamedRegisters:
    """Every register that the text names, in the order of its lines, the path still "".

    Raises:
        RegisterFileError: more registers than a vCPU has.
    """
    return named(
        text,
        Format.VMM_LOG,
        "a VMM's word about a restore that failed",
        register_of=_register,
        sentence_of=_sentence,
        without="No register is named: Firecracker names it from 1.4 on, Cloud Hypervisor never does.",
    )


def _sentence(line: str) -> str:
    other = _OTHER.search(line)
    return f"The VMM: {printable(other[0].strip())}" if other else ""


def _register(line: str, number: int) -> NamedRegister | None:
    if match := _REGISTER.search(line):
        reg = int(match[1], 16 if match[1].startswith("0x") else 10)
        given = None if match[2] is None else int(match[2], 16)
        said = f"KVM refused it: {match[3].strip()}"
        return NamedRegister(reg if reg >> 60 == ARCH_ARM64 >> 60 else None, match[1], said, number, given=given)
    if match := _SYSTEM.search(line):
        spelled = printable(match[1].strip())
        return NamedRegister(register_meant(spelled), spelled, "KVM refused it", number)
    return None
