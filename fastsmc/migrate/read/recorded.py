"""Recordings of real kernels: a line of a host's register lists, or a payload of whole values.

The formats are described in tests/recordings/README.md: `reglist.jsonl` has one JSON object per feature set, with the
first 64 bits of each value; `payload-<features>.bin` is u64 count, then u64 id and the value's bytes, little-endian.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from fastsmc.checks import cut, shown
from fastsmc.errors import RegisterFileError
from fastsmc.facts.registers import MAX_VALUE_BYTES, reg_size
from fastsmc.files.strict_json import parse
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.limits import MAX_FEATURE_SETS, MAX_LIST_BYTES, MAX_REGISTERS
from fastsmc.migrate.read.lines import printable
from fastsmc.migrate.read.members import hexadecimal, member
from fastsmc.migrate.read.result import Format
from fastsmc.migrate.read.told import Told

DEFAULT_FEATURES = "psci02"
_MOST_NAMES = 64
_LARGEST = 8 + MAX_REGISTERS * (8 + MAX_VALUE_BYTES)


def is_list(line: object) -> bool:
    """Whether a JSON value is a line of a register list."""
    return isinstance(line, dict) and "feat" in line


def read_list(text: bytes, features: str | None) -> Told:
    """The registers of one feature set, "psci02" unless another is asked for; the first if there is no "psci02".

    Raises:
        RegisterFileError: not recorded with these features, refused by that kernel, or another shape.
    """
    if len(text) > MAX_LIST_BYTES:
        msg = f"more than {MAX_LIST_BYTES >> 20} MiB of register lists; those of a recorded host have less than 1"
        raise RegisterFileError(msg)
    found: dict[str, tuple[int, int, int]] = {}
    for number, start, end in _lines(text):
        value = _line(text, number, start, end)
        if isinstance(value, dict) and "regs" not in value and "feat" in value:
            continue  # what restoring its own values did, or a refused feature set
        name = member(value, "feat", str, f"line {number}")
        if name in found:
            msg = f"line {number}: features {shown(name)} are there twice"
            raise RegisterFileError(msg)
        found[name] = number, start, end
    name = features or (DEFAULT_FEATURES if DEFAULT_FEATURES in found else next(iter(found), ""))
    if name not in found:
        msg = f"features {shown(name)} have no list here; there are {_names(found) or 'none'}"
        raise RegisterFileError(msg)
    number, start, end = found[name]
    others = _names(other for other in found if other != name)
    notes = ["Of a register wider than 64 bits the list has the first 64, so its value is not told."]
    notes += [f"Other feature sets in the file: {others}."] if others else []
    registers = _listed(_line(text, number, start, end), number)
    return Told(Format.RECORDED_LIST, registers, {"features": name}, tuple(notes))


def _lines(text: bytes) -> Iterator[tuple[int, int, int]]:
    """Number, beginning and end of the lines that are not empty; parsed ones are not kept, as there may be many."""
    number, start, n_line = 1, 0, 0
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        if text[start:end].strip():
            n_line += 1
            if n_line > MAX_FEATURE_SETS:
                msg = f"line {number}: more than {MAX_FEATURE_SETS} lines"
                raise RegisterFileError(msg)
            yield number, start, end
        number, start = number + 1, end + 1


def _line(text: bytes, number: int, start: int, end: int) -> Any:
    return parse(memoryview(text)[start:end], f"line {number}", start)


def _names(names: Iterable[str]) -> str:
    """Some names of feature sets, as a terminal may show them."""
    return ", ".join(printable(cut(name)) for name in islice(names, _MOST_NAMES))


def _listed(value: dict[str, Any], number: int) -> Registers:
    registers = Registers(f"line {number}")
    for index, entry in enumerate(member(value, "regs", list, f"line {number}")):
        where = f"line {number}, regs[{index}]"
        if not isinstance(entry, list) or len(entry) != 3:
            msg = f"{where}: {shown(entry)} is not [id, value, errno]"
            raise RegisterFileError(msg)
        reg = hexadecimal(entry[0], where)
        is_told = entry[2] == 0 and reg_size(reg) <= 8
        registers.add(reg, hexadecimal(entry[1], f"{where}'s value") if is_told else None, where)
    count = value.get("n")
    if count is not None and count != len(registers):
        msg = f"line {number}: n is {shown(count)}, and {len(registers)} registers are listed"
        raise RegisterFileError(msg)
    return registers


def is_payload(head: bytes) -> bool:
    """Whether a file begins with a count that a payload can have and an arm64 id."""
    count, arch = int.from_bytes(head[:8], "little"), head[15:16]
    return 0 < count <= MAX_REGISTERS and arch == b"\x60"


def read_payload(data: bytes) -> Told:
    """All registers of a payload, whole values.

    Raises:
        RegisterFileError: another length than its count and ids give, or a register twice.
    """
    count = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 0 < count <= MAX_REGISTERS or len(data) > _LARGEST:
        msg = f"byte 0: {count} registers announced in {len(data)} bytes"
        raise RegisterFileError(msg)
    registers, at = Registers("the payload"), 8
    for number in range(count):
        where = f"byte {at}, register {number} of {count}"
        reg = int.from_bytes(data[at : at + 8], "little")
        end = at + 8 + reg_size(reg)
        if end > len(data):
            msg = f"{where}: the file ends at {len(data)}, inside it: is it whole?"
            raise RegisterFileError(msg)
        registers.add(reg, int.from_bytes(data[at + 8 : end], "little"), where)
        at = end
    if at != len(data):
        msg = f"byte {at}: {len(data) - at} bytes follow the last of {count} registers"
        raise RegisterFileError(msg)
    return Told(Format.RECORDED_PAYLOAD, registers)
