"""Functions of SMCCC that guests and hosts call and that KVM does not answer: names, for whoever reads an id.

None of these ids is in the tables of `smccc`: KVM answers NOT_SUPPORTED to every one, as to any number that it does
not know, and no verdict, filter or answer depends on a name. Where a call has both conventions, the name of the SMC64
form ends in 64. Each family's source is in `call_ranges`; rows that have another say so.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastsmc.facts import call_ranges as of
from fastsmc.facts.call_ranges import Family
from fastsmc.facts.smccc import FUNCTION_BY_ID, Owner, Service

_FAST32, _FAST64 = 0x8000_0000, 0xC000_0000
_STANDARD, _TRUSTED_OS = 0x0400_0000, 0x3200_0000


@dataclass(frozen=True, slots=True)
class OtherCall:
    """One function id that KVM does not know.

    Attributes:
        func_id: all 32 bits.
        name: as its document has it, without what its firmware's headers add.
        family: its group, with the document that defines it.
        source: where the id can be read.
        note: what has to be said beside the name; "" as a rule.
    """

    func_id: int
    name: str
    family: Family
    source: str
    note: str = ""


_FFA = """
60+ERROR, 61+SUCCESS, 62 INTERRUPT, 63 VERSION, 64 FEATURES, 65 RX_RELEASE, 66+RXTX_MAP, 67 RXTX_UNMAP,
68 PARTITION_INFO_GET, 69 ID_GET, 6A MSG_POLL, 6B MSG_WAIT, 6C MSG_YIELD, 6D MSG_RUN, 6E MSG_SEND,
6F+MSG_SEND_DIRECT_REQ, 70+MSG_SEND_DIRECT_RESP, 71+MEM_DONATE, 72+MEM_LEND, 73+MEM_SHARE, 74+MEM_RETRIEVE_REQ,
75 MEM_RETRIEVE_RESP, 76 MEM_RELINQUISH, 77 MEM_RECLAIM, 7A MEM_FRAG_RX, 7B MEM_FRAG_TX, 7C NORMAL_WORLD_RESUME,
7D NOTIFICATION_BITMAP_CREATE, 7E NOTIFICATION_BITMAP_DESTROY, 7F NOTIFICATION_BIND, 80 NOTIFICATION_UNBIND,
81 NOTIFICATION_SET, 82 NOTIFICATION_GET, 83+NOTIFICATION_INFO_GET, 84 RX_ACQUIRE, 85 SPM_ID_GET, 86 MSG_SEND2,
87+SECONDARY_EP_REGISTER, 88+MEM_PERM_GET, 89+MEM_PERM_SET, 8A+CONSOLE_LOG, 8B*PARTITION_INFO_GET_REGS,
8C EL3_INTR_HANDLE, 8D*MSG_SEND_DIRECT_REQ2, 8E*MSG_SEND_DIRECT_RESP2, 8F*NS_RES_INFO_GET, 90+ABORT,
94*NOTIFICATION_BIND2, 95*NOTIFICATION_UNBIND2, 96*NOTIFICATION_SET2, 97*NOTIFICATION_GET2
"""
"""Number, convention and name: a space is SMC32 only, + both, * SMC64 only."""
_SDEI = """
20*VERSION, 21*EVENT_REGISTER, 22*EVENT_ENABLE, 23*EVENT_DISABLE, 24*EVENT_CONTEXT, 25*EVENT_COMPLETE,
26*EVENT_COMPLETE_AND_RESUME, 27*EVENT_UNREGISTER, 28*EVENT_STATUS, 29*EVENT_GET_INFO, 2A*EVENT_ROUTING_SET,
2B*PE_MASK, 2C*PE_UNMASK, 2D*INTERRUPT_BIND, 2E*INTERRUPT_RELEASE, 2F*EVENT_SIGNAL, 30*FEATURES, 31*PRIVATE_RESET,
32*SHARED_RESET
"""
_DRTM = """
110*VERSION, 111*FEATURES, 113*UNPROTECT_MEM, 114*DYNAMIC_LAUNCH, 115*CLOSE_LOCALITY, 116*GET_ERROR, 117*SET_ERROR,
118*SET_TCB_HASH, 119*LOCK_TCB_HASH
"""
_RSI = """
190*VERSION, 191*FEATURES, 192*MEASUREMENT_READ, 193*MEASUREMENT_EXTEND, 194*ATTEST_TOKEN_INIT,
195*ATTEST_TOKEN_CONTINUE, 196*REALM_CONFIG, 197*IPA_STATE_SET, 198*IPA_STATE_GET, 199*HOST_CALL,
19A*VSMMU_GET_INFO, 19B*ARCH_DEV_ACTIVATE, 19C*VDEV_DMA_ENABLE, 19D*VDEV_GET_INFO, 19F*VDEV_VALIDATE_MAPPING,
1A0*MEM_GET_PERM_VALUE, 1A1*MEM_SET_PERM_INDEX, 1A2*MEM_SET_PERM_VALUE, 1A3*PLANE_ENTER, 1A4*VDEV_DMA_DISABLE,
1AE*PLANE_SYSREG_READ, 1AF*PLANE_SYSREG_WRITE
"""
_RMI = """
150*VERSION, 153*RTT_DATA_MAP_INIT, 157*REALM_ACTIVATE, 158*REALM_CREATE, 159*REALM_DESTROY, 15A*REC_CREATE,
15B*REC_DESTROY, 15C*REC_ENTER, 15D*RTT_CREATE, 15E*RTT_DESTROY, 161*RTT_READ_ENTRY, 163*RTT_DEV_VALIDATE,
164*PSCI_COMPLETE, 165*FEATURES, 166*RTT_FOLD, 168*RTT_INIT_RIPAS, 169*RTT_SET_RIPAS, 16A*VSMMU_CREATE,
16B*VSMMU_DESTROY, 16C*VSMMU_MAP, 16D*VSMMU_UNMAP, 16E*RMM_CONFIG_SET, 16F*PSMMU_IRQ_NOTIFY, 174*PDEV_ABORT,
175*PDEV_COMMUNICATE, 176*PDEV_CREATE, 177*PDEV_DESTROY, 178*PDEV_GET_STATE, 17A*PDEV_STREAM_KEY_REFRESH,
17B*PDEV_SET_PUBKEY, 17C*PDEV_STOP, 17D*RTT_AUX_CREATE, 17E*RTT_AUX_DESTROY, 17F*RTT_AUX_FOLD,
180*RTT_AUX_MAP_PROTECTED, 181*RTT_AUX_MAP_UNPROTECTED, 183*RTT_AUX_UNMAP_PROTECTED, 184*RTT_AUX_UNMAP_UNPROTECTED,
185*VDEV_ABORT, 186*VDEV_COMMUNICATE, 187*VDEV_CREATE, 188*VDEV_DESTROY, 189*VDEV_GET_STATE, 18A*VDEV_UNLOCK,
18B*RTT_SET_S2AP, 18E*VDEV_COMPLETE, 1D0*VDEV_GET_INTERFACE_REPORT, 1D1*VDEV_GET_MEASUREMENTS, 1D2*VDEV_LOCK,
1D3*VDEV_START, 1D7*PSMMU_ACTIVATE, 1D8*PSMMU_DEACTIVATE, 1DB*PSMMU_ST_L2_CREATE, 1DC*PSMMU_ST_L2_DESTROY,
1E1*GRANULE_TRACKING_GET, 1E3*GRANULE_TRACKING_SET, 1EC*RMM_CONFIG_GET, 1F1*GRANULE_RANGE_DELEGATE,
1F2*GRANULE_RANGE_UNDELEGATE, 1F3*GPT_L1_CREATE, 1F4*GPT_L1_DESTROY, 1F5*RTT_DATA_MAP, 1F6*RTT_DATA_UNMAP,
1F7*RTT_DEV_MAP, 1F8*RTT_DEV_UNMAP, 1FB*RTT_UNPROT_MAP, 1FC*RTT_UNPROT_UNMAP, 201*REALM_TERMINATE,
202*RMM_ACTIVATE, 203*OP_CONTINUE, 204*PDEV_STREAM_CONNECT, 205*PDEV_STREAM_DISCONNECT, 206*PDEV_STREAM_COMPLETE,
207*PDEV_STREAM_KEY_PURGE, 208*OP_MEM_DONATE, 209*OP_MEM_RECLAIM, 20A*OP_CANCEL
"""
_RMM_EL3 = """
1B0*GTSI_DELEGATE, 1B1*GTSI_UNDELEGATE, 1B2*ATTEST_GET_REALM_KEY, 1B3*ATTEST_GET_PLAT_TOKEN, 1B4*EL3_FEATURES,
1B5*EL3_TOKEN_SIGN, 1B6*MEC_REFRESH, 1B7*IDE_KEY_PROG, 1B8*IDE_KEY_SET_GO, 1B9*IDE_KEY_SET_STOP,
1BA*IDE_KM_PULL_RESPONSE, 1BB*RESERVE_MEMORY, 1CF*BOOT_COMPLETE
"""
_PFDI = """
2D0*VERSION, 2D1*FEATURES, 2D2*PE_TEST_ID, 2D3*PE_TEST_PART_COUNT, 2D4*PE_TEST_RUN, 2D5*PE_TEST_RESULT,
2D6*FW_CHECK, 2D7*FORCE_ERROR
"""
_LFA = "2E0*VERSION, 2E1*FEATURES, 2E2*GET_INFO, 2E3*GET_INVENTORY, 2E4*PRIME, 2E5*ACTIVATE, 2E6*CANCEL"
_OPTEE = """
0 GET_OS_UUID, 1 GET_OS_REVISION, 7 GET_SHM_CONFIG, 8 L2CC_MUTEX, 9 EXCHANGE_CAPABILITIES, A DISABLE_SHM_CACHE,
B ENABLE_SHM_CACHE, C BOOT_SECONDARY, D VM_CREATED, E VM_DESTROYED, F GET_THREAD_COUNT, 10 ENABLE_ASYNC_NOTIF,
11 GET_ASYNC_NOTIF_VALUE, 14 GET_PROTMEM_CONFIG
"""
_OPTEE_YIELDING = "3 RETURN_FROM_RPC, 4 CALL_WITH_ARG, 12 CALL_WITH_RPC_ARG, 13 CALL_WITH_REGD_ARG"
_PKVM = """
5*MMIO_GUARD_INFO, 6*MMIO_GUARD_ENROLL, 8*MMIO_GUARD_UNMAP, 9*MEM_RELINQUISH, A*MMIO_RGUARD_MAP, B*MMIO_RGUARD_UNMAP
"""
_EL3 = "10+DEBUGFS, 20+PMF_GET_TIMESTAMP, 30+ACS_HANDLER, 40+TPM_START"


def _family(family: Family, prefix: str, rows: str, owner: int = _STANDARD, note: str = "") -> list[OtherCall]:
    """The calls of one table: hexadecimal number, a character for the convention, name."""
    calls = []
    for row in rows.replace("\n", " ").split(","):
        at = next(place for place, letter in enumerate(row.strip()) if letter in " +*")
        number, form, name = int(row.strip()[:at], 16), row.strip()[at], prefix + row.strip()[at + 1 :]
        if form in " +":
            calls.append(OtherCall(_FAST32 | owner | number, name, family, family.source, note))
        if form in "+*":
            suffix = "" if form == "*" else "_64" if name[-1].isdigit() else "64"
            calls.append(OtherCall(_FAST64 | owner | number, name + suffix, family, family.source, note))
    return calls


_STD_SVC, _ARCH_SVC = (f"TF-A include/services/{name}.h, 6a164dda7" for name in ("std_svc", "arm_arch_svc"))
_SMCCC_H = "illumos for Arm, sys/smccc.h, which follows DEN0028 1.7"
_SOC_ID = "Linux drivers/firmware/smccc/soc_id.c, ARM_SMCCC_ARCH_SOC_ID64"
_CACHE = f"{_SMCCC_H}; a patch to Linux of June 2026, drivers/cache/arm_smccc_cache.c"
_PSCI_1_3 = 'a patch to Linux, "firmware/psci: Add definitions for PSCI v1.3 specification", v4, September 2024'
_ALPHA = "only the alpha of PSCI 1.3 has it: the beta dropped it, and SMCCC 1.7 has it as 0xC0000005 and 0xC0000006"

_ARCH_CALLS = (
    OtherCall(0xC000_0002, "SMCCC_ARCH_SOC_ID64", of.ARCH, _SOC_ID, "since SMCCC 1.6; x1 = 2 asks for the SoC's name"),
    OtherCall(0x8000_0003, "SMCCC_ARCH_FEATURE_AVAILABILITY", of.ARCH, _ARCH_SVC, "since SMCCC 1.6"),
    OtherCall(0xC000_0003, "SMCCC_ARCH_FEATURE_AVAILABILITY64", of.ARCH, _SMCCC_H, "since SMCCC 1.6"),
    OtherCall(0xC000_0005, "SMCCC_ARCH_CLEAN_INV_MEMREGION", of.ARCH, _CACHE, "since SMCCC 1.7"),
    OtherCall(0xC000_0006, "SMCCC_ARCH_CLEAN_INV_MEMREGION_ATTRIBUTES", of.ARCH, _CACHE, "since SMCCC 1.7"),
)
_PSCI_CALLS = (
    OtherCall(
        0x8400_0016,
        "PSCI_CLEAN_INV_MEMREGION",
        of.PSCI,
        f"{_PSCI_1_3} (the SMC64 form); illumos for Arm, sys/psci.h (the other meaning)",
        f"{_ALPHA}; where numbers start one lower, this is CLEAN_INV_MEMREGION_ATTRIBUTES",
    ),
    OtherCall(0xC400_0016, "PSCI_CLEAN_INV_MEMREGION64", of.PSCI, _PSCI_1_3, _ALPHA),
    OtherCall(0x8400_0017, "PSCI_CLEAN_INV_MEMREGION_ATTRIBUTES", of.PSCI, _PSCI_1_3, _ALPHA),
)
_HYPERVISOR_CALLS = (
    OtherCall(
        0xC500_0022,
        "PV_TIME_LPT",
        of.PV_TIME,
        "a patch to Linux Documentation/virt/kvm/arm/pvtime.rst, never merged",
        "live physical time, in drafts of the document only",
    ),
    OtherCall(
        0x8600_007F,
        "VENDOR_HYP_FEATURES_2",
        of.KVM,
        of.KVM.source,
        "the header has the number 127 and nothing that uses it",
    ),
    OtherCall(
        0xC600_003C,
        "CROSVM_DEVICE_POWER_MANAGER",
        of.CROSVM,
        of.CROSVM.source,
        "crosvm answers it where its SMCCC filter forwards it",
    ),
    OtherCall(0x4600_0001, "HYPER_V_HYPERCALL", of.HYPER_V, of.HYPER_V.source, "a guest of Hyper-V makes it"),
    OtherCall(0xC600_8000, "GUNYAH_HYP_IDENTIFY", of.GUNYAH, of.GUNYAH.source, "a guest of Gunyah makes it"),
)

_QUERYING = {
    Owner.ARCH: "ARCH",
    Owner.CPU: "CPU",
    Owner.SIP: "SIP",
    Owner.OEM: "OEM",
    Owner.STANDARD: "STD",
    Owner.STANDARD_HYP: "STD_HYP",
    Owner.VENDOR_HYP: "VENDOR_HYP",
    of.VENDOR_EL3: "VENDOR_EL3",
    of.TRUSTED_OS_API: "TRUSTED_OS",
}
"""Owners with general queries, by the word that their names begin with."""
_UID_NOTES = {
    Owner.STANDARD: "TF-A answers 108d905b-f863-47e8-ae2d-c0fb5641f6e2",
    of.TRUSTED_OS_API: "OP-TEE answers 384fb3e0-e7f8-11e3-af63-0002a5d5c51b",
}
_QUERY_SOURCES = {
    Owner.STANDARD: _STD_SVC,
    Owner.VENDOR_HYP: "Xen xen/include/public/arch-arm/smccc.h",
    of.VENDOR_EL3: of.VENDOR_EL3_CALLS.source,
    of.TRUSTED_OS_API: of.OPTEE.source,
}


def _queries() -> list[OtherCall]:
    """Call count (which SMCCC deprecates), UID and revision of every owner, but the one that KVM answers."""
    return [
        OtherCall(
            func_id, f"{word}_{what}", of.QUERIES, _QUERY_SOURCES.get(owner, of.SMCCC), _UID_NOTES.get(owner, "") * uid
        )
        for owner, word in _QUERYING.items()
        for number, what, uid in ((0xFF00, "CALL_COUNT", 0), (0xFF01, "CALL_UID", 1), (0xFF03, "REVISION", 0))
        if (func_id := _FAST32 | owner << 24 | number) not in FUNCTION_BY_ID
    ]


def _yielding() -> list[OtherCall]:
    """OP-TEE's yielding calls: bit 31 clear."""
    fast = _family(of.OPTEE, "OPTEE_", _OPTEE_YIELDING, _TRUSTED_OS)
    return [OtherCall(row.func_id ^ _FAST32, row.name, row.family, row.source, "a yielding call") for row in fast]


