"""Runs: what a column may hold, the file and back, and what happens when a file is not right."""

from __future__ import annotations

import copy
import csv
import io
import json
import operator
import os
import pickle
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from fastsmc.errors import InputError, ResultFileError
from fastsmc.results.export import to_csv
from fastsmc.results.files import load, save, to_json, write_files
from fastsmc.results.runs import Run, provenance
from fastsmc.results.runs import _cpu_model as cpu_model
from fastsmc.results.tables import KINDS, Column, Table


def a_run() -> Run:
    payload = Table(
        "A row per vCPU count.",
        {
            "codec": Column.of(["values", 'id+value, "once"'], "input", "how values are written"),
            "payload_bytes": Column.of([8, 1 << 53], "modelled"),
            "encode_ms": Column.of(np.array([0.1 + 0.2, 1e-7]), "measured"),
            "is_hypothetical": Column.of([False, True]),
        },
    )
    calls = Table("A row per function.", {"calls": Column.of(np.array([3], np.uint32), "recorded", "é ]}, x")})
    return Run({"payload": payload, "calls": calls}, provenance(seed=7, inputs={"trace": "boot.txt", "n": [1, 2]}))


def test_a_loaded_run_is_the_saved_one(tmp_path: Path) -> None:
    run = a_run()
    save(run, tmp_path / "data.json")
    back = load(tmp_path / "data.json")
    assert back.provenance == run.provenance
    assert list(back.tables) == list(run.tables)
    for name, table in run.tables.items():
        assert back[name].meaning == table.meaning
        assert back[name].kinds == table.kinds
        for key, column in table.columns.items():
            found = back[name].columns[key]
            assert found.values.dtype == column.values.dtype
            assert found.values.tolist() == column.values.tolist()
            assert found.meaning == column.meaning
    assert to_json(back) == to_json(run)
    assert [path.name for path in tmp_path.iterdir()] == ["data.json"]


def test_the_file_is_the_documented_json() -> None:
    content = json.loads(to_json(a_run()))
    assert content["schema"] == 1
    assert content["tables"]["payload"]["columns"]["payload_bytes"] == {
        "kind": "modelled",
        "meaning": "",
        "values": [8, 1 << 53],
    }


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        ([1, 2], "", "column of numbers is one of measured, recorded, modelled"),
        ([1.5], "guessed", "kind 'guessed'"),
        (["a"], "guessed", "kind 'guessed'"),
        ([[1]], "input", "one dimension"),
        ([None], "input", "dimension of numbers, booleans or text"),
        (["a", 1], "", "mixed"),
        ([1.0, float("nan")], "measured", "not finite"),
        (np.array([1 << 63], np.uint64), "modelled", "does not fit"),
    ],
)
def test_a_column_that_is_not_right_is_refused(values: Any, kind: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Column.of(values, kind)


@pytest.mark.parametrize(
    ("values", "reason"), [(["a"], "only numbers can be unknown"), ([True], "only numbers"), ([1.0, np.inf], "finite")]
)
def test_unknown_is_said_of_finite_numbers_only(values: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Column.of(values, "modelled", unknown=True)


def test_a_number_that_is_not_known_stays_so_in_rows_and_files(tmp_path: Path) -> None:
    column = Column.of([1, None, float("nan"), 4.5], "modelled", unknown=True)
    table = Table("A row per VM.", {"vm": Column.of([0, 1, 2, 3], "input"), "downtime_ms": column})
    assert [row["downtime_ms"] for row in table.rows()] == [1.0, None, None, 4.5]
    assert table.where(downtime_ms=None)["vm"].tolist() == [1, 2]
    assert to_csv(table) == "vm,downtime_ms\n0,1.0\n1,\n2,\n3,4.5\n"
    run = replace(a_run(), tables={"downtime": table})
    save(run, tmp_path / "data.json")
    told = json.loads((tmp_path / "data.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert told["tables"]["downtime"]["columns"]["downtime_ms"]["values"] == [1.0, None, None, 4.5]
    assert load(tmp_path / "data.json")["downtime"] == table


def test_a_table_without_rows_says_what_a_row_is(tmp_path: Path) -> None:
    columns = {
        "vm": Column.of(np.zeros(0, np.int64), "input"),
        "ms": Column.of([], "modelled"),
        "is_late": Column.of(np.zeros(0, np.bool_)),
        "name": Column.of([]),
    }
    with pytest.raises(InputError, match="must say what a row is; it has the columns vm, ms, is_late, name"):
        Table("", columns)
    table = Table("A row per VM that blocks the upgrade.", columns)
    assert (table.n_row, len(table), list(table.rows())) == (0, 4, [])
    save(replace(a_run(), tables={"blocked": table}), tmp_path / "data.json")
    assert load(tmp_path / "data.json")["blocked"] == table
    assert to_csv(table) == "vm,ms,is_late,name\n"


def test_a_table_is_a_mapping_that_cannot_be_changed() -> None:
    table = a_run()["payload"]
    assert isinstance(table, Mapping)
    assert list(table) == ["codec", "payload_bytes", "encode_ms", "is_hypothetical"]
    assert (len(table), table.n_row) == (4, 2)
    assert {name: values.tolist() for name, values in table.items()} == {name: table[name].tolist() for name in table}
    assert "codec" in table
    assert "speed" not in table
    assert table.get("speed") is None
    before = table.to_json()
    for change in (
        lambda: table.update(codec=[1, 2]),
        lambda: table.pop("codec"),
        lambda: table.popitem(),
        lambda: table.clear(),
        lambda: table.setdefault("speed", np.zeros(2)),
        lambda: operator.setitem(table, "codec", np.zeros(2)),
        lambda: operator.delitem(table, "codec"),
        lambda: operator.ior(table, {"codec": np.zeros(2)}),
        lambda: operator.setitem(cast(Any, table.columns), "codec", table.columns["codec"]),
    ):
        with pytest.raises(TypeError):
            change()
    assert table.to_json() == before


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))])
def test_a_copy_is_equal_and_another_table_is_not(again: Callable[[Table], Table]) -> None:
    table = a_run()["payload"]
    assert again(table) == table
    kept = dict(table.columns)
    for other in (
        Table("Another row.", kept),
        Table(table.meaning, {name: kept[name] for name in reversed(kept)}),
        Table(table.meaning, kept | {"payload_bytes": Column.of([8, 9], "modelled")}),
        Table(table.meaning, kept | {"payload_bytes": Column.of([8, 1 << 53], "assumed")}),
        Table(table.meaning, kept | {"payload_bytes": Column.of([8, 1 << 53], "modelled", "of one vCPU")}),
        Table(table.meaning, kept | {"payload_bytes": Column.of([8.0, float(1 << 53)], "modelled")}),
        table.where(payload_bytes=8),
    ):
        assert other != table
    assert table != {name: table[name] for name in table}


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_labels_numbers(kind: Any) -> None:
    assert Column.of([1], kind).kind == kind


