"""A fleet's registers and filters against one reference VM each, and its refusals."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.errors import FilterError, InputError, KvmError, RegisterError
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import Verdict
from fastsmc.fleet.filters import FilterRange
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet
from tests.support.examples import examples
from tests.support.strategies import filter_ranges, hosts, registers, words

N_VM = 5
STD_BMAP = register("STD_BMAP")
SMALL = Fleet.uniform(n_vm=2, n_vcpu=2)
selections = (
    st.integers(0, N_VM - 1) | st.builds(slice, st.integers(0, N_VM), st.integers(0, N_VM)) | st.just(slice(None))
)
operations = st.one_of(
    st.tuples(st.just("set"), selections, registers, words),
    st.tuples(st.just("filter"), selections, st.lists(filter_ranges, max_size=4)),
    st.tuples(st.just("run"), selections),
    st.tuples(st.just("suspend"), selections),
)


@examples(200)
@given(
    st.lists(hosts, min_size=N_VM, max_size=N_VM),
    st.lists(st.sampled_from([0, 4]), min_size=N_VM, max_size=N_VM),
    st.lists(operations, max_size=25),
)
def test_any_sequence_on_slices_is_that_sequence_on_each_vm(
    hosts_of_vm: list[Host],
    features: list[int],
    sequence: list[tuple],  # type: ignore[type-arg]
) -> None:
    fleet = Fleet(np.full(N_VM, 2), hosts=hosts_of_vm, host_of_vm=np.arange(N_VM), features=np.array(features))
    vms = [Vm(host, features=word, n_vcpu=2) for host, word in zip(hosts_of_vm, features, strict=True)]
    for what, selection, *rest in sequence:
        numbers = [int(n) for n in np.atleast_1d(np.arange(N_VM)[selection])]
        if what == "set":
            reg, value = rest
            expected = [vms[n].set_one_reg(1, reg, value) for n in numbers]
            assert fleet.try_set_one_reg(reg, value, vms=selection, vcpu=1).tolist() == expected
        elif what == "filter":
            expected = [[vms[n].insert_filter(r.base, r.nr_functions, int(r.action)) for r in rest[0]] for n in numbers]
            assert fleet.try_install_filter(rest[0], vms=selection).tolist() == expected
        elif what == "run":
            fleet.run_once(vms=selection)
            _ = [vms[n].run(1) for n in numbers]
        else:
            assert fleet.enable_system_suspend(vms=selection).tolist() == [
                vms[n].enable_system_suspend() for n in numbers
            ]
    fleet.check()
    for n, vm in enumerate(vms):
        assert fleet.fw_bmap[n].tolist() == vm.bitmap
        assert fleet.effective_psci_version()[n] == vm.effective_psci_version()
        installed = fleet.filters[fleet.filter_of_vm[n]]
        assert installed.ranges == tuple(sorted((first, last, int(action)) for first, last, action in vm.filter))


def test_a_refused_set_says_why_and_changes_no_vm() -> None:
    fleet = Fleet.uniform(n_vm=4, n_vcpu=2)
    fleet.run_once(vms=3)
    with pytest.raises(RegisterError, match=r"STD_BMAP = 0x0 on VM 3: the VM has run.*EBUSY") as caught:
        fleet.set_one_reg(register("STD_BMAP"), 0)
    assert caught.value.errno == 16
    assert fleet.get_one_reg(register("STD_BMAP")).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("VENDOR_HYP_BMAP", 4, r"only bits in 0x3.*EINVAL"),
        ("PSCI_VERSION", 5, r"accepted are 0x2, 0x10000.*EINVAL"),
        ("SMCCC_ARCH_WORKAROUND_3", 1, r"above the host's level 0 .*EINVAL"),
        ("SMCCC_ARCH_WORKAROUND_1", 3, r"not a level: 0, 1 and 2 are .*EINVAL"),
        ("SMCCC_ARCH_WORKAROUND_2", 2, r"above the host's level 0: 2 and 3 need a host of level 3 .*EINVAL"),
        ("SMCCC_ARCH_WORKAROUND_2", 0x13, r"not a level: .*0x12 for 2 and enabled .*EINVAL"),
    ],
)
def test_refusals_name_what_would_be_right(name: str, value: int, says: str) -> None:
    with pytest.raises(RegisterError, match=says):
        Fleet.uniform(n_vm=1, n_vcpu=1).set_one_reg(register(name), value)


def test_a_register_the_release_lacks_is_enoent() -> None:
    fleet = Fleet.uniform(n_vm=1, n_vcpu=1, host="6.12")
    for act in (fleet.get_one_reg, lambda reg: fleet.set_one_reg(reg, 0)):
        with pytest.raises(RegisterError, match=r"no such register.*ENOENT"):
            act(register("VENDOR_HYP_BMAP_2"))


def test_one_bad_range_installs_none_of_the_list() -> None:
    fleet = Fleet.uniform(n_vm=3, n_vcpu=1)
    good, bad = FilterRange(0x84000000, 16, 1), FilterRange(0x84000008, 1, 2)
    with pytest.raises(FilterError, match=r"range 0x84000008\+1 of VMs 0, 1, 2: it overlaps.*EEXIST") as caught:
        fleet.install_filter([good, bad])
    assert (caught.value.vms, caught.value.errnos) == ((0, 1, 2), (17, 17, 17))
    assert all(len(fleet.filters[f]) == 0 for f in fleet.filter_of_vm)
    fleet.install_filter(good)
    assert all(len(fleet.filters[f]) == 1 for f in fleet.filter_of_vm)


def test_equal_filters_on_many_vms_are_one_filter() -> None:
    fleet = Fleet.uniform(n_vm=10_000, n_vcpu=1)
    fleet.install_filter([FilterRange(0xC5000000 + 16 * n, 4, 1) for n in range(100)])
    assert len(fleet.filters) == 2
    assert set(fleet.filter_of_vm.tolist()) == {1}


def test_values_may_differ_by_vm() -> None:
    fleet = Fleet.uniform(n_vm=3, n_vcpu=1)
    fleet.set_one_reg(register("VENDOR_HYP_BMAP"), np.array([0, 1, 2], np.uint64))
    assert fleet.get_one_reg(register("VENDOR_HYP_BMAP")).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "act",
    [
        lambda: Fleet([], hosts=Host.of("7.3")),
        lambda: Fleet([1, 0], hosts=Host.of("7.3")),
        lambda: Fleet([1.5], hosts=Host.of("7.3")),
        lambda: Fleet([[1]], hosts=Host.of("7.3")),
        lambda: Fleet([1], hosts=Host.of("7.3"), host_of_vm=[1]),
        lambda: Fleet([1], hosts=Host.of("7.3"), features=[1, 2]),
        lambda: Fleet([1], hosts=Host.of("7.3"), features=-1),
        lambda: Fleet.uniform(n_vm=0, n_vcpu=1),
        lambda: Fleet.uniform(n_vm=1, n_vcpu=1, host="linux"),
        lambda: Fleet.uniform(n_vm=2, n_vcpu=1).set_one_reg(register("STD_BMAP"), [1, 2, 3]),
        lambda: Fleet.uniform(n_vm=2, n_vcpu=1).set_one_reg(register("STD_BMAP"), -1),
        lambda: Fleet.uniform(n_vm=2, n_vcpu=1).set_one_reg(register("STD_BMAP"), 1.0),
        lambda: Fleet.uniform(n_vm=2, n_vcpu=1).set_one_reg(register("STD_BMAP"), 1 << 64),
        lambda: Fleet.uniform(n_vm=2, n_vcpu=1).set_one_reg(register("STD_BMAP"), 1, vms=2),
        lambda: Fleet.uniform(n_vm=2, n_vcpu=1).set_one_reg(register("STD_BMAP"), 1, vms="all"),
        lambda: Fleet.uniform(n_vm=2, n_vcpu=1).set_one_reg(register("STD_BMAP"), 1, vcpu=1),
        lambda: register("STD"),
        lambda: register(None),
        lambda: Fleet([1], hosts=[]),
        lambda: Fleet([1], hosts=6.12),
        lambda: Fleet([2**63, 2**63], hosts="6.12"),
        lambda: Fleet([1, 1], hosts=["6.12", "6.1"], host_of_vm=[0, 2**63]),
        lambda: Fleet([1, 1], hosts=["6.12", "6.1"], host_of_vm=[True, 0]),
        lambda: Fleet([1, 1], hosts="6.12", features=1 << 32 | 2),
        lambda: Fleet([1, 1], hosts="6.12", features=[4, 1 << 40]),
        lambda: Fleet.uniform(n_vm=1, n_vcpu=1, host=6.12),
        lambda: Fleet.uniform(n_vm=1, n_vcpu=1, host=None),
        *[lambda n=n: Fleet.uniform(n_vm=n, n_vcpu=1) for n in (1.5, "2", float("nan"), True, 2**70, None)],
        *[lambda v=v: SMALL.try_set_one_reg(STD_BMAP, 0, vcpu=v) for v in (None, 1.0, "0", True, -1, [0])],
        *[lambda r=r: SMALL.get_one_reg(r) for r in (-1, 1 << 64, 1.5, None, True, "x")],
        *[lambda r=r: SMALL.try_set_one_reg(r, 0) for r in (-1, 1 << 64, 1.5, None, True, "x")],
        *[lambda v=v: SMALL.vcpu_init(v) for v in (-1, None, 4, True, 1.5, [0, 0])],
        *[lambda r=r: SMALL.try_install_filter(r) for r in (None, 5, [(0, 1, 1)])],
    ],
)
def test_bad_input_is_one_clear_sentence(act) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=r"\S+ \S+ \S+") as caught:
        act()
    assert "\n" not in str(caught.value)


def test_past_512_vcpus_a_vm_is_hypothetical() -> None:
    assert not Fleet.uniform(n_vm=16, n_vcpu=512).is_hypothetical
    assert "hypothetical" in repr(Fleet.uniform(n_vm=1, n_vcpu=513))


def test_an_uninitialised_vcpu_is_enoexec_before_anything_else() -> None:
    fleet = Fleet.uniform(n_vm=8, n_vcpu=2)
    fleet.is_initialised[:] = False
    fleet.vcpu_init(np.arange(0, 16, 2))
    assert fleet.try_set_one_reg(register("STD_BMAP"), 0, vms=slice(0, 2), vcpu=0).tolist() == [0, 0]
    for reg in (register("STD_BMAP"), 0, 0x6030_0000_0017_0000):
        assert fleet.try_set_one_reg(reg, 9, vms=3, vcpu=1).tolist() == [8]
    with pytest.raises(RegisterError, match=r"on VMs 0, 1, 2, 3, 4 and 3 more: its vCPU has not had.*ENOEXEC"):
        fleet.get_one_reg(register("STD_BMAP"), vcpu=1)


def test_registers_of_other_classes_are_not_guessed() -> None:
    fleet = Fleet.uniform(n_vm=1, n_vcpu=1)
    assert fleet.try_set_one_reg(0x6030_0000_0015_0000, 0).tolist() == [22]
    assert fleet.try_set_one_reg(0x4030_0000_0014_0000, 0).tolist() == [22]
    with pytest.raises(InputError, match="not a firmware register"):
        fleet.get_one_reg(0x6030_0000_0013_C020)


@pytest.mark.parametrize(
    "selection",
    [
        *(True, False, None, [[0, 1]], "0", 1.0, [0.5], slice(None, None, 0), slice("a"), 2, -1, [0, 2], 1 << 70, ...),
        *([0, 0], [True], [True, 1], {0}, np.array([True, False, True]), np.zeros(1)),
    ],
)
@pytest.mark.parametrize(
    "act",
    [
        lambda fleet, vms: fleet.get_one_reg(STD_BMAP, vms=vms),
        lambda fleet, vms: fleet.try_set_one_reg(STD_BMAP, 0, vms=vms),
        lambda fleet, vms: fleet.set_one_reg(STD_BMAP, 0, vms=vms),
        lambda fleet, vms: fleet.try_install_filter(FilterRange(0, 1, 1), vms=vms),
        lambda fleet, vms: fleet.install_filter(FilterRange(0, 1, 1), vms=vms),
        lambda fleet, vms: fleet.try_run_once(vms=vms),
        lambda fleet, vms: fleet.run_once(vms=vms),
        lambda fleet, vms: fleet.enable_system_suspend(vms=vms),
    ],
)
def test_what_selects_no_vms_is_refused_and_changes_none(act, selection) -> None:  # type: ignore[no-untyped-def]
    fleet = Fleet.uniform(n_vm=2, n_vcpu=1)
    with pytest.raises(InputError, match=r"^VM selection") as caught:
        act(fleet, selection)
    assert selection is not None or "slice(None)" in str(caught.value)
    assert not fleet.has_run_once.any()
    assert not fleet.has_system_suspend.any()
    assert (fleet.fw_bmap[:, 0].tolist(), len(fleet.filters)) == ([1, 1], 1)


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        *((1, [1]), (np.uint8(2), [2]), ((2, 0), [2, 0]), (range(2), [0, 1]), ([], []), (slice(5, 9), [])),
        *(([True, False, True], [0, 2]), (np.array([False, True, False]), [1]), (slice(None, None, -1), [2, 1, 0])),
    ],
)
def test_selections(selection: Any, numbers: list[int]) -> None:
    assert Fleet.uniform(n_vm=3, n_vcpu=1).vms(selection).tolist() == numbers


def test_a_feature_the_release_does_not_know_names_vm_and_release() -> None:
    hosts = [Host.of("7.3", kvm_arm_mode="nested"), "6.12"]
    with pytest.raises(InputError, match=r"0x84 of VM 1: KVM_ARM_VCPU_INIT of Linux 6\.12 knows bits in 0x7f \(ENOENT"):
        Fleet([1, 1], hosts=hosts, host_of_vm=[0, 1], features=0x84)
    with pytest.raises(InputError, match=r"0x84 of VM 0: KVM_ARM_VCPU_INIT of Linux 7\.3 without kvm-arm\.mode=nested"):
        Fleet([1], hosts="7.3", features=0x84)


def test_values_past_63_bits_stay_whole_in_lists() -> None:
    fleet = Fleet.uniform(n_vm=3, n_vcpu=1)
    assert fleet.try_set_one_reg(STD_BMAP, [2**63, 1, 0]).tolist() == [22, 0, 0]
    with pytest.raises(RegisterError, match=r"STD_BMAP = 0x8000000000000000 on VM 0"):
        fleet.set_one_reg(STD_BMAP, [2**63, 1, 0])
    with pytest.raises(InputError, match=r"register\('STD_BMAP'\)"):
        fleet.get_one_reg("STD_BMAP")  # type: ignore[arg-type]


def test_a_vcpu_that_was_not_initialised_cannot_run() -> None:
    fleet = Fleet.uniform(n_vm=3, n_vcpu=2)
    fleet.is_initialised[:] = False
    fleet.vcpu_init([0, 1, 3])
    with pytest.raises(KvmError, match=r"vCPU 0 of VMs 1, 2: it has not had KVM_ARM_VCPU_INIT .*ENOEXEC") as caught:
        fleet.run_once()
    assert (caught.value.vms, caught.value.errnos, caught.value.errno) == ((1, 2), (8, 8), 8)
    assert not fleet.has_run_once.any()
    assert fleet.try_run_once(vcpu=1, vms=[2, 1, 0]).tolist() == [8, 0, 0]
    assert fleet.has_run_once.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("host", "fields", "says"),
    [
        ("6.1", (0, 1, 1), r"Linux 6\.1 has no SMCCC filter: it came with 6\.4 \(KVM: EINVAL"),
        ("7.3", (0, 1, 9), r": action 9 is none of .*EINVAL"),
        ("7.3", (5, 0, 1), r": nr_functions is 0: it must be 1 or more .*EINVAL"),
        ("7.3", (0xFFFF_FFFF, 2, 1), r": it ends past 0xffffffff: .* 1 at most .*EINVAL"),
        ("7.3", (0x8000_0000, 1, 1), r": it overlaps 0x80000000-0x8000ffff, which is reserved .*EEXIST"),
        ("7.3", (7, 2, 1), r": it overlaps the installed range 0x00000008\+4 \(DENY\).*EEXIST"),
        ("6.12.111", (0, 0, 1), r"stands for all ids, so it overlaps 0x80000000.*EEXIST"),
    ],
)
def test_a_refused_range_names_the_one_reason(host: str, fields: tuple[int, int, int], says: str) -> None:
    fleet = Fleet.uniform(n_vm=1, n_vcpu=1, host=host)
    with pytest.raises(FilterError, match=says):
        fleet.install_filter([FilterRange(8, 4, 1), FilterRange(*fields)] if host != "6.1" else FilterRange(*fields))


def test_filters_that_no_vm_uses_are_not_kept() -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=1)
    before = list(fleet.filters)
    for n in range(50):
        with pytest.raises(FilterError):
            fleet.install_filter([FilterRange(4 * n, 2, 1), FilterRange(0x8000_0000, 1, 1)])
    assert fleet.filters == before
    for n in range(500):
        fleet.install_filter(FilterRange(4 * n, 2, 1), vms=n % 2)
        assert len(fleet.filters) < 100
    assert len(fleet.rows().trees.node) == 2 * (32 + 2 + 1)  # 250 ranges are 500 steps, 16 of them a leaf
    assert [len(fleet.filters[f]) for f in fleet.filter_of_vm] == [250, 250]
    assert {fleet.filters[f].ranges[0][0] for f in fleet.filter_of_vm} == {0, 4}
    fleet.install_filter(FilterRange(0x9000_0000, 1, 1))
    assert [len(fleet.filters[f]) for f in fleet.filter_of_vm] == [251, 251]
    fleet.check()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda fleet: pickle.loads(pickle.dumps(fleet))])
def test_a_copy_of_a_fleet_goes_its_own_way(copied: Callable[[Fleet], Fleet]) -> None:
    """Also where tables were built before: the copy's are built anew, on cache lines."""
    fleet = Fleet.uniform(n_vm=3, n_vcpu=2)
    fleet.install_filter(FilterRange(0x1000, 0x10, 1), vms=1)
    calls = Calls.of([0, 2, 4], [0x8400_0053, 0x1000, 0x8400_0053])
    before = verdicts(fleet, calls).tolist()
    again = copied(fleet)
    assert verdicts(again, calls).tolist() == before
    assert again.rows().lookup.ctypes.data % 64 == 0
    again.set_one_reg(register("STD_BMAP"), 0, vms=0)
    again.install_filter(FilterRange(0x2000, 0x10, 2), vms=1)
    again.check()
    assert verdicts(again, calls).tolist() == [Verdict.DENIED, *before[1:]]
    assert verdicts(fleet, calls).tolist() == before
    assert (len(fleet.filters[fleet.filter_of_vm[1]]), len(again.filters[again.filter_of_vm[1]])) == (1, 2)


@pytest.mark.parametrize(
    ("features", "told"),
    [
        (0x86, r"bit 7 \(HAS_EL2\) with bit 1 \(EL1_32BIT\): .*EINVAL"),
        (0x24, r"bit 5 \(pauth address\) without bit 6 \(generic\): .*EINVAL"),
        (0x44, r"bit 6 \(pauth generic\) without bit 5 \(address\): .*EINVAL"),
    ],
)
def test_features_that_no_such_vm_has_are_refused_by_fleet_and_reference(features: int, told: str) -> None:
    host = Host.of("7.3", kvm_arm_mode="nested")
    with pytest.raises(InputError, match=rf"features {features:#x} of VM 2: {told}"):
        Fleet([1, 1, 1], hosts=host, features=[0x4, 0x64, features])
    with pytest.raises(InputError, match=rf"features {features:#x}: {told}"):
        Vm(host, features=features)
