"""The frame of a QEMU migration stream, version 3: header, configuration, sections with footers, end, description.

Everything is big-endian. Guest memory is skipped as it comes; from the first other device on the rest is held, because
what separates devices stands at its end (the description) or has to be searched for (`sections`). A few devices
are sent between the list of memory blocks and the memory (virtio-mem: what of it there is); they are held too.
Source: QEMU migration/savevm.c, scripts/analyze-migration.py, docs/devel/migration; checked on streams of QEMU 7.2 and
10.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsmc.checks import shown
from fastsmc.migrate.read.limits import MAX_DEVICE_BYTES, MAX_PARTS
from fastsmc.migrate.read.qemu.disks import skip_bitmaps, skip_blocks
from fastsmc.migrate.read.qemu.ram import Ram, skip_section
from fastsmc.migrate.read.result import Part
from fastsmc.migrate.read.source import PRINTABLE, Cursor

MAGIC, VERSION = b"QEVM", 3
EOF, START, PART, END, FULL = 0x00, 0x01, 0x02, 0x03, 0x04
SUBSECTION, DESCRIPTION, CONFIGURATION, COMMAND, FOOTER = 0x05, 0x06, 0x07, 0x08, 0x7E
FOOTER_BYTES = 5
_POSTCOPY_ADVISE = 3
_IN_ROUNDS = {"ram": 4, "block": 1, "dirty-bitmap": 1}
"""Devices that are sent in rounds and understood here, and the version in which they are."""
_MAX_ROUNDS = 16
"""Devices sent in rounds at the same time; QEMU has one of each kind."""
_MIN_PAGE_BITS, _MAX_PAGE_BITS = 10, 16
_MAX_NAME, _MAX_CAPABILITIES = 255, 64
_MAX_EARLY = 4 << 20
"""Bytes of devices before guest memory: virtio-mem has a bit per block, 64 KiB of them for 1 TiB in blocks of 2 MiB."""
_HEAD_BYTES = 14
"""Bytes of a FULL section's head whose name is empty: type, id, length of the name, instance, version."""


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of device sections, and where in the file they begin."""

    data: bytes | bytearray = b""
    at: int = 0


@dataclass(slots=True)
class Stream:
    """What the frame tells.

    Attributes:
        parts: in file order. told_by: machine, which the configuration says, and capabilities.
        in_rounds: name and instance by section id, of guest memory and what else is sent in rounds, up to its END.
        early: devices within guest memory, which come behind the first `n_before` parts.
        rest: the bytes from the first other section on to the end of the file.
    """

    parts: list[Part] = field(default_factory=list)
    told_by: dict[str, str] = field(default_factory=dict)
    ram: Ram = field(default_factory=Ram)
    in_rounds: dict[int, tuple[str, int]] = field(default_factory=dict)
    early: Held = field(default_factory=Held)
    n_before: int = 0
    rest: Held = field(default_factory=Held)

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
        known = ", ".join(_IN_ROUNDS)
        msg = f"{_start_name(cursor)!r}: what is sent in rounds has a form of its own, and only that of {known} is read"
        raise cursor.error(msg)
    cursor.section = "the devices"  # not all rounds need an END: a background snapshot has none, nor have no bitmaps
    at = cursor.offset
    stream.rest = Held(cursor.rest(MAX_DEVICE_BYTES), at)
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
        if "machine" in stream.told_by:
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
    if kind == FULL:
        return bool(stream.in_rounds) and not stream.early.data and _hold_early(cursor, stream)
    return _round(cursor, stream, kind, section_id)


def _round(cursor: Cursor, stream: Stream, kind: int, section_id: int) -> bool:
    """Reads a START, PART or END section; False, and nothing read, if it is of a device that is not understood."""
    start = cursor.offset
    if kind == START and (started := _start_name(cursor)) in _IN_ROUNDS:
        cursor.section = f"section {started}"
        section, version = section_head(cursor), _IN_ROUNDS[started]
        if section.version != version or section_id in stream.in_rounds:
            is_other = section.version != version
            why = f"version {section.version}; {version} is read" if is_other else "its id is taken"
            raise cursor.error(why, start)
        if len(stream.in_rounds) == _MAX_ROUNDS:
            msg = f"more than {_MAX_ROUNDS} devices in rounds at once"
            raise cursor.error(msg, start)
        stream.in_rounds[section_id] = section.name, section.instance
    elif kind in (PART, END) and section_id in stream.in_rounds:
        cursor.section = f"section {stream.in_rounds[section_id][0]}"
        cursor.read(FOOTER_BYTES, "a section's head")
    else:
        return False
    name, instance = stream.in_rounds[section_id]
    if name == "ram":
        if "machine" not in stream.told_by:
            msg = "no configuration before it (send-configuration=off), so nothing says how large a page is"
            raise cursor.error(msg, start)
        skip_section(cursor, stream.ram)
    elif name == "block":
        skip_blocks(cursor)
    else:
        skip_bitmaps(cursor)
    footer(cursor, section_id)
    stream.add(cursor, name, instance, start)
    if kind == END:
        del stream.in_rounds[section_id]
    return True


def _start_name(cursor: Cursor) -> str:
    """The name in the head of a START section; "" for another section."""
    head = cursor.peek(6 + _MAX_NAME)
    return head[6 : 6 + head[5]].decode("latin-1") if len(head) > 5 and head[0] == START else ""


def _hold_early(cursor: Cursor, stream: Stream) -> bool:
    """Holds device sections between pieces of guest memory; False, and nothing held, if no memory follows."""
    window, at = cursor.peek(_MAX_EARLY), 0
    following = {
        bytes((kind,)) + section_id.to_bytes(4, "big") for section_id in stream.in_rounds for kind in (PART, END)
    }
    while (found := full_head(window, at)) is not None:
        mark = footer_bytes(found[0].section_id)
        place = found[1]
        while (place := window.find(mark, place)) >= 0:
            at = place + FOOTER_BYTES
            if window[at : at + FOOTER_BYTES] in following:
                start, stream.n_before = cursor.offset, len(stream.parts)
                stream.early = Held(cursor.read(at, "the devices before guest memory"), start)
                return True
            if full_head(window, at) is not None:
                break
            place += 1
        else:
            return False
    return False


def full_head(data: bytes | bytearray, at: int) -> tuple[SectionHead, int] | None:
    """The head of a FULL section that begins here and where its fields begin; None if none does."""
    if len(data) - at < _HEAD_BYTES or data[at] != FULL:
        return None
    length = data[at + 5]
    fields = at + _HEAD_BYTES + length
    name = data[at + 6 : at + 6 + length]
    if not length or fields > len(data) or name.translate(None, PRINTABLE):
        return None
    numbers = (int.from_bytes(data[i : i + 4], "big") for i in (at + 1, fields - 8, fields - 4))
    section_id, instance, version = numbers
    return SectionHead(section_id, name.decode("ascii"), instance, version), fields


def section_head(cursor: Cursor) -> SectionHead:
    """Type, id, name, instance and version of a START or FULL section."""
    cursor.read(1, "a section type")
    section_id = cursor.number(4, "a section's id")
    name = cursor.name("a section's name")
    return SectionHead(section_id, name, cursor.number(4, "an instance"), cursor.number(4, "a version"))


def footer(cursor: Cursor, section_id: int) -> None:
    """The footer that ends a section.

    Raises:
        RegisterFileError: other bytes.
    """
    start = cursor.offset
    found = cursor.read(FOOTER_BYTES, "the section's footer")
    if found != footer_bytes(section_id):
        none = (
            "" if found[0] == FOOTER else "; QEMU before 2.4 and send-section-footer=off write none, which is not read"
        )
        msg = f"{found.hex()} where the footer of section {section_id} belongs{none}"
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
        msg = f"{shown(name)} is no machine name"
        raise cursor.error(msg)
    stream.told_by["machine"] = name.decode("ascii")
    while cursor.peek(1) == bytes((SUBSECTION,)):
        cursor.count_small()
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
