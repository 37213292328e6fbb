"""The figure of `fastsmc trace`: how often a guest called each function, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.reporting.axes import BLUES, LOOKS, beside, whole_ticks
from fastsmc.reporting.style import GREY, new_figure, short, styled
from fastsmc.results.units import count, duration, number_of, percent

_MOST = 14
_BINS = 48


class Function(NamedTuple):
    """A function that was called, of one service, and how often."""

    service: str
    name: str
    n_call: int


def picture(
    functions: Sequence[tuple[str, str, int]],
    *,
    missing: str = "",
    seconds: NDArray[np.float64] | None = None,
    function: NDArray[np.int64] | None = None,
) -> Figure:
    """A bar per function, most calls first; where calls have times, beside it when they were made.

    Args:
        functions: as `Function` names what stands in them; of many, those with fewest calls become one bar.
        missing: what the recording lacks, in words that follow the number of calls.
        seconds: float64[n_call], the time of each call; function: int64[n_call], which function, by its place.

    Raises:
        InputError: no call.
    """
    order = np.argsort([-one[2] for one in functions], kind="stable")
    rows = [Function(*functions[k]) for k in order.tolist()]
    total = sum(one.n_call for one in rows)
    if not total:
        msg = "no call was recorded: there is nothing to draw"
        raise InputError(msg)
    place = np.empty(len(rows), np.int64)  # of each function, its bar
    place[order] = np.minimum(np.arange(len(rows)), _MOST - 1 if len(rows) > _MOST else _MOST)
    shown = _fewer(rows)
    has_times = seconds is not None and function is not None and bool(np.ptp(seconds) > 0)
    span = f" in {duration(1e9 * float(np.ptp(seconds)))}" if seconds is not None and has_times else ""
    title = f"{rows[0].name} is {percent(rows[0].n_call / total)} of {number_of(total, 'call')}{span}{missing}"
    with styled():
        height = 1.7 + 0.27 * max(len(shown), 4)
        figure, axes = new_figure(title, "recorded", height_in=height, n_panel=2 if has_times else 1)
        _bars(axes[0], shown)
        if has_times and seconds is not None and function is not None:
            _when(figure, axes[1], seconds, place[function], len(shown))
    return figure


def _fewer(rows: list[Function]) -> list[Function]:
    if len(rows) <= _MOST:
        return rows
    rest = rows[_MOST - 1 :]
    return [*rows[: _MOST - 1], Function("", f"{len(rest)} other functions", sum(one.n_call for one in rest))]


def _bars(ax: Axes, rows: Sequence[Function]) -> None:
    services = list(dict.fromkeys(one.service for one in rows if one.service))
    colours = {name: look.colour for name, look in zip(services, LOOKS, strict=False)}
    places = np.arange(len(rows))
    ax.barh(
        places,
        [one.n_call for one in rows],
        height=0.66,
        color=[colours.get(one.service, GREY) for one in rows],
    )
    for y, one in enumerate(rows):
        beside(ax, one.n_call, y, count(one.n_call))
    ax.set_yticks(places, [_label(one) for one in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(0, 1.25 * max(one.n_call for one in rows))
    whole_ticks(ax.xaxis)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("calls")


def _label(one: Function) -> str:
    """The function, and its service where the name does not begin with it."""
    named = not one.service or one.name.startswith(one.service.split("_")[0])
    return short(one.name if named else f"{one.name} ({one.service})", 40)


def _when(figure: Figure, ax: Axes, seconds: NDArray[np.float64], row: NDArray[np.int64], n_row: int) -> None:
    """Calls of each function in equal parts of the time; white where there is none."""
    since = seconds - seconds.min()
    edges = np.linspace(0, float(since.max()), _BINS + 1)
    at = np.minimum((since / edges[-1] * _BINS).astype(np.int64), _BINS - 1)
    cells = np.bincount(row * _BINS + at, minlength=n_row * _BINS).reshape(n_row, _BINS)
    most = int(cells.max())
    mesh = ax.pcolormesh(
        edges,
        np.arange(n_row + 1) - 0.5,
        np.ma.masked_equal(cells, 0),
        cmap=BLUES,
        norm=LogNorm(0.05, max(most, 1)),
        linewidth=0,
    )
    mesh.set_edgecolor("face")
    for y in range(1, n_row):
        ax.axhline(y - 0.5, color="white", linewidth=2)
    ax.set_ylim(n_row - 0.4, -0.6)
    ax.set_yticks([])
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("time since the first call (s)")
    bar = figure.colorbar(mesh, ax=ax, pad=0.02, aspect=24)
    ticks = sorted({1, round(most**0.5), most})
    bar.set_ticks(ticks, labels=[count(tick) for tick in ticks])
    bar.ax.minorticks_off()
    bar.ax.set_ylim(0.7 if most > 1 else 0.3, max(most, 1))
    bar.set_label(f"calls in a {_BINS}th of the time")
