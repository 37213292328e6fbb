"""A file, a pipe or standard input as a sequence of bytes that is read once, with the offset of every byte."""

from __future__ import annotations

import hashlib
import lzma
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from fastsmc.checks import near_file, shown
from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.limits import HASHED_BYTES, MAX_XZ_BYTES, XZ_MEMORY_BYTES

XZ_MAGIC = b"\xfd7zXZ\x00"
_CHUNK, _MAX_READ = 1 << 20, 8 << 20


class Readable(Protocol):
    """Anything that has a `read` method as binary files have."""

    def read(self, n: int, /) -> bytes: ...


class Cursor:
    """A file that is read forward once, with the place of the next byte.

    Attributes:
        offset: of the next byte, in the file (after xz).
        section: what is being read, for error messages.
    """

    def __init__(self, raw: Readable, offset: int = 0) -> None:
        self.offset = offset
        self.section = "the header"
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
        while missing > 0 and (piece := self._raw.read(min(max(missing, _CHUNK), _MAX_READ))):
            self._n_raw += len(piece)
            if self._n_raw <= HASHED_BYTES:
                self._digest.update(piece)
            pieces.append(piece)
            missing -= len(piece)
        self._buffer, self._at = b"".join(pieces), 0

    def sha256(self) -> str:
        """The hash of all bytes read so far, hexadecimal; "" when there were too many."""
        return self._digest.hexdigest() if self._n_raw <= HASHED_BYTES else ""

    def peek(self, n: int) -> bytes:
        """The next n bytes, or fewer at the end."""
        self._fill(n)
        return self._buffer[self._at : self._at + n]

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
        if not data or not all(0x20 <= byte < 0x7F for byte in data):
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
            step = min(left, _CHUNK)
            if len(self.peek(step)) < step:
                msg = f"{what} takes {n} bytes, and the file ends inside: is it whole?"
                raise self.error(msg)
            self.skip_buffered(step)
            left -= step

    def rest(self, limit: int) -> bytes:
        """Everything that is left.

        Raises:
            RegisterFileError: more than limit bytes.
        """
        data = self.peek(limit + 1)
        if len(data) > limit:
            msg = f"more than {limit} bytes follow, which is more than any real file has here"
            raise self.error(msg)
        self.skip_buffered(len(data))
        return data


class _Xz:
    """Unpacks xz with bounded memory."""

    def __init__(self, raw: Readable) -> None:
        self._raw = raw
        self._unpack = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
        self._n_out = 0

    def read(self, n: int, /) -> bytes:
        try:
            while not self._unpack.eof:
                data = self._raw.read(_CHUNK) if self._unpack.needs_input else b""
                if self._unpack.needs_input and not data:
                    msg = f"xz: cut off after {self._n_out} unpacked bytes; is the file whole?"
                    raise RegisterFileError(msg)
                piece = self._unpack.decompress(data, n)
                self._n_out += len(piece)
                if self._n_out > MAX_XZ_BYTES:
                    msg = f"xz: unpacks to more than {MAX_XZ_BYTES} bytes"
                    raise RegisterFileError(msg)
                if piece:
                    return piece
        except (lzma.LZMAError, EOFError, MemoryError) as error:
            msg = f"xz: damaged after {self._n_out} unpacked bytes ({error})"
            raise RegisterFileError(msg) from error
        if self._unpack.unused_data or self._raw.read(1):
            msg = "xz: bytes follow the end of the compressed data"
            raise RegisterFileError(msg)
        return b""


@contextmanager
def opened(path: Path | str) -> Iterator[Cursor]:
    """A cursor at the beginning of a file, a pipe, or standard input ("-"), unpacked if it is xz.

    Raises:
        RegisterFileError: missing, a folder, not readable.
    """
    if str(path) == "-":
        yield cursor_on(sys.stdin.buffer)
        return
    try:
        if stat.S_ISDIR(Path(path).stat().st_mode):
            msg = "is a folder; give a file in it"
            raise RegisterFileError(msg)
        file = Path(path).open("rb")  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _unreadable(error, near_file(path)) from error
    with file:
        try:
            yield cursor_on(file)
        except OSError as error:
            raise _unreadable(error) from error


def _unreadable(error: OSError | ValueError, hint: str = "") -> RegisterFileError:
    return RegisterFileError(f"cannot be read ({(isinstance(error, OSError) and error.strerror) or error}){hint}")


def cursor_on(raw: Readable) -> Cursor:
    """A cursor on an open binary file, unpacked if it is xz.

    Raises:
        RegisterFileError: it is text.
    """
    try:
        cursor = Cursor(raw)
        is_xz = cursor.peek(len(XZ_MAGIC)) == XZ_MAGIC
    except (TypeError, AttributeError):
        msg = "open the file as binary"
        raise RegisterFileError(msg) from None
    return Cursor(_Xz(_Again(cursor))) if is_xz else cursor


class _Again:
    """A cursor as something that has `read`."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def read(self, n: int, /) -> bytes:
        data = self._cursor.peek(n)
        self._cursor.skip_buffered(len(data))
        return data
