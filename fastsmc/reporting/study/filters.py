"""The study's fifth figure: what the size of a filter costs, beside what forwarding and waiting cost."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from fastsmc.reporting.study.common import (
    PALETTE,
    TAG,
    basis,
    closing,
    figure_of,
    most_real,
    one,
    time_axis,
    vcpus_name,
)
from fastsmc.reporting.style import GREY, PURPLE, SKY, Picture, new_figure, styled
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import count, duration, percent, significant


def picture(run: Run) -> Picture:
    """Costs of calls and mean waiting against ranges of the filter."""
    table = run["study_filter"]
    large = one(table, n_vcpu=most_real(table), n_range=int(table["n_range"].max()))
    title = (
        f"A filter of {count(large['n_range'])} ranges costs a call {duration(_walk(run, large))}; at "
        f"{vcpus_name(large)}, a forwarded one waits {duration(large['waiting_ns'])} under one lock"
    )
    with styled():
        figure, (ax,) = new_figure(title, TAG, height_in=4.6)
        _draw(ax, run)
        handles, labels = ax.get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside right center", handlelength=1.8, labelspacing=0.9)
    return Picture(
        "11-load-filter", "Filter size", title, TAG, _caption(run), figure, *_table(run), takeaway=_takeaway(run)
    )


def _walk(run: Run, row: dict[str, float]) -> float:
    """The part of a call that is the look-up in the filter."""
    return row["filter_levels"] * figure_of(run, "filter_ns")


def _draw(ax: Axes, run: Run) -> None:
    table = run["study_filter"]
    n_vcpus = np.unique(table["n_vcpu"]).tolist()
    first = table.where(n_vcpu=n_vcpus[0])
    walk = first["filter_levels"] * figure_of(run, "filter_ns")
    _line(ax, first, walk, GREY, "look-up in the filter")
    _line(ax, first, first["in_kernel_ns"], SKY, "call that stays in the kernel")
    _line(ax, first, first["alone_ns"], PURPLE, "forwarded call that waits\nfor nobody")
    for n_vcpu, colour in zip(n_vcpus, PALETTE, strict=False):
        rows = table.where(n_vcpu=n_vcpu)
        _line(ax, rows, rows["waiting_ns"], colour, f"mean waiting with\n{vcpus_name(next(rows.rows()))}, one lock")
    ticks = np.unique(table["n_range"]).tolist()
    ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: count(value))
    ax.set_xlabel("ranges of the VM's filter (count)")
    time_axis(ax, "time per call")


def _line(ax: Axes, rows: Table, values: np.ndarray[tuple[int], np.dtype[np.float64]], colour: str, label: str) -> None:
    """Values above 0: without a filter nothing is looked up and nothing is forwarded."""
    some = values > 0
    ax.plot(rows["n_range"][some], values[some], color=colour, marker="o", markersize=4, label=label)


def _caption(run: Run) -> str:
    return (
        "What becomes of a call's time as the VM's filter grows. Look-ups are modelled as levels of a tree of 16 "
        f"slots a node, {duration(figure_of(run, 'filter_ns'))} a level, which nobody has published: it is assumed, "
        "as is a tree whose nodes are full. One range forwards, the others deny ids that nobody calls. Without a "
        f"filter (0) nothing is looked up and nothing is forwarded. {basis(run)}"
    )


def _takeaway(run: Run) -> str:
    table = run["study_filter"]
    n_vcpus = np.unique(table["n_vcpu"]).tolist()
    most = int(table["n_range"].max())
    none, large = (one(table, n_vcpu=n_vcpus[0], n_range=n) for n in (0, most))
    walk = _walk(run, large)
    waits = ", ".join(
        f"{duration(row['waiting_ns'])} with {vcpus_name(row)}"
        for row in (one(table, n_vcpu=n, n_range=most) for n in n_vcpus)
    )
    return (
        f"The number of ranges does not matter. {count(most)} of them are {large['filter_levels']} levels, "
        f"{duration(walk)} (assumed), so a call that stays in the kernel takes {duration(large['in_kernel_ns'])} "
        f"instead of {duration(none['in_kernel_ns'])}, and of a forwarded call's {duration(large['alone_ns'])} the "
        f"look-up is {percent(walk / large['alone_ns'])}. Were a level ten times as dear, it would be "
        f"{duration(10 * walk)}, beside a round trip of {duration(figure_of(run, 'round_trip_ns'))} without the VMM's "
        "own work. What matters is what a range does: a call that is forwarded costs "
        f"{significant(large['alone_ns'] / large['in_kernel_ns'], 2)} times one that stays, and then waits {waits}, "
        f"on average. Write as many ranges as you need, and deny or handle rather than forward. {closing(run)}"
    )


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = (
        "ranges, vCPUs", "levels (modelled)", "stays in the kernel (assumed)", "forwarded, waits for nobody (assumed)",
        "mean waiting (assumed)",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = [
        (
            f"{count(row['n_range'])}, {vcpus_name(row)}",
            count(row["filter_levels"]),
            duration(row["in_kernel_ns"]),
            duration(row["alone_ns"]) if row["n_forwarded"] else "none",
            duration(row["waiting_ns"]) if row["n_forwarded"] else "none",
        )
        for row in run["study_filter"].rows()
    ]
    return header, rows
