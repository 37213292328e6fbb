"""Saved simulations that contradict themselves: what contradicts what is said, and no number comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import fastsmc as smc
from fastsmc.errors import ResultFileError
from fastsmc.results.files import to_json
from tests.support.scenarios import CLOSED

Columns = dict[str, dict[str, Any]]


@cache
def saved() -> str:
    forwarded = [{"base": "TRNG_RND64", "action": "FWD_TO_USER"}]
    row = {"name": "g", "count": 4, "vcpus": 3, "workload": "w", "filter": forwarded}
    mix = [{"call": "TRNG_RND64", "share": 0.4}, {"call": "PSCI_VERSION", "share": 0.6}]
    table = {"seed": 1, "calls": 50, "vms": [row], "workloads": {"w": CLOSED | {"mix": mix}}}
    return to_json(smc.simulate(smc.Scenario.of(table)).run())


def scaled(column: str, by: float, table: str = "calls") -> Callable[[Any], None]:
    def change(tables: Any) -> None:
        values = tables[table]["columns"][column]["values"]
        values[0] = type(values[0])(values[0] * by)

    return change


def put(column: str, value: Any, table: str = "calls", at: int = 0) -> Callable[[Any], None]:
    return lambda tables: tables[table]["columns"][column]["values"].__setitem__(at, value)


def spread_to(name: str, value: float) -> Callable[[Any], None]:
    def change(tables: Any) -> None:
        for what in ("least", "mean", "most"):
            put(f"{name}_{what}", value, "groups")(tables)

    return change


def twice(table: str) -> Callable[[Any], None]:
    return lambda tables: [c["values"].append(c["values"][0]) for c in tables[table]["columns"].values()] and None


def lacks(column: str, table: str = "calls") -> Callable[[Any], None]:
    return lambda tables: tables[table]["columns"].pop(column) and None


WRONG: dict[str, tuple[Callable[[Any], None], str]] = {
    "a total": (scaled("response_total_ns", 1.5), "waiting and service add up to .* response to"),
    "a maximum below its bucket": (
        scaled("response_max_ns", 0.5),
        "response_max_ns is .* last bucket in use goes from",
    ),
    "a maximum above its bucket": (scaled("response_max_ns", 2), "response_max_ns is .* last bucket in use goes from"),
    "a mean": (scaled("service_mean_ns", 1.001), "service_mean_ns is .* by its histogram it is"),
    "a quantile": (scaled("response_p99_ns", 0.9), "response_p99_ns is .* by its histogram it is"),
    "quantiles out of order": (scaled("response_p50_ns", 100), "response_p50_ns is"),
    "a negative time": (put("waiting_mean_ns", -1.0), "column waiting_mean_ns: it must hold numbers, 0 or more"),
    "an unknown time": (
        lambda t: t["calls"]["columns"]["waiting_mean_ns"].update(values=[None, 1.0], unknown=True),
        "column waiting_mean_ns: it must hold numbers, 0 or more",
    ),
    "calls as floats": (
        lambda t: t["calls"]["columns"]["calls"].update(values=[1.0, 2.0]),
        "column calls: it must hold whole numbers",
    ),
    "buckets as floats": (
        lambda t: t["histograms"]["columns"]["bucket"].update(
            values=[float(b) for b in t["histograms"]["columns"]["bucket"]["values"]]
        ),
        "table histograms, column bucket: it must hold whole numbers",
    ),
    "a negative bucket": (put("bucket", -1, "histograms"), "column bucket: it must hold whole numbers, 0 or more"),
    "a bucket beyond all": (put("bucket", 10**6, "histograms"), "buckets are not those of this version"),
    "a bucket's edge": (scaled("below_ns", 1.01, "histograms"), "buckets are not those of this version"),
    "a bucket twice": (twice("histograms"), "bucket .* stands twice in"),
    "a row twice": (twice("calls"), "table calls has two rows of entry 0"),
    "a time of its own": (put("time", "lunch", "histograms"), "has 'lunch' of group 'g'|calls in its histogram and"),
    "a group of its own": (put("group", "h", "histograms"), "of group 'h'|calls in its histogram and"),
    "calls of a group": (scaled("calls", 2, "groups"), "table groups, 'g': calls is"),
    "more forwarded than called": (put("forwarded", 10**9, "groups"), "forwarded is 1000000000, of calls"),
    "more VMs counted than there are": (put("vms_counted", 5, "groups"), "vms_counted is 5, of vms 4"),
    "utilisation out of order": (put("utilisation_least", 1e9, "groups"), "utilisation has least 1e"),
    "a utilisation": (spread_to("utilisation", 7.5), "utilisation_mean is 7.5, by throughput_hz and the responses"),
    "a queue": (spread_to("queue_length", 1e6), "queue_length_mean is 1e.06, by throughput_hz and the waiting"),
    "a utilisation's most alone": (put("utilisation_most", 7.5, "groups"), "utilisation has least .* over 4 VMs"),
    "a utilisation's mean alone": (scaled("utilisation_mean", 0.1, "groups"), "utilisation has least"),
    "no throughput": (put("throughput_hz", 0.0, "groups"), "throughput_hz is 0, of 600 calls"),
    "little throughput": (scaled("throughput_hz", 0.01, "groups"), "utilisation_mean is .* at most"),
    "forwarded but not called": (put("forwarded", 1, "groups"), "forwarded is 1, in table calls .* went to the VMM"),
    "forwarded by no entry": (
        lambda t: t["calls"]["columns"]["verdict"].update(values=["HANDLED"] * 2),
        "forwarded is .*, in table calls 0 went to the VMM",
    ),
    "VMs that were not counted": (put("vms_counted", 3, "groups"), "of 3 counted VMs of 4, though the run is whole"),
    "no VMs counted": (put("vms_counted", 0, "groups"), "calls is 600, of vms_counted 0"),
    "a lock that there is not": (put("lock", "padlock", "groups"), "lock is none of vm, workers, none"),
    "two workers under one lock": (put("workers", 2, "groups"), "workers is 2, with one lock"),
    "more calls than anybody has": (put("calls", 2**62), "column calls: 4611686018427387904 is more than any run has"),
    "a column less": (lacks("response_max_ns"), "no column 'response_max_ns'"),
    "no calls": (lacks("calls"), "no column 'calls'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_contradicts_itself_is_refused(what: str, tmp_path: Path) -> None:
    change, says = WRONG[what]
    content = json.loads(saved())
    change(content["tables"])
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(ResultFileError, match=f"run.json: .*({says})") as error:
        smc.saved_times(tmp_path / "run.json")
    assert error.value.exit_code == 3
    assert "\n" not in str(error.value)


def test_a_rate_that_nothing_forwarded_can_have(tmp_path: Path) -> None:
    row = {"name": "g", "count": 2, "vcpus": 3, "workload": "w"}
    content = json.loads(to_json(smc.simulate(smc.Scenario.of({"vms": [row], "workloads": {"w": CLOSED}})).run()))
    (tmp_path / "run.json").write_text(json.dumps(content))
    assert smc.saved_times(tmp_path / "run.json").n_call
    spread_to("utilisation", 0.5)(content["tables"])
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(ResultFileError, match=r"utilisation_most is 0\.5, though no call went to the VMM"):
        smc.saved_times(tmp_path / "run.json")


def test_of_one_vm_the_mean_of_its_queue_is_known(tmp_path: Path) -> None:
    """Little's law: the queue is the calls a second times their mean waiting."""
    row = {"name": "g", "vcpus": 3, "workload": "w", "filter": [{"base": "TRNG_RND64", "action": "FWD_TO_USER"}]}
    done = smc.simulate(smc.Scenario.of({"calls": 500, "vms": [row], "workloads": {"w": CLOSED}}))
    content = json.loads(to_json(done.run()))
    groups = {name: column["values"][0] for name, column in content["tables"]["groups"]["columns"].items()}
    calls = {name: column["values"][0] for name, column in content["tables"]["calls"]["columns"].items()}
    queue = groups["throughput_hz"] * calls["waiting_mean_ns"] / 1e9
    assert groups["queue_length_mean"] == pytest.approx(queue, rel=1e-9)
    spread_to("queue_length", queue * 1.01)(content["tables"])
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(ResultFileError, match=r"queue_length_mean is .* by throughput_hz and the waiting"):
        smc.saved_times(tmp_path / "run.json")


