"""Same seed, same bytes: whatever threads, chunks, kernels, CPU features, and other groups behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from fastsmc import latency
from fastsmc.facts.costs import Figure
from fastsmc.latency import GroupOutcome, Simulation, run, simulate
from fastsmc.latency.group import group_of
from fastsmc.scenario import HostCores, Law, MixEntry, OnOff, Scenario
from tests.support.places import ROOT
from tests.support.queue_checks import DENIED_ID, FORWARDED_ID, HANDLED_ID, exponential, fixed, scenario

MIX = (
    MixEntry("denied", DENIED_ID, share=0.1),
    MixEntry("handled", HANDLED_ID, share=0.5),
    MixEntry("forwarded", FORWARDED_ID, share=0.4),
)
TWO_SERVICES = (
    MixEntry("quick", FORWARDED_ID, share=0.5),
    MixEntry("slow", FORWARDED_ID + 1, share=0.5, service=Law("exponential", 9000.0)),
)
COSTS = {"trap": 200.0, "denied": 20.0, "handled": 200.0, "round_trip": 1600.0}


def every_kind() -> Scenario:
    """A group for each way through the kernels: lanes of one and of several vCPUs, one at a time, workers, bursts."""
    small = {"replicas": 1, "calls": 60, "warmup": 10}
    parts = [
        scenario("open", exponential(12_000), exponential(5000), count=300, **small),  # type: ignore[arg-type]
        scenario("closed", exponential(20_000), fixed(5000), count=130, vcpus=4, mix=MIX, **small),  # type: ignore[arg-type]
        scenario("closed", exponential(50_000), exponential(5000), count=5, vcpus=33, mix=MIX, **small),  # type: ignore[arg-type]
        scenario("open", exponential(20_000), fixed(1.0), count=9, vcpus=2, mix=TWO_SERVICES, **small),  # type: ignore[arg-type]
        scenario("open", exponential(4000), fixed(5000), count=70, lock="workers", workers=3, **small),  # type: ignore[arg-type]
        scenario("open", exponential(5000), fixed(5000), count=3, onoff=OnOff(50_000, 50_000), **small),  # type: ignore[arg-type]
    ]
    profile = parts[0].profile.with_overrides({f"{k}_ns": v for k, v in COSTS.items()}, source="a test")
    groups = tuple(replace(part.groups[0], name=f"g{i}") for i, part in enumerate(parts))
    return replace(parts[0], groups=groups, profile=profile)


def overcommitted(given: Scenario) -> Scenario:
    return replace(given, host=HostCores(given.n_vcpu // 2 + 1, Figure(1e5, "ns", "assumed", "a test")))


def arrays(group: GroupOutcome) -> dict[str, np.ndarray]:
    """All a group's outcome holds."""
    found = {f.name: getattr(group, f.name) for f in fields(group) if isinstance(getattr(group, f.name), np.ndarray)}
    for k, kind in enumerate(group.kinds):
        for name in ("waiting", "service", "response"):
            histogram = getattr(kind.times, name)
            found[f"{k} {name}"] = histogram.counts
            found[f"{k} {name} sums"] = np.array([histogram.total_ns, histogram.max_ns])
    return found


def digest(simulation: Simulation) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for group in simulation.groups:
        for name, values in sorted(arrays(group).items()):
            whole.update(name.encode() + values.tobytes())
    return whole.hexdigest()


@pytest.mark.parametrize("make", [lambda given: given, overcommitted], ids=["cores", "overcommit"])
def test_threads_and_chunks_change_nothing(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    given = make(every_kind())  # type: ignore[operator]
    once = digest(simulate(given))
    monkeypatch.setattr(latency, "n_core", lambda: 3)
    for threads in (1, 2, 3):
        assert digest(simulate(given, threads=threads)) == once
    for chunk in (61, 997, 12_345):
        with monkeypatch.context() as patch:
            patch.setattr(run, "CHUNK", chunk)
            assert digest(simulate(given, threads=2)) == once
    parts_of = run.parts_of
    for width in (1, 5):
        with monkeypatch.context() as patch:
            patch.setattr(
                latency,
                "parts_of",
                lambda group, width=width: (
                    parts_of(group)
                    if group.is_lanes
                    else [slice(v, min(v + width, group.given.count)) for v in range(0, group.given.count, width)]
                ),
            )
            assert digest(simulate(given)) == once
    assert digest(simulate(replace(given, seed=2))) != once


def test_groups_behind_a_group_do_not_change_it() -> None:
    given = every_kind()
    whole = simulate(given)
    for n in range(1, len(given.groups)):
        fewer = simulate(replace(given, groups=given.groups[:n]))
        for alone, beside in zip(fewer.groups, whole.groups, strict=False):
            assert digest(replace(fewer, groups=(alone,))) == digest(replace(whole, groups=(beside,)))


def test_lanes_and_one_vm_at_a_time_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, but for sums over VMs, which are added up in another order."""
    given = every_kind()
    given = replace(given, groups=(*given.groups[:2], replace(given.groups[2], count=24)))
    lanes = simulate(given)
    monkeypatch.setattr(latency, "group_of", lambda *of: replace(group_of(*of), is_lanes=False))
    each = simulate(given)
    for one, other in zip(lanes.groups, each.groups, strict=True):
        assert (one.group.is_lanes, other.group.is_lanes) == (True, False)
        for name, values in arrays(one).items():
            same = arrays(other)[name]
            if name.endswith("sums"):
                assert np.allclose(values, same, rtol=1e-12, atol=0)
                assert values[1] == same[1]
            else:
                assert values.tobytes() == same.tobytes(), (one.name, name)


PROGRAM = """
from tests.latency.test_same_bytes import digests
print(*digests({first}, {last}, {hosts}))
"""


def digests(first: int, last: int, hosts: int) -> list[str]:
    """What these groups come to, with a core per vCPU, and if `hosts` is 2 overcommitted too."""
    given = every_kind()
    given = replace(given, groups=given.groups[first:last])
    return [digest(simulate(make(given))) for make in (lambda given: given, overcommitted)[:hosts]]


@pytest.mark.parametrize(
    ("first", "last", "hosts"),
    [
        pytest.param(*(1, 2, 1), id="lanes"),
        pytest.param(
            *(0, 6, 2),
            id="all",
            marks=pytest.mark.soak("all six kinds of group, overcommitted too; make test compiles for one of twelve"),
        ),
    ],
)
def test_a_cpu_without_vectors_gives_the_same_bytes(first: int, last: int, hosts: int, tmp_path: Path) -> None:
    env = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "XDG_CACHE_HOME": str(tmp_path)}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])
    program = PROGRAM.format(first=first, last=last, hosts=hosts)
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == digests(first, last, hosts)
