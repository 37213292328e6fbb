"""The study's fourth figure: throughput and response time as threads take forwarded calls side by side."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter

from fastsmc.reporting import style
from fastsmc.reporting.forms import columns
from fastsmc.reporting.study.common import (
    PALETTE,
    QUANTILES,
    TAG,
    lock_name,
    one,
    time_axis,
    vcpus_name,
)
from fastsmc.reporting.style import INK, Picture, new_figure, styled
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import NBSP, count, duration, percent, significant

SHADE = "#CFCFCF"
NEAR = 2.0
"""p99 within so many times a lone call counts as no queue to speak of."""


def picture(run: Run) -> Picture:
    """Calls per second and response time against threads, a line per vCPU count."""
    table = run["study_lock"]
    n_vcpu = int(table["n_vcpu"].max())
    first, enough = one(table, n_vcpu=n_vcpu), _enough(table, n_vcpu)
    title = (
        f"{vcpus_name(first)}: {_million(enough)} calls a second with {lock_name(enough)}, {_million(first)} with "
        f"{lock_name(first)}"
    )
    with styled():
        figure, (left, right) = new_figure(title, TAG, height_in=4.5, n_panel=2)
        handles = [
            _lines(left, right, table, n, colour)
            for n, colour in zip(np.unique(table["n_vcpu"]).tolist(), PALETTE, strict=False)
        ]
        left.set_title("throughput")
        left.set_ylabel("calls of the VM, all kinds (million per s)")
        left.set_yscale("log")
        left.yaxis.set_major_locator(FixedLocator([m * 10.0**k for k in range(-4, 4) for m in (1, 2, 5)]))
        left.tick_params(axis="y", which="minor", length=0)
        left.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        left.yaxis.set_minor_formatter(NullFormatter())
        right.set_title("response time of a forwarded call")
        time_axis(right, "response time")
        threads = np.unique(table.where(lock="workers")["n_thread"]).tolist()
        for ax in (left, right):
            style.vcpu_axis(ax, threads, "threads that take forwarded calls (count)", every=2)
        handles += [Line2D([], [], color=INK, linestyle=dash, label=name) for name, dash in QUANTILES.values()]
        handles.append(Line2D([], [], color=SHADE, linewidth=6, label="asymptotes, closed form"))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns(3), handlelength=2.4)
    return Picture("load-lock", "Lock design", title, TAG, _caption(run), figure, *_table(run), takeaway=_takeaway(run))


def _million(row: dict[str, float]) -> str:
    return f"{significant(row['throughput_hz'] / 1e6)}{NBSP}million"


def _enough(table: Table, n_vcpu: int) -> dict[str, float]:
    """The fewest threads whose p99 is near that of a lone call; if there is none, the most."""
    rows = list(table.where(n_vcpu=n_vcpu, lock="workers").rows())
    return next((row for row in rows if row["p99_ns"] <= NEAR * row["alone_ns"]), rows[-1])


def _lines(left: Axes, right: Axes, table: Table, n_vcpu: int, colour: str) -> Line2D:
    rows = table.where(n_vcpu=n_vcpu, lock="workers")
    first = next(rows.rows())
    face = "white" if first["is_hypothetical"] else colour
    left.plot(rows["n_thread"], rows["bound_hz"] / 1e6, color=SHADE, linewidth=6, zorder=1.5)
    left.plot(
        rows["n_thread"], rows["throughput_hz"] / 1e6, color=colour, marker="o", markersize=4.5, markerfacecolor=face
    )
    for column, (_, dash) in QUANTILES.items():
        right.plot(
            rows["n_thread"], rows[column], color=colour, linestyle=dash, marker="o", markersize=3.5,
            markerfacecolor=face,
        )  # fmt: skip
    return Line2D([], [], color=colour, marker="o", markersize=4.5, markerfacecolor=face, label=vcpus_name(first))


def _caption(run: Run) -> str:
    table = run["study_lock"]
    return (
        "Threads of the VMM take forwarded calls from one queue, first come, first served, and share no lock; one "
        "thread is the same as one lock per VM. First panel: calls per second of the whole VM, "
        f"{percent(float(table['share'][0]))} of which are forwarded, with the asymptotes behind it: as many as the "
        "threads can serve, or as if nobody waited. Second panel: response time of the forwarded ones. "
        "Hollow points are hypothetical: KVM has no such VM."
    )


def _takeaway(run: Run) -> str:
    table = run["study_lock"]
    sentences = []
    for n_vcpu in np.unique(table["n_vcpu"]).tolist():
        first, enough = one(table, n_vcpu=n_vcpu), _enough(table, n_vcpu)
        free = one(table, n_vcpu=n_vcpu, lock="none")
        sentences.append(
            f"{vcpus_name(first)} need {significant(first['n_vcpu'] / first['knee_vcpus'])} threads (closed form): "
            f"with {lock_name(enough)} p99 is {duration(enough['p99_ns'])} and the VM makes {_million(enough)} calls "
            f"a second, with one {duration(first['p99_ns'])} and {_million(first)}, and with a thread per vCPU "
            f"{duration(free['p99_ns'])} and {_million(free)}."
        )
    return (
        "Until there are enough threads, each doubling doubles the calls per second and more than halves the wait; "
        f"after that, threads change nothing. {' '.join(sentences)} So a small pool does what a thread per vCPU does, "
        "as long as its threads share nothing: a lock inside the service makes one thread of them all. The threads "
        "that are enough are in proportion to the VMM's work."
    )


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    names = tuple(f"{name} (assumed)" for name, _ in QUANTILES.values())
    header: tuple[str, ...] = (
        "vCPUs, VMM",
        *names,
        "one thread busy (assumed)",
        "calls per second (assumed)",
        "asymptote (assumed)",
    )
    rows: list[tuple[str, ...]] = [
        (
            f"{vcpus_name(row)}, {lock_name(row)}",
            *(duration(row[column]) for column in QUANTILES),
            percent(row["utilisation"]),
            count(row["throughput_hz"]),
            count(row["bound_hz"]),
        )
        for row in run["study_lock"].rows()
    ]
    return header, rows
