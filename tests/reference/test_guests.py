"""Guests with EL2 and protected VMs: rules as the documents and the findings state them, one by one.

What real kernels did is compared record by record in tests/verification.
"""

from __future__ import annotations

from errno import EAGAIN, EINVAL, ENOEXEC
from itertools import product

import pytest

from fastsmc.errors import InputError
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import FUNCTIONS, Conduit, FilterAction, Gate, Level, Verdict
from fastsmc.facts.vcpu import RUNNABLE, STOPPED
from fastsmc.reference.state import MASK64, OK, Start, Taken
from fastsmc.reference.vm import Vm

NESTED = Host.of("6.18", kvm_arm_mode="nested", workaround=(2, 0, 2))
PROTECTED = Host.of("7.3", kvm_arm_mode="protected")
EL2, EL2_E2H0 = 0x84, 0x184
HVCS, SMCS = (Conduit.HVC, Conduit.HVC_IMM), (Conduit.SMC, Conduit.SMC_IMM)
FROM_VEL2, FROM_VEL1 = (Level.EL1, Level.VEL2, Level.VEL2_TSC), (Level.VEL1, Level.VEL1_TSC)
FAST = [one.func_id for one in FUNCTIONS if one.gate is Gate.FAST_PATH]
IDS = sorted({*(one.func_id for one in FUNCTIONS), 0, 0xFFFF_FFFF, 0x8200_0000, 0x8400_001E, 0x8600_DEAD})


def guest(features: int = EL2, n_vcpu: int = 2) -> Vm:
    return Vm(NESTED, features=features, n_vcpu=n_vcpu)


def protected() -> Vm:
    return Vm(PROTECTED, is_protected=True)


@pytest.mark.parametrize("features", [EL2, EL2_E2H0, 0x80])
@pytest.mark.parametrize("conduit", HVCS)
def test_every_hvc_but_the_fast_path_goes_to_the_guests_own_el2(features: int, conduit: Conduit) -> None:
    vm = guest(features)
    vm.insert_filter(0x8600_0000, 0x10000, FilterAction.FWD_TO_USER)
    vm.set_one_reg(0, register("STD_BMAP"), 0)
    for func_id, level in product(IDS, (*FROM_VEL2, *FROM_VEL1)):
        outcome = vm.call(0, func_id, 1, 2, 3, conduit, level)
        if func_id in FAST:
            assert (outcome.verdict, outcome.x, outcome.exception) == (Verdict.FAST_PATH, (0, 0, 2, 3), None)
        else:
            assert (outcome.verdict, outcome.x) == (Verdict.TO_VEL2, (func_id, 1, 2, 3))
            assert outcome.exception == Taken(0x400 if level in FROM_VEL1 else 0x200, 0x5A00_0000, 4)
            assert (outcome.exit, outcome.blocks, outcome.starts) == (None, False, None)
    assert vm.mp_state == [RUNNABLE, RUNNABLE], "PSCI has no part in it"


@pytest.mark.parametrize("conduit", SMCS)
def test_an_smc_gets_the_answer_of_an_ordinary_vcpu_whichever_level_makes_it(conduit: Conduit) -> None:
    for func_id, level in product(IDS, (Level.EL1, Level.VEL2, Level.VEL2_TSC, Level.VEL1)):
        ordinary, vm = Vm(NESTED, n_vcpu=2), guest()
        for one in (ordinary, vm):
            one.mp_state[1] = STOPPED
            one.insert_filter(0x8600_0000, 0x10000, FilterAction.FWD_TO_USER)
        mine, other = (
            vm.call(0, func_id, 1, 0x4000, 7, conduit, level),
            ordinary.call(0, func_id, 1, 0x4000, 7, conduit),
        )
        if mine.starts is not None and other.starts is not None:
            assert (mine.starts, other.starts) == (Start(1, 0x3C9, 0x4000, 7), Start(1, 0x3C5, 0x4000, 7))
            assert (mine.verdict, mine.x) == (other.verdict, other.x)
        else:
            assert mine == other
        assert vm.mp_state == ordinary.mp_state


