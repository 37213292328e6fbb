"""Tables as Markdown and HTML; whatever a text holds is shown and means nothing."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from fastsmc.checks import escaped
from fastsmc.results.headings import cell, heading, kinds_line
from fastsmc.results.tables import KINDS, Column
from fastsmc.results.units import number_of

if TYPE_CHECKING:
    from fastsmc.results.tables import Table

SHOWN_ROWS = 60
"""Rows that a notebook shows; more are counted."""
_MEANS_SOMETHING = re.compile(r"[\\`*\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Characters that Markdown would not show as they are. Within a word an underscore is one."""


def to_markdown(table: Table) -> str:
    r"""The table as GitHub's Markdown: numbers right-aligned, and below it how the columns came about.

    >>> from fastsmc.results.tables import Column, Table
    >>> columns = {"name": Column.of(["a|b"]), "n_vcpu": Column.of([64], "input")}
    >>> print(Table("A row per VM.", columns).to_markdown(), end="")
    | name | vCPUs |
    |---|--:|
    | a\|b | 64 |
    <BLANKLINE>
    input: vCPUs
    """
    rows = [map(heading, table), *(map(cell, row.values()) for row in table.rows())]
    lines = ["| " + " | ".join(map(plain, row)) + " |" for row in rows]
    lines.insert(1, "|" + "".join("--:|" if _is_number(column) else "---|" for column in table.columns.values()))
    kinds = kinds_line(table)
    return "\n".join([*lines, *(["", plain(kinds)] if kinds else [])]) + "\n"


def to_html(table: Table, *, most: int | None = None) -> str:
    """The table as HTML: one `<table>` without styles of its own; a heading's title says meaning and kind.

    Args:
        most: rows that are shown; None for all.
    """
    heads = "".join(_head(name, column) for name, column in table.columns.items())
    right = [' style="text-align:right"' * _is_number(column) for column in table.columns.values()]
    lines = [f"<tr>{heads}</tr></thead>", "<tbody>"]
    for row in table.head(most).rows():
        cells = (f"<td{how}>{html.escape(cell(value))}</td>" for how, value in zip(right, row.values(), strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    left = table.n_row - (table.n_row if most is None else min(most, table.n_row))
    foot = [f"and {number_of(left, 'more row')}"] * bool(left) + [kinds_line(table)] * any(table.kinds.values())
    span = f'<tr><td colspan="{len(table)}">'
    return "\n".join(
        [
            "<table>",
            f"<caption>{html.escape(cell(table.meaning))}</caption>",
            "<thead>" + lines[0],
            *lines[1:],
            "</tbody>",
            *(["<tfoot>", *(f"{span}{html.escape(line)}</td></tr>" for line in foot), "</tfoot>"] if foot else []),
            "</table>\n",
        ]
    )


def _head(name: str, column: Column) -> str:
    kind = f"{column.kind}: {KINDS[column.kind]}" if column.kind else ""
    title = html.escape(escaped("; ".join(part for part in (name, column.meaning, kind) if part)))
    side = ' style="text-align:right"' * _is_number(column)
    return f'<th scope="col"{side} title="{title}">{html.escape(heading(name))}</th>'


def plain(text: str) -> str:
    """A text as Markdown that shows it as it is."""
    return html.escape(_MEANS_SOMETHING.sub(r"\\\g<0>", escaped(text)), quote=False)


def _is_number(column: Column) -> bool:
    return column.values.dtype.kind in "if"
