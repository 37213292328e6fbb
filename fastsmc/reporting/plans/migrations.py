"""The figure of `fastsmc plan migration-table`: how long precopy takes, as a map of links and downtime limits."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fastsmc.reporting.axes import BLUES, seconds, tag_of
from fastsmc.reporting.plans.told import Told, cube_of, numbers_of
from fastsmc.reporting.style import GREY, INK, new_figure, short, styled

_MID = 1
_MOST_TEXT, _MOST_CELLS = 120, 2000


def picture(plan: Told) -> Figure:
    """A cell per link and limit, coloured by the time at the middle figures; hatched where precopy never ends.

    Raises:
        InputError: the plan has no cube of times.
    """
    cube = cube_of(plan, "link", "downtime_ms", "figure")
    total, kind = numbers_of(cube, "total_s")
    links, limits = cube.coords["link"], np.asarray(cube.coords["downtime_ms"], np.float64)
    mid, is_always = total[..., _MID], np.asarray(~np.isnan(total).any(axis=-1))
    with styled():
        height = 2.1 + 0.42 * min(len(links), 14)
        figure, (ax,) = new_figure(_title(mid, is_always, links, limits), tag_of([kind]), height_in=height)
        some = mid[~np.isnan(mid)]
        low, high = (float(some.min()), float(some.max())) if some.size else (1.0, 1.0)
        ax.set_facecolor("#F2F2F2")
        ax.axhspan(-0.5, len(links) - 0.5, facecolor="none", edgecolor="#9A9A9A", hatch="////", linewidth=0, zorder=0.5)
        mesh = ax.pcolormesh(
            np.arange(len(limits) + 1) - 0.5,
            np.arange(len(links) + 1) - 0.5,
            np.ma.masked_invalid(mid),
            cmap=BLUES,
            norm=LogNorm(low / 1.5, max(high, low) * 1.2),
            edgecolor="white",
            linewidth=1 if mid.size <= _MOST_CELLS else 0,
            zorder=1,
        )
        _cells(ax, mid, is_always)
        if mid.size > _MOST_TEXT and some.size:
            bar = figure.colorbar(mesh, ax=ax, pad=0.02, aspect=32)
            bar.ax.set_ylim(low, max(high, 1.01 * low))
            ticks = [low, (low * high) ** 0.5, high] if high > 1.5 * low else [low]
            bar.set_ticks(ticks, labels=[seconds(one) for one in ticks])
            bar.ax.minorticks_off()
        _axes(ax, [short(str(link), 30) for link in links], limits)
        never = Patch(facecolor="#F2F2F2", edgecolor=GREY, hatch="////", label="never: it does not converge")
        ax.plot([], [], " ", label="* not with all figures high")
        stars = bool((~is_always & ~np.isnan(mid)).any()) and mid.size <= _MOST_CELLS
        figure.legend(
            handles=[never, *(ax.get_legend_handles_labels()[0] if stars else [])],
            loc="outside lower center",
            ncols=2,
        )
    return figure


def _title(
    mid: NDArray[np.float64], is_always: NDArray[np.bool_], links: NDArray[np.str_], limits: NDArray[np.float64]
) -> str:
    n_some = int(np.count_nonzero(~np.isnan(mid)))
    if not n_some:
        return f"Precopy converges in none of {mid.size} cells at the middle figures"
    i, k = np.unravel_index(int(np.nanargmin(mid)), mid.shape)
    sure = "" if bool(is_always[i, k]) else ", if not all figures are high"
    return (
        f"Precopy converges in {n_some} of {mid.size} cells, the fastest in {seconds(float(mid[i, k]))} "
        f"over {links[i]} within {limits[k]:g} ms{sure}"
    )


def _cells(ax: Axes, mid: NDArray[np.float64], is_always: NDArray[np.bool_]) -> None:
    for i, k in np.ndindex(*mid.shape):
        value = float(mid[i, k])
        star = " *" * (not is_always[i, k] and not np.isnan(value))
        if mid.size <= _MOST_TEXT:
            text = "never" if np.isnan(value) else seconds(value) + star
            note = ax.text(k, i, text, ha="center", va="center", fontsize=9, color=INK)
            if np.isnan(value):
                note.set_bbox({"facecolor": "#F2F2F2", "edgecolor": "none", "pad": 1.5})
        elif star and mid.size <= _MOST_CELLS:
            ax.text(k, i, star.strip(), ha="center", va="center", fontsize=9, color=INK)


def _axes(ax: Axes, links: list[str], limits: NDArray[np.float64]) -> None:
    each = -(-len(limits) // 12)
    places = np.arange(len(limits))[::each]
    ax.set_xticks(places, [f"{limits[k]:g}" for k in places])
    each = -(-len(links) // 14)
    ax.set_yticks(np.arange(len(links))[::each], links[::each])
    ax.set(xlim=(-0.5, len(limits) - 0.5), ylim=(len(links) - 0.5, -0.5))
    ax.set(xlabel="limit of the downtime (ms)", ylabel="link")
    ax.grid(visible=False)
    ax.tick_params(length=0)
