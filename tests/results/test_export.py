"""Tables in other programs: the values, what is unknown, and how each column came about all arrive there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastsmc.errors import InputError
from fastsmc.results.export import to_json
from fastsmc.results.tables import KINDS, Column, Table

TABLE = Table(
    "A row per shape & link.",
    {
        "n_vcpu": Column.of([512, 64, 512, 64], "input"),
        "link": Column.of(["25 Gb/s", "25 Gb/s", "10 Gb/s", "10 Gb/s"], "input", "of the <host>"),
        "payload_bytes": Column.of([225_792, 28_224, 225_792, 28_224], "modelled", "registers"),
        "downtime_ms": Column.of([0.1 + 0.2, None, 7.5, 1e-7], "measured", unknown=True),
        "is_hypothetical": Column.of([False, False, False, True]),
    },
)
NOTHING = Table("A row per VM.", {"n_vcpu": Column.of(np.zeros(0, np.int64), "input"), "name": Column.of([])})


def test_pandas_takes_a_table_as_it_is() -> None:
    frame = pd.DataFrame(TABLE)
    assert frame.columns.tolist() == list(TABLE)
    assert frame["payload_bytes"].tolist() == [225_792, 28_224, 225_792, 28_224]
    assert frame["downtime_ms"].isna().tolist() == [False, True, False, False]
    pd.testing.assert_frame_equal(frame, TABLE.to_pandas())


def test_pyarrow_and_polars_take_a_table_as_it_is() -> None:
    assert pa.table(TABLE).to_pydict()["link"] == TABLE["link"].tolist()
    assert pl.DataFrame(TABLE)["n_vcpu"].to_list() == TABLE["n_vcpu"].tolist()


def test_a_pandas_frame_says_how_its_columns_came_about() -> None:
    frame = TABLE.to_pandas()
    assert frame.attrs["meaning"] == "A row per shape & link."
    assert frame.attrs["columns"]["payload_bytes"] == {"kind": "modelled", "meaning": "registers"}
    assert frame.attrs["columns"]["is_hypothetical"] == {}
    assert frame.groupby("link")["payload_bytes"].sum().to_dict() == {"10 Gb/s": 254_016, "25 Gb/s": 254_016}


def test_a_polars_frame_has_the_values_and_the_kinds_where_asked() -> None:
    frame = TABLE.to_polars()
    assert frame.rows(named=True) == list(TABLE.rows())
    assert TABLE.to_polars(kind_in_name=True).columns == [
        "n_vcpu (input)",
        "link (input)",
        "payload_bytes (modelled)",
        "downtime_ms (measured)",
        "is_hypothetical",
    ]


def test_an_arrow_table_keeps_the_kinds_through_parquet(tmp_path: Any) -> None:
    pq.write_table(TABLE.to_arrow(), tmp_path / "table.parquet")
    back = pq.read_table(tmp_path / "table.parquet")
    assert back.to_pylist() == list(TABLE.rows())
    assert back.schema.metadata[b"meaning"] == b"A row per shape & link."
    told = {field.name: field.metadata or {} for field in back.schema}
    assert {name: told[name].get(b"kind", b"").decode() for name in told} == TABLE.kinds
    assert told["link"][b"meaning"] == b"of the <host>"


def test_a_dataset_has_a_dimension_of_rows() -> None:
    data = TABLE.to_xarray()
    assert dict(data.sizes) == {"row": 4}
    assert data["payload_bytes"].attrs == {"kind": "modelled", "meaning": "registers"}
    assert data.attrs["meaning"] == "A row per shape & link."
    assert data["link"].values.tolist() == TABLE["link"].tolist()


@pytest.mark.parametrize("dims", [("n_vcpu", "link"), ("link", "n_vcpu")])
def test_every_row_is_a_cell_of_the_cube(dims: tuple[str, ...]) -> None:
    cube = TABLE.to_xarray(dims)
    assert cube["downtime_ms"].dims == dims
    assert cube["n_vcpu"].values.tolist() == [512, 64]  # in the order in which they occur
    assert cube["n_vcpu"].attrs["kind"] == "input"
    assert cube["payload_bytes"].dtype == np.int64
    for row in TABLE.rows():
        cell = cube.sel(n_vcpu=row["n_vcpu"], link=row["link"])
        assert cell["payload_bytes"].item() == row["payload_bytes"]
        assert cell["is_hypothetical"].item() is row["is_hypothetical"]
        downtime = cell["downtime_ms"].item()
        assert np.isnan(downtime) if row["downtime_ms"] is None else downtime == row["downtime_ms"]


def test_a_cell_without_a_row_is_empty() -> None:
    columns = {name: column.at(np.array([0, 1, 3])) for name, column in TABLE.columns.items()}
    cell = Table(TABLE.meaning, columns).to_xarray(("n_vcpu", "link")).sel(n_vcpu=512, link="10 Gb/s")
    assert np.isnan(cell["payload_bytes"].item())
    assert cell["is_hypothetical"].item() is None


def test_a_cell_of_two_rows_is_refused() -> None:
    with pytest.raises(InputError, match="two rows have the same link: a cell of the cube holds one"):
        TABLE.to_xarray(("link",))
    with pytest.raises(InputError, match="no column 'speed' to make a dimension of; the table has n_vcpu, link"):
        TABLE.to_xarray(("speed",))


def test_json_is_strict_and_has_everything() -> None:
    told = json.loads(TABLE.to_json(), parse_constant=pytest.fail)
    assert told["meaning"] == TABLE.meaning
    assert {name: column["kind"] for name, column in told["columns"].items()} == TABLE.kinds
    assert told["columns"]["downtime_ms"]["values"] == [0.1 + 0.2, None, 7.5, 1e-7]


@pytest.mark.parametrize(
    ("to", "n_row"),
    [
        (lambda t: t.to_pandas(), len),
        (lambda t: t.to_polars(), len),
        (lambda t: t.to_arrow(), lambda found: found.num_rows),
        (lambda t: t.to_xarray(), lambda found: found.sizes["row"]),
        (lambda t: t.to_xarray(("name",)), lambda found: found.sizes["name"]),
        (lambda t: t.to_markdown(), lambda found: found.count("\n| ")),
        (lambda t: t.to_html(), lambda found: found.count("<td>")),
    ],
)
def test_a_table_without_rows_arrives_without_rows(to: Callable[[Table], Any], n_row: Callable[[Any], int]) -> None:
    assert n_row(to(NOTHING)) == 0


@pytest.mark.parametrize(
    ("library", "extra", "method"),
    [
        ("pandas", "frames", "to_pandas"),
        ("polars", "frames", "to_polars"),
        ("pyarrow", "parquet", "to_arrow"),
        ("xarray", "sweep", "to_xarray"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, library: str, extra: str, method: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError) as error:
        getattr(TABLE, method)()
    assert str(error.value) == f"{library} is needed for this and is not installed: pip install 'fastsmc[{extra}]'"


def test_no_library_is_loaded_before_it_is_asked_for() -> None:
    code = (
        "import sys; from fastsmc.results import export; from fastsmc.results.tables import Column, Table; "
        "t = Table('', {'a_ns': Column.of([1], 'input')}); str(t), t.to_csv(), t.to_json(), t.to_html(), "
        "t.to_markdown(); sys.exit(bool({'pandas', 'polars', 'pyarrow', 'xarray'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Page(HTMLParser):
    """What a browser would show of a table: cells by tag, and titles of the headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.titles: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("td", "th", "caption"):
            self.texts.setdefault(tag, []).append("")
        self.titles += [value or "" for name, value in attrs if name == "title"]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] in self.texts:
            self.texts[self.tags[-1]][-1] += data.strip("\n")


