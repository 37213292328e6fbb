"""vCPUs that a VMM has or has not, what it is assumed to give, and remedies that its settings allow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.matrix import matrix
from fastsmc.migrate.compat.remedies import FEATURE_FIELDS, is_id_register
from fastsmc.migrate.compat.result import Direction, Outlook
from fastsmc.migrate.compat.text import direction
from fastsmc.migrate.compat.values import PACKAGED, payload
from tests.support.dumps import dumped, field, written
from tests.support.whole_vms import OF_VMS


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


@pytest.mark.parametrize(
    ("vmm", "format", "features", "named", "told"),
    [
        ("crosvm", "cloud-hypervisor", "psci02+sve", "psci02", "the save"),
        ("cloud-hypervisor:v42", "cloud-hypervisor", "psci02+sve", "psci02", "the save"),
        ("firecracker", "snapshot-editor", "psci02+pmu", "psci02", "refuses a vCPU with the PMU"),
        ("cloud-hypervisor", "cloud-hypervisor", "psci02+pmu+sve+pauth", "psci02+pmu+sve", "no vCPUs with pauth"),
    ],
)
def test_a_feature_that_a_files_registers_prove_is_not_named_away(
    tmp_path: Path, vmm: str, format: str, features: str, named: str, told: str
) -> None:
    values = payload(PACKAGED / "linux-6.18.15-max", features)
    assert values is not None
    file = tmp_path / "vm"
    file.write_bytes(OF_VMS[format]([values, values]))
    for kernel in ("6.18", None):
        for chosen in (named, None):
            found = check(
                *(file, file),
                vmm=vmm,
                source_features=chosen,
                dest_features=chosen,
                source_release=kernel,
                dest_release=kernel,
            ).forward
            assert found.outlook is Outlook.FAILS
            assert told in found.stopped_by
            assert found.remedies or vmm == "firecracker"


@pytest.mark.parametrize("kernel", ["5.10", None])
def test_registers_that_every_vcpu_lists_prove_no_pmu(tmp_path: Path, kernel: str | None) -> None:
    """5.10 lists the PMU's, and nothing tells that the file is of another kernel."""
    values = payload(PACKAGED / "linux-5.10.218-max", "psci02")
    assert values is not None
    file = tmp_path / "vm.txt"
    file.write_bytes(OF_VMS["snapshot-editor"]([values]))
    found = check(
        *(file, file),
        vmm="firecracker",
        source_features="psci02",
        dest_features="psci02",
        source_release=kernel,
        dest_release=kernel,
    ).forward
    assert "PMU" not in found.stopped_by


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


@pytest.mark.parametrize(
    ("source", "dest", "vmm", "never"),
    [
        ("6.18+pauth", "6.18", "qemu", "has no setting"),
        ("6.18+sve", "6.18", "qemu", "has no setting"),
        ("6.12", "6.12+sve", "firecracker", "as the destination has them"),
        ("6.12+sve", "6.6", "firecracker", '0x603000000013c024", "bitmap'),
        ("6.12+sve", "6.1", "firecracker", '0x603000000013c024", "bitmap'),
        ("6.12+sve", "5.10", "firecracker", '0x603000000013c024", "bitmap'),
    ],
)
def test_what_a_vcpu_feature_alone_changes_has_the_feature_as_its_remedy(
    source: str, dest: str, vmm: str, never: str
) -> None:
    found = check(source, dest, vmm=vmm)
    for way in (found.forward, found.backward):
        assert never not in said(way)
    assert "give both sides the same vCPU features" in said(found.forward)


def test_where_the_machines_differ_too_that_has_its_own_remedy(tmp_path: Path) -> None:
    """Dot products, beside pointer authentication: both fields are refused, one register each."""
    dot = field(3, 0, 0, 6, 0, 44)
    less = written(tmp_path, "less", dumped("linux-6.18.15-max", fields={dot: 0}))
    found = check("6.18+pauth", less, vmm="qemu").forward
    ids = {remedy.text.partition(":")[0]: remedy.registers for remedy in found.remedies}
    no_setting = ids["start the VM on the destination's machine, or move it to one like the source's"]
    assert no_setting == (dot[0],)


def test_a_template_is_offered_only_where_the_destination_then_takes_its_values(tmp_path: Path) -> None:
    """All that is offered, applied, leaves none of its registers refused."""
    fields = {field(3, 0, 0, 6, 0, 12): 0, field(3, 0, 0, 4, 0, 20): 0}
    less = written(tmp_path, "less", dumped("linux-6.12.107-max", fields=fields))
    for dest in (less, "linux-6.1.192-max"):
        found = check("linux-7.3.4-max+psci02", dest, vmm="firecracker").forward
        offered = [remedy.command for remedy in found.remedies if remedy.command.startswith("CPU template: ")]
        assert offered
        for command in offered:
            path = tmp_path / "template.json"
            path.write_text(command.removeprefix("CPU template: "), encoding="utf-8")
            after = check("linux-7.3.4-max+psci02", dest, vmm="firecracker", source_template=path).forward
            regs = {int(row["addr"], 16) for row in json.loads(path.read_text(encoding="utf-8"))["reg_modifiers"]}
            assert not after.reason
            assert not regs & {fate.reg for fate in after.failing}


@pytest.mark.parametrize(
    ("side", "vmm", "without", "newer"),
    [
        ("6.12+sve", "firecracker:1.4", "Firecracker 1.4 has no vCPUs with it", "Firecracker 1.7 or newer"),
        ("6.12+pauth", "firecracker:1.4", "Firecracker 1.4 has no vCPUs with it", "Firecracker 1.5 or newer"),
        ("6.12+pmu", "cloud-hypervisor:v21", "v21 has no vCPUs with it", "Cloud Hypervisor v22 or newer"),
        ("6.12+pmu+sve", "cloud-hypervisor:v21", "v21 has no vCPUs with it", "Cloud Hypervisor v53 or newer"),
        ("6.12+pmu", "firecracker", ": Firecracker has no vCPUs with it", ""),
        ("6.12+pauth", "cloud-hypervisor", ": Cloud Hypervisor has no vCPUs with it", ""),
    ],
)
def test_a_vcpu_that_a_newer_version_has_is_told_that_version(side: str, vmm: str, without: str, newer: str) -> None:
    told = said(check(side, side, vmm=vmm).forward)
    assert without in told
    assert newer in told
    assert ("or newer" in told) is bool(newer)


def test_a_vmm_without_a_switch_is_not_told_to_give_both_sides_the_same() -> None:
    told = said(check("6.12+pmu", "6.12+pmu+sve", vmm="cloud-hypervisor").forward)
    assert "move the VM between hosts that both have sve, or both not" in told
    assert "same vCPU features" not in told


def test_a_remedy_without_registers_has_no_count() -> None:
    assert "remedy: start" in direction("forward", check("6.12+sve", "6.12+sve", vmm="firecracker:1.4").forward)


@pytest.mark.parametrize("feature", ["sve", "pauth"])
def test_recorded_hosts_differ_by_a_vcpu_feature_in_its_own_fields_alone(feature: str) -> None:
    seen = 0
    for host in sorted(PACKAGED.glob("linux-*")):
        bare, having = payload(host, "psci02"), payload(host, f"psci02+{feature}")
        if bare is None or having is None:
            continue
        seen += 1
        for reg in bare.keys() & having.keys():
            if is_id_register(reg):
                assert not (bare[reg] ^ having[reg]) & ~FEATURE_FIELDS[feature].get(reg, 0)
    assert seen
