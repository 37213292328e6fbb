"""The figure of `fastsmc simulate`: which share of calls takes longer than a time, and where mean times come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.reporting.axes import LOOKS, PAPER, beside, time_axis, times_in
from fastsmc.reporting.style import BLUE, INK, ORANGE, new_figure, short, styled
from fastsmc.results.histogram import Histogram, bucket_edges
from fastsmc.results.units import duration, number_of, percent

_MOST = len(LOOKS) - 1
"""Groups or services, beside all calls."""
_P99 = 0.99


class Calls(NamedTuple):
    """Some calls by name: of a group of VMs, or of a service."""

    name: str
    waiting: Histogram
    service: Histogram
    response: Histogram


def picture(groups: Sequence[Calls], services: Sequence[Calls], *, tag: str, is_partial: bool = False) -> Figure:
    """Left the share of calls that take as long or longer, both axes logarithmic; right mean service and waiting.

    One group has a line each for service, waiting and response, and bars by service; several have a line and a bar
    each. Of many groups those with most calls are drawn, and the rest as one.

    Raises:
        InputError: no call was counted.
    """
    called = [one for one in groups if one.response.n]
    if not called:
        msg = "no call was counted: there is nothing to draw"
        raise InputError(msg)
    fleet = _merged("all", called)
    with styled():
        rows = _fewer([one for one in services if one.response.n] if len(called) == 1 else called)
        n_line = 1 + max(3, len(rows))
        figure, (ax, means) = new_figure(_title(fleet, is_partial), tag, height_in=3.2 + 0.22 * n_line, n_panel=2)
        lines = (
            _parts(fleet)
            if len(called) == 1
            else [*((one.name, one.response) for one in rows), ("all", fleet.response)]
        )
        _tails(ax, lines, fleet.response)
        _means(means, rows, "service" if len(called) == 1 else "group")
    return figure


def tail(times: Histogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in ns, and the share of all calls that take as long or longer: exact at the edges of buckets.

    It ends at the largest time, which one call takes at least. Calls that take no time have no place on a logarithmic
    axis: they are in the share and have no point.

    >>> x, y = tail(Histogram.of([0.0, 1000.0, 1000.0, 4000.0]))
    >>> x.tolist(), y.tolist()
    ([1000.0, 1008.0, 4000.0, 4000.0], [0.75, 0.25, 0.25, 0.25])
    """
    used = np.flatnonzero(times.counts)
    edges, n = bucket_edges(), times.n
    after = n - np.cumsum(times.counts)[used]
    x = np.stack([edges[used], edges[used + 1]], axis=1).ravel()
    y = np.stack([after + times.counts[used], after], axis=1).ravel() / max(n, 1)
    if used.size:
        x[-1], y[-1] = max(float(x[-2]), times.max_ns), 1 / n
    keep = np.repeat(used > 0, 2)
    return x[keep], y[keep]


def _title(fleet: Calls, is_partial: bool) -> str:
    share = fleet.waiting.total_ns / fleet.response.total_ns if fleet.response.total_ns else 0.0
    waiting = f"waiting is {percent(share)} of all response time" if share else "no call waits"
    p99 = duration(fleet.response.quantile(_P99))
    return f"{'PARTIAL: ' * is_partial}p99 response of {number_of(fleet.response.n, 'call')} is {p99}; {waiting}"


def _merged(name: str, some: Sequence[Calls]) -> Calls:
    parts = zip(*(one[1:] for one in some), strict=True)
    return Calls(name, *(Histogram.merged(part) for part in parts))


def _fewer(rows: Sequence[Calls]) -> list[Calls]:
    """At most as many as there are looks: those with most calls, the others as one."""
    if len(rows) <= _MOST:
        return list(rows)
    order = sorted(rows, key=lambda one: -one.response.n)
    rest = order[_MOST - 1 :]
    return [*order[: _MOST - 1], _merged(f"{len(rest)} others", rest)]


def _parts(one: Calls) -> list[tuple[str, Histogram]]:
    return [("response", one.response), ("waiting", one.waiting), ("service", one.service)]


def _tails(ax: Axes, lines: Sequence[tuple[str, Histogram]], fleet: Histogram) -> None:
    ends: list[float] = []
    looks = [*LOOKS[: len(lines) - 1], LOOKS[-1] if lines[-1][0] == "all" else LOOKS[len(lines) - 1]]
    for (name, times), look in zip(lines, looks, strict=True):
        x, y = tail(times)
        label = short(name, 28) + ("" if x.size else ": none")
        ax.plot(x, y, color=look.colour, linestyle=look.dashes, label=label)
        ends += [float(x[0]), float(x[-1])] if x.size else []
    time_axis(ax, min(ends, default=1.0), max(ends, default=1.0))
    least = 10.0 ** np.floor(np.log10(1 / fleet.n))
    ax.set(yscale="log", ylim=(least, 1.15), xlabel="time of a call", ylabel="calls that take as long or longer")
    ax.yaxis.set_major_locator(FixedLocator([10.0**k for k in range(-20, 1) if 10.0**k >= least]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
    p99 = fleet.quantile(_P99)
    if p99:
        ax.plot([p99], [1 - _P99], LOOKS[0].marker, color=INK, markersize=6, zorder=5, gid="p99")
        ax.annotate(
            f"p99 {duration(p99)}",
            (p99, 1 - _P99),
            xytext=(-6, -9),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            bbox=PAPER,
        )
    ax.set_title("how long calls take")
    ax.legend(loc="best")


def _means(ax: Axes, rows: Sequence[Calls], what: str) -> None:
    """Mean times add up: that of response is service and waiting."""
    places = np.arange(len(rows))
    service = np.array([one.service.mean_ns for one in rows])
    waiting = np.array([one.waiting.mean_ns for one in rows])
    ax.barh(places, service, height=0.62, color=BLUE, label="service")
    ax.barh(places, waiting, left=service, height=0.62, color=ORANGE, hatch="////", label="waiting")
    for y, one in enumerate(rows):
        beside(ax, float(service[y] + waiting[y]), y, duration(one.response.mean_ns))
    ax.set_yticks(places, [short(one.name, 20) for one in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(0, 1.3 * max(float((service + waiting).max()), 1e-9))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    times_in(ax.xaxis)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("service and waiting")
    ax.set_title(f"mean time of a call, by {what}")
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside lower right", ncols=2)
