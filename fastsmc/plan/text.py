"""A plan as a person reads it: the answer first, the table, why not, the weakest figure, and last what is assumed."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING

from fastsmc.checks import escaped
from fastsmc.results import layout, markup

if TYPE_CHECKING:
    from fastsmc.plan.result import Excuse, Plan
    from fastsmc.results.tables import Table

MOST_ROWS, MOST_EXCUSES = 40, 12
"""What is shown; JSON has all, and CSV all rows."""
CAUSES, BY_CAUSE = "causes", ("blocking",)
"""A table that has a row per reason, and those whose rows it counts: where it is there these are left to JSON."""


def text(plan: Plan) -> str:
    """A plan at the width that text is laid out for."""
    lines = [*_wrapped(plan.answer), "", layout.text(plan.table, most=MOST_ROWS), ""]
    for table, most in _further(plan):
        lines += [layout.text(table, most=most), ""]
    for line in [*_reasons(plan), *(f"assumes {told}" for told in plan.assumptions)]:
        lines += _wrapped(line, "  ")
    return "\n".join(lines).rstrip()


def _wrapped(line: str, indent: str = "") -> list[str]:
    return textwrap.wrap(escaped(line), layout.width(), subsequent_indent=indent, break_on_hyphens=False)


def _further(plan: Plan) -> list[tuple[Table, int]]:
    """The further tables that are shown, and how many rows: those with rows, and not too many; of causes the first."""
    left_out = BY_CAUSE if CAUSES in plan.tables else ()
    return [
        (table, MOST_EXCUSES if name == CAUSES else MOST_ROWS)
        for name, table in plan.tables.items()
        if name not in left_out and table.n_row and (name == CAUSES or table.n_row <= MOST_ROWS)
    ]


def _excuses(plan: Plan) -> list[Excuse]:
    """Why not, but for what the table of causes has."""
    causes = plan.tables.get(CAUSES)
    told = set() if causes is None else set(causes["why"].tolist())
    return [excuse for excuse in plan.excuses if excuse.why not in told]


def _reasons(plan: Plan) -> list[str]:
    lines = [f"bottleneck: {plan.bottleneck}"] if plan.bottleneck else []
    excuses = _excuses(plan)
    lines += [f"why not, {excuse}" for excuse in excuses[:MOST_EXCUSES]]
    if len(excuses) > MOST_EXCUSES:
        lines.append(f"why not: {len(excuses) - MOST_EXCUSES} more reasons, which JSON has")
    if weak := plan.weakest:
        lines.append(f"weakest figure: {weak.figure}")
        lines += [f"  at {value:g}: {told}" for value, told in ((weak.low, weak.at_low), (weak.high, weak.at_high))]
    shown = {CAUSES, *(name for name, table in plan.tables.items() if table.n_row <= MOST_ROWS)}
    shown -= set(BY_CAUSE if CAUSES in plan.tables else ())
    long = [f"{name} {table.n_row:,}" for name, table in plan.tables.items() if table.n_row and name not in shown]
    return [*lines, f"more rows, which JSON has: {', '.join(long)}"] if long else lines


def markdown(plan: Plan) -> str:
    """A plan as Markdown, all rows of its table."""
    lists = [_reasons(plan), [f"assumes {told}" for told in plan.assumptions]]
    parts = [f"**{markup.plain(plan.answer)}**", plan.table.to_markdown().rstrip()]
    parts += [table.to_markdown().rstrip() for table, _ in _further(plan)]
    parts += ["\n".join(f"* {markup.plain(line.strip())}" for line in lines) for lines in lists if lines]
    return "\n\n".join(parts) + "\n"


def html(plan: Plan) -> str:
    """A plan as a notebook shows it."""
    reasons, assumed = ("".join(f"<li>{_safe(line)}</li>" for line in of) for of in (_reasons(plan), plan.assumptions))
    parts = [
        f"<p><b>{_safe(plan.answer)}</b></p>",
        markup.to_html(plan.table, most=MOST_ROWS),
        *(markup.to_html(table, most=most) for table, most in _further(plan)),
        f"<ul>{reasons}</ul>" if reasons else "",
        f"<details><summary>assumes</summary><ul>{assumed}</ul></details>" if assumed else "",
    ]
    return f"<div>{''.join(parts)}</div>"


def _safe(told: str) -> str:
    return escape(escaped(told))
