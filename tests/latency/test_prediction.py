"""A simulation's memory is known before it begins, and one that takes more than there is never begins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from fastsmc.errors import InputError
from fastsmc.jit import memory
from fastsmc.latency import simulate
from fastsmc.latency.group import group_of
from fastsmc.latency.run import n_slot
from fastsmc.scenario import Scenario
from tests.support.places import ROOT
from tests.support.queue_checks import exponential, fixed, scenario

PROGRAM = """
import json, sys
from tests.support.memory import forget_peak, peak_mib
from tests.support.queue_checks import DENIED_ID, FORWARDED_ID, HANDLED_ID, exponential, fixed, scenario
from fastsmc.facts.costs import Figure
from fastsmc.latency import simulate
from fastsmc.latency.group import group_of
from fastsmc.latency.memory import predicted_bytes
from fastsmc.scenario import HostCores, MixEntry
given, threads = json.loads(sys.argv[1]), int(sys.argv[2])
n_kind = given.pop("kinds", 1)
host = HostCores(4, Figure(3e6, "ns", "assumed", "a test")) if given.pop("is_shared", False) else None
mix = tuple(MixEntry(str(k), FORWARDED_ID + k, share=1 / n_kind) for k in range(n_kind))
def made(**given):
    given = {"warmup": 1, "replicas": 1} | given
    return scenario("closed", exponential(20_000), exponential(5000), mix=mix, host=host, trap=300.0, **given)
few = made(**given | {"count": min(given["count"], 16), "calls": 1, "replicas": 1, "vcpus": min(given["vcpus"], 64)})
simulate(few)
whole = made(**given)
predicted = predicted_bytes(whole, [group_of(whole, one) for one in whole.groups], threads)
held = forget_peak()
simulation = simulate(whole, threads=threads)
print(predicted / 2**20, peak_mib() - held)
"""
SLACK_MIB = 12
"""What a part's VMs take is small, and comes out of what the process has freed before."""
SHAPES: dict[str, dict[str, Any]] = {
    "many VMs side by side": {"count": 1 << 18, "vcpus": 1, "calls": 2},
    "many VMs one by one": {"count": 1 << 18, "vcpus": 1, "calls": 2, "kinds": 3, "lock": "workers", "workers": 2},
    "many vCPUs": {"count": 1 << 10, "vcpus": 512, "calls": 2, "replicas": 8, "kinds": 2},
    "more workers than vCPUs": {"count": 1 << 17, "vcpus": 2, "calls": 2, "lock": "workers", "workers": (1 << 32) - 1},
    "many kinds of calls": {"count": 4, "vcpus": 2, "calls": 5000, "replicas": 96, "kinds": 16},
    "many groups": {"count": 16, "vcpus": 1, "calls": 20, "replicas": 512},
    "shared cores": {"count": 1 << 17, "vcpus": 1, "calls": 2, "is_shared": True},
}


LONG = pytest.mark.soak("seven shapes; make test has two")
QUICK = ("many VMs side by side", "shared cores")


@pytest.mark.parametrize("shape", [name if name in QUICK else pytest.param(name, marks=LONG) for name in SHAPES])
@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.soak("two threads; make test has one"))])
def test_the_predicted_peak_is_near_the_measured_one(shape: str, threads: int) -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(SHAPES[shape]), str(threads)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    predicted, measured = map(float, done.stdout.split())
    assert 0.8 * measured <= predicted <= 1.5 * measured + SLACK_MIB


def of(text: str) -> Scenario:
    table = {"kind": "closed", "think": {"law": "exponential", "mean_us": 20}, "mix": {"PTP": 1.0}}
    return Scenario.of(
        {"calls": 10, "vms": [{"vcpus": 1, "workload": "w"} | json.loads(text)], "workloads": {"w": table}}
    )


def test_a_scenario_that_needs_more_than_there_is_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmc.latency.find_runnable", None)
    with pytest.raises(
        InputError, match=r"this scenario, of 4,000,000,000 VMs .* needs 1,\d{3}\.\d GiB of memory, and"
    ) as no:
        simulate(of('{"count": 4000000000}'))
    assert no.value.exit_code == 3


def test_a_limit_of_the_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    given = of('{"count": 100000}')
    assert simulate(given).n_call == 1_000_000
    monkeypatch.setattr(memory, "available", lambda: (1 << 24, "RLIMIT_AS"))
    with pytest.raises(
        InputError, match=r"needs 0.0[23].* GiB of memory, and 0.016 GiB are left .RLIMIT_AS.: give it fewer"
    ):
        simulate(given)


def test_more_workers_than_calls_can_be_under_way_take_no_memory() -> None:
    """A queue with k workers and fewer calls is one with k - 1; utilisation still counts all of them."""
    few, many = (
        scenario(
            "closed", exponential(20_000), fixed(900), count=8, vcpus=3, calls=50, lock="workers", workers=n, replicas=1
        )
        for n in (4, (1 << 32) - 1)
    )
    group = group_of(many, many.groups[0])
    assert (group.n_worker, n_slot(group, 1 << 40)) == ((1 << 32) - 1, 4)
    one, other = simulate(few).groups[0], simulate(many).groups[0]
    assert (one.mean_response_ns == other.mean_response_ns).all()
    assert one.utilisation * 4 == pytest.approx(other.utilisation * ((1 << 32) - 1))
    open_one = scenario("open", exponential(20_000), fixed(900), count=2, calls=5, warmup=0, lock="workers", workers=99)
    assert n_slot(group_of(open_one, open_one.groups[0]), 5) == 6
