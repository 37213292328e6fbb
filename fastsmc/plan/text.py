"""A plan as a person reads it: the answer first, the table, why not, the weakest figure, and last what is assumed."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING

from fastsmc.checks import escaped
from fastsmc.results import layout, markup

if TYPE_CHECKING:
    from fastsmc.plan.result import Plan
    from fastsmc.results.tables import Table

MOST_ROWS, MOST_EXCUSES = 40, 12
"""What is shown; JSON has all, and CSV all rows."""


def text(plan: Plan) -> str:
    """A plan at the width that text is laid out for. The answer is one line, whatever its length."""
    lines = [escaped(plan.answer), "", layout.text(plan.table, most=MOST_ROWS), ""]
    for table in _short(plan):
        lines += [layout.text(table, most=MOST_ROWS), ""]
    for line in [*_reasons(plan), *(f"assumes {told}" for told in plan.assumptions)]:
        lines += textwrap.wrap(escaped(line), layout.width(), subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(lines).rstrip()


def _short(plan: Plan) -> list[Table]:
    """The further tables that are shown: those with rows, and not too many."""
    return [table for table in plan.tables.values() if 0 < table.n_row <= MOST_ROWS]


def _reasons(plan: Plan) -> list[str]:
    lines = [f"bottleneck: {plan.bottleneck}"] if plan.bottleneck else []
    lines += [f"why not, {excuse}" for excuse in plan.excuses[:MOST_EXCUSES]]
    if len(plan.excuses) > MOST_EXCUSES:
        lines.append(f"why not: {len(plan.excuses) - MOST_EXCUSES} more reasons, which JSON has")
    if weak := plan.weakest:
        lines.append(f"weakest figure: {weak.figure}")
        lines += [f"  at {value:g}: {told}" for value, told in ((weak.low, weak.at_low), (weak.high, weak.at_high))]
    long = [f"{name} {table.n_row:,}" for name, table in plan.tables.items() if table.n_row > MOST_ROWS]
    return [*lines, f"more rows, which JSON has: {', '.join(long)}"] if long else lines


def markdown(plan: Plan) -> str:
    """A plan as Markdown, all rows of its table."""
    lists = [_reasons(plan), [f"assumes {told}" for told in plan.assumptions]]
    parts = [f"**{markup.plain(plan.answer)}**", plan.table.to_markdown().rstrip()]
    parts += [table.to_markdown().rstrip() for table in _short(plan)]
    parts += ["\n".join(f"* {markup.plain(line.strip())}" for line in lines) for lines in lists if lines]
    return "\n\n".join(parts) + "\n"


def html(plan: Plan) -> str:
    """A plan as a notebook shows it."""
    reasons, assumed = ("".join(f"<li>{_safe(line)}</li>" for line in of) for of in (_reasons(plan), plan.assumptions))
    parts = [
        f"<p><b>{_safe(plan.answer)}</b></p>",
        markup.to_html(plan.table, most=MOST_ROWS),
        *(markup.to_html(table, most=MOST_ROWS) for table in _short(plan)),
        f"<ul>{reasons}</ul>" if reasons else "",
        f"<details><summary>assumes</summary><ul>{assumed}</ul></details>" if assumed else "",
    ]
    return f"<div>{''.join(parts)}</div>"


def _safe(told: str) -> str:
    return escape(escaped(told))
