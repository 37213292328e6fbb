"""Which files are compared with which, and what is said of those that are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fastsmc as smc
from fastsmc.results.tables import Column, Table
from tests.support.places import ROOT, TESTS

STREAM, OTHER_STREAM = TESTS / "streams" / "cortex-a57-2.bin.xz", TESTS / "streams" / "max-1.bin.xz"
BENCH = ROOT / "reports" / "bench" / "latest.json"
PYTEST = {
    "machine_info": {"python_version": "3.11.7", "system": "Linux", "machine": "x86_64", "release": "6.1",
                     "cpu": {"brand_raw": "A CPU", "count": 2}},
    "commit_info": {},
    "benchmarks": [
        {"name": "bench_one", "fullname": "some/bench_one.py::bench_one", "extra_info": {},
         "stats": {"min": 1.0, "max": 1.4, "mean": 1.2, "stddev": 0.1, "rounds": 9, "median": 1.2, "iqr": 0.1,
                   "data": [1.0, 1.1, 1.15, 1.18, 1.2, 1.22, 1.25, 1.3, 1.4]}},
    ],
    "version": "5.1.0",
}  # fmt: skip
"""The form is that of pytest-benchmark 5.1, https://pytest-benchmark.readthedocs.io."""


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def pytest_run(path: Path, times: float = 1.0, *, has_data: bool = True) -> Path:
    content = json.loads(json.dumps(PYTEST))
    stats = content["benchmarks"][0]["stats"]
    for key in ("min", "max", "mean", "stddev", "median", "iqr"):
        stats[key] *= times
    stats["data"] = [value * times for value in stats["data"]]
    if not has_data:
        del stats["data"]
    return written(path, content)


