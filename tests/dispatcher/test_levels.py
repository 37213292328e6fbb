"""Guests with EL2 and protected VMs in the vectorized path: what their own EL2 gets, what the real EL2 answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.answers import answers
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.dispatcher.prepared import Dispatcher
from fastsmc.errors import InputError
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import Conduit, Level, Verdict
from fastsmc.fleet.filters import FilterRange
from fastsmc.jit import threads as parts
from fastsmc.vm import Fleet

NESTED = Host.of("7.3", kvm_arm_mode="nested")
WORKAROUND_1, PSCI_VERSION = 0x8000_8000, 0x8400_0000


def mixed_fleet() -> Fleet:
    """vCPUs 0 to 2 are ordinary, 3 to 5 have EL2."""
    return Fleet([3, 3], hosts=NESTED, features=[0x4, 0x84])


def by_each_way(fleet: Fleet, calls: Calls) -> list[list[int]]:
    """The verdicts of calls by every function that gives them."""
    ways: list[AnyCalls] = [calls, calls.frozen(), GroupedCalls.from_calls(calls)]
    found = [verdicts(fleet, way) for way in ways]
    found += [dispatch(fleet, way).verdict for way in ways]
    found += [Dispatcher(fleet).verdicts(way, np.zeros(len(calls), np.uint8)) for way in ways]
    return [one.tolist() for one in found]


def test_what_vel1_traps_goes_to_vel2_and_nothing_else_does() -> None:
    fleet = mixed_fleet()
    rows = [
        (3, PSCI_VERSION, Conduit.SMC, Level.VEL1_TSC, Verdict.TO_VEL2),
        (3, PSCI_VERSION, Conduit.SMC_IMM, Level.VEL1_TSC, Verdict.TO_VEL2),
        (3, WORKAROUND_1, Conduit.SMC, Level.VEL1_TSC, Verdict.TO_VEL2),
        (3, WORKAROUND_1, Conduit.HVC, Level.VEL1_TSC, Verdict.FAST_PATH),
        (3, WORKAROUND_1, Conduit.HVC_IMM, Level.VEL2, Verdict.FAST_PATH),
        (3, 0x1234_5678, Conduit.SMC, Level.VEL1_TSC, Verdict.TO_VEL2),
        (3, PSCI_VERSION, Conduit.SMC, Level.VEL1, Verdict.HANDLED),
        (3, PSCI_VERSION, Conduit.SMC, Level.VEL2, Verdict.HANDLED),
        (3, PSCI_VERSION, Conduit.SMC, Level.VEL2_TSC, Verdict.HANDLED),
        (3, PSCI_VERSION, Conduit.SMC, Level.EL1, Verdict.HANDLED),
        (3, PSCI_VERSION, Conduit.SMC_IMM, Level.VEL2_TSC, Verdict.SMC_REFUSED),
        (3, WORKAROUND_1, Conduit.SMC, Level.VEL2_TSC, Verdict.DENIED),
        (3, PSCI_VERSION, Conduit.HVC, Level.VEL2, Verdict.TO_VEL2),
        (3, 0x1234_5678, Conduit.HVC_IMM, Level.EL1, Verdict.TO_VEL2),
        (0, PSCI_VERSION, Conduit.HVC, Level.EL1, Verdict.HANDLED),
        (0, 0x1234_5678, Conduit.HVC, Level.EL1, Verdict.DENIED),
    ]
    vcpu, func_id, conduit, level, expected = zip(*rows * 9, strict=True)
    calls = Calls.of(vcpu, func_id, conduit=conduit, level=level)
    for found in by_each_way(fleet, calls):
        assert found == list(expected)
    for part in (slice(0, 7), slice(100, 144)):
        assert verdicts(fleet, calls.part(part)).tolist() == list(expected[part])
    done = dispatch(fleet, calls)
    for verdict in Verdict:
        assert int(done.by_service[:, verdict].sum()) == expected.count(verdict)
    assert int(done.by_vm_service[1, 0, Verdict.TO_VEL2]) == 9  # WORKAROUND_1, trapped
    assert done.by_vm.sum(axis=1).tolist() == [18, 126]


def test_an_hvc_of_a_guest_with_el2_meets_no_filter_and_no_bitmap() -> None:
    fleet = mixed_fleet()
    fleet.install_filter([FilterRange(0xC600_0000, 64, 2), FilterRange(0x8400_0000, 32, 1)])
    nameless = 0xC600_0021
    vcpu, ids = [0, 3] * 6, [0xC600_0002, 0xC600_0002, PSCI_VERSION, PSCI_VERSION, nameless, nameless] * 2
    conduit = [Conduit.HVC] * 6 + [Conduit.SMC] * 6
    expected = [
        *(Verdict.FORWARDED, Verdict.TO_VEL2, Verdict.DENIED, Verdict.TO_VEL2, Verdict.FORWARDED, Verdict.TO_VEL2),
        *[Verdict.FORWARDED] * 2,
        *[Verdict.DENIED] * 2,
        *[Verdict.FORWARDED] * 2,
    ]
    for repeats in (1, 40):
        calls = Calls.of(vcpu * repeats, ids * repeats, conduit=conduit * repeats)
        assert all(found == expected * repeats for found in by_each_way(fleet, calls))


def test_e2h0_alone_makes_an_ordinary_guest() -> None:
    fleet = Fleet([1, 1, 1], hosts=NESTED, features=[0x104, 0x184, 0x84])
    assert verdicts(fleet, Calls.one_each(PSCI_VERSION, n_vcpu=3)).tolist() == [0, Verdict.TO_VEL2, Verdict.TO_VEL2]
    with pytest.raises(InputError, match=r"^call 0 is at level VEL2, but vCPU 0 has no EL2$"):
        verdicts(fleet, Calls.one_each(PSCI_VERSION, n_vcpu=3, level=Level.VEL2))


def test_threads_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 1000)
    fleet, rng, n_call = mixed_fleet(), np.random.default_rng(1), 9000
    vcpu = rng.integers(0, 6, n_call, np.uint32)
    level = np.where(vcpu > 2, rng.choice([0, 1, 2, 5, 6], n_call), 0).astype(np.uint8)
    ids, conduit = rng.choice([WORKAROUND_1, PSCI_VERSION, 0x1234], n_call), rng.integers(0, 4, n_call)
    calls = Calls.of(vcpu, ids, conduit=conduit, level=level)
    for way in (calls, GroupedCalls.from_calls(calls)):
        one, three = dispatch(fleet, way, threads=1), dispatch(fleet, way, threads=3)
        assert np.array_equal(one.verdict, three.verdict)
        assert np.array_equal(one.by_vm_service, three.by_vm_service)
        assert np.array_equal(answers(fleet, way, threads=3), answers(fleet, way, threads=1))
    level[[7007, 8000]] = Level.VEL2
    wrong = Calls.of(np.where(np.isin(np.arange(n_call), [7007, 8000]), 1, vcpu), ids, level=level)
    for threads in (1, 3):
        with pytest.raises(InputError, match=r"^call 7007 is at level VEL2, but vCPU 1 has no EL2$"):
            verdicts(fleet, wrong, threads=threads)


def test_registers_of_a_call_to_vel2_stay() -> None:
    fleet = mixed_fleet()
    rows = [(3, PSCI_VERSION, Conduit.HVC, 0), (4, WORKAROUND_1, Conduit.SMC, 5), (3, WORKAROUND_1, Conduit.HVC, 5)]
    vcpu, func_id, conduit, level = zip(*rows, strict=True)
    words: dict[str, Any] = {"x1": [1 << 40] * 3, "x2": [2] * 3, "x3": [3] * 3}
    found = answers(fleet, Calls.of(vcpu, func_id, conduit=conduit, level=level, **words))
    assert found.tolist() == [[PSCI_VERSION, 1 << 40, 2, 3], [WORKAROUND_1, 1 << 40, 2, 3], [0, 0, 2, 3]]
    bare = answers(fleet, Calls.of(vcpu, func_id, conduit=conduit, level=level))
    assert bare.tolist() == [[PSCI_VERSION, 0, 0, 0], [WORKAROUND_1, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("hosts", [NESTED, Host.of("7.3")])
def test_a_level_of_an_ordinary_vcpu_is_refused_by_name(hosts: Host) -> None:
    fleet = Fleet([3, 3], hosts=hosts, features=[0x4, 0x84 if hosts is NESTED else 0x4])
    level = np.zeros(3000, np.uint8)
    level[[2007, 2500]] = Level.VEL1, Level.VEL2
    calls = Calls.of(np.arange(3000) % 3, np.full(3000, PSCI_VERSION), level=level)
    out = np.full(3000, 9, np.uint8)
    for way in (calls, calls.frozen(), GroupedCalls.from_calls(calls)):
        with pytest.raises(InputError, match=r"^call 2007 is at level VEL1, but vCPU 0 has no EL2$"):
            verdicts(fleet, way, out)
        with pytest.raises(InputError, match=r"^call 2007 is at level VEL1"):
            Dispatcher(fleet).verdicts(way, out)
        with pytest.raises(InputError, match=r"^call 2007 is at level VEL1"):
            answers(fleet, way)
    assert set(out.tolist()) == {9}


def test_an_out_that_is_the_memory_of_the_levels_is_refused() -> None:
    level = np.zeros(4, np.uint8)
    with pytest.raises(InputError, match="out shares memory with level"):
        verdicts(mixed_fleet(), Calls.of([0] * 4, [PSCI_VERSION] * 4, level=level), level)


def test_the_real_el2_answers_four_calls_of_a_protected_vm() -> None:
    """Recorded: 7.3.4, whose bitmaps allowed nothing here but the first bit of each."""
    host = Host.of("7.3", kvm_arm_mode="protected")
    fleet = Fleet([1, 1], hosts=host, is_protected=[True, False])
    for index in range(4):
        fleet.set_one_reg(0x6030_0000_0016_0000 + index, 0)
    ids = [0x8600_0000, 0xC600_0002, 0xC600_0003, 0xC600_0004, WORKAROUND_1, 0x8600_0001, 0xC600_0007]
    page = 0x4000_3000
    x1, first = [9, 0, page, page, 9, 0, 0], [0x1D, 0x1000, 0, 0, 0]
    for n in (1, 30):
        calls = Calls.of([0] * 7 * n + [1] * 7, ids * (n + 1), x1=x1 * (n + 1))
        expected = [*[Verdict.FAST_PATH] * 5, *[Verdict.DENIED] * 2] * n
        assert verdicts(fleet, calls).tolist() == [*expected, *[Verdict.DENIED] * 4, Verdict.FAST_PATH, 1, 1]
        found = answers(fleet, calls)
        assert found[:5, 0].tolist() == first
        assert not found[:, 1:].any()
        assert (found[5:7, 0] == 2**64 - 1).all()
    by_smc = Calls.of([0] * 7, ids, conduit=[Conduit.SMC] * 7)
    assert verdicts(fleet, by_smc).tolist() == [Verdict.DENIED] * 7
