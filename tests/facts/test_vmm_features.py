"""Which vCPU features each VMM's version gives."""

from __future__ import annotations

import pytest

from fastsmc.facts.vcpu import VCPU_FEATURES
from fastsmc.facts.vmm_features import GIVEN, How, given, never_given
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.facts.vmms import Vmm

ALL = (Vmm.QEMU, Vmm.FIRECRACKER, Vmm.CLOUD_HYPERVISOR, Vmm.CROSVM, Vmm.KVM)


@pytest.mark.parametrize(
    ("vmm", "features", "told"),
    [
        ("qemu:7.2", "psci02+pmu+sve+pauth", ""),
        ("qemu", "psci02+el1_32bit", ""),
        ("qemu", "none", "no vCPUs without psci02"),
        ("firecracker:1.4", "psci02+pauth", "no vCPUs with pauth (from 1.5 on)"),
        ("firecracker:1.5", "psci02+pauth+sve", ""),
        ("firecracker", "psci02+pmu", "no vCPUs with pmu"),
        ("firecracker", "psci02+el1_32bit", "no vCPUs with el1_32bit"),
        ("cloud-hypervisor:v21", "psci02+pmu", "no vCPUs with pmu (from v22 on)"),
        ("cloud-hypervisor:v22", "psci02+pmu", ""),
        ("cloud-hypervisor:v41", "psci02+sve", "no vCPUs with sve (from v42 on)"),
        ("cloud-hypervisor:v42", "psci02+pmu+sve", ""),
        ("cloud-hypervisor", "psci02+pauth", "no vCPUs with pauth"),
        ("cloud-hypervisor", "psci02+el1_32bit", "no vCPUs with el1_32bit"),
        ("crosvm", "psci02+pmu+sve", ""),
        ("crosvm", "psci02+pauth", "no vCPUs with pauth"),
        ("kvm", "none+pauth", ""),
        ("cloud-hypervisor", "power_off+psci02", ""),
    ],
)
def test_what_a_vmm_never_gives_is_said_with_its_version(vmm: str, features: str, told: str) -> None:
    assert never_given(VmmVersion.of(vmm, ALL), features) == told


@pytest.mark.parametrize("row", GIVEN, ids=lambda row: f"{row.vmm}-{row.feature}")
def test_rows_have_known_names_and_sources(row: object) -> None:
    assert row in GIVEN
    assert row.feature in VCPU_FEATURES
    assert row.source
    assert not (row.switch and row.how is How.ALWAYS)
    assert given(VmmVersion.of(row.vmm, ALL))[row.feature] is row
