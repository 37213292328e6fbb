"""What is not known of a release goes with every answer that rests on it, and with no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.facts.registers import BITMAP_REGISTERS, register
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTION_BY_ID, FUNCTION_BY_NAME, FUNCTIONS, Conduit
from fastsmc.facts.vcpu import FEATURE_EL1_32BIT, FEATURE_PSCI_0_2
from fastsmc.reference.doubts import NAMELESS, touched, touched_by
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet

DOUBTFUL = ("5.15", "5.15.0-125-generic", "5.14.0-70.el9", "5.14.0-570.el9", "6.12.0-39.el10", "5.10.0-136.oe2203")
FEATURES = (FEATURE_PSCI_0_2, FEATURE_PSCI_0_2 | FEATURE_EL1_32BIT, 0)
WORKAROUND_3 = FUNCTION_BY_NAME["SMCCC_ARCH_WORKAROUND_3"].func_id


@pytest.mark.parametrize("name", ["5.10", "5.18", "6.1", "6.12", "6.12.107", "7.3", "6.18.30-61.116.amzn2023.aarch64"])
def test_a_release_that_is_known_well_leaves_no_doubt(name: str) -> None:
    vm = Vm(Host.of(name))
    assert all(vm.call(0, row.func_id).doubts == () for row in FUNCTIONS)
    assert touched(release(name)) == ()
    assert Fleet.uniform(n_vm=2, n_vcpu=1, host=name).doubts == ()


def test_an_outcome_that_rests_on_a_doubt_names_it_with_its_source() -> None:
    """5.15.0-125 is Ubuntu's count: WORKAROUND_3 came by 5.15.28, which it may or may not have."""
    outcome = Vm(Host.of("5.15.0-125-generic")).call(0, WORKAROUND_3)
    assert [doubt.fields for doubt in outcome.doubts] == [("fw_registers", "answers")]
    assert "came by update 28" in str(outcome.doubts[0])
    assert "a5905d6af492" in outcome.doubts[0].source
    assert Vm(Host.of("5.15.0-125-generic")).call(0, 0x8400_0000).doubts == ()


def test_doubts_are_no_part_of_a_comparison_and_asking_changes_nothing() -> None:
    certain, doubtful = Vm(Host.of("5.15")), Vm(Host.of("5.15.0-125-generic"))
    assert certain.call(0, WORKAROUND_3) == doubtful.call(0, WORKAROUND_3)
    vm = Vm(Host.of("6.12.0-39.el10"), n_vcpu=2)
    before = list(vm.mp_state)
    assert vm.doubts_about(lambda one: one.call(0, 0x8400_0008).verdict) == ()
    assert vm.mp_state == before
    vm.call(0, 0x8400_0008)  # SYSTEM_OFF stops every vCPU
    assert vm.mp_state != before


def test_what_a_vendor_may_have_taken_over_is_a_doubt_where_it_matters() -> None:
    """RHEL 10: nothing was found of PSCI 1.3 in its 6.12, so SYSTEM_OFF2 is in doubt, and SYSTEM_OFF is not."""
    vm = Vm(Host.of("6.12.0-39.el10"))
    off2, off = vm.call(0, FUNCTION_BY_NAME["PSCI_SYSTEM_OFF2"].func_id), vm.call(0, 0x8400_0008)
    assert ["RHEL 10 may have changes of later releases" in str(doubt) for doubt in off2.doubts] == [True]
    assert off.doubts == ()
    vm = Vm(Host.of("6.12.0-39.el10"))
    assert vm.doubts_about(lambda one: one.set_one_reg(0, register("PSCI_VERSION"), 0x10003))
    assert not vm.doubts_about(lambda one: one.set_one_reg(0, register("PSCI_VERSION"), 0x10001))
    assert vm.doubts_about(lambda one: one.insert_filter(0, 0, 1)), "by update 112, which the name does not tell"


def test_the_errno_that_stable_updates_changed_is_certain_where_the_update_is_told() -> None:
    for name in ("6.12.107", "6.12.112", "6.12.107+deb13-arm64"):
        assert not Vm(Host.of(name)).doubts_about(lambda one: one.insert_filter(0, 0, 1))


IDS = st.one_of(st.sampled_from(sorted(FUNCTION_BY_ID)), st.integers(0, (1 << 32) - 1))


@given(
    name=st.sampled_from(DOUBTFUL),
    features=st.sampled_from(FEATURES),
    func_id=IDS,
    x1=st.one_of(st.sampled_from([0, 1, 1 << 31, *FUNCTION_BY_ID]), st.integers(0, (1 << 64) - 1)),
    conduit=st.sampled_from([Conduit.HVC, Conduit.SMC]),
    words=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    levels=st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2)),
)
def test_a_doubt_that_an_outcome_shows_is_told_of_the_release(
    name: str, features: int, func_id: int, x1: int, conduit: Conduit, words: list[int], levels: tuple[int, int, int]
) -> None:
    """What is told once per release and features covers what the reference says call by call."""
    vm = Vm(Host.of(name, workaround=levels), features=features)
    for row, word in zip(BITMAP_REGISTERS, words, strict=True):
        vm.set_one_reg(0, row.reg, word)
    named = FUNCTION_BY_ID[func_id].name if func_id in FUNCTION_BY_ID else NAMELESS
    told = {one.doubt for one in touched(vm.release, features) if named in one.functions}
    assert set(vm.call(0, func_id, x1, conduit=conduit).doubts) <= told


def test_a_question_about_a_function_in_doubt_is_in_doubt_too() -> None:
    """SMCCC_ARCH_FEATURES of WORKAROUND_3 hangs on it where the host has a level to tell."""
    assert touched(release("5.15.0-125-generic"))[0].functions == ("SMCCC_ARCH_FEATURES", "SMCCC_ARCH_WORKAROUND_3")
    vm = Vm(Host.of("5.15.0-125-generic", workaround=(2, 0, 1)))
    assert len(vm.call(0, 0x8000_0001, WORKAROUND_3).doubts) == 1


def test_a_fleet_tells_the_doubts_of_the_vcpus_that_it_has() -> None:
    fleet = Fleet([1, 1, 1], hosts=["6.12", "5.14.0-570.el9", "6.12.0-39.el10"], host_of_vm=[0, 1, 2])
    assert {one.release for one in fleet.doubts} == {"5.14.0-570.el9", "6.12.0-39.el10"}
    assert repr(fleet).endswith(f"doubts: {len(fleet.doubts)}")
    alone = Fleet([1, 1], hosts=["6.12", "5.14.0-570.el9"], host_of_vm=[0, 0])
    assert alone.doubts == ()
    assert touched_by(alone.hosts, alone.host_of_vm, alone.features) == ()


def test_a_doubt_is_short_in_a_session_and_a_sentence_when_printed() -> None:
    for one in touched(release("5.14.0-70.el9")):
        assert len(repr(one)) <= 200
        assert str(one).count("\n") == 0
        assert str(one).startswith(one.functions[0])
