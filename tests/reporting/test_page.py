"""The report: written from a saved run, complete, readable offline, and every number in it from the run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import fastsmc as smc
from fastsmc import reporting as report
from fastsmc import scaling
from fastsmc.errors import ResultFileError
from fastsmc.reporting import page as pages
from fastsmc.reporting import style
from fastsmc.reporting.needs import NEEDS, check
from fastsmc.results.export import to_csv
from fastsmc.results.files import to_json
from fastsmc.results.runs import Run
from fastsmc.results.tables import Column, Table
from tests.support.shared import made_once
from tests.support.small_report import changed
from tests.support.study_sizes import LOAD, MORE

TRACE = Path(scaling.__file__).parents[1] / "data" / "linux-7.3-guest-boot.ftrace.txt"
FIGURES = ("moves", "bytes", "ioctls", "downtime", "heatmap", *LOAD, "upgrade")
SPEED = ("dispatch", "latency", "trace")
PAGES = {"index.html": FIGURES, "load.html": MORE, "simulator.html": SPEED}
TAGS = {
    "moves": "modelled from recorded",
    "bytes": "modelled from recorded",
    "ioctls": "modelled, times assumed",
    "downtime": "assumed",
    "heatmap": "measured",
    "upgrade": "modelled, on a drawn fleet",
    **dict.fromkeys((*LOAD, *MORE), "modelled, from assumed figures"),
    "dispatch": "measured",
    "latency": "measured",
    "trace": "recorded, verdicts modelled",
}
VOID = {"meta", "br", "link", "img", "input", "hr"}


@pytest.fixture(scope="module")
def folder(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of that run; drawing its figures takes seconds."""

    def draw(folder: Path) -> None:
        smc.report(data=saved, out=folder / "scaling")

    return made_once(tmp_path_factory, "page-drawn", draw) / "scaling"


ALONE = """
import sys
from pathlib import Path
from fastsmc import reporting
from fastsmc.reporting import page
from fastsmc.results.files import load
if sys.argv[3] == "empty":
    page.to_svg, page.to_png = lambda figure, name: '<svg viewBox="0 0 1 1"></svg>', lambda figure: b""
reporting.write(load(sys.argv[1]), Path(sys.argv[2], "again"))
unwanted = {'numba', 'fastsmc.kernels', 'fastsmc.dispatcher.batch', 'fastsmc.vm', 'matplotlib.pyplot'}
Path(sys.argv[2], "unwanted").write_text(', '.join(unwanted & set(sys.modules)))
"""


def drawn_alone(saved: Path, folder: Path, how: str) -> Path:
    """What a process of its own draws of a run, and `unwanted`: modules that it should not have imported."""
    command = [sys.executable, "-c", ALONE, str(saved), str(folder), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "index.html").read_text("utf-8")


