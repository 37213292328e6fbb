"""What KVM's services answer where the answer is a constant, and how they read their arguments.

Sources: Linux arch/arm64/kvm/{psci,trng,hypercalls}.c and include/linux/arm-smccc.h, read between 5.10 and 7.x.
"""

from __future__ import annotations

TRNG_UUID = (0x00E0_210D, 0xEB11_8443, 0x4452_7080, 0x4C5A_4E55)
"""x0..x3 of TRNG_GET_UUID: 0d21e000-4384-11eb-8070-5244554e5a4c. Source: arch/arm64/kvm/trng.c."""
VENDOR_UID = (0xB66F_B428, 0xE911_C52E, 0x564B_CAA9, 0x743A_004D)
"""x0..x3 of VENDOR_HYP_CALL_UID: 28b46fb6-2ec5-11e9-a9ca-4b564d003a74. Source: include/linux/arm-smccc.h."""

SHOWN_BEFORE_BITMAPS = (1, 1, 3, 0)
"""The four feature bitmaps as services see them in releases that have no bitmap registers: what KVM had, all on."""

MPIDR_AFFINITY = 0xFF_00FF_FFFF
"""Aff3 and Aff2..Aff0 of MPIDR_EL1, which name a target of CPU_ON. Source: asm/cputype.h, MPIDR_HWID_BITMASK."""

SMC64_REFUSED_EARLY = frozenset({0xC400_0001, 0xC400_0003, 0xC400_0004})
"""CPU_SUSPEND64, CPU_ON64, AFFINITY_INFO64: what AArch32 callers were refused before KVM refused them every SMC64 id.
Source: psci.c, kvm_psci_check_allowed_function."""

NARROWED = frozenset({0x8400_0003, 0x8400_0004, 0x8400_000E, 0x8400_0012, 0x8400_0015})
"""CPU_ON, AFFINITY_INFO, SYSTEM_SUSPEND, SYSTEM_RESET2, SYSTEM_OFF2: ids that look at the low halves of x1..x3.
Source: psci.c, kvm_psci_narrow_to_32bit."""

PSCI_FEATURES_KNOWN = frozenset(
    {
        *(0x8400_0000 | number for number in (0, 1, 2, 3, 4, 6, 8, 9, 0xA)),
        *(0xC400_0000 | number for number in (1, 3, 4)),
        0x8000_0000,  # SMCCC_VERSION: how a guest discovers SMCCC
    }
)
"""Ids that PSCI_FEATURES knows whatever the version and the capabilities. Source: psci.c, kvm_psci_1_x_call."""
