"""What figures of results share: series that are told apart without colour, ticks at times, tags of kinds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from fastsmc.reporting.style import BLUE, GREEN, INK, ORANGE, PURPLE, RED, SKY
from fastsmc.results.units import NBSP, duration

BLUES = LinearSegmentedColormap.from_list("times", ["#FBFCFE", "#D6E6F4", "#9CC8E3", "#5BA3CF", "#3C84BC"])
"""Light to mid blue, lightness falling evenly: dark text stays readable on all of it."""
_MOST_TICKS = 6
PAPER: Any = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
"""Behind a text that may lie over a line."""


class Look(NamedTuple):
    """How one series is drawn: colour, marker, dashes."""

    colour: str
    marker: str
    dashes: Any


LOOKS = (
    Look(BLUE, "o", "-"),
    Look(ORANGE, "s", (0, (6, 2))),
    Look(GREEN, "^", (0, (2, 1.5))),
    Look(RED, "D", (0, (6, 2, 1, 2))),
    Look(PURPLE, "v", (0, (4, 1.5))),
    Look(SKY, "P", (0, (1, 1))),
    Look(INK, "X", (0, (8, 2, 2, 2, 2, 2))),
)
"""Series of a figure at most, each another colour, marker and line."""


def tag_of(kinds: Iterable[str]) -> str:
    """The tag of numbers of these kinds; what is assumed is modelled from an assumed figure.

    >>> tag_of(["assumed"]), tag_of(["measured", "modelled"])
    ('modelled, assumed', 'measured, modelled')
    """
    found = set(kinds)
    found |= {"modelled"} if "assumed" in found else set()
    return ", ".join(kind for kind in ("measured", "recorded", "modelled", "assumed") if kind in found)


def time_axis(ax: Axes, low_ns: float, high_ns: float) -> None:
    """A logarithmic x axis of ns from low to high, with a few ticks at round times, each with its unit."""
    ax.set_xscale("log")
    low, high = low_ns / 1.15, high_ns * 1.15
    ax.set_xlim(low, high)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**k for k in range(-4, 20) for step in steps if low <= step * 10.0**k <= high]
        if len(ticks) <= _MOST_TICKS:
            break
    ticks = ticks[:: -(-len(ticks) // _MOST_TICKS)] if ticks else [low_ns]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))


def whole_ticks(axis: Any, most: int = 5) -> None:
    """A few ticks at whole numbers."""
    axis.set_major_locator(MaxNLocator(most, integer=True))


def times_in(axis: Any) -> None:
    """Ticks of an axis of ns as times with their units."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: duration(value) if value else "0"))


def seconds(value: float) -> str:
    """A time as planners tell it: of more than two minutes in minutes, of more than two hours in hours.

    >>> seconds(45.2).split(), seconds(600).split(), seconds(9000).split()
    (['45.2', 's'], ['10', 'min'], ['2.5', 'h'])
    """
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if value >= 2 * unit:
            return f"{value / unit:.3g}{NBSP}{name}"
    return duration(value * 1e9)


def unit_of_seconds(values: NDArray[np.float64]) -> tuple[str, float]:
    """The unit for an axis of seconds, and how many seconds it has."""
    most = float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
    return ("h", 3600.0) if most >= 7200 else ("min", 60.0) if most >= 120 else ("s", 1.0)


def beside(ax: Axes, x: float, y: float, text: str) -> None:
    """A small text to the right of a point."""
    ax.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
