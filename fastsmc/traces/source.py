"""Where the text of a trace comes from: a file or a pipe, packed or not, in UTF-8, 16 or 32; read once, in order."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

from fastsmc.errors import TraceError
from fastsmc.files.limits import TRACE
from fastsmc.files.packed import Refused
from fastsmc.files.source import HEAD, Source, name_of, opened
from fastsmc.files.text import encoding_of

__all__ = ["MAX_LINE", "lines_in", "lines_of", "name_of"]

MAX_LINE = 1 << 16
"""Characters of a line that are looked at. Tracers' lines have some hundred; what is beyond is skipped unread."""

BINARY = {
    b"\x17\x08\x44tracing": ("a binary trace.dat", "trace-cmd report -i {}"),
    b"PERFILE2": ("a binary perf.data", "perf script -i {}"),
    b"PERFFILE": ("a binary perf.data of 2009 or older", "perf script -i {}"),
    b"\xc1\x1f\xfc\xc1": ("a binary stream in the Common Trace Format", "babeltrace2 FOLDER"),
    b"\x04\x22\x4d\x18": ("compressed with lz4", "lz4 -dc {}"),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", "7z x -so {}"),
    b"\x7fELF": ("a program", ""),
    b"\x89PNG": ("a picture", ""),
    b"%PDF": ("a PDF document", "pdftotext {} -"),
    b"SQLite format 3": ("an SQLite database, which perf and Perfetto export", ""),
}
"""What a file is that starts so, and the command that makes text of it, if there is one."""


class _Raw(io.RawIOBase):
    """A source as Python's text layer wants it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def lines_of(path: str | os.PathLike[str]) -> Iterator[tuple[Iterator[str], str]]:
    """The lines of a trace, each with its line end, and the name of the file.

    Args:
        path: a file, a pipe, or "-" for standard input; packed or not, which the first bytes tell.

    Raises:
        TraceError: no such file, a directory, a binary recording, an archive, damaged compression, or a text of more
            than `files.limits.TRACE`.
    """
    where = os.fspath(path)
    try:
        with opened(where, TRACE) as source:
            _refuse_binary(source.head, where)
            encoding = encoding_of(source.head)
            # UTF-16 has no bytes of its own to keep.
            errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
            end = _line_end(source.head.decode(encoding, "ignore"))
            text = io.TextIOWrapper(io.BufferedReader(_Raw(source)), encoding, errors, newline=end)
            yield _lines(text), name_of(where)
    except Refused as error:
        is_guessed = "did you mean" in str(error)
        expected = "; expected text as written by `trace-cmd report` or `perf script`, or - for a pipe"
        message = f"{where}: {error}{expected * (str(error).startswith('cannot be read') and not is_guessed)}"
        raise TraceError(message) from error


def lines_in(text: str) -> Iterator[str]:
    """The lines of a text that is in memory, each with its line end."""
    return iter(io.StringIO(text, newline=_line_end(text[:HEAD])))


def _line_end(head: str) -> str:
    """What ends the lines. A comm may hold a carriage return; one behind a call's bracket or at the end is a line's."""
    is_old = "\n" not in head and (head.count("\r") > 1 or head.endswith("\r") or ")\r" in head)
    return "\r" if is_old else "\n"


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
    if head.startswith(b"\x5d\0\0") or (b"\0" in head[:64] and encoding_of(head) == "utf-8-sig"):
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
