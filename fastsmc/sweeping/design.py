"""What a sweep is: what is swept with all that it reads, a grid, measures. As JSON it is all that a worker is given."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fastsmc.checks import I64Array, shown, whole
from fastsmc.errors import InputError
from fastsmc.files.packed import Refused
from fastsmc.files.source import opened
from fastsmc.jit.compiled import sources_digest
from fastsmc.scenario.overrides import put
from fastsmc.sweeping.given import base_of, subject_of
from fastsmc.sweeping.grid import MOST_SEED, Axis, Grid, axes_of, n_point_of, place
from fastsmc.sweeping.held import Held, packed
from fastsmc.sweeping.subject import Base, Subject, Word
from fastsmc.sweeping.where import Condition

FORMAT = 1
_CALLED = "a function"
_MOST_READ, _TRIES = 256, 4
"""Cells that are read before anything runs, in all and for each value, to see that a value can be read at all."""
Where = str | Callable[[dict[str, Any]], bool] | None
"""Which points are kept: a condition, or a function of their coordinates; None: all."""


@dataclass(frozen=True, eq=False)
class Design:
    """A sweep before it runs.

    Attributes:
        subject: what a cell is computed of.
        name: of its file. table: what its file holds.
        files: what it reads beyond, by the names that it has for them: profiles, traces, inventories, packed as text.
        where: the condition as text; "" for none, "a function" for one that is no text.
        sources: a digest of the sources of fastsmc that compute its cells.
    """

    subject: Subject
    name: str
    table: dict[str, Any]
    files: dict[str, str]
    grid: Grid
    where: str
    measures: tuple[str, ...]
    sources: str

    @cached_property
    def parts(self) -> dict[str, str]:
        """All of it as JSON texts by what they are called in messages; two sweeps are the same if these are."""
        grid = self.grid
        texts = {
            "format": FORMAT,
            "sources of fastsmc": self.sources,
            self.subject.word: {"name": self.name, "table": self.table},
            "files": self.files,
            "grid": [[axis.name, list(axis.values)] for axis in grid.axes],
            "where": self.where,
            "points": _runs(grid.points),
            "repeats": grid.repeats,
            "seed": grid.seed,
            "measures": list(self.measures),
        }
        # Keys stay in their order: that of a mix says which random numbers draw which call.
        return {name: json.dumps(value, allow_nan=False) for name, value in texts.items()}

    def as_json(self) -> str:
        """All that a worker needs."""
        return json.dumps(self.parts)

    @property
    def digest(self) -> str:
        """Names the sweep: what is computed is the same where this is."""
        return hashlib.blake2b(self.as_json().encode(), digest_size=12).hexdigest()

    @property
    def kind(self) -> str:
        """What may be said of all its measures: assumed where one may rest on what nobody has published."""
        kinds = {self.subject.attributes(name)["kind"] for name in self.measures}
        return "assumed" if "assumed" in kinds else "modelled"

    @classmethod
    def from_parts(cls, parts: Mapping[str, str]) -> Design:
        """Undoes `parts`.

        Raises:
            InputError, ValueError, KeyError, TypeError, AttributeError: not what it gives.
        """
        of = {name: json.loads(text) for name, text in parts.items()}
        word: Word = "question" if "question" in of else "scenario"
        base = of[word]
        subject = subject_of(word, base["table"], of["measures"])
        axes = axes_of(dict(of["grid"]), base["table"])
        n_point, repeats = n_point_of(axes, of["repeats"])
        points = _unrun(of["points"], n_point)
        files = {str(name): str(content) for name, content in of["files"].items()}
        grid = Grid(axes, points, repeats, whole("seed", of["seed"], last=MOST_SEED))
        sources = str(of["sources of fastsmc"])
        kept = subject.measures(of["measures"])
        return cls(subject, str(base["name"]), base["table"], files, grid, str(of["where"]), kept, sources)

    def cell_table(self, cell: int) -> dict[str, Any]:
        """The table for a cell, with its repeat's seed if it draws random numbers."""
        indices, repeat = self.grid.places(cell)
        table = self.table
        for axis, index in zip(self.grid.axes, indices, strict=True):
            table = put(table, axis.path, axis.values[index])
        return {**table, "seed": self.grid.seed_of(repeat)} if self.subject.has_seed else table


def design_of(
    given: str | os.PathLike[str] | Mapping[str, Any],
    over: object,
    *,
    where: Where = None,
    repeats: int = 1,
    seed: int | None = None,
    measure: object = None,
) -> Design:
    """A sweep's design, checked: what is swept, every path, every value and the condition.

    Raises:
        InputError: what is wrong with one of them.
    """
    base = base_of(given)
    axes = axes_of(over, base.table)
    _check_axes(base, axes)
    n_point, n_repeat = n_point_of(axes, repeats)
    _check_repeats(base, n_repeat, seed)
    points = _kept(where, axes, n_point)
    design = Design(
        base.subject,
        base.name,
        base.table,
        _files(base, axes),
        Grid(axes, points, n_repeat, base.seed if seed is None else whole("seed", seed, last=MOST_SEED)),
        where if isinstance(where, str) else _CALLED if where is not None else "",
        base.subject.measures(base.subject.default if measure is None else measure),
        sources_digest(),
    )
    return _checked(design)


