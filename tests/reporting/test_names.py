"""Names of a file in a figure: no control character, no formula, no glyph that is missing, no picture without room."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from fastsmc.checks import escaped
from fastsmc.reporting import break_even, directions, trace, waterfall
from fastsmc.reporting.style import drawn, of_drawn, short, to_png, to_svg
from fastsmc.results.files import load
from fastsmc.results.runs import Run
from fastsmc.results.tables import Column, Table
from tests.support.places import ROOT

NAMES = {
    "an escape sequence": ("\x1b[31mred", r"\x1b[31mred"),
    "a formula that is none": (r"$\nonsense{$", r"$\nonsense{$"),
    "half a surrogate pair": ("\ud800", r"\ud800"),
    "a bidi override": ("a\u202eb", r"a\u202eb"),
    "lines": ("a\nb\tc", r"a\nb\tc"),
    "letters that the font lacks": ("\u4e2d\U0001fae0", r"\u4e2d\U0001fae0"),
    "a letter that it has": ("\u00b5s\u00a0\u03bb", "\u00b5s\u00a0\u03bb"),
    "markup": ("<script>&", "<script>&"),
}


def with_name(name: str) -> Run:
    run = load(ROOT / "reports" / "scaling" / "data.json")
    columns = {**run["trace"].columns}
    for key in ("function", "service", "verdict"):
        texts = columns[key].values.tolist()
        columns[key] = Column.of([name, *texts[1:]])
    return Run({**run.tables, "trace": Table("", columns)}, run.provenance)


def bars(name: str) -> Figure:
    return waterfall.picture([(name, (1.0, 2.0, 3.0), "measured", True)] * 3, title=name, limit_ms=300.0)


def matrix(name: str) -> Figure:
    marks = np.full((6, 6), "ok", f"<U{len(name)}")
    marks[0, 1], marks[1, 0] = name, "?"
    return directions.picture([name, *"12345"], marks, 3 * (marks == name).astype(np.int64), title=name)


def surface(name: str) -> Figure:
    axis = np.array([1.0, 10.0, 100.0])
    shares = np.outer(axis, axis) / 1e4
    return break_even.picture(
        axis, axis, shares, title=name, threshold=0.1, points=[(name, 10.0)], marked_ns=[10.0]
    )  # fmt: skip


FIGURES: dict[str, Callable[[str], Figure]] = {
    "trace": lambda name: trace.picture(of_drawn(with_name(name))).figure,
    "waterfall": bars,
    "directions": matrix,
    "break-even": surface,
}


@pytest.mark.parametrize("which", FIGURES)
def test_a_name_is_drawn_as_it_may_be_shown(which: str) -> None:
    """All names in one, so that each figure is drawn once."""
    for name, shown in (
        ("".join(given for given, _ in list(NAMES.values())[:7]), r"\x1b[31mred"[:20]),
        ("x" * 100_000, "x" * 20),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = FIGURES[which](name)
            svg = to_svg(figure, which)
            assert to_png(figure).startswith(b"\x89PNG")
        texts = ["".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
        assert any(shown in text for text in texts), texts
        assert all(text == escaped(text) for text in texts)


@pytest.mark.parametrize("what", NAMES)
def test_what_a_figure_shows_of_a_name(what: str) -> None:
    given, shown = NAMES[what]
    assert drawn(given) == shown
    assert short(given) == shown


def test_a_long_name_is_cut() -> None:
    assert short("x" * 100) == "x" * 44 + "…"
    assert short("\x1b" * 100_000) == r"\x1b" * 11 + "…"
