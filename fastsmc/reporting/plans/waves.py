"""The figure of `fastsmc plan upgrade`: hosts that each wave upgrades, and what becomes of their VMs."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.reporting.axes import tag_of, whole_ticks
from fastsmc.reporting.plans.told import Told
from fastsmc.reporting.style import BLUE, ORANGE, PURPLE, RED, new_figure, styled
from fastsmc.results.units import count

_MOST = 40
_FATES = (
    ("moved", "move live", BLUE, ""),
    ("stopped", "stop", RED, "////"),
    ("unknown", "cannot be known", PURPLE, ".."),
)


def picture(plan: Told) -> Figure:
    """Left hosts by wave; right VMs by wave, those that move live, those that stop, those of which it is not known.

    Of many waves so many in a row are one bar that there are at most forty.

    Raises:
        InputError: no host needs the upgrade.
    """
    table = plan.table
    if not table.n_row:
        msg = "no host needs the upgrade: there is nothing to draw"
        raise InputError(msg)
    each = -(-table.n_row // _MOST)
    wave = table["wave"][::each].astype(np.float64)
    with styled():
        figure, (hosts, vms) = new_figure(_title(plan), tag_of([table.columns["hosts"].kind]), height_in=3.9, n_panel=2)
        hosts.bar(
            wave, _summed(table["hosts"], each), width=0.8 * each, align="edge" if each > 1 else "center", color=ORANGE
        )
        hosts.set(ylabel="hosts emptied and upgraded")
        under = np.zeros(len(wave))
        for name, label, colour, hatch in _FATES:
            n = _summed(table[name], each)
            vms.bar(
                wave, n, bottom=under, width=0.8 * each, align="edge" if each > 1 else "center", color=colour,
                hatch=hatch, label=f"{label}: {count(n.sum())}",
            )  # fmt: skip
            under = under + n
        vms.set(ylabel="VMs on them")
        for ax in (hosts, vms):
            _waves(ax, each)
        figure.legend(*vms.get_legend_handles_labels(), loc="outside lower right", ncols=3)
    return figure


def _title(plan: Told) -> str:
    n = {name: int(plan.table[name].sum()) for name in ("hosts", "moved", "stopped", "unknown")}
    unsure = f", of {count(n['unknown'])} it cannot be known" if n["unknown"] else ""
    stop = f"{count(n['stopped'])} must stop" if n["stopped"] else "none must stop"
    to = f" reach {plan.inputs['to']}" if plan.inputs.get("to") else " are upgraded"
    return (
        f"{_some(n['hosts'], 'host')}{to} in {_some(plan.table.n_row, 'wave')}: "
        f"{_some(n['moved'], 'live move')}, {stop}{unsure}"
    )


def _some(n: int, what: str) -> str:
    return f"{count(n)} {what}{'s' * (n != 1)}"


def _summed(values: NDArray[Any], each: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.add.reduceat(values.astype(np.float64), np.arange(0, len(values), each))
    return found


def _waves(ax: Axes, each: int) -> None:
    ax.set_xlabel("wave" if each == 1 else f"wave, {each} in a bar")
    for axis in (ax.xaxis, ax.yaxis):
        whole_ticks(axis, 6)
    ax.grid(axis="x", visible=False)
    ax.set_ylim(0, max(ax.get_ylim()[1], 1))
