"""How figures look: palette, sizes, the tag that says how numbers came about, and their way into SVG and PNG."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from functools import cache
from textwrap import wrap
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from fastsmc.checks import escaped
from fastsmc.reporting import forms
from fastsmc.reporting.forms import SMALL_IN, is_small
from fastsmc.results.runs import Run
from fastsmc.results.tables import Column, Table
from fastsmc.results.units import count

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY, INK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#6B6B6B",
    "#1A1A1A",
)
"""Okabe and Ito's palette, which colour-blind readers can tell apart. Source: jfly.uni-koeln.de/color, 2008."""

WIDTH_IN = 8.0
SMALL = "-small"
"""What the name of a figure's small form ends with."""
_FONT = "DejaVu Sans"
_TITLE = 240
"""Characters of a title that are drawn; those of the report have 150."""
_RC: Any = {
    # Text stays text: it can be searched and copied. DejaVu is wider than what a browser may put in its place.
    "svg.fonttype": "none",
    "font.family": [_FONT, "sans-serif"],
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # nothing stands above an axis that a title would have to make way for
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "hatch.linewidth": 0.5,
    "hatch.color": "#9A9A9A",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One figure of the page: drawn, and explained to somebody who has read where the question comes from.

    Attributes:
        name: file name without its ending. topic: what it is about; title: what it shows, drawn in it.
        tag: which of measured, recorded, modelled, assumed the figure shows; drawn in it and repeated beside it.
        header, rows: the table below it, as text.
        takeaway: what a reader should do about it; "" for none.
    """

    name: str
    topic: str
    title: str
    tag: str
    caption: str
    figure: Figure
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    takeaway: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A finding that has a text and a table, and no figure.

    Attributes:
        title: what it shows. header, rows: the table, as text.
    """

    name: str
    title: str
    text: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def styled() -> Any:
    """Context in which figures are made and saved; nothing of it leaks out."""
    return mpl.rc_context(_RC)


@cache
def _glyphs() -> frozenset[int]:
    """The characters that the font has; it comes with Matplotlib."""
    return frozenset(get_font(findfont(_FONT)).get_charmap())


def drawn(text: str) -> str:
    """A text as a figure shows it: on one line, and what the font lacks or no reader should be given is escaped.

    >>> print(drawn("SMC\\x1b[31m\\u4e2d"))
    SMC\\x1b[31m\\u4e2d
    """
    return "".join(
        one if ord(one) in _glyphs() and one not in "\t\n" else one.encode("unicode_escape").decode("ascii")
        for one in escaped(text)
    )


def short(text: str, most: int = 44) -> str:
    """A name beside an axis: as `drawn`, cut where it would leave the figure no room."""
    name = drawn(text[: 2 * most])
    return name if len(name) <= most else f"{name[:most]}…"


def of_drawn(run: Run) -> Run:
    """The run as figures show it, its texts as `drawn`."""
    tables = {}
    for name, table in run.tables.items():
        columns = {
            key: replace(column, values=Column.of([drawn(text) for text in column.values.tolist()]).values)
            if column.values.dtype.kind == "U"
            else column
            for key, column in table.columns.items()
        }
        tables[name] = Table(table.meaning, columns)
    return replace(run, tables=tables)


def new_figure(
    title: str, tag: str, *, height_in: float, n_panel: int = 1, small_in: float | None = None, small_columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure with its title at the top left, its tag at the top right, and panels side by side.

    In its small form it has neither, and its panels are below each other, in `small_columns`.

    Args:
        height_in: of the wide form. small_in: of the small one; default: as the wide one, a little less for each panel.
    """
    height = (small_in or (height_in if n_panel == 1 else 0.75 * height_in * n_panel)) if is_small() else height_in
    layout = ConstrainedLayoutEngine(w_pad=0.05 if is_small() else 0.1, h_pad=0.08, wspace=0.04)
    figure = Figure(figsize=(SMALL_IN if is_small() else WIDTH_IN, height), layout=layout)
    if is_small():
        return figure, list(figure.subplots(-(-n_panel // small_columns), small_columns, squeeze=False).flat)
    text = "\n".join(_lines(drawn(title[:_TITLE]), int(86 - 0.8 * len(tag))))
    figure.suptitle(text, x=0.012, ha="left", fontsize=11, fontweight="bold", gid=forms.TITLE)
    box = {"boxstyle": "round,pad=0.35", "facecolor": "#F2F2F2", "edgecolor": GREY, "linewidth": 0.7}
    figure.text(0.987, 1 - 0.12 / height, tag, ha="right", va="top", fontsize=8, bbox=box, gid=forms.TAG)
    return figure, list(figure.subplots(1, n_panel, squeeze=False)[0])


def _lines(text: str, width: int) -> list[str]:
    """Lines of about equal length, broken at spaces that allow it."""
    lines = wrap(text, width)
    return wrap(text, max(width * 2 // 3, len(text) // len(lines) + 8)) if lines[1:] else lines


def limit(run: Run, name: str) -> float:
    """A figure of others that the run was compared with, in the unit its table gives."""
    return float(run["limits"].where(limit=name)["value"][0])


def vcpu_axis(ax: Axes, values: list[int], label: str, *, every: int = 1) -> None:
    """A logarithmic x axis with a tick at every so many of the values."""
    ax.set_xscale("log", base=2)
    counts_axis(ax.xaxis, sorted({values[0], *values[::-every]}))
    ax.set_xlabel(label)


def counts_axis(axis: Any, ticks: list[int]) -> None:
    """Ticks at counts, written out."""
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))


def shade_hypothetical(ax: Axes, first: float, last: float, *, y: float = 0.03, alpha: float = 1.0) -> None:
    """Hatch what lies beyond the vCPUs that arm64 KVM allows, if the axis gets there."""
    if last <= first:
        return
    ax.axvspan(first, last, facecolor="#F4F4F4", edgecolor="none", alpha=alpha, zorder=0.5)
    ax.axvspan(first, last, facecolor="none", edgecolor="#8A8A8A", hatch="////", linewidth=0, zorder=0.6)
    ax.axvline(first, color=GREY, linewidth=1, linestyle=(0, (4, 2)), zorder=1.5)
    note = ax.text(
        (first * last) ** 0.5,
        y,
        "hypothetical" if is_small() else f"hypothetical: KVM stops at {first:g}",
        transform=ax.get_xaxis_transform(),
        rotation=90,
        ha="center",
        va="bottom",
        fontsize=8,
        color=INK,
    )
    note.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5})


def to_svg(figure: Figure, name: str) -> str:
    """The figure as SVG: the same bytes each time, ids that no other figure of a page has, nothing to load."""
    out = io.StringIO()
    forms.legible(figure)
    with mpl.rc_context({**_RC, "svg.hashsalt": name}):
        _laid_out(figure)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"(\d\.\d\d)\d+", r"\1", text)  # a hundredth of a point is a fiftieth of a pixel
    return text[text.index("<svg") :]


def _laid_out(figure: Figure) -> None:
    """Puts all in its place, for a PNG as well; `savefig` would draw the whole figure once more to do so."""
    layout, dpi = figure.get_layout_engine(), figure.get_dpi()
    if layout is None or not figure.axes:  # a figure of nothing, which a layout warns of
        return
    FigureCanvasSVG(figure)
    figure.set_dpi(72)  # as it is in an SVG
    layout.execute(figure)
    figure.set_dpi(dpi)
    figure.set_layout_engine(None)


def to_inline(svg: str, figure: Figure, name: str) -> str:
    """A figure's SVG as an element of a page: sized by it, in its colours, without title and tag, which the page has.

    The page names it: it must have an element with the id "title-" and the figure's name.
    """
    head, rest = forms.bare(svg, figure, name).split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    rest = re.sub(r"<style[^>]*>.*?</style>", "", rest, count=1, flags=re.DOTALL)
    of = name.removesuffix(SMALL)
    return f'<svg {box[0] if box else ""} role="img" aria-labelledby="title-{of}">{forms.turning(rest)}'


def to_png(figure: Figure) -> bytes:
    """The figure as PNG at 150 dots per inch, the same bytes each time."""
    out = io.BytesIO()
    if figure.get_layout_engine() is not None:  # or `to_svg` has done this
        forms.legible(figure)
    with styled():
        figure.savefig(out, format="png", dpi=150, metadata={"Software": None})
    return out.getvalue()
