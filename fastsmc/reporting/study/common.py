"""What the study's figures share: its inputs, colours of lock designs, styles of quantiles, axes of times."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from fastsmc.reporting import style
from fastsmc.reporting.style import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, limit
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import count, duration, significant

Dash = Literal["-", "--", ":"]
TAG = "modelled, from assumed figures"
QUANTILES: dict[str, tuple[str, Dash]] = {"p50_ns": ("p50", "-"), "p99_ns": ("p99", "--"), "p99_9_ns": ("p99.9", ":")}
"""Columns of quantiles: what they are called, and their dashes."""
PALETTE = (BLUE, GREEN, ORANGE, RED, PURPLE, SKY)


def figure_of(run: Run, name: str) -> float:
    """An input of the study, in the unit its table gives."""
    return float(run["study"].where(figure=name)["value"][0])


def weakest(run: Run) -> dict[str, Any]:
    """The input that limits trust in the study."""
    return next(run["study"].where(is_weakest=True).rows())


def basis(run: Run) -> str:
    """What all of the study rests on, in one sentence: the profile and its weakest figure."""
    row = weakest(run)
    figure = f"{row['figure']}, {duration(row['value'])}, is {row['obtained']}"
    return f"All of this is modelled on profile {row['profile']}; {figure}."


def lock_name(row: dict[str, Any]) -> str:
    """A lock design in words."""
    return {
        "vm": "one lock per VM",
        "workers": f"{row['n_thread']} threads" if row["n_thread"] > 1 else "1 thread",
        "none": "a thread per vCPU, no lock",
    }[row["lock"]]


def vcpus_name(row: dict[str, Any]) -> str:
    """vCPUs of a VM in words, marked where KVM has no such VM."""
    n = row["n_vcpu"]
    return f"{n} vCPU{'' if n == 1 else 's'}" + (" (hypothetical)" if row["is_hypothetical"] else "")


def vcpus(number: float) -> str:
    """A number of vCPUs that need not be whole.

    >>> vcpus(41.3842), vcpus(1004.28)
    ('41.4', '1004')
    """
    return significant(number) if number < 1000 else count(number)


def most_real(table: Table) -> int:
    """The most vCPUs that are not hypothetical."""
    return int(table.where(is_hypothetical=False)["n_vcpu"].max())


def one(table: Table, **equals: object) -> dict[str, Any]:
    """The first row in which columns equal the given values."""
    return next(table.where(**equals).rows())


def time_axis(ax: Axes, label: str) -> None:
    """A logarithmic axis of times, each tick in the unit that suits it."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high / low < 30:
        low, high = low / 2, high * 3
    below, above = 10.0 ** np.floor(np.log10(low)), 10.0 ** np.ceil(np.log10(high))
    low, high = (below if low < 2 * below else low), (above if high > above / 3 else high)
    ax.set_ylim(low, high)
    ticks = [10.0**k for k in range(0, 12) if low <= 10.0**k <= high]
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(lambda value, _: duration(value))
    ax.tick_params(axis="y", which="minor", length=0)
    ax.set_ylabel(label)


def vcpu_panel(ax: Axes, run: Run, values: list[int], *, y: float = 0.03) -> None:
    """A logarithmic axis of vCPUs, hatched beyond what KVM allows; a note in it begins at height y."""
    style.vcpu_axis(ax, values, "vCPUs of the VM (count)", every=2)
    ax.set_xlim(values[0] * 0.93, values[-1] * 1.07)
    n_text = len(ax.texts)
    style.shade_hypothetical(ax, limit(run, "KVM vCPUs per VM"), values[-1] * 1.07, y=y)
    for note in ax.texts[n_text:]:
        note.set_zorder(1.9)  # behind the lines that cross it


def share_axis(ax: Axes, shares: list[float]) -> None:
    """Shares of forwarded calls: logarithmic, and from the least of them down to 0 linear."""
    least = min((share for share in shares if share), default=1.0)
    ax.set_xscale("symlog", linthresh=least, linscale=0.35)
    ticks = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    ax.xaxis.set_major_locator(FixedLocator([t for t in ticks if t == 0 or t >= least]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    ax.set_xlim(-0.0005 if least < 0.02 else -0.02, 1.15)
    ax.set_xlabel("calls that are forwarded (% of all)")
