"""Small files that once kept a reader busy for minutes or took gigabytes, built from what they are made of."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable

import zstandard

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": zstandard.ZstdCompressor(level=1).compress,
    "bzip2": lambda data: bz2.compress(data, 1),
}
HEAD = b"QEVM\0\0\0\x03"
CONFIGURATION = b"\x07\0\0\0\x08virt-7.2"
END_OF_RECORDS = (0x10).to_bytes(8, "big")
PAGE = 1024
"""Bytes of a page where the configuration says nothing of it."""


def footer(section_id: int) -> bytes:
    return b"\x7e" + section_id.to_bytes(4, "big")


def head(kind: int, section_id: int, name: bytes, version: int, instance: int = 0) -> bytes:
    """How a section that has a name begins: 1 for one in rounds, 4 for a device's."""
    return struct.pack(">BIB", kind, section_id, len(name)) + name + struct.pack(">II", instance, version)


def start(section_id: int = 1, instance: int = 0) -> bytes:
    """A section of guest memory without a record."""
    return head(1, section_id, b"ram", 4, instance) + END_OF_RECORDS + footer(section_id)


def many_in_rounds(n: int, n_mark: int) -> bytes:
    """Devices in rounds, and before them a device that could end at each of many marks."""
    rounds = b"".join(start(1000 + number, number) for number in range(n))
    return HEAD + CONFIGURATION + rounds + head(4, 7, b"x", 1) + footer(7) * n_mark


def many_rounds(n_command: int, n: int) -> bytes:
    """Commands before the configuration, which every section would look for, and empty sections of memory."""
    part = struct.pack(">BI", 2, 1) + END_OF_RECORDS + footer(1)
    return HEAD + struct.pack(">BHH", 8, 1, 0) * n_command + CONFIGURATION + start() + part * n


def many_devices(n: int, name: bytes = b"x") -> bytes:
    """Sections of devices without a field."""
    return HEAD + CONFIGURATION + b"".join(head(4, i, name, 1, i) + footer(i) for i in range(n)) + b"\0"


def records_of_nothing(kind: bytes, n: int) -> bytes:
    """A section in rounds that goes on for ever with records that carry nothing."""
    version, record = {
        b"dirty-bitmap": (1, b"\x20"),
        b"block": (1, (4).to_bytes(8, "big")),
        b"ram": (4, (0x200).to_bytes(8, "big")),
    }[kind]
    return HEAD + CONFIGURATION + head(1, 1, kind, version) + record * n


def memory(records: bytes) -> bytes:
    """Guest memory of one block and the beginning of its section."""
    block = (1 << 40 | 4).to_bytes(8, "big") + b"\x03ram" + (1 << 40).to_bytes(8, "big")
    first = (0x02).to_bytes(8, "big") + b"\x03ram\0"
    return HEAD + CONFIGURATION + head(1, 1, b"ram", 4) + block + first + records


def zero_pages(n: int) -> bytes:
    """Records of zero pages of the block before."""
    return b"".join((page << 10 | 0x22).to_bytes(8, "big") + b"\0" for page in range(n))


def pages(n: int) -> bytes:
    """Records of pages with content."""
    return b"".join((page << 10 | 0x28).to_bytes(8, "big") + b"x" * PAGE for page in range(n))
