"""vCPUs that a VMM has or has not, what it is assumed to give, and remedies that its settings allow."""

from __future__ import annotations

import pytest

from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.matrix import matrix
from fastsmc.migrate.compat.result import Direction, Outlook


def said(found: Direction) -> str:
    return " | ".join(str(remedy) + " " + remedy.command for remedy in found.remedies)


@pytest.mark.parametrize(
    ("side", "vmm", "told"),
    [
        ("6.12+sve", "crosvm", "reads V registers, which a vCPU with SVE does not have"),
        ("6.12+pmu+sve", "crosvm", "the save"),
        ("6.12+pauth", "crosvm", "no vCPUs with pauth"),
        ("6.12+pauth", "cloud-hypervisor", "no vCPUs with pauth"),
        ("6.12+el1_32bit", "cloud-hypervisor", "no vCPUs with el1_32bit"),
        ("6.12+el1_32bit", "crosvm", "no vCPUs with el1_32bit"),
        ("6.12+pauth", "firecracker:1.4", r"no vCPUs with pauth (from 1.5 on)"),
        ("6.12+none", "qemu", "no vCPUs without psci02"),
        ("6.12+none", "cloud-hypervisor", "no vCPUs without psci02"),
    ],
)
def test_a_vm_that_the_vmm_cannot_have_or_save_restores_nowhere(side: str, vmm: str, told: str) -> None:
    found = check(side, side, vmm=vmm).forward
    assert found.outlook is Outlook.FAILS
    assert told in found.stopped_by
    assert len(found.remedies) == 1


def test_one_side_with_such_a_vcpu_is_enough() -> None:
    for source, dest in (("6.12+pauth", "6.12+psci02"), ("6.12+psci02", "6.12+pauth")):
        assert "no vCPUs with pauth" in check(source, dest, vmm="cloud-hypervisor").forward.stopped_by


def test_what_kvm_alone_takes_is_nobodys_business() -> None:
    assert check("6.12+none", "6.12+none", vmm="kvm").forward.ok


@pytest.mark.parametrize(
    ("vmm", "features", "note"),
    [
        ("qemu", "psci02+pmu", "adds sve and pauth where the CPU has them, name them then (6.12+pmu+sve+pauth)"),
        ("cloud-hypervisor", "psci02+pmu", "Cloud Hypervisor adds sve where the CPU has it, name it then"),
        ("cloud-hypervisor:v41", "psci02+pmu", "Cloud Hypervisor adds pmu where the host has it"),
        ("cloud-hypervisor:v21", "psci02", "as none are named"),
        ("crosvm", "psci02+pmu", "crosvm adds sve where the CPU has it"),
        ("firecracker", "psci02", "as none are named"),
        ("kvm", "psci02", "as none are named"),
    ],
)
def test_the_vcpu_that_is_assumed_is_the_vmms_own(vmm: str, features: str, note: str) -> None:
    found = check("6.12", "6.18", vmm=vmm)
    assert found.source.features == found.dest.features == features
    assert note in " ".join(found.source.notes)
    assert matrix(["6.12"], vmm=vmm).features == features


def test_a_vmm_without_switches_gives_a_pmu_whatever_the_other_side_has() -> None:
    assert check("6.12", "6.18+pmu+sve", vmm="cloud-hypervisor").source.features == "psci02+pmu"
    assert check("6.12", "6.18+pmu+sve", vmm="qemu").source.features == "psci02"


def test_a_destination_without_psci02_is_told_to_have_it() -> None:
    """The source has PSCI 1.3 already, which pins nothing."""
    for vmm in ("qemu", "kvm"):
        found = check("6.18", "6.18+none", vmm=vmm).forward
        assert "pin" not in said(found)
        assert "psci02" in said(found)


@pytest.mark.parametrize("vmm", ["cloud-hypervisor", "crosvm", "firecracker:1.3"])
def test_where_there_is_no_setting_none_is_named(vmm: str) -> None:
    found = check("6.18+psci02", "6.12+psci02", vmm=vmm).forward
    assert "has no setting to pin PSCI 1.1" in said(found)
    assert "start the VM on a kernel that offers no more" in said(found)


def test_qemu_has_no_setting_for_id_registers() -> None:
    found = check("linux-7.3.4-max", "linux-6.1.192-max", vmm="qemu").forward
    assert "QEMU 11.1 has no setting to offer the guest less" in said(found)
    assert "offer the guest no more" not in said(found)


def test_firecracker_is_not_told_to_leave_out_a_pmu_that_it_never_gives() -> None:
    """5.10 lists the PMU's registers of every vCPU."""
    found = check("5.10", "6.1", vmm="firecracker").forward
    assert "without pmu" not in said(found)
    assert "snapshot-editor" in said(found)


def test_a_switch_is_named_where_there_is_one() -> None:
    assert "--sve auto=false" in said(check("6.12+sve", "6.12+sve", vmm="crosvm").forward)
    assert "v53 or newer" in said(check("6.12+sve", "6.12+sve", vmm="cloud-hypervisor:v52").forward)
    moved = check("6.12+pmu", "6.12+psci02", vmm="cloud-hypervisor").forward
    assert "move the VM to a host that has pmu" in said(moved)
    assert "start the VM without pmu at the source" in said(check("6.12+pmu", "6.12+psci02", vmm="crosvm").forward)
