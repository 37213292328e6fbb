"""Simulations saved and read back: the file holds the histograms, and what two files hold can be added up."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.errors import InputError, ResultFileError
from fastsmc.latency import Simulation
from fastsmc.results import files as results
from fastsmc.results.runs import Run
from tests.support.places import ROOT
from tests.support.scenarios import CLOSED

EXAMPLES = ROOT / "examples"
FORWARDED = [{"base": "TRNG_RND64", "action": "FWD_TO_USER"}]
MIX = [{"call": "TRNG_RND64", "share": 0.4}, {"call": "PSCI_VERSION", "share": 0.6}]


def simulated(seed: int = 1, *, stop_after: int | None = None, **vms: Any) -> Simulation:
    """16 VMs of 5 vCPUs that forward four calls in ten; `stop_after` so many chunks."""
    row = {"name": "g", "count": 16, "vcpus": 5, "workload": "w", "filter": FORWARDED} | vms
    table = {"seed": seed, "calls": 200, "vms": [row], "workloads": {"w": CLOSED | {"mix": MIX}}}
    asked = count()
    stop = (lambda: next(asked) >= stop_after) if stop_after is not None else (lambda: False)
    return smc.simulate(smc.Scenario.of(table), stop=stop)


def test_a_saved_run_holds_the_histograms(tmp_path: Path) -> None:
    done = simulated()
    done.save(tmp_path / "run.json")
    back = smc.saved_times(tmp_path / "run.json")
    for name in ("waiting", "service", "response"):
        ours, theirs = getattr(done.times, name), getattr(back, name)
        assert np.array_equal(ours.counts, theirs.counts)
        assert (ours.total_ns, ours.max_ns) == (theirs.total_ns, theirs.max_ns)
    only = smc.saved_times(tmp_path / "run.json", service="TRNG", verdict="FORWARDED")
    assert only.n_call == done["g"].kinds[0].times.n_call < done.n_call
    assert only.response.quantile(0.99) == done["g"].kinds[0].times.response.quantile(0.99)


def test_two_partial_runs_of_different_seeds_add_up_to_the_quantiles_of_all_their_calls(tmp_path: Path) -> None:
    parts = [simulated(seed, stop_after=2 + seed, count=300, vcpus=2) for seed in (1, 2)]
    assert all(part.is_partial and part.n_call for part in parts)
    assert parts[0].n_call != parts[1].n_call
    for k, part in enumerate(parts):
        part.save(tmp_path / f"{k}.json")
        assert json.loads((tmp_path / f"{k}.json").read_text())["provenance"]["inputs"]["partial"] is True
    both = smc.saved_times(tmp_path / "0.json", tmp_path / "1.json")
    assert both.n_call == parts[0].n_call + parts[1].n_call
    # Independently of Histogram.merged: the value of that rank among all bucket middles, repeated by their counts.
    rows = [row for k in (0, 1) for row in results.load(tmp_path / f"{k}.json")["histograms"].rows()]
    middles = np.concatenate(
        [np.full(row["calls"], (row["from_ns"] + row["below_ns"]) / 2) for row in rows if row["time"] == "response"]
    )
    middles.sort()
    for share in (0.5, 0.9, 0.99, 0.999):
        expected = middles[int(np.ceil(share * middles.size)) - 1]
        assert both.response.quantile(share) == min(expected, both.response.max_ns)


def test_the_same_seed_twice_is_no_more_than_once() -> None:
    run = simulated().run()
    with pytest.raises(InputError, match="two runs of 'scenario' have seed 1, so they hold the same calls"):
        smc.saved_times(run, run)


def test_a_run_that_was_stopped_at_once_is_saved_and_says_so(tmp_path: Path) -> None:
    done = simulated(stop_after=0)
    done.save(tmp_path / "run.json")
    assert (done.is_partial, done.n_call) == (True, 0)
    assert smc.saved_times(tmp_path / "run.json").n_call == 0
    assert done.vm_table() is None
    assert "PARTIAL: stopped with 0 of 16000 calls counted, of 0 of 16 VMs" in str(done)


def test_a_vm_table_has_a_row_per_vm_with_its_number() -> None:
    done = simulated()
    table = done.vm_table()
    assert table is not None
    assert table["vm"].tolist() == list(range(16))
    assert table["n_call"].sum() == done.n_call
    assert table["mean_waiting_ns"] @ table["n_call"] == pytest.approx(done.times.waiting.total_ns)


def changed(run: Run, change: Any) -> Run:
    """The run after a change to its JSON."""
    content = json.loads(results.to_json(run))
    change(content["tables"])
    path = Path("run.json")
    path.write_text(json.dumps(content))
    return results.load(path)


def test_damage_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = simulated().run()

    def fewer(tables: Any) -> None:
        tables["histograms"]["columns"]["calls"]["values"][0] -= 1

    def elsewhere(tables: Any) -> None:
        tables["histograms"]["columns"]["from_ns"]["values"][0] += 1

    with pytest.raises(ResultFileError, match="calls in its histogram and"):
        smc.saved_times(changed(run, fewer))
    with pytest.raises(ResultFileError, match="buckets are not those of this version"):
        smc.saved_times(changed(run, elsewhere))
    with pytest.raises(ResultFileError, match=r"no row with \{'service': 'PTP'\}"):
        smc.saved_times(run, service="PTP")


def test_what_rests_on_assumed_figures_is_marked_so_in_the_file() -> None:
    run = simulated().run()
    assert run["calls"].columns["response_p99_9_ns"].kind == "assumed"
    assert run["groups"].columns["utilisation_mean"].kind == "assumed"
    weakest = run.provenance.inputs["profile"]["weakest"]
    assert (weakest["name"], weakest["kind"]) == ("vmm_service_ns", "assumed")


def test_a_figure_that_no_call_made_use_of_is_not_the_weakest() -> None:
    done = simulated(filter=[])
    assert {row["name"] for row in done.as_dict()["profile"]["figures"]} == {"trap_ns", "handled_ns"}
    assert done.as_dict()["profile"]["weakest"]["name"] == "handled_ns"
    own = simulated(service={"law": "exponential", "mean_us": 3.0}).as_dict()["profile"]
    assert "vmm_service_ns" not in {row["name"] for row in own["figures"]}


def test_an_entrys_own_service_law_is_what_it_takes() -> None:
    mix = [
        {"call": "TRNG_VERSION", "share": 0.5, "service": {"law": "deterministic", "mean_us": 3.0}},
        {"call": "TRNG_RND64", "share": 0.5},
    ]
    ranges = [{"base": "TRNG_VERSION", "action": "FWD_TO_USER"}, *FORWARDED]
    row = {"count": 4, "vcpus": 2, "workload": "w", "filter": ranges, "service": {"law": "deterministic", "mean_us": 9}}
    done = smc.simulate(smc.Scenario.of({"vms": [row], "workloads": {"w": CLOSED | {"mix": mix}}}))
    quick, slow = (kind.times.service for kind in done.groups[0].kinds)
    assert slow.max_ns - quick.max_ns == pytest.approx(6000)
    assert quick.mean_ns == pytest.approx(done.groups[0].group.enter_ns + 3000)