def test_columns_of_a_table_are_equally_long() -> None:
    with pytest.raises(InputError, match="equally long"):
        Table("", {"a": Column.of([1], "input"), "b": Column.of([1, 2], "input")})
    with pytest.raises(InputError, match="equally long"):
        Table("", {})


def test_values_are_read_only() -> None:
    given = np.array([1, 2])
    column = Column.of(given, "input")
    given[0] = 5
    assert column.values.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        column.values[0] = 9


def test_where_keeps_the_rows_that_match() -> None:
    table = a_run()["payload"]
    assert table.where(codec="values", is_hypothetical=False)["payload_bytes"].tolist() == [8]
    assert next(table.where(payload_bytes=8).rows())["codec"] == "values"
    with pytest.raises(ResultFileError, match="no row"):
        table.where(codec="values", is_hypothetical=True)
    with pytest.raises(ResultFileError, match="no column 'speed'"):
        table.where(speed=1)
    with pytest.raises(ResultFileError, match="no table 'speed'; it has payload, calls"):
        a_run()["speed"]


EMPTY = {"kind": "input", "values": [], "meaning": "", "type": "float64"}


def damaged(**change: Any) -> str:
    return json.dumps(json.loads(to_json(a_run())) | change)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        (to_json(a_run())[:-40], "not JSON, or cut short"),
        ("[1]", "schema None"),
        (damaged(schema=2), "schema 2, this version of fastsmc reads 1"),
        (damaged(tables=None), "damaged"),
        ('{"schema": 1}', "'tables' is missing"),
        (
            damaged(tables={"t": {"meaning": "", "columns": {"a_ns": {"values": [1], "meaning": ""}}}}),
            "'kind' is missing",
        ),
        (
            damaged(tables={"t": {"meaning": "", "columns": {"a_ns": {"kind": "", "values": [1], "meaning": ""}}}}),
            "table t, column a_ns: kind ''",
        ),
        (damaged(provenance={"seed": 1}), "provenance: 'fastsmc' is missing"),
        (damaged(provenance=asdict(a_run().provenance) | {"seed": None}), "provenance: 'seed' is NoneType where int"),
        (damaged(provenance=asdict(a_run().provenance) | {"inputs": []}), "provenance: 'inputs' is list where dict"),
        (damaged(provenance=asdict(a_run().provenance) | {"x": 1}), "provenance: there is no 'x'"),
        (
            damaged(tables={"t": {"meaning": "", "columns": {"a": {"kind": "input", "values": [], "meaning": ""}}}}),
            "table t, column a: 'type' is missing",
        ),
        (
            damaged(tables={"t": {"meaning": "", "columns": {"a": {**EMPTY, "type": "O"}}}}),
            "type 'O'; it must be one of bool, int64, float64, str",
        ),
        (damaged(tables={"t": {"meaning": "", "columns": {"a": EMPTY}}}), "must say what a row is"),
        (
            damaged(tables={"t": {"meaning": "", "columns": {"a": {**EMPTY, "values": [None], "unknown": 1}}}}),
            "'unknown' is int where bool",
        ),
        (damaged(schema=True), "schema True, this version of fastsmc reads 1"),
        (damaged(schema=1.0), "schema 1.0, this version"),
        (damaged(tables={"../t": {}}), "table '../t': a name is made of"),
        (damaged(tables={"t": None}), "'columns' is missing"),
        (
            damaged(
                tables={"t": {"meaning": "", "columns": {"a": {"kind": "input", "values": [1, True], "meaning": ""}}}}
            ),
            "table t, column a: booleans mixed",
        ),
        (
            damaged(tables={"t": {"meaning": "", "columns": {"a": {"kind": [], "values": [1], "meaning": ""}}}}),
            "table t, column a: 'kind' is list where str",
        ),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_damaged_file_is_named_and_explained(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ResultFileError, match=reason) as error:
        load(path)
    assert "old.json" in str(error.value)
    assert error.value.exit_code == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match=r"none\.json: cannot be read \(No such file"):
        load(tmp_path / "none.json")


