"""A sweep as its user has it: what is done, failed and left, labelled arrays, merged quantiles, a table, files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from fastsmc.checks import shown
from fastsmc.errors import CheckError, InputError
from fastsmc.progress import Progress, silent
from fastsmc.results.files import write_each
from fastsmc.results.histogram import RELATIVE_ERROR, Histogram
from fastsmc.results.tables import Column, Table
from fastsmc.sweeping import cube
from fastsmc.sweeping.design import Design
from fastsmc.sweeping.journal import Journal
from fastsmc.sweeping.record import Record, unpacked
from fastsmc.sweeping.text import Summary, answer, summary, told


@dataclass(frozen=True, slots=True)
class FailedCell:
    """A cell that failed; the next sweep with the same journal tries it again.

    Attributes:
        coordinates: labels by the names of the axes, and "repeat". seed: of its repeat.
            It is 0 where nothing is drawn. error: what was wrong.
    """

    coordinates: dict[str, Any]
    seed: int
    error: str

    def __str__(self) -> str:
        return f"{told(self.coordinates)}: {self.error}"

    def __repr__(self) -> str:
        return f"<FailedCell {told(self.coordinates)[:80]}: {shown(self.error)}>"


class Sweep:
    """The cells of a sweep, read from its journal. Everything in it is modelled, or assumed where its kind says so.

    Attributes:
        computed: cells that this call computed, failed ones included. reused: cells that were done before.
    """

    def __init__(self, journal: Journal, *, computed: int = 0, reused: int = 0) -> None:
        self._journal = journal
        self.computed, self.reused = computed, reused

    @property
    def design(self) -> Design:
        """What is swept."""
        return self._journal.design

    @property
    def path(self) -> Path | None:
        """The journal's file; None for one in memory."""
        return self._journal.path

    @cached_property
    def _states(self) -> tuple[int, int, int]:
        n_done, n_failed = (len(self._journal.cells(done=is_done)) for is_done in (True, False))
        return n_done, n_failed, int(self.design.grid.cells.size) - n_done - n_failed

    @property
    def done(self) -> int:
        """Cells that are done."""
        return self._states[0]

    @property
    def left(self) -> int:
        """Cells that are neither done nor failed, of a sweep that was stopped."""
        return self._states[2]

    @cached_property
    def failed(self) -> tuple[FailedCell, ...]:
        """The cells that failed, with what was wrong."""
        grid = self.design.grid
        rows = self._journal.contents(done=False)
        return tuple(
            FailedCell(found := grid.coordinates(cell), grid.seed_of(found["repeat"]), content.decode(errors="replace"))
            for cell, content in rows
        )

    def records(self) -> Iterator[tuple[int, Record]]:
        """Number and record of the cells that are done, in their order."""
        n = len(self.design.measures)
        return ((cell, unpacked(content, n)) for cell, content in self._journal.contents(done=True))

    @cached_property
    def summary(self) -> Summary:
        """The least and the most of each measure, and how many cells have an exit code."""
        return summary(self)

    @cached_property
    def answer(self) -> str:
        """One sentence: how many cells are done, how many are met, and how far the first measure goes."""
        return answer(self)

    @cached_property
    def dataset(self) -> Any:
        """An xarray.Dataset over the axes and `repeat`: a float64 variable per measure, NaN where a cell has no number.

        Its variable `state` says which cells are left (0), done (1), failed (2), left out by `where` (3). Of a question
        `answer` has the sentences, "" where a cell is not done.

        Raises:
            InputError: xarray is not installed.
        """
        return cube.dataset(self._journal)

    def quantile(
        self, share: float, *, over: str | Iterable[str] = "repeat", time: str = "response", group: str = ""
    ) -> Any:
        """A quantile in ns, by the dimensions that are left: an xarray.DataArray, NaN where no cell is done.

        Histograms are merged along `over` before the quantile is read; quantiles are never averaged.

        Args:
            share: such as 0.99. over: names of dimensions. time: response, waiting or service.
            group: one that a measure names; "" is the fleet.

        Raises:
            InputError: a share outside 0..1, no such dimension, time or group, a sweep of a question, or xarray is not
                installed.
        """
        Histogram.of([0.0]).quantile(share)
        return cube.quantiles(self._journal, share, time, group, [over] if isinstance(over, str) else over)

    def histogram(self, *, time: str = "response", group: str = "", where: dict[str, Any] | None = None) -> Histogram:
        """The histogram of times of all cells that are done, or of those with the given labels, merged.

        Args:
            where: labels by dimension, such as {"vms[0].vcpus": 64}.

        Raises:
            InputError: no such dimension, label, time or group, or a sweep of a question.
        """
        of_all = cube.dims_of(self.design)
        found = [histogram for _, histogram in cube.merged(self._journal, time, group, of_all, where or {})]
        return Histogram.merged(found)

    def table(self) -> Table:
        """A row per cell that is done: labels, repeat, seed, measures; none where no cell is done."""
        design, grid = self.design, self.design.grid
        found = [(grid.coordinates(cell), record) for cell, record in self.records()]
        labels = [*(axis.name for axis in grid.axes), "repeat"]
        columns = {name: Column.of([at[name] for at, _ in found], "input") for name in labels}
        if design.subject.has_seed:
            columns["seed"] = Column.of([grid.seed_of(at["repeat"]) for at, _ in found], "input")
        is_question = design.subject.word == "question"
        for i, name in enumerate(design.measures):
            its: Any = design.subject.attributes(name)
            values = [record.values[i] for _, record in found]
            columns[name] = Column.of(values, its["kind"], its.get("meaning", ""), unknown=is_question)
        if is_question:
            columns["answer"] = Column.of([record.answer for _, record in found])
        return Table("A row per cell that is done.", columns)

    @property
    def exit_code(self) -> int:
        """How its command ends: 0, or 4 where cells failed."""
        return CheckError.exit_code if self.failed else 0

    def numbers(self) -> dict[str, list[float | None]]:
        """What --fail-if compares: each measure over all cells, None where a cell has none; done, failed, left."""
        names, lacking = self.design.measures, len(self.failed) + self.left
        rows = [record.values for _, record in self.records()]
        found: dict[str, list[float | None]] = {
            name: [None if math.isnan(row[i]) else row[i] for row in rows] + [None] * lacking
            for i, name in enumerate(names)
        }
        counts = {"done": self.done, "failed": len(self.failed), "left": self.left}
        return {**{name: [float(n)] for name, n in counts.items()}, **found}

    def as_dict(self) -> dict[str, Any]:
        """Inputs and cells as plain values, as `fastsmc sweep --json` prints them; the same however the sweep ran."""
        design, grid = self.design, self.design.grid
        subject = design.subject
        seeds = {"seed": grid.seed, "seeds": [grid.seed_of(repeat) for repeat in range(grid.repeats)]}
        return {
            **subject.told(design.table, design.name),
            "answer": self.answer,
            "kind": design.kind,
            **(seeds if subject.has_seed else {}),
            "over": {axis.name: list(axis.values) for axis in grid.axes},
            "where": design.where,
            "repeats": grid.repeats,
            "measures": list(design.measures),
            "kinds": {name: subject.attributes(name)["kind"] for name in design.measures},
            **({"relative_error": RELATIVE_ERROR} if subject.has_histograms else {}),
            "cells": int(grid.cells.size),
            "done": self.done,
            "left": self.left,
            "failed": [
                {"at": one.coordinates, **({"seed": one.seed} if subject.has_seed else {}), "error": one.error}
                for one in self.failed
            ],
            "results": [self._told(cell, record) for cell, record in self.records()],
        }

    def _told(self, cell: int, record: Record) -> dict[str, Any]:
        """A cell that is done; a number that its answer does not have is None."""
        values = [None if math.isnan(value) else value for value in record.values]
        own = {"answer": record.answer} if record.answer else {}
        return {"at": self.design.grid.coordinates(cell), **dict(zip(self.design.measures, values, strict=True)), **own}

    def to_json(self) -> str:
        """`as_dict` as JSON; the same bytes however the sweep ran."""
        return json.dumps(self.as_dict(), indent=1, allow_nan=False)

    def to_netcdf(self, path: str | os.PathLike[str]) -> None:
        """Writes `dataset` as NetCDF-4; the same bytes however the sweep ran.

        Raises:
            InputError: xarray or h5netcdf is not installed. ResultFileError: the file cannot be written.
        """
        write_each({Path(path): self.netcdf()})

    def netcdf(self) -> bytes:
        """What `to_netcdf` writes.

        Raises:
            InputError: xarray or h5netcdf is not installed.
        """
        return cube.as_netcdf(self.dataset)

    def resume(
        self, *, run_on: Any = "processes", on_error: Literal["keep", "raise"] = "keep", progress: Progress = silent
    ) -> Sweep:
        """Goes on with the sweep by its journal alone, failed cells included, and returns it; this one is closed.

        Args:
            As for `sweep`.

        Raises:
            InputError: it is in memory, so all of it was computed. Else as `sweep`.
        """
        from fastsmc.sweeping.run import resumed

        if self.path is None:
            msg = f"{self!r}: it has no journal to go on with: sweep with to=FILE"
            raise InputError(msg)
        self.close()
        return resumed(self.path, run_on=run_on, on_error=on_error, progress=progress)

    def close(self) -> None:
        """Closes the journal; nothing can be asked of the sweep then."""
        self._journal.close()

    def __enter__(self) -> Sweep:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        n_cell = int(self.design.grid.cells.size)
        said = f"{n_cell} cells, {self.done} done, {len(self.failed)} failed, {self.left} left"
        return f"<Sweep of {self.design.name[:60]}: {said} ({self.design.kind})>"

    def __str__(self) -> str:
        """The answer, what was swept, and of each measure the least and the most with where it was found."""
        from fastsmc.sweeping.text import text

        return text(self)
