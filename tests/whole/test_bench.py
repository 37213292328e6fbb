"""The harness: its baselines answer as we do, its file has the form it promises, and two files are compared rightly."""

from __future__ import annotations

import json
import platform
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import (
    baseline,
    cases,
    compare,
    inputs,
    latency,
    outcome,
    payloads,
    queue_rivals,
    side_by_side,
    simulate,
    targets,
    timing,
)
from bench.plain import Plain
from bench.rows import KNOWN, rows_of
from bench.vector import Vector
from fastsmc.calls.grouped import GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher import batch as dispatcher
from tests.support.strategies import func_ids

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
TARGET_CASES = {
    *(f"{name}-{size}" for name in cases.CASES for size in ("2M", "64M")),
    *simulate.SIMULATIONS,
    side_by_side.BATCH,
    "latency-1",
    *payloads.PAYLOADS,
}


def contestants(fleet: Any, calls: Calls) -> dict[str, Any]:
    rows = rows_of(fleet)
    c, plain, vector = baseline.Baseline(fleet, rows), Plain(rows), Vector(rows)
    return {
        "C, kernel style": c.kernel_style,
        "C, counted": c.kernel_style_counted,
        "C, table": c.table,
        "NumPy, table": plain.table,
        "NumPy, search": plain.search,
        "Python": plain.python,
        **{f"C, vector, {way}": partial(vector.run, way) for way in vector.ways(calls)},
    }


@needs_cc
@given(
    seed=st.integers(0, 1 << 32),
    ids=st.lists(func_ids, min_size=1, max_size=40),
    n_range=st.integers(0, 40),
    n_policy=st.none() | st.integers(1, 8),
)
def test_every_baseline_gives_our_verdicts(seed: int, ids: list[int], n_range: int, n_policy: int | None) -> None:
    series = inputs.WITH_FILTER if n_range else inputs.SERIES
    fleet = inputs.fleet_of_policies(8, n_policy=n_policy, n_vcpu=2, series=series, seed=seed)
    inputs.install_ranges(fleet, n_range, seed=seed)
    drawn = inputs.random_calls(200, fleet.n_vcpu, seed=seed, unknown_share=0.5)
    vcpu = np.resize(np.arange(fleet.n_vcpu), len(ids))
    for dtype in (np.uint16, np.uint32) if inputs.index_type(1) is np.uint16 else (np.uint32,):
        calls = Calls(
            np.concatenate([drawn.vcpu, vcpu]).astype(dtype),  # type: ignore[arg-type]
            np.concatenate([drawn.func_id, np.array(ids, np.uint32)]),
        )
        expected = dispatcher.verdicts(fleet, calls)
        for name, function in contestants(fleet, calls).items():
            out = np.full(len(calls), 255, np.uint8)
            function(calls, out)
            assert out.tolist() == expected.tolist(), name
        blocks = GroupedCalls.from_calls(calls)
        in_blocks = [f"C, vector, {way}" for way in Vector(rows_of(fleet)).ways(blocks)]
        for name in ("C, kernel style", "C, table", "NumPy, table", *in_blocks):
            out = np.full(len(calls), 255, np.uint8)
            contestants(fleet, calls)[name](blocks, out)
            assert out.tolist() == expected.tolist(), f"{name}, in blocks"


@needs_cc
def test_counters_of_the_baselines_are_ours() -> None:
    fleet = inputs.fleet_of_policies(16, series=inputs.WITH_FILTER)
    inputs.install_ranges(fleet, 20)
    calls, out = inputs.random_calls(5000, 16, seed=1, unknown_share=0.1), np.empty(5000, np.uint8)
    done = dispatcher.dispatch(fleet, calls)
    rows = rows_of(fleet)
    c, plain = baseline.Baseline(fleet, rows), Plain(rows)
    c.kernel_style_counted(calls, out)
    plain.table_counted(calls, out)
    for owner in (c, plain):
        assert np.array_equal(owner.by_service, done.by_service)
        assert np.array_equal(owner.by_vm, done.by_vm)