def test_html_shows_headings_with_units_and_kinds() -> None:
    page = Page(TABLE.to_html())
    assert page.texts["caption"] == ["A row per shape & link."]
    assert page.texts["th"] == ["vCPUs", "link", "payload bytes", "downtime ms", "is hypothetical"]
    assert page.texts["td"][5:10] == ["64", "25 Gb/s", "28,224", "unknown", "no"]
    assert page.texts["td"][-1] == "input: vCPUs, link; modelled: payload bytes; measured: downtime ms"
    assert page.titles[2] == f"payload_bytes; registers; modelled: {KINDS['modelled']}"


HOSTILE = '<script>alert("1")</script>|`*_x_[a](b)\x1b[31m\u202e\n&amp;'


def test_html_shows_a_text_as_it_is_and_runs_nothing() -> None:
    table = Table(HOSTILE, {HOSTILE: Column.of([HOSTILE], "input", HOSTILE)})
    for text in (table.to_html(), table._repr_html_()):
        page = Page(text)
        assert set(page.tags) == {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
        shown = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e").replace("\n", "\\n")
        assert page.texts["td"][0] == shown
        assert page.texts["caption"] == [shown]
        assert "\x1b" not in text


def test_markdown_keeps_a_text_in_its_cell() -> None:
    lines = Table("", {"name": Column.of([HOSTILE])}).to_markdown().splitlines()
    assert len(lines) == 3
    assert lines[2] == (
        '| &lt;script&gt;alert("1")&lt;/script&gt;\\|\\`\\*\\_x\\_\\[a\\](b)\\\\x1b\\[31m\\\\u202e\\\\n&amp;amp; |'
    )
    assert Table("", {"name": Column.of(["PSCI_VERSION"])}).to_markdown().splitlines()[2] == "| PSCI_VERSION |"


def test_a_notebook_shows_the_first_rows() -> None:
    many = Table("A row per VM.", {"vm": Column.of(np.arange(1000), "input")})
    assert many._repr_html_().count("<td style") == 60
    assert "and 940 more rows" in many._repr_html_()
    assert many.to_html().count("<td style") == 1000
    assert len(to_json(many)) > 1000
