"""The figure of `fastsmc plan evacuate`: how long hosts take to drain, how long VMs stop, and the limits of both."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.reporting.axes import seconds, tag_of, unit_of_seconds
from fastsmc.reporting.plans.told import Told, cube_of, number_in, numbers_of
from fastsmc.reporting.style import BLUE, GREEN, INK, RED, new_figure, styled
from fastsmc.results.units import count, milliseconds, significant

_MARKED = (50, 90, 99)


def picture(plan: Told) -> Figure:
    """Left the share of replicas that are empty by a time; right the share of migrations that stop no longer.

    Raises:
        InputError: the plan has no percentiles, or nothing had to move.
    """
    cube = cube_of(plan, "percentile")
    percentiles = np.asarray(cube.coords["percentile"], np.float64)
    drained, kind = numbers_of(cube, "drain_s")
    stopped, _ = numbers_of(cube, "downtime_ms")
    if not plan.table["leave"].sum():
        msg = "no VM leaves: there is nothing to draw"
        raise InputError(msg)
    within, tolerated = number_in(plan, "within_s"), number_in(plan, "downtime_ms")
    unit, scale = unit_of_seconds(np.array([*drained, within]))
    with styled():
        title = _title(plan, percentiles, drained, within)
        figure, (left, right) = new_figure(title, tag_of([kind]), height_in=3.9, n_panel=2)
        what = "hosts" if plan.inputs.get("hosts") == "each" else "replicas"
        _curve(left, percentiles, drained / scale, BLUE, [seconds(one) for one in drained])
        _limit(left, within / scale, f"limit {seconds(within)}")
        left.set(xlabel=f"time until the last migration has ended ({unit})", ylabel=f"share of {what} (%)")
        left.set_title("until empty")
        _curve(right, percentiles, stopped, GREEN, [milliseconds(one) for one in stopped])
        _limit(right, tolerated, f"tolerated {significant(tolerated)} ms")
        right.set(xlabel="downtime of a migration (ms)", ylabel="share of migrations (%)")
        right.set_title("downtime, against what a VM tolerates that says nothing")
    return figure


def _title(plan: Told, percentiles: NDArray[np.float64], drained: NDArray[np.float64], within: float) -> str:
    p50, p99 = (seconds(float(np.interp(at, percentiles, drained))) for at in (50, 99))
    stay = int(plan.table["stay"].sum())
    head = f"{count(stay)} VM{'s' * (stay != 1)} cannot leave; the others have left" if stay else "Empty"
    which = "within" if float(drained.max()) <= within else "against"
    return f"{head} after {p50} (p50), {p99} (p99), {which} the limit of {seconds(within)}"


def _curve(
    ax: Axes, percentiles: NDArray[np.float64], values: NDArray[np.float64], colour: str, told: list[str]
) -> None:
    ax.plot(values, percentiles, color=colour, drawstyle="default")
    for at in _MARKED:
        k = int(np.flatnonzero(percentiles == at)[0])
        ax.plot([values[k]], [at], "o", color=colour, markersize=4.5)
        above = at == _MARKED[-1]
        ax.annotate(
            f"p{at} {told[k]}", (values[k], at), xytext=(-6, 5 if above else -4), textcoords="offset points",
            ha="right", va="bottom" if above else "center", fontsize=8.5,
        )  # fmt: skip
    ax.set_ylim(0, 109)
    ax.set_yticks(range(0, 101, 20))


def _limit(ax: Axes, value: float, text: str) -> None:
    ax.axvline(value, color=RED, linewidth=1.2, linestyle=(0, (4, 2)))
    right = 1.12 * max(value, ax.get_xlim()[1])
    ax.set_xlim(0, right)
    ax.annotate(
        text, (value, 4), xytext=(-4, 0), textcoords="offset points", rotation=90, ha="right", va="bottom",
        fontsize=8.5, color=INK,
    )  # fmt: skip
