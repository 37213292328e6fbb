"""Two plans of one question side by side: what was asked differently, and what is different of the answer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import escaped, shown
from fastsmc.errors import InputError
from fastsmc.plan.result import Plan, plain
from fastsmc.results.headings import cell
from fastsmc.results.tables import Table
from fastsmc.results.units import significant

_MOST_SHOWN = 12
_MISSING = "(none)"


class Change(NamedTuple):
    """A cell of the table that differs.

    Attributes:
        row: what names its row: the values of the columns that were chosen ("input") and differ between rows, or of
            the first text that names each row, or its number.
        first, second: its value in either plan; None where it is not known.
        ratio: second over first; None where one of them is no number, or first is 0.
    """

    row: Mapping[str, Any]
    column: str
    first: Any
    second: Any
    ratio: float | None

    def __str__(self) -> str:
        named = ", ".join(f"{name} {cell(value)}" for name, value in self.row.items())
        times = "" if self.ratio is None else f" ({significant(self.ratio)}x)"
        return f"{named}: {self.column} {cell(self.first)} -> {cell(self.second)}{times}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is different in a second plan of the same question.

    Attributes:
        answers, met: of both.
        inputs: those that differ, with both values; an input that one plan lacks is "(none)".
        changes: cells of rows that both have and that differ, in the order of the first plan's rows.
        gone, new: rows that only the first or only the second has.
        assumptions_gone, assumptions_new: what only the first or only the second rests on.
    """

    question: str
    answers: tuple[str, str]
    met: tuple[bool | None, bool | None]
    inputs: Mapping[str, tuple[Any, Any]]
    changes: tuple[Change, ...]
    gone: tuple[Mapping[str, Any], ...]
    new: tuple[Mapping[str, Any], ...]
    assumptions_gone: tuple[str, ...]
    assumptions_new: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether the two plans say the same of the same."""
        parts = (self.inputs, self.changes, self.gone, self.new, self.assumptions_gone, self.assumptions_new)
        return not any(parts) and self.answers[0] == self.answers[1] and self.met[0] == self.met[1]

    def __repr__(self) -> str:
        told = f"{len(self.changes)} cells, {len(self.gone)} rows gone, {len(self.new)} new, {len(self.inputs)} inputs"
        return f"<Comparison of two plans, {self.question}: {told}>"

    def __str__(self) -> str:
        if self.is_same:
            return f"{self.question}: both plans say the same"
        first, second = self.answers
        lines = [f"{self.question}: the answer stays: {first}"] if first == second else []
        lines += [f"{self.question}: the answer was: {first}", f"  and is: {second}"] if first != second else []
        lines += [f"input {name}: {shown(a)} -> {shown(b)}" for name, (a, b) in self.inputs.items()]
        most = sorted(self.changes, key=lambda change: _size(change.ratio), reverse=True)
        lines += [str(change) for change in most[:_MOST_SHOWN]]
        if len(most) > _MOST_SHOWN:
            lines.append(f"{len(most) - _MOST_SHOWN} more cells differ, by less")
        for what, rows in (("gone", self.gone), ("new", self.new)):
            if rows:
                example = ", ".join(f"{name} {cell(value)}" for name, value in rows[0].items())
                lines.append(f"rows {what}: {len(rows)} (such as {example})")
        lines += [f"assumed no more: {one}" for one in self.assumptions_gone]
        lines += [f"assumed now: {one}" for one in self.assumptions_new]
        return "\n".join(map(escaped, lines))

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain values."""
        return {
            "question": self.question,
            "answers": list(self.answers),
            "met": list(self.met),
            "inputs": {name: list(both) for name, both in self.inputs.items()},
            "changes": [plain(change._asdict()) for change in self.changes],
            "gone": [dict(row) for row in self.gone],
            "new": [dict(row) for row in self.new],
            "assumptions": {"gone": list(self.assumptions_gone), "new": list(self.assumptions_new)},
        }


def _size(ratio: float | None) -> float:
    """How large a change is: by its factor, up or down. What has none comes first."""
    return math.inf if ratio is None or ratio <= 0 else abs(math.log(ratio))


