"""Rows of a table that are not what something else in the run says: found, and told as the middle of a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.results.tables import Table

ROUNDING = 1e-9
"""Relative, of what is computed from the very numbers that are saved."""


def are_numbers(table: Table, *columns: str) -> bool:
    """Whether a table has all of these columns, as numbers: runs saved by earlier versions lack some."""
    return all(name in table.columns and table[name].dtype.kind in "if" for name in columns)


def first(table: Table, wrong: NDArray[np.bool_], one: str, other: str, how: str) -> Iterator[str]:
    """The first row that is wrong: a value of it, how it is wrong, and the value that it disagrees with."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        told = [f"{name} {shown(table[name][row].item())}" for name in dict.fromkeys((one, other))]
        yield f"row {row + 1}: {f' {how} '.join(told) if told[1:] else f'{told[0]} {how}'}"


def unlike(
    table: Table, column: str, right: Any, by: str, *, only: Any = True, slack: float = ROUNDING
) -> Iterator[str]:
    """The first row whose value is not the right one; none where the column is missing.

    Args:
        right: number[n], what the column must be within `slack` of itself. by: what says so.
        only: bool[n], the rows that are looked at.
    """
    if not are_numbers(table, column):
        return
    with np.errstate(all="ignore"):
        values, should = np.broadcast_arrays(table[column].astype(np.float64), np.asarray(right, np.float64))
        wrong = ~(np.abs(values - should) <= slack * np.abs(should)) & only
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        yield f"row {row + 1}: {column} is {shown(table[column][row].item())}, by {by} it is {should[row]:.10g}"


def untold(table: Table, column: str, right: NDArray[Any], by: str) -> Iterator[str]:
    """The first row whose text or truth value is not the right one; none where the column is missing."""
    if column in table.columns and (wrong := table[column] != right).any():
        row = int(np.flatnonzero(wrong)[0])
        value, should = (shown(values[row].item()) for values in (table[column], right))
        yield f"row {row + 1}: {column} is {value}, by {by} it is {should}"
