"""A file, a pipe or standard input, opened once, unpacked, and never read beyond its limit."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from fastsmc.checks import near_file
from fastsmc.files.limits import Kind
from fastsmc.files.packed import Readable, Refused, Unpacked, archive_of, packing_of

A = TypeVar("A")
T = TypeVar("T")
HEAD = 512
"""Bytes at the beginning of a file that say what it is."""
_STDIN = ("-", "/dev/stdin")


class Source:
    """The content of a file, read forward once.

    Attributes:
        head: the first bytes of the content, at most HEAD, which `read` gives once more.
        packing: how the file is packed: gzip, xz, lzma, bzip2, zstd, or "".
        kind: what it is taken for, whose limit holds.
    """

    def __init__(self, raw: Readable, kind: Kind, *, packed_kind: Kind | None = None) -> None:
        self.kind, self.packing = kind, ""
        self._rest, self._n_read, self._ahead = raw, 0, b""
        head = _first(raw)
        packing = packing_of(head)
        if packing is not None:
            self.packing, self.kind = packing.name, packed_kind or kind
            self._rest = Unpacked(_Joined(head, raw), packing)
            head = _first(self._rest)
            if packing_of(head) is not None:
                msg = f"is packed twice, with {packing.name} last: unpack it once"
                raise Refused(msg)
        if archive := archive_of(head):
            msg = f"is a {archive} archive, which may hold several files: unpack it and give the one that is meant"
            raise Refused(msg)
        self.head = self._ahead = head

    def read(self, n: int, /) -> bytes:
        """At most n bytes, none at the end.

        Raises:
            Refused: more than the kind's most bytes, damaged compression, or what the system says of the file.
        """
        if self._ahead:
            data, self._ahead = self._ahead[:n], self._ahead[n:]
        else:
            data = told_by_the_system(self._rest.read, n)
        self._n_read += len(data)
        if self._n_read > self.kind.most_bytes:
            raise too_much(self.kind)
        return data

    def all(self) -> bytes:
        """Everything that is left.

        Raises:
            Refused: as `read`.
        """
        pieces = []
        while piece := self.read(1 << 18):
            pieces.append(piece)
        return b"".join(pieces)

    def lines(self, most: int) -> Iterator[bytes]:
        """The lines that are left, each with its line feed but the last.

        Raises:
            Refused: as `read`; a line of more than `most` bytes.
        """
        rest = b""
        while piece := self.read(1 << 18):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line + b"\n"
            if len(rest) > most:
                msg = f"a line of more than {_size(most)}, which {self.kind.what} has not"
                raise Refused(msg)
        if rest:
            yield rest


class _Joined:
    """A stream whose first bytes were read before."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head, self._rest = head, rest

    def read(self, n: int, /) -> bytes:
        data, self._head = self._head[:n], self._head[n:]
        return data or self._rest.read(n)


def _first(raw: Readable) -> bytes:
    """The first bytes of a stream. A pipe may give them in pieces."""
    head = b""
    while piece := told_by_the_system(raw.read, HEAD - len(head)) if len(head) < HEAD else b"":
        head += piece
    return head


def _size(n: int) -> str:
    return f"{n >> 30} GiB" if n >> 30 else f"{n >> 20} MiB" if n >> 20 else f"{n} bytes"


@contextmanager
def opened(
    where: str | os.PathLike[str], kind: Kind, *, packed_kind: Kind | None = None, is_named: bool = True
) -> Iterator[Source]:
    """A file, a pipe, or standard input ("-"), at its beginning. A pipe is opened and read once.

    Args:
        packed_kind: what to take it for if it is packed, as unpacking costs time.
        is_named: a person named it, who may mean a pipe. One that is found in a folder must be a plain file: nobody
            may ever write to a pipe there.

    Raises:
        Refused: missing, a folder, not readable; damaged.
    """
    path = os.fspath(where)
    if not is_named:
        with _file(path, is_plain=True) as file:
            yield Source(file, kind, packed_kind=packed_kind)
        return
    if path in _STDIN:
        if sys.stdin is None or sys.stdin.closed:
            msg = "standard input is closed; give a path, or something on standard input"
            raise Refused(msg)
        yield Source(_Unwaiting(sys.stdin.buffer), kind, packed_kind=packed_kind)
        return
    with _file(path) as file:
        yield Source(_Unwaiting(file), kind, packed_kind=packed_kind)


def as_it_is(where: str | os.PathLike[str], kind: Kind) -> bytes:
    """The bytes of a plain file, packed as it may be.

    Raises:
        Refused: as `opened`; more than the kind's most bytes.
    """
    with _file(os.fspath(where), is_plain=True) as file:
        content: bytes = told_by_the_system(file.read, kind.most_bytes + 1)
    if len(content) > kind.most_bytes:
        raise too_much(kind)
    return content


def too_much(kind: Kind) -> Refused:
    """What is said of a file that is larger than its kind may be."""
    what, most, why = kind
    return Refused(f"more than {_size(most)}, which is more than {what} has here ({why})")


def _file(path: str, *, is_plain: bool = False) -> BinaryIO:
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            msg = "is a folder; give a file in it"
            raise Refused(msg)
        if is_plain and not stat.S_ISREG(mode):
            msg = "is a pipe or a device, where a plain file is needed"
            raise Refused(msg)
        return Path(path).open("rb")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _unreadable(error, near_file(path)) from error


class _Unwaiting:
    """A binary file that gives what a pipe has now and does not wait for more."""

    def __init__(self, file: Any) -> None:
        self._read = getattr(file, "read1", file.read)

    def read(self, n: int, /) -> bytes:
        data: bytes = self._read(n)
        return data


def told_by_the_system(do: Callable[[A], T], argument: A) -> T:
    """What `do` returns.

    Raises:
        Refused: what the system says of a file.
    """
    try:
        return do(argument)
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError | ValueError, hint: str = "") -> Refused:
    return Refused(f"cannot be read ({(isinstance(error, OSError) and error.strerror) or error}){hint}")


def name_of(where: str | os.PathLike[str]) -> str:
    """What messages call the file at a path: its name without the folder."""
    path = os.fspath(where)
    return "<stdin>" if path in _STDIN else Path(path).name
