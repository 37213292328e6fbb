"""Tables of labelled columns: what was found out, and how each column's values came about.

All columns of a table are equally long; values are numbers, booleans or text, one type per column. A column's name
carries its unit (`payload_bytes`, `dispatch_ns`), its kind says how its values came about (see KINDS). A table is a
mapping from names to arrays, so whatever takes a dict of columns takes a table: `pandas.DataFrame(table)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.checks import shown
from fastsmc.errors import InputError, ResultFileError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow
    import xarray

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
        unknown: whether values may be NaN, which then stands for a number that is not known.
    """

    values: NDArray[Any]
    kind: ColumnKind | Literal[""] = ""
    meaning: str = ""
    unknown: bool = False

    def __repr__(self) -> str:
        return f"<Column of {len(self.values)} values: {self.values.dtype}, {self.kind or 'no kind'}>"

    @classmethod
    def of(
        cls, values: ArrayLike, kind: ColumnKind | Literal[""] = "", meaning: str = "", *, unknown: bool = False
    ) -> Column:
        """A checked column.

        Args:
            unknown: NaN and None among numbers stand for what is not known. The column is float64 then.

        Raises:
            InputError: not one-dimensional, not finite, of mixed or other types, or a kind that is missing or unknown.

        >>> Column.of([8, 16], "modelled", "payload").values
        array([ 8, 16])
        >>> Column.of([1.5, None], "modelled", unknown=True).values
        array([1.5, nan])
        """
        if unknown and isinstance(values, list | tuple):
            values = [math.nan if value is None else value for value in values]
        array = np.asarray(values)
        if array.ndim == 1 and not array.size and not kind and array.dtype.kind == "f":
            array = array.astype(np.str_)  # an empty list, which NumPy takes for numbers
        if array.ndim != 1 or array.dtype.kind not in _TYPES:
            msg = f"a column of {array.dtype}{list(array.shape)}: one dimension of numbers, booleans or text is right"
            raise InputError(msg)
        if array.dtype.kind == "U" and any(not isinstance(value, str) for value in cast(Any, values)):
            msg = "a column of text and numbers mixed: it must hold one type"
            raise InputError(msg)
        if unknown and array.dtype.kind not in "iuf":
            msg = f"a column of {array.dtype} with unknown values: only numbers can be unknown"
            raise InputError(msg)
        _check_numbers(array, unknown=unknown)
        if kind not in KINDS and (kind or array.dtype.kind not in "bU"):
            msg = f"kind {kind!r}: a column of numbers is one of {', '.join(KINDS)}"
            raise InputError(msg)
        array = array.astype(np.float64 if unknown else _TYPES[array.dtype.kind])
        array.flags.writeable = False
        return cls(array, kind, meaning, unknown)

    def plain(self) -> list[Any]:
        """The values as plain Python values; None stands for a number that is not known.

        >>> Column.of([1.5, float("nan")], "modelled", unknown=True).plain()
        [1.5, None]
        """
        values: list[Any] = self.values.tolist()
        return [None if value != value else value for value in values] if self.unknown else values

    def at(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Column:
        """The column of these rows only."""
        values = self.values[rows]
        values.flags.writeable = False
        return Column(values, self.kind, self.meaning, self.unknown)


def _check_numbers(array: NDArray[Any], *, unknown: bool) -> None:
    is_float = array.dtype.kind == "f"
    if is_float and bool(np.isinf(array).any() if unknown else not np.isfinite(array).all()):
        remedy = "" if unknown or np.isinf(array).any() else "; unknown=True lets NaN stand for an unknown number"
        msg = f"a column holds a number that is not finite{remedy}"
        raise InputError(msg)
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        msg = "a column holds a number that does not fit 64 bits with a sign"
        raise InputError(msg)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Table(dict[str, NDArray[Any]]):
    """Equally long columns by name, and what a row is.

    As a mapping it leads from a column's name to its values. `len(table)` is the number of columns, as of any mapping;
    `n_row` is the number of rows. It cannot be changed. It is a dict, and not only a Mapping, as pandas and pyarrow
    take columns from nothing less.

    Attributes:
        meaning: what a row is; a table without rows must say it.
        columns: values with their kinds and meanings.

    >>> table = Table("A row per VM.", {"n_vcpu": Column.of([64, 512], "input")})
    >>> list(table), table.n_row, table["n_vcpu"].max()
    (['n_vcpu'], 2, np.int64(512))
    """

    meaning: str
    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        columns = dict(self.columns)
        lengths = {name: len(column.values) for name, column in columns.items()}
        if len(set(lengths.values())) != 1:
            msg = f"columns of a table must be equally long and at least one; got {shown(lengths)}"
            raise InputError(msg)
        if not self.meaning and 0 in lengths.values():
            msg = f"a table without rows must say what a row is; it has the columns {few(columns)}"
            raise InputError(msg)
        object.__setattr__(self, "columns", MappingProxyType(columns))
        dict.__init__(self, {name: column.values for name, column in columns.items()})

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        msg = "a table cannot be changed; make another: Table(meaning, {**table.columns, name: column})"
        raise TypeError(msg)

    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = _refuse

    def __missing__(self, name: object) -> NoReturn:
        msg = f"no column {shown(name)} in a table of {few(self.columns)}"
        raise ResultFileError(msg)

    def __eq__(self, other: object) -> bool:
        """Whether the other table says the same: meanings, names in order, kinds and values."""
        if not isinstance(other, Table):
            return False
        return (self.meaning, list(self)) == (other.meaning, list(other)) and all(
            (one.kind, one.meaning, one.unknown, one.values.dtype.kind)
            == (two.kind, two.meaning, two.unknown, two.values.dtype.kind)
            and np.array_equal(one.values, two.values, equal_nan=one.unknown)
            for one, two in zip(self.columns.values(), other.columns.values(), strict=True)
        )

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __reduce__(self) -> tuple[type[Table], tuple[str, dict[str, Column]]]:
        return Table, (self.meaning, dict(self.columns))

    def __repr__(self) -> str:
        return f"<Table of {self.n_row} rows and {len(self)} columns: {self.meaning[:100]}>"

    def __str__(self) -> str:
        """The table as text, as wide as `layout.width`."""
        from fastsmc.results.layout import text

        return text(self)

    @property
    def n_row(self) -> int:
        """Number of rows."""
        return len(next(iter(self.values())))

    @property
    def kinds(self) -> dict[str, str]:
        """ColumnKind by column."""
        return {name: column.kind for name, column in self.columns.items()}

    def where(self, **equals: object) -> Table:
        """The rows whose columns equal the given values, None for what is unknown; ResultFileError if there is none."""
        keep = np.ones(self.n_row, np.bool_)
        for name, value in equals.items():
            values = self[name]
            keep &= np.isnan(values) if value is None and self.columns[name].unknown else values == value
        if not keep.any():
            msg = f"no row with {equals} in a table of {few(self.columns)}"
            raise ResultFileError(msg)
        return self._at(keep)

    def head(self, n_row: int | None) -> Table:
        """The first rows; all of them for None."""
        return self._at(slice(n_row))

    def _at(self, rows: NDArray[np.bool_] | slice) -> Table:
        return Table(self.meaning, {name: column.at(rows) for name, column in self.columns.items()})

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each row as a dict of plain Python values; None is a number that is not known."""
        for row in zip(*(column.plain() for column in self.columns.values()), strict=True):
            yield dict(zip(self.columns, row, strict=True))

    def to_pandas(self) -> pandas.DataFrame:
        """See `fastsmc.results.export.to_pandas`."""
        from fastsmc.results.export import to_pandas

        return to_pandas(self)

    def to_polars(self, *, kind_in_name: bool = False) -> polars.DataFrame:
        """See `fastsmc.results.export.to_polars`."""
        from fastsmc.results.export import to_polars

        return to_polars(self, kind_in_name=kind_in_name)

    def to_arrow(self) -> pyarrow.Table:
        """See `fastsmc.results.export.to_arrow`."""
        from fastsmc.results.export import to_arrow

        return to_arrow(self)

    def to_xarray(self, dims: Sequence[str] = ()) -> xarray.Dataset:
        """See `fastsmc.results.export.to_xarray`."""
        from fastsmc.results.export import to_xarray

        return to_xarray(self, dims)

    def to_csv(self) -> str:
        """See `fastsmc.results.export.to_csv`."""
        from fastsmc.results.export import to_csv

        return to_csv(self)

    def to_json(self) -> str:
        """See `fastsmc.results.export.to_json`."""
        from fastsmc.results.export import to_json

        return to_json(self)

    def to_markdown(self) -> str:
        """See `fastsmc.results.markup.to_markdown`."""
        from fastsmc.results.markup import to_markdown

        return to_markdown(self)

    def to_html(self) -> str:
        """See `fastsmc.results.markup.to_html`."""
        from fastsmc.results.markup import to_html

        return to_html(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the first rows."""
        from fastsmc.results.markup import SHOWN_ROWS, to_html

        return to_html(self, most=SHOWN_ROWS)
