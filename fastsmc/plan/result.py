"""A plan: the answer to a planner's question, in a sentence, a table and a cube, with all that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.errors import CheckError, InputError, UnknownError
from fastsmc.results.tables import ColumnKind, Table


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
        row = ", ".join(f"{name} {shown(value)}" for name, value in self.example.items())
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


def _plain(values: NDArray[Any]) -> Any:
    """Values as JSON has them: unknown numbers (NaN) are null."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        told = values.astype(object)
        told[~np.isfinite(values)] = None
        return told.tolist()
    return values.tolist()


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
        assumptions: what the answer rests on, weakest first.
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
    tables: Mapping[str, Table] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 where the answer is what was asked for, 4 where it is not, 5 where what is unknown decides."""
        return {True: 0, False: CheckError.exit_code, None: UnknownError.exit_code}[self.is_met]

    def __repr__(self) -> str:
        return f"<Plan {self.question}: {self.answer[:140]}>"

    def __str__(self) -> str:
        lines = [self.answer]
        if self.bottleneck:
            lines.append(f"bottleneck: {self.bottleneck}")
        if self.weakest:
            weak = self.weakest
            lines += [
                f"weakest figure: {weak.figure}",
                f"  at {weak.low:g}: {weak.at_low}",
                f"  at {weak.high:g}: {weak.at_high}",
            ]
        lines += [f"why not, {excuse}" for excuse in self.excuses]
        return "\n".join([*lines, *(f"assumes {text}" for text in self.assumptions)])

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain values."""
        weak = self.weakest
        return {
            "question": self.question,
            "answer": self.answer,
            "met": self.is_met,
            "bottleneck": self.bottleneck,
            "weakest": None if weak is None else weak._asdict(),
            "excuses": [{"why": e.why, "rows": e.n_row, "example": dict(e.example)} for e in self.excuses],
            "assumptions": list(self.assumptions),
            "inputs": dict(self.inputs),
            "kinds": self.table.kinds,
            "rows": list(self.table.rows()),
            "cube": None if self.cube is None else self.cube.as_dict(),
            "tables": {name: list(table.rows()) for name, table in self.tables.items()},
        }
