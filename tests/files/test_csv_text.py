"""Comma-separated text in blocks: what Python's csv module reads, and a sentence with the line for what is none."""

from __future__ import annotations

import csv
import io
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsmc.files import csv_text
from fastsmc.files.csv_text import blocks, names_of, text_of_strings
from fastsmc.files.limits import Kind
from fastsmc.files.packed import Refused
from fastsmc.files.source import Source

KIND = Kind("a table", 1 << 26, "it is small")


def read(data: bytes, block: int = 1 << 22, piece: int = 1 << 18) -> tuple[list[list[str]], list[int]]:
    """Rows and lines, as they come out of blocks and pieces of some size."""
    rows: list[list[str]] = []
    lines: list[int] = []
    with mock.patch.multiple(csv_text, _BLOCK=block, _FIRST=min(block, 1 << 17), _PIECE=piece):
        for one in blocks(Source(io.BytesIO(data), KIND)):
            columns = [text_of_strings(column, one.lines).tolist() for column in one.columns]
            rows += [list(row) for row in zip(*columns, strict=True)]
            lines += one.lines.tolist()
    return rows, lines


FIELDS = st.text(st.sampled_from('ab,"\n é€𝄞;'), max_size=6)


@given(st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=8), st.sampled_from([0, 1, 2, 3]))
@settings(deadline=None)
def test_what_csv_writes_is_read(rows: list[list[str]], quoting: int) -> None:
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if quoting == csv.QUOTE_NONE else quoting
    csv.writer(text, quoting=quoting, lineterminator="\n").writerows(rows)  # type: ignore[arg-type]
    for data in (text.getvalue().encode(), b"\xef\xbb\xbf" + text.getvalue().encode()):
        for block, piece in ((1 << 22, 1 << 18), (1, 7)):
            assert read(data, block, piece)[0] == rows


@given(st.text(st.sampled_from('ab,"\n'), max_size=30))
@settings(deadline=None, max_examples=500)
def test_what_is_taken_is_what_csv_takes(text: str) -> None:
    """Strictly: csv passes over text that stands before a quote."""
    try:
        rows, lines = read(text.encode(), 1, 5)
    except Refused:
        return
    expected = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    assert rows == expected
    assert len(lines) == len(rows)


def test_each_row_knows_its_line() -> None:
    data = b'\n\nname,host\na,h1\n\n"b\n\nc",h2\r\nd,h3\re,""\n\n'
    rows, lines = read(data)
    assert rows == [["name", "host"], ["a", "h1"], ["b\n\nc", "h2"], ["d", "h3"], ["e", ""]]
    assert lines == [3, 4, 6, 9, 10]
    assert read(data, 1, 3) == (rows, lines)


def test_the_first_row_is_a_block_of_its_own() -> None:
    first, second = blocks(Source(io.BytesIO(b"\n name ,host\na,b\nc,d\n"), KIND))
    assert names_of(first) == ["name", "host"]
    assert second.lines.tolist() == [3, 4]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_told_from_the_start(encoding: str) -> None:
    assert read("name,host,pool\nä,h1,p\n".encode(encoding))[0][1] == ["ä", "h1", "p"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a,b\n1,2\n3\n", "line 3: 1 field where the first row has 2"),
        (b"a,b\n1,2\n3\n4,5,6\n", "line 3: 1 field where the first row has 2; so have 1 more"),
        (b"a,b\n\n1,2,3\n", "line 3: 3 fields"),
        (b'a,b\n1,"2\n3\n', "line 2: a quote that is not closed"),
        (b'a,b\n1,2"\n', "line 2: a quote"),
        (b'a,b\n1,x"2"\n', "line 2: a quote inside a field"),
        (b'a,b\n1,"2"x\n', "line 2: a quote inside a field"),
        (b"a,b\n1,\0\n", "line 2: a zero byte"),
        (b"a,b\n1," + b"x" * 300 + b"\n", "line 2: a field of 300 bytes"),
        (b"a,b\n1," + b"x" * 200_000, "line 2: a row of more than 65536 bytes"),
        (b'a,b\n1,"x",' + b"x" * 200_000, "line 2: a row of more than 65536 bytes"),
        (b'a,b\n1,"' + b"x\n" * 200_000, "line 2: a quote that is not closed"),
        (b"a,b\n1,\xff\n", "line 2: b'.xff' is not UTF-8"),
        ("name,b\nä,ab\n".encode("utf-16")[:-1], "not UTF-16 text"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(data: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words):
        read(data)


def test_nothing_is_no_row() -> None:
    assert read(b"") == read(b"\n\r\n\n") == ([], [])
