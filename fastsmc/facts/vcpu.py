"""A vCPU's ABI: the features it is initialised with, its power states, and how many of them a VM may have.

Sources: Linux arch/arm64/include/uapi/asm/kvm.h (KVM_ARM_VCPU_*), include/uapi/linux/kvm.h (KVM_MP_STATE_*),
include/kvm/arm_vgic.h (VGIC_V3_MAX_CPUS).
"""

from __future__ import annotations

FEATURE_POWER_OFF, FEATURE_EL1_32BIT, FEATURE_PSCI_0_2, FEATURE_PMU = 0x1, 0x2, 0x4, 0x8
FEATURE_SVE, FEATURE_PAUTH_ADDRESS, FEATURE_PAUTH_GENERIC, FEATURE_EL2 = 0x10, 0x20, 0x40, 0x80
"""Bits of word 0 of struct kvm_vcpu_init's features."""

RUNNABLE, STOPPED = 0, 5
"""KVM_MP_STATE_*."""

MAX_VCPU_PER_VM = 512
"""Beyond it a VM is hypothetical on arm64 KVM; QEMU's virt machine stops there too."""
