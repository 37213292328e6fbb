"""`explain` says whose kernel a release is, and what is not certain of it for the id that was asked about."""

from __future__ import annotations

import pytest

from fastsmc.explanation import explain
from fastsmc.facts import changes, history, releases
from fastsmc.facts.changes import CHANGES, Change
from fastsmc.facts.history import since
from fastsmc.facts.releases import release


@pytest.mark.parametrize(
    ("what", "kernel", "is_doubtful"),
    [
        ("SMCCC_ARCH_WORKAROUND_3", "5.15.0-125-generic", True),
        ("KVM_REG_ARM_SMCCC_ARCH_WORKAROUND_3", "5.15.0-125-generic", True),
        ("PSCI_SYSTEM_OFF", "5.15.0-125-generic", False),
        ("KVM_REG_ARM_PSCI_VERSION", "5.15.0-125-generic", False),
        ("PSCI_SYSTEM_OFF2", "6.12.0-39.el10.aarch64", True),
        ("VENDOR_HYP_BMAP_2", "6.12.0-39.el10.aarch64", True),
        ("STD_BMAP", "6.12.0-39.el10.aarch64", False),
        ("STD_BMAP", "5.14.0-284.30.1.el9_2.aarch64", True),
        ("STD_BMAP", "5.14.0-570.el9.aarch64", False),
        ("0xC6001234", "5.14.0-70.el9.aarch64", True),
    ],
)
def test_a_doubt_is_told_where_it_touches_the_id(what: str, kernel: str, is_doubtful: bool) -> None:
    told = dict(explain(what, release=kernel).lines)
    assert (f"not certain {kernel}" in told) is is_doubtful
    assert "judged as Linux" in told[f"kernel {kernel}"]
    assert f"default {kernel}" in told


def test_a_mainline_release_that_is_known_well_has_neither_line() -> None:
    told = dict(explain("PSCI_SYSTEM_OFF2", release="6.12").lines)
    assert {label for label in told if label.endswith(" 6.12")} == {"default 6.12", "with EL2 6.12", "protected 6.12"}
    newer = dict(explain("PSCI_SYSTEM_OFF2", release="6.12.999").lines)
    assert newer["kernel 6.12.999"].startswith("newer than 6.12.118, the newest update of 6.12 that is known")


def test_a_date_that_is_bracketed_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    change = Change((6, 12), "a test", sets={"n_vcpu_feature": 12}, after=(6, 6))
    for module in (changes, history, releases):
        monkeypatch.setattr(module, "CHANGES", (*CHANGES, change))
    caches = (releases._release, history.milestones)
    for cached in caches:
        cached.cache_clear()
    try:
        assert since(lambda rules: rules.n_vcpu_feature >= 12) == "6.12 at the latest, and not before 6.7"
        assert since(lambda rules: rules.has_filter) == "6.4"
        assert release("6.8").uncertain == ("n_vcpu_feature",)
        assert str(release("6.8").doubts[0]) == "vCPU features: changed after 6.6 and by 6.12 (a test)"
    finally:
        monkeypatch.undo()
        for cached in caches:
            cached.cache_clear()