@pytest.mark.parametrize("conduit", SMCS)
def test_tsc_takes_every_smc_of_vel1_before_the_filter(conduit: Conduit) -> None:
    vm = guest()
    vm.insert_filter(0x8600_0000, 0x10000, FilterAction.FWD_TO_USER)
    for func_id in IDS:
        outcome = vm.call(0, func_id, 1, 2, 3, conduit, Level.VEL1_TSC)
        assert (outcome.verdict, outcome.x) == (Verdict.TO_VEL2, (func_id, 1, 2, 3))
        assert outcome.exception == Taken(0x400, 0x5E00_0000, 0)


def test_all_64_bits_of_x0_are_kept_where_the_guests_own_el2_takes_the_call() -> None:
    assert guest().call(0, 0xDEAD_8400_0000).x[0] == 0xDEAD_8400_0000
    assert guest().call(0, 0xDEAD_8000_8000).verdict is Verdict.FAST_PATH


@pytest.mark.parametrize("level", [Level.VEL1, Level.VEL2, Level.VEL1_TSC, Level.VEL2_TSC])
@pytest.mark.parametrize("features", [0x4, 0x104])
def test_a_guest_without_el2_has_one_level(features: int, level: Level) -> None:
    vm = Vm(NESTED, features=features)
    with pytest.raises(InputError, match=rf"^level {level.name} of a vCPU without EL2: its calls come from EL1"):
        vm.call(0, 0x8400_0000, level=level)
    assert vm.call(0, 0x8400_0000, level=Level.EL1).verdict is Verdict.HANDLED


@pytest.mark.parametrize("level", [3, 4, -1, "VEL1", None])
def test_a_level_that_is_none_is_one_sentence(level: object) -> None:
    with pytest.raises(InputError, match=r"^level is .*: it must be one of Level\.EL1, Level\.VEL1, "):
        guest().call(0, 0x8400_0000, level=level)  # type: ignore[arg-type]


@pytest.mark.parametrize(("features", "pstate"), [(0x4, 0x3C5), (0x104, 0x3C5), (EL2, 0x3C9), (EL2_E2H0, 0x3C9)])
def test_a_vcpu_starts_at_the_highest_level_it_has(features: int, pstate: int) -> None:
    vm = guest(features)
    vm.mp_state[1] = STOPPED
    assert vm.start_pstate == pstate
    outcome = vm.call(0, 0xC400_0003, 1, 0x4000_0000, 0x77, Conduit.SMC)
    assert (outcome.x[0], outcome.starts) == (0, Start(1, pstate, 0x4000_0000, 0x77))
    assert vm.call(0, 0xC400_0003, 1, 0x4000_0000, 0x77, Conduit.SMC).starts is None, "it is on"


def test_an_aarch32_vcpu_starts_in_supervisor_mode_with_narrow_words() -> None:
    vm = Vm(Host.of("6.18"), features=0x6, n_vcpu=2)
    vm.mp_state[1] = STOPPED
    assert vm.call(0, 0x8400_0003, 1, 1 << 32 | 4, 1 << 32 | 5).starts == Start(1, 0x1D3, 4, 5)


def test_no_vcpu_with_el2_runs_without_a_gic_and_nothing_is_frozen() -> None:
    vm = Vm(NESTED, features=EL2, has_gic=False)
    vm.is_initialised[0] = False
    assert vm.run(0) == ENOEXEC
    vm.vcpu_init(0)
    assert (vm.run(0), vm.run(0, immediate_exit=True), vm.has_run_once) == (EAGAIN, EAGAIN, False)
    assert vm.set_one_reg(0, register("STD_BMAP"), 0) == OK
    assert (guest().run(0), Vm(NESTED, has_gic=False).run(0)) == (OK, OK)


