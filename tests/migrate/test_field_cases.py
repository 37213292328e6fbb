"""Moves that were reported in public, asked again: docs/field-log.md has each with what was said first.

A case that names a machine is rebuilt from a recorded vCPU and the fields that the source names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastsmc.errors import InputError
from fastsmc.facts.registers import PSTATE, register, sysreg
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.result import Outlook
from tests.support.dumps import dumped, field, written
from tests.support.places import ROOT, TESTS

FC, CH = "github.com/firecracker-microvm/firecracker", "github.com/cloud-hypervisor/cloud-hypervisor"
RESTORES, FAILS, UNKNOWN = Outlook.RESTORES, Outlook.FAILS, Outlook.UNKNOWN
OLD, MID, NEW = "linux-5.10.218-max", "linux-6.1.192-max", "linux-6.18.15-max"
WORKAROUND_3, BMAP_2 = register("SMCCC_ARCH_WORKAROUND_3"), register("VENDOR_HYP_BMAP_2")
MIDR, TIMERS = sysreg(3, 0, 0, 0, 0), (sysreg(3, 3, 14, 2, 1), sysreg(3, 3, 14, 2, 2))
SSBS, ECBHB, HCX = field(3, 0, 0, 4, 1, 4), field(3, 0, 0, 7, 1, 60), field(3, 0, 0, 7, 1, 40)
WFXT, CCIDX, ASID_BITS = field(3, 0, 0, 6, 2, 0), field(3, 0, 0, 7, 2, 20), field(3, 0, 0, 7, 0, 4)
MPAM, S1POE, S1PIE = field(3, 0, 0, 4, 0, 40), field(3, 0, 0, 7, 3, 12), field(3, 0, 0, 7, 3, 8)
DMIN_LINE = field(3, 3, 0, 0, 1, 16)
SCTLR2 = sysreg(3, 0, 1, 0, 3)
N1, V1, KUNPENG, PHYTIUM = 0x413FD0C1, 0x411FD401, 0x481FD010, 0x701F6633


class Case(NamedTuple):
    """A reported move.

    Attributes:
        number: in docs/field-log.md.
        where: thread, commit or changelog that reports it.
        source, dest: words, or arguments of `dumped`.
        right: what becomes of it, by the report.
        names: registers that stand in the way, or cannot be judged.
    """

    number: int
    where: str
    source: str | dict[str, Any]
    dest: str | dict[str, Any]
    vmm: str
    right: Outlook
    names: tuple[str, ...] = ()


def of(host: str, kernel: str = "", **more: Any) -> dict[str, Any]:
    return {"host": host, "kernel": kernel, **more}


PSCI, BITMAPS = ("PSCI_VERSION",), ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP")
CASES = (
    Case(1, f"{FC}, pull request 4632", "5.10", "6.1", "firecracker", FAILS, ("PMCR_EL0",)),
    Case(2, f"{FC}, pull request 4632", "6.1", "5.10", "firecracker", FAILS, PSCI + BITMAPS),
    Case(3, f"{FC}, pull request 4450", "6.1", "5.10", "firecracker:1.6", FAILS, PSCI + BITMAPS),
    Case(4, f"{FC}, pull request 5856", of(MID), of(NEW), "firecracker", RESTORES),
    Case(5, f"{FC}, .buildkite/pipeline_cross.py", "6.18", "6.1", "firecracker", FAILS, (*PSCI, "VENDOR_HYP_BMAP_2")),
    Case(6, f"{FC}, commit 41db488e0", "6.1+sve", "6.1+sve", "firecracker:1.6", FAILS),
    Case(7, f"{FC}, commit 41db488e0", "6.1+sve", "6.1+sve", "firecracker:1.7", RESTORES),
    Case(8, f"{FC}, commit 822009ce3", "5.10", "5.10", "firecracker:1.1.3", FAILS),
    Case(
        9,
        f"{FC}, commit 2551a1e4a",
        of(MID, whole={WORKAROUND_3: 2}),
        of(MID, whole={WORKAROUND_3: 1}),
        "firecracker",
        FAILS,
        ("SMCCC_ARCH_WORKAROUND_3",),
    ),
    Case(
        10,
        f"{FC}, commit 2551a1e4a",
        of(MID, whole={WORKAROUND_3: 1}),
        of(MID, whole={WORKAROUND_3: 2}),
        "firecracker",
        RESTORES,
    ),
    Case(
        11,
        f"{FC}, commit 0082734bd",
        of(OLD, whole={WORKAROUND_3: 2}),
        of(OLD, whole={WORKAROUND_3: 1}),
        "firecracker",
        FAILS,
        ("SMCCC_ARCH_WORKAROUND_3",),
    ),
    Case(
        12,
        "Debian's changelog of linux 6.1.149",
        of(MID, "6.1.148", fields={ECBHB: 0}),
        of(MID, "6.1.149", fields={ECBHB: 1}),
        "qemu",
        FAILS,
        ("ID_AA64MMFR1_EL1",),
    ),
    Case(
        13,
        "Debian's changelog of linux 6.1.149",
        of(MID, "6.1.149", fields={ECBHB: 1}),
        of(MID, "6.1.148", fields={ECBHB: 0}),
        "qemu",
        FAILS,
        ("ID_AA64MMFR1_EL1",),
    ),
    Case(
        14,
        f"{FC}, commit 5277cbbd2",
        of(MID, whole=dict.fromkeys(TIMERS, 0)),
        of(MID),
        "firecracker",
        FAILS,
        ("KVM_REG_ARM_PTIMER_CTL", "KVM_REG_ARM_PTIMER_CVAL"),
    ),
    Case(15, f"{FC}, commit 5277cbbd2", of(MID), of(MID, whole=dict.fromkeys(TIMERS, 0)), "firecracker", RESTORES),
    Case(16, f"{FC}, commit b5ac3a6ee", "6.18", "6.18", "firecracker:1.16", RESTORES),
    Case(
        17,
        f"{FC}, commit f2ddc049d",
        of(MID, fields={SSBS: 2}),
        of(MID, fields={SSBS: 0}),
        "firecracker",
        FAILS,
        ("ID_AA64PFR1_EL1",),
    ),
    Case(
        18, f"{FC}, commit c69d0c049", of(MID, fields={WFXT: 2}), of(OLD), "firecracker", FAILS, ("ID_AA64ISAR2_EL1",)
    ),
    Case(19, f"{FC}, commit d95612f16", "6.1+pmu", "6.1+pmu", "firecracker:1.15", FAILS),
    Case(20, f"{FC}, commit 1de16b328", "5.10+sve+pauth", "5.10+sve+pauth", "firecracker", RESTORES),
    Case(21, f"{CH}, pull request 8268", "6.12+sve", "6.12+sve", "cloud-hypervisor:v53", RESTORES),
    Case(22, f"{CH}, issue 8057", "6.12+sve", "6.12+sve", "cloud-hypervisor:v52", FAILS),
    Case(23, f"{CH}, issue 8057", "6.12", "6.12+sve", "cloud-hypervisor:v52", FAILS, ("V0", "V31")),
    Case(24, f"{CH}, issue 4510", "5.15", "5.15", "cloud-hypervisor:v26", RESTORES),
    Case(25, f"{CH}, commit 53060874a", "5.15+pmu", "5.15+psci02", "cloud-hypervisor:v22", FAILS, ("PMCR_EL0",)),
    Case(
        26,
        "review of Linux bf48040cd9b0 by its maintainer, January 2023",
        of(MID, fields={CCIDX: 1}),
        of(MID, "6.3", fields={CCIDX: 0}),
        "qemu:10.1",
        FAILS,
        ("ID_AA64MMFR2_EL1",),
    ),
    Case(
        27,
        "kvmarm, 'customizable aarch64 KVM host model', 2025: AltraMax hosts differ in CTR_EL0",
        of(MID, "6.6", fields={DMIN_LINE: 3}),
        of(MID, "6.6", fields={DMIN_LINE: 4}),
        "qemu",
        FAILS,
        ("CTR_EL0",),
    ),
    Case(
        28,
        "the same, on a kernel with Linux 2843cae26644",
        of("linux-6.12.107-max", fields={DMIN_LINE: 3}),
        of("linux-6.12.107-max", fields={DMIN_LINE: 4}),
        "qemu",
        RESTORES,
    ),
    Case(
        29,
        "Linux 1a0b2bf6ff11: hosts that differ in HCX",
        of("linux-6.16.12-max", fields={HCX: 0}),
        of("linux-6.16.12-max", fields={HCX: 1}),
        "qemu",
        FAILS,
        ("ID_AA64MMFR1_EL1",),
    ),
    Case(
        30,
        "Linux 1a0b2bf6ff11",
        of(NEW, fields={HCX: 0}),
        of(NEW, fields={HCX: 1}),
        "qemu",
        RESTORES,
    ),
    Case(
        31,
        "Linux 1a0b2bf6ff11",
        of(NEW, fields={HCX: 1}),
        of(NEW, fields={HCX: 0}),
        "qemu",
        FAILS,
        ("ID_AA64MMFR1_EL1",),
    ),
    Case(
        32,
        "Linux 78c4446b5f95: SSBS of 1 and 2",
        of("linux-6.12.107-max", "6.11", fields={SSBS: 1}),
        of("linux-6.12.107-max", "6.11", fields={SSBS: 2}),
        "qemu",
        FAILS,
        ("ID_AA64PFR1_EL1",),
    ),
    Case(
        33,
        "Linux 78c4446b5f95",
        of("linux-6.12.107-max", fields={SSBS: 1}),
        of("linux-6.12.107-max", fields={SSBS: 2}),
        "qemu",
        RESTORES,
    ),
    Case(
        34,
        "Linux 3adaee783061: no VMM asks for writable MIDR_EL1",
        of(NEW, whole={MIDR: N1}),
        of(NEW, whole={MIDR: V1}),
        "qemu",
        FAILS,
        ("MIDR_EL1",),
    ),
    Case(
        35,
        "Linux 03c7527e97f7, 6.12.7",
        of("linux-6.12.107-max", "6.12.6", fields={ASID_BITS: 0}),
        of("linux-6.12.107-max", "6.12.6", fields={ASID_BITS: 2}),
        "qemu",
        RESTORES,
    ),
    Case(
        36,
        "Linux 03c7527e97f7, 6.12.7",
        of("linux-6.12.107-max", "6.12.6", fields={ASID_BITS: 0}),
        of("linux-6.12.107-max", "6.12.7", fields={ASID_BITS: 2}),
        "qemu",
        FAILS,
        ("ID_AA64MMFR0_EL1",),
    ),
    Case(
        37,
        "Linux dfe6d190f38f, 5.10.219: System mode of AArch32",
        of(OLD, "5.10.218", features="psci02+el1_32bit", whole={PSTATE: 0x1DF}),
        of(OLD, "5.10.218", features="psci02+el1_32bit"),
        "kvm",
        FAILS,
        ("pstate",),
    ),
    Case(
        38,
        "Linux dfe6d190f38f, 5.10.219",
        of(OLD, "5.10.218", features="psci02+el1_32bit", whole={PSTATE: 0x1DF}),
        of(OLD, "5.10.219", features="psci02+el1_32bit"),
        "kvm",
        RESTORES,
    ),
    Case(39, "Debian's changelog of linux 6.1.23: counters read wrongly", "6.1.22+pmu", "6.1.22+pmu", "qemu", RESTORES),
    Case(
        40,
        "Linux 6685f5d572c2, 6.12.6",
        of("linux-6.12.107-max", "6.12.5", fields={MPAM: 1}),
        of("linux-6.12.107-max", "6.12.6", fields={MPAM: 0}),
        "qemu",
        RESTORES,
    ),
    Case(
        41,
        "Linux 6685f5d572c2, 6.12.6",
        of("linux-6.12.107-max", "6.12.6", fields={MPAM: 0}),
        of("linux-6.12.107-max", "6.12.5", fields={MPAM: 1}),
        "qemu",
        FAILS,
        ("ID_AA64PFR0_EL1",),
    ),
    Case(
        42,
        "Debian's changelog of linux 7.3.4: S1PIE and S1POE are made consistent",
        of("linux-7.3.4-max", "7.3.3", fields={S1POE: 1, S1PIE: 0}),
        of("linux-7.3.4-max", "7.3.4", fields={S1POE: 0, S1PIE: 0}),
        "qemu",
        UNKNOWN,
        ("ID_AA64MMFR3_EL1",),
    ),
    Case(
        43, "qemu-devel, July 2025: Invalid value 292", str(TESTS / "streams" / "max-4.bin.xz"), "6.18", "qemu", FAILS
    ),
    Case(
        44,
        "qemu-devel, September 2025: VENDOR_HYP_BMAP_2 may be missing only while it is 0",
        of(NEW, whole={BMAP_2: 3}),
        "6.12",
        "qemu:11.1",
        FAILS,
        ("VENDOR_HYP_BMAP_2",),
    ),
    Case(
        45,
        "RHEL-174858: RHEL 10's qemu-kvm tolerates; whether its kernel needs it was not found out",
        "6.12.0-211.el10.aarch64+64k",
        "6.18",
        "qemu:10.1",
        UNKNOWN,
        ("TCR2_EL1",),
    ),
    Case(
        46,
        "'KVM/arm64 updates for 6.17': SCTLR2_EL1 is listed on CPUs that have it",
        of(NEW, "6.17", whole={SCTLR2: 0}),
        of("linux-6.16.12-max"),
        "qemu:11.1",
        FAILS,
        ("SCTLR2_EL1",),
    ),
    Case(
        47,
        "github.com/yunionio/cloudpods, issue 21203: Kunpeng to Phytium",
        of(OLD, whole={MIDR: KUNPENG}),
        of(OLD, whole={MIDR: PHYTIUM}),
        "qemu:7.2",
        FAILS,
        ("MIDR_EL1",),
    ),
    Case(
        48, "github.com/pimox/pimox7, issue 119", str(TESTS / "streams" / "cortex-a57-2.bin.xz"), "5.15", "qemu", FAILS
    ),
)
REFUSED = (
    (49, f"{FC}, pull request 4632", "4.14", "6.1", "firecracker", "outside 5.10 to 7.3"),
    (50, "qemu-devel, November 2020: ID_AA64ZFR0_EL1 listed again", "5.8", "5.10", "qemu", "outside 5.10 to 7.3"),
    (51, "github.com/yunionio/cloudpods, issue 12161", "4.19.0-17-arm64", "4.19.0-17-arm64", "qemu", "outside|4.19"),
    (52, "github.com/smol-machines/smolvm, issue 1035", "6.12", "6.12", "libkrun", "must be one of qemu"),
    (53, "github.com/gem5/gem5, issue 1334", "6.1", "6.1", "gem5", "must be one of qemu"),
)


def _side(told: str | dict[str, Any], folder: Path, name: str) -> str | Path:
    return told if isinstance(told, str) else written(folder, name, dumped(**told))


@pytest.mark.parametrize("case", CASES, ids=[str(case.number) for case in CASES])
def test_a_reported_move_ends_as_reported(case: Case, tmp_path: Path) -> None:
    found = check(_side(case.source, tmp_path, "source"), _side(case.dest, tmp_path, "dest"), vmm=case.vmm).forward
    assert found.outlook is case.right, str(found)
    told = found.failing if case.right is FAILS else found.unjudged
    assert set(case.names) <= {fate.name for fate in told}, str(found)
    assert "Not judged: GIC, ITS, timers, memory" in found.scope


@pytest.mark.parametrize(("number", "where", "source", "dest", "vmm", "told"), REFUSED)
def test_a_reported_move_that_cannot_be_asked_says_why(
    number: int, where: str, source: str, dest: str, vmm: str, told: str
) -> None:
    with pytest.raises(InputError, match=told) as caught:
        check(source, dest, vmm=vmm)
    assert "\n" not in str(caught.value), (number, where)


def test_the_log_has_every_case() -> None:
    text = (ROOT / "docs" / "field-log.md").read_text(encoding="utf-8")
    rows = {int(found) for found in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert rows >= {case.number for case in CASES} | {row[0] for row in REFUSED}
