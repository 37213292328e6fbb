"""Kinds of guest beside the ordinary one: which hosts have guests with EL2 and protected VMs, and what refuses them.

Recorded: tests/recordings, sections of vCPUs with EL2 (6.12.118, 6.18.15, 7.3.4) and of protected VMs (7.3.4).
"""

from __future__ import annotations

from errno import EAGAIN, EINVAL, ENOENT
from typing import TYPE_CHECKING

from fastsmc.facts.vcpu import (
    FEATURE_EL1_32BIT,
    FEATURE_EL2,
    FEATURE_PMU,
    FEATURE_SVE,
    has_el2,
    not_served,
)

if TYPE_CHECKING:
    from fastsmc.facts.releases import Host

VM_TYPE_PROTECTED = 1 << 31
"""KVM_VM_TYPE_ARM_PROTECTED, a bit of KVM_CREATE_VM's type. Recorded: 7.3.4, `create`."""

CAPS_NOT_FOR_PROTECTED = frozenset(
    [
        *(14, 23, 36, 41, 70, 81, 82, 88, 93, 119, 120, 126, 127, 136, 144, 158, 170, 174, 177, 178, 187, 195, 198),
        *(216, 227, 230, 239, 245, 251),
    ]
)
"""KVM_CAP_* that an ordinary VM of the host has and a protected one answers with 0. Recorded: 7.3.4, `caps`.

Among them 93 (ARM_EL1_32BIT), 126 (ARM_PMU_V3), 170 (ARM_SVE), 216 (ARM_SYSTEM_SUSPEND), 227 (COUNTER_OFFSET), 230
(ARM_SUPPORTED_REG_MASK_RANGES) and 239 (ARM_WRITABLE_IMP_ID_REGS). Numbers: include/uapi/linux/kvm.h.
"""

NOT_FOR_PROTECTED = FEATURE_EL1_32BIT | FEATURE_PMU | FEATURE_SVE | FEATURE_EL2
"""Features whose capability (93, 126, 170, 240) a protected VM answers with 0. Recorded: 7.3.4, `caps`.

That KVM_ARM_VCPU_INIT then refuses them with EINVAL, as for an ordinary VM, is assumed.
"""

_ALL = 0xFFFF_FFFF_FFFF_FFFF
PROTECTED_ANSWERS = {
    0x8600_0000: (0x1D, 0, 0),
    0xC600_0002: (0x1000, _ALL, _ALL),
    0xC600_0003: (0, 0xFFF, _ALL),
    0xC600_0004: (0, 0xFFF, _ALL),
}
"""What EL2 itself answers a protected VM by HVC, before KVM sees the call: x0, and the bits of x1, and of x2 and x3,
with which it is PROTECTED_INVALID instead. VENDOR_HYP_FEATURES, HYP_MEMINFO, MEM_SHARE, MEM_UNSHARE.

Recorded on 7.3.4 with pages of 4 KiB: the answers to no argument, and to the base of a page that the guest has. What
arguments must be 0: Documentation/virt/kvm/arm/hypercalls.rst; that a base is the base of a page is assumed. That a
page is the guest's own, and shared or not as the call needs it, is taken for granted: no memory is modelled.
"""
PROTECTED_INVALID = -3
"""INVALID_PARAMETER. Source: Documentation/virt/kvm/arm/hypercalls.rst."""


def vm_type_errno(host: Host, *, is_protected: bool) -> int:
    """What KVM_CREATE_VM returns: 0, or EINVAL for a protected VM that the host does not have.

    >>> from fastsmc.facts.releases import Host
    >>> vm_type_errno(Host.of("7.3"), is_protected=True), vm_type_errno(Host.of("7.3"), is_protected=False)
    (22, 0)
    """
    has = host.release.has_protected and host.kvm_arm_mode == "protected"
    return EINVAL if is_protected and not has else 0


def vcpu_init_errno(host: Host, features: int, *, is_protected: bool = False) -> int:
    """What KVM_ARM_VCPU_INIT returns of word 0 of the features.

    A bit that the release does not know is ENOENT. EL2 is EINVAL unless the host was booted with kvm-arm.mode=nested;
    E2H0 without it is taken everywhere, and makes an ordinary vCPU (recorded).

    >>> from fastsmc.facts.releases import Host
    >>> nested, plain, old = (
    ...     Host.of("6.18", kvm_arm_mode="nested"), Host.of("6.18"), Host.of("6.12", kvm_arm_mode="nested")
    ... )
    >>> [vcpu_init_errno(host, 0x84) for host in (nested, plain, old)]
    [0, 22, 2]
    """
    if features >> host.release.n_vcpu_feature:
        return ENOENT
    if has_el2(features) and host.kvm_arm_mode != "nested":
        return EINVAL
    if not_served(features) is not None:
        return EINVAL
    return EINVAL if is_protected and features & NOT_FOR_PROTECTED else 0


def why_refused(host: Host, features: int, *, is_protected: bool = False) -> str:
    """Why a host has no such VM, in words with KVM's errno; "" where it has.

    >>> from fastsmc.facts.releases import Host
    >>> print(why_refused(Host.of("7.2"), 4, is_protected=True))
    KVM_CREATE_VM of Linux 7.2 refuses a protected VM with EINVAL: they came with 7.3
    """
    linux = f"Linux {host.release.name}"
    if vm_type_errno(host, is_protected=is_protected):
        if not host.release.has_protected:
            return f"KVM_CREATE_VM of {linux} refuses a protected VM with EINVAL: they came with 7.3"
        refusal = f"KVM_CREATE_VM of {linux} without kvm-arm.mode=protected refuses a protected VM with EINVAL"
        return f'{refusal}: give a Host with kvm_arm_mode="protected"'
    errno = vcpu_init_errno(host, features, is_protected=is_protected)
    if errno == ENOENT:
        known = (1 << host.release.n_vcpu_feature) - 1
        return f"KVM_ARM_VCPU_INIT of {linux} knows bits in {known:#x} (ENOENT)"
    if errno and has_el2(features) and host.kvm_arm_mode != "nested":
        refusal = f"KVM_ARM_VCPU_INIT of {linux} without kvm-arm.mode=nested refuses bit 7 (HAS_EL2) with EINVAL"
        return f'{refusal}: give a Host with kvm_arm_mode="nested"'
    reason = not_served(features)
    if reason is not None:
        return reason
    return f"a protected VM of {linux} has no bits in {NOT_FOR_PROTECTED:#x} (EINVAL, assumed)" if errno else ""


def run_errno(features: int, *, has_gic: bool) -> int:
    """What KVM_RUN returns of a vCPU before it runs: EAGAIN with EL2 and no in-kernel GIC (recorded), else 0."""
    return EAGAIN if has_el2(features) and not has_gic else 0
