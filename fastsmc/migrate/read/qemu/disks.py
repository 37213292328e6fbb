"""What a QEMU stream says of disks, skipped: their content (capability block, up to 9.0) and their dirty bitmaps.

Like guest memory both are sent in rounds, as rows of records that end with a flag.
Source: QEMU migration/block.c (BLK_MIG_FLAG_*), migration/block-dirty-bitmap.c (DIRTY_BITMAP_MIG_FLAG_*); checked on
streams of QEMU 7.2 and 10.0.
"""

from __future__ import annotations

from fastsmc.migrate.read.source import Cursor

_BLOCK, _BLOCK_EOS, _PROGRESS, _ZERO_BLOCK = 0x01, 0x02, 0x04, 0x08
_SECTOR, _BLOCK_BYTES = 1 << 9, 1 << 20
_EOS, _ZEROES, _BITMAP, _DEVICE = 0x01, 0x02, 0x04, 0x08
_START, _COMPLETE, _BITS, _MORE = 0x10, 0x20, 0x40, 0x80
_MAX_BITS_BYTES = 1 << 20
"""Bytes of one piece of a bitmap; QEMU sends 1 KiB."""


def skip_blocks(cursor: Cursor) -> None:
    """Goes from the first record of a section of disk content to behind its last.

    Raises:
        RegisterFileError: flags that are not QEMU's, or the end of the file.
    """
    while True:
        start = cursor.offset
        flags = cursor.number(8, "a record of a disk") % _SECTOR
        if flags == _BLOCK_EOS:
            return
        if flags != _BLOCK:
            cursor.count_small()
        if flags == _PROGRESS:
            continue
        if flags & ~_ZERO_BLOCK != _BLOCK:
            msg = f"a record of a disk has flags {flags:#x}, which no QEMU writes"
            raise cursor.error(msg, start)
        cursor.name("a disk's name")
        if not flags & _ZERO_BLOCK:
            cursor.skip(_BLOCK_BYTES, "a block of a disk")


def skip_bitmaps(cursor: Cursor) -> None:
    """Goes from the first record of a section of dirty bitmaps to behind its last.

    Raises:
        RegisterFileError: flags that are not QEMU's, a piece of a bitmap too long, or the end of the file.
    """
    while True:
        cursor.count_small()
        start = cursor.offset
        flags = cursor.number(1, "a record of a dirty bitmap")
        kind = flags & (_START | _COMPLETE | _BITS)
        is_end = flags == _EOS
        if not is_end and (flags & (_EOS | _MORE) or kind not in (_START, _COMPLETE, _BITS)):
            msg = f"a record of a dirty bitmap has flags {flags:#x}, which no QEMU writes"
            raise cursor.error(msg, start)
        if is_end:
            return
        if flags & _DEVICE:
            cursor.name("a disk's name")
        if flags & _BITMAP:
            cursor.name("a dirty bitmap's name")
        if kind == _START:
            cursor.read(5, "granularity and flags of a dirty bitmap")
        elif kind == _BITS:
            cursor.read(12, "first sector and length of a piece of a dirty bitmap")
            if not flags & _ZEROES:
                _bits(cursor)


def _bits(cursor: Cursor) -> None:
    start = cursor.offset
    length = cursor.number(8, "length of a piece of a dirty bitmap")
    if length > _MAX_BITS_BYTES:
        msg = f"a piece of a dirty bitmap would have {length} bytes"
        raise cursor.error(msg, start)
    cursor.skip(length, "a piece of a dirty bitmap")
