"""Fields of text as the values of a column; what is none is told with its row, and stands as unknown."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.files.csv_text import Strings, text_of_strings
from fastsmc.plan.inventory.columns import Spec

_MOST_COUNT = 1 << 53
"""Whole numbers up to it are read exactly."""


class Unread(NamedTuple):
    """A field that holds no value of its column.

    Attributes:
        row: from 0.
        text: as it was written.
    """

    row: int
    column: str
    text: str
    what: str
    remedy: str


def typed(
    strings: Strings, spec: Spec, name: str, lines: NDArray[np.int64], first_row: int
) -> tuple[NDArray[Any], list[Unread]]:
    """The values of some rows of a column, and the fields that hold none; an empty field is unknown.

    Args:
        lines: in which line each row begins. first_row: the number of the first of these rows in its table.

    Raises:
        Refused: text that is not UTF-8.
    """
    if spec.type == "text":
        return text_of_strings(strings, lines), []
    values = _numbers(strings)
    is_told = strings != b""
    wrong = np.isnan(values) & is_told
    is_whole = np.ones(len(values), np.bool_)
    if spec.type == "count":
        with np.errstate(invalid="ignore"):
            is_whole = (np.abs(values) <= _MOST_COUNT) & (values == np.floor(values)) & (values != 0)
        wrong |= is_told & ~is_whole
    rows = np.flatnonzero(wrong)
    unread = [_unread(int(row) + first_row, strings[row], values[row], spec, name) for row in rows]
    if spec.type == "count":
        return np.where(is_told & is_whole, values, 0).astype(np.int64), unread
    return values, unread


def _numbers(strings: Strings) -> NDArray[np.float64]:
    """Numbers, NaN where a field holds none."""
    found = np.full(len(strings), np.nan)
    is_told = strings != b""
    told = strings[is_told]
    try:
        values = told.astype(np.float64)
        if b"_" in told.tobytes():  # which Python takes within numbers
            values[np.char.find(told, b"_") >= 0] = np.nan
    except ValueError:
        values = np.array([_number(field) for field in told.tolist()])
    found[is_told] = values
    return found


def _number(field: bytes) -> float:
    try:
        return np.nan if b"_" in field else float(field)
    except ValueError:
        return np.nan


def _unread(row: int, field: bytes, value: float, spec: Spec, name: str) -> Unread:
    text = field.decode(errors="backslashreplace")
    unit = f", in {spec.unit}" if spec.unit else ""
    if value == 0:
        return Unread(row, name, text, "0 is no size", "leave it empty where it is not known")
    if spec.type == "count":
        return Unread(row, name, text, "no whole number", f"write a whole number{unit}, or leave it empty")
    what = "NaN is no size" if text.strip().lower() in ("nan", "-nan", "+nan") else "no number"
    return Unread(row, name, text, what, f"write a number{unit}, without the unit, or leave it empty")
