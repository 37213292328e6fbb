"""Which features each VMM's version gives its vCPUs, a row per feature, with its source.

A feature without a row is one that no VM of this VMM has. `power_off` is how every VMM starts all vCPUs but the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fastsmc.facts.vcpu import VCPU_FEATURES, feature_bits
from fastsmc.facts.vmm_versions import Number, VmmVersion, written
from fastsmc.facts.vmms import Vmm


class How(StrEnum):
    """When a VMM gives a feature."""

    ALWAYS = "wherever the host has it: there is no switch"
    DEFAULT = "wherever the host has it, unless it is switched off"
    ASKED = "if it is asked for"


@dataclass(frozen=True, slots=True)
class Given:
    """A feature that a VMM gives its vCPUs.

    Attributes:
        by: the first version that does; all zeros where the oldest version known here does.
        switch: how a VM is started with the feature if it is asked for, and without it otherwise; "" if that is not.
    """

    vmm: Vmm
    feature: str
    by: Number
    how: How
    source: str
    switch: str = ""


_ANY = (0, 0, 0)
_QEMU = "QEMU target/arm/kvm64.c (kvm_arch_init_vcpu) of 7.1 or 7.2, read"
_QEMU_EL2 = (
    "the series of kvm_arm_el2_supported (qemu-devel, 20250707164129.1167837-3-eric.auger@redhat.com), applied to the "
    "Arm tree in July 2025, before 10.1; it wants an in-kernel GICv3, and never asks for E2H0"
)
_FC = "github.com/firecracker-microvm/firecracker"
_TEMPLATE = f"{_FC}, CHANGELOG of 1.5.0: vcpu_features in CPU templates"
_CH = "github.com/cloud-hypervisor/cloud-hypervisor"
_CROSVM = "crosvm f1e797a68, aarch64/src/lib.rs (vcpu_features), read"

GIVEN = (
    Given(Vmm.QEMU, "psci02", _ANY, How.ALWAYS, _QEMU),
    Given(Vmm.QEMU, "pmu", _ANY, How.DEFAULT, _QEMU, "-cpu host,pmu=off"),
    Given(Vmm.QEMU, "sve", _ANY, How.DEFAULT, _QEMU, "-cpu host,sve=off"),
    Given(Vmm.QEMU, "pauth", _ANY, How.DEFAULT, _QEMU, "-cpu host,pauth=off"),
    Given(Vmm.QEMU, "el1_32bit", _ANY, How.ASKED, _QEMU, "-cpu host,aarch64=off"),
    Given(Vmm.QEMU, "el2", (10, 1, 0), How.ASKED, _QEMU_EL2, "-M virt,virtualization=on"),
    Given(Vmm.FIRECRACKER, "psci02", _ANY, How.ALWAYS, f"{_FC}, default_kvi of 1.0.0 to 1.16.1, read"),
    Given(Vmm.FIRECRACKER, "sve", (1, 5, 0), How.ASKED, _TEMPLATE),
    Given(Vmm.FIRECRACKER, "pauth", (1, 5, 0), How.ASKED, _TEMPLATE),
    Given(Vmm.CLOUD_HYPERVISOR, "psci02", _ANY, How.ALWAYS, f"{_CH}, v20.0 to v53.0, read"),
    Given(Vmm.CLOUD_HYPERVISOR, "pmu", (22, 0, 0), How.ALWAYS, f"{_CH}, commit 53060874a"),
    Given(Vmm.CLOUD_HYPERVISOR, "sve", (42, 0, 0), How.ALWAYS, f"{_CH}, commit d2a364c5c"),
    Given(Vmm.CROSVM, "psci02", _ANY, How.ALWAYS, _CROSVM),
    Given(Vmm.CROSVM, "pmu", _ANY, How.DEFAULT, f"{_CROSVM}; commit 4cdd0d99d", "--no-pmu"),
    Given(Vmm.CROSVM, "sve", _ANY, How.DEFAULT, f"{_CROSVM}; commits 88cec963b, 33c019ab0", "--sve auto=false"),
)
"""What each VMM gives.

Firecracker's templates can set any bit. With el1_32bit it would write the PSTATE of AArch64, which KVM refuses
(derived from its PSTATE_FAULT_BITS_64 and Linux arch/arm64/kvm/guest.c); a PMU it never initialises, and 1.15 and later
refuse it.
"""
_APART = ("power_off", "pauth_address_only")
"""Names that say nothing of a VMM: how a vCPU starts, and half a feature, which `not_served` speaks of."""


def given(by: VmmVersion) -> dict[str, Given]:
    """The features that a VMM's version gives, by name."""
    rows = (row for row in GIVEN if row.vmm is by.vmm and (by.number is None or by.number >= row.by))
    return {row.feature: row for row in rows}


def never_given(by: VmmVersion, features: str) -> str:
    """What of a vCPU's features a VMM's version never gives, in words; "" for nothing.

    >>> never_given(VmmVersion(Vmm.CLOUD_HYPERVISOR, (21, 0, 0)), "psci02+pmu")
    'no vCPUs with pmu (from v22 on)'
    >>> never_given(VmmVersion(Vmm.QEMU), "none"), never_given(VmmVersion(Vmm.CROSVM), "psci02+sve")
    ('no vCPUs without psci02', '')
    """
    if by.vmm is Vmm.KVM:
        return ""
    bits, rows = feature_bits(features), given(by)
    if not bits & VCPU_FEATURES["psci02"]:
        return "no vCPUs without psci02"
    for name, bit in VCPU_FEATURES.items():
        if bit and bits & bit == bit and name not in (*_APART, *rows):
            later = next((row.by for row in GIVEN if row.vmm is by.vmm and row.feature == name), None)
            return f"no vCPUs with {name}{f' (from {written(by.vmm, later)} on)' if later else ''}"
    return ""