_FFA_OLD = Family("FF-A", of.FFA.title, of.FFA.document, "Linux include/linux/arm_ffa.h")
_RMM_2 = "in RMM 2.0 (draft); before it some numbers had other names, as 0xC4000153 DATA_CREATE"
_RMI_1 = Family("RMI", of.RMI.title, of.RMI.document, "Linux patches, arch/arm64/include/asm/rmi_smc.h")
_RMI_1_CALLS = "151*GRANULE_DELEGATE, 152*GRANULE_UNDELEGATE, 154*DATA_CREATE_UNKNOWN, 155*DATA_DESTROY"

OTHER_CALLS: tuple[OtherCall, ...] = (
    *_ARCH_CALLS,
    *_PSCI_CALLS,
    *_family(of.SDEI, "SDEI_", _SDEI),
    *_family(of.MM, "MM_", "40 VERSION, 41+COMMUNICATE"),
    *_family(of.FFA, "FFA_", _FFA),
    *_family(_FFA_OLD, "FFA_", "78 MEM_OP_PAUSE, 79 MEM_OP_RESUME", note="in Linux' header; TF-A has neither"),
    *_family(of.ERRATA, "EM_", "F0 VERSION, F1 FEATURES, F2 CPU_ERRATUM_FEATURES"),
    *_family(of.DRTM, "DRTM_", _DRTM),
    *_family(of.PCI, "PCI_", "130 VERSION, 131 FEATURES, 132 READ, 133 WRITE, 134 SEG_INFO"),
    *_family(of.RMI, "RMI_", _RMI, note=_RMM_2),
    *_family(_RMI_1, "RMI_", _RMI_1_CALLS, note="in RMM 1.0, gone from 2.0"),
    *_family(of.RSI, "RSI_", _RSI),
    *_family(of.RMM_EL3, "RMM_", _RMM_EL3),
    *_family(of.PFDI, "PFDI_", _PFDI),
    *_family(of.LFA, "LFA_", _LFA),
    *_HYPERVISOR_CALLS,
    *_family(of.PKVM, "PKVM_", _PKVM, Owner.VENDOR_HYP << 24, "answered at EL2 by Android's pKVM"),
    *_family(of.VENDOR_EL3_CALLS, "VENDOR_EL3_", _EL3, of.VENDOR_EL3 << 24),
    *_family(of.OPTEE, "OPTEE_", _OPTEE, _TRUSTED_OS),
    *_yielding(),
    *_queries(),
)