class Checked(HTMLParser):
    """Nesting, ids, links and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.tags: Counter[str] = Counter()
        self.captions: list[str] = []
        self.regions: list[dict[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        if tag == "figcaption":
            self.captions.append("")
        for name, value in attrs:
            if (name, value) == ("class", "scroll"):
                self.regions.append(dict(attrs))
            if name == "id":
                self.ids[value or ""] += 1
            elif name == "src" or (name in ("href", "xlink:href") and tag != "a"):
                self.loaded.append(value or "")
            elif name == "href":
                self.linked.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "figcaption" in self.open:
            self.captions[-1] += data


@pytest.fixture(scope="module")
def checked(folder: Path) -> dict[str, Checked]:
    return {name: Checked((folder / name).read_text("utf-8")) for name in PAGES}


def test_the_pages_are_well_formed(folder: Path, checked: dict[str, Checked]) -> None:
    for name, found in checked.items():
        text = (folder / name).read_text("utf-8")
        assert text.startswith("<!doctype html>")
        assert found.open == []
        assert [one for one, n in found.ids.items() if n > 1] == []
        assert found.tags["script"] == 0
        assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(found.ids)
        assert set(re.findall(r'aria-labelledby="([^"]+)"', text)) <= set(found.ids)
        assert {target[1:] for target in found.linked if target.startswith("#")} <= set(found.ids)


def test_the_pages_open_offline(folder: Path, checked: dict[str, Checked]) -> None:
    for name, found in checked.items():
        text = (folder / name).read_text("utf-8")
        assert all(target.startswith("#") for target in found.loaded)
        assert not re.search(r"@import|url\(['\"]?(?!#)|srcset|<(iframe|object|embed|link)\b", text)
        assert all(target.startswith("#") or (folder / target).is_file() for target in found.linked)
        assert len(text.encode()) < 1_500_000


def test_every_figure_is_there_with_its_tag_and_axes(folder: Path, checked: dict[str, Checked]) -> None:
    assert len(FIGURES) <= 8
    for page, names in PAGES.items():
        assert checked[page].tags["figure"] == checked[page].tags["figcaption"] == len(names)
        assert checked[page].tags["svg"] == 2 * len(names)  # wide and small
    for name in (*FIGURES, *MORE, *SPEED):
        svg = (folder / f"{name}.svg").read_text("utf-8")
        text = " ".join(
            "".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        )
        assert TAGS[name] in text, name
        assert name == "moves" or re.search(r"\((count|bytes|ns|µs|ms|% of all)\)", text), f"{name}: no unit"
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    for name in ("heatmap", "bytes", "ioctls", "load-vcpus", "load-boot"):
        assert "hypothetical: KVM stops at 512" in (folder / f"{name}.svg").read_text("utf-8")


def test_the_answer_comes_first_and_then_the_contents(page: str) -> None:
    places = [page.index(text) for text in ("<h1", 'id="verdict"', 'id="about"', "<nav", "<figure")]
    assert places == sorted(places)
    head = page[: page.index("<figure")]
    assert head.count("<li><b>") == 3
    assert head.count('<span class="kind">modelled</span>') >= 4
    assert "(modelled)" not in head


def test_a_figure_is_on_the_page_in_its_colours_and_without_its_title(folder: Path) -> None:
    """Title and tag are text of the page; each colour is defined light and dark, and some text is said to be text."""
    for name, figures in PAGES.items():
        text = (folder / name).read_text("utf-8")
        svgs = re.findall(r"<svg .*?</svg>", text, re.DOTALL)
        assert all(not re.search(r"(fill|stroke): #", svg) for svg in svgs)
        used = {colour for svg in svgs for colour in re.findall(r"var\((--c-[0-9a-f]{6})\)", svg)}
        for colour in used:
            assert len(re.findall(rf"{colour}: #", text)) == 2, colour
        assert len(svgs) == 2 * len(figures)
        for figure in figures:
            assert f'id="{figure}-title"' not in text
            assert f'id="{figure}-title"' in (folder / f"{figure}.svg").read_text("utf-8")


def test_text_of_a_figure_is_large_enough_where_it_is_shown(folder: Path) -> None:
    """At 390 CSS pixels a figure has 358, from 720 on it has 680: no text is below 9 pixels."""
    for name in PAGES:
        for svg in re.findall(r"<svg .*?</svg>", (folder / name).read_text("utf-8"), re.DOTALL):
            width = float(re.search(r'viewBox="0 [0-9.]+ ([0-9.]+)', svg)[1])  # type: ignore[index]
            wide = width > 400
            sizes = [float(size) for size in re.findall(r"font-size: ([0-9.]+)px", svg)]
            assert sizes
            assert min(sizes) * (680 if wide else 358) / width >= 9


def test_what_scrolls_can_be_reached_and_is_named(checked: dict[str, Checked]) -> None:
    for found in checked.values():
        assert found.regions
        labels = [region["aria-label"] for region in found.regions]
        assert len(set(labels)) == len(labels)
        assert all(region["tabindex"] == "0" and region["role"] == "region" for region in found.regions)


def test_sizes_are_in_powers_of_ten_everywhere(folder: Path) -> None:
    for name in (*PAGES, "report.md"):
        assert not re.search(r"[0-9]\s?[KMG]iB", (folder / name).read_text("utf-8"))


def test_the_mail_has_verdict_findings_and_tables(run: Run, folder: Path) -> None:
    text = (folder / "report.md").read_text("utf-8")
    assert text.startswith("# What do a VM's registers cost")
    assert report.markdown(run) == text
    for at, sentence in enumerate(report.verdict(run), 1):
        assert f"{at}. **{sentence.claim}**" in text
    for finding in re.findall(r'<h3 id="title-[^"]*">(.*?)</h3>', (folder / "index.html").read_text("utf-8")):
        assert f"### {finding}".replace("&#39;", "'").replace("\N{NO-BREAK SPACE}", " ") in text.replace("\\", "")
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_origins_points_are_marked(folder: Path) -> None:
    svg = (folder / "heatmap.svg").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "1024 registers x 1024 vCPUs = 8.39 MB" in svg
    assert "10 registers x 100 vCPUs = 8 kB" in svg


def test_the_data_is_beside_the_page(run: Run, folder: Path, page: str) -> None:
    assert (folder / "data.json").read_text("utf-8") == to_json(run)
    for name, table in run.tables.items():
        assert (folder / f"{name}.csv").read_text("utf-8") == to_csv(table)
        assert f'href="{name}.csv"' in page
        for key, column in table.columns.items():
            assert f"{name},{key},{column.kind}," in (folder / "columns.csv").read_text("utf-8")
    assert str(run.provenance.seed) in page
    assert run.provenance.cpu.replace("@", "") in page.replace("@", "")


@pytest.mark.soak("a second page of the same run, byte for byte")
def test_the_same_run_gives_the_same_bytes(saved: Path, folder: Path, tmp_path: Path) -> None:
    again = drawn_alone(saved, tmp_path, "drawn") / "again"
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.usefixtures("undrawn")
def test_text_from_the_run_is_escaped(run: Run, tmp_path: Path) -> None:
    odd = replace(run, provenance=replace(run.provenance, cpu="<b>&co", inputs={"trace": "<script>x</script>.txt"}))
    text = report.write(odd, tmp_path).read_text("utf-8")
    assert "&lt;b&gt;&amp;co" in text
    assert "<script" not in text


@pytest.mark.usefixtures("undrawn")
def test_what_no_browser_should_be_given_is_shown_escaped(run: Run, tmp_path: Path) -> None:
    odd = replace(run, provenance=replace(run.provenance, cpu="\x1b[31m\u202ered\ud800", inputs={"trace": "a\0b"}))
    text = report.write(odd, tmp_path).read_text("utf-8")
    assert r"\x1b[31m\u202ered\ud800" in text
    assert "\0" not in text


@pytest.mark.usefixtures("undrawn")
def test_a_folder_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultFileError, match=r"file.*folder that can be written"):
        report.write(run, tmp_path / "file" / "scaling")


@pytest.mark.usefixtures("undrawn")
def test_nothing_half_written_is_left(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: Iterator[int] = iter(range(100))
    write = os.write

    def full_after_five(opened: int, content: bytes) -> int:
        if next(written) == 5:
            raise OSError(28, "No space left on device")
        return write(opened, content)

    monkeypatch.setattr(os, "write", full_after_five)
    with pytest.raises(ResultFileError, match="No space left"):
        report.write(run, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_table_is_refused(run: Run, tmp_path: Path) -> None:
    less = replace(run, tables={name: table for name, table in run.tables.items() if name != "replay"})
    with pytest.raises(ResultFileError, match="no table 'replay'"):
        report.write(less, tmp_path)
    assert list(tmp_path.iterdir()) == []


def without(run: Run, table: str, column: str) -> Run:
    columns = {name: c for name, c in run[table].columns.items() if name != column}
    return replace(run, tables={**run.tables, table: Table(run[table].meaning, columns)})


def test_every_column_that_is_drawn_is_asked_for(run: Run) -> None:
    check(run)
    for table, columns in NEEDS.items():
        for column in columns:
            with pytest.raises(ResultFileError, match=f"table {table} has no column '{column}'"):
                check(without(run, table, column))


def test_a_column_of_another_type_or_below_zero_is_named(run: Run) -> None:
    for table, columns in NEEDS.items():
        for column in columns:
            other = Column.of(["zz" if run[table][column].dtype.kind != "U" else True] * run[table].n_row)
            wrong = replace(run, tables={**run.tables, table: Table("", {**run[table].columns, column: other})})
            with pytest.raises(ResultFileError, match=f"table {table}, column {column}: it must hold"):
                check(wrong)
            if run[table][column].dtype.kind in "if":
                with pytest.raises(ResultFileError, match=f"table {table}, column {column}: it must hold"):
                    check(changed(run, table, column, 0, -1))


def test_a_table_without_rows_and_an_unknown_number_are_not_drawn(run: Run) -> None:
    for table in NEEDS:
        none = {name: column.at(np.zeros(0, np.int64)) for name, column in run[table].columns.items()}
        with pytest.raises(ResultFileError, match=f"table {table} has no rows"):
            check(replace(run, tables={**run.tables, table: Table("A row.", none)}))
    for table, columns in NEEDS.items():
        for name in columns:
            values, kind = run[table][name], run[table].columns[name].kind
            if values.dtype.kind == "f":
                unknown = Column.of([None, *values.tolist()[1:]], kind, unknown=True)
                wrong = Table("", {**run[table].columns, name: unknown})
                with pytest.raises(ResultFileError, match=f"table {table}, column {name}: it must hold"):
                    check(replace(run, tables={**run.tables, table: wrong}))


def test_rows_that_cannot_be_drawn_are_named(run: Run) -> None:
    with pytest.raises(ResultFileError, match="table payload: two rows have the same n_reg, n_vcpu, codec"):
        check(changed(run, "payload", "n_reg", slice(None), 8))
    with pytest.raises(ResultFileError, match="table payload: some combination"):
        check(changed(run, "payload", "n_reg", 0, 9))
    one = run["payload"].where(n_reg=8)
    with pytest.raises(ResultFileError, match="table payload, column n_reg: at least two values"):
        check(replace(run, tables={**run.tables, "payload": one}))


def test_the_report_needs_no_simulator(saved: Path, tmp_path: Path) -> None:
    alone = drawn_alone(saved, tmp_path, "empty")
    assert (alone / "unwanted").read_text() == ""
    assert (alone / "again" / "index.html").is_file()


def test_a_small_grid_is_drawn_too(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heatmap, that is: the other figures show nothing of the grid."""
    from fastsmc.scaling import payload_grid

    drawn = style.to_svg
    monkeypatch.setattr(pages, "to_png", lambda figure: b"\x89PNG")
    monkeypatch.setattr(
        pages,
        "to_svg",
        lambda figure, name: drawn(figure, name) if name == "heatmap" else '<svg viewBox="0 0 1 1"></svg>',
    )
    small = payload_grid([(r, v) for r in (1, 2) for v in (1, 2)], encodes=1)
    assert report.write(replace(run, tables={**run.tables, "payload": small}), tmp_path).is_file()
    assert np.unique(small["n_reg"]).tolist() == [1, 2]
    assert len((tmp_path / "heatmap.svg").read_text("utf-8")) > 1000


@pytest.mark.soak("draws all figures as SVG and PNG; make test draws the heatmap, which shows the grid")
def test_a_small_grid_is_drawn_too_with_all_figures(run: Run, tmp_path: Path) -> None:
    from fastsmc.scaling import payload_grid

    small = payload_grid([(r, v) for r in (1, 2) for v in (1, 2)], encodes=1)
    assert report.write(replace(run, tables={**run.tables, "payload": small}), tmp_path).is_file()


def test_the_library_draws_a_saved_run_again(
    saved: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its figures: that they come out the same is held above."""
    monkeypatch.setattr(pages, "to_svg", lambda figure, name: '<svg viewBox="0 0 1 1"></svg>')
    monkeypatch.setattr(pages, "to_png", lambda figure: b"\x89PNG")
    done = smc.report(data=saved, out=tmp_path / "again")
    assert done.page == tmp_path / "again" / "index.html"
    assert str(done).splitlines() == [sentence["sentence"] for sentence in done.as_dict()["verdict"]]
    assert done.as_dict()["page"] == str(done.page)
    assert done.to_markdown() == (folder / "report.md").read_text("utf-8")
    assert len(repr(done)) <= 200
