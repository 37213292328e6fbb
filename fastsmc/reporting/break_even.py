"""The figure of `fastsmc migrate add-registers`: from where on a map of VM-global registers saves something."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from fastsmc.reporting.style import INK, RED, new_figure, short, styled
from fastsmc.results.units import count

TAG = "modelled; cost of an ioctl assumed"
_COLOURS = LinearSegmentedColormap.from_list("share", ["#FBFCFE", "#D6E6F4", "#9CC8E3", "#5BA3CF", "#3C84BC"])
_BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.88, "pad": 1.5}


def picture(
    ioctl_ns: NDArray[np.float64],
    repeats: NDArray[np.float64],
    shares: NDArray[np.float64],
    *,
    title: str,
    threshold: float,
    points: Sequence[tuple[str, float]],
    marked_ns: Sequence[float],
) -> Figure:
    """Share of the downtime limit a map saves, over the cost of an ioctl and registers x vCPUs beyond the first.

    Args:
        ioctl_ns: float64[n_cost]. repeats: float64[n_repeat]. shares: float64[n_repeat, n_cost], of one.
        threshold: the share whose line is drawn thick. points: names and their repeats. marked_ns: costs on the axis.
    """
    with styled():
        figure, (ax,) = new_figure(title, TAG, height_in=5.6)
        ax.set_xscale("log")  # before any line is labelled
        ax.set_yscale("log")
        low, high = 1e-5, 100.0
        levels = np.logspace(-5, 2, 15)
        clipped = np.clip(shares, low, high)
        filled = ax.contourf(ioctl_ns, repeats, clipped, levels=levels, norm=LogNorm(low, high), cmap=_COLOURS)
        filled.set_edgecolor("face")
        for share, width in ((0.01, 0.8), (1.0, 0.8), (threshold, 2.0)):
            if not shares.min() < share < shares.max():
                continue  # no such line on this map
            lines = ax.contour(
                ioctl_ns, repeats, shares, levels=[share], colors=RED if width > 1 else INK, linewidths=width
            )
            ax.clabel(lines, fmt=lambda value: f"{value * 100:g} % of the limit", fontsize=8)
        for name, repeat in points:
            ax.axhline(repeat, color=INK, linewidth=0.7, linestyle=(0, (3, 2)))
            ax.text(ioctl_ns[0] * 1.06, repeat, f"{short(name)}: {count(repeat)}", va="center", fontsize=7.5, bbox=_BOX)
        marked = [ns for ns in marked_ns if ioctl_ns[0] < ns < ioctl_ns[-1]]
        ax.xaxis.set_major_locator(FixedLocator([float(ioctl_ns[0]), *marked, float(ioctl_ns[-1])]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
        ax.set(xlabel="one ioctl (ns)", ylabel="VM-global registers x vCPUs beyond the first (count)")
        ax.grid(visible=False)
        bar = figure.colorbar(filled, ax=ax, pad=0.02, aspect=32)
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g} %"))
        bar.set_label("of the downtime limit, saved by a map")
    return figure
