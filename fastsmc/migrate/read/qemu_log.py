"""What QEMU's own log says about registers that a migration could not carry.

Up to 10.1 QEMU names none: it tells two lengths, or nothing. 10.2 names a register whose value KVM refused, and 11.1
every register that only one end has. Sources: QEMU target/arm/kvm.c of 10.2.2 (kvm_print_register_name,
write_list_to_kvmstate); message texts of Debian's 11.1.3; the series "target/arm/machine: Improve traces on register
mismatch during migration" (qemu-devel, 2025 and 2026), whose texts differ from what was merged; migration/vmstate.c.
"""

from __future__ import annotations

import re

from fastsmc.errors import InputError
from fastsmc.facts.register_spellings import register_spelled
from fastsmc.migrate.read.lines import printable
from fastsmc.migrate.read.log_lines import named
from fastsmc.migrate.read.naming import NamedRegister, NamedRegisters
from fastsmc.migrate.read.result import Format

ONLY_SOURCE = "only the stream has it, so the migration fails"
ONLY_DEST = "only the destination has it: it keeps its reset value"
UNKNOWN_TO_KVM = "KVM does not know it (ENOENT)"
REFUSED = "KVM refused the value (EINVAL)"
TOLERATED = "one end alone has it, and QEMU tolerates that"

_MARKS = (
    *("Could not set register ", "register in input stream", "_incoming_stream", "cpreg_vmstate_array_len"),
    *("error while loading state for instance", "does not support PSCI version"),
)
_HEX = r"(?:0x)?([0-9a-fA-F]{1,16})"
_ID = r"0x([0-9a-fA-F]{16})"
_REGISTERS = (
    (re.compile(rf"Could not set register (.{{1,80}}?) to {_HEX} \(is {_HEX}\)", re.ASCII), REFUSED),
    (re.compile(rf"Could not set register (.{{1,80}}?) to {_HEX}\s*$", re.ASCII), REFUSED),
    (re.compile(r"Could not set register (.{1,80}?): unknown to KVM", re.ASCII), UNKNOWN_TO_KVM),
    (re.compile(r"Could not set register (.{1,80}?): (.{1,80})", re.ASCII), ""),
    (re.compile(r"tolerate_cpreg_\w{1,40}?_incoming_stream:?\s+(.{1,80})", re.ASCII), TOLERATED),
    (re.compile(r"_only_in_incoming_stream:? (.{1,80}?) in the incoming stream", re.ASCII), ONLY_SOURCE),
    (re.compile(r"_missing_in_incoming_stream:? (.{1,80}?) expected by the destination", re.ASCII), ONLY_DEST),
    (
        re.compile(rf"[Uu]nexpected register in input stream: (?:[a-z]=)?\d{{1,6}} (?:index=)?({_ID}.{{0,80}})"),
        ONLY_SOURCE,
    ),
    (re.compile(rf"[Mm]issing register in input stream: (?:[a-z]=)?\d{{1,6}} (?:index=)?({_ID}.{{0,80}})"), ONLY_DEST),
)
_LENGTHS = re.compile(r"Invalid value (\d{1,9}) expecting positive value <= (\d{1,9})", re.ASCII)
_OTHER = re.compile(
    r"(error while loading state for instance 0x[0-9a-f]{1,8} of device '[\w./-]{1,60}'"
    r"|load of migration failed: .{1,80}|KVM in this kernel does not support PSCI version .{1,10}"
    r"|Failed to load [\w./-]{1,60}:\w{1,60})",
    re.ASCII,
)


def is_ours(text: str) -> bool:
    """Whether the text has a line of QEMU's about registers or the state of a device."""
    return any(mark in text for mark in _MARKS)


def read(text: str) -> NamedRegisters:
    """Every register that the log names, in the order of its lines, the path still "".

    Raises:
        RegisterFileError: more registers than a vCPU has.
    """
    return named(
        text,
        Format.QEMU_LOG,
        "a log of QEMU",
        register_of=_register,
        sentence_of=_sentence,
        without="No register is named: QEMU names one that KVM refused since 10.2, and those that differ since 11.1.",
    )


def _sentence(line: str) -> str:
    """What a line says that names no register, in a sentence; "" for any other line."""
    if lengths := _LENGTHS.search(line):
        return f"{lengths[1]} registers in the stream, {lengths[2]} at the destination: too many."
    other = _OTHER.search(line)
    return f"QEMU: {printable(other[1])}" if other else ""


def _register(line: str, number: int) -> NamedRegister | None:
    for pattern, said in _REGISTERS:
        if not (match := pattern.search(line)):
            continue
        spelled = printable(match[1].strip())
        reg = register_meant(spelled)
        values = [int(digits, 16) for digits in match.groups()[1:]] if said == REFUSED else []
        given, own = (*values, None, None)[:2]
        said = said or f"KVM refused it: {printable(match[2].strip())}"
        words = spelled.partition(" ")[2].strip() if spelled.startswith("0x") else ""
        return NamedRegister(reg, (words or spelled)[:80], said, number, given=given, own=own)
    return None


# -- QEMU's words for registers ------------------------------------------------------------------------------------

_WITH_ID = re.compile(r"(?:core reg |demuxed reg )?(?:0x)?([46]0[0-9a-fA-F]{14})(?:\s.*)?", re.ASCII)


def register_meant(text: str) -> int | None:
    """The id of the register that QEMU calls by a text, None where the text does not say which it is.

    >>> hex(register_meant("fw feat reg 3")), register_meant("SVE ???")
    ('0x6030000000160003', None)
    """
    if with_id := _WITH_ID.fullmatch(text):
        return int(with_id[1], 16)
    try:
        return register_spelled(text)
    except InputError:
        return None
