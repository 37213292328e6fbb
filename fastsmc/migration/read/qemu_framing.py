"""The frame of a QEMU migration stream, version 3: header, configuration, sections with footers, end, description.

Everything is big-endian. Guest memory is skipped as it comes; from the first other device on the rest is held, because
what separates devices stands at its end (the description) or has to be searched for (`qemu_sections`).
Source: QEMU migration/savevm.c, scripts/analyze-migration.py, docs/devel/migration; checked on streams of QEMU 7.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsmc.migration.read.limits import MAX_DEVICE_BYTES, MAX_PARTS
from fastsmc.migration.read.qemu_ram import Ram, skip_section
from fastsmc.migration.read.result import Part
from fastsmc.migration.read.source import Cursor

MAGIC, VERSION = b"QEVM", 3
EOF, START, PART, END, FULL = 0x00, 0x01, 0x02, 0x03, 0x04
SUBSECTION, DESCRIPTION, CONFIGURATION, COMMAND, FOOTER = 0x05, 0x06, 0x07, 0x08, 0x7E
FOOTER_BYTES = 5
_POSTCOPY_ADVISE = 3
_RAM_VERSION = 4
_MIN_PAGE_BITS, _MAX_PAGE_BITS = 10, 16
_MAX_NAME, _MAX_CAPABILITIES = 255, 64


@dataclass(slots=True)
class Stream:
    """What the frame tells.

    Attributes:
        parts: in file order. told_by: machine and capabilities. ram_ids: section ids of guest memory.
        rest: the bytes from the first section of another device on; rest_at: where they begin.
    """

    parts: list[Part] = field(default_factory=list)
    told_by: dict[str, str] = field(default_factory=dict)
    ram: Ram = field(default_factory=Ram)
    ram_ids: dict[int, int] = field(default_factory=dict)
    rest: bytes = b""
    rest_at: int = 0

    def add(self, cursor: Cursor, name: str, instance: int | None, start: int) -> None:
        """A part from start to where the cursor is."""
        if len(self.parts) == MAX_PARTS:
            msg = f"more than {MAX_PARTS} sections"
            raise cursor.error(msg)
        self.parts.append(Part(name, instance, cursor.offset - start))


@dataclass(frozen=True, slots=True)
class SectionHead:
    """How a section begins; for a PART or END only the id is in the stream."""

    section_id: int
    name: str
    instance: int
    version: int


def read_frame(cursor: Cursor) -> Stream:
    """Reads up to the first section that is not guest memory, and holds the rest.

    Raises:
        RegisterFileError: not a stream of version 3, damaged, cut off, or longer than is read.
    """
    stream = Stream()
    if cursor.read(4, "the magic number") != MAGIC:
        msg = "not a QEMU migration stream: it would begin with QEVM"
        raise cursor.error(msg, 0)
    version = cursor.number(4, "the version")
    if version != VERSION:
        msg = f"stream version {version}; 3 is read, which QEMU writes since 0.13"
        raise cursor.error(msg, 4)
    stream.add(cursor, "header", None, 0)
    while read_frame_piece(cursor, stream):
        pass
    if cursor.peek(1)[0] in (START, PART, END):
        cursor.section = "a section in rounds"
        name = cursor.peek(261)[6:]
        named = name[: cursor.peek(6)[-1]] if cursor.peek(1)[0] == START else b""
        msg = f"{named!r}: of devices that are sent in rounds only guest memory (ram, instance 0) is understood"
        raise cursor.error(msg)
    cursor.section = "the devices"
    stream.rest_at = cursor.offset
    stream.rest = cursor.rest(MAX_DEVICE_BYTES)
    return stream


def read_frame_piece(cursor: Cursor, stream: Stream) -> bool:
    """Reads a configuration, a command or a section of guest memory; False, and nothing read, if it is another."""
    head = cursor.peek(5)
    if not head:
        msg = "the file ends where a section would begin: is it whole?"
        raise cursor.error(msg)
    kind, section_id = head[0], int.from_bytes(head[1:], "big")
    start = cursor.offset
    if kind == CONFIGURATION:
        cursor.section = "the configuration"
        if any(part.name == "configuration" for part in stream.parts):
            msg = "a second configuration"
            raise cursor.error(msg)
        cursor.read(1, "a section type")
        _configuration(cursor, stream)
        stream.add(cursor, "configuration", None, start)
        return True
    if kind == COMMAND:
        cursor.section = "a command"
        _command(cursor, stream)
        stream.add(cursor, "command", None, start)
        return True
    if kind == START and cursor.peek(9)[5:] == b"\x03ram":
        cursor.section = "section ram"
        section = section_head(cursor)
        if section.version != _RAM_VERSION or section_id in stream.ram_ids:
            why = f"version {section.version}; 4 is read" if section.version != _RAM_VERSION else "its id is taken"
            raise cursor.error(why, start)
        stream.ram_ids[section_id] = section.instance
    elif kind in (PART, END) and section_id in stream.ram_ids:
        cursor.section = "section ram"
        cursor.read(FOOTER_BYTES, "a section's head")
    else:
        return False
    skip_section(cursor, stream.ram)
    footer(cursor, section_id)
    stream.add(cursor, "ram", stream.ram_ids[section_id], start)
    return True


def section_head(cursor: Cursor) -> SectionHead:
    """Type, id, name, instance and version of a START or FULL section."""
    cursor.read(1, "a section type")
    section_id = cursor.number(4, "a section's id")
    name = cursor.name("a section's name")
    return SectionHead(section_id, name, cursor.number(4, "an instance"), cursor.number(4, "a version"))


def footer(cursor: Cursor, section_id: int) -> None:
    """The footer that ends a section.

    Raises:
        RegisterFileError: other bytes; machine types before 2.4 write none.
    """
    start = cursor.offset
    found = cursor.read(FOOTER_BYTES, "the section's footer")
    if found != footer_bytes(section_id):
        msg = f"{found.hex()} where the footer of section {section_id} belongs"
        raise cursor.error(msg, start)


def footer_bytes(section_id: int) -> bytes:
    """0x7e and the section's id."""
    return bytes((FOOTER,)) + section_id.to_bytes(4, "big")


