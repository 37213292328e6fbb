"""What a packed file holds, some kilobytes at a time: gzip, xz, lzma, bzip2 and zstd, told from the first bytes."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

from fastsmc.errors import InputError
from fastsmc.files.limits import MIB, XZ_MEMORY_BYTES

_PIECE = 1 << 18
_MOST_IDLE, _STREAM = 16 * MIB, 1 << 12
"""Bytes of padding that are passed over, and how many of them one more packed stream counts for: 4096 may be empty."""


class Refused(InputError):
    """A file that is not taken: what is wrong, and what would be right. Who asked for it adds its name."""


class Readable(Protocol):
    """Anything that has a `read` method as binary files have."""

    def read(self, n: int, /) -> bytes: ...


class _Unpacker(Protocol):
    """What the decompressors of bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Packing(NamedTuple):
    """One way to pack: whether a file that begins so is packed that way, and what unpacks one packed stream."""

    name: str
    begins: Callable[[bytes], bool]
    new: Callable[[], _Unpacker]


class _Gzip:
    """zlib's decompressor in the words of the others."""

    def __init__(self) -> None:
        self._unpack, self._left = zlib.decompressobj(wbits=31), b""

    @property
    def eof(self) -> bool:
        return self._unpack.eof

    @property
    def needs_input(self) -> bool:
        return not self._left

    @property
    def unused_data(self) -> bytes:
        return self._unpack.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        piece = self._unpack.decompress(self._left + data, max(max_length, 0))
        self._left = self._unpack.unconsumed_tail
        return piece


class _Zstd:
    """zstandard's decompressor in the words of the others; a piece of input may unpack to much, so it is cut small."""

    def __init__(self) -> None:
        try:
            import zstandard
        except ImportError:
            msg = "is compressed with zstd: install fastsmc[zstd], or unpack it first: zstd -d"
            raise Refused(msg) from None
        self._failed: type[Exception] = zstandard.ZstdError
        self._unpack: Any = zstandard.ZstdDecompressor(max_window_size=XZ_MEMORY_BYTES).decompressobj()
        self._given, self._at, self._out = b"", 0, b""

    @property
    def eof(self) -> bool:
        return bool(self._unpack.eof) and not self._out

    @property
    def needs_input(self) -> bool:
        return self._at >= len(self._given) and not self._out

    @property
    def unused_data(self) -> bytes:
        return cast(bytes, self._unpack.unused_data) + self._given[self._at :]

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if data:
            self._given, self._at = self._given[self._at :] + data, 0
        if not self._out and not self._unpack.eof:
            piece = self._given[self._at : self._at + _ZSTD_PIECE]
            self._at += len(piece)
            try:
                self._out = self._unpack.decompress(piece)
            except self._failed as error:
                raise lzma.LZMAError(str(error)) from error
        data, self._out = self._out[:max_length], self._out[max_length:]
        return data


_ZSTD_PIECE = 64
"""Bytes given to zstd at once: a block of 3 bytes may unpack to 128 KiB."""


def _xz() -> _Unpacker:
    return cast(_Unpacker, lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES))


PACKINGS = (
    Packing("gzip", lambda head: head.startswith(b"\x1f\x8b"), _Gzip),
    Packing("xz", lambda head: head.startswith(b"\xfd7zXZ\0"), _xz),
    Packing("lzma", lambda head: head.startswith(b"\x5d\0\0"), _xz),
    Packing(
        "bzip2", lambda head: head[:3] == b"BZh" and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"), bz2.BZ2Decompressor
    ),
    Packing("zstd", lambda head: head.startswith(b"\x28\xb5\x2f\xfd"), _Zstd),
)


_ARCHIVES = ((b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07", "rar"))
"""How archives begin, which may hold many files and are not unpacked here."""


def archive_of(head: bytes) -> str:
    """What archive a file is that begins so; "" for none.

    >>> archive_of(b"Rar!" + bytes([26, 7])), archive_of(b"FWmW")
    ('rar', '')
    """
    return next((name for begin, name in _ARCHIVES if head.startswith(begin)), "")


def packing_of(head: bytes) -> Packing | None:
    """How a file that begins so is packed."""
    return next((packing for packing in PACKINGS if packing.begins(head)), None)


class Unpacked:
    """The content of a packed file, one packed stream after the other; zeros may pad it, as xz and tape drives do."""

    def __init__(self, rest: Readable, packing: Packing) -> None:
        self._rest, self._packing = rest, packing
        self._unpacker, self._left, self._n_out = packing.new(), b"", 0
        self._idle = 0

    def read(self, n: int, /) -> bytes:
        """At most n bytes, none at the end.

        Raises:
            Refused: damaged, cut short, followed by something else, or asking for too much memory.
        """
        name = self._packing.name
        try:
            return self._some(n)
        except (lzma.LZMAError, zlib.error, EOFError, OSError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the file; bzip2's has no number
                raise
            why = str(error) or "too large"
            msg = f"{name}: damaged after {self._n_out} unpacked bytes ({why}); copy the file again"
            raise Refused(msg) from error

    def _pay(self, n: int) -> None:
        """Counts what was read since something came out: padding, and packed streams that hold nothing."""
        self._idle += n
        if self._idle > _MOST_IDLE:
            msg = (
                f"{self._packing.name}: nothing but padding or empty packed streams after {self._n_out} unpacked bytes"
            )
            raise Refused(msg)

    def _some(self, n: int) -> bytes:
        name = self._packing.name
        while True:
            if self._unpacker.eof:
                self._left = (self._left or self._unpacker.unused_data).lstrip(b"\0")
                while not self._left and (piece := self._rest.read(_PIECE)):
                    self._pay(len(piece))
                    self._left = piece.lstrip(b"\0")
                if not self._left:
                    return b""
                while len(self._left) < 10 and (piece := self._rest.read(_PIECE)):
                    self._left += piece
                if not self._packing.begins(self._left):
                    msg = f"{name}: bytes follow the end of the compressed data"
                    raise Refused(msg)
                self._unpacker = self._packing.new()
                self._pay(_STREAM)
            if self._unpacker.needs_input and not self._left:
                self._left = self._rest.read(_PIECE)
                if not self._left:
                    msg = f"{name}: cut off after {self._n_out} unpacked bytes; is the file whole?"
                    raise Refused(msg)
            data, self._left = self._unpacker.decompress(self._left, n), b""
            if data:
                self._n_out += len(data)
                self._idle = 0
                return data
