"""A QEMU migration stream, file or pipe: registers and values of every vCPU, and every byte by section."""

from __future__ import annotations

from typing import Any

from fastsmc.errors import RegisterFileError
from fastsmc.migration.read import qemu_cpu
from fastsmc.migration.read.limits import MAX_TEXT_BYTES
from fastsmc.migration.read.qemu_cpu import CpuFields
from fastsmc.migration.read.qemu_framing import (
    DESCRIPTION,
    EOF,
    FOOTER_BYTES,
    Stream,
    read_frame,
)
from fastsmc.migration.read.qemu_sections import Section, described_sizes, separate
from fastsmc.migration.read.result import Format, Part, Provenance, RegisterFile
from fastsmc.migration.read.source import Cursor
from fastsmc.migration.read.strict_json import parse

_DESCRIPTION_HEAD = 5


def read(cursor: Cursor, path: str) -> RegisterFile:
    """Reads a whole stream.

    Raises:
        RegisterFileError: what is wrong, at which byte, in which section.
    """
    stream = read_frame(cursor)
    stop, description_at = _end(stream)
    description: dict[str, Any] = {}
    notes = []
    if description_at:
        where = stream.rest_at + description_at
        if len(stream.rest) - description_at > MAX_TEXT_BYTES:
            msg = f"byte {where}, the description: {len(stream.rest) - description_at} bytes; {MAX_TEXT_BYTES} are read"
            raise RegisterFileError(msg)
        description = parse(stream.rest[description_at:], "the description", where)
        if "page_size" in description and description["page_size"] != 1 << stream.ram.page_bits:
            msg = f"byte {where}, the description: page_size is {str(description['page_size'])[:40]}, and the "
            raise RegisterFileError(msg + f"configuration says {1 << stream.ram.page_bits}")
    else:
        notes.append("The stream has no description; sections were separated by their footers.")
    sizes = described_sizes(description) if description else {}
    sections = separate(stream.rest, stop, sizes, stream.rest_at)
    _check_instances(sections, stream.rest_at)
    notes += _undescribed(sections, sizes)
    cpus = _cpus(stream, sections)
    name = f"{path} ({stream.told_by.get('machine', 'QEMU')})"
    rest = [Part(s.head.name, s.head.instance, s.stop - s.start) for s in sections] + [Part("end of stream", None, 1)]
    if description_at:
        rest.append(Part("description head", None, _DESCRIPTION_HEAD))
    return RegisterFile(
        Format.QEMU_STREAM,
        Provenance(path, cursor.offset, cursor.sha256(), stream.told_by),
        qemu_cpu.cpreg_banks(cpus, name),
        (*stream.parts, *rest),
        len(stream.rest) - description_at if description_at else 0,
        qemu_cpu.core_bank(cpus, f"{name} core"),
        tuple(notes),
    )


def _end(stream: Stream) -> tuple[int, int]:
    """Where in the rest the end marker is, and where the description begins (0: there is none).

    Raises:
        RegisterFileError: neither a description that fills the file to its end nor an end marker there.
    """
    rest, mark = stream.rest, len(stream.rest)
    for _ in range(_DESCRIPTION_HEAD):  # the length itself may hold these two bytes; JSON cannot
        mark = rest.rfind(bytes((EOF, DESCRIPTION)), 0, mark + 1)
        begin = mark + 1 + _DESCRIPTION_HEAD
        if mark < 0:
            break
        if begin < len(rest) and int.from_bytes(rest[mark + 2 : begin], "big") == len(rest) - begin:
            return mark, begin
    if rest and rest[-1] == EOF:
        return len(rest) - 1, 0
    msg = f"byte {stream.rest_at + len(rest)}, the end: no end marker and no description whole; is the file whole?"
    raise RegisterFileError(msg)


def _check_instances(sections: list[Section], at: int) -> None:
    seen: set[tuple[str, int]] = set()
    for section in sections:
        key = section.head.name, section.head.instance
        if key in seen:
            msg = f"byte {at + section.start}, section {key[0]} {key[1]}: the second of this device and instance"
            raise RegisterFileError(msg)
        seen.add(key)


def _undescribed(sections: list[Section], sizes: dict[tuple[str, int], int]) -> list[str]:
    """A note if the description's sizes are not the sections'."""
    if not sizes:
        return []
    other = [
        f"{s.head.name} {s.head.instance}"
        for s in sections
        if sizes.get((s.head.name, s.head.instance)) != s.stop - FOOTER_BYTES - s.data
    ]
    return [f"The description does not give the size of {', '.join(other[:5])}; footers do."] if other else []


def _cpus(stream: Stream, sections: list[Section]) -> list[CpuFields]:
    """The `cpu` sections by instance.

    Raises:
        RegisterFileError: there is none, or one is of another version.
    """
    cpus = []
    for section in sections:
        if section.head.name != "cpu":
            continue
        offset = stream.rest_at + section.data
        if section.head.version != qemu_cpu.VERSION:
            msg = f"byte {offset}, section cpu {section.head.instance}: version {section.head.version}, not Arm's 22"
            raise RegisterFileError(msg)
        data = memoryview(stream.rest)[section.data : section.stop - FOOTER_BYTES]
        cpus.append(CpuFields(section.head.instance, data, offset))
    if not cpus:
        msg = f"byte {stream.rest_at}, the devices: no section named cpu, so no vCPU's registers"
        raise RegisterFileError(msg)
    return sorted(cpus, key=lambda cpu: cpu.instance)
