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
from fastsmc.results.layout import laid_out_for
from fastsmc.results.tables import Column, Table
from tests.support.plans import a_plan, a_table


def test_the_answer_comes_first_and_assumptions_last_and_once() -> None:
    lines = str(a_plan()).splitlines()
    assert lines[0] == "395 vCPUs fit 300 ms over 25 Gb/s."
    assert lines[-2:] == ["assumes the cost of one ioctl", "assumes bytes at line rate"]
    order = [
        "bottleneck: ioctls",
        "why not, 3: ioctls take longer than the budget (vmm 'qemu', n_vcpu 512)",
        "why not, 1: the link is too slow (link_gbit_per_s 10)",
        "weakest figure: cost of one ioctl, ns",
        "  at 200: 512 vCPUs fit.",
        "  at 1000: 200 vCPUs fit.",
        "assumes the cost of one ioctl",
    ]
    assert [line for line in lines if line in order] == order
    assert str(a_plan().table) in str(a_plan())


@pytest.mark.parametrize("width", [40, 80, 140])
def test_all_of_a_plan_keeps_to_the_width(width: int) -> None:
    with laid_out_for(width):
        lines = str(a_plan(answer="an answer " * 30)).splitlines()
    answer = lines[: lines.index("")]
    assert " ".join(answer) == ("an answer " * 30).strip()
    assert max(map(len, lines)) <= width


def test_of_many_rows_and_reasons_the_rest_is_counted() -> None:
    table = Table("Hosts.", {"host": Column.of([f"h{i}" for i in range(100)], "input")})
    told = str(a_plan(table=table, excuses=tuple(Excuse(f"reason {i}", 1, {}) for i in range(15))))
    assert "and 60 more rows" in told
    assert "why not: 3 more reasons, which JSON has" in told
    assert a_plan(table=table).to_markdown().count("\n| h") == 1 + 100


def test_nothing_of_a_plan_reaches_a_terminal_or_a_page_as_more_than_text() -> None:
    table = Table("", {"host": Column.of(["\x1b[31m<script>|", "b"])})
    plan = a_plan(answer="<i>*\x1b", table=table, excuses=(Excuse("<b>\x1b", 1, {"a": "\x1b"}),))
    assert "\x1b" not in str(plan) + plan._repr_html_() + plan.to_markdown()
    assert not re.search("<(script|b>.x1b|i>)", plan._repr_html_() + plan.to_markdown())
    assert plan.to_markdown().startswith("**&lt;i&gt;\\*\\\\x1b**\n")


def test_a_plan_without_rows_is_a_plan() -> None:
    empty = Table("A row per VM that blocks.", {"vm": Column.of([]), "n": Column.of([], "modelled")})
    assert "no rows" in str(a_plan(table=empty))
    assert a_plan(table=empty).compare(a_plan(table=empty)).is_same


def test_a_plan_is_saved_and_loaded_whole(tmp_path: Path) -> None:
    plan = a_plan()
    plan.save(tmp_path / "plan.json")
    again = Plan.load(tmp_path / "plan.json")
    assert again.as_dict() == plan.as_dict()
    assert again.provenance == plan.provenance
    assert str(again) == str(plan)
    assert again.table == plan.table
    assert again.cube is not None
    assert plan.cube is not None
    for name, values in plan.cube.values.items():
        np.testing.assert_array_equal(again.cube.values[name].values, values.values)
        assert again.cube.values[name].values.dtype.kind == values.values.dtype.kind
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "plan.json").read_bytes()
    columns = {"host": Column.of([]), "within_s": Column.of([], "modelled", unknown=True)}
    bare = Plan("baseline", "yes", Table("A row per host.", columns))
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
        (25, "perhaps_ms"): (395.0, None, None),
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
    n_vcpu, *_ = first.compare(second).changes
    assert (n_vcpu.column, n_vcpu.first, n_vcpu.second) == ("n_vcpu", 2, 4)


def test_rows_that_nobody_chose_are_named_by_the_first_text_that_tells_them_apart_or_by_number() -> None:
    def table(names: list[str]) -> Table:
        columns = {
            "zone": Column.of(["a"] * len(names)),
            "host": Column.of(names),
            "n": Column.of([3] * len(names), "modelled"),
        }
        return Table("Hosts.", columns)

    found = a_plan(table=table(["h1", "h2"])).compare(a_plan(table=table(["h2", "h3"])))
    assert (found.changes, found.gone, found.new) == ((), ({"host": "h1"},), ({"host": "h3"},))
    found = a_plan(table=table(["h1", "h1"])).compare(a_plan(table=table(["h1", "h2", "h3"])))
    assert [(dict(c.row), c.column, c.second) for c in found.changes] == [({"row": 1}, "host", "h2")]
    assert found.new == ({"row": 2},)


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
