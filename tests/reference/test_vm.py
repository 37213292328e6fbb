"""The reference against the kernel's own selftests, told as tables (hypercalls.c, smccc_filter.c, psci_test.c)."""

from __future__ import annotations

from errno import EBUSY, EEXIST, EINTR, EINVAL, ENOENT

import pytest

from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import Conduit, Verdict
from fastsmc.facts.vcpu import RUNNABLE, STOPPED
from fastsmc.reference.state import MASK64, OK
from fastsmc.reference.vm import Vm

TRNG_FEATURES, TRNG_RND32, TRNG_RND64 = 0x84000051, 0x84000053, 0xC4000053
PV_TIME_FEATURES, PV_TIME_ST, PTP = 0xC5000020, 0xC5000021, 0x86000001
ARCH_FEATURES, PSCI_FEATURES = 0x80000001, 0x8400000A
BITMAPS = ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP", "VENDOR_HYP_BMAP_2")


def vm(name: str = "7.3", **kwargs: int) -> Vm:
    made = Vm(Host(release(name)), **kwargs)
    made.steal_base[0] = 0x4000_0000
    return made


def x0(made: Vm, func_id: int, *args: int, conduit: Conduit = Conduit.HVC) -> int:
    word = made.call(0, func_id, *args, conduit=conduit).x[0]
    return word - (1 << 64) if word >> 63 else word


# hypercalls.c, hvc_info: the eleven gated calls.
GATED = [
    (0x84000050, 0),
    (TRNG_FEATURES, TRNG_RND64),
    (0x84000052, 0),
    (TRNG_RND32, 0),
    (TRNG_RND64, 0),
    (ARCH_FEATURES, PV_TIME_FEATURES),
    (PV_TIME_FEATURES, PV_TIME_ST),
    (PV_TIME_ST, 0),
    (0x86000000, PTP),
    (0x8600FF01, 0),
    (PTP, 0),
]


@pytest.mark.parametrize(("func_id", "arg"), GATED)
def test_gated_calls_are_answered_by_default_and_refused_with_bitmaps_clear(func_id: int, arg: int) -> None:
    assert x0(vm(), func_id, arg) != -1
    cleared = vm()
    assert all(cleared.set_one_reg(0, register(name), 0) == OK for name in BITMAPS)
    assert x0(cleared, func_id, arg) == -1


@pytest.mark.parametrize(
    ("func_id", "arg"), [(TRNG_FEATURES, PTP), (ARCH_FEATURES, TRNG_RND64), (PV_TIME_FEATURES, TRNG_RND64)]
)
def test_features_of_another_family_are_unknown(func_id: int, arg: int) -> None:
    assert x0(vm(), func_id, arg) == -1


@pytest.mark.parametrize(
    ("name", "limit", "reset"), [(n, m, r) for n, m, r in zip(BITMAPS, (1, 1, 3, 3), (1, 1, 3, 0), strict=True)]
)
def test_bitmap_registers_before_and_after_the_first_run(name: str, limit: int, reset: int) -> None:
    made, reg = vm(), register(name)
    assert made.get_one_reg(0, reg) == (OK, reset)
    other = 0 if reset else limit
    assert made.set_one_reg(0, reg, other) == OK
    assert made.get_one_reg(0, reg) == (OK, other)
    assert made.set_one_reg(0, reg, limit + 1) == EINVAL
    assert made.run(0, immediate_exit=True) == EINTR
    assert made.set_one_reg(0, reg, reset) == EBUSY
    assert made.set_one_reg(0, reg, other) == OK
    assert made.set_one_reg(0, reg, limit + 1) == EINVAL


def test_psci_version_stays_writable_after_the_first_run() -> None:
    made = vm()
    made.run(0)
    assert made.set_one_reg(0, register("PSCI_VERSION"), 0x10000) == OK
    assert x0(made, 0x84000000) == 0x10000


def test_a_register_of_another_size_does_not_exist() -> None:
    assert vm().get_one_reg(0, register("STD_BMAP") & ~0x00F0000000000000 | 0x0020000000000000) == (ENOENT, 0)


@pytest.mark.parametrize(
    ("number", "level", "accepted"),
    [
        # (workaround, host level, every value below 0x40 that SET accepts): fw-pseudo-registers.rst
        (1, 0, {0}),
        (1, 1, {0, 1}),
        (1, 2, {0, 1, 2}),
        (3, 2, {0, 1, 2}),
        (2, 0, {0, 1}),
        (2, 3, {0, 1, 2, 3, 0x12}),
    ],
)
def test_workaround_registers_validate_against_the_host_and_forget(number: int, level: int, accepted: set[int]) -> None:
    levels = tuple(level if n == number else 0 for n in (1, 2, 3))
    made = Vm(Host(release("7.3"), workaround=levels))  # type: ignore[arg-type]
    reg = register(f"SMCCC_ARCH_WORKAROUND_{number}")
    assert {value for value in range(0x40) if made.set_one_reg(0, reg, value) == OK} == accepted
    assert made.set_one_reg(0, reg, 1 << 63) == EINVAL
    assert made.get_one_reg(0, reg) == (OK, level)


