"""Tables as text of a given width: every table that a command prints.

A number is never broken. A table that is too wide first breaks its headings and its longest texts; where that is not
enough, its columns go on in further blocks below, each beginning with the columns that name the row. Nothing is
coloured, so the same bytes go to a terminal, a file and a pipe.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count, takewhile
from typing import TYPE_CHECKING, NamedTuple, cast

from fastsmc.results.headings import UNKNOWN, cell, heading, kinds_line
from fastsmc.results.units import number_of

if TYPE_CHECKING:
    from fastsmc.results.tables import Table

WIDTH = 100
"""Columns of text where nothing says how many there are."""
NARROWEST = 40
SHOWN_ROWS = 60
"""Rows of a table that are printed; more are counted."""
_GAP = 2
_LONG = 10_000
_LEAST_TEXT = 16
"""Columns that a text has at least before it is broken further."""
_MOST_WORD = 32
"""Columns of a word that is not broken."""
_width: ContextVar[int] = ContextVar("width", default=WIDTH)


def width() -> int:
    """Columns that text is laid out for: 100, or what `laid_out_for` says."""
    return _width.get()


@contextmanager
def laid_out_for(columns: int) -> Iterator[None]:
    """Within it, tables and sentences are laid out for so many columns, at least 40."""
    token = _width.set(max(columns, NARROWEST))
    try:
        yield
    finally:
        _width.reset(token)


class Head(NamedTuple):
    """A column's heading, and whether it holds numbers, which are right-aligned and never broken.

    Attributes:
        names_row: whether the column says what its row is about, so that each block has it.
    """

    title: str
    is_number: bool = True
    names_row: bool = False


def number(title: str, *, names_row: bool = False) -> Head:
    """The heading of a column of numbers."""
    return Head(title, True, names_row)


def words(title: str, *, names_row: bool = False) -> Head:
    """The heading of a column of text, which may be broken between words."""
    return Head(title, False, names_row)


def starred(values: Sequence[object], marks: Sequence[bool]) -> list[str]:
    """Cells of numbers of which some have a mark, with the digits of the others above one another all the same.

    >>> starred([64, 1024], [False, True])
    ['64 ', '1024*']
    """
    return [cell(value) + ("*" if mark else " " * any(marks)) for value, mark in zip(values, marks, strict=True)]


def drawn(
    heads: Sequence[Head], rows: Sequence[Sequence[object] | str], *, columns: int | None = None, indent: str = ""
) -> list[str]:
    """The lines of a table.

    Args:
        rows: a cell per heading. Numbers are written as `headings.cell` does, text as it is, None as nothing. A row
            that is one text is a line between rows.
        columns: how wide the lines may be; `width()` by default.
        indent: what each line begins with.

    >>> for line in drawn([words("VMM"), number("bytes")], [("QEMU", 225792), ("crosvm", 80)]):
    ...     print(line)
    VMM       bytes
    QEMU    225,792
    crosvm       80
    """
    from rich.cells import cell_len

    limit = (columns or width()) - len(indent)
    heads = [head._replace(title=cell(head.title)) for head in heads]
    texts = _texts(rows, len(heads))
    needs = [
        _Need(
            cell_len(head.title),
            _longest(head.title.split()),
            _longest(row[at] for row in texts if not isinstance(row, str)),
            _longest(
                word for row in texts if not isinstance(row, str) and not head.is_number for word in row[at].split()
            ),
        )
        for at, head in enumerate(heads)
    ]
    lines: list[str] = []
    for block in _blocks(heads, needs, limit):
        chosen = [heads[at] for at in block]
        widths = _widths(chosen, [needs[at] for at in block], limit)
        lines += [""] * bool(lines)
        lines += _row([head.title for head in chosen], chosen, widths, is_head=True)
        for row in texts:
            lines += [row] if isinstance(row, str) else _row([row[at] for at in block], chosen, widths)
    return [f"{indent}{line}" if line else "" for line in lines]


def _texts(rows: Sequence[Sequence[object] | str], n_column: int) -> list[list[str] | str]:
    """The cells as text. Whole numbers of a column are grouped alike: all of them, if one is long."""
    full = [row for row in rows if not isinstance(row, str)]
    is_long = [any(type(row[at]) is int and abs(cast(int, row[at])) >= _LONG for row in full) for at in range(n_column)]
    return [
        cell(row)
        if isinstance(row, str)
        else [
            "" if value is None else f"{value:,d}" if long and type(value) is int else cell(value)
            for value, long in zip(row, is_long, strict=True)
        ]
        for row in rows
    ]


class _Need(NamedTuple):
    """Columns that a heading takes and the longest word of it, and so for the cells below."""

    title: int
    title_word: int
    cell: int
    word: int


def _longest(texts: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, texts), default=0)


def _least(head: Head, need: _Need) -> int:
    """The fewest columns that will do."""
    least = need.cell if head.is_number else min(need.cell, max(_LEAST_TEXT, min(need.word, _MOST_WORD)))
    return max(need.title_word, least)


def _blocks(heads: Sequence[Head], needs: Sequence[_Need], limit: int) -> list[list[int]]:
    """Which columns stand together: all, if they have room."""
    least = [_least(head, need) + _GAP for head, need in zip(heads, needs, strict=True)]
    if sum(least) - _GAP <= limit:
        return [list(range(len(heads)))]
    names: list[int] = []
    for at in [at for at, head in enumerate(heads) if head.names_row] or [0]:
        if not names or sum(least[name] for name in [*names, at]) <= limit // 2:
            names.append(at)
    blocks, used = [names[:]], sum(least[at] for at in names)
    taken = used
    for at in range(len(heads)):
        if at in names:
            continue
        if taken + least[at] - _GAP > limit and len(blocks[-1]) > len(names):
            blocks.append(names[:])
            taken = used
        blocks[-1].append(at)
        taken += least[at]
    return [sorted(block) for block in blocks]


def _widths(heads: Sequence[Head], needs: Sequence[_Need], limit: int) -> list[int]:
    """Columns of each: what it needs where all have room, else the least. What is left goes to texts, then headings."""
    whole = [max(need.title, need.cell) for need in needs]
    room = limit - _GAP * (len(heads) - 1)
    if sum(whole) <= room:
        return whole
    widths = [_least(head, need) for head, need in zip(heads, needs, strict=True)]
    left = max(room - sum(widths), 0)
    wanting = sorted((at for at, head in enumerate(heads) if not head.is_number), key=lambda at: whole[at] - widths[at])
    for n, at in enumerate(wanting):
        more = min(whole[at] - widths[at], left // (len(wanting) - n))
        widths[at] += more
        left -= more
    tall = max(len(head.title.split()) for head in heads)
    titles = (
        [_title_width(head.title, at_least, n) for head, at_least in zip(heads, widths, strict=True)]
        for n in range(1, tall + 1)
    )
    return next((wider for wider in titles if sum(wider) <= sum(widths) + left), widths)


def _title_width(title: str, at_least: int, n_line: int) -> int:
    """The fewest columns in which a heading takes so many lines."""
    return next(n for n in count(at_least) if len(_folded(title, max(n, 1))) <= n_line)


def _row(cells: Sequence[str], heads: Sequence[Head], widths: Sequence[int], *, is_head: bool = False) -> list[str]:
    """The lines of one row; a heading that is broken stands at the bottom."""
    from rich.cells import cell_len

    parts = [
        [text] if cell_len(text) <= width else _folded(text, width) for text, width in zip(cells, widths, strict=True)
    ]
    height = max(map(len, parts))
    lines = []
    for at in range(height):
        line = []
        for part, head, width in zip(parts, heads, widths, strict=True):
            k = at - (height - len(part)) * is_head
            text = part[k] if 0 <= k < len(part) else ""
            space = " " * (width - cell_len(text))
            line.append(space + text if head.is_number else text + space)
        lines.append((" " * _GAP).join(line).rstrip())
    return lines


def _folded(text: str, columns: int) -> list[str]:
    """A text in lines; letters that take two columns are all taken for such."""
    from rich.cells import cell_len

    at_most = columns if cell_len(text) == len(text) else columns // 2
    return textwrap.wrap(text, max(at_most, 1), break_on_hyphens=False) or [""]


def text(table: Table, *, columns: int | None = None, most: int | None = SHOWN_ROWS) -> str:
    """A table of results as text: what a row is, the rows, and in one line how the columns came about.

    The columns before the first that was found out name the row.

    Args:
        columns: how wide the lines may be; `width()` by default.
        most: rows that are shown; None for all.
    """
    limit = columns or width()
    first = list(takewhile(lambda item: not item[1].kind or item[1].kind == "input", table.columns.items()))
    names = {name for name, _ in first} if len(first) < len(table) else {next(iter(table))}
    heads = [
        Head(heading(name), column.values.dtype.kind in "if", name in names) for name, column in table.columns.items()
    ]
    rows = [[UNKNOWN if value is None else value for value in row.values()] for row in table.head(most).rows()]
    lines = textwrap.wrap(cell(table.meaning), limit) + drawn(heads, rows, columns=limit)
    if len(rows) < table.n_row:
        lines.append(f"and {number_of(table.n_row - len(rows), 'more row')}")
    lines += ["no rows"] * (not table.n_row)
    lines += textwrap.wrap(kinds_line(table), limit, subsequent_indent="  ")
    return "\n".join(lines)
