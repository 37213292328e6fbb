"""Whose a function id is: owners, families of calls with the document that defines each, and the numbers they have.

Sources: Arm DEN0028 (SMCCC); TF-A (Trusted Firmware-A) at 6a164dda7, include/services/*.h, include/lib/smccc.h and
docs/getting_started/rt-svc-writers-guide.rst, table 1; Linux include/linux/arm-smccc.h. A family of calls has its own.
"""

from __future__ import annotations

from typing import NamedTuple

from fastsmc.facts.smccc import FAST_CALL, Owner, Service, owner_of

VENDOR_EL3, TRUSTED_OS_API = 7, 63
"""Owners that KVM has no word for: the monitor at EL3, and the queries of whichever trusted OS there is."""

OWNERS = {
    Owner.ARCH: "Arm architecture",
    Owner.CPU: "CPU",
    Owner.SIP: "SiP",
    Owner.OEM: "OEM",
    Owner.STANDARD: "standard secure",
    Owner.STANDARD_HYP: "standard hypervisor",
    Owner.VENDOR_HYP: "vendor hypervisor",
    VENDOR_EL3: "vendor-specific EL3 monitor",
    **dict.fromkeys((48, 49), "trusted application"),
    **dict.fromkeys(range(50, 64), "trusted OS"),
}
"""Owners by bits 29:24 of an id; other values are reserved. Source: DEN0028; arm-smccc.h, ARM_SMCCC_OWNER_*; TF-A,
OEN_*."""

TRUSTED_OWNERS = range(48, 64)
"""Trusted applications and the trusted OS: the owners that yielding calls are for."""

SMCCC = "Arm DEN0028 (SMCCC)"
DOCUMENTS = {
    Service.ARCH: SMCCC,
    Service.PSCI: "Arm DEN0022 (PSCI)",
    Service.TRNG: "Arm DEN0098 (TRNG firmware interface)",
    Service.PV_TIME: "Arm DEN0057 (paravirtualized time)",
    Service.VENDOR_HYP: "Linux Documentation/virt/kvm/arm/hypercalls.rst",
}
"""What defines the calls of a service that KVM knows."""


class Family(NamedTuple):
    """A group of calls that one document defines and KVM does not answer.

    Attributes:
        name: how a table of calls heads it: "FF-A".
        title: what the calls are about.
        document: the specification, or the project whose own interface it is.
        source: the file that has the ids.
    """

    name: str
    title: str
    document: str
    source: str


def _arm(name: str, title: str, number: str, header: str) -> Family:
    return Family(name, title, f"Arm {number}", f"TF-A include/services/{header}.h, 6a164dda7")


ARCH = Family("ARCH", "Arm architecture calls", SMCCC, "")
PSCI = Family("PSCI", "power state of CPUs and system", DOCUMENTS[Service.PSCI], "")
QUERIES = Family("QUERIES", "general queries that an owner's every implementation has", SMCCC, "")
SDEI = _arm("SDEI", "software delegated exceptions", "DEN0054 (SDEI)", "sdei")
MM = _arm("MM", "management mode", "DEN0060 (MM interface)", "spm_mm_svc")
TRNG = Family("TRNG", "random numbers", DOCUMENTS[Service.TRNG], "TF-A include/services/trng_svc.h, 6a164dda7")
FFA = _arm("FF-A", "firmware framework: partitions of the secure world", "DEN0077 (FF-A)", "ffa_svc")
ERRATA = _arm("ERRATA", "errata management", "DEN0100 (errata management)", "errata_abi_svc")
DRTM = _arm("DRTM", "dynamic root of trust for measurement", "DEN0113 (DRTM)", "drtm_svc")
PCI = _arm("PCI", "PCI configuration space", "DEN0115 (PCI configuration)", "pci_svc")
_RMM = "TF-RMM lib/smc/include/smc-{}.h, 9a7f8ef4"
RMI = Family("RMI", "realm management, called by a host", "Arm DEN0137 (RMM)", _RMM.format("rmi"))
RSI = Family("RSI", "realm services, called by a realm", "Arm DEN0137 (RMM)", _RMM.format("rsi"))
RMM_EL3 = _arm("RMM_EL3", "what the realm manager asks of EL3", "DEN0137 (RMM); TF-A's RMM-EL3 interface", "rmmd_svc")
PFDI = Family("PFDI", "platform fault detection", "Arm DEN0110 (PFDI)", "Arm sysarch-acs, the PFDI suite's header")
LFA = _arm("LFA", "live firmware activation", "DEN0147 (LFA)", "lfa_svc")
PV_TIME = Family("PV_TIME", "paravirtualized time", DOCUMENTS[Service.PV_TIME], "")
_ANDROID = "Android's common kernel"
PKVM = Family("PKVM", "pKVM's calls for protected guests", _ANDROID, f"{_ANDROID}, include/linux/arm-smccc.h")
CROSVM = Family("CROSVM", "power of devices", "crosvm", "crosvm devices/src/power/hvc.rs, f1e797a68")
HYPER_V = Family("HYPER_V", "Hyper-V's hypercalls", "Hyper-V", "Linux arch/arm64/include/asm/mshyperv.h, HV_FUNC_ID")
GUNYAH = Family("GUNYAH", "Gunyah's hypercalls", "Gunyah", "Linux patches, arch/arm64/gunyah/gunyah_hypercall.c")
KVM = Family("VENDOR_HYP", "KVM's own calls", DOCUMENTS[Service.VENDOR_HYP], "Linux include/linux/arm-smccc.h")
VENDOR_EL3_CALLS = _arm("VENDOR_EL3", "TF-A's own calls", "DEN0028 (SMCCC); TF-A", "ven_el3_svc")
OPTEE = Family(
    "OP-TEE", "calls of the trusted OS of that name", "OP-TEE", "OP-TEE core/arch/arm/include/sm/optee_smc.h, d5001fe0a"
)


