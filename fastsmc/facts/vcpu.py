"""A vCPU's ABI: the features it is initialised with, its power states, and how many of them a VM may have.

Sources: Linux arch/arm64/include/uapi/asm/kvm.h (KVM_ARM_VCPU_*), include/uapi/linux/kvm.h (KVM_MP_STATE_*,
KVM_CAP_ARM_*), include/kvm/arm_vgic.h (VGIC_V3_MAX_CPUS).
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from fastsmc.checks import shown
from fastsmc.errors import InputError

FEATURE_POWER_OFF, FEATURE_EL1_32BIT, FEATURE_PSCI_0_2, FEATURE_PMU = 0x1, 0x2, 0x4, 0x8
FEATURE_SVE, FEATURE_PAUTH_ADDRESS, FEATURE_PAUTH_GENERIC, FEATURE_EL2 = 0x10, 0x20, 0x40, 0x80
FEATURE_EL2_E2H0 = 0x100
"""Bits of word 0 of struct kvm_vcpu_init's features."""

VCPU_FEATURES = {
    "none": 0,
    "power_off": FEATURE_POWER_OFF,
    "psci02": FEATURE_PSCI_0_2,
    "pmu": FEATURE_PMU,
    "sve": FEATURE_SVE,
    "pauth": FEATURE_PAUTH_ADDRESS | FEATURE_PAUTH_GENERIC,
    "pauth_address_only": FEATURE_PAUTH_ADDRESS,
    "el1_32bit": FEATURE_EL1_32BIT,
    "el2": FEATURE_EL2,
    "e2h0": FEATURE_EL2_E2H0,
}
"""Bits by the name that recordings give a feature, in the order in which they join several: "psci02+pmu"."""

CAPS_OF_FEATURE = {
    FEATURE_EL1_32BIT: (93,),
    FEATURE_PMU: (126,),
    FEATURE_SVE: (170,),
    FEATURE_PAUTH_ADDRESS: (171, 172),
    FEATURE_PAUTH_GENERIC: (171, 172),
    FEATURE_EL2: (240,),
    FEATURE_EL2_E2H0: (241,),
}
"""KVM_CAP_ARM_* that a host must have for a feature: EL1_32BIT, PMU_V3, SVE, PTRAUTH_ADDRESS and _GENERIC, EL2 and its
E2H0.

Without PMU_V3, KVM_ARM_VCPU_INIT was not recorded. E2H0 without EL2 is taken on hosts that lack 241 too.
"""


def has_el2(features: int) -> bool:
    """Whether a vCPU with these features has EL2 itself; E2H0 alone makes no such vCPU.

    >>> has_el2(FEATURE_PSCI_0_2 | FEATURE_EL2), has_el2(FEATURE_PSCI_0_2 | FEATURE_EL2_E2H0)
    (True, False)
    """
    return bool(features & FEATURE_EL2)


def not_served(features: int) -> str | None:
    """Why no host has such vCPUs, or None where one may.

    KVM_ARM_VCPU_INIT refuses half of pointer authentication (arch/arm64/kvm/reset.c), and EL2 beside AArch32
    (recorded: 0x86 on 6.18 and 7.3), with EINVAL.

    >>> print(not_served(FEATURE_PSCI_0_2 | FEATURE_SVE))
    None
    >>> print(not_served(FEATURE_PAUTH_ADDRESS))
    bit 5 (pauth address) without bit 6 (generic): KVM_ARM_VCPU_INIT takes both or neither (EINVAL)
    """
    if features & FEATURE_EL2 and features & FEATURE_EL1_32BIT:
        return "bit 7 (HAS_EL2) with bit 1 (EL1_32BIT): KVM_ARM_VCPU_INIT gives EL2 to AArch64 vCPUs only (EINVAL)"
    has_address, has_generic = bool(features & FEATURE_PAUTH_ADDRESS), bool(features & FEATURE_PAUTH_GENERIC)
    if has_address == has_generic:
        return None
    given, other = ("5 (pauth address)", "6 (generic)") if has_address else ("6 (pauth generic)", "5 (address)")
    return f"bit {given} without bit {other}: KVM_ARM_VCPU_INIT takes both or neither (EINVAL)"


_LONGEST = 80
"""Characters of a wrong name that are compared with others."""


def feature_bits(features: str) -> int:
    """Word 0 of a vCPU's features, from their names joined by "+".

    Raises:
        InputError: a feature without a known bit.

    >>> hex(feature_bits("psci02+pmu"))
    '0xc'
    """
    bits = 0
    for name in features.split("+"):
        if name not in VCPU_FEATURES:
            words = [word for word in re.split(r"[\s,;|/&]+", name.strip().lower()) if word]
            close = get_close_matches(name.strip().lower()[:_LONGEST], VCPU_FEATURES, n=1)
            near = "+".join(words) if words and all(word in VCPU_FEATURES for word in words) else "".join(close)
            meant = f"; did you mean {near}?" if near else ""
            msg = f"vCPU feature {shown(name)} is not one of {', '.join(VCPU_FEATURES)}{meant}"
            raise InputError(msg)
        bits |= VCPU_FEATURES[name]
    return bits


RUNNABLE, STOPPED = 0, 5
"""KVM_MP_STATE_*."""

MAX_VCPU_PER_VM = 512
"""Beyond it a VM is hypothetical on arm64 KVM; QEMU's virt machine stops there too."""