@pytest.mark.parametrize("calls", [1, 7, 40])
@pytest.mark.parametrize("kind", ["closed", "open"])
def test_few_calls_agree_with_themselves_too(kind: str, calls: int) -> None:
    """A window that ends with calls under way makes a lock look busier than it can be; that is no damage."""
    workload = CLOSED if kind == "closed" else {
        "kind": "open", "arrivals": {"law": "poisson", "rate_hz": 3000.0}, "mix": {"TRNG_RND64": 1.0}
    }  # fmt: skip
    most = 0.0
    for n_vm, vmm in ((1, {"lock": "vm"}), (3, {"lock": "workers", "workers": 3}), (5, {"lock": "none"})):
        row = {"count": n_vm, "vcpus": 8, "workload": "w", "vmm": vmm, "service": {"law": "exponential", "mean_us": 30}}
        row["filter"] = [{"base": "TRNG_RND64", "action": "FWD_TO_USER"}]
        for host in ({}, {"host": {"cores": 9}}):
            table = {"calls": calls, "warmup": 0, "vms": [row], "workloads": {"w": workload}} | host
            run = smc.simulate(smc.Scenario.of(table)).run()
            assert smc.saved_times(run).n_call == n_vm * 8 * calls
            most = max(most, float(run["groups"]["utilisation_most"][0]))
    assert calls > 1 or most > 1


@pytest.mark.parametrize("lock", ["vm", "workers", "none"])
def test_what_was_simulated_agrees_with_itself(lock: str) -> None:
    vmm = {"lock": lock, "workers": 2} if lock == "workers" else {"lock": lock}
    row = {
        "count": 3,
        "vcpus": 4,
        "workload": "w",
        "vmm": vmm,
        "filter": [{"base": "TRNG_RND64", "action": "FWD_TO_USER"}],
    }
    for mix in (
        [{"call": "TRNG_RND64", "share": 1.0}],
        [{"call": "TRNG_RND64", "share": 0.5}, {"call": "PTP", "share": 0.5}],
    ):
        for host in ({}, {"host": {"cores": 2}}):
            table = {"seed": 3, "calls": 40, "vms": [row], "workloads": {"w": CLOSED | {"mix": mix}}} | host
            done = smc.simulate(smc.Scenario.of(table))
            assert smc.saved_times(done.run()).n_call == done.n_call
