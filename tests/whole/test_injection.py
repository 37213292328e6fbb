"""Names that are more than names where they are printed: in HTML, in a cell of a spreadsheet, among our lines."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fastsmc.reporting import page as pages
from fastsmc.reporting import trace
from fastsmc.reporting.style import of_drawn, to_svg
from fastsmc.results.csv_rows import csv_text
from fastsmc.results.files import load
from fastsmc.results.runs import Run
from fastsmc.results.tables import Column, Table
from tests.support.command import fastsmc
from tests.support.places import ROOT

HOSTILE = "=cmd|' /C calc'!A0<script>alert(1)</script><img src=x onerror=alert(1)>\"'\n| a | cell |\nlast"
FREE = {
    "trace": ("function",),
    "limits": ("unit", "obtained", "source"),
    "study": ("title", "source", "unit"),
    "failures": ("error", "remedy", "reported"),
    "upgrade_assumed": ("what", "assumed"),
}
"""Texts of a saved run that are shown and that nothing else names."""


def spoilt() -> Run:
    run = load(ROOT / "reports" / "scaling" / "data.json")
    tables = dict(run.tables)
    for name, table in run.tables.items():
        columns = {
            key: Column(column.values, column.kind, HOSTILE + column.meaning) for key, column in table.columns.items()
        }
        for key in FREE.get(name, ()):
            values = [f"{HOSTILE}{row}" for row in range(table.n_row)]
            columns[key] = replace(columns[key], values=Column.of(values).values)
        tables[name] = Table(HOSTILE, columns)
    inputs = {**run.provenance.inputs, "trace": HOSTILE, "host": HOSTILE, HOSTILE: HOSTILE}
    return replace(run, tables=tables, provenance=replace(run.provenance, cpu=HOSTILE, inputs=inputs))


class Tags(HTMLParser):
    """Tags and attributes that a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The report of a run whose names are hostile; its figures are empty: one with such a name is below."""
    monkeypatch.setattr(pages, "to_svg", lambda figure, name: '<svg viewBox="0 0 1 1"></svg>')
    monkeypatch.setattr(pages, "to_png", lambda figure: b"\x89PNG")
    return pages.write(spoilt(), tmp_path / "page")


def test_no_name_is_markup_in_the_page(page: Path) -> None:
    text = page.read_text("utf-8")
    found = Tags(text)
    assert not {"script", "img", "iframe", "object"} & found.tags
    assert not [name for name in found.attributes if name.startswith("on")]
    assert "&lt;script&gt;alert(1)" in text


def test_no_name_is_markup_in_a_figure() -> None:
    found = Tags(to_svg(trace.picture(of_drawn(spoilt())).figure, "trace"))
    assert not {"script", "img", "foreignobject"} & found.tags


def test_no_cell_of_a_reports_tables_is_a_formula(page: Path) -> None:
    n_hostile = 0
    for path in page.parent.glob("*.csv"):
        rows = list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))
        assert len({len(row) for row in rows}) == 1, path
        for cell in (cell for row in rows for cell in row):
            assert not cell.startswith(("=", "+", "@")), cell
            assert not cell.startswith("-") or float(cell) < 0
            n_hostile += "'=cmd" in cell
    assert n_hostile > 50


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("=1+2", "'=1+2"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" \t=1", "' \t=1"),
        ("-", "-"),
        ("a=1", "a=1"),
        ("", ""),
        (-1.5, "-1.5"),
        (True, "true"),
    ],
)
def test_a_cell_that_would_be_computed_is_text(given: object, written: str) -> None:
    rows = list(csv.reader(io.StringIO(csv_text(["a", "b"], [[given, given]]))))
    assert rows == [["a", "b"], [written, written]]


def scenario(name: str, workload: str) -> str:
    return f"""calls = 3
[[vms]]
name = {json.dumps(name)}
count = 1
vcpus = 1
workload = {json.dumps(workload)}
[workloads.{json.dumps(workload)}]
kind = "closed"
think = {{ law = "exponential", mean_us = 20 }}
mix = {{ PTP = 1.0 }}
"""


def test_a_groups_name_is_no_formula_and_no_markup(tmp_path: Path) -> None:
    name = HOSTILE.partition("\n")[0]
    (tmp_path / "s.toml").write_text(scenario(name, "w|<b>"))
    done = fastsmc("simulate", "s.toml", "--per-vm", "vms.csv", "--out", "run.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = list(csv.reader(io.StringIO((tmp_path / "vms.csv").read_text("utf-8"))))
    assert rows[1][0] == f"'{name}"
    assert json.loads((tmp_path / "run.json").read_text("utf-8"))["tables"]["groups"]["columns"]["group"]["values"] == [
        name
    ]


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x85", "\u2028"])
@pytest.mark.parametrize(
    ("name", "workload"), [("g{}1 VM, 99 calls", "w"), ("g", "w{}throughput 1 call/s"), ("g{}", "w")]
)
def test_a_name_is_no_line_of_ours(name: str, workload: str, end: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(scenario(name.format(end), workload.format(end)))
    done = fastsmc("simulate", "s.toml", cwd=tmp_path)
    assert done.returncode == 3
    assert "it must be one line" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout
