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
from fastsmc.results.files import load, save, to_json
from fastsmc.results.runs import Run
from fastsmc.results.tables import Column, Table
from fastsmc.traces.text import traced_calls as read_trace
from tests.support.shared import made_once
from tests.support.study_sizes import LOAD, STUDY

TRACE = Path(scaling.__file__).parents[1] / "data" / "linux-7.3-guest-boot.ftrace.txt"
FIGURES = ("1-heatmap", "2-payload", "3-ioctls", "4-dispatch", "5-trace", "6-latency")
VOID = {"meta", "br", "link", "img", "input", "hr"}


def measured(folder: Path) -> None:
    """Saves a small run of everything."""
    sizes = scaling.Sizes(
        shapes=((2, 4), (1, 1024)),
        n_batch=40,
        replays=6,
        repeats=3,
        n_call=500,
        vcpus=(1, 16, 64, 128),
        vms=(1, 2, 8),
        vms_vcpus=16,
        grid=(1, 8, 64, 1024),
        encodes=1,
        study=STUDY,
    )
    save(scaling.run(read_trace(TRACE), sizes=sizes), folder / "data.json")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "page-run", measured) / "data.json"


@pytest.fixture(scope="module")
def run(saved: Path) -> Run:
    return load(saved)


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
from fastsmc.results.files import load
reporting.write(load(sys.argv[1]), Path(sys.argv[2], "again"))
unwanted = {'numba', 'fastsmc.kernels', 'fastsmc.dispatcher.batch', 'fastsmc.vm', 'matplotlib.pyplot'}
Path(sys.argv[2], "unwanted").write_text(', '.join(unwanted & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def drawn_again(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a process of its own draws of the same run, and `unwanted`: modules that it should not have imported."""

    def draw(folder: Path) -> None:
        command = [sys.executable, "-c", ALONE, str(saved), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "page-again", draw)


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
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        if tag == "figcaption":
            self.captions.append("")
        for name, value in attrs:
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
def checked(page: str) -> Checked:
    return Checked(page)


def test_the_page_is_well_formed(page: str, checked: Checked) -> None:
    assert page.startswith("<!doctype html>")
    assert checked.open == []
    assert [name for name, n in checked.ids.items() if n > 1] == []
    assert checked.tags["script"] == 0
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(checked.ids)


def test_the_page_opens_offline(page: str, checked: Checked, folder: Path) -> None:
    assert all(target.startswith("#") for target in checked.loaded)
    assert not re.search(r"@import|url\(['\"]?(?!#)|srcset|<(iframe|object|embed|link)\b", page)
    assert all((folder / target).is_file() for target in checked.linked)


def test_every_figure_is_there_with_its_tag_and_axes(page: str, checked: Checked, folder: Path) -> None:
    assert checked.tags["figure"] == checked.tags["figcaption"] == len(FIGURES + LOAD)
    tags = ("measured", "modelled from recorded", "modelled, times assumed", "measured", "recorded, verdicts modelled")
    every = (*tags, "measured", *["modelled, from assumed figures"] * len(LOAD))
    for name, tag, caption in zip(FIGURES + LOAD, every, checked.captions, strict=True):
        svg = (folder / f"{name}.svg").read_text("utf-8")
        text = " ".join(
            "".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        )
        assert tag in caption, name
        assert tag in text, name
        assert re.search(r"\((count|bytes|ns|µs|ms|% of all)\)", text), f"{name} has an axis without a unit"
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    for name in ("1-heatmap", "2-payload", "3-ioctls", "7-load-vcpus", "12-load-boot"):
        assert "hypothetical: KVM stops at 512" in (folder / f"{name}.svg").read_text("utf-8")


def test_the_origins_points_are_marked(folder: Path) -> None:
    svg = (folder / "1-heatmap.svg").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "1024 registers x 1024 vCPUs = 8 MiB" in svg
    assert "10 registers x 100 vCPUs = 8 kB" in svg


def changed(run: Run, table: str, column: str, rows: object, value: object) -> Run:
    """The run with some values of a column replaced."""
    old = run[table].columns[column]
    values = old.values.copy()
    values[rows] = value
    columns = {**run[table].columns, column: Column.of(values, old.kind, old.meaning)}
    return replace(run, tables={**run.tables, table: Table(run[table].meaning, columns)})


def lead_of(run: Run) -> str:
    from fastsmc.reporting.lead import lead

    return " ".join(text for _, text in lead(run)).replace("\N{NO-BREAK SPACE}", " ")


def test_the_lead_tells_the_runs_numbers(run: Run) -> None:
    text = lead_of(run)
    for number in (
        "8 MiB",
        "16 MiB",
        "8 kB",
        "182 registers",
        "225,792 ioctls",
        "1.49 MB",
        "512 vCPUs",
        "45.2 ms",
        "300 ms",
    ):
        assert number in text, number
    assert "226 ms" in text
    assert "15 % to 75 %" in text  # 45.158 and 225.792 of 300
    assert "38 % of the bytes and 32 % of the ioctls" in text  # 70*511/(182*512), 2*70*511/225792
    assert "came back bit for bit" in text


def test_the_lead_follows_the_data(run: Run) -> None:
    cost = run["set_cost"]
    rows = (cost["register_set"] == "Linux 7.3") & (cost["codec"] == "id+value") & (cost["n_vcpu"] == 512)
    assert "123,456 ioctls" in lead_of(changed(run, "set_cost", "save_ioctls", rows, 123_456))
    assert "weigh more than" in lead_of(run)
    assert "weigh less than" in lead_of(changed(run, "set_cost", "payload_bytes", rows, 10**9))
    assert "DID NOT all come back" in lead_of(changed(run, "payload", "is_round_trip_exact", 0, False))
    assert "77.7 µs at the median" in lead_of(changed(run, "replay", "batch_p50_ns", slice(None), 77_700.0))


def test_the_data_is_beside_the_page(run: Run, folder: Path, page: str) -> None:
    assert (folder / "data.json").read_text("utf-8") == to_json(run)
    for name, table in run.tables.items():
        assert (folder / f"{name}.csv").read_text("utf-8") == to_csv(table)
        for key, column in table.columns.items():
            assert f"<code>{key}</code>" in page
            assert column.kind in page
    assert str(run.provenance.seed) in page
    assert run.provenance.cpu.replace("@", "") in page.replace("@", "")


@pytest.mark.soak("a second page of the same run, byte for byte")
def test_the_same_run_gives_the_same_bytes(folder: Path, drawn_again: Path) -> None:
    again = drawn_again / "again"
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


def test_the_report_needs_no_simulator(drawn_again: Path) -> None:
    assert (drawn_again / "unwanted").read_text() == ""
    assert (drawn_again / "again" / "index.html").is_file()


def test_a_small_grid_is_drawn_too(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heatmap, that is: the other figures show nothing of the grid."""
    from fastsmc.scaling import payload_grid

    drawn = style.to_svg
    monkeypatch.setattr(pages, "to_png", lambda figure: b"\x89PNG")
    monkeypatch.setattr(
        pages,
        "to_svg",
        lambda figure, name: drawn(figure, name) if name == "1-heatmap" else '<svg viewBox="0 0 1 1"></svg>',
    )
    small = payload_grid([(r, v) for r in (1, 2) for v in (1, 2)], encodes=1)
    assert report.write(replace(run, tables={**run.tables, "payload": small}), tmp_path).is_file()
    assert np.unique(small["n_reg"]).tolist() == [1, 2]
    assert len((tmp_path / "1-heatmap.svg").read_text("utf-8")) > 1000


@pytest.mark.soak("draws all twelve figures as SVG and PNG; make test draws the heatmap, which shows the grid")
def test_a_small_grid_is_drawn_too_with_all_figures(run: Run, tmp_path: Path) -> None:
    from fastsmc.scaling import payload_grid

    small = payload_grid([(r, v) for r in (1, 2) for v in (1, 2)], encodes=1)
    assert report.write(replace(run, tables={**run.tables, "payload": small}), tmp_path).is_file()


def test_the_library_draws_a_saved_run_again(
    saved: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures are taken from the first report: that they come out the same is held above."""
    monkeypatch.setattr(pages, "to_svg", lambda figure, name: (folder / f"{name}.svg").read_text("utf-8"))
    monkeypatch.setattr(pages, "to_png", lambda figure: b"\x89PNG")
    done = smc.report(data=saved, out=tmp_path / "again")
    assert (done.page, str(done)) == (tmp_path / "again" / "index.html", f"wrote {tmp_path / 'again' / 'index.html'}")
    assert done.as_dict() == {"page": str(done.page)}
    assert done.page.read_bytes() == (folder / "index.html").read_bytes()
    assert len(repr(done)) <= 200
