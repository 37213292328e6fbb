"""The study's first figure: response time of forwarded calls against vCPUs, by lock design."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fastsmc.reporting.forms import is_small
from fastsmc.reporting.study.common import (
    PALETTE,
    QUANTILES,
    TAG,
    figure_of,
    lock_name,
    most_real,
    one,
    time_axis,
    vcpu_panel,
    vcpus,
)
from fastsmc.reporting.style import GREY, INK, Picture, new_figure, styled
from fastsmc.results.runs import Run
from fastsmc.results.units import count, duration, percent, significant

LOCKS = ("vm", "workers", "none")


def picture(run: Run) -> Picture:
    """Quantiles of the response time, a panel per lock design."""
    table = run["study_vcpus"]
    real = one(table, n_vcpu=most_real(table), lock="vm")
    title = (
        f"One lock per VM: a forwarded call takes {duration(real['alone_ns'])} alone, and {duration(real['p50_ns'])} "
        f"(median) at {real['n_vcpu']} vCPUs"
    )
    if (most := int(table["n_vcpu"].max())) > real["n_vcpu"]:
        title += f", {duration(one(table, n_vcpu=most, lock='vm')['p50_ns'])} at a hypothetical {most}"
    with styled():
        figure, axes = new_figure(title, TAG, height_in=5.1, n_panel=3, small_in=9.6)
        for ax, lock, colour in zip(axes, LOCKS, PALETTE, strict=False):
            _panel(ax, run, lock, colour)
        low = min(float(table["p50_ns"].min()), real["alone_ns"]) / 2.5
        axes[0].set_ylim(low, max(float(table["p99_9_ns"].max()), low * 30) * 2)
        for ax in axes:
            ax.sharey(axes[0]) if ax is not axes[0] else None
            time_axis(ax, "response time of a forwarded call" if ax is axes[0] else "")
            ax.tick_params(labelleft=is_small() or ax is axes[0])
        handles = [Line2D([], [], color=INK, linestyle=dash, label=name) for name, dash in QUANTILES.values()]
        handles.append(Line2D([], [], color=GREY, linewidth=1, label="knee, closed form"))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=2.6)
    return Picture(
        "load-vcpus", "Response time against vCPUs", title, TAG, _caption(run), figure, *_table(run),
        takeaway=_takeaway(run),
    )  # fmt: skip


def _panel(ax: Axes, run: Run, lock: str, colour: str) -> None:
    rows = run["study_vcpus"].where(lock=lock)
    for column, (_, dash) in QUANTILES.items():
        ax.plot(rows["n_vcpu"], rows[column], color=colour, linestyle=dash, marker="o", markersize=2.5)
    ax.set_title(lock_name(next(rows.rows())), color=colour)
    values = np.unique(run["study_vcpus"]["n_vcpu"]).tolist()
    vcpu_panel(ax, run, values, y=0.2 if lock == "none" else 0.03)
    ax.tick_params(axis="x", labelsize=8)
    knee = float(rows["knee_vcpus"][0])
    if lock != "none" and values[0] <= knee <= values[-1]:
        ax.axvline(knee, color=GREY, linewidth=1)
        ax.annotate(
            vcpus(knee), (knee, 1), xycoords=("data", "axes fraction"), xytext=(3, -9),
            textcoords="offset points", fontsize=8, color=INK,
        )  # fmt: skip


def _caption(run: Run) -> str:
    table = run["study_vcpus"]
    return (
        "From the guest's call until it goes on, for the calls that its VMM answers: half of them took p50 or less, "
        "one in a hundred longer than p99, one in a thousand longer than p99.9. Each point is the sum of at least "
        f"{count(int(table['n_forwarded'].min()))} forwarded calls of one VM's size. The grey line is the knee of the "
        "asymptotes, which needs no simulation: beyond it a vCPU more adds nothing but waiting. The "
        "hatched part cannot run on arm64 KVM today."
    )


def _takeaway(run: Run) -> str:
    table = run["study_vcpus"]
    lock, many = table.where(lock="vm"), table.where(lock="workers")
    real = most_real(table)
    last, others, free = (one(table, n_vcpu=real, lock=name) for name in LOCKS)
    knee, service = last["knee_vcpus"], figure_of(run, "vmm_service_ns")
    text = (
        f"One lock per VM serves {count(last['most_forwarded_hz'])} forwarded calls a second, one in "
        f"{duration(service)}, and not one more (closed form). With {percent(last['share'])} of the calls forwarded, "
        f"{vcpus(knee)} vCPUs ask for that. "
    )
    before = [row for row in lock.rows() if row["n_vcpu"] <= knee]
    if before:
        near = before[-1]
        text += (
            f"Calls suffer before that: at {near['n_vcpu']} vCPUs the lock is held {percent(near['utilisation'])} of "
            f"the time, and p99 is {significant(near['p99_ns'] / near['alone_ns'], 2)} times a lone call. "
        )
    text += (
        f"Beyond it waiting is all there is: at {real} vCPUs half of the calls take {duration(last['p50_ns'])} or "
        f"longer, {significant(last['p50_ns'] / last['alone_ns'], 2)} times a lone call. "
        f"{lock_name(others).capitalize()} move the knee to {vcpus(float(many['knee_vcpus'][0]))} vCPUs, which at "
        f"{real} leaves {duration(others['p50_ns'])}; a thread per vCPU without a lock has none: "
        f"{duration(free['p99_9_ns'])} even at p99.9. Before a filter forwards a service, multiply its calls per "
        f"second by the time under the lock, and keep the product well below one."
    )
    return text


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    names = tuple(f"{name} (assumed)" for name, _ in QUANTILES.values())
    header: tuple[str, ...] = (
        "vCPUs, VMM",
        *names,
        "mean waiting (assumed)",
        "lock or thread busy (assumed)",
        "calls per second (assumed)",
    )
    rows: list[tuple[str, ...]] = [
        (
            f"{row['n_vcpu']}{' (hypothetical)' if row['is_hypothetical'] else ''}, {lock_name(row)}",
            *(duration(row[column]) for column in QUANTILES),
            duration(row["waiting_ns"]),
            percent(row["utilisation"]),
            count(row["throughput_hz"]),
        )
        for row in run["study_vcpus"].rows()
    ]
    return header, rows
