"""The figure of `fastsmc migrate downtime`: steps one after another, against the limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fastsmc.reporting.forms import is_small
from fastsmc.reporting.style import BLUE, GREEN, GREY, INK, ORANGE, RED, new_figure, short, styled
from fastsmc.results.units import significant

_COLOURS = {"measured": GREEN, "modelled": BLUE, "assumed": ORANGE}


class Bar(NamedTuple):
    """One step: low, middle and high in ms, how its time came about, whether QEMU's estimate has it."""

    name: str
    ms: tuple[float, ...]
    kind: str
    is_budgeted: bool


def picture(bars: Sequence[tuple[str, tuple[float, ...], str, bool]], *, title: str, limit_ms: float) -> Figure:
    """Bars of middle times, each beginning where the one above ends, with a whisker from low to high.

    Args:
        bars: as `Bar` names what stands in them.
    """
    return _drawn([Bar(*bar) for bar in bars], title, limit_ms)


def _drawn(bars: Sequence[Bar], title: str, limit_ms: float) -> Figure:
    kinds = [kind for kind in _COLOURS if any(bar.kind == kind for bar in bars)]
    mid = np.array([bar.ms[1] for bar in bars])
    starts = np.concatenate(([0.0], np.cumsum(mid)))
    with styled():
        figure, (ax,) = new_figure(title, ", ".join(kinds), height_in=1.9 + 0.27 * len(bars))
        for y, (bar, start) in enumerate(zip(bars, starts, strict=False)):
            low, middle, high = bar.ms
            ax.barh(y, middle, left=start, color=_COLOURS[bar.kind], height=0.62)
            if high > low:
                ax.plot([start + low, start + high], [y, y], color=INK, linewidth=0.9)
            text = significant(middle) + ("" if is_small() else " ms")
            _beside(ax, start + max(middle, high), y, text)
        _frame(ax, bars, float(starts[-1]), limit_ms)
        handles = [Patch(facecolor=_COLOURS[kind], label=kind) for kind in kinds]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _beside(ax: Axes, x: float, y: float, text: str) -> None:
    ax.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)


def _frame(ax: Axes, bars: Sequence[Bar], end: float, limit_ms: float) -> None:
    ax.axvline(limit_ms, color=RED, linewidth=1.2, linestyle=(0, (4, 2)))
    _beside(ax, limit_ms, -0.75, f"limit {limit_ms:g} ms")
    ax.axvline(end, color=GREY, linewidth=0.8)
    ax.set_yticks(
        range(len(bars)), [short(bar.name) + (" (in the estimate)" if bar.is_budgeted else "") for bar in bars]
    )
    ax.set(ylim=(len(bars) - 0.4, -1.1), xlabel="time since the guest was stopped (ms)")
    ax.set_xlim(left=0, right=1.12 * max(end, limit_ms, ax.get_xlim()[1]))
    ax.grid(axis="y", visible=False)
