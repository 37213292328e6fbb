"""Plans' tables and cubes as other libraries hold them: pandas, Arrow, xarray; and as CSV and Markdown."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastsmc.checks import escaped
from fastsmc.errors import InputError
from fastsmc.results.files import to_csv as table_to_csv
from fastsmc.results.tables import Table
from fastsmc.results.units import significant

if TYPE_CHECKING:
    from fastsmc.plan.result import Cube


def to_csv(table: Table) -> str:
    """As `results.files.to_csv`."""
    return table_to_csv(table)


def cell(value: Any) -> str:
    """A value of a table as a person reads it: four digits, yes and no, nothing that a terminal would obey."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return significant(value, 4) if isinstance(value, float) else escaped(" ".join(str(value).split()))


def to_markdown(table: Table) -> str:
    """A table in Markdown.

    >>> from fastsmc.results.tables import Column
    >>> print(to_markdown(Table("", {"host": Column.of(["a|b"]), "vms": Column.of([1200], "input")})))
    | host | vms |
    | --- | ---: |
    | a\\|b | 1,200 |
    """
    marks = ["---:" if column.values.dtype.kind in "if" else "---" for column in table.columns.values()]
    rows = [[cell(value) for value in row.values()] for row in table.rows()]
    lines = [[escaped(name) for name in table.columns], marks, *rows]
    return "\n".join("| " + " | ".join(one.replace("|", "\\|") for one in line) + " |" for line in lines)


def to_pandas(table: Table) -> Any:
    """A data frame; how a column's values came about stands in its `attrs`."""
    frame = _imported("pandas").DataFrame({name: column.values for name, column in table.columns.items()})
    frame.attrs = {"meaning": table.meaning, "kinds": table.kinds}
    return frame


def to_arrow(table: Table) -> Any:
    """A table of Arrow; how a column's values came about stands in its metadata."""
    arrow = _imported("pyarrow")
    made = arrow.table({name: column.values for name, column in table.columns.items()})
    return made.replace_schema_metadata({"meaning": table.meaning} | {f"kind:{k}": v for k, v in table.kinds.items()})


def to_xarray(table: Table) -> Any:
    """A dataset with one dimension, "row"."""
    columns = {
        name: ("row", column.values, {"kind": column.kind, "meaning": column.meaning})
        for name, column in table.columns.items()
    }
    return _imported("xarray").Dataset(columns, attrs={"meaning": table.meaning})


def cube_to_xarray(cube: Cube, answer: str) -> Any:
    """A dataset with the cube's dimensions and labels."""
    values = {
        name: (tuple(cube.coords), one.values, {"kind": one.kind, "meaning": one.meaning})
        for name, one in cube.values.items()
    }
    return _imported("xarray").Dataset(values, coords=dict(cube.coords), attrs={"answer": answer})


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        msg = f"{name} is not installed: install it, or take to_csv() or as_dict(), which need nothing"
        raise InputError(msg) from error
