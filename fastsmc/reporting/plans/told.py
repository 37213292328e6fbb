"""What a figure reads of a plan: a saved one has all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.results.tables import Table


class Numbers(Protocol):
    """Numbers over the dimensions of a cube, and how they came about."""

    @property
    def values(self) -> NDArray[Any]: ...
    @property
    def kind(self) -> str: ...


class Cube(Protocol):
    """Labelled dimensions in order, and numbers over them by name."""

    @property
    def coords(self) -> Mapping[str, NDArray[Any]]: ...
    @property
    def values(self) -> Mapping[str, Any]: ...


class Told(Protocol):
    """A plan, as far as a figure needs it."""

    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def table(self) -> Table: ...
    @property
    def cube(self) -> Any: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...


def cube_of(plan: Told, *dimensions: str) -> Cube:
    """The plan's cube, which has these dimensions.

    Raises:
        InputError: there is none, or it lacks one of them.
    """
    cube: Cube | None = plan.cube
    lacks = [name for name in dimensions if cube is None or name not in cube.coords]
    if cube is None or lacks:
        msg = f"this plan of {plan.question} has no cube of {', '.join(dimensions)}: there is nothing to draw"
        raise InputError(msg)
    return cube


def numbers_of(cube: Cube, name: str) -> tuple[NDArray[np.float64], str]:
    """Numbers of a cube as float64, NaN where they are not known, and their kind.

    Raises:
        InputError: the cube has none of that name.
    """
    if name not in cube.values:
        msg = f"the plan's cube has no {name}: there is nothing to draw"
        raise InputError(msg)
    return np.asarray(cube.values[name].values, np.float64), str(cube.values[name].kind)


def number_in(plan: Told, name: str) -> float:
    """A number that was asked with.

    Raises:
        InputError: the plan does not tell it.
    """
    value = plan.inputs.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"this plan of {plan.question} does not tell its {name}: there is nothing to draw"
        raise InputError(msg)
    return float(value)