class CallRange(NamedTuple):
    """Function numbers (bits 15:0) that an owner gave to one family; an id in it need not have a name."""

    owner: int
    first: int
    last: int
    family: Family


RANGES = (
    CallRange(Owner.STANDARD, 0x00, 0x1F, PSCI),
    CallRange(Owner.STANDARD, 0x20, 0x3F, SDEI),
    CallRange(Owner.STANDARD, 0x40, 0x4F, MM),
    CallRange(Owner.STANDARD, 0x50, 0x5F, TRNG),
    CallRange(Owner.STANDARD, 0x60, 0x97, FFA),
    CallRange(Owner.STANDARD, 0xF0, 0xF2, ERRATA),
    CallRange(Owner.STANDARD, 0x110, 0x119, DRTM),
    CallRange(Owner.STANDARD, 0x130, 0x134, PCI),
    CallRange(Owner.STANDARD, 0x150, 0x18F, RMI),
    CallRange(Owner.STANDARD, 0x190, 0x1AF, RSI),
    CallRange(Owner.STANDARD, 0x1B0, 0x1CF, RMM_EL3),
    CallRange(Owner.STANDARD, 0x1D0, 0x2CF, RMI),
    CallRange(Owner.STANDARD, 0x2D0, 0x2DF, PFDI),
    CallRange(Owner.STANDARD, 0x2E0, 0x2E6, LFA),
    CallRange(Owner.VENDOR_HYP, 0x00, 0x01, KVM),
    CallRange(Owner.VENDOR_HYP, 0x02, 0x3F, PKVM),
    CallRange(Owner.VENDOR_HYP, 0x40, 0x7F, KVM),
)
"""Fast calls only. Sources: TF-A, *_FNUM_MIN_VALUE and *_MAX_VALUE or the first and last id; for owner 6 Linux
arm-smccc.h: 2 to 63 are ARM_SMCCC_KVM_FUNC_PKVM_RESV_* but for those pKVM uses, and there are 128 numbers."""

_CHOOSE = {Owner.CPU, Owner.SIP, Owner.OEM, Owner.VENDOR_HYP, VENDOR_EL3, *TRUSTED_OWNERS}
"""Owners for whose functions no document of Arm has names. Source: TF-A, rt-svc-writers-guide.rst."""
FIRST_QUERY = 0xFF00
"""Numbers from this one on are general queries, of every owner. Source: DEN0028."""

UIDS = (
    ("KVM", "28b46fb6-2ec5-11e9-a9ca-4b564d003a74", "Linux include/linux/arm-smccc.h"),
    ("Xen", "a71812dc-c698-4369-9acf-79d18ddee667", "Xen xen/include/public/arch-arm/smccc.h"),
    ("Gunyah", "c1d58fcd-a453-5fdb-9265-ce36673d5f14", "Linux patches, arch/arm64/gunyah/gunyah_hypercall.c"),
    ("Qualcomm's Gunyah", "19bd54bd-0b37-571b-946f-609b54539de6", "Linux patches, arch/arm64/gunyah"),
    ("Hyper-V", "MsHyperV as text in x0 and x1", "Linux arch/arm64/include/asm/mshyperv.h"),
)
"""What hypervisors answer to VENDOR_HYP_CALL_UID: whose it is, the UID, and where that can be read."""


def range_of(func_id: int) -> CallRange | None:
    """The range of a fast call's number; None for a yielding call and where no family has the number.

    >>> range_of(0x84000091).family.name, range_of(0x82000000)
    ('FF-A', None)
    """
    if not func_id & FAST_CALL:
        return None
    number, owner = func_id & 0xFFFF, owner_of(func_id)
    return next((row for row in RANGES if row.owner == owner and row.first <= number <= row.last), None)


def owner_and_range(func_id: int) -> str:
    """Whose an id is, and what its number is for as far as the ranges say, in words.

    >>> owner_and_range(0xC4000091)
    'owner 4 (standard secure), numbers 0x60 to 0x97: FF-A, firmware framework: partitions of the secure world'
    >>> owner_and_range(0x32000009)
    'owner 50, yielding calls of the trusted OS'
    """
    owner, number = owner_of(func_id), func_id & 0xFFFF
    if not func_id & FAST_CALL:
        whose = "reserved for calls older than SMCCC (Armv7-A)" if owner < Owner.SIP else "of the trusted OS"
        return f"owner {owner}, yielding calls {whose}"
    text = f"owner {owner} ({OWNERS.get(owner, 'reserved')})"
    if number >= FIRST_QUERY:
        return f"{text}, numbers 0x{FIRST_QUERY:X} to 0xFFFF: general queries"
    found = range_of(func_id)
    if found is None:
        return f"{text}, whose numbers each implementation chooses" if owner in _CHOOSE else text
    return f"{text}, numbers 0x{found.first:X} to 0x{found.last:X}: {found.family.name}, {found.family.title}"