@pytest.mark.parametrize(
    ("release", "mode", "features", "sentence"),
    [
        ("6.12", "nested", 0x84, r"features 0x84: KVM_ARM_VCPU_INIT of Linux 6\.12 knows bits in 0x7f \(ENOENT\)"),
        ("6.18", "default", 0x84, r"features 0x84: .* without kvm-arm\.mode=nested refuses bit 7 .* with EINVAL"),
        ("7.3", "protected", 0x84, r"without kvm-arm\.mode=nested refuses bit 7"),
        ("6.18", "nested", 0x86, r"features 0x86: bit 7 \(HAS_EL2\) with bit 1 \(EL1_32BIT\)"),
    ],
)
def test_a_host_without_such_guests_refuses_them(release: str, mode: str, features: int, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Vm(Host.of(release, kvm_arm_mode=mode), features=features)


@pytest.mark.parametrize(("release", "mode"), [("7.3", "default"), ("7.3", "nested"), ("6.18", "protected")])
def test_protected_vms_need_their_mode_and_a_release_that_has_them(release: str, mode: str) -> None:
    with pytest.raises(InputError, match=r"KVM_CREATE_VM of Linux .* refuses a protected VM with EINVAL"):
        Vm(Host.of(release, kvm_arm_mode=mode), is_protected=True)


@pytest.mark.parametrize(
    ("func_id", "x0"), [(0x8600_0000, 0x1D), (0xC600_0002, 0x1000), (0xC600_0003, 0), (0xC600_0004, 0)]
)
def test_the_real_el2_answers_four_calls_of_a_protected_vm_by_hvc(func_id: int, x0: int) -> None:
    vm, ordinary = protected(), Vm(PROTECTED)
    for index in range(4):
        vm.set_one_reg(0, register("STD_BMAP") + index, 0)
    x1 = 0x4000_3000 if func_id >= 0xC600_0003 else 0
    for conduit in HVCS:
        outcome = vm.call(0, func_id, x1, conduit=conduit)
        assert (outcome.verdict, outcome.x, outcome.exit) == (Verdict.FAST_PATH, (x0, 0, 0, 0), None)
        assert bool(outcome.unknown) == bool(x1)
    for conduit in SMCS:
        assert protected().call(0, func_id, x1, conduit=conduit) == ordinary.call(0, func_id, x1, conduit=conduit)


def test_all_other_calls_of_a_protected_vm_are_answered_as_ordinary() -> None:
    others = [func_id for func_id in IDS if func_id not in (0x8600_0000, 0xC600_0002, 0xC600_0003, 0xC600_0004)]
    for func_id, conduit in product(others, Conduit):
        vm, ordinary = protected(), Vm(PROTECTED)
        assert vm.call(0, func_id, 1, 0, 0, conduit) == ordinary.call(0, func_id, 1, 0, 0, conduit)
        assert vm.mp_state == ordinary.mp_state


@pytest.mark.parametrize(
    ("func_id", "arguments", "is_known"),
    [
        (0xC600_0002, (1, 0, 0), True),
        (0xC600_0002, (0, 1, 0), True),
        (0xC600_0002, (0, 0, 1), True),
        (0xC600_0003, (0x4000_3000, 1, 0), True),
        (0xC600_0003, (0x4000_3000, 0, 1), True),
        (0xC600_0004, (0x4000_3000, 1, 0), True),
        (0xC600_0003, (0x4000_3001, 0, 0), False),
        (0xC600_0004, (0x4000_3800, 0, 0), False),
    ],
)
def test_arguments_that_must_be_zero_are_invalid_otherwise(
    func_id: int, arguments: tuple[int, int, int], is_known: bool
) -> None:
    outcome = protected().call(0, func_id, *arguments)
    assert (outcome.verdict, outcome.x) == (Verdict.FAST_PATH, (MASK64 - 2, 0, 0, 0))
    assert (outcome.unknown == "") == is_known


def test_a_protected_vm_has_no_filter_and_no_system_suspend() -> None:
    vm = protected()
    assert vm.has_device_attr(0, 0) == vm.has_device_attr(1, 0) == vm.get_device_attr() == EINVAL
    assert vm.insert_filter(0x8600_0000, 1, FilterAction.DENY) == EINVAL
    assert vm.insert_filter(0x8600_0000, 1, FilterAction.DENY, is_pointer_bad=True) == EINVAL
    assert vm.filter_action(0x8600_0000) is FilterAction.HANDLE
    assert (vm.enable_system_suspend(), Vm(PROTECTED).enable_system_suspend()) == (EINVAL, OK)
