"""Where the text of a trace comes from: a file or a pipe, packed or not, in UTF-8, 16 or 32. It is read once, in order.

What a file is, its first bytes say. They are handed on to whoever reads after that, because a pipe gives them once.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, cast

from fastsmc.checks import near_file
from fastsmc.errors import TraceError

MAX_LINE = 1 << 16
"""Characters of a line that are looked at. Tracers' lines have some hundred; what is beyond is skipped unread."""
_HEAD = 512
_PIECE = 1 << 16
_XZ_MEMORY = 128 << 20
"""Bytes that an .xz file may ask for. `xz -9` asks for 65 MiB."""
_STDIN = ("-", "/dev/stdin")

BINARY = {
    b"\x17\x08\x44tracing": ("a binary trace.dat", "trace-cmd report -i {}"),
    b"PERFILE2": ("a binary perf.data", "perf script -i {}"),
    b"PERFFILE": ("a binary perf.data of 2009 or older", "perf script -i {}"),
    b"\xc1\x1f\xfc\xc1": ("a binary stream in the Common Trace Format", "babeltrace2 FOLDER"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "zstd -dc {}"),
    b"\x04\x22\x4d\x18": ("compressed with lz4", "lz4 -dc {}"),
    b"PK\x03\x04": ("a zip archive", "unzip -p {}"),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", "7z x -so {}"),
    b"\x7fELF": ("a program", ""),
    b"\x89PNG": ("a picture", ""),
    b"%PDF": ("a PDF document", "pdftotext {} -"),
    b"SQLite format 3": ("an SQLite database, which perf and Perfetto export", ""),
}
"""What a file is that starts so, and the command that makes text of it, if there is one."""


class Unpacker(Protocol):
    """What the decompressors of bz2 and lzma have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of a packed stream was met."""

    @property
    def needs_input(self) -> bool:
        """Whether more has to be given before more comes out."""

    @property
    def unused_data(self) -> bytes:
        """What was given beyond that end."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """At most max_length bytes of what was packed."""


class _Joined(io.RawIOBase):
    """A stream whose first bytes were read before."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        if not data:
            read = getattr(self._rest, "read1", self._rest.read)  # what a pipe has now, not what it will have
            data = read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Unpacked(io.RawIOBase):
    """What an .xz, .lzma or .bz2 stream holds, one packed stream after the other, some kilobytes at a time."""

    def __init__(self, rest: IO[bytes], kind: str) -> None:
        self._rest, self._kind = rest, kind
        self._unpacker = self._new()
        self._left, self._has_begun = b"", False

    def _new(self) -> Unpacker:
        if self._kind == "bz2":
            return cast(Unpacker, bz2.BZ2Decompressor())
        return cast(Unpacker, lzma.LZMADecompressor(memlimit=_XZ_MEMORY))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            if self._unpacker.eof:
                self._left = (self._unpacker.unused_data or self._rest.read(_PIECE)).lstrip(
                    b"\0"
                )  # .xz pads with zeros
                if not self._left:
                    return 0
                self._unpacker, self._has_begun = self._new(), False
            if self._unpacker.needs_input and not self._left:
                self._left = self._rest.read(_PIECE)
                if not self._left:
                    message = "it ends before the packed data does"
                    raise EOFError(message)
            data, self._left = self._unpacker.decompress(self._left, len(buffer)), b""
            if data:
                buffer[: len(data)] = data
                return len(data)


@contextmanager
def lines_of(path: str | os.PathLike[str]) -> Iterator[tuple[Iterator[str], str]]:
    """The lines of a trace, each with its line end, and the name of the file.

    Args:
        path: a file, a pipe, or "-" for standard input. .gz, .xz, .lzma and .bz2 are told from the first bytes.

    Raises:
        TraceError: no such file, a directory, a binary recording, an archive, damaged compression.
    """
    where = os.fspath(path)
    try:
        with _opened(where) as stream:
            text, encoding = _text(stream, where)
            # UTF-16 has no bytes of its own to keep.
            errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
            end = _line_end(text.peek(_HEAD)[:_HEAD].decode(encoding, "ignore"))
            yield _lines(io.TextIOWrapper(text, encoding, errors, newline=end)), name_of(where)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, _BadBzip2) as error:
        message = f"{where}: compressed data is damaged or cut short ({error}); copy or record the file again"
        raise TraceError(message) from error
    except OSError as error:
        reason = error.strerror or error
        expected = f"text as written by `trace-cmd report` or `perf script`, or - for a pipe{near_file(where)}"
        message = f"{where}: {reason}; expected {expected}"
        raise TraceError(message) from error


