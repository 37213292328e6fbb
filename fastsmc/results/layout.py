"""Tables as text of a given width: every table that a command prints.

A number is never broken. A table that is too wide first breaks its headings and its longest texts; where that is not
enough, its columns go on in further blocks below, each beginning with the columns that name the row. Nothing is
coloured, so the same bytes go to a terminal, a file and a pipe.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from fastsmc.results.headings import cell, heading, kinds_line
from fastsmc.results.units import number_of

if TYPE_CHECKING:
    from fastsmc.results.tables import Table

WIDTH = 100
"""Columns of text where nothing says how many there are."""
NARROWEST = 40
SHOWN_ROWS = 60
"""Rows of a table that are printed; more are counted."""
_GAP = 2
_LEAST_TEXT = 16
"""Columns that a text has at least before it is broken further."""
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


def drawn(heads: Sequence[Head], rows: Sequence[Sequence[object]], *, columns: int | None = None) -> list[str]:
    """The lines of a table.

    Args:
        rows: a cell per heading. Numbers are written as `headings.cell` does, text as it is, None as nothing.
        columns: how wide the lines may be; `width()` by default.

    >>> for line in drawn([words("VMM"), number("bytes")], [("QEMU", 225792), ("crosvm", 80)]):
    ...     print(line)
    VMM       bytes
    QEMU    225,792
    crosvm       80
    """
    from rich.cells import cell_len

    limit = columns or width()
    texts = [["" if value is None else cell(value) for value in row] for row in rows]
    needs = [
        _Need(
            cell_len(head.title),
            max(map(cell_len, head.title.split()), default=0),
            max((cell_len(row[at]) for row in texts), default=0),
        )
        for at, head in enumerate(heads)
    ]
    lines: list[str] = []
    for block in _blocks(heads, needs, limit):
        lines += [""] * bool(lines)
        lines += _block([heads[at] for at in block], [[row[at] for at in block] for row in texts],
                        [needs[at] for at in block], limit)  # fmt: skip
    return lines


class _Need(NamedTuple):
    """Columns that a heading takes, the longest word of it, and the longest cell below."""

    title: int
    word: int
    cell: int


def _least(head: Head, need: _Need) -> int:
    """The fewest columns that will do."""
    return max(need.word, need.cell if head.is_number else min(need.cell, _LEAST_TEXT))


def _blocks(heads: Sequence[Head], needs: Sequence[_Need], limit: int) -> list[list[int]]:
    """Which columns stand together: all, if they have room."""
    least = [_least(head, need) + _GAP for head, need in zip(heads, needs, strict=True)]
    if sum(least) - _GAP <= limit:
        return [list(range(len(heads)))]
    names = [at for at, head in enumerate(heads) if head.names_row] or [0]
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


def _block(heads: Sequence[Head], rows: Sequence[Sequence[str]], needs: Sequence[_Need], limit: int) -> list[str]:
    from rich.console import Console
    from rich.table import Table as Drawing
    from rich.text import Text

    is_roomy = sum(max(need.title, need.cell) + _GAP for need in needs) - _GAP <= limit
    drawing = Drawing(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for head, need in zip(heads, needs, strict=True):
        least = max(need.title, need.cell) if is_roomy else _least(head, need)
        title = head.title if is_roomy else textwrap.fill(head.title, max(least, 1), break_long_words=False)
        drawing.add_column(
            Text(title), justify="right" if head.is_number else "left", vertical="bottom", min_width=least,
            no_wrap=head.is_number, overflow="fold",
        )  # fmt: skip
    for row in rows:
        drawing.add_row(*map(Text, row))
    out = io.StringIO()
    Console(
        file=out, width=max(limit, sum(_least(*pair) + _GAP for pair in zip(heads, needs, strict=True))),
        color_system=None, force_terminal=False, legacy_windows=False, _environ={},
    ).print(drawing)  # fmt: skip
    return [line.rstrip() for line in out.getvalue().splitlines()]


def text(table: Table, *, columns: int | None = None, most: int | None = SHOWN_ROWS) -> str:
    """A table of results as text: what a row is, the rows, and in one line how the columns came about.

    Args:
        columns: how wide the lines may be; `width()` by default.
        most: rows that are shown; None for all.
    """
    limit = columns or width()
    is_number = {name: column.values.dtype.kind in "if" for name, column in table.columns.items()}
    heads = [
        Head(heading(name), is_number[name], column.kind == "input" or not is_number[name])
        for name, column in table.columns.items()
    ]
    if all(head.names_row for head in heads):
        heads = [head._replace(names_row=at == 0) for at, head in enumerate(heads)]
    rows = [[cell(value) for value in row.values()] for row in islice(table.rows(), most)]
    lines = textwrap.wrap(cell(table.meaning), limit) + drawn(heads, rows, columns=limit)
    if len(rows) < table.n_row:
        lines.append(f"and {number_of(table.n_row - len(rows), 'more row')}")
    lines += ["no rows"] * (not table.n_row)
    lines += textwrap.wrap(kinds_line(table), limit, subsequent_indent="  ")
    return "\n".join(lines)