def harness_run(path: Path, rounds: list[float], **more: Any) -> Path:
    case = {"ns_per_call": sorted(rounds)[len(rounds) // 2], "rounds_ns": rounds, **more}
    return written(path, {"schema": 1, "environment": {"cpu": "A CPU"}, "cases": {"verdicts": case}})


def test_rounds_that_do_not_touch_differ_and_rounds_that_mix_are_the_same(tmp_path: Path) -> None:
    slow = [value * 1.5 for value in PYTEST["benchmarks"][0]["stats"]["data"]]  # type: ignore[index]
    a, b = pytest_run(tmp_path / "a.json"), pytest_run(tmp_path / "b.json", 1.5)
    verdicts = {row.metric: row.verdict for row in smc.compare(a, b)}
    assert verdicts == {"median_s": "higher", "mean_s": "higher"}
    assert min(slow) > 1.4
    assert {row.verdict for row in smc.compare(a, pytest_run(tmp_path / "c.json", 1.01))} == {"same"}
    assert {row.verdict for row in smc.compare(b, a)} == {"lower"}


def test_pytest_benchmark_without_its_rounds_has_intervals_by_quartiles(tmp_path: Path) -> None:
    a = pytest_run(tmp_path / "a.json", has_data=False)
    row = next(iter(smc.compare(a, pytest_run(tmp_path / "b.json", 2.0, has_data=False))))
    assert row.ratio is not None
    assert (row.ratio.basis, row.verdict, row.ratio.value) == ("quartiles", "higher", 2.0)


def test_medians_of_rounds_and_a_case_without_any(tmp_path: Path) -> None:
    a = harness_run(tmp_path / "a.json", [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6])
    b = harness_run(tmp_path / "b.json", [3.0, 3.1, 3.2, 3.3, 3.4, 3.5, 3.6])
    (row,) = smc.compare(a, b)
    assert row.ratio is not None
    assert (row.base, row.value, row.verdict) == (1.3, 3.3, "higher")
    bare = {"schema": 1, "environment": {}, "cases": {"verdicts": {"ns_per_call": 2.6}}}
    (row,) = smc.compare(a, written(tmp_path / "bare.json", bare))
    assert row.ratio is not None
    assert (row.ratio.value, row.ratio.low, row.verdict) == (2.0, None, "unknown")


def test_machines_and_versions_of_measurements_are_named(tmp_path: Path) -> None:
    a = harness_run(tmp_path / "a.json", [1.0] * 7)
    content = json.loads(a.read_text(encoding="utf-8"))
    content["environment"] = {"cpu": "Another CPU", "python": "3.12"}
    b = written(tmp_path / "b.json", content)
    assert smc.compare(a, b).differs == (
        f"{b}: another machine (cpu A CPU and Another CPU): compare ratios to a yardstick, not times",
        f"{b}: other versions (python None and 3.12)",
    )


def test_the_committed_measurement_is_read(tmp_path: Path) -> None:
    found = smc.compare(BENCH, BENCH)
    cases = json.loads(BENCH.read_text(encoding="utf-8"))["cases"]
    medians = {row.of: row for row in found if row.metric == "call_ns"}
    assert medians.keys() == cases.keys()
    verdicts = {name: row.verdict for name, row in medians.items()}
    assert verdicts == {name: "same" if case.get("n_round") else "unknown" for name, case in cases.items()}


def test_registers_are_those_of_migrate_diff() -> None:
    found, diff = smc.compare(STREAM, OTHER_STREAM), smc.migrate.diff(STREAM, OTHER_STREAM)
    assert found.counts == {
        "same": len(diff.equal), "new": len(diff.only_b), "other": len(diff.differing),
    }  # fmt: skip
    assert found.counts.keys() <= {"same", "new", "other"}
    changed = [(row.base, row.value) for row in found if row.verdict == "other"]
    assert changed == [(hex(one.a or 0), hex(one.b or 0)) for one in diff.differing]
    assert found.table()["verdict"].tolist() == [row.verdict for row in found]
    assert smc.compare(STREAM, STREAM).is_same


def test_plans_are_those_of_plan_compare(tmp_path: Path) -> None:
    plans = [smc.plan.largest_shape(registers=182, link=[smc.Link(rate)], downtime_ms=300) for rate in (10, 25)]
    for at, plan in enumerate(plans):
        plan.save(tmp_path / f"{at}.json")
    found = smc.compare(tmp_path / "0.json", tmp_path / "1.json")
    assert next(one for one in found if one.metric == "answer").value == plans[1].answer
    assert any("link" in told for told in found.differs)
    assert smc.compare(plans[0], tmp_path / "0.json").is_same
    assert str(smc.compare(plans[0], plans[0])).startswith("result 1 and result 2: all figures are the same")


def plan_of(downtime_ms: list[float], n_vcpu: list[int]) -> smc.plan.Plan:
    columns = {"n_vcpu": Column.of(n_vcpu, "input"), "downtime_ms": Column.of(downtime_ms, "modelled")}
    return smc.plan.Plan("largest_shape", "an answer", Table("A row per shape.", columns))


def test_a_plans_figures_are_exact() -> None:
    rows = list(smc.compare(plan_of([10.0, 20.0, 5.0], [1, 2, 3]), plan_of([10.0, 20.1, 4.0], [1, 2, 4])))
    assert [(row.of, row.metric, row.verdict) for row in rows] == [
        ("n_vcpu 2", "downtime_ms", "higher"),
        ("n_vcpu 3", "", "gone"),
        ("n_vcpu 4", "", "new"),
    ]
    assert rows[0].ratio is not None
    assert (rows[0].ratio.value, rows[0].ratio.low) == (pytest.approx(1.005), None)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("bench", "stream"), "is of kind benchmark, .* of kind registers: give files of one kind"),
        (("missing", "bench"), "cannot be read"),
        (("printed", "bench"), "has no histograms, so nothing says how far"),
        (("report", "bench"), "a run of .* and no simulation; compare reads simulations"),
        (("schema", "bench"), "schema 7, this version of fastsmc reads 1"),
        (("damaged", "bench"), "ns_per_call is -1, where a number from 0 up is needed"),
        (("lying", "bench"), "its rounds' median 3: damaged"),
        (("stdin", "bench"), "give files and not standard input"),
        (("object", "object"), "object.json"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_compared_is_one_sentence(names: tuple[str, str], said: str, tmp_path: Path) -> None:
    case = {"ns_per_call": 1.0}
    files = {
        "bench": BENCH,
        "stream": STREAM,
        "missing": tmp_path / "nowhere.json",
        "report": ROOT / "reports" / "scaling" / "data.json",
        "stdin": Path("-"),
        "printed": written(tmp_path / "printed.json", {"scenario": "x", "groups": [], "fleet": {}}),
        "schema": written(tmp_path / "schema.json", {"schema": 7, "environment": {}, "cases": {}}),
        "damaged": written(
            tmp_path / "damaged.json", {"schema": 1, "environment": {}, "cases": {"a": case | {"ns_per_call": -1}}}
        ),
        "lying": written(
            tmp_path / "lying.json", {"schema": 1, "environment": {}, "cases": {"a": case | {"rounds_ns": [3.0, 3.0]}}}
        ),
        "object": written(tmp_path / "object.json", {"a": 1}),
    }
    with pytest.raises(smc.FastsmcError, match=said) as caught:
        smc.compare(files[names[0]], files[names[1]])
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_two_questions_are_not_compared() -> None:
    one = smc.plan.largest_shape(registers=182, link=[smc.Link(10)], downtime_ms=300)
    other = smc.plan.filter_cost(n_range=[0], measure=False)
    with pytest.raises(smc.FastsmcError, match="compare plans of the same question"):
        smc.compare(one, other)
