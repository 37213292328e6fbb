"""A drawn fleet's upgrade: VMs that move live and VMs that must stop, wave by wave."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from fastsmc.reporting.breaks import vmm_name
from fastsmc.reporting.style import BLUE, GREY, ORANGE, Note, Picture, new_figure, short, styled
from fastsmc.results.runs import Run
from fastsmc.results.units import count, in_si, percent

TAG = "modelled, on a drawn fleet"
COLUMNS = {"moved": ("move live", BLUE), "stopped": ("must stop", ORANGE), "unknown": ("unknown", GREY)}
"""Columns of a wave: what their VMs do, and how they are drawn."""
PARTS = {
    "hosts.kernel": "kernels",
    "hosts.vmm": "VMM of the hosts",
    "hosts.cores": "cores of a host",
    "hosts.memory_gib": "memory of a host",
    "hosts.nic_gbit_per_s": "network of a host",
    "vms.host": "places of the VMs",
    "vms.features": "vCPU features",
    "vms.tenant": "tenants",
    "vms.dirty_mib_per_s": "memory that a VM writes",
    "vms.hot_set_mib": "memory that is written again and again",
}
"""Columns of an inventory, in words."""


def as_before(run: Run) -> dict[str, Any]:
    """The upgrade with the VMM that the fleet has."""
    return next(run["upgrade"].where(is_as_before=True).rows())


def others(run: Run) -> list[dict[str, Any]]:
    """The upgrades with another VMM."""
    return list(run["upgrade"].where(is_as_before=False).rows())


def picture(run: Run) -> Picture:
    """Waves across, VMs up, a panel per VMM."""
    had = as_before(run)
    title = f"{_stop(had).capitalize()} of {count(had['n_vm'])} VMs must stop on the way to Linux {had['to']} with "
    title += vmm_name(had["vmm"].replace(":", " "))
    title += "".join(f", {_stop(row)} with {vmm_name(row['vmm'].replace(':', ' '))}" for row in others(run))
    names = run["upgrade"]["vmm"].tolist()
    with styled():
        figure, axes = new_figure(title, TAG, height_in=3.6, n_panel=len(names), small_in=5.4)
        for ax, vmm in zip(axes, names, strict=True):
            _panel(ax, run, vmm)
            ax.sharey(axes[0]) if ax is not axes[0] else None
        axes[0].set_ylabel("VMs of the wave (count)")
        used = [column for column in COLUMNS if run["upgrade_waves"][column].any()]
        handles = [Patch(facecolor=COLUMNS[one][1], label=COLUMNS[one][0]) for one in used]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return Picture("upgrade", "A fleet's upgrade", title, TAG, _caption(run), figure, *_table(run))


def _stop(row: dict[str, Any]) -> str:
    return count(row["stopped"]) if row["stopped"] else "none"


def _panel(ax: Axes, run: Run, vmm: str) -> None:
    waves = run["upgrade_waves"].where(vmm=vmm)
    edges, bottom = np.append(waves["wave"] - 0.5, waves["wave"][-1] + 0.5), np.zeros(waves.n_row)
    for column, (_, colour) in COLUMNS.items():
        if waves[column].any():
            top = bottom + waves[column]
            ax.stairs(top, edges, baseline=bottom, fill=True, facecolor=colour, linewidth=0)
            bottom = top
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0)
    ax.set_title(f"hosts with {short(vmm_name(vmm.replace(':', ' ')), 24)}")
    ax.set_xlabel(f"wave of {count(int(waves['hosts'][0]))} hosts (count)")
    ax.grid(visible=False, axis="x")


def told(run: Run) -> str:
    """A sentence: hosts, waves, VMs that stop, what is in the way, what helps."""
    had = as_before(run)
    text = (
        f"{count(had['hosts'])} hosts reach Linux {had['to']} in {count(had['waves'])} waves; with "
        f"{vmm_name(had['vmm'].replace(':', ' '))}, {_stop(had)} of {count(had['n_vm'])} VMs must stop"
    )
    if had["stopped"]:
        text += f", {percent(had['stopped'] / had['n_vm'])} of them"
        text += f", as {had['failing'].replace(';', ', ')} are in the way" if had["failing"] else ""
    for row in others(run):
        text += f"; with {vmm_name(row['vmm'].replace(':', ' '))} {_stop(row)} must"
    return text + " (modelled)."


def _caption(run: Run) -> str:
    return (
        f"{told(run)} A rolling upgrade empties some hosts at a time; a VM that restores on no upgraded host of its "
        "pool stops for the wave and starts again on the new kernel. Each VM is judged in its direction, as in the "
        "first figure. The fleet is drawn, not observed: VM sizes have the shares of a public trace, all else is "
        "assumed, as listed below."
    )


def note(run: Run) -> Note:
    """What the drawn fleet rests on."""
    rows: list[tuple[str, ...]] = [
        (PARTS.get(row["what"], row["what"]), in_si(row["assumed"])) for row in run["upgrade_assumed"].rows()
    ]
    title = f"The fleet is drawn, and {len(rows)} of its parts are assumed"
    return Note("assumed", title, "", ("part", "assumed"), rows)


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header = ("VMM after the upgrade", "hosts", "waves", "VMs", "move live (modelled)", "must stop (modelled)",
              "unknown (modelled)", "registers in the way")  # fmt: skip
    rows = [
        (
            vmm_name(row["vmm"].replace(":", " ")),
            *(count(row[name]) for name in ("hosts", "waves", "n_vm", "moved", "stopped", "unknown")),
            row["failing"].replace(";", ", ") or "none",
        )
        for row in run["upgrade"].rows()
    ]
    return header, rows
