"""Batches say what is not certain of the releases that they were decided by."""

from __future__ import annotations

import numpy as np

import fastsmc as smc


def test_a_batch_says_which_functions_are_in_doubt() -> None:
    fleet = smc.Fleet.uniform(n_vm=2, n_vcpu=1, host="6.12.0-39.el10.aarch64")
    calls = smc.Calls.one_each(0x8400_0015, n_vcpu=2)
    found = smc.dispatch(fleet, calls)
    assert "PSCI_SYSTEM_OFF2" in found.doubts[0].functions
    assert "not certain: PSCI_VERSION, PSCI_FEATURES, PSCI_SYSTEM_OFF2" in str(found)
    assert repr(found) == "Dispatched(2 calls, doubts: 1)"
    moved = smc.switch(fleet, calls, found.verdict)
    assert moved.doubts == found.doubts
    assert "not certain: PSCI_VERSION" in str(moved)
    assert repr(moved) == "Switched(2 calls, 2 made, doubts: 1)"


def test_a_batch_by_a_release_known_well_says_nothing_of_it() -> None:
    fleet = smc.Fleet.uniform(n_vm=2, n_vcpu=1, host="6.12")
    calls = smc.Calls.one_each(0x8400_0000, n_vcpu=2)
    found = smc.dispatch(fleet, calls, by="vm")
    assert found.doubts == ()
    assert str(found).split() == ["2", "calls", "calls", "service", "verdict", "2", "all", "HANDLED"]
    assert repr(smc.switch(fleet, calls, found.verdict)) == "Switched(2 calls, 2 made)"


def test_verdicts_are_those_of_the_rules_that_are_taken_to_hold() -> None:
    plain, vendors = (smc.Fleet.uniform(n_vm=1, n_vcpu=1, host=host) for host in ("6.12", "6.12.0-39.el10.aarch64"))
    calls = smc.Calls.one_each(0x8400_0015, n_vcpu=1)
    assert np.array_equal(smc.verdicts(plain, calls), smc.verdicts(vendors, calls))
