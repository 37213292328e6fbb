"""The columns that tell kinds of guest: what a fleet takes, refuses and keeps."""

from __future__ import annotations

import copy
import pickle
from errno import EAGAIN, EINVAL, ENOEXEC
from typing import Any

import numpy as np
import pytest

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.errors import FilterError, InputError, KvmError
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import Verdict
from fastsmc.fleet.filters import FilterRange
from fastsmc.scopes.per_vcpu import split
from fastsmc.vm import Fleet

NESTED = Host.of("6.18", kvm_arm_mode="nested")
PROTECTED = Host.of("7.3", kvm_arm_mode="protected")


@pytest.mark.parametrize(
    ("hosts", "keys", "told"),
    [
        ([NESTED, "6.18"], {"features": 0x84}, r"features 0x84 of VM 1: .* without kvm-arm\.mode=nested .* EINVAL"),
        ([NESTED, "6.12"], {"features": 0x104}, r"features 0x104 of VM 1: .* knows bits in 0x7f \(ENOENT\)"),
        ([NESTED, NESTED], {"features": [0x84, 0x86]}, r"features 0x86 of VM 1: .*AArch64 vCPUs only \(EINVAL\)"),
        ([PROTECTED, "7.3"], {"is_protected": True}, r"of VM 1: KVM_CREATE_VM .* without kvm-arm\.mode=protected"),
        ([PROTECTED, NESTED], {"is_protected": [True, True]}, r"of VM 1: KVM_CREATE_VM of Linux 6\.18 refuses a prot"),
        (
            [PROTECTED, PROTECTED],
            {"is_protected": [False, True], "features": 0xC},
            r"features 0xc of VM 1: a protected",
        ),
        (["7.3", "7.3"], {"is_protected": 1}, r"is_protected must be True or False, or 2 of them, one per VM; got int"),
        (["7.3", "7.3"], {"is_protected": [True]}, r"is_protected must be .*; got bool\[1\]"),
        (["7.3", "7.3"], {"has_gic": [[True], []]}, r"has_gic is not an array of True and False"),
        (["7.3", "7.3"], {"has_gic": "yes"}, r"has_gic must be True or False"),
    ],
)
def test_what_a_host_has_not_is_refused_with_the_vm_and_the_errno(hosts: Any, keys: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Fleet([1, 1], hosts=hosts, host_of_vm=[0, 1], **keys)


def test_the_first_vm_that_is_refused_is_named() -> None:
    features = np.full(1000, 0x84)
    features[[700, 900, 950]] = 0x86, 0x24, 0x86
    with pytest.raises(InputError, match=r"features 0x86 of VM 700:"):
        Fleet(np.ones(1000, int), hosts=NESTED, features=features)
    features[700] = 0x184  # with E2H0, and E2H0 alone, are VMs
    with pytest.raises(InputError, match=r"features 0x24 of VM 900:"):
        Fleet(np.ones(1000, int), hosts=NESTED, features=features)


def test_a_protected_vm_beside_ordinary_ones_of_its_host_is_looked_at() -> None:
    with pytest.raises(InputError, match=r"features 0x4 of VM 2: KVM_CREATE_VM .* refuses a protected VM"):
        Fleet([1, 1, 1], hosts="7.3", is_protected=[False, False, True])


def test_copies_and_pickles_keep_the_kind_of_guest() -> None:
    fleet = Fleet(
        [1, 1], hosts=[PROTECTED, NESTED], host_of_vm=[0, 1], features=[0x4, 0x84], is_protected=[True, False]
    )
    calls = Calls.of([0, 1], [0xC600_0002, 0xC600_0002])
    for one in (fleet, copy.deepcopy(fleet), pickle.loads(pickle.dumps(fleet)), split(fleet)):
        told = one.verdicts(calls) if not isinstance(one, Fleet) else verdicts(one, calls)
        assert told.tolist() == [Verdict.FAST_PATH, Verdict.TO_VEL2]
    assert pickle.loads(pickle.dumps(fleet)).is_protected.tolist() == [True, False]
    fleet.check()


def test_vms_of_the_same_policy_but_the_type_are_told_apart() -> None:
    fleet = Fleet.uniform(n_vm=3, n_vcpu=1, host=PROTECTED, is_protected=[False, True, False])
    told = verdicts(fleet, Calls.one_each(0xC600_0003, n_vcpu=3))
    assert told.tolist() == [Verdict.DENIED, Verdict.FAST_PATH, Verdict.DENIED]


def test_vcpus_with_el2_run_with_a_gic_only() -> None:
    fleet = Fleet([2, 2, 2, 2], hosts=NESTED, features=[0x84, 0x84, 0x104, 0x4], has_gic=[True, False, False, False])
    fleet.is_initialised[2] = False
    assert fleet.try_run_once(vcpu=1).tolist() == [0, EAGAIN, 0, 0]
    assert fleet.has_run_once.tolist() == [True, False, True, True]
    assert fleet.try_run_once().tolist() == [0, ENOEXEC, 0, 0]
    for one in (fleet, split(fleet)):
        with pytest.raises(
            KvmError, match=r"KVM_RUN of vCPU 1 of VM 1: a vCPU with EL2 needs an in-kernel GIC"
        ) as told:
            one.run_once(vcpu=1)
        assert (told.value.errno, told.value.vms, told.value.errnos) == (EAGAIN, (1,), (EAGAIN,))
    with pytest.raises(KvmError, match=r"it has not had KVM_ARM_VCPU_INIT"):
        fleet.run_once()


def test_a_protected_vm_has_neither_filter_nor_capability() -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=1, host=PROTECTED, is_protected=[True, False])
    new = FilterRange(0xC600_0002, 1, 2)
    with pytest.raises(FilterError, match=r"of VM 0: a protected VM has no SMCCC filter") as told:
        fleet.install_filter(new)
    assert (told.value.errno, told.value.vms) == (EINVAL, (0,))
    fleet.run_once()
    assert fleet.try_install_filter(new)[:, 0].tolist() == [EINVAL, 16]  # EBUSY
    assert fleet.enable_system_suspend().tolist() == [EINVAL, 0]
    assert fleet.has_system_suspend.tolist() == [False, True]
