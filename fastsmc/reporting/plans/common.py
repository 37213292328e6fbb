"""The figure of `fastsmc plan baseline`: what the hosts of each pool have in common, and how many VMs lose what."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.reporting.axes import beside, tag_of, whole_ticks
from fastsmc.reporting.plans.told import Told
from fastsmc.reporting.style import GREEN, GREY, ORANGE, PURPLE, new_figure, short, styled
from fastsmc.results.tables import Table
from fastsmc.results.units import count

_MOST = 12
_STATES = (
    ("yes", "all hosts have it", GREEN, ""),
    ("no", "a host lacks it", ORANGE, "////"),
    ("", "not known", GREY, ".."),
)


def picture(plan: Told) -> Figure:
    """Left the services, registers, bits, versions and features of each pool by whether all hosts have them; right VMs
    by what they would lose or might, most first. Of many pools or things a dozen are drawn, and the axis says so.

    Raises:
        InputError: the plan has no rows.
    """
    table = plan.table
    if not table.n_row:
        msg = "the hosts have nothing that is asked about: there is nothing to draw"
        raise InputError(msg)
    pools, of = np.unique(table["pool"], return_inverse=True)
    least = np.argsort(np.bincount(of, table["in_common"] == "yes"), kind="stable")[:_MOST]
    order = np.argsort(-(table["n_vm_losing"] + table["n_vm_perhaps"]), kind="stable")
    lost = order[(table["n_vm_losing"] + table["n_vm_perhaps"])[order] > 0]
    with styled():
        n_bar = max(len(least), min(len(lost), _MOST), 3)
        tag = tag_of([table.columns["n_vm_losing"].kind])
        figure, (left, right) = new_figure(_title(plan, lost), tag, height_in=2.3 + 0.27 * n_bar, n_panel=2)
        _shared(left, table, pools, of, least)
        _losing(right, table, lost, len(pools) > 1)
        handles = [*zip(*left.get_legend_handles_labels(), strict=True)]
        handles += [*zip(*right.get_legend_handles_labels(), strict=True)]
        figure.legend([one for one, _ in handles], [name for _, name in handles], loc="outside lower center", ncols=3)
    return figure


def _title(plan: Told, lost: NDArray[np.int64]) -> str:
    table, n_vm = plan.table, plan.inputs.get("vms")
    of = f" of {count(n_vm)}" if isinstance(n_vm, int) else ""
    losing = table["n_vm_losing"]
    if not losing.any():
        might = f"; {table['name'][lost[0]]} might be lost" if len(lost) else ""
        return f"Pinned to what all hosts of its pool have, no VM is known to lose anything{might}"
    most = int(losing.argmax())
    n, alike = int(losing[most]), int((losing == losing[most]).sum()) - 1
    others = f" and {count(alike)} other{'s' * (alike != 1)}" if alike else ""
    vms = f"{count(n)}{of} VM{'s' * (n != 1 or bool(of))}"
    return f"Pinned to what all hosts of its pool have, {vms} would lose {table['name'][most]}{others}"


def _shared(ax: Axes, table: Table, pools: NDArray[np.str_], of: NDArray[np.int64], least: NDArray[np.int64]) -> None:
    state = np.where(np.isin(table["in_common"], ("yes", "no")), table["in_common"], "")
    left = np.zeros(len(least))
    for word, label, colour, hatch in _STATES:
        n = np.bincount(of, state == word, len(pools))[least]
        if n.any():
            ax.barh(np.arange(len(least)), n, left=left, height=0.62, color=colour, hatch=hatch, label=label)
        left = left + n
    yes = np.bincount(of, state == "yes", len(pools))[least]
    for y, (end, n) in enumerate(zip(left, yes, strict=True)):
        beside(ax, float(end), y, f"{count(n)} of {count(end)}")
    ax.set_yticks(np.arange(len(least)), [short(str(pools[k]) or "(no pool)", 20) for k in least])
    ax.set_ylim(max(len(least), 3) - 0.4, -0.6)
    ax.set_xlim(0, 1.3 * float(left.max()))
    ax.grid(axis="y", visible=False)
    few = f": {len(least)} of {len(pools)} pools, least first" if len(least) < len(pools) else ""
    ax.set_xlabel(f"services, registers, bits and features{few}")


def _losing(ax: Axes, table: Table, lost: NDArray[np.int64], has_pools: bool) -> None:
    rows = lost[:_MOST]
    losing, perhaps = table["n_vm_losing"][rows], table["n_vm_perhaps"][rows]
    names = [str(table["name"][k]) + (f" ({table['pool'][k]})" if has_pools else "") for k in rows]
    places = np.arange(len(rows))
    if len(rows):
        label = "VMs that lose it" if losing.any() else None
        ax.barh(places, losing, height=0.62, color=PURPLE, label=label)
        if perhaps.any():
            ax.barh(places, perhaps, left=losing, height=0.62, color="white", edgecolor=PURPLE, label="VMs that might")
        for y, (one, two) in enumerate(zip(losing.tolist(), perhaps.tolist(), strict=True)):
            beside(ax, one + two, y, _some(one, two))
        ax.set_xlim(0, 1.35 * float((losing + perhaps).max()))
        ax.set_ylim(max(len(rows), 3) - 0.4, -0.6)
        whole_ticks(ax.xaxis, 4)
    else:
        ax.text(0.5, 0.5, "no VM would lose anything", transform=ax.transAxes, ha="center", va="center")
        ax.set_xticks([])
    ax.set_yticks(places, [short(name, 36) for name in names])
    ax.grid(axis="y", visible=False)
    few = f": {len(rows)} of {count(len(lost))} things" if len(rows) < len(lost) else ""
    ax.set_xlabel(f"VMs that would lose it{few}")


def _some(losing: int, perhaps: int) -> str:
    """How many VMs lose a thing, and how many might.

    >>> _some(2, 0), _some(2, 3), _some(0, 3)
    ('2', '2, 3 perhaps', '3 perhaps')
    """
    return ", ".join(([count(losing)] if losing or not perhaps else []) + [f"{count(perhaps)} perhaps"] * bool(perhaps))
