"""latest.svg and latest.png: every case against its baselines, with what is asked for, and batches one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, NullFormatter

from bench.targets import TARGETS
from fastsmc.reporting.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, SKY, counts_axis, styled
from fastsmc.results.units import count

_BASELINES = {
    "vs_c_kernel_style": ("C, kernel style", BLUE, "o"),
    "vs_c_table": ("C, table", PURPLE, "s"),
    "vs_c_vector": ("C, vector", GREEN, "D"),
    "vs_numpy": ("NumPy", ORANGE, "^"),
}
_PARTS = {"python_ns": ("Python", SKY), "call_ns": ("call of a kernel", ORANGE), "kernel_ns": ("kernel", BLUE)}
_QUANTILES = {"p50_ns": ("p50", "o"), "p99_ns": ("p99", "^"), "p99.9_ns": ("p99.9", "s"), "max_ns": ("max", "x")}


def draw(env: Mapping[str, Any], cases: Mapping[str, Any]) -> Figure:
    """Two panels of cases, one below the other's names, and two of batches where there are any."""
    batches = {n: c for n, c in cases.items() if n.startswith("latency-")}
    others = {n: c for n, c in cases.items() if n not in batches and "vs_simpy" not in c}
    height_in = 1.3 + 0.27 * len(others) + (3.0 if batches else 0)
    with styled():
        figure = Figure(figsize=(9.5, height_in), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
        figure.suptitle(
            "Dispatch against its baselines, side by side", x=0.012, ha="left", fontsize=11, fontweight="bold"
        )
        tag = f"measured: {env['cpu']} {env['cpu_family_model']}, load {env['load_before'][0]}"
        figure.text(0.988, 1 - 0.13 / height_in, tag, ha="right", va="top", fontsize=8, color=GREY)
        rows = (0.27 * len(others) + 0.9, 2.8) if batches else (1,)
        grid = GridSpec(len(rows), 2, figure=figure, height_ratios=rows)
        if others:
            left = figure.add_subplot(grid[0, 0])
            _speed(left, others)
            _share(figure.add_subplot(grid[0, 1], sharey=left), others)
        if batches:
            _latency(figure.add_subplot(grid[-1, 0]), batches)
            _split(figure.add_subplot(grid[-1, 1]), batches)
    return figure


def _limits(cases: Mapping[str, Any], key: str) -> dict[str, tuple[float | None, float]]:
    """(must, aim) by case, where the issue has them for this key."""
    return {name: (t.must, t.aim) for t in TARGETS if t.key == key for name in t.names(cases)}


def _speed(ax: Axes, cases: Mapping[str, Any]) -> None:
    names = list(cases)
    for key, (label, colour, marker) in _BASELINES.items():
        at = [(case[key], y) for y, case in enumerate(cases.values()) if case.get(key) is not None]
        if at:
            ax.plot(*zip(*at, strict=True), marker, color=colour, label=label, zorder=3)
    _draw_limits(ax, names, _limits(cases, "vs_c_kernel_style"))
    ax.axvline(1, color=INK, linewidth=1)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel("times as fast as (right of 1: we are faster)")
    if ax.get_legend_handles_labels()[0]:  # a run of `answers` alone has no baseline to name
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, handletextpad=0.1, columnspacing=0.8)


def _share(ax: Axes, cases: Mapping[str, Any]) -> None:
    values = [case["of_stream"] or 0 for case in cases.values()]
    ax.barh(range(len(values)), values, color=BLUE, height=0.55)
    for y, case in enumerate(cases.values()):
        unit = "ns/call" + (", wall" if case.get("clock") == "wall" else "")
        text = f"{case['ns_per_call']:.3g} {unit}"
        ax.text(1.02, y, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8, color=GREY)
    _draw_limits(ax, list(cases), _limits(cases, "of_stream"))
    ax.tick_params(labelleft=False)
    ax.set_xlim(0, max(1.0, *(1.05 * v for v in values)))
    ax.set_xlabel("share of the stream that moves the same bytes")
    handles = [ax.plot([], [], "|", color=c, markersize=11, markeredgewidth=2, label=n)[0] for n, c in _LIMITS]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handletextpad=0.2)


_LIMITS = (("must (of C kernel style, of stream)", RED), ("aim", GREEN))


def _draw_limits(ax: Axes, names: list[str], limits: Mapping[str, tuple[float | None, float]]) -> None:
    for name, (must, aim) in limits.items():
        for value, (_, colour) in zip((must, aim), _LIMITS, strict=True):
            if value is not None:
                ax.plot(value, names.index(name), "|", color=colour, markersize=13, markeredgewidth=2, zorder=4)


def _latency(ax: Axes, batches: Mapping[str, Any]) -> None:
    n_vcpu = [case["n_call"] for case in batches.values()]
    for key, (label, marker) in _QUANTILES.items():
        us = [case[key] / 1000 for case in batches.values()]
        ax.plot(n_vcpu, us, marker, color=INK if key == "max_ns" else BLUE, linestyle="-", linewidth=0.8, label=label)
    ax.set(xscale="log", yscale="log", xlabel="vCPUs, one call each (count)", ylabel="one batch (us, wall)")
    counts_axis(ax.xaxis, n_vcpu)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), handletextpad=0.3, columnspacing=1)


def _split(ax: Axes, batches: Mapping[str, Any]) -> None:
    shown = {name: case for name, case in batches.items() if "kernel_ns" in case}
    base = [0.0] * len(shown)
    for key, (label, colour) in _PARTS.items():
        # A difference of two medians may come out just below nothing.
        us = [max(case[key], 0.0) / 1000 for case in shown.values()]
        ax.bar(range(len(shown)), us, bottom=base, color=colour, label=label, width=0.75)
        base = [b + u for b, u in zip(base, us, strict=True)]
    ax.set_xticks(range(len(shown)), [count(case["n_call"]) for case in shown.values()])
    top = sorted(base)[-2] * 1.5 if len(base) > 1 else None
    ax.set(xlabel="vCPUs, one call each (count)", ylabel="p50 of a batch (us, wall)")
    if top and base[-1] > top:
        ax.set_ylim(0, top)
        ax.text(len(base) - 1, top * 0.97, f"{base[-1]:.0f} us", ha="center", va="top", fontsize=8, color="white")
    ax.grid(axis="x", visible=False)
    ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), handletextpad=0.3, columnspacing=1)
