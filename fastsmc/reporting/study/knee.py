"""The study's third figure: where one lock per VM collapses, in closed form and simulated."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from fastsmc.reporting.study.common import TAG, basis, closing, figure_of, vcpus
from fastsmc.reporting.style import BLUE, INK, RED, Picture, limit, new_figure, styled
from fastsmc.results.runs import Run
from fastsmc.results.units import duration, percent, significant


def picture(run: Run) -> Picture:
    """vCPUs at which one lock per VM collapses, in closed form and simulated."""
    knees = run["study_knees"]
    most = next(knees.where(share=float(knees["share"].max())).rows())
    title = (
        f"One lock per VM collapses at {vcpus(most['knee_vcpus'])} vCPUs if {percent(most['share'])} of their "
        f"calls are forwarded, later in proportion if fewer are"
    )
    with styled():
        figure, (ax,) = new_figure(title, TAG, height_in=3.9)
        _draw(ax, run)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return Picture(
        "9-load-knee", "Where one lock per VM collapses", title, TAG, _caption(run), figure, *_table(run),
        takeaway=_takeaway(run),
    )  # fmt: skip


def _draw(ax: Axes, run: Run) -> None:
    knees = run["study_knees"]
    percents = 100 * knees["share"]
    found = knees["simulated_vcpus"] > 0
    ax.plot(percents, knees["knee_vcpus"], color=BLUE, label="closed form: round / (share x service)")
    ax.plot(
        percents[found], knees["simulated_vcpus"][found], "o", color=RED, markersize=7, markerfacecolor="none",
        markeredgewidth=1.6, label="simulated: asymptotes cross",
    )  # fmt: skip
    most = limit(run, "KVM vCPUs per VM")
    ax.axhline(most, color=INK, linewidth=1, linestyle=(0, (4, 2)))
    ax.annotate(
        f"KVM stops at {most:g} vCPUs", (float(percents.max()), most), xytext=(0, 3), textcoords="offset points",
        ha="right", va="bottom", fontsize=8,
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log", base=2)
    low, high = ax.get_ylim()
    for axis, ticks in ((ax.xaxis, percents.tolist()), (ax.yaxis, [2.0**k for k in range(16)])):
        axis.set_major_locator(FixedLocator([t for t in ticks if axis is ax.xaxis or low <= t <= high]))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlabel("calls that are forwarded (% of all)")
    ax.set_ylabel("knee: vCPUs of the VM (count)")


def _apart(run: Run) -> float:
    """How far the simulated knees are from the closed form at most; 0 if none was simulated."""
    found = run["study_knees"]["simulated_vcpus"] > 0
    simulated, closed = (run["study_knees"][name][found] for name in ("simulated_vcpus", "knee_vcpus"))
    return float(np.abs(simulated / closed - 1).max(initial=0.0))


def _caption(run: Run) -> str:
    rounds = duration(figure_of(run, "think_ns"))
    return (
        "How many vCPUs it takes to fill one lock. The line is the machine repairman's: the time of a round without "
        f"waiting ({rounds} of thinking and a call) over the time under the lock in it (the share of forwarded calls "
        "times the VMM's service time). The circles are the simulation: most calls a second of its largest VM over "
        f"those of a single vCPU, where the largest is far enough beyond the knee. {basis(run)}"
    )


def _takeaway(run: Run) -> str:
    knees = run["study_knees"]
    most = limit(run, "KVM vCPUs per VM")
    safe = [row for row in knees.rows() if row["knee_vcpus"] >= most]
    service = figure_of(run, "vmm_service_ns")
    text = (
        "The knee needs no simulation: vCPUs times forwarded calls a second of each times the time under the lock is "
        f"one. The simulation is within {percent(_apart(run))} of it. "
    )
    if safe:
        last = safe[-1]
        text += (
            f"Of the shares above, {percent(last['share'])} is the most that a lock bears with {most:g} vCPUs "
            f"({significant(last['vcpu_forwarded_hz'])} forwarded calls a second from each, knee at "
            f"{vcpus(last['knee_vcpus'])}). "
        )
    text += (
        f"A vCPU here makes a call every {duration(figure_of(run, 'think_ns'))}, which is a storm; one that calls ten "
        f"times less often moves the knee about ten times further, and so does a tenth of the {duration(service)} "
        "under the lock: measure your own. Halving it does as much as a second thread. The knee is where waiting "
        f"takes over, not where it begins. {closing(run)}"
    )
    return text


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = (
        "forwarded (modelled)", "knee, closed form (assumed)", "knee, simulated (assumed)",
        "forwarded calls per second and vCPU below it (assumed)",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = [
        (
            percent(row["share"]),
            f"{vcpus(row['knee_vcpus'])} vCPUs",
            f"{vcpus(row['simulated_vcpus'])} vCPUs" if row["simulated_vcpus"] else "beyond the axis",
            significant(row["vcpu_forwarded_hz"]),
        )
        for row in run["study_knees"].rows()
    ]
    return header, rows
