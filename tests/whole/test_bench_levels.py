"""Levels of the harness: which a CPU has, C with their instructions, results merged, what the README says of them."""

from __future__ import annotations

import platform
import shutil
import sys
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import compare, inputs, latency, levels, merge, outcome, readme, side_by_side, targets, vector
from bench.baseline import Baseline
from bench.levels import LEVELS
from bench.rows import KNOWN, Rows, rows_of
from bench.vector import Vector
from fastsmc.calls.grouped import GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher import batch as dispatcher
from tests.support.places import ROOT

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
ZEN4 = frozenset(LEVELS[0].needs) | {"avx512bf16", "sse2"}
RUNNABLE = [level for level in LEVELS if levels.features().issuperset(level.needs)]
MARCHES = ["native", *(level.march for level in RUNNABLE if levels.is_x86(platform.machine()))]


@pytest.mark.parametrize(
    ("machine", "has", "own", "below"),
    [
        ("x86_64", ZEN4, "avx512-vbmi2", ["avx512", "avx2", "generic"]),
        ("AMD64", ZEN4 - {"avx512vbmi2"}, "avx512", ["avx2", "generic"]),
        ("x86_64", ZEN4 - {"avx512f"}, "avx2", ["generic"]),
        ("x86_64", frozenset({"sse2", "avx", "avx2"}), "generic", []),
        ("x86_64", frozenset(), "generic", []),
        ("aarch64", frozenset({"neon", "sve"}), "neon", []),
        ("arm64", frozenset({"neon"}), "neon", []),
        ("riscv64", frozenset(), "", []),
    ],
)
def test_a_cpu_has_its_own_level_and_those_below_it(
    machine: str, has: frozenset[str], own: str, below: list[str]
) -> None:
    assert levels.own_name(machine, has) == own
    assert [level.name for level in levels.below(machine, has)] == below


def test_whoever_names_a_cpu_measures_that_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(levels, "features", lambda: ZEN4)
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    assert [level.name for level in levels.to_run()] == ["", "avx512", "avx2", "generic"]
    monkeypatch.setenv("NUMBA_CPU_NAME", "haswell")
    assert levels.to_run() == (levels.NATIVE,)
    monkeypatch.setenv("BENCH_LEVEL", "avx2")
    assert [level.name for level in levels.to_run()] == ["avx2"]
    monkeypatch.setenv("BENCH_LEVEL", "sse9")
    with pytest.raises(RuntimeError, match="'sse9': no such level; there are avx512-vbmi2, avx512, avx2, generic"):
        levels.to_run()


