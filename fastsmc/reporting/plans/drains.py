"""The figure of `fastsmc plan evacuate`: how long hosts take to drain, how long VMs stop, and the limits of both."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.reporting.axes import PAPER, tag_of, unit_of_seconds
from fastsmc.reporting.plans.told import Told, cube_of, number_in, numbers_of
from fastsmc.reporting.style import BLUE, GREEN, RED, new_figure, styled
from fastsmc.results.units import NBSP, count, milliseconds, significant

_MARKED = (50, 90, 99)
_MOST_NAMES = 3


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
        times = [f"{significant(float(one) / scale)} {unit}" for one in drained]
        _curve(
            left,
            percentiles,
            drained / scale,
            times,
            BLUE,
            within / scale,
            f"limit {significant(within / scale)} {unit}",
        )
        left.set(xlabel=f"time until the last migration has ended ({unit})", ylabel=f"share of {what} (%)")
        left.set_title("how long it takes")
        times = [milliseconds(one) for one in stopped]
        _curve(right, percentiles, stopped, times, GREEN, tolerated, f"tolerated {significant(tolerated)} ms")
        right.set(xlabel="downtime of a migration (ms)", ylabel="share of migrations (%)")
        right.set_title("how long a VM stops")
    return figure


def _title(plan: Told, percentiles: NDArray[np.float64], drained: NDArray[np.float64], within: float) -> str:
    unit, scale = unit_of_seconds(np.array([*drained, within]))
    p50, p99 = (f"{significant(float(np.interp(at, percentiles, drained)) / scale)}{NBSP}{unit}" for at in (50, 99))
    stay = int(plan.table["stay"].sum())
    names = plan.inputs.get("hosts")
    hosts = "Each host by itself"
    if isinstance(names, list):
        hosts = ", ".join(map(str, names)) if len(names) <= _MOST_NAMES else f"{count(len(names))} hosts"
    be = "are" if isinstance(names, list) and len(names) > 1 else "is"
    head = f"{hosts} {be} empty"
    if stay:
        head = f"{count(stay)} VM{'s' * (stay != 1)} cannot leave; the others have left"
    limit = f"the limit of {significant(within / scale)}{NBSP}{unit}"
    is_around = float(drained.min()) <= within < float(drained.max())
    which = "some before and some after" if is_around else "within" if float(drained.max()) <= within else "later than"
    return f"{head} after {p50} (p50), {p99} (p99), {which} {limit}"


def _curve(
    ax: Axes,
    percentiles: NDArray[np.float64],
    values: NDArray[np.float64],
    told: list[str],
    colour: str,
    limit: float,
    name: str,
) -> None:
    ax.plot(values, percentiles, color=colour)
    marked = [int(np.flatnonzero(percentiles == at)[0]) for at in _MARKED]
    ax.plot(values[marked], _MARKED, "o", color=colour, markersize=4.5, linestyle="none")
    ax.set_xlim(0, 1.12 * max(limit, float(values.max())))
    for at, k in zip(_MARKED, marked, strict=True):
        is_left = values[k] < ax.get_xlim()[1] / 2
        ax.annotate(
            f"p{at} {told[k]}", (values[k], at), xytext=(6 if is_left else -6, 7 if at == _MARKED[-1] else -9),
            textcoords="offset points", ha="left" if is_left else "right", va="center", fontsize=8.5, bbox=PAPER,
        )  # fmt: skip
    ax.set_ylim(0, 109)
    ax.set_yticks(range(0, 101, 20))
    ax.axvline(limit, color=RED, linewidth=1.2, linestyle=(0, (4, 2)))
    ax.annotate(
        name, (limit, 4), xytext=(-4, 0), textcoords="offset points", rotation=90, ha="right", va="bottom", fontsize=8.5
    )
