"""A recorded host's levels of SMCCC_ARCH_WORKAROUND_1, _2 and _3, as its own records tell them."""

from __future__ import annotations

from fastsmc.errors import InputError, RecordingError
from fastsmc.facts.registers import WORKAROUND_NOT_REQUIRED, register
from fastsmc.facts.releases import DEFAULT_LEVELS
from fastsmc.recordings.folder import FORMAT_ERRORS, GUEST_KINDS, Record, Recording

_WORKAROUNDS = tuple(f"{register(f'SMCCC_ARCH_WORKAROUND_{n}'):#x}" for n in (1, 2, 3))
"""Ids of the three registers of levels, as recordings print them."""


def workaround_levels(recording: Recording) -> tuple[int, int, int]:
    """The host's WORKAROUND_1..3 levels, as it describes itself; an input to the model, not a result.

    Taken from the first register dump of a configuration, the register discovery, or a register list. A host that
    refused every vCPU with EL2, and of which there is nothing else, has none to tell; it gets those of most hosts.

    Raises:
        RecordingError: none of its files tells them, or tells levels that do not exist.
    """
    kinds = ("calls", "random", "sweep", "fuzz_calls", "a32", "filter", "setreg", "reglist", *GUEST_KINDS)
    for kind in filter(recording.has, kinds):
        line, found = 0, dict[str, str]()
        try:
            for line, record in recording.records(kind):  # noqa: B007 - the handler below names it
                found |= _registers_told(record)
                if found and record.get("t", "fw_default") == "fw_default":
                    break  # a whole dump; register discovery goes on, a register a line
            if _WORKAROUNDS[0] in found:
                return _levels(found)
        except FORMAT_ERRORS as error:
            raise recording.malformed(kind, line, error) from error
    if set(recording.kinds()) <= set(GUEST_KINDS):
        return DEFAULT_LEVELS
    msg = f"{recording.folder}: no file tells the host's SMCCC_ARCH_WORKAROUND levels; one of {', '.join(kinds)} would"
    raise RecordingError(msg)


def _registers_told(record: Record) -> dict[str, str]:
    """Registers a record reports, value by id: a dump, a register list, or one of the register discovery."""
    if "fw" in record:
        return dict(record["fw"])
    if record.get("t") == "fw_default":
        return {reg: value for reg, (_, value) in record["regs"].items()}
    if record.get("t") == "index":
        return {record["reg"]: record["val"]}
    return {reg: value for reg, value, _ in record.get("regs", ())} if "t" not in record else {}


def _levels(registers: dict[str, str]) -> tuple[int, int, int]:
    one, two, three = (int(registers.get(reg, "0x0"), 16) for reg in _WORKAROUNDS)
    if not (0 <= one <= WORKAROUND_NOT_REQUIRED and 0 <= three <= WORKAROUND_NOT_REQUIRED and two in (0, 3)):
        msg = f"workaround levels {one}, {two}, {three} are none a host has: 0 to 2, 0 or 3, 0 to 2"
        raise InputError(msg)
    return one, two, three
