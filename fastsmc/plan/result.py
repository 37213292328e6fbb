"""A plan: the answer to a planner's question, in a sentence, a table and a cube, with all that it rests on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.errors import CheckError, InputError, UnknownError
from fastsmc.results.runs import Provenance, provenance
from fastsmc.results.tables import ColumnKind, Table

if TYPE_CHECKING:
    import pandas
    import pyarrow
    import xarray
    from matplotlib.figure import Figure

    from fastsmc.plan.compared import Comparison


class Excuse(NamedTuple):
    """Why some rows have no better answer.

    Attributes:
        why: the reason, in the words of whoever has to remove it.
        n_row: rows that it holds for.
        example: one of these rows.
    """

    why: str
    n_row: int
    example: Mapping[str, Any]

    def __str__(self) -> str:
        row = ", ".join(f"{name} {shown(plain(value))}" for name, value in self.example.items())
        return f"{self.n_row:,}: {self.why} ({row})"


class Weakest(NamedTuple):
    """The figure that the answer depends on most, of those that are assumed.

    Attributes:
        figure: what it is, with its unit.
        low, high: its least and greatest value.
        at_low, at_high: the answer at these, each a sentence.
    """

    figure: str
    low: float
    high: float
    at_low: str
    at_high: str


class Values(NamedTuple):
    """Numbers over the dimensions of a cube, with their unit in the name, and how they came about (tables.KINDS)."""

    values: NDArray[Any]
    kind: ColumnKind
    meaning: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Cube:
    """Numbers over labelled dimensions.

    Attributes:
        coords: the labels of each dimension, in order: 1-D, numbers or text.
        values: by name; each has one axis per dimension.
    """

    coords: Mapping[str, NDArray[Any]]
    values: Mapping[str, Values]

    def __post_init__(self) -> None:
        shape = tuple(len(labels) for labels in self.coords.values())
        for name, one in self.values.items():
            if one.values.shape != shape:
                msg = f"{name} has the shape {one.values.shape}, the cube {dict(zip(self.coords, shape, strict=True))}"
                raise InputError(msg)

    def __repr__(self) -> str:
        size = " x ".join(f"{name} {len(labels)}" for name, labels in self.coords.items())
        return f"<Cube of {size}: {', '.join(self.values)[:100]}>"

    def as_dict(self) -> dict[str, Any]:
        """The cube as plain values."""
        return {
            "coords": {name: labels.tolist() for name, labels in self.coords.items()},
            "values": {
                name: {"kind": one.kind, "meaning": one.meaning, "values": _plain(one.values)}
                for name, one in self.values.items()
            },
        }

    def to_xarray(self) -> xarray.Dataset:
        """The cube as a labelled dataset, each variable's kind and meaning among its attributes. Needs xarray."""
        from fastsmc.results.export import library

        variables = {
            name: (tuple(self.coords), one.values, {"kind": one.kind, "meaning": one.meaning})
            for name, one in self.values.items()
        }
        made: xarray.Dataset = library("xarray").Dataset(variables, coords=dict(self.coords))
        return made