def _check_axes(base: Base, axes: tuple[Axis, ...]) -> None:
    for axis in axes:
        if axis.path[0] in base.subject.fixed:
            msg = f"override path {axis.name!r}: it is the same in all cells of a sweep: sweep once for each"
            raise InputError(msg)


def _check_repeats(base: Base, n_repeat: int, seed: object) -> None:
    """Refuses repeats and seeds of what draws no random numbers."""
    if not base.subject.has_seed and (n_repeat > 1 or seed is not None):
        what = f"repeats is {n_repeat}" if n_repeat > 1 else f"seed is {shown(seed)}"
        msg = f"{what}: {base.table.get('question', base.name)} draws no random numbers: leave it out"
        raise InputError(msg)


def _files(base: Base, axes: tuple[Axis, ...]) -> dict[str, str]:
    """The content of every file that a cell may read: of what is swept, and of values of its axes."""
    tables = [base.table, *(put(base.table, axis.path, value) for axis in axes for value in axis.values)]
    kinds = {name: kind for one in tables for _, name, kind in base.subject.named_files(one)}
    contents = {}
    for name, kind in kinds.items():
        content = base.held.get(name)
        if content is None:
            try:
                with opened(base.folder / name, kind) as source:
                    content = bytes(source.all())
            except Refused as error:
                msg = f"{base.folder / name}: {error}"
                raise InputError(msg) from error
        contents[name] = packed(content)
    return contents


def _kept(where: object, axes: tuple[Axis, ...], n_point: int) -> I64Array:
    if where is None:
        return np.arange(n_point, dtype=np.int64)
    names, shape = [axis.name for axis in axes], tuple(len(axis.values) for axis in axes)
    if not isinstance(where, str) and not callable(where):
        msg = f"where is {shown(where)}: give a condition as text, or a function of a point's coordinates"
        raise InputError(msg)
    is_kept = Condition(where, names) if isinstance(where, str) else where
    labels = [axis.labels for axis in axes]

    def point(number: int) -> dict[str, Any]:
        return {name: labels[i][k] for i, (name, k) in enumerate(zip(names, place(number, shape), strict=True))}

    points = np.array([number for number in range(n_point) if is_kept(point(number))], np.int64)
    if not points.size:
        msg = f"where {shown(where)} keeps none of the {n_point:,} points: give one that some meet"
        raise InputError(msg)
    return points


def _checked(design: Design) -> Design:
    """The design, once some cells were read, so that each value of its axes is in one.

    Raises:
        InputError: a value that is refused in each of a few cells that have it, as are all values at a path that no
            scenario or question has.
    """
    grid, held = design.grid, Held(design.files, design.subject.most_bytes)
    places = np.unravel_index(grid.points, grid.shape) if grid.axes else ()
    n_point = {
        (axis, value): int(n) for axis, found in enumerate(places) for value, n in enumerate(np.bincount(found)) if n
    }
    n_refused = dict.fromkeys(n_point, 0)
    good: set[tuple[int, int]] = set()
    n_read = 0
    for point in grid.points.tolist():
        values = list(enumerate(place(point, grid.shape)))
        if (n_read and good.issuperset(values)) or any(n_refused[value] >= _TRIES for value in values):
            continue
        if n_read >= _MOST_READ or len(good) == len(n_point) > 0:
            break
        n_read += 1
        try:
            design.subject.check(design.cell_table(point * grid.repeats), design.name, held.places)
        except InputError as error:
            if not values:
                raise InputError(held.named(str(error))) from error
            for value in set(values) - good:
                n_refused[value] += 1
                if n_refused[value] >= min(_TRIES, n_point[value]):
                    raise InputError(held.named(str(error))) from error
        else:
            good.update(values)
    return design


def _runs(points: I64Array) -> list[list[int]]:
    """Ascending numbers as [first, last] of each run."""
    breaks = np.flatnonzero(np.diff(points) != 1)
    first, last = np.r_[0, breaks + 1], np.r_[breaks, points.size - 1]
    return [[int(points[a]), int(points[b])] for a, b in zip(first, last, strict=True)]


def _unrun(runs: list[list[int]], n_point: int) -> I64Array:
    """Undoes `_runs`, for some of n points."""
    edges = [edge for first, last in runs for edge in (whole("point", first, last=n_point - 1), last)]
    if not edges or edges != sorted(edges) or whole("point", edges[-1], last=n_point - 1) != edges[-1]:
        msg = "points are no runs of whole numbers"
        raise ValueError(msg)
    points: I64Array = np.unique(np.concatenate([np.arange(first, last + 1, dtype=np.int64) for first, last in runs]))
    return points
