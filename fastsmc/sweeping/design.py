"""What a sweep is: a scenario with all that it reads, a grid, measures. As JSON it is all that a worker is given."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from fastsmc.checks import I64Array, shown, whole
from fastsmc.errors import InputError
from fastsmc.files.limits import TOML, TRACE
from fastsmc.files.packed import Refused
from fastsmc.files.source import opened
from fastsmc.jit.compiled import sources_digest
from fastsmc.scenario import Scenario
from fastsmc.scenario.overrides import put
from fastsmc.scenario.problems import read_toml
from fastsmc.sweeping import measures
from fastsmc.sweeping.grid import MOST_SEED, Axis, Grid, axes_of, n_point_of, place
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
        name: of the scenario. table: what its file holds.
        files: what it reads beyond, by the names that it has for them: profiles and traces, packed as text.
        where: the condition as text; "" for none, "a function" for one that is no text.
        sources: a digest of the sources of fastsmc that compute its cells.
    """

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
            "scenario": {"name": self.name, "table": self.table},
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

    @classmethod
    def from_parts(cls, parts: Mapping[str, str]) -> Design:
        """Undoes `parts`.

        Raises:
            InputError, ValueError, KeyError, TypeError, AttributeError: not what it gives.
        """
        of = {name: json.loads(text) for name, text in parts.items()}
        scenario = of["scenario"]
        axes = axes_of(dict(of["grid"]), scenario["table"])
        n_point, repeats = n_point_of(axes, of["repeats"])
        points = _unrun(of["points"], n_point)
        kept = measures.checked(of["measures"], [str(name).rpartition(".")[0] for name in of["measures"]])
        files = {str(name): str(content) for name, content in of["files"].items()}
        grid = Grid(axes, points, repeats, whole("seed", of["seed"], last=MOST_SEED))
        sources = str(of["sources of fastsmc"])
        return cls(str(scenario["name"]), scenario["table"], files, grid, str(of["where"]), kept, sources)

    def cell_table(self, cell: int) -> dict[str, Any]:
        """The scenario's table for a cell, with its repeat's seed."""
        indices, repeat = self.grid.places(cell)
        table = self.table
        for axis, index in zip(self.grid.axes, indices, strict=True):
            table = put(table, axis.path, axis.values[index])
        return {**table, "seed": self.grid.seed_of(repeat)}


def unpacked(text: str) -> bytes:
    """The content of one of a design's files.

    Raises:
        InputError: it is damaged.
    """
    inflated = zlib.decompressobj()
    try:
        content = inflated.decompress(base64.b64decode(text), TRACE.most_bytes)
    except (ValueError, zlib.error):
        content = b""
    if not inflated.eof:
        msg = f"a file of a sweep is damaged, or larger than {TRACE.most_bytes >> 20} MiB: sweep again"
        raise InputError(msg)
    return content


def named_files(table: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The files that a scenario's table reads: where it names them, and the names."""
    profile = table.get("profile")
    if isinstance(profile, str) and profile.endswith(".toml"):
        yield ("profile",), profile
    workloads = table.get("workloads")
    for key, workload in workloads.items() if isinstance(workloads, Mapping) else ():
        arrivals = workload.get("arrivals") if isinstance(workload, Mapping) else None
        if isinstance(workload, Mapping) and isinstance(workload.get("trace"), str):
            yield ("workloads", key, "trace"), workload["trace"]
        if isinstance(arrivals, Mapping) and isinstance(arrivals.get("file"), str):
            yield ("workloads", key, "arrivals", "file"), arrivals["file"]


def design_of(
    scenario: str | os.PathLike[str] | Mapping[str, Any],
    over: object,
    *,
    where: Where = None,
    repeats: int = 1,
    seed: int | None = None,
    measure: object = measures.DEFAULT,
) -> Design:
    """A sweep's design, checked: its scenario, every path, every value and the condition.

    Raises:
        InputError: what is wrong with one of them.
    """
    base, table, folder = _base(scenario)
    axes = axes_of(over, table)
    n_point, n_repeat = n_point_of(axes, repeats)
    first_seed = base.seed if seed is None else whole("seed", seed, last=MOST_SEED)
    points = _kept(where, axes, n_point)
    return _checked(
        Design(
            base.name,
            table,
            _files(table, axes, folder),
            Grid(axes, points, n_repeat, first_seed),
            where if isinstance(where, str) else _CALLED if where is not None else "",
            measures.checked(measure, [group.name for group in base.groups]),
            sources_digest(),
        ),
        folder,
    )


def _base(scenario: object) -> tuple[Scenario, dict[str, Any], FilePath]:
    """The scenario without any override, as it is checked and as it is written."""
    if isinstance(scenario, str | os.PathLike):
        path = FilePath(scenario)
        base = Scenario.load(path)
        return base, _plain(read_toml(path, "a scenario")[1], base.name), path.parent
    if isinstance(scenario, Mapping):
        base = Scenario.of(scenario)
        return base, _plain(scenario, base.name), FilePath()
    msg = f"the scenario to sweep is {shown(scenario)}: give the path of its file, or its table"
    raise InputError(msg)


def _plain(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(table, allow_nan=False))
    except (TypeError, ValueError) as error:
        msg = f"{name}: a value that no scenario can hold: {error}"
        raise InputError(msg) from None
    return plain


def _files(table: dict[str, Any], axes: tuple[Axis, ...], folder: FilePath) -> dict[str, str]:
    """The content of every file that a cell may read: of the scenario, and of values of its axes."""
    tables = [table, *(put(table, axis.path, value) for axis in axes for value in axis.values)]
    names = {name: path[0] for one in tables for path, name in named_files(one)}
    contents = {}
    for name, kind in names.items():
        try:
            with opened(folder / name, TOML if kind == "profile" else TRACE) as source:
                contents[name] = base64.b64encode(zlib.compress(bytes(source.all()), 6)).decode()
        except Refused as error:
            msg = f"{folder / name}: {error}"
            raise InputError(msg) from error
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


def _checked(design: Design, folder: FilePath) -> Design:
    """The design, once some cells were read, so that each value of its axes is in one.

    Raises:
        InputError: a value that the reader of scenarios refuses in each of a few cells that have it, as it refuses all
            values at a path that no scenario has.
    """
    grid = design.grid
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
            Scenario.of(design.cell_table(point * grid.repeats), name=design.name, folder=folder)
        except InputError:
            for value in set(values) - good:
                n_refused[value] += 1
                if n_refused[value] >= min(_TRIES, n_point[value]):
                    raise
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
