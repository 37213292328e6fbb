"""What a Linux guest lacks when a function is not answered.

Sources: Linux drivers/firmware/psci/psci.c (psci_probe, psci_init_smccc), drivers/firmware/smccc/kvm_guest.c,
drivers/ptp/ptp_kvm_arm.c, arch/arm64/kernel/paravirt.c (has_pv_steal_clock, stolen_time_cpu_online),
arch/arm64/include/asm/archrandom.h. Other guests may do otherwise.
"""

from __future__ import annotations

_AS_A_NUMBER = "Linux takes -1 for a version above 1.1, and goes on"
_SMCCC = "Linux takes SMCCC for 1.0, and uses neither TRNG, stolen time nor KVM's own calls"
_BY_NAME = {
    "SMCCC_VERSION": _AS_A_NUMBER,
    "SMCCC_ARCH_FEATURES": "Linux finds neither stolen time nor the firmware's mitigations",
    "PSCI_VERSION": "Linux takes -1 for version 65535.65535, and goes on",
    "PSCI_FEATURES": _SMCCC,
    "PSCI_CPU_ON": "no CPU but the first starts",
    "PSCI_CPU_OFF": "a CPU that is unplugged does not stop",
    "PSCI_CPU_SUSPEND": "no idle states of PSCI",
    "PSCI_AFFINITY_INFO": "the guest cannot see whether a CPU that was unplugged has stopped",
    "PSCI_MIGRATE_INFO_TYPE": "nothing: Linux notes that it is not supported",
    "PSCI_SYSTEM_OFF": "the guest cannot power itself off",
    "PSCI_SYSTEM_RESET": "the guest cannot restart itself",
    "PSCI_SYSTEM_SUSPEND": "no suspend to memory",
    "VENDOR_HYP_CALL_UID": "the guest does not recognise KVM: no KVM services, PTP among them",
    "VENDOR_HYP_FEATURES": "the guest finds no KVM services, PTP among them",
    "VENDOR_HYP_PTP": "no clock of the host (ptp_kvm)",
}
_BY_SERVICE = {
    "TRNG": "no entropy from the host; RNDRRS, if the CPU has it, is used instead",
    "PV_TIME": "no stolen time: time that the host took counts as the guest's own",
}


def loss_of(service: str, function: str) -> str:
    """What a Linux guest lacks that is not answered this function; "" where it is not known here.

    >>> loss_of("PSCI", "PSCI_CPU_ON64")
    'no CPU but the first starts'
    """
    stem = function.removesuffix("64").removesuffix("_")
    return _BY_NAME.get(function) or _BY_NAME.get(stem) or _BY_SERVICE.get(service, "")
