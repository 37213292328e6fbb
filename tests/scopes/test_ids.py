"""Register ids with and without series v4's scope bit, and the switch between the scopes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import dispatch
from fastsmc.errors import InputError, RegisterError
from fastsmc.facts.registers import FW_REGISTERS, register
from fastsmc.facts.smccc import FUNCTIONS
from fastsmc.reference.vm import Vm
from fastsmc.scopes import Marked, Scope, ScopedFleet, model, plain_id, scoped_id
from fastsmc.vm import Fleet
from tests.support.strategies import RELEASES

STD_BMAP, PSCI_VERSION = register("STD_BMAP"), register("PSCI_VERSION")


def test_bit_28_makes_an_id_unknown_to_kvm_as_it_is() -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=2)
    today = model(fleet, Scope.VM_GLOBAL)
    assert isinstance(today, ScopedFleet)
    assert today.enable_reg_scope().tolist() == [22, 22]
    for row in FW_REGISTERS:
        assert today.try_set_one_reg(scoped_id(row.reg), 0).tolist() == [2, 2]
        assert Vm(fleet.hosts[0]).set_one_reg(0, scoped_id(row.reg), 0) == 2
    with pytest.raises(RegisterError, match=r"0x6030000010160000 on VM 0: KVM_CAP_ARM_REG_SCOPE \(210\).*ENOENT"):
        today.set_one_reg(scoped_id(STD_BMAP), 0)
    assert today.get_one_reg(STD_BMAP, vcpu=1).tolist() == [1, 1]
    assert today.reg_list(0).tolist() == [row.reg for row in FW_REGISTERS]


def test_with_the_capability_the_list_marks_and_both_ids_work_on_any_vcpu() -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=2)
    v4 = ScopedFleet(fleet)
    fleet.run_once(vms=0)
    assert v4.enable_reg_scope(vms=0).tolist() == [0], "at any time: v4 checks nothing"
    marked = {plain_id(reg) for reg in v4.reg_list(0).tolist() if reg != plain_id(reg)}
    names = {"SMCCC_ARCH_WORKAROUND_1", "SMCCC_ARCH_WORKAROUND_2", "STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP"}
    assert marked == {register(name) for name in names}
    assert v4.reg_list(1).tolist() == [row.reg for row in FW_REGISTERS]
    for row in FW_REGISTERS:
        both = [
            v4.get_one_reg(reg, vms=0, vcpu=vcpu).tolist() for reg in (row.reg, scoped_id(row.reg)) for vcpu in (0, 1)
        ]
        assert both == [both[0]] * 4, "PSCI_VERSION too, though it is not marked"
    assert v4.try_set_one_reg(scoped_id(STD_BMAP), [0, 0]).tolist() == [16, 2]
    v4.set_one_reg(scoped_id(PSCI_VERSION), 0x10000, vms=0, vcpu=1)
    assert fleet.effective_psci_version().tolist() == [0x10000, 0x10003], "it acts on the fleet, on the whole VM"
    v4.enable_reg_scope()
    v4.set_one_reg(scoped_id(STD_BMAP), 0, vms=1)
    assert v4.verdicts(Calls.of([0, 2, 3], [0x8400_0053] * 3)).tolist() == [0, 1, 1]
    assert v4.try_set_one_reg(scoped_id(0x6030_0000_0014_00FF), 0).tolist() == [2, 2]


@pytest.mark.parametrize(("marked", "count"), [(Marked.V4, 5), (Marked.FIRMWARE, 8), (Marked.DECLARED, 8)])
def test_the_list_marks_what_was_chosen(marked: Marked, count: int) -> None:
    vms = ScopedFleet(Fleet.uniform(n_vm=1, n_vcpu=1), marked=marked)
    vms.enable_reg_scope()
    assert np.count_nonzero(vms.reg_list(0) & np.uint64(0x1000_0000)) == count


@pytest.mark.parametrize("name", RELEASES)
def test_the_switch_answers_calls_alike_until_vcpus_differ(name: str) -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=3, host=name)
    known = [f.func_id for f in FUNCTIONS]
    calls = Calls.of(np.tile(np.arange(6), len(known)), np.repeat(known, 6))
    expected = dispatch(fleet, calls).verdict.tolist()
    for scope in Scope:
        vms = model(fleet, scope)
        vms.run_once()
        assert vms.verdicts(calls).tolist() == expected
        assert str(scope) in repr(vms)


SMALL = Fleet.uniform(n_vm=2, n_vcpu=2)


@pytest.mark.parametrize(
    "act",
    [
        lambda: model(SMALL, "per CPU"),
        lambda: ScopedFleet(SMALL, Scope.PER_VCPU),
        lambda: ScopedFleet(SMALL, marked="some"),
        lambda: ScopedFleet(SMALL).try_set_one_reg(scoped_id(STD_BMAP), [0, 0, 0]),
        lambda: ScopedFleet(SMALL).get_one_reg(scoped_id(STD_BMAP), vcpu=2),
        lambda: ScopedFleet(SMALL).reg_list(2),
    ],
)
def test_bad_input_is_one_clear_sentence(act: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"\S+ \S+ \S+") as caught:
        act()
    assert "\n" not in str(caught.value)
