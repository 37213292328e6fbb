"""Fleets of ordinary guests, guests with EL2 and protected VMs: the vectorized path says what the reference says."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.answers import answers
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.dispatcher.power import switch
from fastsmc.dispatcher.prepared import Dispatcher
from fastsmc.facts.smccc import FUNCTION_BY_ID, Service
from fastsmc.facts.vcpu import RUNNABLE, STOPPED
from fastsmc.fleet.filters import FilterRange
from tests.support.examples import examples
from tests.support.guests import N_VCPU, Kind, Row, batches, fleet_of, kinds


def calls_of(rows: list[Row]) -> Calls:
    vcpu, func_id, conduit, level, x1, x2, x3 = (list(column) for column in zip(*rows, strict=True))
    return Calls.of(vcpu, func_id, conduit=conduit, level=level, x1=x1, x2=x2, x3=x3)


@examples(300)
@given(st.data(), kinds, st.sampled_from([1, 1, 4]))
def test_verdicts_answers_and_counters_are_those_of_the_reference(
    data: st.DataObject, vms: list[Kind], repeats: int
) -> None:
    rows: list[Row] = data.draw(batches(vms))
    fleet, references = fleet_of(vms), [kind.vm() for kind in vms]
    told, words = [], []
    for vcpu, func_id, conduit, level, *x in rows:
        vm = references[vcpu // N_VCPU]
        outcome = vm.call(vcpu % N_VCPU, func_id, *x, conduit=conduit, level=level)
        vm.mp_state = [RUNNABLE] * N_VCPU
        told.append(int(outcome.verdict))
        words.append(outcome.x)
    rows, told, words = rows * repeats, told * repeats, words * repeats
    calls = calls_of(rows)
    ways: list[AnyCalls] = [calls, calls.frozen(), GroupedCalls.from_calls(calls)]
    dispatcher = Dispatcher(fleet)
    for way in ways:
        assert verdicts(fleet, way).tolist() == told
        assert dispatcher.verdicts(way).tolist() == told
        assert [tuple(row) for row in answers(fleet, way).tolist()] == words
        done = dispatch(fleet, way)
        counted = Counter(
            (row[0] // N_VCPU, FUNCTION_BY_ID[row[1]].service if row[1] in FUNCTION_BY_ID else Service.UNKNOWN, verdict)
            for row, verdict in zip(rows, told, strict=True)
        )
        assert {
            key: int(done.by_vm_service[key]) for key in zip(*np.nonzero(done.by_vm_service), strict=True)
        } == counted
        assert np.array_equal(dispatch(fleet, way, by="service").by_service, done.by_service)
        assert np.array_equal(dispatch(fleet, way, by="vm").by_vm, done.by_vm)


@examples(200)
@given(st.data(), kinds, st.sets(st.integers(0, N_VCPU - 1)))
def test_power_state_is_that_of_the_reference(data: st.DataObject, vms: list[Kind], stopped: set[int]) -> None:
    rows: list[Row] = data.draw(batches(vms, max_size=25))
    power = [0x8400_0002, 0x8400_0003, 0xC400_0003, 0x8400_0004, 0x8400_0008, 0x8400_0009]
    rows = [
        (vcpu, power[func_id % 7] if func_id % 7 < 6 else func_id, conduit, level, x1 & 3, *rest)
        for vcpu, func_id, conduit, level, x1, *rest in rows
    ]
    fleet, references = fleet_of(vms), [kind.vm() for kind in vms]
    for m, vm in enumerate(references):
        for number in stopped:
            fleet.mp_state[m * N_VCPU + number] = vm.mp_state[number] = STOPPED
    ran = []
    for vcpu, func_id, conduit, level, *x in rows:
        vm = references[vcpu // N_VCPU]
        ran.append(vm.mp_state[vcpu % N_VCPU] != STOPPED)
        if ran[-1]:
            vm.call(vcpu % N_VCPU, func_id, *x, conduit=conduit, level=level)
    calls = calls_of(rows)
    switched = switch(fleet, calls, verdicts(fleet, calls))
    assert switched.ran.tolist() == ran
    assert fleet.mp_state.tolist() == [state for vm in references for state in vm.mp_state]


@examples(200)
@given(kinds, st.booleans())
def test_what_vms_refuse_is_what_the_reference_refuses(vms: list[Kind], runs: bool) -> None:
    fleet, references = fleet_of(vms), [kind.vm() for kind in vms]
    if runs:
        assert fleet.try_run_once().tolist() == [vm.run(0) for vm in references]
        assert fleet.has_run_once.tolist() == [vm.has_run_once for vm in references]
    new = FilterRange(0xC200_0000, 3, 1)
    expected = [vm.insert_filter(new.base, new.nr_functions, int(new.action)) for vm in references]
    assert fleet.try_install_filter(new)[:, 0].tolist() == expected
    assert fleet.enable_system_suspend().tolist() == [vm.enable_system_suspend() for vm in references]
    for reg, value in ((0x6030_0000_0016_0002, 1), (0x6030_0000_0014_0000, 0x10001)):
        assert fleet.try_set_one_reg(reg, value).tolist() == [vm.set_one_reg(0, reg, value) for vm in references]
