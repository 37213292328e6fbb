"""Registers per vCPU against one reference VM each, and the asymmetry report against a loop over vCPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import dispatch
from fastsmc.errors import InputError, KvmError, RegisterError
from fastsmc.facts.registers import FW_BY_NAME, register
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTIONS, Conduit, FilterAction
from fastsmc.fleet.filters import FilterRange
from fastsmc.reference.vm import Vm
from fastsmc.scopes import PerVcpuFleet, asymmetric, calls_that_differ, differing_answers, differing_calls, split
from fastsmc.scopes.per_vcpu import STATE
from fastsmc.vm import Fleet
from tests.support.examples import examples
from tests.support.strategies import filter_ranges, func_ids, hosts, registers, words

SHAPE = (3, 1, 4)
"""vCPUs of the VMs of a small fleet."""
PLACES = [(vm, vcpu) for vm, count in enumerate(SHAPE) for vcpu in range(count)]
STATE_REGISTERS = [FW_BY_NAME[name].reg for name in STATE]
STD_BMAP, PSCI_VERSION = register("STD_BMAP"), register("PSCI_VERSION")

likely_sets = st.tuples(st.just("set"), st.sampled_from(PLACES), st.sampled_from(STATE_REGISTERS), words)
operations = st.one_of(
    likely_sets,
    st.tuples(st.just("set"), st.sampled_from(PLACES), registers, words),
    st.tuples(st.just("run"), st.sampled_from(PLACES)),
)
fleets = st.tuples(
    st.lists(hosts, min_size=len(SHAPE), max_size=len(SHAPE)),
    st.lists(st.sampled_from([0, 4, 6]), min_size=len(SHAPE), max_size=len(SHAPE)),
    st.lists(filter_ranges, max_size=3),
    st.sets(st.integers(0, len(SHAPE) - 1)),
)
Drawn = tuple[list[Host], list[int], list[FilterRange], set[int]]


def built(drawn: Drawn, sequence: list[tuple[Any, ...]]) -> tuple[PerVcpuFleet, list[Vm]]:
    """A per-vCPU model and a reference VM for each vCPU, after the same ioctls; every errno is compared."""
    hosts_of_vm, features, ranges, suspending = drawn
    fleet = Fleet(SHAPE, hosts=hosts_of_vm, host_of_vm=np.arange(len(SHAPE)), features=np.array(features))
    fleet.try_install_filter(ranges)
    fleet.enable_system_suspend(vms=sorted(suspending)) if suspending else None
    vms = split(fleet)
    guests = [Vm(hosts_of_vm[vm], features=features[vm]) for vm, _ in PLACES]
    for guest, (vm, _) in zip(guests, PLACES, strict=True):
        for new in ranges:
            guest.insert_filter(new.base, new.nr_functions, int(new.action))
        if vm in suspending:
            guest.enable_system_suspend()
    for what, (vm, vcpu), *rest in sequence:
        if what == "set":
            expected = guests[PLACES.index((vm, vcpu))].set_one_reg(0, *rest)
            assert vms.try_set_one_reg(*rest, vms=vm, vcpu=vcpu).tolist() == [expected]
        else:
            vms.run_once(vms=vm)
            for guest, (owner, _) in zip(guests, PLACES, strict=True):
                if owner == vm:
                    guest.run(0)
    return vms, guests


batches = st.lists(
    st.tuples(st.integers(0, len(PLACES) - 1), func_ids, st.sampled_from(list(Conduit))), min_size=1, max_size=40
)


def calls_of(batch: list[tuple[int, int, Conduit]]) -> Calls:
    vcpu, func_id, conduit = zip(*batch, strict=True)
    return Calls.of(vcpu, func_id, conduit=[int(c) for c in conduit])


@examples(150)
@given(fleets, st.lists(operations, max_size=15), batches)
def test_each_vcpu_is_a_reference_vm_of_its_own(
    drawn: Drawn, sequence: list[tuple[Any, ...]], batch: list[tuple[int, int, Conduit]]
) -> None:
    vms, guests = built(drawn, sequence)
    assert vms.values().tolist() == [[guest.effective_psci_version(), *guest.bitmap] for guest in guests]
    expected = [int(guests[vcpu].call(0, func_id, conduit=conduit).verdict) for vcpu, func_id, conduit in batch]
    assert vms.verdicts(calls_of(batch)).tolist() == expected
    first = [guests[PLACES.index((PLACES[vcpu][0], 0))] for vcpu, _, _ in batch]
    by_vcpu_0 = [
        int(g.call(0, func_id, conduit=conduit).verdict) for g, (_, func_id, conduit) in zip(first, batch, strict=True)
    ]
    differ = [c for c, (own, other) in enumerate(zip(expected, by_vcpu_0, strict=True)) if own != other]
    assert calls_that_differ(vms, calls_of(batch)).tolist() == differ


@examples(60)
@given(fleets, st.lists(likely_sets, min_size=1, max_size=12))
def test_the_report_finds_what_a_loop_over_vcpus_finds(drawn: Drawn, sequence: list[tuple[Any, ...]]) -> None:
    vms, guests = built(drawn, sequence)
    state = [(guest.effective_psci_version(), *guest.bitmap) for guest in guests]
    registers_found, calls_found, answers_found = set(), set(), set()
    for vm, count in enumerate(SHAPE):
        mine = [PLACES.index((vm, vcpu)) for vcpu in range(count)]
        for column, name in enumerate(STATE):
            held = [state[i][column] for i in mine]
            bits = 0
            for one in held:
                bits |= one ^ held[0]
            if bits:
                registers_found.add((vm, name, bits, tuple(held)))
        for row in FUNCTIONS:
            for conduit in (Conduit.HVC, Conduit.SMC):
                got = [guests[i].call(0, row.func_id, conduit=conduit).verdict for i in mine]
                if len(set(got)) > 1:
                    calls_found.add((vm, row.func_id, conduit, tuple(got)))
            if row.name in ("PSCI_VERSION", "PSCI_FEATURES", "SMCCC_ARCH_FEATURES", "VENDOR_HYP_FEATURES"):
                # Whatever may be asked: every function a guest could ask about.
                for x1 in (0, *(asked.func_id for asked in FUNCTIONS)):
                    told = [guests[i].call(0, row.func_id, x1) for i in mine]
                    if len({t.verdict for t in told}) == 1 and len({t.x for t in told}) > 1:
                        answers_found.add((vm, row.name, tuple(t.x for t in told)))
    report = asymmetric(vms)

    def spread(groups: Any, count: int) -> tuple[Any, ...]:
        out = [None] * count
        for value, runs in groups:
            for run in runs:
                for vcpu in run:
                    assert out[vcpu] is None, "a vCPU is in one group"
                    out[vcpu] = value
        return tuple(out)

    differences = [d for vm in range(len(SHAPE)) for d in report.differences(vm)]
    assert {(d.vm, d.register, d.bits, spread(d.groups, SHAPE[d.vm])) for d in differences} == registers_found
    assert report.vms.tolist() == sorted({vm for vm, *_ in registers_found})
    calls = differing_calls(vms)
    assert {(c.vm, c.func_id, c.conduit, spread(c.groups, SHAPE[c.vm])) for c in calls} == calls_found
    answers = differing_answers(vms)
    assert {(a.vm, a.name, spread(a.groups, SHAPE[a.vm])) for a in answers} == answers_found
    for difference in differences:
        assert f"VM {difference.vm}: {difference}" in str(report)
    assert {c.name for c in calls} | {a.name for a in answers} <= set(
        str(report).replace(",", " ").replace("(", " ").split()
    )


@examples(60)
@given(fleets, st.lists(st.tuples(st.sampled_from(STATE_REGISTERS), words), max_size=8), batches)
def test_vcpus_that_are_set_alike_are_a_vm_global_fleet(
    drawn: Drawn, sets: list[tuple[int, int]], batch: list[tuple[int, int, Conduit]]
) -> None:
    vms, _ = built(drawn, [])
    hosts_of_vm, features, ranges, suspending = drawn
    fleet = Fleet(SHAPE, hosts=hosts_of_vm, host_of_vm=np.arange(len(SHAPE)), features=np.array(features))
    fleet.try_install_filter(ranges)
    fleet.enable_system_suspend(vms=sorted(suspending)) if suspending else None
    for reg, value in sets:
        of_vm = fleet.try_set_one_reg(reg, value)
        assert vms.try_set_one_reg(reg, value).tolist() == np.repeat(of_vm, SHAPE).tolist()
    report = asymmetric(vms)
    assert (len(report), differing_calls(vms), differing_answers(vms)) == (0, (), ())
    assert str(report) == "0 of 3 VMs are asymmetric (modelled: KVM has no such state)"
    calls = calls_of(batch)
    assert vms.verdicts(calls).tolist() == dispatch(fleet, calls).verdict.tolist()
    assert calls_that_differ(vms, calls).size == 0


def test_the_report_reads_as_a_sentence() -> None:
    vms = split(Fleet.uniform(n_vm=4, n_vcpu=64))
    vms.set_one_reg(STD_BMAP, 0, vms=3, vcpu=63)
    vms.set_one_reg(register("VENDOR_HYP_BMAP_2"), 1, vms=1, vcpu=2)
    vms.set_one_reg(PSCI_VERSION, 0x10002, vms=0, vcpu=0)
    trng = "TRNG_VERSION, TRNG_FEATURES, TRNG_GET_UUID, TRNG_RND32 and TRNG_RND64"
    assert str(asymmetric(vms)).splitlines() == [
        "3 of 4 VMs are asymmetric (modelled: KVM has no such state)",
        "VM 0: PSCI_VERSION is 0x10002 on vCPU 0, 0x10003 on 1-63: PSCI_SYSTEM_OFF2 and PSCI_SYSTEM_OFF2_64 are "
        "NOT_SUPPORTED or EXIT depending on the vCPU",
        "VM 0: PSCI_VERSION answers 0x10002 or 0x10003 in x0, PSCI_FEATURES(PSCI_SYSTEM_OFF2) answers -1 or 0x1 in x0, "
        "depending on the vCPU",
        "VM 1: VENDOR_HYP_BMAP_2 is 0x0 on vCPUs 0-1,3-63, 0x1 on 2: no verdict depends on it",
        "VM 1: VENDOR_HYP_FEATURES answers 0x0 or 0x1 in x2, depending on the vCPU",
        f"VM 3: STD_BMAP is 0x1 on vCPUs 0-62, 0x0 on 63: {trng} are HANDLED or DENIED depending on the vCPU",
    ]


def test_a_report_keeps_what_it_saw_and_stays_short() -> None:
    vms = split(Fleet.uniform(n_vm=30, n_vcpu=513))
    vms.set_one_reg(STD_BMAP, np.arange(30 * 513) % 2)
    report = asymmetric(vms)
    before = str(report)
    vms.set_one_reg(STD_BMAP, 1)
    assert (str(report), len(report), len(asymmetric(vms))) == (before, 30, 0)
    assert report.differences(7)[0].bits == 1
    lines = before.splitlines()
    assert (len(lines), lines[-1]) == (22, "and 10 VMs more")
    assert "hypothetical: more than 512 vCPUs in a VM" in lines[0]
    assert "0x0 on vCPUs 0,2,4,6,8,10,12,14 and 249 more, 0x1 on 1,3," in lines[1]


def test_before_6_4_only_hvc_depends_on_the_vcpu() -> None:
    vms = split(Fleet.uniform(n_vm=1, n_vcpu=2, host="6.1"))
    vms.set_one_reg(register("STD_HYP_BMAP"), 0, vcpu=1)
    assert {call.conduit for call in differing_calls(vms)} == {Conduit.HVC}
    assert "PV_TIME_FEATURES and PV_TIME_ST by HVC are HANDLED or DENIED depending on the vCPU" in str(asymmetric(vms))


def test_a_filter_hides_an_asymmetry_from_calls() -> None:
    fleet = Fleet.uniform(n_vm=1, n_vcpu=2)
    fleet.install_filter(FilterRange(0x8400_0050, 4, FilterAction.DENY))
    vms = split(fleet)
    vms.set_one_reg(STD_BMAP, 0, vcpu=0)
    assert [(call.name, call.conduit.name) for call in differing_calls(vms)] == [
        ("TRNG_RND64", "HVC"),
        ("TRNG_RND64", "SMC"),
    ]


def test_one_first_run_freezes_all_vcpus_of_the_vm_and_a_split_copies_a_freeze() -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=3)
    fleet.run_once(vms=0)
    vms = split(fleet)
    vms.run_once(vms=1)
    with pytest.raises(RegisterError, match=r"STD_BMAP on vCPU 2 of VM 1: the VM has run.*EBUSY") as caught:
        vms.set_one_reg(STD_BMAP, 0, vms=1, vcpu=2)
    assert (caught.value.errno, list(caught.value.vms)) == (16, [1])
    assert vms.try_set_one_reg(STD_BMAP, 0, vms=0).tolist() == [16, 16, 16]
    assert vms.try_set_one_reg(PSCI_VERSION, 0x10001, vms=0, vcpu=1).tolist() == [0]
    assert vms.get_one_reg(PSCI_VERSION, vms=0).tolist() == [0x10003, 0x10001, 0x10003]
    assert fleet.get_one_reg(PSCI_VERSION).tolist() == [0x10003, 0x10003], "a split is a copy"


def test_a_refused_set_changes_no_vcpu_and_a_get_names_its_vcpu() -> None:
    old, new = (Host(release(name)) for name in ("6.12", "7.3"))
    vms = split(Fleet([2, 2], hosts=[new, old], host_of_vm=[0, 1]))
    with pytest.raises(RegisterError, match=r"SET_ONE_REG VENDOR_HYP_BMAP_2 on vCPU 0 of VM 1: Linux 6.12 has no such"):
        vms.set_one_reg(register("VENDOR_HYP_BMAP_2"), 1)
    assert not vms.values()[:, 4].any()
    with pytest.raises(RegisterError, match=r"GET_ONE_REG VENDOR_HYP_BMAP_2 on vCPU 1 of VM 1: .*ENOENT"):
        vms.get_one_reg(register("VENDOR_HYP_BMAP_2"), vms=[0, 1], vcpu=1)


SMALL = Fleet.uniform(n_vm=2, n_vcpu=2)


@pytest.mark.parametrize(
    "act",
    [
        lambda: split(SMALL).set_one_reg(STD_BMAP, 0, vms=2),
        lambda: split(SMALL).set_one_reg(STD_BMAP, 0, vcpu=2),
        lambda: split(SMALL).set_one_reg(STD_BMAP, 0, vcpu=-1),
        lambda: split(SMALL).set_one_reg(STD_BMAP, [0, 0, 0]),
        lambda: split(SMALL).set_one_reg(STD_BMAP, -1),
        lambda: split(SMALL).set_one_reg(STD_BMAP, 1.5),
        lambda: split(SMALL).verdicts(Calls.of([4], [0])),
        lambda: calls_that_differ(split(SMALL), Calls.of([4], [0])),
        lambda: differing_calls(split(SMALL), vms=2),
    ],
)
def test_bad_input_is_one_clear_sentence(act: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"\S+ \S+ \S+") as caught:
        act()
    assert "\n" not in str(caught.value)


def test_an_uninitialised_vcpu_freezes_no_vm() -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=2)
    fleet.is_initialised[2] = False
    vms = split(fleet)
    with pytest.raises(KvmError, match=r"vCPU 0 of VM 1: it has not had.*ENOEXEC") as caught:
        vms.run_once()
    assert (caught.value.vms, vms.holders.has_run_once.any()) == ((1,), np.False_)
    vms.run_once(vms=1, vcpu=1)
    assert vms.holders.has_run_once.tolist() == [False, False, True, True]


def test_a_refusal_looks_at_the_refused_value() -> None:
    vms = split(Fleet.uniform(n_vm=1, n_vcpu=3))
    with pytest.raises(RegisterError, match=r"on vCPU 1 of VM 0: not a level"):
        vms.set_one_reg(register("SMCCC_ARCH_WORKAROUND_1"), [1, 9, 2])