def test_csv_reads_back_in_full_precision() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(a_run()["payload"]))))
    assert [row["codec"] for row in rows] == ["values", 'id+value, "once"']
    assert [int(row["payload_bytes"]) for row in rows] == [8, 1 << 53]
    assert [float(row["encode_ms"]) for row in rows] == [0.1 + 0.2, 1e-7]
    assert [row["is_hypothetical"] for row in rows] == ["false", "true"]


def test_files_are_written_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"old")
    write = os.write

    def fails_at_b(opened: int, content: bytes) -> int:
        if content == b"new b":
            write(opened, content[:1])
            raise OSError(28, "No space left on device")
        return write(opened, content)

    monkeypatch.setattr(os, "write", fails_at_b)
    with pytest.raises(ResultFileError, match="No space left on device"):
        write_files(tmp_path, {"a": b"new", "b": b"new b"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultFileError, match=r"file.*folder that can be written"):
        save(a_run(), tmp_path / "file" / "data.json")


def test_provenance_tells_versions_and_machine_but_not_whose() -> None:
    found = provenance(seed=3, inputs={})
    assert found.numpy == np.__version__
    assert found.python == platform.python_version()
    assert found.seed == 3
    assert found.n_core >= 1
    assert found.cpu
    assert found.date_utc.endswith("Z")
    assert len(platform.node()) < 4 or platform.node() not in to_json(replace(a_run(), provenance=found))


@pytest.mark.parametrize(
    ("text", "model"),
    [("processor\t: 0\nmodel name\t: Neoverse X\n", "Neoverse X"), ("processor\t: 0\n", platform.machine())],
)
def test_the_cpu_model_is_what_the_kernel_calls_it(tmp_path: Path, text: str, model: str) -> None:
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    assert cpu_model(tmp_path / "cpuinfo") == model
    assert cpu_model(tmp_path / "missing") == platform.machine()


def test_results_start_neither_numba_nor_matplotlib() -> None:
    code = (
        "import sys; from fastsmc.results.runs import provenance; provenance(seed=1, inputs={}); "
        "sys.exit(bool({'numba', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As `--out /dev/stdout` and `--out /dev/null` are; run by root, a rename would take the device away."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_files(tmp_path, {"pipe": b"through"})
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    for content in (b"first", b"second"):
        write_files(tmp_path, {"link": content})
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "target").read_bytes() == content
