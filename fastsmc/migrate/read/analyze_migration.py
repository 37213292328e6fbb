"""The JSON of QEMU's scripts/analyze-migration.py: `-d state`, `-d desc`, and the two files of `-x`.

The state has one key per section, "cpu (17)" with the section's id, and numbers as hex text; ids and values of all
registers. The description has every field's type and size, and no register: only how many there are.
Source: QEMU scripts/analyze-migration.py; tested on its output for QEMU 7.2's streams.
"""

from __future__ import annotations

import re
from typing import Any

from fastsmc.checks import shown
from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.limits import MAX_REGISTERS
from fastsmc.migrate.read.members import hexadecimal, member
from fastsmc.migrate.read.result import Format
from fastsmc.migrate.read.told import Told

_KEY = re.compile(r"(.{1,255}) \((\d{1,10})\)")
_MOST_COUNTS = 8


def is_ours(value: object) -> bool:
    """Whether a JSON value looks like the script's."""
    if not isinstance(value, dict):
        return False
    is_state = any(isinstance(key, str) and key.startswith("ram (") for key in value) or "cpu_common" in value
    return is_state or is_description(value) or any(_KEY.fullmatch(key) for key in value)


def is_description(value: dict[str, Any]) -> bool:
    """Whether it is the description alone."""
    return isinstance(value.get("devices"), list)


def read(value: dict[str, Any], _: bytes) -> Told:
    """The registers of all vCPUs of a state.

    Raises:
        RegisterFileError: a description (which has no ids), no cpu section, or another shape.
    """
    if is_description(value):
        raise RegisterFileError(_only_description(value))
    sections = {key: found for key in value if (found := _KEY.fullmatch(key)) and found[1] == "cpu"}
    if not sections:
        msg = 'no "cpu (n)" among its keys, so no vCPU\'s registers'
        raise RegisterFileError(msg)
    ordered = sorted(sections, key=lambda key: int(sections[key][2]))
    registers = Registers()
    for key in ordered:
        _add_vcpu(registers, value[key], key)
    return Told(Format.ANALYZE_MIGRATION, registers, notes=("vCPUs are numbered in the order of their sections' ids.",))


def _add_vcpu(registers: Registers, section: dict[str, Any], key: str) -> None:
    arrays = []
    for name in ("cpreg_vmstate_indexes", "cpreg_vmstate_values"):
        entries = member(section, name, (list, str), key)
        arrays.append(entries if isinstance(entries, list) else [entries])  # an array of one is written as its element
    ids, values = arrays
    announced = member(section, "cpreg_vmstate_array_len", str, key)
    count = hexadecimal(announced, f"{key}, cpreg_vmstate_array_len")
    if not len(ids) == len(values) == count <= MAX_REGISTERS:
        msg = f"{key}: {count} registers announced, {len(ids)} ids and {len(values)} values given"
        raise RegisterFileError(msg)
    registers.begin(key)
    for number, (reg, register_value) in enumerate(zip(ids, values, strict=True)):
        where = f"{key}, register {number}"
        registers.add(hexadecimal(reg, where), hexadecimal(register_value, f"{where}'s value"), where)


def _only_description(value: dict[str, Any]) -> str:
    counts = [
        shown(field.get("array_len", 1))[:20]
        for device in value["devices"]
        if isinstance(device, dict) and device.get("name") == "cpu" and isinstance(device.get("fields"), list)
        for field in device["fields"]
        if isinstance(field, dict) and field.get("name") == "cpreg_vmstate_indexes"
    ]
    different = ", ".join(sorted(set(counts))[:_MOST_COUNTS])
    told = f"{len(counts)} vCPUs with {different} registers" if counts else "no vCPU"
    return f"a description ({told}) has no register ids: give the output of -d state, or the stream itself"