OTHER_BY_ID = {row.func_id: row for row in OTHER_CALLS}
OTHER_BY_NAME = {row.name: row for row in OTHER_CALLS}


def call_name(func_id: int) -> str | None:
    """The name of a function id, whether KVM knows the function or not.

    >>> call_name(0x86000001), call_name(0x84000063), call_name(0x82000000)
    ('VENDOR_HYP_PTP', 'FFA_VERSION', None)
    """
    known = FUNCTION_BY_ID.get(func_id)
    if known is not None:
        return known.name
    other = OTHER_BY_ID.get(func_id)
    return other.name if other is not None else None


def service_and_name(func_id: int) -> tuple[str, str]:
    """What a table of calls has for a function id: service or family of calls, and name.

    An id without a name is hexadecimal under UNKNOWN, or under the family whose range it is in.

    >>> service_and_name(0x84000063), service_and_name(0x84000091), service_and_name(0x82000001)
    (('FF-A', 'FFA_VERSION'), ('FF-A', '0x84000091'), ('UNKNOWN', '0x82000001'))
    """
    known = FUNCTION_BY_ID.get(func_id)
    if known is not None:
        return known.service.name, known.name
    other = OTHER_BY_ID.get(func_id)
    if other is not None:
        return other.family.name, other.name
    found = of.range_of(func_id)
    return found.family.name if found else Service.UNKNOWN.name, f"0x{func_id:08x}"
