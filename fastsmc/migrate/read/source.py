"""A file as a sequence of bytes that is read once, with the offset of every byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastsmc.checks import shown
from fastsmc.errors import RegisterFileError
from fastsmc.files import source as gate
from fastsmc.files.limits import PACKED_STREAM, STREAM
from fastsmc.files.packed import Readable
from fastsmc.migrate.read.limits import HASHED_BYTES, MAX_SMALL_RECORDS

_CHUNK = 1 << 16
"""Bytes read at once: as many as a pipe has, and few enough that their memory is used again."""
PRINTABLE = bytes(range(0x20, 0x7F))
"""What names of devices, disks and memory are made of."""


class Cursor:
    """A file that is read forward once, with the place of the next byte.

    Attributes:
        offset: of the next byte, in the file, once unpacked.
        section: what is being read, for error messages.
        n_small: records so far that carry no page, each looked at by itself.
    """

    def __init__(self, raw: Readable, offset: int = 0) -> None:
        self.offset = offset
        self.section = "the header"
        self.n_small = 0
        self._raw = raw
        self._buffer = b""
        self._at = 0
        self._n_raw = 0
        self._digest = hashlib.sha256()

    def error(self, message: str, offset: int | None = None) -> RegisterFileError:
        """An error that names the byte and the section."""
        return RegisterFileError(f"byte {self.offset if offset is None else offset}, {self.section}: {message}")

    def _fill(self, n: int) -> None:
        """Buffers n bytes, or all that are left."""
        missing = n - (len(self._buffer) - self._at)
        if missing <= 0:
            return
        pieces = [self._buffer[self._at :]]
        while missing > 0 and (piece := self._piece()):
            pieces.append(piece)
            missing -= len(piece)
        self._buffer, self._at = b"".join(pieces), 0

    def _piece(self) -> bytes:
        piece = self._raw.read(_CHUNK)
        self._n_raw += len(piece)
        if self._n_raw <= HASHED_BYTES:
            self._digest.update(piece)
        return piece

    def sha256(self) -> str:
        """The hash of all bytes read so far, hexadecimal; "" when there were too many."""
        return self._digest.hexdigest() if self._n_raw <= HASHED_BYTES else ""

    def peek(self, n: int) -> bytes:
        """The next n bytes, or fewer at the end."""
        self._fill(n)
        return self._buffer[self._at : self._at + n]

    def count_small(self) -> None:
        """Counts a record that carries little: without an end to them a small file would keep a reader busy.

        Raises:
            RegisterFileError: more than any real file has.
        """
        self.n_small += 1
        if self.n_small > MAX_SMALL_RECORDS:
            msg = f"more than {MAX_SMALL_RECORDS} records that carry no page"
            raise self.error(msg)

    def window(self) -> tuple[bytes, int]:
        """What is buffered, at least one byte unless at the end, and where in it the next byte is."""
        self._fill(1)
        return self._buffer, self._at

    def skip_buffered(self, n: int) -> None:
        """Goes on by n bytes, all in the window."""
        self._at += n
        self.offset += n

    def read(self, n: int, what: str) -> bytes:
        """The next n bytes.

        Raises:
            RegisterFileError: the file ends before.
        """
        data = self.peek(n)
        if len(data) < n:
            msg = f"{what} takes {n} bytes, and the file ends after {len(data)}: is it whole?"
            raise self.error(msg)
        self.skip_buffered(n)
        return data

    def number(self, n: int, what: str) -> int:
        """A big-endian number of n bytes."""
        return int.from_bytes(self.read(n, what), "big")

    def name(self, what: str) -> str:
        """A counted name: one byte of length, then printable ASCII; boards have memory called "sram A1".

        Raises:
            RegisterFileError: empty, or something else.
        """
        start = self.offset
        data = self.read(self.number(1, what), what)
        if not data or data.translate(None, PRINTABLE):
            msg = f"{what} is {shown(data)}, not a printable name"
            raise self.error(msg, start)
        return data.decode("ascii")

    def skip(self, n: int, what: str) -> None:
        """Goes on by n bytes without keeping them.

        Raises:
            RegisterFileError: the file ends before.
        """
        left = n
        while left:
            self._fill(1)
            step = min(left, len(self._buffer) - self._at)
            if not step:
                msg = f"{what} takes {n} bytes, and the file ends inside: is it whole?"
                raise self.error(msg)
            self.skip_buffered(step)
            left -= step

    def rest(self, limit: int) -> bytearray:
        """Everything that is left.

        Raises:
            RegisterFileError: more than limit bytes.
        """
        data = bytearray(self._buffer[self._at :])  # it grows in place, and pieces with their sum take twice as much
        self._buffer, self._at = b"", 0
        while len(data) <= limit and (piece := self._piece()):
            data += piece
        if len(data) > limit:
            msg = f"more than {limit} bytes follow, which is more than any real file has here"
            raise self.error(msg)
        self.offset += len(data)
        return data


@contextmanager
def opened(path: Path | str) -> Iterator[Cursor]:
    """A cursor at the beginning of a file, a pipe, or standard input ("-"), unpacked if it is packed.

    Raises:
        RegisterFileError, Refused: missing, a folder, not readable.
    """
    with gate.opened(path, STREAM, packed_kind=PACKED_STREAM) as source:
        yield Cursor(source)


def cursor_on(raw: Readable) -> Cursor:
    """A cursor on an open binary file, unpacked if it is packed.

    Raises:
        RegisterFileError: it is text.
    """
    try:
        return Cursor(gate.Source(raw, STREAM, packed_kind=PACKED_STREAM))
    except (TypeError, AttributeError):
        msg = "open the file as binary"
        raise RegisterFileError(msg) from None
