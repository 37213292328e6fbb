"""Tables for other programs: pandas, polars, Arrow, xarray, CSV and JSON, each column's kind with it.

No library is imported before it is asked for; one that is missing is named with the extra that brings it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.results.csv_rows import csv_text
from fastsmc.results.tables import Column, Table, few

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow
    import xarray

_EXTRA = {"pandas": "frames", "polars": "frames", "pyarrow": "parquet", "xarray": "sweep"}
_TYPE_OF = {"b": "bool", "i": "int64", "f": "float64", "U": "str"}
TYPES = tuple(_TYPE_OF.values())
"""What a column's values are, as JSON tells it of a column without any."""


def library(name: str) -> Any:
    """A library that is imported when it is asked for.

    Raises:
        InputError: it is not installed; the message names the extra that brings it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        msg = f"{name} is needed for this and is not installed: pip install 'fastsmc[{_EXTRA[name]}]'"
        raise InputError(msg) from error


def to_pandas(table: Table) -> pandas.DataFrame:
    """The table as a pandas frame. Its `attrs` hold the table's meaning, and each column's kind and meaning.

    Raises:
        InputError: pandas is not installed.
    """
    frame: pandas.DataFrame = library("pandas").DataFrame(dict(table))
    frame.attrs = {"meaning": table.meaning, "columns": {name: _told(c) for name, c in table.columns.items()}}
    return frame


def to_polars(table: Table, *, kind_in_name: bool = False) -> polars.DataFrame:
    """The table as a polars frame; an unknown number is null.

    Args:
        kind_in_name: whether a column's kind ends its name, `"payload_bytes (modelled)"`. A polars frame has no place
            for it; `to_arrow` has.

    Raises:
        InputError: polars is not installed.
    """
    frame: polars.DataFrame = library("polars").DataFrame(
        {
            f"{name} ({column.kind})" if kind_in_name and column.kind else name: column.plain()
            if column.unknown
            else column.values
            for name, column in table.columns.items()
        }
    )
    return frame


def to_arrow(table: Table) -> pyarrow.Table:
    """The table for Arrow, Parquet and what reads them; an unknown number is null.

    The metadata of a field are its kind and meaning, those of the schema the table's meaning.

    Raises:
        InputError: pyarrow is not installed.
    """
    arrow = library("pyarrow")
    columns = {name: arrow.array(c.values, from_pandas=c.unknown) for name, c in table.columns.items()}
    fields = [
        arrow.field(name, values.type, nullable=table.columns[name].unknown, metadata=_told(table.columns[name]))
        for name, values in columns.items()
    ]
    schema = arrow.schema(fields, metadata={"meaning": table.meaning})
    made: pyarrow.Table = arrow.Table.from_arrays(list(columns.values()), schema=schema)
    return made


def to_xarray(table: Table, dims: Sequence[str] = ()) -> xarray.Dataset:
    """The table as an xarray dataset, kind and meaning of a column among its attributes.

    Args:
        dims: columns whose values become the labels of a cube, in the order in which they first occur. None of them:
            one dimension, `row`. Where a combination of labels has no row, numbers are NaN and others None.

    Raises:
        InputError: xarray is not installed, there is no such column, or two rows have the same labels.
    """
    xr = library("xarray")
    attributes = {"meaning": table.meaning}
    if missing := [name for name in dims if name not in table]:
        msg = f"no column {shown(missing[0])} to make a dimension of; the table has {few(table)}"
        raise InputError(msg)
    if not dims:
        return xr.Dataset({name: ("row", c.values, _told(c)) for name, c in table.columns.items()}, attrs=attributes)
    labels, places = zip(*(_labels(table[name]) for name in dims), strict=True)
    shape = tuple(len(label) for label in labels)
    cells = np.asarray(np.ravel_multi_index(places, shape), np.int64)
    if len(np.unique(cells)) < table.n_row:
        msg = f"two rows have the same {', '.join(dims)}: a cell of the cube holds one"
        raise InputError(msg)
    cubes = {
        name: (tuple(dims), _cube(column.values, cells, shape), _told(column))
        for name, column in table.columns.items()
        if name not in dims
    }
    coordinates = {name: (name, label, _told(table.columns[name])) for name, label in zip(dims, labels, strict=True)}
    return xr.Dataset(cubes, coords=coordinates, attrs=attributes)


def _labels(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Different values in the order of their first row, and which of them each row has."""
    different, first, place = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return different[order], rank[place]


def _cube(values: NDArray[Any], cells: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[Any]:
    if len(values) == np.prod(shape):
        cube = np.empty(shape, values.dtype)
    elif values.dtype.kind in "if":
        cube = np.full(shape, np.nan)
    else:
        cube = np.full(shape, None, np.object_)
    cube.flat[cells] = values
    return cube


def _told(column: Column) -> dict[str, str]:
    """What goes with a column's values; nothing of it is empty."""
    return {key: value for key, value in (("kind", column.kind), ("meaning", column.meaning)) if value}


def to_csv(table: Table) -> str:
    """The table as CSV: a header, then a row per line; numbers in full precision, booleans as true and false.

    A number that is not known is empty.

    >>> to_csv(Table("", {"n_vcpu": Column.of([1, 2], "input"), "is_hypothetical": Column.of([False, True])}))
    'n_vcpu,is_hypothetical\\n1,false\\n2,true\\n'
    """
    return csv_text(table, (row.values() for row in table.rows()))


def to_json(table: Table) -> str:
    """The table as strict JSON, a line per column; a number that is not known is null.

    `{"meaning": TEXT, "columns": {NAME: {"kind": KIND, "meaning": TEXT, "values": [...]}}}`. A column whose values can
    be unknown also has `"unknown": true`, and one without values its `"type"`: bool, int64, float64 or str.
    """
    columns = ",\n".join(f"{json.dumps(name)}: {_column(column)}" for name, column in table.columns.items())
    return f'{{"meaning": {json.dumps(table.meaning)}, "columns": {{\n{columns}}}}}'


def _column(column: Column) -> str:
    told: dict[str, Any] = {"kind": column.kind, "meaning": column.meaning, "values": column.plain()}
    if column.unknown:
        told["unknown"] = True
    if not column.values.size:
        told["type"] = _TYPE_OF[column.values.dtype.kind]
    return json.dumps(told, allow_nan=False)
