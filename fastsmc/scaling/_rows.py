"""What the steps of the main job share: rows into tables, and spreads of repeated timings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fastsmc.results.tables import Column, ColumnKind, Table

Heading = tuple[str, ColumnKind | Literal[""], str]
"""Name, kind and meaning of a column."""

SPREAD: tuple[Heading, ...] = (
    ("dispatch_ns", "measured", "simulator's time per call, median over repeats"),
    ("dispatch_p25_ns", "measured", "simulator's time per call, first quartile over repeats"),
    ("dispatch_p75_ns", "measured", "simulator's time per call, third quartile over repeats"),
)
TIMINGS_PER_TURN = 3
"""Fleets that are compared take turns on the clock: a slow minute of the machine then falls on all of them alike."""

IS_HYPOTHETICAL: Heading = ("is_hypothetical", "", "a VM has more vCPUs than arm64 KVM allows")


def spread(ns_per_call: NDArray[np.float64]) -> tuple[float, ...]:
    """Values of the SPREAD columns."""
    return tuple(np.quantile(ns_per_call, (0.5, 0.25, 0.75)).tolist())


def table(meaning: str, headings: Sequence[Heading], rows: Sequence[Sequence[object]]) -> Table:
    """Rows of plain values as a table."""
    columns = zip(headings, zip(*rows, strict=True), strict=True)
    return Table(meaning, {name: Column.of(list(values), kind, about) for (name, kind, about), values in columns})
