"""A QEMU migration stream, file or pipe: registers and values of every vCPU, and every byte by section."""

from __future__ import annotations

from fastsmc.checks import cut, shown
from fastsmc.errors import RegisterFileError
from fastsmc.files.strict_json import parse
from fastsmc.migrate.read.limits import MAX_DESCRIPTION_BYTES
from fastsmc.migrate.read.lines import printable
from fastsmc.migrate.read.qemu import cpu as qemu_cpu
from fastsmc.migrate.read.qemu.cpu import CpuFields
from fastsmc.migrate.read.qemu.description import Device, devices
from fastsmc.migrate.read.qemu.framing import DESCRIPTION, EOF, Held, Stream, read_frame
from fastsmc.migrate.read.qemu.sections import Section, separate
from fastsmc.migrate.read.result import FileProvenance, Format, Part, RegisterFile
from fastsmc.migrate.read.source import Cursor

_DESCRIPTION_HEAD = 5


def read(cursor: Cursor, path: str) -> RegisterFile:
    """Reads a whole stream.

    Raises:
        RegisterFileError: what is wrong, at which byte, in which section.
    """
    stream = read_frame(cursor)
    rest = stream.rest
    stop, description_at = _end(rest)
    described = _described(stream, description_at) if description_at else {}
    sizes = {key: device.n_bytes for key, device in described.items()}
    early = separate(stream.early, len(stream.early.data), sizes) if stream.early.data else []
    later = separate(rest, stop, sizes)
    sections = early + later
    _check_instances(sections)
    if description_at:
        _check_devices(sections, described, rest.at)
        notes = _other_sizes(sections, described)
    else:
        notes = ["The stream has no description; sections were separated by their footers."]
    cpus = _cpus(sections, described, rest.at)
    name = f"{path} ({stream.told_by.get('machine', 'QEMU')})"
    banks = qemu_cpu.cpreg_banks(cpus, name)
    if n_over := qemu_cpu.upper_bits(banks):
        notes.append(
            f"{n_over} registers of 32 bits have more than that in their 64-bit slots; slots are told as sent."
        )
    if len(banks) > 1:
        notes.append("The vCPUs do not all list the same registers.")
    ends = [Part("end of stream", None, 1), Part("description head", None, _DESCRIPTION_HEAD)]
    parts = [*stream.parts, *_parts(later), *(ends if description_at else ends[:1])]
    parts[stream.n_before : stream.n_before] = _parts(early)
    return RegisterFile(
        Format.QEMU_STREAM,
        FileProvenance(path, cursor.offset, cursor.sha256(), stream.told_by),
        banks,
        tuple(parts),
        len(rest.data) - description_at if description_at else 0,
        qemu_cpu.core_bank(cpus, f"{name} core") if all(cpu.count_at == qemu_cpu.COUNT for cpu in cpus) else None,
        tuple(notes),
    )


def _parts(sections: list[Section]) -> list[Part]:
    return [Part(*section.key, section.n_bytes) for section in sections]


def _described(stream: Stream, at: int) -> dict[tuple[str, int], Device]:
    """The description's devices by name and instance.

    Raises:
        RegisterFileError: too long, not strict JSON, of another shape, or of another page size than the configuration.
    """
    text, where = memoryview(stream.rest.data)[at:], stream.rest.at + at
    if len(text) > MAX_DESCRIPTION_BYTES:
        msg = f"byte {where}, the description: {len(text)} bytes; {MAX_DESCRIPTION_BYTES} are read"
        raise RegisterFileError(msg)
    description = parse(text, "the description", where)
    try:
        found = devices(description)
    except RegisterFileError as error:
        msg = f"byte {where}, {error}"
        raise RegisterFileError(msg) from error
    page = 1 << stream.ram.page_bits
    if description.get("page_size", page) != page:
        told = shown(description["page_size"])[:40]
        msg = f"byte {where}, the description: page_size is {told}, and the configuration says {page}"
        raise RegisterFileError(msg)
    return found


def _end(held: Held) -> tuple[int, int]:
    """Where in the rest the end marker is, and where the description begins (0: there is none).

    Raises:
        RegisterFileError: neither a description that fills the file to its end nor an end marker there.
    """
    rest, mark = held.data, len(held.data)
    for _ in range(_DESCRIPTION_HEAD):  # the length itself may hold these two bytes; JSON cannot
        mark = rest.rfind(bytes((EOF, DESCRIPTION)), 0, mark + 1)
        begin = mark + 1 + _DESCRIPTION_HEAD
        if mark < 0:
            break
        if begin < len(rest) and int.from_bytes(rest[mark + 2 : begin], "big") == len(rest) - begin:
            return mark, begin
    if rest and rest[-1] == EOF:
        return len(rest) - 1, 0
    msg = f"byte {held.at + len(rest)}, the end: no end marker and no description whole; is the file whole?"
    raise RegisterFileError(msg)


def _check_instances(sections: list[Section]) -> None:
    seen: set[tuple[str, int]] = set()
    for section in sections:
        name, instance = section.key
        if section.key in seen:
            msg = f"byte {section.at}, section {name} {instance}: the second of this device and instance"
            raise RegisterFileError(msg)
        seen.add(section.key)


def _check_devices(sections: list[Section], described: dict[tuple[str, int], Device], at: int) -> None:
    """Raises RegisterFileError unless the stream has the devices that its description tells of."""
    for section in sections:
        if section.key not in described:
            name, instance = section.key
            msg = f"byte {section.at}, section {name} {instance}: the description does not tell of it"
            raise RegisterFileError(msg)
    missing = described.keys() - {section.key for section in sections}
    if missing:
        name, instance = min(missing)
        told = f"{printable(cut(name))} {instance}"
        msg = f"byte {at}, the devices: the description tells of {told}, which is not in the stream"
        raise RegisterFileError(msg)


def _other_sizes(sections: list[Section], described: dict[tuple[str, int], Device]) -> list[str]:
    """A note if the description's sizes are not the sections'."""
    other = [
        f"{section.head.name} {section.head.instance}"
        for section in sections
        if described[section.key].n_bytes != len(section.fields)
    ]
    return [f"The description gives {', '.join(other[:5])} another size than their footers do."] if other else []


def _cpus(sections: list[Section], described: dict[tuple[str, int], Device], at: int) -> list[CpuFields]:
    """The `cpu` sections by instance.

    Raises:
        RegisterFileError: there is none, one is of another version, or one is without its cpu_common section.
    """
    cpus = []
    for section in sections:
        if section.head.name != "cpu":
            continue
        instance, offset = section.head.instance, section.fields_at
        if section.head.version != qemu_cpu.VERSION:
            msg = f"byte {offset}, section cpu {instance}: version {section.head.version}, not Arm's 22"
            raise RegisterFileError(msg)
        device = described.get(section.key, Device(0, None, None))
        count_at = qemu_cpu.COUNT if device.count_at is None else device.count_at
        cpus.append(CpuFields(instance, section.fields, offset, count_at, device.n_reg))
    if not cpus:
        msg = f"byte {at}, the devices: no section named cpu, so no vCPU's registers"
        raise RegisterFileError(msg)
    common = {section.head.instance for section in sections if section.head.name == "cpu_common"}
    lone = common ^ {cpu.instance for cpu in cpus}
    if lone:
        msg = f"byte {at}, the devices: vCPU {min(lone)} has a cpu or a cpu_common section, and not both"
        raise RegisterFileError(msg)
    return sorted(cpus, key=lambda cpu: cpu.instance)
