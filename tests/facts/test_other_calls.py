"""Names of functions that KVM does not answer, against ids copied from the documents and headers one by one."""

from __future__ import annotations

import pytest

from fastsmc.facts.call_ranges import OWNERS, range_of
from fastsmc.facts.call_spellings import calls_meant
from fastsmc.facts.other_calls import OTHER_BY_ID, call_name, service_and_name


@pytest.mark.parametrize(
    ("func_id", "name"),
    [
        # Linux include/linux/arm-smccc.h and drivers/firmware/smccc/soc_id.c
        (0xC0000002, "SMCCC_ARCH_SOC_ID64"),
        (0x8600007F, "VENDOR_HYP_FEATURES_2"),
        # TF-A 6a164dda7, include/services/{arm_arch_svc,sdei,spm_mm_svc,errata_abi_svc,drtm_svc,pci_svc}.h
        (0x80000003, "SMCCC_ARCH_FEATURE_AVAILABILITY"),
        (0xC4000020, "SDEI_VERSION"),
        (0xC400002B, "SDEI_PE_MASK"),
        (0xC4000032, "SDEI_SHARED_RESET"),
        (0x84000040, "MM_VERSION"),
        (0xC4000041, "MM_COMMUNICATE64"),
        (0x840000F0, "EM_VERSION"),
        (0x840000F2, "EM_CPU_ERRATUM_FEATURES"),
        (0xC4000114, "DRTM_DYNAMIC_LAUNCH"),
        (0x84000134, "PCI_SEG_INFO"),
        # TF-A ffa_svc.h
        (0x84000060, "FFA_ERROR"),
        (0xC4000060, "FFA_ERROR64"),
        (0x84000069, "FFA_ID_GET"),
        (0xC400006F, "FFA_MSG_SEND_DIRECT_REQ64"),
        (0xC400008B, "FFA_PARTITION_INFO_GET_REGS"),
        (0xC400008D, "FFA_MSG_SEND_DIRECT_REQ2"),
        (0x84000090, "FFA_ABORT"),
        (0xC4000097, "FFA_NOTIFICATION_GET2"),
        # TF-RMM 9a7f8ef4; rmi_smc.h of Linux' patches for RMM 1.0
        (0xC4000150, "RMI_VERSION"),
        (0xC4000151, "RMI_GRANULE_DELEGATE"),
        (0xC400020A, "RMI_OP_CANCEL"),
        (0xC4000190, "RSI_VERSION"),
        (0xC4000199, "RSI_HOST_CALL"),
        (0xC40001B0, "RMM_GTSI_DELEGATE"),
        # Arm sysarch-acs' header of PFDI; TF-A lfa_svc.h
        (0xC40002D0, "PFDI_VERSION"),
        (0xC40002D7, "PFDI_FORCE_ERROR"),
        (0xC40002E6, "LFA_CANCEL"),
        # TF-A std_svc.h, ven_el3_svc.h
        (0x8400FF01, "STD_CALL_UID"),
        (0x8700FF03, "VENDOR_EL3_REVISION"),
        (0xC7000020, "VENDOR_EL3_PMF_GET_TIMESTAMP64"),
        # OP-TEE d5001fe0a, optee_smc.h
        (0xB2000007, "OPTEE_GET_SHM_CONFIG"),
        (0xB2000009, "OPTEE_EXCHANGE_CAPABILITIES"),
        (0xBF00FF01, "TRUSTED_OS_CALL_UID"),
        (0x32000003, "OPTEE_RETURN_FROM_RPC"),
        # Android's arm-smccc.h; crosvm hvc.rs, f1e797a68; Linux mshyperv.h
        (0xC6000009, "PKVM_MEM_RELINQUISH"),
        (0xC600000B, "PKVM_MMIO_RGUARD_UNMAP"),
        (0xC600003C, "CROSVM_DEVICE_POWER_MANAGER"),
        (0x46000001, "HYPER_V_HYPERCALL"),
    ],
)
def test_ids_have_the_names_of_their_documents(func_id: int, name: str) -> None:
    assert (call_name(func_id), OTHER_BY_ID[func_id].name) == (name, name)
    assert calls_meant(name) == {name: func_id}
    assert service_and_name(func_id)[1] == name


def test_every_row_has_a_document_and_a_source() -> None:
    for row in OTHER_BY_ID.values():
        assert row.source, row
        assert row.family.document, row
        assert row.family.title, row
        assert row.func_id >> 24 & 0x3F in OWNERS, row


def test_conventions_are_those_of_the_headers() -> None:
    """FF-A has calls of one convention only: TF-A defines no other form of these."""
    assert not {0xC4000063, 0xC4000069, 0x8400008B, 0x8400008D, 0xC4000075} & OTHER_BY_ID.keys()
    assert {0x84000066, 0xC4000066, 0x84000071, 0xC4000071} <= OTHER_BY_ID.keys()


def test_only_fast_calls_have_ranges() -> None:
    assert range_of(0x04000063) is None
    found = range_of(0x84000063)
    assert found is not None
    assert found.family.document == "Arm DEN0077 (FF-A)"
    assert range_of(0x84000098) is None
    assert range_of(0x85000063) is None
