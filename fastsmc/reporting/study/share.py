"""The study's second figure: one lock per VM against the share of forwarded calls."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fastsmc.reporting.forms import columns
from fastsmc.reporting.study.common import (
    PALETTE,
    QUANTILES,
    TAG,
    figure_of,
    most_real,
    one,
    share_axis,
    time_axis,
    vcpus_name,
)
from fastsmc.reporting.style import INK, Picture, new_figure, styled
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import count, duration, percent, significant

KNEE = (0, (1, 1.5))


def picture(run: Run) -> Picture:
    """Response time and utilisation against the share of forwarded calls, a line per vCPU count."""
    table = run["study_share"]
    real = one(table, n_vcpu=most_real(table))
    title = (
        f"One lock per VM is full at {count(real['most_forwarded_hz'])} forwarded calls a second: for "
        f"{vcpus_name(real)} that is {percent(real['knee_share'])} of their calls"
    )
    with styled():
        figure, (left, right) = new_figure(title, TAG, height_in=4.5, n_panel=2)
        shares = np.unique(table["share"]).tolist()
        for ax in (left, right):
            share_axis(ax, shares)
        handles = [_lines(left, right, table, n, c) for n, c in zip(_many(table), PALETTE, strict=False)]
        time_axis(left, "response time of a forwarded call")
        left.set_title("response time")
        right.set_title("how long the lock is held")
        right.set_ylabel("lock held (% of the time)")
        right.set_ylim(-3, 108)
        for name, dash in list(QUANTILES.values())[:2]:
            handles.append(Line2D([], [], color=INK, linestyle=dash, label=name))
        handles.append(Line2D([], [], color=INK, linestyle=KNEE, linewidth=1.1, label="knee, closed form"))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns(4), handlelength=2.4)
    return Picture(
        "load-share", "Response time against the share of forwarded calls", title, TAG, _caption(run), figure,
        *_table(run), takeaway=_takeaway(run),
    )  # fmt: skip


def _many(table: Table) -> list[int]:
    """vCPU counts that can share a lock; a single vCPU is there for the knees' sake."""
    values: list[int] = np.unique(table["n_vcpu"]).tolist()
    return [n for n in values if n > 1]


def _lines(left: Axes, right: Axes, table: Table, n_vcpu: int, colour: str) -> Line2D:
    rows = table.where(n_vcpu=n_vcpu)
    first = next(rows.rows())
    face = "white" if first["is_hypothetical"] else colour
    some = rows["n_forwarded"] > 0
    for column, dash in (("p50_ns", "-"), ("p99_ns", "--")):
        left.plot(
            rows["share"][some], rows[column][some], color=colour, linestyle=dash, marker="o", markersize=3.5,
            markerfacecolor=face,
        )  # fmt: skip
    right.plot(rows["share"], 100 * rows["utilisation"], color=colour, marker="o", markersize=3.5, markerfacecolor=face)
    if 0 < first["knee_share"] <= 1:
        for ax in (left, right):
            ax.axvline(first["knee_share"], color=colour, linewidth=1.1, linestyle=KNEE, zorder=1.5)
    return Line2D([], [], color=colour, marker="o", markersize=4, markerfacecolor=face, label=vcpus_name(first))


def _caption(run: Run) -> str:
    table = run["study_share"]
    some = table["n_forwarded"][table["n_forwarded"] > 0]
    return (
        "One lock per VM. First panel: response time of the calls that are forwarded, at least "
        f"{count(int(some.min()))} of them a point. Second panel: how long the lock is held. Dotted lines are where "
        "the asymptotes cross for as many vCPUs; a VM without one cannot fill the lock at that pace. The axis is "
        "logarithmic, and linear below its first share, so that 0 has a place. Hollow points are "
        "hypothetical: KVM has no such VM."
    )


def _takeaway(run: Run) -> str:
    table = run["study_share"]
    real, few = most_real(table), _many(table)[0]
    at_real, at_few = one(table, n_vcpu=real), one(table, n_vcpu=few)
    rows = [row for row in table.where(n_vcpu=real).rows() if row["n_forwarded"]]
    below = [row for row in rows if row["share"] < at_real["knee_share"]]
    most = at_real["most_forwarded_hz"]
    text = (
        f"The rate at which one lock per VM collapses does not depend on the number of vCPUs: {count(most)} forwarded "
        f"calls a second for the whole VM, which is {significant(most / real)} a second from each of {real}. "
    )
    if below:
        text += (
            f"Below it the median is nearly that of a lone call: {duration(below[-1]['p50_ns'])} with "
            f"{percent(below[-1]['share'])} forwarded, where the lock is held {percent(below[-1]['utilisation'])} of "
            f"the time, though p99 is {duration(below[-1]['p99_ns'])}. "
        )
    text += (
        f"With {percent(rows[-1]['share'])} forwarded p50 is {duration(rows[-1]['p50_ns'])}; no wait is longer "
        f"than a turn of all vCPUs, {duration(real * figure_of(run, 'vmm_service_ns'))}, as a vCPU that waits does not "
        "call. "
        f"{vcpus_name(at_few).capitalize().replace('vcpu', 'vCPU')} hold the lock "
        f"{percent(float(table.where(n_vcpu=few)['utilisation'].max()))} of the time at most. So what to forward is a "
        "question of rate: rare calls are safe on a large VM, a service that every vCPU asks all the time is not."
    )
    return text


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = (
        "vCPUs", "forwarded (modelled)", "p50 (assumed)", "p99 (assumed)", "lock held (assumed)",
        "forwarded calls per second (assumed)",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = [
        (
            vcpus_name(row),
            percent(row["share"]),
            duration(row["p50_ns"]) if row["n_forwarded"] else "none",
            duration(row["p99_ns"]) if row["n_forwarded"] else "none",
            percent(row["utilisation"]),
            count(row["forwarded_hz"]),
        )
        for row in run["study_share"].rows()
    ]
    return header, rows