def _plain(values: NDArray[Any]) -> Any:
    """Values as JSON has them: unknown numbers (NaN) are null."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        told = values.astype(object)
        told[~np.isfinite(values)] = None
        return told.tolist()
    return values.tolist()


def plain(value: Any) -> Any:
    """A value as JSON has it: arrays and tuples are lists, what is no number is null, all else is its text.

    >>> plain({"link": (np.float64(25), None), "at": float("nan")})
    {'link': [25.0, None], 'at': None}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return str(value)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What was asked, and the answer.

    Attributes:
        question: the function that was asked, "largest_shape".
        answer: one sentence, with the numbers that decide and their units.
        is_met: whether what was asked for can be had; None where what is unknown decides.
        excuses: why not, each counted and with an example, most first.
        bottleneck: what limits the answer.
        weakest: the assumed figure that it depends on most.
        inputs: what was asked with, as plain values.
        assumptions: what the answer rests on, weakest first, each once.
        provenance: the versions and the machine that found it, and when; no host name and no path. Its seed and inputs
            are those of `inputs`.
        tables: further tables by name, such as what blocks an upgrade.
    """

    question: str
    answer: str
    table: Table
    is_met: bool | None = True
    cube: Cube | None = None
    excuses: tuple[Excuse, ...] = ()
    bottleneck: str = ""
    weakest: Weakest | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=lambda: provenance(seed=0, inputs={}), repr=False)
    tables: Mapping[str, Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inputs = plain(self.inputs)
        seed = inputs.get("seed")
        made = replace(self.provenance, seed=seed if type(seed) is int else 0, inputs=inputs)
        for name, value in (
            ("inputs", inputs),
            ("provenance", made),
            ("excuses", tuple(sorted(self.excuses, key=lambda excuse: -excuse.n_row))),
            ("assumptions", tuple(dict.fromkeys(self.assumptions))),
        ):
            object.__setattr__(self, name, value)

    @property
    def exit_code(self) -> int:
        """0 where the answer is what was asked for, 4 where it is not, 5 where what is unknown decides."""
        return {True: 0, False: CheckError.exit_code, None: UnknownError.exit_code}[self.is_met]

    def __repr__(self) -> str:
        return f"<Plan {self.question}: {self.answer[:140]}>"

    def __str__(self) -> str:
        from fastsmc.plan.text import text

        return text(self)

    def _repr_html_(self) -> str:
        from fastsmc.plan.text import html

        return html(self)

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain values. What it was asked with stands once, as `inputs`."""
        weak = self.weakest
        return {
            "question": self.question,
            "answer": self.answer,
            "met": self.is_met,
            "bottleneck": self.bottleneck,
            "weakest": None if weak is None else plain(weak._asdict()),
            "excuses": [{"why": e.why, "rows": int(e.n_row), "example": plain(e.example)} for e in self.excuses],
            "assumptions": list(self.assumptions),
            "inputs": dict(self.inputs),
            "kinds": self.table.kinds,
            "rows": list(self.table.rows()),
            "cube": None if self.cube is None else self.cube.as_dict(),
            "tables": {name: list(table.rows()) for name, table in self.tables.items()},
            "provenance": {name: value for name, value in asdict(self.provenance).items() if name != "inputs"},
        }

    def compare(self, other: Plan) -> Comparison:
        """What is different in another plan of the same question: the answer, numbers of rows, inputs, assumptions.

        Raises:
            InputError: a plan of another question.
        """
        from fastsmc.plan.compared import compare

        return compare(self, other)

    def figure(self) -> Figure:
        """One picture of the answer, from the table, the cube and the inputs: a plan that was loaded draws the same.

        Raises:
            InputError: a question of which there is no figure, or nothing to draw.
        """
        from fastsmc.reporting.plans import picture

        return picture(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the plan as JSON; the file is there complete or not at all.

        Raises:
            ResultFileError: the file cannot be written, or would be larger than is read back.
        """
        from fastsmc.plan.saving import save

        save(self, path)

    def file_text(self) -> str:
        """The text that `save` writes.

        Raises:
            ResultFileError: it would be larger than is read back.
        """
        from fastsmc.plan.saving import file_text

        return file_text(self, "the plan")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """A saved plan, its provenance that of the day it was made.

        Raises:
            ResultFileError: missing, unreadable, damaged, of another schema, or no plan.
        """
        from fastsmc.plan.saving import load

        return load(path)

    def to_csv(self) -> str:
        """The table as CSV, numbers in full precision."""
        return self.table.to_csv()

    def to_markdown(self) -> str:
        """The answer, the table and what it rests on, as Markdown."""
        from fastsmc.plan.text import markdown

        return markdown(self)

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a data frame. Needs pandas."""
        return self.table.to_pandas()

    def to_arrow(self) -> pyarrow.Table:
        """The table for Arrow, which writes Parquet. Needs pyarrow."""
        return self.table.to_arrow()

    def to_xarray(self) -> xarray.Dataset:
        """The cube, or the table where there is none, as a labelled dataset. Needs xarray."""
        return self.table.to_xarray() if self.cube is None else self.cube.to_xarray()