def compare(first: Plan, second: Plan) -> Comparison:
    """What is different in the second plan.

    Raises:
        InputError: plans of two questions.
    """
    if first.question != second.question:
        msg = f"a plan of {first.question} and one of {second.question}: compare plans of the same question"
        raise InputError(msg)
    keys = _keys(first.table, second.table)
    at_first, at_second, gone, new = _paired(first.table, second.table, keys)
    names = list(dict.fromkeys((*first.inputs, *second.inputs)))
    both = {name: (first.inputs.get(name, _MISSING), second.inputs.get(name, _MISSING)) for name in names}
    return Comparison(
        first.question,
        (first.answer, second.answer),
        (first.is_met, second.is_met),
        {name: pair for name, pair in both.items() if pair[0] != pair[1]},
        _changes(first.table, second.table, keys, at_first, at_second),
        tuple(_named(first.table, keys, i) for i in gone),
        tuple(_named(second.table, keys, i) for i in new),
        tuple(one for one in first.assumptions if one not in second.assumptions),
        tuple(one for one in second.assumptions if one not in first.assumptions),
    )


def _keys(first: Table, second: Table) -> list[str]:
    """The columns that name a row: chosen by whoever asked, in both tables, and not the same in all rows.

    Where there is none, the first column of text that names each row of both tables by itself; else none, and rows
    are told by their numbers.
    """
    both = [(name, column) for name, column in first.columns.items() if name in second]
    chosen = [name for name, column in both if column.kind == "input"]
    if varying := [name for name in chosen if any((t[name] != t[name][:1]).any() for t in (first, second))]:
        return varying
    texts = [name for name, _ in both if all(t[name].dtype.kind == "U" for t in (first, second))]
    return [name for name in texts if all(len(np.unique(t[name])) == t.n_row for t in (first, second))][:1]


def _paired(first: Table, second: Table, keys: list[str]) -> tuple[list[int], list[int], list[int], list[int]]:
    """Row numbers of rows that both tables have, and of those only one has. Equal names are paired in order."""
    where = defaultdict[Any, list[int]](list)
    for i, name in reversed(list(enumerate(_names(second, keys)))):
        where[name].append(i)
    at_first, at_second, gone = [], [], []
    for i, name in enumerate(_names(first, keys)):
        if where[name]:
            at_first.append(i)
            at_second.append(where[name].pop())
        else:
            gone.append(i)
    return at_first, at_second, gone, sorted(i for left in where.values() for i in left)


def _names(table: Table, keys: list[str]) -> list[Any]:
    return list(zip(*(table[key].tolist() for key in keys), strict=True)) if keys else list(range(table.n_row))


def _named(table: Table, keys: list[str], i: int) -> dict[str, Any]:
    return {key: plain(table[key][i]) for key in keys} if keys else {"row": i}


def _changes(
    first: Table, second: Table, keys: list[str], at_first: list[int], at_second: list[int]
) -> tuple[Change, ...]:
    found: list[tuple[int, Change]] = []
    for name, column in first.columns.items():
        if column.kind == "input" or name in keys or name not in second:
            continue
        ones, others = column.values[at_first], second[name][at_second]
        for i in np.flatnonzero(_differ(ones, others)):
            one, other = plain(ones[i]), plain(others[i])
            row = _named(first, keys, at_first[i])
            found.append((at_first[i], Change(row, name, one, other, _ratio(one, other))))
    return tuple(change for _, change in sorted(found, key=lambda pair: pair[0]))


def _differ(ones: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    if (ones.dtype.kind == "U") != (others.dtype.kind == "U"):
        return np.ones(len(ones), np.bool_)
    is_same = ones == others
    if ones.dtype.kind == others.dtype.kind == "f":
        is_same |= np.isnan(ones) & np.isnan(others)
    return np.asarray(~is_same, np.bool_)


def _ratio(one: Any, other: Any) -> float | None:
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return other / one if is_number and one != 0 else None
