"""A plan as a person reads it: the answer first, the table, why not, the weakest figure, and last what is assumed."""

from __future__ import annotations

import shutil
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any

from fastsmc.checks import cut, escaped
from fastsmc.plan.frames import cell

if TYPE_CHECKING:
    from fastsmc.plan.result import Plan
    from fastsmc.results.tables import Table

MOST_ROWS, MOST_HTML_ROWS, MOST_EXCUSES = 24, 100, 12
"""What is shown; CSV and JSON have all."""
_GAP = "  "


def text(plan: Plan, width: int | None = None) -> str:
    """A plan at the width of the terminal, or of `width` letters."""
    width = width or shutil.get_terminal_size((100, 24)).columns
    lines = [escaped(plan.answer), "", *table_lines(plan.table, width), ""]
    return "\n".join([*lines, *(escaped(line) for line in _reasons(plan)), *map(escaped, _assumed(plan))]).rstrip()


def _reasons(plan: Plan) -> list[str]:
    lines = [f"bottleneck: {plan.bottleneck}"] if plan.bottleneck else []
    lines += [f"why not, {excuse}" for excuse in plan.excuses[:MOST_EXCUSES]]
    if len(plan.excuses) > MOST_EXCUSES:
        lines.append(f"why not: {len(plan.excuses) - MOST_EXCUSES} more reasons, in JSON")
    if weak := plan.weakest:
        lines.append(f"weakest figure: {weak.figure}")
        lines += [f"  at {value:g}: {told}" for value, told in ((weak.low, weak.at_low), (weak.high, weak.at_high))]
    return lines


def _assumed(plan: Plan) -> list[str]:
    return [f"assumes {told}" for told in plan.assumptions]


def table_lines(table: Table, width: int) -> list[str]:
    """A table's rows in columns as wide as they must be; texts are cut, then the last columns left out, to fit.

    What is not shown is said in the last line.
    """
    rows = [[cell(value) for value in row.values()] for row in islice(table.rows(), MOST_ROWS)]
    names = [escaped(name) for name in table.columns]
    is_number = [column.values.dtype.kind in "if" for column in table.columns.values()]
    columns = [list(map(cut, column)) for column in zip(names, *rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    _narrow(widths, [len(name) for name in names], is_number, width)
    n_shown = len(widths)
    while n_shown > 1 and sum(widths[:n_shown]) + len(_GAP) * (n_shown - 1) > width:
        n_shown -= 1
    lines = []
    for row in zip(*columns[:n_shown], strict=True):
        parts = zip(row, widths, is_number, strict=False)
        lines.append(_GAP.join(_fitted(one, w, right) for one, w, right in parts).rstrip())
    lines.insert(1, _GAP.join("-" * w for w in widths[:n_shown]))
    left = [f"{len(table) - len(rows):,} more rows"] if len(table) > len(rows) else []
    left += [f"{len(names) - n_shown} more columns: {', '.join(names[n_shown:])}"] if n_shown < len(names) else []
    return [*lines, *([f"({'; '.join(left)})"] if left else [])]


def _narrow(widths: list[int], least: list[int], is_number: list[bool], width: int) -> None:
    """Takes room from the widest texts, down to their names and no fewer than 12 letters."""
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    while over > 0:
        able = [i for i, w in enumerate(widths) if not is_number[i] and w > max(least[i], 12)]
        if not able:
            return
        widths[max(able, key=widths.__getitem__)] -= 1
        over -= 1


def _fitted(one: str, width: int, is_right: bool) -> str:
    one = one if len(one) <= width else f"{one[: width - 1]}…"
    return one.rjust(width) if is_right else one.ljust(width)


def html(plan: Plan) -> str:
    """A plan as a notebook shows it."""
    head = "".join(f"<th>{_safe(name)}</th>" for name in plan.table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_safe(cell(value))}</td>" for value in row.values()) + "</tr>"
        for row in islice(plan.table.rows(), MOST_HTML_ROWS)
    )
    more = len(plan.table) - MOST_HTML_ROWS
    rest = f"<p>{more:,} more rows</p>" if more > 0 else ""
    reasons = "".join(f"<li>{_safe(line)}</li>" for line in _reasons(plan))
    assumed = "".join(f"<li>{_safe(line)}</li>" for line in plan.assumptions)
    parts = [
        f"<p><b>{_safe(plan.answer)}</b></p>",
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{rest}",
        f"<ul>{reasons}</ul>" if reasons else "",
        f"<details><summary>assumes</summary><ul>{assumed}</ul></details>" if assumed else "",
    ]
    return f"<div>{''.join(parts)}</div>"


def _safe(told: Any) -> str:
    return escape(escaped(str(told)))
