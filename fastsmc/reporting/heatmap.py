"""Registers against vCPUs: bytes against registers and vCPUs, with the origin's two points and today's real counts."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fastsmc.reporting.forms import is_small
from fastsmc.reporting.style import GREY, INK, RED, Picture, counts_axis, limit, new_figure, shade_hypothetical, styled
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import count, milliseconds, size

PLAIN, QEMU = "values", "id+value"
TAG = "measured: encoded and read back"

# Light to mid blue, lightness falling evenly: black text stays readable on all of it.
_COLOURS = LinearSegmentedColormap.from_list("bytes", ["#FBFCFE", "#D6E6F4", "#9CC8E3", "#5BA3CF", "#3C84BC"])
_BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.88, "pad": 2.0}


def picture(run: Run) -> Picture:
    """Registers x vCPUs, coloured by bytes."""
    large, small = origin_points(run)
    title = (
        f"One value per register and vCPU: {size(large['encoded_bytes'][0])} at the origin's extreme, "
        f"{size(small['encoded_bytes'][0])} at its realistic end"
    )
    with styled():
        figure, (ax,) = new_figure(title, TAG, height_in=6.2)
        _draw(figure, ax, run)
    return Picture("heatmap", "Registers against vCPUs", title, TAG, _caption(run), figure, *_table(run))


def origin_points(run: Run) -> tuple[Table, Table]:
    """The origin's two points as plain values: the extreme one and the realistic one."""
    points = run["origin"].where(codec=PLAIN)
    order = np.argsort(-points["encoded_bytes"])
    large, small = (points.where(n_reg=points["n_reg"][i], n_vcpu=points["n_vcpu"][i]) for i in (order[0], order[-1]))
    return large, small


