"""The heat map of `fastsmc migrate check --matrix`: from which release to which a VM restores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from fastsmc.reporting.style import INK, new_figure, short, styled

TAG = "modelled"
_PASS, _UNKNOWN = "#9CC8E3", "#ECECEC"
_FAILING = LinearSegmentedColormap.from_list("failing", ["#FCE9D9", "#F6CCA6", "#EFAA6B"])  # black is read on all of it
_HEADROOM = 2.2  # inches above, below and beside the cells


def picture(names: Sequence[str], marks: NDArray[np.str_], n_failing: NDArray[np.int64], *, title: str) -> Figure:
    """The map: a row per source, a column per destination, in each cell the registers that stand in the way.

    Args:
        names: of releases or groups of them, oldest first.
        marks: str[n_name, n_name], from row to column: "ok", "?" unknown, or what a direction that fails shows.
        n_failing: int64[n_name, n_name], registers in the way; 0 where the VMM refuses before it writes one.
    """
    with styled():
        figure, (ax,) = new_figure(title, TAG, height_in=_HEADROOM + 0.3 * len(names))
        draw(ax, names, marks, n_failing, most=int(n_failing.max(initial=1)))
        ax.set(xlabel="destination (Linux)", ylabel="source (Linux)")
        figure.legend(handles=legend(), loc="outside lower center", ncols=3)
    return figure


def draw(ax: Axes, names: Sequence[str], marks: NDArray[np.str_], n_failing: NDArray[np.int64], *, most: int) -> None:
    """The cells of a map and the names beside them; the colour of `most` registers is the strongest."""
    n, labels, norm = len(names), [short(name, 20) for name in names], LogNorm(1, max(2, most))
    colours = {"ok": _PASS, "?": _UNKNOWN}
    for row in range(n):
        for column in range(n):
            mark, count = str(marks[row, column]), int(n_failing[row, column])
            colour = colours.get(mark) or _FAILING(norm(count) if count else 1.0)
            ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, edgecolor="white"))
            if mark != "ok":
                ax.text(column, row, short(mark, 4), ha="center", va="center", fontsize=7, color=INK)
    ax.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
    ax.set_xticks(range(n), labels, rotation=90)
    ax.set_yticks(range(n), labels)
    ax.tick_params(length=0)
    ax.grid(visible=False)


def legend() -> list[Patch]:
    """What the colours of the cells mean."""
    return [
        Patch(facecolor=_PASS, label="restores"),
        Patch(facecolor=_UNKNOWN, label="?: cannot be known"),
        Patch(facecolor=_FAILING(0.6), label="fails: registers in the way"),
    ]