def test_a_level_tells_numba_its_cpu_and_no_feature_more() -> None:
    assert levels.NATIVE.environment() == {}
    assert {name: level.environment() for level in LEVELS if (name := level.name) == "avx2"} == {
        "avx2": {"BENCH_LEVEL": "avx2", "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}
    }


U8 = NDArray[np.uint8]
N_CALL = (1 << 17) - 5
"""No multiple of what any register holds."""


@cache
def called(case: str) -> tuple[Calls, Rows, U8]:
    """Calls, the tables of their fleet, and the verdicts that ours and C by table agree on."""
    if case == "filter":
        fleet = inputs.fleet_of_policies(32, series=inputs.WITH_FILTER, seed=3)
        inputs.install_ranges(fleet, 100)
        calls = inputs.random_calls(N_CALL, 32, seed=3, unknown_share=0.02)
    elif case == "known":
        fleet, calls = inputs.fleet_of_policies(1024), inputs.random_calls(N_CALL, 1024, seed=1, unknown_share=0.3)
    else:
        fleet = inputs.fleet_of_policies(20_000, n_policy=50, n_vcpu=4, seed=6)
        calls = inputs.random_calls(N_CALL, fleet.n_vcpu, seed=6, unknown_share=0.01)
    expected, rows = dispatcher.verdicts(fleet, calls), rows_of(fleet)
    table = np.empty(N_CALL, np.uint8)
    Baseline(fleet, rows).table(calls, table)
    assert np.array_equal(table, expected)
    return calls, rows, expected


@needs_cc
@pytest.mark.parametrize("march", MARCHES)
@pytest.mark.parametrize("case", ["known", "filter", "many vCPUs"])
def test_c_with_vector_instructions_gives_our_verdicts(march: str, case: str) -> None:
    calls, rows, expected = called(case)
    found = Vector(rows, march)
    widths = [calls, Calls(calls.vcpu.astype(np.uint32), calls.func_id), GroupedCalls.from_calls(calls)]
    for shape in widths:
        ways = found.ways(shape)
        assert ways[0] == "single"
        assert march == "native" or ("loads" in ways) == (march != "x86-64")
        for way in ways:
            out = np.full(N_CALL + 64, 255, np.uint8)
            found.run(way, shape, out[:N_CALL])
            assert np.array_equal(out[:N_CALL], expected), way
            assert (out[N_CALL:] == 255).all(), way
        assert found.fastest(shape, out[:N_CALL]) in ways


@needs_cc
@pytest.mark.parametrize("march", MARCHES)
def test_c_with_vector_instructions_knows_an_id_that_differs_in_one_byte_of_the_product(march: str) -> None:
    """It compares products byte by byte: so all ids are tried that differ from a named one in any one of them."""
    product = KNOWN.astype(np.uint64) * vector.multiplier()
    flips = np.concatenate([np.arange(256, dtype=np.uint64) << np.uint64(shift) for shift in (0, 8, 16, 24)])
    func_id = ((product[:, None] ^ flips) * pow(vector.multiplier(), -1, 1 << 32)).astype(np.uint32).reshape(-1)
    assert np.isin(KNOWN, func_id).all()
    fleet = inputs.fleet_of_policies(16, seed=2)
    calls = Calls(np.arange(func_id.size, dtype=np.uint16) % 16, func_id)
    expected, found = dispatcher.verdicts(fleet, calls), Vector(rows_of(fleet), march)
    for shape in (calls, GroupedCalls.from_calls(calls)):
        for way in found.ways(shape):
            out = np.full(func_id.size, 255, np.uint8)
            found.run(way, shape, out)
            assert np.array_equal(out, expected), way


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure is drawn: tests/whole/test_bench.py draws some."""
    monkeypatch.setattr(side_by_side, "to_svg", lambda figure, name: "<svg></svg>")
    monkeypatch.setattr(side_by_side, "to_png", lambda figure: b"\x89PNG")


def result(*names: str, level: str = "", **more: Any) -> merge.Result:
    """An environment and cases by name."""
    env = {"level": level, "numba_cpu_name": "", "cc_command": f"cc {level}", "back_end": level or "own"}
    return env | more, {name: {"ns_per_call": 1.0} for name in names}


def test_results_of_levels_become_one() -> None:
    others = {
        "avx2": result("trace@avx2-2M", level="avx2", numba_cpu_name="haswell", left_out={"x@avx2-2M": "why"}),
        "generic": result("trace@generic-2M", level="generic"),
    }
    env, measured = merge.merged_levels(result("trace-2M", left_out={"y": "because"}), others)
    assert list(measured) == ["trace-2M", "trace@avx2-2M", "trace@generic-2M"]
    assert (env["level"], env["back_end"]) == ("", "own")
    assert env["levels"] == {
        "avx2": {"numba_cpu_name": "haswell", "cc_command": "cc avx2", "back_end": "avx2"},
        "generic": {"numba_cpu_name": "", "cc_command": "cc generic", "back_end": "generic"},
    }
    assert env["left_out"] == {"y": "because", "x@avx2-2M": "why"}
    with pytest.raises(RuntimeError, match="level avx2 has trace-2M, which another level has too"):
        merge.merged_levels(result("trace-2M"), {"avx2": result("trace-2M", level="avx2")})


def test_what_levels_measure_is_what_is_asked_of_them() -> None:
    sizes = {"2M": 2, "64M": 64}
    avx2 = set(side_by_side._on_level("avx2", [], sizes))
    assert avx2 == {
        *(f"{name}@avx2-2M" for name in ("mixed-known", "mixed-filter", "grouped-known", "trace")),
        "mixed-known@avx2-64M", "mixed-filter@avx2-64M",
    }  # fmt: skip
    assert set(side_by_side._on_level("generic", ["trace"], sizes)) == {"trace@generic-2M"}
    every = dict.fromkeys([*avx2, *side_by_side._on_level("generic", [], sizes), "mixed-known-2M"])
    asked = {(name, t.key) for t in targets.TARGETS for name in t.names(every)}
    assert {name for name, key in asked if key == "vs_c_vector"} == set(every)
    assert {name for name, key in asked if key == "vs_c_table"} >= {"mixed-filter@avx2-64M", "trace@generic-2M"}


@needs_cc
@pytest.mark.skipif(not levels.is_x86(platform.machine()), reason="other machines have one level")
def test_a_level_is_measured_by_a_process_of_its_own(tmp_path: Path, undrawn: None) -> None:
    level = LEVELS[-1]
    env, measured = merge.measured_on(level, ["--case=trace", "--quick"])
    assert list(measured) == ["trace@generic-128K"]
    case = measured["trace@generic-128K"]
    assert {"vs_c_vector", "vs_c_table", "vs_c_kernel_style", "of_stream"} <= case.keys()
    assert case["vs_numpy"] is None
    assert case["notes"] == {"c_vector": "single"}
    assert (env["level"], env["numba_cpu_name"]) == ("generic", "generic")
    assert "-march=x86-64 " in env["cc_command"]
    env, together = merge.merged_levels(({"cpu": "x"} | env | {"level": ""}, {}), {"generic": (env, measured)})
    side_by_side.write(tmp_path, env, together)
    assert compare.load(tmp_path / "latest.json")["cases"].keys() == measured.keys()
    page = (tmp_path / "latest.md").read_text()
    assert "`trace@generic-128K`: vs_c_vector" in page
    assert "`@generic` is `NUMBA_CPU_NAME=generic` (scalar) beside `cc -O3 -march=x86-64 -shared -fPIC`" in page
    with pytest.raises(RuntimeError, match="level generic: its process ended with 2"):
        merge.measured_on(level, ["--case=none"])


def test_a_full_run_has_a_file_of_its_kind_of_machine_besides(tmp_path: Path, undrawn: None) -> None:
    content = compare.load(ROOT / "reports" / "bench" / "latest.json")
    env = content["environment"] | {"cpu_vendor": "intel", "cpu_family_model": "6/106/6", "cpu_level": "avx512"}
    side_by_side.write(tmp_path, env, content["cases"], is_full=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"latest.{ending}" for ending in ("json", "md", "svg", "png")), "intel-6-106-avx512.json",
    }  # fmt: skip
    assert (tmp_path / "intel-6-106-avx512.json").read_bytes() == (tmp_path / "latest.json").read_bytes()


@pytest.mark.parametrize(
    ("env", "kind"),
    [
        ({"cpu": "AMD EPYC", "cpu_family_model": "25/17/1"}, "amd-25-17"),
        ({"cpu": "Neoverse-N1", "cpu_vendor": "arm64", "cpu_family_model": "0x41/0xd0c", "cpu_level": "neon"},
         "arm64-0x41-0xd0c-neon"),
        ({"cpu_vendor": "intel", "cpu_family_model": "6/106/6", "cpu_level": "avx512", "numba_cpu_name": "haswell",
          "level": ""}, "intel-6-106-avx512-as-haswell"),
        ({"cpu": "../x", "cpu_family_model": "/"}, "x"),
    ],
)  # fmt: skip
def test_kinds_of_machines(env: dict[str, Any], kind: str) -> None:
    assert outcome.kind(env) == kind


def test_every_committed_result_is_of_the_kind_its_name_says() -> None:
    folder = ROOT / "reports" / "bench"
    kinds = [path for path in folder.glob("*.json") if path.name != "latest.json"]
    assert kinds
    for path in kinds:
        assert path.stem.startswith(outcome.kind(compare.load(path)["environment"]))
    assert (folder / "latest.json").read_bytes() in [path.read_bytes() for path in kinds]


def test_the_readme_has_the_committed_speeds() -> None:
    content = compare.load(readme.RESULT)
    page = readme.PAGE.read_text("utf-8")
    assert readme.with_table(page, readme.table(content["environment"], content["cases"])) == page


def test_speeds_stand_beside_each_other_by_level() -> None:
    env = {"cpu": "C", "cpu_family_model": "1", "date_utc": "2026-01-02T03:04:05Z", "cpu_level": "avx512-vbmi2"}
    measured = {
        "trace-2M": {"vs_c_kernel_style": 20.123, "vs_c_table": 3.0, "vs_c_vector": 1.5},
        "trace@avx2-2M": {"vs_c_kernel_style": 4.0, "vs_c_table": None},
        "trace@generic-2M": {"vs_c_kernel_style": 0.5, "vs_c_table": 1.0, "vs_c_vector": 1.0},
    }
    made = readme.table(env, measured).splitlines()
    assert "| calls | AVX-512 | AVX2 | x86-64 baseline |" in made
    assert made[-1].endswith("| 20.1 / 3 / 1.5 | 4 / - / - | 0.5 / 1 / 1 |")
    assert made[-2].endswith("| - | - | - |")
    assert "| calls | NEON |" in readme.table(env | {"cpu_level": "neon"}, measured)
    with pytest.raises(ValueError, match="the page has no lines"):
        readme.with_table("a page", "a table")


def test_the_back_end_is_named_by_the_kernels_where_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastsmc.jit.level", SimpleNamespace(BACK_END="avx2"))
    assert outcome.environment()["back_end"] == "avx2"
    monkeypatch.setitem(sys.modules, "fastsmc.jit.level", None)
    for has_wide, name in ((True, "avx512-vbmi2"), (False, "scalar")):
        monkeypatch.setattr(outcome.compiled, "HAS_WIDE", has_wide, raising=False)
        assert outcome.back_end() == name


class Prepared:
    """What a fleet prepares, in the form that the harness expects."""

    def __init__(self, fleet: Any, *, is_wrong: bool) -> None:
        self.fleet, self.is_wrong = fleet, is_wrong

    def verdicts(self, calls: Calls, out: U8 | None = None) -> U8:
        found = dispatcher.verdicts(self.fleet, calls, out)
        if self.is_wrong:
            found[-1] ^= 1
        return found


@needs_cc
def test_a_prepared_dispatcher_is_timed_beside_the_public_call(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"ordered": True, "n_batch": 60, "n_rotated": 1024}
    monkeypatch.setattr(latency, "prepared_by", lambda fleet: None)
    assert "vs_public" not in latency.measure(16, **given)  # type: ignore[arg-type]
    monkeypatch.setattr(latency, "prepared_by", partial(Prepared, is_wrong=False))
    case = latency.measure(16, **given)  # type: ignore[arg-type]
    assert case["prepared_p50_ns"] > 0
    assert case["prepared_out_p50_ns"] > 0
    assert case["vs_public"] > 0
    monkeypatch.setattr(latency, "prepared_by", partial(Prepared, is_wrong=True))
    with pytest.raises(AssertionError, match="prepared says"):
        latency.measure(16, **given)  # type: ignore[arg-type]
