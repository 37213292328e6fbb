"""Sweeps against simulations that are asked one at a time, in whichever way the cells are computed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.latency import Times
from fastsmc.results.export import to_csv
from fastsmc.results.histogram import Histogram
from fastsmc.sweeping.cube import STATES
from fastsmc.sweeping.measures import NAMES
from fastsmc.sweeping.result import Sweep
from tests.support.sweeps import OVER, TABLE, simulated

UNSTABLE: dict[str, Any] = TABLE | {
    "workloads": {"w": {"kind": "open", "arrivals": {"law": "poisson", "rate_hz": 100}, "mix": {"TRNG_RND64": 1.0}}}
}
RATES = {"workloads.w.arrivals.rate_hz": [100, 1e9, 200]}
"""The second has no steady state, which only the simulation finds."""


@pytest.fixture(scope="module")
def done() -> Iterator[Sweep]:
    with smc.sweep(TABLE, over=OVER, repeats=3, measure=[*NAMES, "web.calls"], run_on=1) as sweep:
        yield sweep


def cells() -> Iterator[tuple[int, str, int]]:
    yield from ((vcpus, lock, repeat) for vcpus in (1, 2, 3) for lock in ("vm", "none") for repeat in range(3))


def test_each_cell_is_what_simulate_finds(done: Sweep) -> None:
    data = done.dataset
    assert data.response_p99_ns.dims == ("vms[0].vcpus", "vms[0].vmm.lock", "repeat")
    for vcpus, lock, repeat in cells():
        one = data.sel({"vms[0].vcpus": vcpus, "vms[0].vmm.lock": lock, "repeat": repeat})
        expected = simulated(vcpus, lock, int(data.seed[repeat]))
        group, told = expected.groups[0], expected.as_dict()["fleet"]
        assert int(one.state) == STATES["done"]
        assert float(one.calls) == float(one["web.calls"]) == expected.n_call == 5 * vcpus
        assert float(one.forwarded) == group.forwarded.sum()
        assert float(one.throughput_hz) == told["throughput_hz"]
        for time in ("response", "waiting", "service"):
            for word, value in told[f"{time}_ns"].items():
                assert float(one[f"{time}_{word}_ns"]) == value, (time, word)
        for name in ("utilisation", "queue_length"):
            values = getattr(group, name)
            found = [float(one[f"{name}_{word}"]) for word in ("mean", "least", "most")]
            assert found == [values.mean(), values.min(), values.max()]


def test_quantiles_are_read_from_merged_histograms(done: Sweep) -> None:
    seeds = done.dataset.seed.values.tolist()
    for time in ("response", "waiting", "service"):
        over_repeats = done.quantile(0.9, time=time)
        over_locks = done.quantile(0.5, over=["repeat", "vms[0].vmm.lock"], time=time, group="")
        for vcpus in (1, 2, 3):
            parts = {lock: [simulated(vcpus, lock, seed).times for seed in seeds] for lock in ("vm", "none")}
            for lock, times in parts.items():
                merged: Histogram = getattr(Times.merged(times), time)
                value = over_repeats.sel({"vms[0].vcpus": vcpus, "vms[0].vmm.lock": lock})
                assert float(value) == merged.quantile(0.9)
                found = done.histogram(time=time, where={"vms[0].vcpus": vcpus, "vms[0].vmm.lock": lock})
                assert np.array_equal(found.counts, merged.counts)
            merged = getattr(Times.merged([*parts["vm"], *parts["none"]]), time)
            assert float(over_locks.sel({"vms[0].vcpus": vcpus})) == merged.quantile(0.5)


def test_random_numbers_are_in_common(done: Sweep) -> None:
    """A design that changes nothing about arrivals has the same services, call by call, at the same repeat."""
    service = done.dataset.service_mean_ns
    assert (service.sel({"vms[0].vmm.lock": "vm"}) == service.sel({"vms[0].vmm.lock": "none"})).all()
    assert len(set(service.values[2, 0].tolist())) > 1


def test_a_pool_finds_the_same_bytes(done: Sweep, tmp_path: Path) -> None:
    to = tmp_path / "j.db"
    with smc.sweep(TABLE, over=OVER, repeats=3, measure=[*NAMES, "web.calls"], run_on=2, to=to) as pooled:
        assert pooled.to_json() == done.to_json()
        pooled.to_netcdf(tmp_path / "pooled.nc")
        done.to_netcdf(tmp_path / "here.nc")
        assert (tmp_path / "pooled.nc").read_bytes() == (tmp_path / "here.nc").read_bytes()
    with smc.open_sweep(to) as opened:
        assert opened.to_json() == done.to_json()


def test_netcdf_is_read_back_by_xarray(done: Sweep, tmp_path: Path) -> None:
    import xarray

    done.to_netcdf(tmp_path / "a.nc")
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as found:
        assert found.equals(done.dataset)
        assert found.attrs == done.dataset.attrs
        assert found.response_mean_ns.attrs == {"kind": "modelled", "units": "ns"}


def test_the_table_has_a_row_per_cell(done: Sweep) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(done.table()))))
    told = done.as_dict()["results"]
    assert len(rows) == len(told) == 18
    for row, one in zip(rows, told, strict=True):
        assert {name: row[name] for name in one["at"]} == {name: str(value) for name, value in one["at"].items()}
        assert float(row["response_p99_ns"]) == one["response_p99_ns"]


def test_a_cell_that_fails_is_kept_and_the_others_are_done(tmp_path: Path) -> None:
    with smc.sweep(UNSTABLE, over=RATES, repeats=2, to=tmp_path / "j.db", run_on=1) as found:
        assert (found.done, len(found.failed), found.left, found.computed, found.reused) == (4, 2, 0, 6, 0)
        assert [cell.coordinates for cell in found.failed] == [
            {"workloads.w.arrivals.rate_hz": 1e9, "repeat": repeat} for repeat in range(2)
        ]
        assert "there is no steady state" in found.failed[0].error
        assert found.failed[1].seed == found.dataset.seed[1]
        assert found.dataset.state.values.tolist() == [[1, 1], [2, 2], [1, 1]]
        assert np.isnan(found.dataset.calls.values[1]).all()
        assert np.isnan(found.quantile(0.5).values).tolist() == [False, True, False]
        text = found.to_json()
        again = found.resume(run_on=1)
    with again:
        assert (again.computed, again.reused) == (2, 4)
        assert again.to_json() == text


def test_on_error_raise_ends_with_the_first_and_the_journal_goes_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rate_hz=1000000000.0, repeat=0: .*no steady state"):
        smc.sweep(UNSTABLE, over=RATES, to=tmp_path / "j.db", run_on=1, on_error="raise")
    with smc.open_sweep(tmp_path / "j.db") as found:
        assert (found.done, len(found.failed), found.left) == (1, 1, 1)
    with smc.sweep(UNSTABLE, over=RATES, to=tmp_path / "j.db", run_on=1) as found:
        assert (found.done, len(found.failed), found.left, found.reused) == (2, 1, 0, 1)


def test_a_sweep_that_was_stopped_goes_on_to_the_same_bytes(tmp_path: Path, done: Sweep) -> None:
    measure = [*NAMES, "web.calls"]

    def stop(_step: str, n_done: int, _total: int) -> None:
        if n_done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        smc.sweep(TABLE, over=OVER, repeats=3, measure=measure, to=tmp_path / "j.db", run_on=1, progress=stop)
    with smc.open_sweep(tmp_path / "j.db") as found:
        assert (found.done, found.left) == (7, 11)
        assert (found.dataset.state.values == STATES["left"]).sum() == 11
    with smc.open_sweep(tmp_path / "j.db").resume(run_on=1) as again:
        assert (again.reused, again.computed) == (7, 11)
        assert again.to_json() == done.to_json()


def test_points_that_where_leaves_out_are_no_cells() -> None:
    with smc.sweep(TABLE, over=OVER, where="vms[0].vcpus > 1 or vms[0].vmm.lock == 'vm'", run_on=1) as found:
        assert found.dataset.state.values[:, :, 0].tolist() == [[1, 3], [1, 1], [1, 1]]
        assert (found.done, found.left, found.as_dict()["cells"]) == (5, 0, 5)


def test_progress_is_told_per_cell() -> None:
    told: list[tuple[str, int, int]] = []
    smc.sweep(TABLE, over={"calls": [1, 2]}, run_on=1, progress=lambda *step: told.append(step)).close()
    assert told == [("scenario", 0, 2), ("calls=1, repeat=0", 1, 2), ("calls=2, repeat=0", 2, 2)]


def test_a_cell_without_the_group_of_a_measure_fails() -> None:
    over = {"vms[0].name": ["web", "store"]}
    with smc.sweep(TABLE, over=over, measure=["web.calls"], run_on=1) as found:
        assert found.done == 1
        assert found.failed[0].error == "the group of a measure is 'web': it must be one of store"


def test_a_bug_in_a_cell_costs_that_cell_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsmc.sweeping import scenarios

    def simulate(scenario: smc.Scenario) -> Any:
        if scenario.calls == 2:
            raise ZeroDivisionError("a bug")
        if scenario.calls == 3:
            raise MemoryError
        return smc.simulate(scenario)

    monkeypatch.setattr(scenarios, "simulate", simulate)
    with smc.sweep(TABLE, over={"calls": [1, 2, 3, 4]}, run_on=1) as found:
        assert found.done == 2
        assert [one.error for one in found.failed] == [
            "internal error: ZeroDivisionError: 'a bug'",
            "not enough memory: ask for less",
        ]


def test_what_a_sweep_says_is_short_and_readable(done: Sweep) -> None:
    assert repr(done) == "<Sweep of scenario: 18 cells, 18 done, 0 failed, 0 left (modelled)>"
    lines = str(done).replace("\n  ", " ").splitlines()  # a long line is folded
    assert (
        lines[0]
        == done.answer
        == (
            "18 of 18 cells are done; calls goes from 5 at vms[0].vcpus=1, vms[0].vmm.lock=vm, repeat=0"
            " to 15 at vms[0].vcpus=3, vms[0].vmm.lock=none, repeat=2"
        )
    )
    assert lines[1] == "scenario: 18 cells (3 of vms[0].vcpus x 2 of vms[0].vmm.lock, 3 repeats, seed 3), modelled"
    assert lines[2] == "18 done, 0 failed, 0 left (18 computed now, 0 reused)"
    assert any(
        line.startswith("calls ") and "goes from 5 at vms[0].vcpus=1" in line and "to 15 at" in line for line in lines
    )
    assert json.loads(done.to_json()) == json.loads(json.dumps(done.as_dict()))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda sweep: sweep.quantile(1.5), "give a share from 0 to 1"),
        (lambda sweep: sweep.quantile(0.5, over="vms[0].vcpu"), "did you mean vms[0].vcpus?"),
        (lambda sweep: sweep.quantile(0.5, time="respons"), "did you mean response?"),
        (lambda sweep: sweep.quantile(0.5, group="store"), "must be one of response, waiting, service"),
        (lambda sweep: sweep.histogram(where={"vms[0].vcpus": 7}), "it must be one of [1, 2, 3]"),
        (lambda sweep: sweep.histogram(where={"seed": 7}), "must be one of vms[0].vcpus"),
        (lambda sweep: sweep.resume(), "it has no journal to go on with"),
    ],
)
def test_what_cannot_be_asked_is_refused(done: Sweep, asked: Any, told: str) -> None:
    with pytest.raises(InputError) as refused:
        asked(done)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("run_on", "told"),
    [
        (0, "a number of processes"),
        (True, "a number of processes"),
        (1.5, "a number of processes"),
        ("process", "give 'processes', a number of processes, tcp://HOST:PORT or a Client"),
        (None, "give 'processes', a number of processes, tcp://HOST:PORT or a Client"),
    ],
)
def test_what_no_cell_can_run_on_is_refused(run_on: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        smc.sweep(TABLE, over=OVER, to=tmp_path / "j.db", run_on=run_on)
    assert told in str(refused.value)


def test_no_done_cell_is_a_table_without_rows_and_numbers_that_are_not_known() -> None:
    with smc.sweep(UNSTABLE, over={"workloads.w.arrivals.rate_hz": [1e9]}, run_on=1) as found:
        assert found.answer == "0 of 1 cell is done, 1 failed"
        assert str(found).splitlines()[3].startswith("failed: workloads.w.arrivals.rate_hz=1000000000.0, repeat=0: ")
        assert found.table().n_row == 0
        assert found.table().to_csv().startswith("workloads.w.arrivals.rate_hz,repeat,seed,calls,")
        numbers = found.numbers()
        assert (numbers["done"], numbers["failed"], numbers["left"], numbers["calls"]) == ([0], [1], [0], [None])
