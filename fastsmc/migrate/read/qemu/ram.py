"""Guest memory in a QEMU stream: skipped, but understood to the byte.

A memory section is a row of records. Each begins with a be64, whose upper bits are an address and whose bits below the
page size are flags; the block's name follows unless the flag says "the same block".
Source: QEMU migration/ram.c (RAM_SAVE_FLAG_*), scripts/analyze-migration.py; checked on streams of QEMU 7.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from fastsmc.migrate.read.limits import ALONE, MAX_PAGES
from fastsmc.migrate.read.source import Cursor

_ZERO, _MEM_SIZE, _PAGE, _EOS, _CONTINUE, _XBZRLE = 0x02, 0x04, 0x08, 0x10, 0x20, 0x40
_HOOK, _COMPRESSED, _MULTIFD_FLUSH = 0x80, 0x100, 0x200
_MAX_BLOCKS = 4096
_FLAG_BYTES = 8
_ZERO_BYTES = _FLAG_BYTES + 1
_RUN, _LONGEST_RUN = 64, 4096
"""Records that are looked at together."""


@dataclass(slots=True)
class Ram:
    """What a stream says about its guest memory.

    Attributes:
        page_bits: log2 of the page size, from the configuration section, which does not tell Arm's smallest: boards
            other than virt, and virt before 2.8, send pages of 1 KiB.
        has_addresses: capability x-ignore-shared: every block's length is followed by an address.
        is_postcopy: postcopy was announced: blocks of huge pages add their page size.
        blocks: length by name.
        n_page: pages so far; one that was looked at alone counts as many.
    """

    page_bits: int = 10
    has_addresses: bool = False
    is_postcopy: bool = False
    blocks: dict[str, int] = field(default_factory=dict)
    n_page: int = 0

    def count(self, n: int, cursor: Cursor) -> None:
        """Counts pages.

        Raises:
            RegisterFileError: more than any real file has.
        """
        self.n_page += n
        if self.n_page > MAX_PAGES:
            msg = f"more than {MAX_PAGES} pages, of which one that lies alone counts as {ALONE}"
            raise cursor.error(msg)


def skip_section(cursor: Cursor, ram: Ram) -> None:
    """Goes from a memory section's first record to behind its last.

    Raises:
        RegisterFileError: an unknown flag, a block that was not announced, or the end of the file.
    """
    page = 1 << ram.page_bits
    while True:
        start = cursor.offset
        word = cursor.number(_FLAG_BYTES, "a memory record")
        flags, address = word & page - 1, word & -page
        kind = flags & ~_CONTINUE
        if flags == _EOS and not address:
            return
        if kind in (_ZERO, _MEM_SIZE, _MULTIFD_FLUSH):
            cursor.count_small()
        if flags == _MEM_SIZE:
            _blocks(cursor, ram, address)
        elif flags == _MULTIFD_FLUSH:
            continue
        elif kind in (_ZERO, _PAGE, _XBZRLE, _COMPRESSED):
            if not flags & _CONTINUE:
                _known_block(cursor, ram)
            elif not ram.blocks:
                msg = "a page of the same block as before, and there was none"
                raise cursor.error(msg, start)
            _page(cursor, kind, page)
            if kind != _ZERO:
                ram.count(ALONE, cursor)
            _skip_run(cursor, ram)
        elif flags == _HOOK:
            msg = "guest memory went by RDMA and is not in the file"
            raise cursor.error(msg, start)
        else:
            msg = f"memory record {word:#x} has flags {flags:#x}, which no QEMU writes"
            raise cursor.error(msg, start)


def _blocks(cursor: Cursor, ram: Ram, total: int) -> None:
    """The list of blocks, whose lengths add up to the total."""
    start, left = cursor.offset, total
    while left:
        cursor.count_small()
        name = cursor.name("a memory block's name")
        length = cursor.number(8, f"length of block {name}")
        if length > left or len(ram.blocks) == _MAX_BLOCKS:
            msg = f"the memory blocks are longer than their total of {total} bytes"
            raise cursor.error(msg, start)
        ram.blocks[name] = length
        left -= length
        if ram.has_addresses:
            cursor.read(8, f"address of block {name}")
        if ram.is_postcopy:
            word = int.from_bytes(cursor.peek(8), "big")
            if word >= 1 << 13 and word & word - 1 == 0:  # no name and no record begins like that
                cursor.read(8, f"page size of block {name}")


def _known_block(cursor: Cursor, ram: Ram) -> None:
    start = cursor.offset
    name = cursor.name("a page's block")
    if name not in ram.blocks:
        msg = f"a page of block {name}, which was not announced"
        raise cursor.error(msg, start)


def _page(cursor: Cursor, kind: int, page: int) -> None:
    """What follows a page's flags and name."""
    if kind == _PAGE:
        cursor.skip(page, "a page")
        return
    start = cursor.offset
    if kind == _ZERO:
        if cursor.number(1, "a zero page"):
            msg = "a zero page is not filled with 0"
            raise cursor.error(msg, start)
        return
    if kind == _XBZRLE:
        encoding, length = cursor.number(1, "an xbzrle page"), cursor.number(2, "an xbzrle page")
        is_right = encoding == 1 and length <= page
    else:
        length = cursor.number(4, "a compressed page")
        is_right = length <= 2 * page  # zlib's bound is little above a page
    if not is_right:
        msg = f"a compressed page of {length} bytes, more than its {page}"
        raise cursor.error(msg, start)
    cursor.skip(length, "a compressed page")


def _skip_run(cursor: Cursor, ram: Ram) -> None:
    """Skips the pages of the same block that follow, as far as they lie whole in the window: most of a stream."""
    mixed, upper = _run_of_pages(ram.page_bits)
    n = _RUN
    while True:
        buffer, at = cursor.window()
        if _are_zero_pages(buffer, at, n, upper):
            cursor.skip_buffered(n * _ZERO_BYTES)
            ram.count(n, cursor)
            n = min(2 * n, _LONGEST_RUN)
        elif n > _RUN:
            n = _RUN
        else:
            found = mixed.match(buffer, at)
            if found is None or found.end() == at:
                return
            cursor.skip_buffered(found.end() - at)
            ram.count(_RUN, cursor)


def _are_zero_pages(buffer: bytes, at: int, n: int, upper: bytes) -> bool:
    """Whether n records of zero pages lie here; byte by byte of all of them, which is the fastest that Python has."""
    end = at + n * _ZERO_BYTES
    flags, zero = _ZERO | _CONTINUE, bytes(1)
    if end > len(buffer) or buffer[end - 2] != flags:
        return False
    if buffer[at + 7 : end : _ZERO_BYTES].count(flags) != n or buffer[at + 8 : end : _ZERO_BYTES].count(zero) != n:
        return False
    return not buffer[at + 6 : end : _ZERO_BYTES].translate(None, upper)


@cache
def _run_of_pages(page_bits: int) -> tuple[re.Pattern[bytes], bytes]:
    """What matches a run of records of pages, zero or not, and the bytes that stand before their flags' last."""
    flags = (1 << page_bits) - 1 >> 8
    upper = bytes(byte for byte in range(256) if not byte & flags)
    escaped = b"".join(b"\\x%02x" % byte for byte in upper)
    kinds = rb"\x%02x\x00|\x%02x.{%d}" % (_ZERO | _CONTINUE, _PAGE | _CONTINUE, 1 << page_bits)
    return re.compile(rb"(?:......[%s](?:%s)){0,%d}+" % (escaped, kinds, _RUN), re.DOTALL), upper
