"""The figure of `fastsmc plan largest-shape`: the most vCPUs against budget, link or register list."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fastsmc.reporting.axes import LOOKS, tag_of
from fastsmc.reporting.plans.told import Told, cube_of, numbers_of
from fastsmc.reporting.style import GREY, INK, new_figure, short, styled
from fastsmc.results.units import count

_KVM_STOPS = 512
"""Largest number of vCPUs of a VM on arm64 KVM: VGIC_V3_MAX_CPUS."""
_MOST_BANDS, _MOST_MARKED, _MOST_TEXT = 2, 40, 12
_NAMES = {"registers": "registers", "link": "link", "downtime_ms": "budget (ms)", "ioctl_ns": "ns of an ioctl"}


class Series(NamedTuple):
    """One line: its name, and int64[n_x, 3] of vCPUs with all figures low, middle, high."""

    name: str
    n_vcpu: NDArray[np.float64]


def picture(plan: Told) -> Figure:
    """vCPUs at the middle figures as a line or points, with a band or bars from all figures high to all low.

    Raises:
        InputError: the plan has no cube of them.
    """
    cube = cube_of(plan, "registers", "link", "downtime_ms", "figure")
    values, kind = numbers_of(cube, "n_vcpu")
    dims = [name for name in cube.coords if name != "figure"]
    along = next((name for name in ("downtime_ms", "link", "registers", *dims) if len(cube.coords[name]) > 1), dims[0])
    labels = cube.coords[along]
    series = _series(cube.coords, values, dims, along)
    shown = [series[k] for k in np.unique(np.linspace(0, len(series) - 1, len(LOOKS)).round().astype(int))]
    with styled():
        figure, (ax,) = new_figure(_title(cube.coords, values, dims), tag_of([kind]), height_in=4.4)
        is_line = along == "downtime_ms" and len(labels) > 1
        x = np.asarray(labels, np.float64) if is_line else np.arange(len(labels), dtype=np.float64)
        for k, one in enumerate(shown):
            _draw(ax, x, one, k, is_line=is_line, n=len(shown))
        if not is_line:
            ax.set_xticks(x, [short(str(label), 22) for label in labels])
            ax.set_xlim(-0.6, len(labels) - 0.4)
        few = f"; {len(shown)} of {len(series)} combinations are drawn" if len(shown) < len(series) else ""
        ax.set(xlabel=_NAMES.get(along, along) + few, ylabel="most vCPUs within the budget")
        _limit(ax, float(values.max()))
        is_band = len(shown) <= _MOST_BANDS
        figure.legend(*_legend(ax, is_band=is_band, is_line=is_line), loc="outside lower center", ncols=2)
    return figure


def _series(coords: Any, values: NDArray[np.float64], dims: list[str], along: str) -> list[Series]:
    others = [name for name in dims if name != along]
    many = [name for name in others if len(coords[name]) > 1]
    lines = np.moveaxis(values, dims.index(along), -2).reshape(-1, len(coords[along]), 3)
    names = []
    for place in product(*(range(len(coords[name])) for name in others)):
        told = [_told(name, coords[name][k]) for name, k in zip(others, place, strict=True) if name in many]
        names.append(", ".join(told) or "at the middle figures")
    return [Series(name, line) for name, line in zip(names, lines, strict=True)]


def _told(name: str, label: Any) -> str:
    return {"downtime_ms": f"{label} ms", "ioctl_ns": f"{label} ns an ioctl"}.get(name, str(label))


def _draw(ax: Axes, x: NDArray[np.float64], one: Series, k: int, *, is_line: bool, n: int) -> None:
    look, (high, mid, low) = LOOKS[k], one.n_vcpu.T
    name = short(one.name, 60)
    if is_line:
        marker = look.marker if len(x) <= _MOST_MARKED else ""
        ax.plot(x, mid, color=look.colour, marker=marker, linestyle=look.dashes, label=name)
        if n <= _MOST_BANDS:
            ax.fill_between(x, low, high, color=look.colour, alpha=0.16, linewidth=0)
            return
        for edge in (low, high):  # bands that lie over each other would be one
            ax.plot(x, edge, color=look.colour, linestyle=look.dashes, linewidth=0.7)
        return
    at = x + (k - (n - 1) / 2) * min(0.8 / n, 0.3)
    span = np.maximum(np.stack([mid - low, high - mid]), 0)
    ax.errorbar(at, mid, yerr=span, fmt=look.marker, color=look.colour, capsize=4, label=name)
    if len(x) * n <= _MOST_TEXT:
        for place, value in zip(at, mid, strict=True):
            ax.annotate(
                count(value), (place, value), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8.5
            )


def _legend(ax: Axes, *, is_band: bool, is_line: bool) -> tuple[list[Any], list[str]]:
    handles, names = ax.get_legend_handles_labels()
    if is_line:
        look: dict[str, Any] = {"linewidth": 6, "alpha": 0.4} if is_band else {"linewidth": 0.7}
    else:
        look = {"marker": "|", "markersize": 7}
    what = "from all figures high to all low"
    return [*handles, *ax.plot([], [], color=GREY, **look)], [
        *names,
        what if is_band or not is_line else f"thin: {what}",
    ]


def _limit(ax: Axes, most: float) -> None:
    ax.set_ylim(0, max(1.08 * most, 1.0))
    if most <= _KVM_STOPS:
        return
    top = max(1.15 * most, 1.2 * _KVM_STOPS)
    ax.set_ylim(0, top)
    ax.axhspan(_KVM_STOPS, top, facecolor="none", edgecolor="#B8B8B8", hatch="///", linewidth=0, zorder=0.6)
    ax.axhline(_KVM_STOPS, color=GREY, linewidth=1, linestyle=(0, (4, 2)))
    text = f"hypothetical above {_KVM_STOPS}: KVM stops there"
    note = ax.text(0.01, 0.985, text, transform=ax.transAxes, ha="left", va="top", fontsize=8.5, color=INK)
    note.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 2})


def _title(coords: Any, values: NDArray[np.float64], dims: list[str]) -> str:
    high, mid, low = (values[..., k] for k in range(3))
    if mid.size > 1:
        return (
            f"{count(mid.min())} to {count(mid.max())} vCPUs fit, at the middle figures, over {mid.size} cells; "
            f"{count(low.min())} to {count(low.max())} with all figures high"
        )
    of = dict(zip(dims, (coords[name][0] for name in dims), strict=True))
    return (
        f"{count(mid.item())} vCPUs of {of['registers']} fit {float(of['downtime_ms']):g} ms over {of['link']} "
        f"({count(low.item())} with all figures high, {count(high.item())} with all low)"
    )
