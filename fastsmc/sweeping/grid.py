"""The cells of a sweep: values along axes, the points that are kept, and repeats with random numbers in common."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import I64Array, shown, whole
from fastsmc.errors import InputError
from fastsmc.scenario.overrides import path_of
from fastsmc.scenario.toml_lines import Path

MOST_CELLS = 1_000_000
MOST_VALUES = 1 << 16
MOST_AXES = 16
MOST_SEED = (1 << 63) - 1
OTHER_NAMES = ("repeat", "seed")
"""What else a cell is told by, so that no axis may have these names."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Values that are put in at one path of the scenario.

    Attributes:
        name: the path as given, such as vms[0].vcpus.
        values: as TOML would give them; numbers, texts, booleans, or lists and tables of these.
    """

    name: str
    path: Path
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[Any, ...]:
        """The values as coordinates: numbers, booleans or texts, all of one kind; others as their JSON."""
        for kind in ((bool,), (str,), (int, float)):
            if all(isinstance(v, kind) and (bool in kind or not isinstance(v, bool)) for v in self.values):
                return self.values
        return tuple(value if isinstance(value, str) else json.dumps(value) for value in self.values)


def axes_of(over: object, table: Mapping[str, Any]) -> tuple[Axis, ...]:
    """The axes that `over` names for a scenario's table.

    Raises:
        InputError: not a table of lists of values, a path that is none, values given twice, or too many.
    """
    if not isinstance(over, Mapping):
        msg = f"over is {shown(over)}: give values by override path, such as {{'vms[0].vcpus': [64, 256]}}"
        raise InputError(msg)
    axes: list[Axis] = []
    for name, given in over.items():
        path = path_of(name, table)
        if path[0] in OTHER_NAMES:
            msg = f"override path {name!r}: repeats draw seeds of their own: give seed and repeats instead"
            raise InputError(msg)
        axes.append(Axis(name, path, _values(name, given)))
    paths = [axis.path for axis in axes]
    for i, one in enumerate(paths):
        for j, other in enumerate(paths):
            if i != j and other[: len(one)] == one:
                msg = f"override paths {axes[i].name!r} and {axes[j].name!r}: one is a part of the other"
                raise InputError(msg)
    if len(axes) > MOST_AXES:
        msg = f"over has {len(axes)} paths: at most {MOST_AXES} are varied at once"
        raise InputError(msg)
    return tuple(axes)


def _values(name: str, given: object) -> tuple[Any, ...]:
    given = given.tolist() if isinstance(given, np.ndarray) else given
    values = list(given) if isinstance(given, Iterable) and not isinstance(given, str | Mapping) else []
    if not 0 < len(values) <= MOST_VALUES:
        msg = f"over {name!r} is {shown(given)}: give a list of 1 to {MOST_VALUES} values"
        raise InputError(msg)
    try:
        plain = [json.loads(json.dumps(_plain(value), allow_nan=False)) for value in values]
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"over {name!r}: a value that no scenario can hold ({error}): give numbers, texts, lists or tables"
        raise InputError(msg) from None
    texts = [json.dumps(value) for value in plain]
    if len(set(texts)) < len(texts):
        twice = next(text for i, text in enumerate(texts) if text in texts[:i])
        msg = f"over {name!r}: {shown(json.loads(twice))} is there twice: give each value once"
        raise InputError(msg)
    return tuple(plain)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True, eq=False)
class Grid:
    """All cells of a sweep. A cell's number is its point's, counted with the last axis fastest, times `repeats`, plus
    its repeat; so it stays what it is whichever points are kept.

    Attributes:
        points: int64[n_point], which of all points are kept, ascending.
        seed: of repeat 0; see `seed_of`.
    """

    axes: tuple[Axis, ...]
    points: I64Array
    repeats: int
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Values of each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    @cached_property
    def cells(self) -> I64Array:
        """int64[n_cell], the numbers of all cells, ascending: the repeats of a point one after another."""
        cells: NDArray[np.int64] = (self.points[:, None] * self.repeats + np.arange(self.repeats)).ravel()
        return cells

    def places(self, cell: int) -> tuple[tuple[int, ...], int]:
        """Where a cell lies: an index for each axis, and its repeat."""
        point, repeat = divmod(cell, self.repeats)
        return place(point, self.shape), repeat

    def coordinates(self, cell: int) -> dict[str, Any]:
        """The labels of a cell by the names of its axes, and its repeat."""
        indices, repeat = self.places(cell)
        named = {axis.name: axis.labels[i] for axis, i in zip(self.axes, indices, strict=True)}
        return {**named, "repeat": repeat}

    def seed_of(self, repeat: int) -> int:
        """The seed of a repeat, the same for every point: so designs meet the same arrivals, and differ by design.

        Repeat 0 has the sweep's own, so that its cells are what `simulate` gives for that seed.
        """
        if not repeat:
            return self.seed
        mixed = hashlib.blake2b(f"{self.seed} {repeat}".encode(), digest_size=8).digest()
        return int.from_bytes(mixed, "little") & MOST_SEED


def place(point: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index of a point along each axis."""
    indices = []
    for size in reversed(shape):
        point, index = divmod(point, size)
        indices.append(index)
    return tuple(reversed(indices))


def n_point_of(axes: tuple[Axis, ...], repeats: object) -> tuple[int, int]:
    """Points of the whole grid, and repeats.

    Raises:
        InputError: more cells than can be swept, or no number of repeats.
    """
    n_repeat = whole("repeats", repeats, first=1, last=MOST_CELLS)
    n_point = math.prod(len(axis.values) for axis in axes)
    if n_point * n_repeat > MOST_CELLS:
        msg = f"{n_point:,} points with {n_repeat:,} repeats each: at most {MOST_CELLS:,} cells are swept at once"
        raise InputError(msg)
    return n_point, n_repeat
