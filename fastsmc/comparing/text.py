"""A comparison as a person reads it: the answer, what differs the most, what else was different, and notes."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from fastsmc.checks import escaped
from fastsmc.comparing.compared import GONE, HIGHER, LOWER, NEW, OTHER, SAME, UNKNOWN, distance
from fastsmc.results import layout, markup
from fastsmc.results.headings import cell
from fastsmc.results.intervals import finite
from fastsmc.results.units import number_of, significant

if TYPE_CHECKING:
    from fastsmc.comparing.compared import Compared, Row

MOST_ROWS = 24
"""Rows that are printed; JSON, CSV and Markdown have all."""
_SHOWN_FIRST = {HIGHER: 0, LOWER: 0, OTHER: 1, GONE: 2, NEW: 3, UNKNOWN: 4}


def text(found: Compared) -> str:
    """The answer is one line; rows that are the same are counted there and not listed."""
    lines = [escaped(found.answer)]
    rows = sorted((row for row in found.rows if row.verdict != SAME), key=_order)
    if rows:
        lines += ["", *layout.drawn(_heads(found), [_cells(found, row) for row in rows[:MOST_ROWS]])]
    if len(rows) > MOST_ROWS:
        lines.append(f"and {number_of(len(rows) - MOST_ROWS, 'more row')}, which --json has")
    said = [*found.differs, *(f"note: {note}" for note in found.notes)]
    lines += [""] * bool(said)
    for line in said:
        lines += textwrap.wrap(escaped(line), layout.width(), subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(lines)


def markdown(found: Compared) -> str:
    """All rows, those that are the same among them."""
    parts = [f"**{markup.plain(found.answer)}**"]
    if found.rows:
        parts.append(found.table().to_markdown().rstrip())
    said = [*found.differs, *found.notes]
    if said:
        parts.append("\n".join(f"* {markup.plain(line)}" for line in said))
    return "\n\n".join(parts) + "\n"


def _order(row: Row) -> tuple[int, float]:
    """What is known to differ first, the most first."""
    return _SHOWN_FIRST[row.verdict], -distance(row)


def _heads(found: Compared) -> list[layout.Head]:
    heads = [layout.words("of", names_row=True), layout.words("metric", names_row=True)]
    heads += [layout.words("file", names_row=True)] * (len(found.files) > 2)
    ratios = [layout.number("ratio"), layout.number("from"), layout.number("to")]
    base = [layout.number("base"), layout.number("value")]
    return [*heads, *base, *ratios * _has_ratios(found), layout.words("verdict")]


def _cells(found: Compared, row: Row) -> list[object]:
    names = [cell(row.of), cell(row.metric), *([cell(row.file)] if len(found.files) > 2 else [])]
    told = ["" if value is None else cell(value) for value in (row.base, row.value)]
    ratios: list[object] = ["", "", ""]
    if row.ratio is not None:
        low, high = ("" if limit is None else significant(limit) for limit in finite([row.ratio.low, row.ratio.high]))
        ratios = [significant(row.ratio.value), low, high]
    return [*names, *told, *(ratios if _has_ratios(found) else []), row.verdict]


def _has_ratios(found: Compared) -> bool:
    return any(row.ratio is not None for row in found.rows)
