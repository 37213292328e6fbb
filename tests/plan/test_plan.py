"""A plan speaks: in a sentence, a table, a file, frames of other libraries, and beside another plan."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsmc.errors import InputError, ResultFileError
from fastsmc.plan.result import Excuse, Plan, plain
from fastsmc.plan.text import html, table_lines, text
from fastsmc.results.tables import Column, Table
from tests.support.plans import a_plan, a_table


def test_the_answer_comes_first_and_assumptions_last_and_once() -> None:
    lines = str(a_plan()).splitlines()
    assert lines[0] == "395 vCPUs fit 300 ms over 25 Gb/s."
    assert lines[-2:] == ["assumes the cost of one ioctl", "assumes bytes at line rate"]
    assert lines.index("bottleneck: ioctls") < lines.index(
        "why not, 3: ioctls take longer than the budget (vmm 'qemu', n_vcpu 512)"
    )
    assert lines.index("why not, 1: the link is too slow (link_gbit_per_s 10)") < lines.index(
        "  at 1000: 200 vCPUs fit."
    )
    assert re.fullmatch(r"vmm +link_gbit_per_s +n_vcpu +downtime_ms +bound_by +is_hypothetical", lines[2])


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_a_table_keeps_to_the_width_and_says_what_it_leaves_out(width: int) -> None:
    table = Table(
        "",
        {
            "host": Column.of([f"h{i}" for i in range(100)], "input"),
            "why": Column.of(["a reason of many words that go on and on"] * 100),
            "n_vm": Column.of(list(range(100)), "modelled"),
        },
    )
    lines = table_lines(table, width)
    assert max(map(len, lines[:-1])) <= width
    assert "76 more rows" in lines[-1]
    assert ("n_vm" in lines[0]) == (width > 20)
    assert ("1 more columns: n_vm" in lines[-1]) == (width == 20)


def test_nothing_of_a_plan_reaches_a_terminal_or_a_page_as_more_than_text() -> None:
    plan = a_plan(
        table=Table("", {"host": Column.of(["\x1b[31m<script>|", "b"])}), excuses=(Excuse("<b>\x1b", 1, {"a": "\x1b"}),)
    )
    assert "\x1b" not in text(plan, 80) + html(plan) + plan.to_markdown()
    assert "<script>" not in html(plan)
    assert "<b>\\x1b" not in html(plan)
    assert plan.to_markdown().splitlines()[2].count("|") == 3  # one of them escaped


def test_a_plan_is_saved_and_loaded_whole(tmp_path: Path) -> None:
    plan = a_plan()
    plan.save(tmp_path / "plan.json")
    again = Plan.load(tmp_path / "plan.json")
    assert again.as_dict() == plan.as_dict()
    assert again.provenance == plan.provenance
    assert str(again) == str(plan)
    assert again.table.meaning == "A row per link."
    assert again.table.columns["n_vcpu"].meaning == "largest shape"
    assert again.cube is not None
    assert plan.cube is not None
    for name, values in plan.cube.values.items():
        np.testing.assert_array_equal(again.cube.values[name].values, values.values)
        assert again.cube.values[name].values.dtype.kind == values.values.dtype.kind
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "plan.json").read_bytes()
    bare = Plan("baseline", "yes", a_table([1], [2], ["x"]))
    bare.save(tmp_path / "bare.json")
    assert Plan.load(tmp_path / "bare.json").as_dict() == bare.as_dict()


def test_a_plan_says_what_found_it_and_on_what_but_not_where() -> None:
    told = a_plan().as_dict()
    assert set(told["provenance"]) >= {"fastsmc", "numpy", "cpu", "kernel", "date_utc", "seed"}
    assert told["provenance"]["seed"] == 3
    assert os.uname().nodename not in json.dumps(told) or len(os.uname().nodename) < 4
    assert str(Path.cwd()) not in json.dumps(told)
    assert told["inputs"] == {"downtime_ms": 300.0, "link": [10, 25], "seed": 3, "unknown": None}


def saved(**changed: Any) -> dict[str, Any]:
    from fastsmc.plan.saving import to_json

    content: dict[str, Any] = json.loads(to_json(a_plan()))
    return content | changed


EXCUSE = {"why": "w", "rows": 2, "example": {}}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"schema": 2}, "schema 2, this version of fastsmc reads 1"),
        ({"plan": "rm -rf"}, "plan is 'rm -rf': it must be the name of a question"),
        ({"answer": ""}, "'answer' is '': it must be one line"),
        ({"answer": "a\nb"}, "it must be one line"),
        ({"met": 1}, "'met' is int where bool is needed"),
        ({"excuses": [EXCUSE, EXCUSE | {"rows": 3}]}, "the one with the most rows does not stand first"),
        ({"excuses": [EXCUSE | {"rows": 0}]}, "an excuse holds for one row or more"),
        ({"excuses": [EXCUSE | {"more": 0}]}, "there is no 'more'"),
        (
            {"weakest": {"figure": "f", "low": 2, "high": 1, "at_low": "a", "at_high": "b"}},
            "its low is 2 and its high 1",
        ),
        ({"weakest": {"figure": "f", "low": True, "high": 1, "at_low": "a", "at_high": "b"}}, "it must be a number"),
        ({"assumptions": ["a", "a"]}, "and stand there once"),
        ({"more": 1}, "the plan: there is no 'more'"),
        (
            {"cube": {"coords": {"a": [1, 2]}, "values": {"v": {"kind": "modelled", "meaning": "", "values": [1]}}}},
            "axis 0",
        ),
        (
            {"cube": {"coords": {"a": [1]}, "values": {"v": {"kind": "guessed", "meaning": "", "values": [1]}}}},
            "guessed",
        ),
        (
            {"cube": {"coords": {"a": [1]}, "values": {"v": {"kind": "modelled", "meaning": "", "values": [{}]}}}},
            "null",
        ),
        ({"cube": {"coords": {"a": []}, "values": {}}}, "coordinate 'a'"),
        ({"table": None}, "table"),
    ],
)
def test_what_contradicts_itself_is_refused_in_a_sentence(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(saved(**changed)))
    with pytest.raises(ResultFileError, match=re.escape(words)) as error:
        Plan.load(path)
    assert str(error.value).startswith(str(path))


def test_a_seed_that_its_inputs_deny_is_refused(tmp_path: Path) -> None:
    content = saved()
    content["provenance"]["seed"] = 4
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(ResultFileError, match="the seed is 4, its inputs have 3"):
        Plan.load(tmp_path / "plan.json")
    with pytest.raises(ResultFileError, match=r"cannot be read .*; expected a saved plan"):
        Plan.load(tmp_path / "none.json")
    (tmp_path / "run.json").write_text('{"schema": 1, "tables": {}}')
    with pytest.raises(ResultFileError, match="no saved plan"):
        Plan.load(tmp_path / "run.json")


def test_what_could_not_be_read_back_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match="not saved, as it could not be read back"):
        a_plan(answer="two\nlines").save(tmp_path / "plan.json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ResultFileError, match="results need a folder that can be written"):
        a_plan().save("/proc/none/plan.json")


def test_two_plans_side_by_side_tell_what_differs() -> None:
    first = a_plan()
    second = a_plan(
        answer="400 vCPUs fit.",
        table=a_table([25, 40], [400, 512], ["ioctls", "limit"]),
        inputs={"downtime_ms": 300.0, "link": (25, 40), "seed": 3, "vmm": "qemu"},
        assumptions=("the cost of one ioctl", "a new one"),
        is_met=True,
    )
    found = first.compare(second)
    cells = {(c.row["link_gbit_per_s"], c.column): (c.first, c.second, c.ratio) for c in found.changes}
    assert cells == {
        (25, "n_vcpu"): (395, 400, 400 / 395),
        (25, "downtime_ms"): (296.25, 300.0, 300 / 296.25),
        (25, "bound_by"): ("bytes", "ioctls", None),
    }
    assert found.gone == ({"link_gbit_per_s": 10},)
    assert found.new == ({"link_gbit_per_s": 40},)
    assert found.inputs == {"link": ([10, 25], [25, 40]), "unknown": (None, "(none)"), "vmm": ("(none)", "qemu")}
    assert (found.assumptions_gone, found.assumptions_new) == (("bytes at line rate",), ("a new one",))
    assert found.met == (False, True)
    assert not found.is_same
    assert len(repr(found)) <= 200
    told = str(found).splitlines()
    assert told[:2] == ["largest_shape: the answer was: 395 vCPUs fit 300 ms over 25 Gb/s.", "  and is: 400 vCPUs fit."]
    assert "link_gbit_per_s 25: n_vcpu 395 -> 400 (1.01x)" in told
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_plan_is_the_same_as_itself_and_like_no_plan_of_another_question() -> None:
    assert a_plan().compare(a_plan()).is_same
    assert str(a_plan().compare(a_plan())) == "largest_shape: both plans say the same"
    with pytest.raises(InputError, match="a plan of largest_shape and one of upgrade"):
        a_plan().compare(a_plan(question="upgrade"))


def test_rows_of_equal_names_are_paired_in_order() -> None:
    first = a_plan(table=a_table([10, 10, 25], [1, 2, 3], ["a", "a", "a"]))
    second = a_plan(table=a_table([10, 25, 10], [1, 3, 4], ["a", "a", "a"]))
    (n_vcpu, _) = first.compare(second).changes
    assert (n_vcpu.column, n_vcpu.first, n_vcpu.second) == ("n_vcpu", 2, 4)


def test_frames_have_the_values_of_the_table_and_labels_of_the_cube() -> None:
    plan = a_plan()
    rows = list(csv.DictReader(io.StringIO(plan.to_csv())))
    assert [row["n_vcpu"] for row in rows] == ["390", "395"]
    pandas = pytest.importorskip("pandas")
    frame = plan.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["bound_by"].tolist() == ["ioctls", "bytes"]
    pytest.importorskip("pyarrow")
    assert plan.to_arrow().column("downtime_ms").to_pylist() == [292.5, 296.25]
    pytest.importorskip("xarray")
    cube = plan.to_xarray()
    assert cube["n_vcpu"].sel(link_gbit_per_s=25, vmm="rust-vmm").item() == 512
    assert a_plan(cube=None).to_xarray()["n_vcpu"].values.tolist() == [390, 395]


def test_plain_values_are_those_of_json() -> None:
    told = plain({"a": np.arange(2), "b": (np.float32(0.5), np.inf, None, True), 3: Path("x")})
    assert told == {"a": [0, 1], "b": [0.5, None, None, True], "3": "x"}
    assert type(told["b"][3]) is bool