# smccc_filter.c
@pytest.mark.parametrize(
    ("base", "nr", "action", "pad", "errno"),
    [
        (0x84000000, 1, 1, True, EINVAL),
        (0xC4000003, 0, 1, False, EINVAL),
        (0xFFFFFFFF, 0xFFFFFFFF, 1, False, EINVAL),
        (0xC4000003, 1, 0xFF, False, EINVAL),
        (0x80008000, 1, 1, False, EEXIST),
        (0xC0000000, 1, 1, False, EEXIST),
        (0xFFFFFFFF, 1, 1, False, OK),
        (1, 0xFFFFFFFF, 1, False, EEXIST),
    ],
)
def test_filter_inserts(base: int, nr: int, action: int, pad: bool, errno: int) -> None:
    assert vm().insert_filter(base, nr, action, pad=pad) == errno


EMPTY_AT_0 = {
    **dict.fromkeys(
        ("6.4", "6.5", "6.6.157", "6.12.107", "6.12.111", "6.18.54", "7.0", "7.1", "7.2.0", "7.2.8"), EEXIST
    ),
    **dict.fromkeys(("6.6", "6.6.158", "6.12.112", "6.12.118", "6.18.55", "7.2", "7.2.9", "7.2.13", "7.3"), EINVAL),
}
"""Linux 64dc6f1db7e6 and the stable updates that carry it: 7.2.9, 6.18.55, 6.12.112, 6.6.158."""


@pytest.mark.parametrize(("name", "errno"), EMPTY_AT_0.items())
def test_the_empty_range_at_0_changed_its_errno_in_7_3_and_in_stable_updates(name: str, errno: int) -> None:
    assert vm(name).insert_filter(0, 0, 0) == errno


def test_the_same_range_twice_exists_and_a_run_freezes_the_filter() -> None:
    made = vm()
    assert [made.insert_filter(0xC4000003, 1, 1) for _ in range(2)] == [OK, EEXIST]
    made.run(0)
    assert made.insert_filter(0xC4000004, 1, 1) == EBUSY
    assert made.insert_filter(0xC4000004, 0, 1) == EINVAL


@pytest.mark.parametrize(("conduit", "flags"), [(Conduit.HVC, 0), (Conduit.SMC, 1)])
def test_forwarding_wins_over_a_clear_bit_and_tells_the_conduit(conduit: Conduit, flags: int) -> None:
    made = vm()
    made.set_one_reg(0, register("STD_BMAP"), 0)
    made.insert_filter(TRNG_RND64, 1, 2)
    outcome = made.call(0, TRNG_RND64, 7, conduit=conduit)
    assert outcome.exit is not None
    assert (outcome.exit.nr, outcome.exit.flags, outcome.x) == (TRNG_RND64, flags, (TRNG_RND64, 7, 0, 0))


def test_handle_does_not_enable_what_a_bitmap_disables() -> None:
    made = vm()
    made.set_one_reg(0, register("STD_BMAP"), 0)
    made.insert_filter(TRNG_RND64, 1, 0)
    assert made.call(0, TRNG_RND64).verdict is Verdict.DENIED


# Cases of this project's specification, X1 to X15.
@pytest.mark.parametrize("func_id", [0x80008000, 0x80007FFF, 0x80003FFF])
def test_workaround_ids_take_the_fast_path_by_hvc_only(func_id: int) -> None:
    made = vm()
    for name in BITMAPS:
        made.set_one_reg(0, register(name), 0)
    assert made.call(0, func_id, 5, 6, 7).x == (0, 0, 6, 7)
    assert made.call(0, func_id, 5, 6, 7, Conduit.SMC).x == (MASK64, 0, 0, 0)


@pytest.mark.parametrize(
    ("func_id", "arg", "answer"),
    [
        (0x84010050, 0, -1),  # the SVE hint is not masked off
        (ARCH_FEATURES, 0x80000000, -1),
        (ARCH_FEATURES, 0xFFFF_FFFF_C500_0020, 0),  # compares the low half
        (TRNG_FEATURES, 0xFFFF_FFFF_8400_0050, -1),  # compares all 64 bits
        (TRNG_RND32, 96, 0),
        (TRNG_RND32, 97, -2),
        (TRNG_RND64, 192, 0),
        (TRNG_RND64, 193, -2),
        (PSCI_FEATURES, 0x80000000, 0),
        (PSCI_FEATURES, 0x84000015, 1),
        (PSCI_FEATURES, 0x84000005, -1),
        (0xC6000040, 0, -1),
        (0x84000006, 0, 2),
    ],
)
def test_answers(func_id: int, arg: int, answer: int) -> None:
    assert x0(vm(), func_id, arg) == answer


