"""Comma-separated text (RFC 4180) as columns of bytes, some megabytes at a time, found by arithmetic on whole blocks.

A file of a million rows is never held as Python objects. Separators are the commas and line ends before which the
number of quotes is even; a quote may stand only where a field begins or ends, or twice inside a quoted field.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.files.packed import Refused
from fastsmc.files.source import Source
from fastsmc.files.text import encoding_of

_PIECE = 1 << 18
_BLOCK = 1 << 22
"""Bytes that are looked at together: arrays of positions are a few times as large."""
_MOST_RECORD = 1 << 16
"""Bytes of one row: a row of 12 fields has some 100."""
_FIRST = 2 * _MOST_RECORD
"""Bytes that are looked at first, for the header."""
MOST_FIELD = 256
"""Bytes of one field, of which every other field of its column takes the room: names of hosts have at most 253."""
_COMMA, _END, _QUOTE = ord(","), ord("\n"), ord('"')
Strings = NDArray[np.bytes_]


class Block(NamedTuple):
    """Rows that follow each other.

    Attributes:
        columns: one array of UTF-8 bytes per column, equally long, without the quotes.
        lines: int64[n]: in which line of the file each row begins, from 1.
    """

    columns: list[Strings]
    lines: NDArray[np.int64]


def blocks(source: Source) -> Iterator[Block]:
    """The rows of a text, a block at a time; its first row, which mostly is the header, is a block of its own.

    Line ends are LF, CRLF or CR; empty lines are passed over; a mark of the byte order at the beginning is none of it.

    Raises:
        Refused: as `Source.read`; not UTF-8 or UTF-16; a zero byte; a row of another number of fields than the first
            has; a quote where none may stand, or that is not closed; a row or a field that is too long.
    """
    rest, line, n_column = b"", 1, 0
    for piece, is_last in _pieces(source):
        rest += piece
        if not n_column:  # the first row is the first that is not empty
            n_empty = len(rest) - len(rest.lstrip(b"\n"))
            rest, line = rest[n_empty:], line + n_empty
        if is_last:
            rest += b"\n" if rest and not rest.endswith(b"\n") else b""
        elif len(rest) < (_BLOCK if n_column else _FIRST):
            continue
        at, used = _separators(rest, line, is_last=is_last)
        text, rest = rest[:used], rest[used:]
        ends = np.flatnonzero(np.frombuffer(text, np.uint8)[at] == _END) + 1
        for part in (slice(0, 1), slice(1, None)) if not n_column else (slice(None),):
            block = _block(text, at, ends, part, line, n_column)
            if len(block.lines):
                n_column = n_column or len(block.columns)
                yield block
        line += text.count(b"\n")


def _pieces(source: Source) -> Iterator[tuple[bytes, bool]]:
    """The text as UTF-8 with LF at its line ends, in pieces, and whether each is the last."""
    encoding = encoding_of(source.head[:64])
    decoder = None if encoding == "utf-8-sig" else codecs.getincrementaldecoder(encoding)()
    is_first, held = True, b""
    while piece := source.read(_PIECE):
        if decoder is not None:
            piece = _decoded(decoder, piece, encoding)
        if is_first and piece:
            piece, is_first = piece.removeprefix(b"\xef\xbb\xbf"), False
        piece, held = held + piece, b""
        if piece.endswith(b"\r"):  # perhaps half of CRLF
            piece, held = piece[:-1], b"\r"
        yield _with_lf(piece), False
    yield _with_lf(held + (_decoded(decoder, b"", encoding, is_last=True) if decoder else b"")), True


def _decoded(decoder: codecs.IncrementalDecoder, piece: bytes, encoding: str, *, is_last: bool = False) -> bytes:
    try:
        return decoder.decode(piece, is_last).encode()
    except UnicodeError as error:
        msg = f"not {encoding.upper()} text: save it as UTF-8"
        raise Refused(msg) from error


def _with_lf(piece: bytes) -> bytes:
    return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in piece else piece


def _separators(text: bytes, line: int, *, is_last: bool) -> tuple[NDArray[np.int64], int]:
    """Where the fields of whole rows end, and how many bytes these rows have."""
    if b"\0" in text:
        raise _wrong(text, text.index(b"\0"), line, "a zero byte, which no text has")
    signs = np.frombuffer(text, np.uint8)
    at = np.flatnonzero((signs == _COMMA) | (signs == _END))
    if b'"' in text:
        quotes = np.flatnonzero(signs == _QUOTE)
        at = at[np.searchsorted(quotes, at) % 2 == 0]
    ends = at[signs[at] == _END]
    used = int(ends[-1]) + 1 if len(ends) else 0
    if len(text) - used > (0 if is_last else _MOST_RECORD):
        opened = text.find(b'"', used)
        if opened >= 0 and text.count(b'"', used) % 2:
            raise _wrong(text, opened, line, "a quote that is not closed")
        raise _wrong(text, used, line, f"a row of more than {_MOST_RECORD} bytes")
    if b'"' in text:
        _check_quotes(text[:used], quotes[: np.searchsorted(quotes, used)], line)
    return at[: np.searchsorted(at, used)], used


def _check_quotes(text: bytes, quotes: NDArray[np.int64], line: int) -> None:
    """Raises Refused where a quote stands inside a field that is not quoted, or text behind one that is."""
    signs = np.frombuffer(text, np.uint8)
    opens, closes = quotes[::2], quotes[1::2]
    before = np.where(opens > 0, signs[opens - 1], _END)
    after = signs[closes + 1]  # a line end follows the last row
    wrong = [
        *opens[~np.isin(before, (_COMMA, _END, _QUOTE))][:1].tolist(),
        *closes[~np.isin(after, (_COMMA, _END, _QUOTE))][:1].tolist(),
    ]
    if wrong:
        raise _wrong(text, min(wrong), line, "a quote inside a field: quote the whole field, and double that quote")


def _block(text: bytes, at: NDArray[np.int64], ends: NDArray[np.int64], part: slice, line: int, n_column: int) -> Block:
    """Some rows of a text, whose fields end `at`, and whose last fields are numbered `ends` - 1."""
    begins = np.concatenate([[0], ends[:-1]])[part] if len(ends) else ends
    ends = ends[part]
    starts = np.concatenate([[0], at[:-1] + 1]) if len(at) else at
    is_blank = (ends - begins == 1) & (at[ends - 1] == starts[begins])
    begins, ends = begins[~is_blank], ends[~is_blank]
    n_column = n_column or (int(ends[0] - begins[0]) if len(ends) else 0)
    if (other := np.flatnonzero(ends - begins != n_column)).size:
        first = other[0]
        n, more = int(ends[first] - begins[first]), f"; so have {len(other) - 1} more rows" if len(other) > 1 else ""
        what = f"{n} field{'s' * (n != 1)} where the first row has {n_column}{more}"
        raise _wrong(text, int(starts[begins[first]]), line, what)
    fields = begins[:, None] + np.arange(n_column)
    lines = _lines(text, starts[fields[:, 0]] if n_column else begins, line)
    return Block([_strings(text, starts[column], at[column], line) for column in fields.T], lines)


def _lines(text: bytes, starts: NDArray[np.int64], line: int) -> NDArray[np.int64]:
    """The line in which each row begins."""
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _END)
    return line + np.searchsorted(ends, starts)


def _strings(text: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64], line: int) -> Strings:
    """The fields between two places each, without their quotes."""
    signs = np.frombuffer(text, np.uint8)
    is_quoted = signs[starts] == _QUOTE
    starts, ends = starts + is_quoted, ends - is_quoted
    lengths = ends - starts
    width = max(int(lengths.max(initial=0)), 1)
    if width > MOST_FIELD:
        longest = int(lengths.argmax())
        raise _wrong(text, int(starts[longest]), line, f"a field of {width} bytes; at most {MOST_FIELD} are taken")
    padded = np.frombuffer(text + bytes(width), np.uint8)
    rows = np.lib.stride_tricks.sliding_window_view(padded, width)[starts]
    rows[np.arange(width) >= lengths[:, None]] = 0
    found: Strings = rows.view(f"S{width}").ravel()
    if is_quoted.any() and (doubled := np.flatnonzero(is_quoted & (np.char.find(found, b'""') >= 0))).size:
        found[doubled] = np.char.replace(found[doubled], b'""', b'"')
    return found


def text_of_strings(strings: Strings, lines: NDArray[np.int64]) -> NDArray[np.str_]:
    """Fields as text.

    Raises:
        Refused: a field is not UTF-8.

    >>> text_of_strings(np.array([b"h1", b"caf\\xc3\\xa9"]), np.array([2, 3])).tolist()
    ['h1', 'café']
    """
    width = strings.dtype.itemsize
    rows = strings.view(np.uint8).reshape(len(strings), width)
    if not (rows & 0x80).any():
        return rows.astype(np.uint32).view(f"U{width}").ravel()
    found: list[str] = []
    for line, field in zip(lines.tolist(), strings.tolist(), strict=True):
        try:
            found.append(field.decode())
        except UnicodeDecodeError as error:
            msg = f"line {line}: {shown(field)} is not UTF-8 text: save the file as UTF-8"
            raise Refused(msg) from error
    return np.array(found)


def _wrong(text: bytes, place: int, line: int, what: str) -> Refused:
    return Refused(f"line {line + text.count(bytes([_END]), 0, place)}: {what}")


def names_of(header: Block) -> list[str]:
    """The names in a header, without blanks around them.

    Raises:
        Refused: not UTF-8.
    """
    texts: list[Any] = [text_of_strings(column, header.lines)[0] for column in header.columns]
    return [str(text).strip() for text in texts]
