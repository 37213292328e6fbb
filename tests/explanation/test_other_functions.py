"""Functions that KVM does not answer: `explain` has their name, owner and document, and says that nothing answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.explanation import Explanation, explain
from fastsmc.facts.call_ranges import OWNERS, RANGES
from fastsmc.facts.other_calls import OTHER_BY_ID, OTHER_CALLS, OtherCall
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTION_BY_ID, Conduit, Service, Verdict, is_psci_allowed
from fastsmc.reference.vm import Vm
from tests.support.strategies import RELEASES


def lines(told: Explanation) -> dict[str, str]:
    return dict(told.lines)


ENDS = {row.family.name: row for row in OTHER_CALLS}, {row.family.name: row for row in reversed(OTHER_CALLS)}
SHOWN = {row.name: row for row in (*ENDS[0].values(), *ENDS[1].values(), *{r.note: r for r in OTHER_CALLS}.values())}
"""The first and last of each family, and one row of each note: an explanation asks the reference a hundred times."""


@pytest.mark.parametrize("row", SHOWN.values(), ids=SHOWN)
def test_every_name_comes_with_owner_document_and_source(row: OtherCall) -> None:
    told = explain(row.func_id)
    shown = lines(told)
    assert (told.name, told.summary) == (row.name, f"{row.name}: KVM answers NOT_SUPPORTED")
    assert f"owner {row.func_id >> 24 & 0x3F} ({OWNERS[row.func_id >> 24 & 0x3F]})" in shown["anatomy"]
    assert shown["document"] == row.family.document
    assert shown["answer"] == "nothing: KVM answers NOT_SUPPORTED (x0 = -1) in every release"
    assert told.sources[0] in row.source
    assert not any(why == "its neighbour" for _, _, why in told.near)
    assert shown.get("note", "") == row.note


@given(st.sampled_from(OTHER_CALLS), st.sampled_from(RELEASES), st.sampled_from([Conduit.HVC, Conduit.SMC]))
def test_no_name_changes_what_kvm_does(row: OtherCall, name: str, conduit: Conduit) -> None:
    outcome = Vm(Host(release(name))).call(0, row.func_id, conduit=conduit)
    assert outcome.x is not None
    assert outcome.x[0] == 0xFFFF_FFFF_FFFF_FFFF
    fates = {Verdict.DENIED, Verdict.SMC_REFUSED, Verdict.NOT_SUPPORTED}
    assert outcome.verdict in fates
    if conduit is Conduit.HVC and not is_psci_allowed(row.func_id) and release(name).is_gated:
        assert outcome.verdict is Verdict.DENIED


@pytest.mark.parametrize(
    ("func_id", "summary"),
    [
        (0xC6000020, "owner 6 (vendor hypervisor), numbers 0x2 to 0x3F: PKVM, pKVM's calls for protected guests"),
        (0xC40001A9, "owner 4 (standard secure), numbers 0x190 to 0x1AF: RSI, realm services, called by a realm"),
        (0x84000018, "owner 4 (standard secure), numbers 0x0 to 0x1F: PSCI, power state of CPUs and system"),
        (0x84001000, "owner 4 (standard secure)"),
        (0x82000505, "owner 2 (SiP), whose numbers each implementation chooses"),
        (0xB200FF44, "owner 50 (trusted OS), numbers 0xFF00 to 0xFFFF: general queries"),
        (0x32000001, "owner 50, yielding calls of the trusted OS"),
        (0x01000001, "owner 1, yielding calls reserved for calls older than SMCCC (Armv7-A)"),
        (0x88000000, "owner 8 (reserved)"),
    ],
)
def test_a_number_without_a_name_has_its_owner_and_range(func_id: int, summary: str) -> None:
    told = explain(func_id)
    assert told.summary == f"no function KVM/arm64 knows; {summary}"
    assert lines(told)["range"] == summary


@pytest.mark.parametrize(
    ("asked", "func_id"),
    [
        ("FFA_VERSION", 0x84000063),
        ("ffa-error-smc64", 0xC4000060),
        ("FFA_ERROR_SMC32", 0x84000060),
        ("SOC_ID64", 0xC0000002),
        ("ARM_SMCCC_ARCH_SOC_ID64", 0xC0000002),
        ("SMCCC_ARCH_FEATURE_AVAILABILITY_FID", 0x80000003),
        ("RSI_VERSION", 0xC4000190),
        ("SMC_RSI_VERSION", 0xC4000190),
        ("MMIO_GUARD_ENROLL", 0xC6000006),
        ("ARM_SMCCC_VENDOR_HYP_KVM_MMIO_GUARD_INFO_FUNC_ID", 0xC6000005),
        ("PFDI_PE_TEST_RUN", 0xC40002D4),
        ("STD_CALL_UID", 0x8400FF01),
        ("OPTEE_CALL_WITH_ARG", 0x32000004),
        ("MEM_SHARE", 0xC6000003),  # what KVM has a word for comes first: FF-A has a MEM_SHARE too
    ],
)
def test_names_of_firmware_are_found(asked: str, func_id: int) -> None:
    assert explain(asked).id == func_id


def test_a_slip_of_a_named_function_is_told_as_one() -> None:
    assert explain(0x84010063).summary == "unknown; without the SVE hint 0x84000063 is FFA_VERSION"
    assert explain(0xC4000063).near[0] == (0x84000063, "FFA_VERSION", "the SMC32 form")
    assert explain(0x32000063 & ~0x3F000000 | 0x04000000).near[0][2] == "as a fast call"


def test_pkvms_own_numbers_say_who_answers_them() -> None:
    """KVM's table has four of them; Android's pKVM answers more."""
    assert {row.func_id for row in OTHER_CALLS if row.family.name == "PKVM"} == {
        0xC6000005,
        0xC6000006,
        0xC6000008,
        0xC6000009,
        0xC600000A,
        0xC600000B,
    }
    assert "MMIO_GUARD_MAP" in lines(explain(0xC6000007))["answer"]
    assert "NOT_SUPPORTED" in lines(explain(0xC6000003))["answer"]


def test_the_uid_query_lists_what_hypervisors_answer() -> None:
    told = lines(explain("CALL_UID"))["UIDs"]
    assert "Xen a71812dc-c698-4369-9acf-79d18ddee667" in told
    assert "KVM 28b46fb6-2ec5-11e9-a9ca-4b564d003a74" in told


@pytest.mark.parametrize("func_id", [0x84000053, 0xC4000053])
def test_trng_without_bits_breaks_the_rule_and_explain_says_so(func_id: int) -> None:
    """Arm DEN0098 has x1 = 0 refused, as TF-A does (trng_main.c); KVM was recorded to answer it with success."""
    outcome = Vm(Host(release("7.3"))).call(0, func_id, 0)
    assert outcome.x == (0, 0, 0, 0)
    assert "INVALID_PARAMETERS" in lines(explain(func_id))["differs"]
    assert "differs" not in lines(explain("TRNG_VERSION"))


def test_named_numbers_lie_in_their_familys_range() -> None:
    """What RANGES has of numbers agrees with the names, which come from other lines of the sources."""
    families = {row.family.name: [] for row in RANGES}
    for row in RANGES:
        families[row.family.name] += range(row.first, row.last + 1)
    for row in OTHER_CALLS:
        is_query_or_free = row.family.name in ("QUERIES", "ARCH", "PV_TIME", "CROSVM", "HYPER_V", "GUNYAH")
        if not is_query_or_free and row.func_id >> 31 and row.func_id >> 24 & 0x3F in (4, 6):
            assert row.func_id & 0xFFFF in families[row.family.name], row
    for known in FUNCTION_BY_ID.values():
        if known.service in (Service.PSCI, Service.TRNG) and known.func_id >> 24 & 0x3F == 4:
            assert known.func_id & 0xFFFF in families[known.service.name]


def test_no_name_is_given_twice() -> None:
    assert len(OTHER_BY_ID) == len({row.name for row in OTHER_CALLS}) == len(OTHER_CALLS)
    assert not OTHER_BY_ID.keys() & FUNCTION_BY_ID.keys()
    assert not {row.name for row in OTHER_CALLS} & {row.name for row in FUNCTION_BY_ID.values()}