@needs_cc
def test_streams_read_and_write_what_their_names_say() -> None:
    fleet_calls = inputs.random_calls(1000, 1024, seed=1)
    width = fleet_calls.vcpu.dtype.itemsize
    narrow, wide = baseline.aligned(1000, np.uint8), baseline.aligned(4000, np.uint64)
    assert baseline.stream_name(fleet_calls, narrow) == f"4+{width}->1"
    assert baseline.stream_name(fleet_calls, wide) == f"4+{width}->32"
    mixed = fleet_calls.func_id ^ fleet_calls.vcpu
    baseline.stream(fleet_calls, narrow)
    baseline.stream(fleet_calls, wide)
    assert np.array_equal(narrow, mixed.astype(np.uint8))
    assert np.array_equal(wide.reshape(1000, 4), np.repeat(mixed.astype(np.uint64), 4).reshape(1000, 4))
    blocks = GroupedCalls.from_calls(fleet_calls)
    assert baseline.stream_name(blocks, narrow) == "4->1"
    baseline.stream(blocks, narrow)
    assert np.array_equal(narrow, fleet_calls.func_id.astype(np.uint8))


def test_inputs_are_what_the_issue_says() -> None:
    fleet, calls = cases.filtered(1 << 16)
    assert {len(fleet.filters[f]) for f in fleet.filter_of_vm} == {100}
    assert fleet.n_vm == np.unique(fleet.filter_of_vm).size == 256
    unknown = calls.func_id[~np.isin(calls.func_id, KNOWN)]
    assert inputs.n_unnamed(calls) == unknown.size == pytest.approx(0.02 * len(calls), rel=0.1)
    is_near = np.isin(unknown[:, None] ^ (np.uint32(1) << np.arange(32, dtype=np.uint32)), KNOWN).any(axis=1)
    assert np.count_nonzero(is_near) == pytest.approx(unknown.size / 2, rel=0.1)
    assert inputs.n_unnamed(inputs.named_only(calls, seed=1)) == 0
    assert np.array_equal(calls.func_id, cases.filtered(1 << 16)[1].func_id)
    for n_policy in (1, 16, 1000):
        words = inputs.policy_words(inputs.fleet_of_policies(1024, n_policy=n_policy))
        assert len(np.unique(words, axis=0)) == n_policy
    assert (np.diff(inputs.random_calls(1000, 64, seed=1, grouped=True).vcpu.astype(int)) >= 0).all()


KINDS_OF_CASE = (list(cases.CASES), list(simulate.SIMULATIONS), list(payloads.PAYLOADS), [side_by_side.BATCH])
soaked = pytest.mark.soak("its own figure; make test draws that of one case of each kind, and runs all")


