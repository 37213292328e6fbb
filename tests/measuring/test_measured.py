"""`bench`: what its cases do, and what becomes of their times. No time is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.latency import Simulation
from fastsmc.measuring import cases
from fastsmc.measuring.measured import LEAST_ROUNDS, Measured
from tests.support.command import fastsmc

FEW = ["verdicts", "verdicts-grouped"]


@pytest.fixture(scope="module")
def measured() -> Measured:
    return smc.bench(seconds=0.01, only=FEW)


def test_each_case_handles_the_calls_that_its_time_is_divided_by() -> None:
    found = cases.cases()
    assert {len(np.asarray(found[name].run())) for name in FEW} == {found["verdicts"].n_call}
    assert np.array_equal(found["counted"].run().verdict, found["verdicts"].run())  # type: ignore[attr-defined]
    assert found["answers"].run().shape == (found["answers"].n_call, 4)  # type: ignore[attr-defined]
    simulation = found["simulate"].run()
    assert isinstance(simulation, Simulation)
    warmup = simulation.scenario.n_vcpu * simulation.scenario.warmup
    assert simulation.n_call + warmup == found["simulate"].n_call


def test_the_filter_denies_unknown_ids_and_bitmaps_differ() -> None:
    found = cases.cases()
    known, filtered = np.asarray(found["verdicts"].run()).copy(), np.asarray(found["verdicts-filter"].run())
    assert len(np.unique(known)) >= 4
    assert np.mean(filtered == smc.Verdict.DENIED) > np.mean(known == smc.Verdict.DENIED)


def test_a_figure_is_the_median_of_its_rounds(measured: Measured) -> None:
    for case in measured.cases:
        assert len(case.rounds_ns) >= LEAST_ROUNDS
        assert case.call_ns.value == pytest.approx(sorted(case.rounds_ns)[len(case.rounds_ns) // 2], rel=0.5)
        assert case.call_ns.low <= case.call_ns.value <= case.call_ns.high  # type: ignore[operator]
    assert measured.table["case"].tolist() == FEW
    assert str(measured).splitlines()[0] == measured.answer


def test_compare_reads_what_is_saved(measured: Measured, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(measured.file_text(), encoding="utf-8")
    found = smc.compare(tmp_path / "a.json", tmp_path / "b.json")
    assert found.kind == "benchmark"
    assert {row.of: row.base for row in found} == {
        case.name: pytest.approx(float(np.median(case.rounds_ns))) for case in measured.cases
    }
    assert found.counts == {"same": len(FEW)}


def test_the_command_saves_and_refuses(tmp_path: Path) -> None:
    done = fastsmc("bench", "--seconds", "0.01", "--only", "verdicts", "--json", "-o", tmp_path / "b.json")
    assert (done.returncode, done.stderr) == (0, f"wrote {tmp_path / 'b.json'}\n")
    assert json.loads(done.stdout) == json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert fastsmc("bench", "--only", "verdict").returncode == 2
    assert fastsmc("bench", "--seconds", "0").returncode == 2


def test_nothing_names_this_machine_but_its_kind(measured: Measured) -> None:
    assert set(measured.environment) == {
        *("cpu", "n_core", "os", "python", "numpy", "numba", "fastsmc", "date_utc", "load_before"),
    }