@pytest.mark.parametrize(
    ("func_id", "n", "free"),
    [
        (TRNG_RND32, 0, (0, 0, 0, 0)),
        (TRNG_RND32, 33, (0, 0, 1, 0xFFFFFFFF)),
        (TRNG_RND64, 192, (0, MASK64, MASK64, MASK64)),
        (TRNG_RND64, 65, (0, 0, 1, MASK64)),
    ],
)
def test_random_bits_are_right_aligned_and_the_rest_is_zero(func_id: int, n: int, free: tuple[int, ...]) -> None:
    outcome = vm().call(0, func_id, n)
    assert (outcome.x, outcome.free) == ((0, 0, 0, 0), free)


def test_an_smc_with_an_immediate_changes_x0_only() -> None:
    assert vm().call(0, 0x80000000, 1, 2, 3, Conduit.SMC_IMM).x == (MASK64, 1, 2, 3)
    assert vm().call(0, 0x80000000, 1, 2, 3, Conduit.HVC_IMM).x == (0x10001, 0, 0, 0)


def test_vendor_features_show_both_bitmaps() -> None:
    made = vm()
    made.set_one_reg(0, register("VENDOR_HYP_BMAP_2"), 3)
    assert made.call(0, 0x86000000).x == (3, 0, 3, 0)
    made.set_one_reg(0, register("VENDOR_HYP_BMAP"), 2)
    assert x0(made, 0x86000000) == -1


def test_reset2_narrows_but_keeps_x1_to_x3_and_stops_every_vcpu() -> None:
    made = vm(n_vcpu=2)
    outcome = made.call(0, 0x84000012, 0xF_8000_0000, 1 << 40, 3)
    assert outcome.x == (MASK64 - 5, 0x8000_0000, 0, 3)
    assert outcome.exit is not None
    assert (outcome.exit.event, outcome.exit.data, made.mp_state) == (2, (1,), [STOPPED, STOPPED])


@pytest.mark.parametrize(("kind", "cookie", "x"), [(2, 0, -2), (0, 1, -2), (1, 0, -6)])
def test_off2_checks_type_and_cookie(kind: int, cookie: int, x: int) -> None:
    assert x0(vm(), 0xC4000015, kind, cookie) == x


def test_cpu_on_and_affinity_info_follow_the_power_state() -> None:
    made = vm(n_vcpu=2)
    made.vcpu_init(1, power_off=True)
    assert x0(made, 0xC4000004, 1, 0) == 1
    assert x0(made, 0xC4000003, 1) == 0
    assert made.mp_state[1] == RUNNABLE
    assert (x0(made, 0xC4000003, 1), x0(made, 0xC4000003, 9)) == (-4, -2)
    assert (x0(made, 0xC4000004, 1, 0), x0(made, 0xC4000004, 0, 4)) == (0, -2)


def test_without_the_feature_psci_is_0_1_and_reports_so() -> None:
    made = vm(features=0, n_vcpu=2)
    assert made.get_one_reg(0, register("PSCI_VERSION")) == (OK, 1)
    assert (x0(made, 0x84000000), x0(made, 0x95C1BA60, 0), x0(made, 0x95C1BA61)) == (-1, -2, -1)


def test_an_aarch32_caller_gets_trng_but_not_psci_in_smc64_form() -> None:
    made = vm(features=0x6)
    assert (x0(made, 0xC4000003), x0(made, TRNG_RND64)) == (-1, 0)
    assert (x0(made, PSCI_FEATURES, 0xC4000003), x0(vm(), PSCI_FEATURES, 0xC4000003)) == (-1, 0)


@pytest.mark.parametrize(("name", "refused"), [("5.18", True), ("6.1", True), ("5.17", False)])
def test_an_aarch32_caller_is_refused_every_smc64_psci_id_since_about_5_18(name: str, refused: bool) -> None:
    made = vm(name, features=0x6)
    assert made.call(0, 0xC4000012).verdict is Verdict.NOT_SUPPORTED
    rule = made.release.a32_refuses_all_smc64
    assert rule is refused
    assert x0(made, PSCI_FEATURES, 0xC4000012) == -1
    assert x0(vm("6.1"), PSCI_FEATURES, 0xC4000012) == 0


def test_before_5_19_everything_implemented_is_allowed() -> None:
    old = vm("5.15")
    assert (x0(old, 0x86000000), x0(old, TRNG_RND64), old.call(0, 0x1234).verdict) == (3, 0, Verdict.NOT_SUPPORTED)
    assert old.set_one_reg(0, register("STD_BMAP"), 0) == ENOENT
