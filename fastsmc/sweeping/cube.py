"""A journal as labelled arrays: a variable for each measure over the axes and repeats, and histograms that merge."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import not_among, shown
from fastsmc.errors import InputError
from fastsmc.results.histogram import Histogram
from fastsmc.results.log_linear import N_BUCKET
from fastsmc.sweeping.design import Design
from fastsmc.sweeping.journal import Journal
from fastsmc.sweeping.record import unpacked

STATES = {"left": 0, "done": 1, "failed": 2, "left out": 3}
"""Values of the variable `state`; "left out" are points that `where` does not keep."""


def xarray() -> Any:
    """The package xarray.

    Raises:
        InputError: it is not installed.
    """
    try:
        import xarray as found
    except ImportError as error:
        msg = f"labelled arrays need xarray, which is not installed ({error}): pip install 'fastsmc[sweep]'"
        raise InputError(msg) from error
    return found


def dims_of(design: Design) -> tuple[str, ...]:
    """The names of the cube's dimensions: the axes in their order, then repeat."""
    return (*(axis.name for axis in design.grid.axes), "repeat")


def coords_of(design: Design) -> dict[str, Any]:
    """The labels along each dimension, and the seed of each repeat where random numbers are drawn."""
    grid = design.grid
    labels: dict[str, Any] = {axis.name: np.array(axis.labels) for axis in grid.axes}
    repeats = np.arange(grid.repeats)
    if not design.subject.has_seed:
        return {**labels, "repeat": repeats}
    seeds = np.array([grid.seed_of(repeat) for repeat in range(grid.repeats)], np.int64)
    return {**labels, "repeat": repeats, "seed": ("repeat", seeds)}


def shape_of(design: Design) -> tuple[int, ...]:
    """The cube's shape; the number of a cell is its place in the flat cube."""
    return (*design.grid.shape, design.grid.repeats)


def dataset(journal: Journal) -> Any:
    """An xarray.Dataset: float64 per measure, NaN where a cell has no number; int8 `state` (see STATES); answers."""
    design = journal.design
    shape, dims = shape_of(design), dims_of(design)
    n = math.prod(shape)
    values = np.full((len(design.measures), n), np.nan)
    answers = np.full(n, "", object)
    for cell, content in journal.contents(done=True):
        record = unpacked(content, len(design.measures))
        values[:, cell], answers[cell] = record.values, record.answer
    state = np.full(n, STATES["left out"], np.int8)
    state[design.grid.cells] = STATES["left"]
    for name, is_done in (("done", True), ("failed", False)):
        state[journal.cells(done=is_done)] = STATES[name]
    variables: dict[str, Any] = {
        name: (dims, values[i].reshape(shape), dict(design.subject.attributes(name)))
        for i, name in enumerate(design.measures)
    }
    flags = {"flag_values": list(STATES.values()), "flag_meanings": " ".join(key.replace(" ", "_") for key in STATES)}
    variables["state"] = (dims, state.reshape(shape), flags)
    told = {design.subject.word: design.name, "kind": design.kind, "seed": design.grid.seed, "where": design.where}
    if design.subject.word == "question":
        variables["answer"] = (dims, answers.astype(np.str_).reshape(shape), {"meaning": "the answer of each cell"})
        told |= {"question": design.table["question"], "name": design.name}
    if not design.subject.has_seed:
        del told["seed"]
    return xarray().Dataset(variables, coords_of(design), told)


def merged(
    journal: Journal, time: str, group: str, over: Iterable[str], where: dict[str, Any]
) -> Iterator[tuple[tuple[int, ...], Histogram]]:
    """Histograms of the cells that are done, merged along some dimensions: (place along the others, histogram).

    Args:
        where: labels of cells that count, by dimension.

    Raises:
        InputError: no such time, group, dimension or label, or cells without histograms.
    """
    design = journal.design
    if not design.subject.has_histograms:
        msg = f"{design.name}: cells of a question keep no histograms, only those of a scenario: read dataset"
        raise InputError(msg)
    shape, dims = shape_of(design), dims_of(design)
    left = [axis for axis, name in enumerate(dims) if name not in set(_known(over, dims, "over"))]
    wanted = {dims.index(name): _label(design, name, where[name]) for name in _known(where, dims, "coordinate")}
    found: dict[tuple[int, ...], tuple[NDArray[np.int64], list[float]]] = {}
    for cell, content in journal.contents(done=True):
        place = tuple(int(i) for i in np.unravel_index(cell, shape))
        if any(place[axis] != index for axis, index in wanted.items()):
            continue
        histograms = unpacked(content, len(design.measures)).histograms
        if (one := histograms.get((group, time))) is None:
            raise InputError(not_among("histogram", f"{group}.{time}".lstrip("."), _names(histograms)))
        key = tuple(place[axis] for axis in left)
        counts, rest = found.setdefault(key, (np.zeros(N_BUCKET, np.int64), [0.0, 0.0]))
        counts += one.counts
        rest[:] = rest[0] + one.total_ns, max(rest[1], one.max_ns)
    for key in sorted(found):
        counts, (total, largest) = found[key]
        yield key, Histogram(counts, total, largest)


def quantiles(journal: Journal, share: float, time: str, group: str, over: Iterable[str]) -> Any:
    """An xarray.DataArray of a quantile, of histograms merged along `over`; NaN where no cell is done."""
    design = journal.design
    names, shape, dims = list(over), shape_of(design), dims_of(design)
    left = [name for name in dims if name not in names]
    values = np.full([size for name, size in zip(dims, shape, strict=True) if name in left], np.nan)
    for key, histogram in merged(journal, time, group, names, {}):
        values[key] = histogram.quantile(share)
    coords = {name: label for name, label in coords_of(design).items() if name in left}
    told = {"units": "ns", "kind": "modelled", "quantile": share, "merged_over": " ".join(names)}
    name = f"{group}{'.' * bool(group)}{time}_p{100 * share:.6g}_ns"
    return xarray().DataArray(values, coords, left, name, told)


def _known(names: Iterable[str], dims: tuple[str, ...], what: str) -> list[str]:
    found = list(names)
    for name in found:
        if name not in dims:
            raise InputError(not_among(what, name, list(dims)))
    return found


def _label(design: Design, name: str, label: object) -> int:
    labels = np.asarray(coords_of(design)[name]).tolist()
    if label not in labels:
        msg = f"{name} is {shown(label)}: it must be one of {shown(labels)}"
        raise InputError(msg)
    return int(labels.index(label))


def _names(histograms: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{group}{'.' * bool(group)}{time}" for group, time in histograms]


def as_netcdf(found: Any) -> bytes:
    """A dataset as a NetCDF-4 file's bytes, the same for the same dataset.

    Raises:
        InputError: what writes such files is not installed.
    """
    try:
        import h5netcdf  # noqa: F401
    except ImportError as error:
        msg = f"NetCDF files need h5netcdf, which is not installed ({error}): pip install 'fastsmc[sweep]'"
        raise InputError(msg) from error
    with _unnamed() as place:
        found.to_netcdf(place, engine="h5netcdf")
        return Path(place).read_bytes()


@contextmanager
def _unnamed() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield os.path.join(folder, "cube.nc")  # noqa: PTH118
