"""Saved plans of one question compared: cells of the table, answers, inputs and assumptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastsmc.comparing import making
from fastsmc.comparing.compared import GONE, NEW, Compared, Row, Told
from fastsmc.plan.compared import compare as compared
from fastsmc.plan.result import Plan
from fastsmc.results.headings import cell


def compare(named: list[tuple[str, Plan]]) -> Compared:
    """The first plan against each other.

    Raises:
        InputError: plans of two questions.
    """
    (_, base), *others = named
    rows: list[Row] = []
    differs: list[str] = []
    for name, plan in others:
        found = compared(base, plan)
        if found.answers[0] != found.answers[1] or found.met[0] != found.met[1]:
            rows.append(Row.computed("", "answer", name, *found.answers))
        rows += [
            Row.computed(_row(change.row), change.column, name, _told(change.first), _told(change.second))
            for change in found.changes
        ]
        rows += [Row(_row(row), "", name, None, None, None, GONE) for row in found.gone]
        rows += [Row(_row(row), "", name, None, None, None, NEW) for row in found.new]
        differs += making.of_runs(name, base.provenance, plan.provenance, is_modelled=True)
        if found.inputs:
            ours, theirs = ({key: both[at] for key, both in found.inputs.items()} for at in (0, 1))
            differs += making.of_inputs(name, ours, theirs)
        differs += [f"{name}: assumed no more: {one}" for one in found.assumptions_gone]
        differs += [f"{name}: assumed now: {one}" for one in found.assumptions_new]
    return Compared("plan", tuple(name for name, _ in named), tuple(rows), tuple(differs), _NOTES)


_NOTES = ("a plan's figures are computed, not sampled: any difference is one, and ratios have no interval",)


def _row(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {cell(value)}" for name, value in named.items())


def _told(value: object) -> Told:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if value is None or isinstance(value, int | float | str) else str(value)
