"""What every known function answers, in a sentence.

Sources: Linux arch/arm64/kvm/{hypercalls,psci,trng,pvtime}.c and recorded behaviour.
"""

from __future__ import annotations


def _both(number: int, sentence: str) -> dict[int, str]:
    """A PSCI function's SMC32 and SMC64 form."""
    return {0x8400_0000 | number: sentence, 0xC400_0000 | number: sentence}


_UNUSED = "nothing: KVM answers NOT_SUPPORTED, x0 = -1 in every release"
_PKVM = "nothing to an ordinary VM: KVM answers NOT_SUPPORTED, x0 = -1; pKVM answers it at EL2 for protected VMs"
_FAST = "x0 = x1 = 0, x2 and x3 kept, without an exit; whether it is needed is said by SMCCC_ARCH_FEATURES"

ANSWERS: dict[int, str] = {
    0x8000_0000: "the SMCCC version KVM has: x0 = 0x10001, always 1.1",
    0x8000_0001: "whether the function in x1 is there: x0 is 0, 1 or -2 for the workarounds and PV_TIME_FEATURES, "
    "-1 for everything else",
    0x8000_0002: _UNUSED,
    0x8000_0004: _UNUSED,
    0x8000_8000: f"Spectre v2 mitigation: {_FAST}",
    0x8000_7FFF: f"Spectre v4 mitigation: {_FAST}",
    0x8000_3FFF: f"Spectre-BHB mitigation: {_FAST}",
    0x95C1_BA5E: _UNUSED,
    0x95C1_BA5F: "stops the calling vCPU",
    0x95C1_BA60: "starts the vCPU in x1 at x2 with x0 = x3: 0, or -2 if it is on or not there",
    0x95C1_BA61: _UNUSED,
    0x8400_0000: "the PSCI version of the VM, as major << 16 | minor",
    **_both(0x01, "waits for an interrupt as WFI does, arguments ignored; then x0 = 0"),
    0x8400_0002: "stops the calling vCPU",
    **_both(0x03, "starts the vCPU in x1 at x2 with x0 = x3: 0, -4 if it is on, -2 if it is not there"),
    **_both(0x04, "whether vCPUs with the affinity in x1 are on (0) or all off (1), x2 the lowest level; -2 if none"),
    **_both(0x05, _UNUSED),
    0x8400_0006: "2: no trusted OS that would have to migrate",
    **_both(0x07, _UNUSED),
    0x8400_0008: "stops all vCPUs and exits with KVM_SYSTEM_EVENT_SHUTDOWN; x0 = -6 should the VMM go on",
    0x8400_0009: "stops all vCPUs and exits with KVM_SYSTEM_EVENT_RESET; x0 = -6 should the VMM go on",
    0x8400_000A: "whether the PSCI function in x1, or SMCCC_VERSION, is there; neither filter nor bitmaps change it",
    0x8400_000B: _UNUSED,
    **_both(0x0C, _UNUSED),
    **_both(0x0D, _UNUSED),
    **_both(0x0E, "exits with KVM_SYSTEM_EVENT_SUSPEND; writes no register, and other vCPUs run on"),
    0x8400_000F: _UNUSED,
    **_both(0x10, _UNUSED),
    **_both(0x11, _UNUSED),
    **_both(
        0x12, "stops all vCPUs and exits with KVM_SYSTEM_EVENT_RESET if x1 is 0 or from 0x80000000 up, else x0 = -2"
    ),
    0x8400_0013: _UNUSED,
    **_both(0x14, _UNUSED),
    **_both(
        0x15, "hibernates: stops all vCPUs, exits with KVM_SYSTEM_EVENT_SHUTDOWN if x1 <= 1 and x2 = 0, else x0 = -2"
    ),
    0x8400_0050: "the TRNG version: x0 = 0x10000",
    0x8400_0051: "0 if all 64 bits of x1 are the id of a TRNG function, else -1",
    0x8400_0052: "the UUID of KVM's entropy source, in x0..x3",
    0x8400_0053: "up to 96 random bits in x1..x3, their number in x1; -2 for more",
    0xC400_0053: "up to 192 random bits in x1..x3, their number in x1; -2 for more",
    0xC500_0020: "0 if x1 is a PV time function and the vCPU has a steal-time record, else -1",
    0xC500_0021: "the guest address of the vCPU's steal-time record, which it clears; -1 without one",
    0x8600_FF01: "KVM's UUID in x0..x3: 28b46fb6-2ec5-11e9-a9ca-4b564d003a74",
    0x8600_0000: "the vendor functions: x0 = VENDOR_HYP_BMAP, x2 = VENDOR_HYP_BMAP_2; 3 and 0 before those existed",
    0x8600_0001: "host time (x0, x1) and the counter at that moment (x2, x3), virtual or physical by x1; else x0 = -1",
    0xC600_0002: _PKVM,
    0xC600_0003: _PKVM,
    0xC600_0004: _PKVM,
    0xC600_0007: "nothing: KVM answers NOT_SUPPORTED, x0 = -1; guests of pKVM call it (Android's MMIO_GUARD_MAP)",
    0xC600_0040: "nothing in the kernel; by the ABI a VMM answers x0 = 0, x1 = version, x2 = number of CPU models",
    0xC600_0041: "nothing in the kernel; by the ABI a VMM answers MIDR, REVIDR and AIDR of model x1 in x1..x3",
}

NEEDS: dict[int, str] = {
    0xC500_0020: "a steal-time record (vCPU attribute KVM_ARM_VCPU_PVTIME_IPA) to answer anything but -1",
    0xC500_0021: "a steal-time record (vCPU attribute KVM_ARM_VCPU_PVTIME_IPA) to answer anything but -1",
    0x8600_0001: "the Arm counter as the host's clock source; without it x0 = -1",
    0xC600_0040: "a FWD_TO_USER filter and a VMM that answers; VENDOR_HYP_BMAP_2 bit 0 only tells the guest to ask",
    0xC600_0041: "a FWD_TO_USER filter and a VMM that answers; VENDOR_HYP_BMAP_2 bit 1 only tells the guest to ask",
}
"""What an answer needs beside gate, PSCI version and VM capability, which the tables of `smccc` have."""

_NO_BITS = "from Arm DEN0098: x1 = 0 gets success and no bits, where the specification has INVALID_PARAMETERS (x0 = -2)"
DIFFERS: dict[int, str] = {0x8400_0053: _NO_BITS, 0xC400_0053: _NO_BITS}
"""Where KVM's answer is not the specification's. Sources: Linux arch/arm64/kvm/trng.c and recorded calls for KVM;
TF-A services/std_svc/trng/trng_main.c, 6a164dda7, for the rule."""
