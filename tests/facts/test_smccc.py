"""The table of function ids against the anatomy in DEN0028 and against itself."""

from __future__ import annotations

import pytest

from fastsmc.facts.smccc import FUNCTIONS, Gate, Owner, Service, func_id, is_psci_allowed, owner_of

OWNER_OF_SERVICE = {
    Service.ARCH: Owner.ARCH,
    Service.TRNG: Owner.STANDARD,
    Service.PV_TIME: Owner.STANDARD_HYP,
    Service.VENDOR_HYP: Owner.VENDOR_HYP,
}


def test_ids_and_names_are_unique() -> None:
    assert len({f.func_id for f in FUNCTIONS}) == len({f.name for f in FUNCTIONS}) == len(FUNCTIONS)


@pytest.mark.parametrize("row", FUNCTIONS, ids=lambda f: f.name)
def test_owner_bits_name_the_service(row) -> None:  # type: ignore[no-untyped-def]
    if row.service in OWNER_OF_SERVICE:
        assert owner_of(row.func_id) == OWNER_OF_SERVICE[row.service]
        assert row.func_id >> 31 == 1, "every id of these services is a fast call"
    assert row.source


@pytest.mark.parametrize("row", [f for f in FUNCTIONS if f.service is Service.PSCI], ids=lambda f: f.name)
def test_psci_ids_are_default_allowed(row) -> None:  # type: ignore[no-untyped-def]
    is_0_1 = 0x95C1BA5E <= row.func_id <= 0x95C1BA61
    assert row.gate is Gate.DEFAULT
    assert is_psci_allowed(row.func_id) != is_0_1


def test_ids_are_built_from_their_parts() -> None:
    assert func_id(fast=True, smc64=True, owner=Owner.STANDARD, number=0x53) == 0xC4000053
    assert func_id(fast=False, smc64=False, owner=63, number=0xFFFF) == 0x3F00FFFF


@pytest.mark.parametrize(
    ("number", "allowed"),
    [(0x04000000, True), (0x84010000, True), (0xC4FF001F, True), (0x84000020, False), (0x83000000, False)],
)
def test_the_psci_rule_ignores_bits_31_30_and_23_to_16(number: int, allowed: bool) -> None:
    assert is_psci_allowed(number) is allowed
