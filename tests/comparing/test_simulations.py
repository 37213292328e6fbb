"""Saved simulations side by side, each figure against the saved run read by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.comparing.compared import Compared, Row
from fastsmc.results.files import load, save
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table

SCENARIO = """
seed = {seed}
calls = 60
[[vms]]
name = "fwd"
count = {count}
vcpus = 8
filter = [{{ base = "TRNG_RND64", action = "FWD_TO_USER" }}]
workload = "random"
service = {{ law = "exponential", mean_us = {mean_us} }}
[workloads.random]
kind = "open"
arrivals = {{ law = "poisson", rate_hz = 4000 }}
mix = {{ TRNG_RND64 = 1.0 }}
"""


def saved(folder: Path, *, seed: int = 1, mean_us: int = 20, count: int = 32) -> Path:
    """A small run of one lock under load, saved."""
    toml, path = folder / f"{seed}-{mean_us}-{count}.toml", folder / f"{seed}-{mean_us}-{count}.json"
    if not path.exists():
        toml.write_text(SCENARIO.format(seed=seed, mean_us=mean_us, count=count), encoding="utf-8")
        smc.simulate(toml).save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def row(found: Compared, metric: str, of: str = "fwd") -> Row:
    return next(one for one in found if (one.of, one.metric) == (of, metric))


def test_figures_are_those_of_the_files(folder: Path) -> None:
    a, b = saved(folder), saved(folder, seed=2, mean_us=24)
    found = smc.compare(a, b)
    for metric in ("response_mean_ns", "response_p99_ns", "waiting_p50_ns", "service_p99_9_ns"):
        ours, theirs = (load(path)["calls"][metric][0] for path in (a, b))
        one = row(found, metric)
        assert (one.base, one.value) == (pytest.approx(ours), pytest.approx(theirs))
        assert one.ratio is not None
        assert one.ratio.value == pytest.approx(theirs / ours)
    assert row(found, "service_mean_ns").verdict == "higher"
    assert row(found, "response_mean_ns").verdict == "higher"


def test_runs_of_two_seeds_are_the_same_within_their_intervals(folder: Path) -> None:
    """Calls that wait for one lock hang together: taken for independent, about half of these would seem to differ."""
    paths = [saved(folder, seed=seed) for seed in range(1, 13)]
    found = smc.compare(*paths)
    judged = [one for one in found if one.verdict in ("same", "higher", "lower")]
    assert len(judged) > 100
    assert np.mean([one.verdict == "same" for one in judged]) > 0.9


def test_what_was_asked_otherwise_is_named(folder: Path) -> None:
    found = smc.compare(saved(folder), saved(folder, seed=2, mean_us=24))
    told = "\n".join(found.differs)
    assert "another seed, 2 and not 1" in told
    assert "vms[0].service.mean_us 20 -> 24" in told
    assert "machine" not in told
    assert not found.is_same


def test_another_machine_and_other_versions_are_named(folder: Path) -> None:
    run = load(saved(folder))
    path = folder / "elsewhere.json"
    text = saved(folder).read_text(encoding="utf-8")
    content = json.loads(text)
    content["provenance"] |= {"cpu": "Another CPU", "numpy": "0.1"}
    path.write_text(json.dumps(content), encoding="utf-8")
    told = smc.compare(saved(folder), path).differs
    assert told == (
        f"{path}: another machine (cpu {run.provenance.cpu} and Another CPU), which modelled figures do not depend on",
        f"{path}: other versions (numpy {run.provenance.numpy} and 0.1)",
    )


def test_a_run_is_the_same_as_itself(folder: Path) -> None:
    found = smc.compare(saved(folder), saved(folder))
    assert set(found.counts) == {"same", "unknown"}  # unknown: rates, of which no spread is saved
    assert found.differs == ()
    assert any("runs of one seed" in note for note in found.notes)
    assert all(one.ratio is not None and one.ratio.value == 1 for one in found)


def test_rates_have_no_interval(folder: Path) -> None:
    one = row(smc.compare(saved(folder), saved(folder, seed=2)), "throughput_hz")
    assert one.ratio is not None
    assert (one.ratio.low, one.verdict) == (None, "unknown")
    assert one.as_dict()["interval"] is None


def test_few_vms_have_no_interval_of_what_waits(folder: Path) -> None:
    found = smc.compare(saved(folder, count=4), saved(folder, seed=2, count=4))
    assert row(found, "response_p99_ns").verdict == "unknown"
    assert row(found, "service_p99_ns").verdict in ("same", "higher", "lower")
    assert any("few VMs" in note for note in found.notes)


def test_a_run_of_an_older_version_has_no_interval_of_what_waits(folder: Path) -> None:
    run = load(saved(folder))
    groups = run["groups"]
    columns = {name: column for name, column in groups.columns.items() if not name.endswith("design_effect")}
    save(Run({**run.tables, "groups": Table(groups.meaning, columns)}, run.provenance), folder / "old.json")
    found = smc.compare(folder / "old.json", saved(folder, seed=2))
    assert row(found, "response_mean_ns").verdict == "unknown"
    assert any("older version" in note for note in found.notes)


def test_a_group_that_only_one_run_has(folder: Path) -> None:
    more = (
        SCENARIO.format(seed=1, mean_us=20, count=32)
        + '[[vms]]\nname = "more"\ncount = 2\nvcpus = 2\nworkload = "random"\n'
    )
    (folder / "more.toml").write_text(more, encoding="utf-8")
    smc.simulate(folder / "more.toml").save(folder / "more.json")
    assert row(smc.compare(saved(folder), folder / "more.json"), "", "more").verdict == "new"
    assert row(smc.compare(folder / "more.json", saved(folder)), "", "more").verdict == "gone"


def test_simulations_and_runs_are_compared_without_files(folder: Path) -> None:
    simulation = smc.simulate(folder / "1-20-32.toml") if saved(folder) else None
    assert simulation is not None
    assert {one.verdict for one in smc.compare(simulation, simulation.run())} == {"same", "unknown"}


def test_many_are_each_against_the_first(folder: Path) -> None:
    paths = [saved(folder), saved(folder, seed=2), saved(folder, seed=2, mean_us=24)]
    found = smc.compare(*paths)
    assert {one.file for one in found} == {str(path) for path in paths[1:]}
    assert [one for one in found if one.file == str(paths[2])] == list(smc.compare(paths[0], paths[2]))


def test_text_and_tables_say_the_same(folder: Path) -> None:
    found = smc.compare(saved(folder), saved(folder, seed=2, mean_us=24))
    text, told, table = str(found), found.as_dict(), found.table()
    assert text.splitlines()[0] == found.answer == told["answer"]
    assert len(told["rows"]) == table.n_row == len(found.rows)
    assert "higher" in text
    assert found.answer in found.to_markdown().replace("\\", "")
    assert found.to_csv().startswith("of,metric,file,base,value,ratio,low,high,interval_by,verdict\n")
    json.dumps(told, allow_nan=False)
    at = table["metric"].tolist().index("service_mean_ns")
    assert table["low"][at] < table["ratio"][at] < table["high"][at]
