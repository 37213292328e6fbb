"""Inventories from files and frames: the same columns from each, and each wrong field told with its place."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastsmc.errors import InputError
from fastsmc.plan.inventory import columns
from fastsmc.plan.inventory.inventory import Inventory

HOSTS = {"name": ["h1", "h2"], "kernel": ["6.12.48+deb13-arm64", None], "memory_gib": [512.0, None], "cores": [64, 80]}
VMS = {
    "name": ["a", "b, the second\nof two", "ç"],
    "host": ["h2", "h1", "h1"],
    "vcpus": [4, 8, 1],
    "memory_gib": [3.5, None, 0.75],
    "tenant": [None, "t", ""],
}


def written(folder: Path, name: str, table: dict[str, list[Any]], end: str = "\n") -> Path:
    """A CSV file of a table; None is an empty field."""
    path = folder / name
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        rows = csv.writer(file, lineterminator=end)
        rows.writerow(table)
        rows.writerows(zip(*table.values(), strict=True))
    return path


def same(one: Inventory, other: Inventory) -> bool:
    return all(
        np.array_equal(ours[name], theirs[name], equal_nan=ours[name].dtype.kind == "f")
        for ours, theirs in ((one.hosts, other.hosts), (one.vms, other.vms))
        for name in ours
    )


def test_all_ways_lead_to_the_same_columns(tmp_path: Path) -> None:
    inventory = Inventory.of(hosts=HOSTS, vms=VMS)
    assert inventory.vms["name"][1] == "b, the second\nof two"
    assert inventory.vms["tenant"].tolist() == ["", "t", ""]
    for end in ("\n", "\r\n"):
        read = Inventory.read(hosts=written(tmp_path, "h.csv", HOSTS, end), vms=written(tmp_path, "v.csv", VMS, end))
        read_vms = {**read.vms, "name": np.char.replace(read.vms["name"], "\r\n", "\n")}
        assert same(Inventory(read.hosts, read_vms, {}), inventory)
    for frame in (pd.DataFrame, pl.DataFrame, pa.table):
        assert same(Inventory.read(hosts=frame(HOSTS), vms=frame(VMS)), inventory)
    for name, table in (("h", HOSTS), ("v", VMS)):
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet", row_group_size=2)
    read = Inventory.read(hosts=tmp_path / "h.parquet", vms=str(tmp_path / "v.parquet"))
    assert same(read, inventory)
    pl.DataFrame(VMS).write_parquet(tmp_path / "p.parquet")
    assert same(Inventory.read(hosts=HOSTS, vms=tmp_path / "p.parquet"), inventory)


def test_parquet_without_its_reader_is_one_sentence(tmp_path: Path) -> None:
    pq.write_table(pa.table(HOSTS), tmp_path / "h.parquet")
    with (
        mock.patch.dict("sys.modules", {"pyarrow": None}),
        pytest.raises(InputError, match=r"h.parquet is Parquet: install fastsmc\[parquet\], or save it as CSV"),
    ):
        Inventory.read(hosts=tmp_path / "h.parquet", vms=VMS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "v.csv is empty: it needs a line with the names of its columns, name, host"),
        ("name,host,vcpu\na,h1,4\n", "v.csv: column 3 is 'vcpu': it must be one of .*; did you mean vcpus"),
        ("name,host,vcpus,host\n", "v.csv: the column host is there twice"),
        ("name,host\n", "v.csv: the column vcpus is missing"),
        ("name;host;vcpus\na;h;1\n", "v.csv: columns are not separated by commas"),
        ("name,host,vcpus\na,h1\n", "v.csv: line 2: 2 fields where the first row has 3"),
        ("name,host,vcpus\na,h1,four\n", "v.csv line 2, vcpus 'four': no whole number; write a whole number"),
        ("name,host,vcpus\na,h1,1_0\n", "v.csv line 2, vcpus '1_0': no whole number"),
        ("name,host,vcpus\na,h1,4.5\nb,h1,x\n", r"v.csv line 2, vcpus '4.5': .* \(1 more such"),
        ("name,host,vcpus\na,h1,0\n", "v.csv line 2, vcpus '0': 0 is no size; leave it empty"),
        ("name,host,vcpus\na,h1,1e40\n", "v.csv line 2, vcpus '1e40': no whole number"),
        ("name,host,vcpus,memory_gib\na,h1,1,16Gi\n", "v.csv line 2, memory_gib '16Gi': no number.* in GiB, without"),
        ("name,host,vcpus,memory_gib\na,h1,1,NaN\n", "v.csv line 2, memory_gib 'NaN': NaN is no size"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "v.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=words):
        Inventory.read(hosts=HOSTS, vms=path)


def test_a_missing_file_and_what_is_no_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.csv: "):
        Inventory.read(hosts=tmp_path / "none.csv", vms=VMS)
    with pytest.raises(InputError, match="hosts is a int: give a path"):
        Inventory.read(hosts=3, vms=VMS)
    with pytest.raises(InputError, match="vms: tenant: row 1 holds 3: it must hold text"):
        Inventory.read(hosts=HOSTS, vms={**VMS, "tenant": ["a", 3, "b"]})


def test_no_table_takes_more_memory_than_there_is(tmp_path: Path) -> None:
    path = written(
        tmp_path, "v.csv", {"name": [f"vm{i}" for i in range(2000)], "host": ["h"] * 2000, "vcpus": [1] * 2000}
    )
    with mock.patch.object(columns, "MOST_ROWS", 1999), pytest.raises(InputError, match=r"v.csv: 2,000 rows"):
        Inventory.read(hosts=HOSTS, vms=path)
    with mock.patch.object(columns, "MOST_TEXT_BYTES", 40_000), pytest.raises(InputError, match="6 characters"):
        Inventory.read(hosts=HOSTS, vms=path)
