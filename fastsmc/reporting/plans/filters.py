"""The figure of `fastsmc plan filter-cost`: KVM's time, modelled, and this simulator's, measured, a panel each."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastsmc.reporting.axes import tag_of
from fastsmc.reporting.plans.told import Told
from fastsmc.reporting.style import BLUE, GREEN, counts_axis, new_figure, styled
from fastsmc.results.units import number_of, significant

_MOST_TEXT = 8


def picture(plan: Told) -> Figure:
    """ns of a call against ranges of the filter. Each panel has an axis of its own: the two have nothing in common."""
    table = plan.table
    order = np.argsort(table["n_range"], kind="stable")
    n_range = table["n_range"][order]
    has_measured = "simulator_ns" in table
    names = ("kvm_handled_ns", *(("simulator_ns",) if has_measured else ()))
    tag = tag_of(table.columns[name].kind for name in names)
    with styled():
        kind = tag_of([table.columns["kvm_handled_ns"].kind])
        figure, axes = new_figure(_title(plan, kind), tag, height_in=3.7, n_panel=len(names))
        _line(axes[0], n_range, table["kvm_handled_ns"][order], BLUE, "o", "-")
        axes[0].set(title=f"KVM: a call that the kernel answers ({kind})", ylabel="ns a call")
        if has_measured:
            _line(axes[1], n_range, table["simulator_ns"][order], GREEN, "s", (0, (6, 2)))
            axes[1].set(title="this simulator: one call of a mix (measured)", ylabel="ns a call, here and now")
    return figure


def _title(plan: Told, kind: str) -> str:
    table = plan.table
    most = int(np.argmax(table["n_range"]))
    handled, added = float(table["kvm_handled_ns"][most]), float(table["kvm_added_ns"][most])
    n = int(table["n_range"][most])
    of = f"A filter of {number_of(n, 'range')}" if n else "No filter"
    head = f"{of} adds {significant(added)} ns to KVM's {significant(handled - added)} ns a call ({kind})"
    if "simulator_ratio" not in table:
        return head
    return f"{head}; this simulator takes {table['simulator_ratio'][most]:.2f}x its own time (measured)"


def _line(ax: Axes, x: NDArray[Any], y: NDArray[Any], colour: str, marker: str, dashes: Any) -> None:
    ax.plot(x, y, color=colour, marker=marker, linestyle=dashes)
    ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    few = x if len(x) <= _MOST_TEXT else x[np.unique(np.linspace(0, len(x) - 1, 6).astype(int))]
    counts_axis(ax.xaxis, sorted(set(few.tolist())))
    if len(x) <= _MOST_TEXT:
        for k, (one, value) in enumerate(zip(x, y, strict=True)):
            ax.annotate(
                significant(float(value)), (one, value), xytext=(0, 6 if k else -14), textcoords="offset points",
                ha="center", fontsize=8.5,
            )  # fmt: skip
    ax.set_ylim(0, 1.2 * max(float(y.max()), 1e-9))
    ax.margins(x=0.08)
    ax.set_xlabel("ranges of the filter (0: no filter)")
