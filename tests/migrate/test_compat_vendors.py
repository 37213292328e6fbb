"""Checks against vendors' kernels: what is known of them decides, and what they may have taken over stays unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastsmc.errors import InputError
from fastsmc.facts.releases import release
from fastsmc.migrate.compat import check as compat
from fastsmc.migrate.compat.filed import from_file
from fastsmc.migrate.compat.lists import PTIMER_CTL, PTIMER_CVAL, SCTLR2, inferred_ids, why_missing
from fastsmc.migrate.compat.result import Direction, MigrationCheck, Outlook
from fastsmc.migrate.read.detect import inspect
from tests.support.read_samples import reg_list

RHEL_9, RHEL_10 = "5.14.0-570.73.1.el9_6.aarch64+64k", "6.12.0-211.4.el10nv.aarch64"
AMAZON = "6.1.172-216.329.amzn2023.aarch64"


def check(source: str, dest: str) -> MigrationCheck:
    """With a QEMU that tolerates nothing, and vCPUs without a PMU."""
    return compat.check(source, dest, vmm="qemu:10.2", source_features="psci02", dest_features="psci02")


def names(found: Direction) -> tuple[set[str], set[str]]:
    """(failing, unjudged) by name."""
    return {fate.name for fate in found.failing}, {fate.name for fate in found.unjudged}


def test_rhel_9_takes_bitmaps_and_psci_1_1_and_nothing_newer() -> None:
    """Source: hypercalls.c of a RHEL 9 tree: 7 firmware registers, PSCI up to 1.1."""
    failing, _ = names(check("6.18", RHEL_9).forward)
    assert failing == {"PSCI_VERSION", "VENDOR_HYP_BMAP_2"}
    failing, _ = names(check("6.1", RHEL_9).forward)
    assert failing == set()
    assert {fate.name for fate in check("6.1", "5.14").forward.failing} >= {"STD_BMAP", "PSCI_VERSION"}
    failing, _ = names(check(RHEL_9, "5.15").forward)
    assert {"PSCI_VERSION", "STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP"} <= failing


@pytest.mark.parametrize("name", ["5.14.0-687.el9.aarch64", "6.12.0-100.28.2.el10uek.aarch64"])
def test_a_newer_build_than_any_that_was_read_is_refused_nothing(name: str) -> None:
    found = check("6.18", name).forward
    assert names(found)[0] == set()
    assert {"PSCI_VERSION", "VENDOR_HYP_BMAP_2"} <= names(found)[1]
    assert found.outlook is Outlook.UNKNOWN


def test_what_a_vendor_may_have_taken_over_fails_nothing_and_passes_nothing() -> None:
    """RHEL 10: whether its 6.12 has PSCI 1.3 or VENDOR_HYP_BMAP_2, or hides TCR2_EL1, was not found out."""
    there, back = check("6.18", RHEL_10).forward, check(RHEL_10, "6.18").forward
    for found, unknown in ((there, {"PSCI_VERSION", "VENDOR_HYP_BMAP_2"}), (back, {"TCR2_EL1", "PIRE0_EL1"})):
        failing, unjudged = names(found)
        assert failing == set()
        assert unknown <= unjudged
        assert found.outlook is Outlook.UNKNOWN
    assert {"PSCI_VERSION", "VENDOR_HYP_BMAP_2"} <= names(check("6.18", "6.12").forward)[0]


def test_the_length_of_a_list_that_is_not_certain_stops_nothing() -> None:
    """6.12 lists 18 registers more than what is inferred of RHEL 9, all of which it may have taken over."""
    found = check("6.12", RHEL_9).forward
    assert found.lengths == (184, 166)
    assert found.stopped_by == ""


def test_registers_that_only_the_source_may_list_are_not_judged() -> None:
    later = {"OSLSR_EL1", "TCR2_EL1", "KVM_REG_ARM_PTIMER_CTL"}
    assert later <= names(check(RHEL_9, "5.15").forward)[1]
    assert not later & names(check("5.13", "5.15").forward)[1]


@pytest.mark.parametrize(
    ("name", "is_listed"),
    [
        # Firecracker's fingerprints: kernel_version, and whether 0x603000000013df11 and …12 are there.
        ("5.10.177-158.645.amzn2.aarch64", False),
        ("5.10.214-202.855.amzn2.aarch64", False),
        ("5.10.234-225.910.amzn2.aarch64", True),
        ("5.10.255-253.1008.amzn2.aarch64", True),
        ("6.1.25-37.47.amzn2023.aarch64", False),
        ("6.1.84-99.169.amzn2023.aarch64", False),
        ("6.1.129-138.220.amzn2023.aarch64", True),
        ("6.1.172-216.329.amzn2023.aarch64", True),
        ("6.1.172", False),
        ("6.1.172+deb12-arm64", False),
        ("6.12.30", True),
    ],
)
def test_amazon_lists_the_physical_timer_from_an_update_on(name: str, is_listed: bool) -> None:
    assert ({PTIMER_CTL, PTIMER_CVAL} <= set(inferred_ids(release(name), "psci02"))) is is_listed


def test_between_two_fingerprints_the_physical_timer_is_in_doubt() -> None:
    found = check("6.12", "6.1.100-1.1.amzn2023.aarch64").forward
    assert {"KVM_REG_ARM_PTIMER_CTL", "KVM_REG_ARM_PTIMER_CVAL"} <= names(found)[1]
    assert any("rests on when that changed" in note for note in check("6.1", "6.1.100-1.1.amzn2023.aarch64").dest.notes)


def test_amazons_physical_timer_is_missing_in_mainline_of_the_same_number() -> None:
    assert names(check(AMAZON, "6.1").forward)[0] == {"KVM_REG_ARM_PTIMER_CTL", "KVM_REG_ARM_PTIMER_CVAL"}


def test_a_register_of_some_cpus_is_dated() -> None:
    """Source: "KVM/arm64 updates for 6.17", 28 July 2025: SCTLR2_EL1 on CPUs that have it."""
    assert why_missing(SCTLR2, release("6.16"), "psci02") == "listed from 6.17 on, on CPUs that have it"
    assert "6.17" not in why_missing(SCTLR2, release("6.18"), "psci02")


def test_the_notes_of_a_file_tell_whose_kernel_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(reg_list("psci02"))
    side = from_file(inspect(tmp_path / "list.txt"), None, RHEL_9)
    assert any("a kernel of RHEL 9, which carries many backports" in note for note in side.notes)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("4.18.0-553.el8_10.aarch64", "a kernel of RHEL 8, which carries patches"),
        ("6.81+pmu", "'6.81' never existed"),
        ("7.4+pmu", "newer than any of them"),
        ("6.12.0-1.el10.x86_64", "is a kernel for x86_64"),
        ("6.12+pnu", "vCPU feature 'pnu'"),
    ],
)
def test_sides_that_are_no_known_kernel_are_refused(asked: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        compat.check(asked, "6.12")
