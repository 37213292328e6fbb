"""Tables of labelled columns: what was found out, and how each column's values came about.

All columns of a table are equally long; values are numbers, booleans or text, one type per column. A column's name
carries its unit (`payload_bytes`, `dispatch_ns`), its kind says how its values came about (see KINDS).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.checks import shown
from fastsmc.errors import InputError, ResultFileError

ColumnKind = Literal["measured", "recorded", "modelled", "assumed", "input"]
KINDS: dict[ColumnKind, str] = {
    "measured": "by a clock or a count on this machine, in this run",
    "recorded": "from a real system, earlier",
    "modelled": "computed from rules, closed forms or recorded counts",
    "assumed": "modelled from a figure that nobody has published",
    "input": "chosen for this run",
}
"""How the values of a column came about."""

_TYPES = {"b": np.bool_, "i": np.int64, "u": np.int64, "f": np.float64, "U": np.str_}


_FEW = 12


def few(names: Iterable[str]) -> str:
    """Names as a message lists them: some dozen, and none that would reach a terminal as more than a name."""
    listed = [name if name.isidentifier() else shown(name) for name in names]
    return ", ".join(listed[:_FEW]) + (f" and {len(listed) - _FEW} more" if len(listed) > _FEW else "")


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column: values and what they are.

    Attributes:
        values: bool, int64, float64 or str, 1-D, read-only.
        kind: of KINDS; "" only where the values are text or booleans.
    """

    values: NDArray[Any]
    kind: ColumnKind | Literal[""] = ""
    meaning: str = ""

    def __repr__(self) -> str:
        return f"<Column of {len(self.values)} values: {self.values.dtype}, {self.kind or 'no kind'}>"

    @classmethod
    def of(cls, values: ArrayLike, kind: ColumnKind | Literal[""] = "", meaning: str = "") -> Column:
        """A checked column.

        Raises:
            InputError: no values, not one-dimensional, not finite, of mixed or other types, or a kind that is missing
                or unknown.

        >>> Column.of([8, 16], "modelled", "payload").values
        array([ 8, 16])
        """
        array = np.asarray(values)
        if array.ndim != 1 or not array.size or array.dtype.kind not in _TYPES:
            msg = f"a column of {array.dtype}{list(array.shape)}: it must hold numbers, booleans or text, at least one"
            raise InputError(msg)
        if array.dtype.kind == "U" and any(not isinstance(value, str) for value in cast(Any, values)):
            msg = "a column of text and numbers mixed: it must hold one type"
            raise InputError(msg)
        is_finite = array.dtype.kind != "f" or bool(np.isfinite(array).all())
        if not is_finite or (array.dtype.kind == "u" and int(array.max()) > np.iinfo(np.int64).max):
            msg = "a column holds a number that is not finite or does not fit 64 bits with a sign"
            raise InputError(msg)
        if kind not in KINDS and (kind or array.dtype.kind not in "bU"):
            msg = f"kind {kind!r}: a column of numbers is one of {', '.join(KINDS)}"
            raise InputError(msg)
        array = array.astype(_TYPES[array.dtype.kind])
        array.flags.writeable = False
        return cls(array, kind, meaning)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Equally long columns by name, and what a row is."""

    meaning: str
    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        lengths = {name: len(column.values) for name, column in self.columns.items()}
        if len(set(lengths.values())) != 1:
            msg = f"columns of a table must be equally long and at least one; got {shown(lengths)}"
            raise InputError(msg)

    def __repr__(self) -> str:
        return f"<Table of {len(self)} rows and {len(self.columns)} columns: {self.meaning[:100]}>"

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Values of a column; ResultFileError if there is none of that name."""
        if name not in self.columns:
            msg = f"no column {shown(name)} in a table of {few(self.columns)}"
            raise ResultFileError(msg)
        return self.columns[name].values

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values())).values)

    @property
    def kinds(self) -> dict[str, str]:
        """ColumnKind by column."""
        return {name: column.kind for name, column in self.columns.items()}

    def where(self, **equals: object) -> Table:
        """The rows whose columns equal the given values; ResultFileError if there is none."""
        keep = np.ones(len(self), np.bool_)
        for name, value in equals.items():
            keep &= self[name] == value
        if not keep.any():
            msg = f"no row with {equals} in a table of {few(self.columns)}"
            raise ResultFileError(msg)
        chosen = {name: Column(c.values[keep], c.kind, c.meaning) for name, c in self.columns.items()}
        return Table(self.meaning, chosen)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each row as a dict of plain Python values."""
        for row in zip(*(column.values.tolist() for column in self.columns.values()), strict=True):
            yield dict(zip(self.columns, row, strict=True))
