"""The downtimes of many VMs against the waterfall of each, and what they are asked with."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import fastsmc as smc
from fastsmc.errors import InputError
from fastsmc.migrate.carried import carried_arrays
from fastsmc.migrate.link import Link
from fastsmc.migrate.qemu.devices import stream_bytes
from fastsmc.migrate.qemu.machine import QemuMachine
from fastsmc.migrate.qemu.size import size
from fastsmc.migrate.span import Span, ioctl_costs, ioctl_span
from fastsmc.migrate.switchover.many import downtimes
from fastsmc.migrate.switchover.modelled import downtime

EDGES = (1, 2, 9, 10, 11, 12, 99, 100, 101, 102, 512, 999, 1000, 1001, 1002, 9999, 10_000, 10_001, 65_536)


def test_each_of_many_is_the_waterfall_of_one() -> None:
    rng = random.Random(1)
    n = 60
    n_vcpu = [*EDGES, *(rng.randint(1, 2000) for _ in range(n - len(EDGES)))]
    n_reg = [rng.choice([1, 2, 9, 10, 182, rng.randint(1, 2000)]) for _ in range(n)]
    sve = np.array([rng.random() < 0.5 for _ in range(n)])
    links = [Link(10 ** rng.uniform(-1, 2), rng.choice([0.0, 80.0, rng.uniform(0, 1e4)])) for _ in range(n)]
    each = np.sort([[rng.uniform(0, 2000) for _ in range(3)] for _ in range(n)])
    found = downtimes(n_reg, n_vcpu=n_vcpu, link=links, has_sve=sve, ioctl_ns=each)
    for i in range(n):
        one = downtime(n_reg[i], n_vcpu=n_vcpu[i], link=links[i], has_sve=bool(sve[i]), ioctl_ns=tuple(each[i]))
        assert tuple(one.total_ms) == tuple(found.total_ms[i].tolist()), "to the last bit"
        assert [step.name for step in found.steps] == [step.name for step in one.steps]
        for step in one.steps:
            same = found.step(step.name)
            counts = (np.broadcast_to(count, n)[i] for count in (same.ioctls, same.n_byte))
            assert (step.stage, step.kind, step.ioctls, step.n_byte) == (same.stage, same.kind, *counts)
            assert tuple(step.ms) == tuple(np.broadcast_to(same.ms, (n, 3))[i].tolist())


def test_the_description_follows_the_state_without_a_round_trip_of_its_own() -> None:
    near, far = (downtimes(182, n_vcpu=8, link=Link(10, rtt)) for rtt in (0, 80))
    waits = {step.name: (far.step(step.name).ms - step.ms).round(9).tolist() for step in near.steps}
    assert {name: wait for name, wait in waits.items() if any(wait)} == {"wire, state": [0.08] * 3}


@pytest.mark.parametrize("version", ["7.2", "10.0"])
@pytest.mark.parametrize("has_sve", [False, True])
def test_bytes_of_arrays_are_those_of_the_sections_one_by_one(version: str, has_sve: bool) -> None:
    machine = QemuMachine(accel="kvm", version=version)
    n_vcpu = np.array(EDGES[:-3])
    for n_reg in (1, 2, 9, 10, 182, 1206):
        state, described = stream_bytes(machine, n_reg=np.asarray(n_reg), n_vcpu=n_vcpu, has_sve=has_sve)
        assert state.dtype == described.dtype == np.int64
        streams = [size(n_reg, n_vcpu=count, has_sve=has_sve, machine=machine) for count in n_vcpu.tolist()]
        assert described.tolist() == [stream.description_bytes for stream in streams]
        assert state.tolist() == [stream.total_bytes - stream.description_bytes for stream in streams]


def test_lists_releases_and_numbers_are_taken_alike() -> None:
    given = [smc.register_set("6.18"), "6.18", "6.12+sve", "6.17", 182]
    n_reg, sve = carried_arrays(given)
    assert n_reg.tolist() == [182, 182, 185, 182, 182]
    assert sve.tolist() == [False, False, True, False, False]
    by_name = downtimes(given, n_vcpu=8, link="10G").total_ms
    assert (by_name[:2] == by_name[3:]).all()
    assert (by_name[0] == downtimes(182, n_vcpu=8, link=Link(10)).total_ms).all()


def test_arguments_broadcast() -> None:
    found = downtimes("6.18", n_vcpu=[[8], [512]], link=["10G", "25G", Link(100, 80)], ioctl_ns=(1, 2, 3))
    assert found.total_ms.shape == (2, 3, 3)
    assert found.step("GETs, GIC").ioctls.shape == (2, 1)
    assert found.total_ms[1, 2, 1] == downtime("6.18", n_vcpu=512, link=Link(100, 80), ioctl_ns=2).total_ms.mid
    assert found.as_dict()["steps"][1]["ioctls"] == [[2072], [132_608]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_vcpu": [8, 0]}, r"n_vcpu\[1\] is 0: it must be a whole number in 1..65536"),
        ({"n_vcpu": 1.5}, "n_vcpu is 1.5: "),
        ({"n_vcpu": [1, 2, 3], "link": ["10G", "25G"]}, r"do not broadcast: n_vcpu \(3,\), link \(2,\)"),
        ({"link": 10}, "link is 10: give a Link, or a line rate such as 25G"),
        ({"link": []}, "link is empty: give at least one"),
        ({"link": ["10G", "fast"]}, "line rate 'fast': give it as 10Gb/s, 25G or 128MiB/s"),
        ({"ioctl_ns": [[1, 2]]}, "many costs are numbers whose last axis is low, mid and high"),
        ({"ioctl_ns": [[1, 2, 3], [3, 2, 1]]}, "in ascending order"),
        ({"ioctl_ns": [[1, 2, float("nan")]]}, "ioctl_ns is nan: "),
        ({"registers": []}, "registers is empty"),
        ({"registers": [182, 0]}, r"n_reg\[1\] is 0"),
        ({"registers": ["6.18", "6.99"]}, "6.99"),
        ({"registers": ["6.18", 182], "has_sve": True}, "has_sve: lists by name tell it themselves"),
        ({"has_sve": [1, 0]}, r"has_sve is \[1, 0\]: it must be True or False"),
    ],
)
def test_impossible_downtimes_are_refused(arguments: dict[str, Any], message: str) -> None:
    given = {"registers": 182, "n_vcpu": 8, "link": "10G"} | arguments
    with pytest.raises(InputError, match=message):
        downtimes(given.pop("registers"), **given)


def test_a_step_that_there_is_not_is_named() -> None:
    with pytest.raises(InputError, match=r"step is 'encoding': it must be one of pause, .*did you mean encode"):
        downtimes(182, n_vcpu=8, link="10G").step("encoding")


@pytest.mark.parametrize("given", [(1, 2, 3), [1, 2, 3], np.array([1.0, 2.0, 3.0]), Span(1, 2, 3)])
def test_the_cost_of_an_ioctl_is_a_number_or_low_mid_and_high(given: Any) -> None:
    assert ioctl_span(given) == Span(1, 2, 3)
    assert ioctl_costs(given).tolist() == [1, 2, 3]
    assert ioctl_costs(7).tolist() == [7, 7, 7]
    assert ioctl_costs([list(given), list(given)]).tolist() == [[1, 2, 3]] * 2
    more = smc.migrate.add_registers("6.18", n_new=1, n_vcpu=[8], link=Link(10), ioctl_ns=given)
    assert more.ioctl_ns == Span(1, 2, 3)


def test_a_register_set_is_recorded_or_inferred_as_on_the_command_line() -> None:
    assert smc.register_set("6.12") is smc.register_set("6.12.107", features="psci02")
    assert smc.register_set("6.17").name == "Linux 6.17 psci02, list inferred"
    both = smc.register_set("6.18", features="psci02+pmu+sve")
    plain, pmu, sve = (
        set(smc.register_set("6.18", features=name).ids.tolist()) for name in ("psci02", "psci02+pmu", "psci02+sve")
    )
    assert set(both.ids.tolist()) == sve ^ (plain ^ pmu)
    assert both.has_sve
    with pytest.raises(InputError, match=r"release 6\.17 was recorded"):
        smc.register_set("6.17", cpu="n1")
    with pytest.raises(InputError, match="release 6: give it as text"):
        smc.register_set(6)  # type: ignore[arg-type]


def test_what_follows_from_a_list_is_found_out_once() -> None:
    found = smc.register_set("6.18")
    assert found.cpreg_ids is found.cpreg_ids
    assert not found.cpreg_ids.flags.writeable