def lines_in(text: str) -> Iterator[str]:
    """The lines of a text that is in memory, each with its line end."""
    return iter(io.StringIO(text, newline=_line_end(text[:_HEAD])))


def _line_end(head: str) -> str:
    """What ends the lines. A comm may hold a carriage return; one behind a call's bracket or at the end is a line's."""
    is_old = "\n" not in head and (head.count("\r") > 1 or head.endswith("\r") or ")\r" in head)
    return "\r" if is_old else "\n"


def name_of(where: str) -> str:
    """What the trace at a path is called: the file's name without its folder."""
    return "<stdin>" if where in _STDIN else Path(where).name


@contextmanager
def _opened(where: str) -> Iterator[IO[bytes]]:
    if where not in _STDIN:
        if "\0" in where:
            message = "a path has no zero byte"
            raise OSError(message)
        with Path(where).open("rb") as stream:
            yield stream
        return
    if sys.stdin is None or sys.stdin.closed:
        message = "standard input is closed"
        raise OSError(message)
    yield sys.stdin.buffer


def _text(stream: IO[bytes], where: str) -> tuple[io.BufferedReader, str]:
    """The bytes of the text, unpacked, and their encoding."""
    packed = True
    while True:
        head = _head(stream)
        joined: io.BufferedReader = io.BufferedReader(cast(io.RawIOBase, _Joined(head, stream)))
        if not packed:
            break
        packed = False
        if head.startswith(b"\x1f\x8b"):
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=joined, mode="rb"))
        elif head.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
            stream = io.BufferedReader(_Unpacked(joined, "xz"))
        elif head[:3] == b"BZh" and head[4:10] == b"1AY&SY":
            stream = io.BufferedReader(_Guarded(joined))
        else:
            break
    _refuse_binary(head, where)
    return joined, _encoding(head)


class _BadBzip2(Exception):
    """Damaged data of bzip2, for which Python raises the OSError of a file that cannot be read."""


class _Guarded(_Unpacked):
    """An unpacked .bz2 whose damage is told from a disk's."""

    def __init__(self, rest: IO[bytes]) -> None:
        super().__init__(rest, "bz2")

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise _BadBzip2(str(error)) from error


def _head(stream: IO[bytes]) -> bytes:
    """The first bytes of a stream. A pipe may give them in pieces."""
    head = b""
    while len(head) < _HEAD and (piece := stream.read(_HEAD - len(head))):
        head += piece
    return head


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):  # the first begins as UTF-16 does
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for name, at in (("utf-32-le", 0), ("utf-32-be", 3)):
        zeros = (head[k:64:4] for k in range(4) if k != at)
        if len(head) >= 16 and not any(map(any, zeros)) and all(head[at:64:4]):
            return name
    if len(head) >= 8 and not any(head[1:64:2]) and all(head[0:64:2]):
        return "utf-16-le"
    if len(head) >= 8 and not any(head[0:64:2]) and all(head[1:64:2]):
        return "utf-16-be"
    return "utf-8-sig"


def _refuse_binary(head: bytes, where: str) -> None:
    for magic, (what, command) in BINARY.items():
        if head.startswith(magic):
            use = command.format(where)
            hint = f"make text of it with `{use} > trace.txt`" if command else "give the text that a tracer prints"
            message = f"{where}: {what}, not text; {hint}"
            raise TraceError(message)
    if head[257:262] == b"ustar":
        message = f"{where}: a tar archive, not text; make text of it with `tar -xOf {where} > trace.txt`"
        raise TraceError(message)
    if head.startswith(b"\x5d\0\0") or (b"\0" in head[:64] and _encoding(head) == "utf-8-sig"):
        message = (
            f"{where}: binary data, not text; record again and write text with `trace-cmd report`, `perf script` or "
            "`cat /sys/kernel/tracing/trace`, and Perfetto's with `traceconv systrace`"
        )
        raise TraceError(message)


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(MAX_LINE):
        if len(line) == MAX_LINE and line[-1] not in "\r\n":
            while (more := text.readline(MAX_LINE)) and more[-1] not in "\r\n":
                pass
        yield line