def _draw(figure: Figure, ax: Axes, run: Run) -> None:
    grid = run["payload"].where(codec=PLAIN)
    regs, vcpus = np.unique(grid["n_reg"]), np.unique(grid["n_vcpu"])
    n_byte = np.full((regs.size, vcpus.size), np.nan)
    n_byte[np.searchsorted(regs, grid["n_reg"]), np.searchsorted(vcpus, grid["n_vcpu"])] = grid["encoded_bytes"]
    low, high = float(n_byte.min()), float(n_byte.max())
    levels = 10.0 ** (np.arange(np.floor(3 * np.log10(low)), np.ceil(3 * np.log10(high)) + 1) / 3)
    filled = ax.contourf(vcpus, regs, n_byte, levels=levels, norm=LogNorm(low, high), cmap=_COLOURS, zorder=0.3)
    filled.set_edgecolor("face")
    ax.set_yscale("log", base=2)
    ax.set_xscale("log", base=2)
    counts_axis(ax.xaxis, vcpus.tolist())
    counts_axis(ax.yaxis, regs.tolist())
    ax.set(xlabel="vCPUs of the VM (count)", ylabel="64-bit registers per vCPU (count)")
    ax.set(xlim=(vcpus[0], vcpus[-1]), ylim=(regs[0], regs[-1]))
    ax.grid(visible=False)
    shade_hypothetical(ax, limit(run, "KVM vCPUs per VM"), float(vcpus[-1]), y=0.06, alpha=0.4)
    decades = [10.0**k for k in range(1, 8) if low < 10.0**k < high]
    if decades:
        ax.contour(vcpus, regs, n_byte, levels=decades, colors=INK, linewidths=0.9)
        for k in (k for k in decades if k > 30):  # below, a label would lie across the corner
            side = (k / 8) ** 0.5  # as many vCPUs as registers; in the small form one would lie below a point's name
            aside = 2.5 if is_small() and k == 1e3 else 1.0
            ax.text(
                side / aside, side * aside, size(k), ha="center", va="center", fontsize=8.5, bbox=_BOX, clip_on=True
            )
    _bands(ax, run["sets"], float(vcpus[0]))
    _points(ax, run)
    bar = figure.colorbar(filled, ax=ax, pad=0.02, aspect=32, location="bottom" if is_small() else "right")
    axis = bar.ax.xaxis if is_small() else bar.ax.yaxis
    axis.set_major_locator(FixedLocator(decades or [low, high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: size(value)))
    bar.set_label("encoded values (bytes)")


def _bands(ax: Axes, sets: Table, left: float) -> None:
    """Where today's real register counts lie, whatever the number of vCPUs."""
    texts = {"n_firmware": "firmware registers today", "n_cpreg": "registers that QEMU's array carries today"}
    for column, text in texts.items():
        least, most = int(sets[column].min()), int(sets[column].max())
        if not ax.get_ylim()[0] <= least < most <= ax.get_ylim()[1]:
            continue  # a grid too small to reach them
        for edge in (least, most):
            ax.axhline(edge, color=GREY, linestyle=(0, (3, 2)), linewidth=0.9)
        ax.text(left * 1.12, (least * most) ** 0.5, f"{least} to {most}: {text}", va="center", fontsize=8, bbox=_BOX)


def _points(ax: Axes, run: Run) -> None:
    places = ((-14, -16, "right", "top"), (-8, 9, "center", "bottom"))
    for point, name, (x, y, ha, va) in zip(origin_points(run), ("extreme", "realistic"), places, strict=True):
        n_reg, n_vcpu, n_byte = (int(point[column][0]) for column in ("n_reg", "n_vcpu", "encoded_bytes"))
        if n_vcpu > ax.get_xlim()[1] or n_reg > ax.get_ylim()[1]:
            continue
        ax.plot(n_vcpu, n_reg, "o", color=RED, markersize=9, markeredgecolor="white", clip_on=False, zorder=5)
        ax.annotate(
            f"the origin's {name} point:\n{n_reg} registers x {n_vcpu} vCPUs = {size(n_byte)}",
            (n_vcpu, n_reg),
            xytext=(x, y),
            textcoords="offset points",
            ha=ha,
            va=va,
            fontsize=8.5,
            bbox=_BOX,
            zorder=4,
        )


def _caption(run: Run) -> str:
    large, small = origin_points(run)
    table = run["payload"]
    exact = int(np.count_nonzero(table["is_round_trip_exact"]))
    qemu = run["origin"].where(codec=QEMU)
    twice = " and ".join(
        size(qemu.where(n_reg=p["n_reg"][0], n_vcpu=p["n_vcpu"][0])["encoded_bytes"][0]) for p in (large, small)
    )
    return (
        "How many bytes the values of a VM's registers take when every vCPU carries all of them, 8 bytes each, as the "
        "answer of 15 April 2022 counts. Its two points are marked. QEMU sends each register's id beside its value, "
        f"which makes it {twice}. The dashed lines bound what recorded kernels have today, at any number of vCPUs. The "
        "grid itself is an experiment of thought: as many firmware registers as the axis says, all VM-global, so that "
        "sending them once means one vCPU's values. Nothing is only computed: each point was written into a buffer in "
        f"four formats, read back and compared bit for bit, {count(exact)} of {count(table.n_row)} without a "
        "difference. The hatched part cannot run on arm64 KVM today."
    )


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = (
        "registers x vCPUs",
        "format",
        "bytes, encoded (measured)",
        "encode, decode (measured)",
        "ioctls per save, QEMU (modelled)",
        "bit for bit",
    )
    rows: list[tuple[str, ...]] = [
        (
            f"{row['n_reg']} x {row['n_vcpu']}" + (" (hypothetical)" if row["is_hypothetical"] else ""),
            row["codec"],
            f"{size(row['encoded_bytes'])} ({count(row['encoded_bytes'])})",
            f"{milliseconds(row['encode_ms'])}, {milliseconds(row['decode_ms'])}",
            count(row["save_ioctls"]),
            "yes" if row["is_round_trip_exact"] else "NO",
        )
        for row in run["origin"].rows()
    ]
    return header, rows