def _configuration(cursor: Cursor, stream: Stream) -> None:
    length = cursor.number(4, "the machine name's length")
    if not 0 < length <= _MAX_NAME:
        msg = f"the machine's name would have {length} bytes"
        raise cursor.error(msg)
    name = cursor.read(length, "the machine's name")
    if not all(0x20 < byte < 0x7F for byte in name):
        msg = f"{name[:40]!r} is no machine name"
        raise cursor.error(msg)
    stream.told_by["machine"] = name.decode("ascii")
    while cursor.peek(1) == bytes((SUBSECTION,)):
        start = cursor.offset
        cursor.read(1, "a subsection")
        what = cursor.name("a subsection's name")
        cursor.number(4, "a subsection's version")
        if what == "configuration/target-page-bits":
            stream.ram.page_bits = cursor.number(4, "the page size")
            if not _MIN_PAGE_BITS <= stream.ram.page_bits <= _MAX_PAGE_BITS:
                msg = f"pages of 2**{stream.ram.page_bits} bytes; Arm has 2**10 to 2**16"
                raise cursor.error(msg, start)
        elif what == "configuration/capabilities":
            _capabilities(cursor, stream)
        elif what == "configuration/uuid":
            cursor.read(16, "the machine's UUID")
        else:
            msg = f"subsection {what} is not known, so where it ends is not either"
            raise cursor.error(msg, start)


def _capabilities(cursor: Cursor, stream: Stream) -> None:
    count = cursor.number(4, "the number of capabilities")
    if count > _MAX_CAPABILITIES:
        msg = f"{count} capabilities"
        raise cursor.error(msg)
    names = [cursor.name("a capability") for _ in range(count)]
    stream.told_by["capabilities"] = ", ".join(names)
    stream.ram.has_addresses = "x-ignore-shared" in names
    for unread in ("mapped-ram", "x-colo"):
        if unread in names:
            msg = f"capability {unread}: such streams lie differently in the file and are not read"
            raise cursor.error(msg)


def _command(cursor: Cursor, stream: Stream) -> None:
    cursor.read(1, "a command's type")
    command, length = cursor.number(2, "a command"), cursor.number(2, "a command's length")
    cursor.skip(length, "a command's data")
    stream.ram.is_postcopy |= command == _POSTCOPY_ADVISE
