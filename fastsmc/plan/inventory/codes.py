"""Columns of text by number: the distinct values of one, and where the values of one stand in another.

Dictionaries of Python do both some times faster than sorting NumPy's text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Distinct(NamedTuple):
    """A column of text as its distinct values, sorted, and the number of each row's: text[n], int64[n_row]."""

    values: NDArray[np.str_]
    of_row: NDArray[np.int64]


def distinct(column: NDArray[Any]) -> Distinct:
    """The distinct values of a column of text.

    >>> values, of_row = distinct(np.array(["b", "a", "b"]))
    >>> values.tolist(), of_row.tolist()
    (['a', 'b'], [1, 0, 1])
    """
    if is_empty(column):
        return Distinct(column[:1], np.zeros(len(column), np.int64))
    texts = column.tolist()
    values = sorted(set(texts))
    number = {text: i for i, text in enumerate(values)}
    of_row = np.fromiter(map(number.__getitem__, texts), np.int64, len(texts))
    return Distinct(np.array(values, column.dtype), of_row)


def is_empty(column: NDArray[Any]) -> bool:
    """Whether a column of text holds nothing but ""."""
    return not (column != "").any()


def places(names: NDArray[np.str_], among: NDArray[np.str_]) -> NDArray[np.int64]:
    """Where each name stands among others, of equal ones the first, or -1. text[n], text[m] -> int64[n]."""
    number = dict(zip(among.tolist()[::-1], range(len(among) - 1, -1, -1), strict=True))
    texts = names.tolist()
    return np.fromiter((number.get(text, -1) for text in texts), np.int64, len(texts))


def repeated(names: NDArray[np.str_]) -> NDArray[np.int64]:
    """The rows whose name a row before has. text[n] -> int64[m]."""
    return np.flatnonzero(places(names, names) != np.arange(len(names)))
