"""A sweep in words: one sentence, then what was swept and the least and the most of each measure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from fastsmc.sweeping.answers import VERDICT

if TYPE_CHECKING:
    from fastsmc.sweeping.result import FailedCell, Sweep

_MOST_FAILED_SHOWN = 5
_VERDICTS = {0.0: "met", 4.0: "not met", 5.0: "unknown"}


class Range(NamedTuple):
    """The least and the most of a measure over all cells that have it, each with its cell."""

    low: tuple[float, int]
    high: tuple[float, int]


class Summary(NamedTuple):
    """All cells that are done, in one pass.

    Attributes:
        ranges: of each measure; None where no cell has a number. codes: how many cells have an exit code, by it.
    """

    ranges: dict[str, Range | None]
    codes: Counter[float]


def summary(sweep: Sweep) -> Summary:
    """What `answer` and `text` say of the cells."""
    best: dict[str, Range | None] = dict.fromkeys(sweep.design.measures)
    codes: Counter[float] = Counter()
    at = list(best).index(VERDICT.name) if VERDICT.name in best else -1
    for cell, record in sweep.records():
        codes.update(record.values[at : at + 1] if at >= 0 else ())
        for name, value in zip(best, record.values, strict=True):
            if not math.isnan(value):
                one, old = (value, cell), best[name]
                best[name] = Range(min(old.low, one), max(old.high, one)) if old else Range(one, one)
    return Summary(best, codes)


def answer(sweep: Sweep) -> str:
    """What came of a sweep, in one sentence: how many cells, how many are met, and how far the first measure goes."""
    n_cell = int(sweep.design.grid.cells.size)
    said = [f"{sweep.done:,} of {n_cell:,} cell{'s are' if n_cell != 1 else ' is'} done"]
    if sweep.failed:
        said.append(f"{len(sweep.failed):,} failed")
    found, codes = sweep.summary
    said += [f"{codes[code]:,} {word}" for code, word in _VERDICTS.items() if code in codes]
    head = ", ".join(said)
    first = next((name for name, its in found.items() if its is not None and name != VERDICT.name), "")
    return f"{head}; {first} {_range(sweep, found[first])}" if first else head


def text(sweep: Sweep) -> str:
    """The answer, what was swept, and of each measure the least and the most with where it was found."""
    return "\n".join(_lines(sweep))


def _lines(sweep: Sweep) -> Iterator[str]:
    design, grid = sweep.design, sweep.design.grid
    yield sweep.answer
    over = " x ".join(f"{len(axis.values)} of {axis.name}" for axis in grid.axes) or "no axis"
    seed = f", {grid.repeats} repeat{'s' * (grid.repeats > 1)}, seed {grid.seed}" if design.subject.has_seed else ""
    yield f"{design.name}: {int(grid.cells.size)} cells ({over}{seed}), {design.kind}"
    yield (
        f"{sweep.done} done, {len(sweep.failed)} failed, {sweep.left} left"
        f" ({sweep.computed} computed now, {sweep.reused} reused)"
    )
    if sweep.done:
        width = max(map(len, design.measures))
        for name, found in sweep.summary.ranges.items():
            if name != VERDICT.name:  # the answer counts them
                yield f"{name:{width}}  {_range(sweep, found)}"
    yield from (f"failed: {shown_cell(one)}" for one in sweep.failed[:_MOST_FAILED_SHOWN])
    if len(sweep.failed) > _MOST_FAILED_SHOWN:
        yield f"and {len(sweep.failed) - _MOST_FAILED_SHOWN} more failed: --list-failed shows all"


def _range(sweep: Sweep, found: Range | None) -> str:
    if found is None:
        return "is known of no cell"
    low, high = found
    if low[0] == high[0]:
        return f"is always {low[0]:.6g}"
    return f"goes from {low[0]:.6g} at {_at(sweep, low[1])} to {high[0]:.6g} at {_at(sweep, high[1])}"


def _at(sweep: Sweep, cell: int) -> str:
    at = sweep.design.grid.coordinates(cell)
    return told({name: label for name, label in at.items() if sweep.design.subject.has_seed or name != "repeat"})


def told(coordinates: dict[str, Any]) -> str:
    """Coordinates as text: vms[0].vcpus=64, repeat=0."""
    return ", ".join(f"{name}={value}" for name, value in coordinates.items())


def shown_cell(cell: FailedCell) -> str:
    """A failed cell on one line."""
    return " ".join(str(cell).split())