@needs_cc
@pytest.mark.parametrize(
    ("name", "is_drawn"),
    [
        *(pytest.param(name, number == 0, id=name) for kind in KINDS_OF_CASE for number, name in enumerate(kind)),
        *(pytest.param(name, True, id=f"{name}-drawn", marks=soaked) for kind in KINDS_OF_CASE for name in kind[1:]),
    ],
)
def test_a_quick_run_of_one_case(name: str, is_drawn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_drawn:
        monkeypatch.setattr(side_by_side, "to_svg", lambda figure, name: "<svg></svg>")
        monkeypatch.setattr(side_by_side, "to_png", lambda figure: b"\x89PNG")
    env, measured = side_by_side.run([name], sizes={"4K": 4096}, budget_s=0.0, n_batch=40)
    side_by_side.write(tmp_path, env, measured)
    content = compare.load(tmp_path / "latest.json")
    assert list(content) == ["schema", "environment", "cases"]
    full = f"{name}-4K" if name in cases.CASES else name
    left_out = content["environment"].get("left_out", {})
    assert (full in content["cases"]) != (full in left_out)
    text = (tmp_path / "latest.md").read_text()
    assert f"`{full}`" in text
    assert {path.name for path in tmp_path.iterdir()} == {f"latest.{end}" for end in ("json", "md", "svg", "png")}
    for case in content["cases"].values():
        assert case["ns_per_call"] > 0
        assert case["spread"] >= 0
        assert case.get("core_slowdown", 1.0) >= 1
        assert all(case[key] is None or case[key] > 0 for key in outcome.REQUIRED[1:4])


@needs_cc
def test_full_answers_and_threads_are_cases_like_any() -> None:
    env, measured = side_by_side.run(["answers", "threads-2"], sizes={"1K": 1024}, budget_s=0.0)
    assert measured["answers-1K"]["stream"].endswith("->32")
    assert "left_out" in env or measured["threads-2-1K"]["vs_one_thread"] > 0


def test_a_case_is_measured_again_when_the_core_was_slow_and_the_faster_core_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def case(spin: float, ns: float) -> dict[str, Any]:
        return {"ns": {"spin": spin}, "spin_best_ns": min(spin, 1.0), "ns_per_call": ns}

    measured = {"quiet": case(1.05, 5.0), "loud": case(1.3, 5.0), "louder": case(1.6, 5.0)}
    second = {"loud": case(1.4, 1.0), "louder": case(1.1, 9.0)}
    order: list[str] = []
    monkeypatch.setattr(side_by_side, "_measured", lambda name, *_: (order.append(name), second[name])[1])
    side_by_side._repeat_loud(measured, dict.fromkeys(measured, lambda: pytest.fail("built")), budget_s=60)
    assert order == ["louder", "loud"]
    assert list(measured) == ["quiet", "loud", "louder"]
    assert [(c["ns_per_call"], c.get("n_run")) for c in measured.values()] == [(5.0, None), (5.0, 2), (9.0, 2)]
    assert [c["core_slowdown"] for c in measured.values()] == pytest.approx([1.05, 1.3, 1.1])


def test_a_rival_that_finds_other_waiting_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(simulate.N_AGREE, "simpy", 20_000)
    monkeypatch.setattr(queue_rivals, "simpy_mm1", lambda n, seed: queue_rivals.Found(13.0, 0.1, n))
    with pytest.raises(AssertionError, match=r"simpy says calls wait 13 \+- 0.1 us, we say 11\.\d+ \+- "):
        simulate.mm1(4096)


@needs_cc
def test_the_parts_of_a_batch_add_up() -> None:
    case = latency.measure(16, ordered=True, n_batch=200, n_rotated=1024)
    assert case["p50_ns"] <= case["p99_ns"] <= case["p99.9_ns"] <= case["max_ns"]
    parts = case["python_ns"] + case["call_ns"] + case["kernel_ns"]
    assert parts == pytest.approx(case["p50_ns"])
    assert case["ns_per_call"] == case["p50_ns"] / 16


@needs_cc
def test_contestants_who_disagree_are_not_timed(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(Plain, "table", lambda self, calls, out: out.fill(6))
    monkeypatch.setattr(side_by_side, "run", lambda *_, **__: cases.mixed_known(100))
    assert side_by_side.main(["--out", str(tmp_path)]) == 1
    assert "numpy says 6 of call" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_environment_names_no_host_and_no_path() -> None:
    text = json.dumps(outcome.environment())
    assert not re.search(r"(?<![\d.])/(?!\d)", text.replace(" -", ""))
    assert not re.search(rf"\b{re.escape(platform.node())}\b", text)


def test_every_number_of_the_issue_names_a_case() -> None:
    names = {name for target in targets.TARGETS for name in target.names(dict.fromkeys(TARGET_CASES))}
    assert {name.removesuffix("-2M").removesuffix("-64M") for name in names} == {
        *(set(cases.CASES) - cases.NOT_ASKED), *simulate.SIMULATIONS, *payloads.PAYLOADS, side_by_side.BATCH,
        "latency-1",
    }  # fmt: skip
    (known,) = [t for t in targets.TARGETS if t.case == "mixed-known" and t.key == "vs_c_kernel_style"]
    assert known.names(dict.fromkeys(TARGET_CASES)) == [
        n for n in dict.fromkeys(TARGET_CASES) if n in ("mixed-known-2M", "mixed-known-64M")
    ]
    assert known.reached(20.5, 20)
    assert not known.reached(20.5, 30)


def test_contestants_take_turns() -> None:
    seen: list[str] = []
    both = {name: timing.Contestant(lambda name=name: seen.append(name), 1) for name in "ab"}  # type: ignore[misc]
    ticks = iter(range(0, 1 << 40, 20_000_000))
    times = timing.interleave(both, budget_s=0.0, least=30, clock=lambda: next(ticks))
    assert all(of_one.tolist() == [20_000_000] * 30 for of_one in times.values())
    rounds = ["".join(seen[i : i + 2]) for i in range(2, len(seen), 2)]
    assert {"ab", "ba"} == set(rounds)
    assert timing.spread(np.array([1.0, 2.0, 3.0])) == 0.5


def test_a_sample_does_not_depend_on_who_came_before_it() -> None:
    """Contestants whose first three runs after another's take twice as long, as where it leaves cold caches."""
    now, before = 0, [""]

    def run(name: str, warm_ns: int) -> None:
        nonlocal now
        before[:] = [*before[-3:], name]
        now += warm_ns if before == [name] * 4 else 2 * warm_ns

    costs = {"ours": 500_000, "other": 500_000, "slower": 1_000_000, "long": 30_000_000}
    all_four = {name: timing.Contestant(partial(run, name, ns), 1000) for name, ns in costs.items()}
    times = timing.interleave(all_four, budget_s=0.0, least=10, clock=lambda: now)
    assert {name: set(times[name].tolist()) for name in ("ours", "other", "slower")} == {
        "ours": {500.0}, "other": {500.0}, "slower": {1000.0},
    }  # fmt: skip
    assert timing.ratio(times, "other") == 1


def result(folder: Path, name: str, *, vs_c: float | None, ns: float = 1.0, **env: Any) -> str:
    """A hand-made result of one case."""
    case = {"ns_per_call": ns, "of_stream": None, "vs_c_kernel_style": vs_c, "vs_numpy": 3.0, "spread": 0.1}
    content = {"schema": 1, "environment": {"cpu": "one", "n_core": 2} | env, "cases": {"trace-2M": case}}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_compare_goes_by_the_ratio_of_each_run(tmp_path: Path, capsys: Any) -> None:
    fast = result(tmp_path, "fast", vs_c=10.0)
    slow = result(tmp_path, "slow", vs_c=8.0)
    assert compare.main([fast, slow]) == 0
    assert "1.25x" in capsys.readouterr().out
    assert compare.main([fast, slow, "--fail-if", "20%"]) == 4
    captured = capsys.readouterr()
    assert "slower by more than 20 %" in captured.out
    assert "trace-2M" in captured.err
    assert compare.main([fast, slow, "--fail-if", "30"]) == 0
    assert compare.main([slow, fast, "--fail-if", "0"]) == 0
    assert compare.main([fast, slow, "--fail-if", "20%", "--by", "ns"]) == 0


def test_compare_says_when_the_machines_differ(tmp_path: Path, capsys: Any) -> None:
    one = result(tmp_path, "one", vs_c=10.0)
    other = result(tmp_path, "other", vs_c=10.0, ns=3.0, cpu="two", numba="9.9")
    assert compare.main([one, other, "--fail-if", "5"]) == 0
    out = capsys.readouterr().out
    assert "The machines differ (cpu: one and two)" in out
    assert "numba: None and 9.9" in out
    assert compare.main([one, other, "--fail-if", "5", "--by", "ns"]) == 4


def test_compare_of_a_case_without_baselines(tmp_path: Path, capsys: Any) -> None:
    before, after = result(tmp_path, "a", vs_c=None), result(tmp_path, "b", vs_c=None, ns=2.0)
    assert compare.main([before, after, "--fail-if", "50"]) == 4  # nanoseconds, as the machine is the same
    elsewhere = result(tmp_path, "c", vs_c=None, ns=2.0, cpu="two")
    capsys.readouterr()
    assert compare.main([before, elsewhere, "--fail-if", "50"]) == 0
    assert "nothing that both runs have" in capsys.readouterr().out


def test_compare_names_cases_that_one_run_lacks(tmp_path: Path, capsys: Any) -> None:
    a = Path(result(tmp_path, "a", vs_c=1.0))
    b = tmp_path / "b.json"
    b.write_text(a.read_text().replace("trace-2M", "counted-2M"))
    assert compare.main([str(a), str(b)]) == 0
    assert "only in A: trace-2M\nonly in B: counted-2M" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "schema None"),
        ('{"schema": 2}', "schema 2, this version reads 1"),
        ('{"schema": 1, "cases": {}}', "no environment"),
        ('{"schema": 1, "environment": {}, "cases": {"x": {"spread": 1}}}', "case x lacks ns_per_call"),
    ],
)
def test_compare_refuses_what_is_no_result(text: str, reason: str, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    assert compare.main([str(path), str(path)]) == 3
    assert reason in capsys.readouterr().err
    assert compare.main([str(tmp_path / "none.json"), str(path)]) == 3


def test_compare_says_where_the_core_was_slowed(tmp_path: Path, capsys: Any) -> None:
    a, b = (Path(result(tmp_path, name, vs_c=1.0)) for name in "ab")
    b.write_text(b.read_text().replace('"spread"', '"core_slowdown": 1.6, "spread"'))
    assert compare.main([str(a), str(b)]) == 0
    assert "slowed 1.00x in A, 1.60x in B" in capsys.readouterr().out
