"""Tables made of rows: for results that tell rows as plain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from fastsmc.results.tables import Column, ColumnKind, Table


def table_of_rows(
    meaning: str,
    rows: Sequence[Mapping[str, Any]],
    kind: ColumnKind | Literal[""],
    *,
    inputs: Collection[str] = (),
    columns: Sequence[str] = (),
) -> Table:
    """A table of rows that have the same names.

    Args:
        kind: of columns of numbers; those among `inputs` were chosen. Text and booleans have none.
        columns: the names, for a table that may have no rows.

    >>> table_of_rows("A row per VM.", [{"vm": "a", "n_vcpu": 4}, {"vm": "b", "n_vcpu": None}], "input")["n_vcpu"]
    array([ 4., nan])
    """
    names = list(rows[0]) if rows else list(columns)
    return Table(meaning, {name: _column([row[name] for row in rows], kind, name in inputs) for name in names})


def _column(values: list[Any], kind: ColumnKind | Literal[""], is_input: bool) -> Column:
    known = [value for value in values if value is not None]
    if not known or isinstance(known[0], str):
        return Column.of(np.array([str(value or "") for value in values], np.str_))
    if isinstance(known[0], bool):
        return Column.of(values)
    is_unknown = len(known) < len(values)
    return Column.of(values, "input" if is_input else kind, unknown=is_unknown)
