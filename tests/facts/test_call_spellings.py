"""Macros of headers, against the ids that the headers give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.explanation.names import linux_name
from fastsmc.facts.call_spellings import ALIASES, call_named, call_spelled, calls_meant, named_calls, owner_meant
from fastsmc.facts.registers import register
from fastsmc.facts.smccc import FUNCTIONS, FilterAction
from fastsmc.usage.policy import range_of

HEADERS = {
    # Linux include/uapi/linux/psci.h; U-Boot's and QEMU's copies; Xen's FN32; EDK2's ArmStdSmc.h; TF-A's psci.h
    "PSCI_0_2_FN_PSCI_VERSION": 0x84000000,
    "PSCI_0_2_FN64_CPU_ON": 0xC4000003,
    "PSCI_0_2_FN_MIGRATE_INFO_TYPE": 0x84000006,
    "PSCI_1_0_FN_PSCI_FEATURES": 0x8400000A,
    "PSCI_1_0_FN64_SYSTEM_SUSPEND": 0xC400000E,
    "PSCI_1_1_FN64_SYSTEM_RESET2": 0xC4000012,
    "PSCI_1_1_FN_MEM_PROTECT_CHECK_RANGE": 0x84000014,
    "PSCI_1_3_FN_SYSTEM_OFF2": 0x84000015,
    "PSCI_1_3_FN64_SYSTEM_OFF2": 0xC4000015,
    "ARM_PSCI_0_2_FN64_AFFINITY_INFO": 0xC4000004,
    "QEMU_PSCI_0_2_FN_CPU_SUSPEND": 0x84000001,
    "PSCI_0_2_FN32_CPU_ON": 0x84000003,
    "ARM_SMC_ID_PSCI_CPU_SUSPEND_AARCH64": 0xC4000001,
    "PSCI_CPU_ON_AARCH32": 0x84000003,
    "PSCI_MIG_INFO_UP_CPU_AARCH64": 0xC4000007,
    "PSCI_MIG_AARCH32": 0x84000005,
    "KVM_PSCI_FN_CPU_ON": 0x95C1BA60,
    # Linux include/uapi/linux/arm_sdei.h
    "SDEI_1_0_FN_SDEI_VERSION": 0xC4000020,
    "SDEI_1_0_FN_SDEI_EVENT_COMPLETE_AND_RESUME": 0xC4000026,
    "SDEI_1_0_FN_SDEI_PRIVATE_RESET": 0xC4000031,
    "SDEI_1_0_FN_SDEI_SHARED_RESET": 0xC4000032,
    # Linux include/linux/arm_ffa.h; TF-A's ffa_svc.h
    "FFA_VERSION": 0x84000063,
    "FFA_FN64_SUCCESS": 0xC4000061,
    "FFA_FN64_RXTX_MAP": 0xC4000066,
    "FFA_YIELD": 0x8400006C,
    "FFA_RUN": 0x8400006D,
    "FFA_MEM_OP_PAUSE": 0x84000078,
    "FFA_MEM_OP_RESUME": 0x84000079,
    "FFA_FN64_MEM_PERM_SET": 0xC4000089,
    "FFA_MSG_SEND_DIRECT_REQ_SMC64": 0xC400006F,
    "FFA_PARTITION_INFO_GET_REGS_SMC64": 0xC400008B,
    # Linux drivers/tee/optee/optee_smc.h
    "OPTEE_SMC_CALLS_COUNT": 0xBF00FF00,
    "OPTEE_SMC_CALLS_UID": 0xBF00FF01,
    "OPTEE_SMC_CALLS_REVISION": 0xBF00FF03,
    "OPTEE_SMC_CALL_GET_OS_UUID": 0xB2000000,
    "OPTEE_SMC_CALL_GET_OS_REVISION": 0xB2000001,
    "OPTEE_SMC_CALL_RETURN_FROM_RPC": 0x32000003,
    "OPTEE_SMC_CALL_WITH_ARG": 0x32000004,
    "OPTEE_SMC_CALL_WITH_RPC_ARG": 0x32000012,
    "OPTEE_SMC_GET_SHM_CONFIG": 0xB2000007,
    "OPTEE_SMC_FUNCID_EXCHANGE_CAPABILITIES": 0xB2000009,
    "OPTEE_SMC_GET_ASYNC_NOTIF_VALUE": 0xB2000011,
    # Linux arch/arm64/include/asm/rsi_smc.h; patches for rmi_smc.h
    "SMC_RSI_ABI_VERSION": 0xC4000190,
    "SMC_RSI_FEATURES": 0xC4000191,
    "SMC_RSI_ATTESTATION_TOKEN_INIT": 0xC4000194,
    "SMC_RSI_ATTESTATION_TOKEN_CONTINUE": 0xC4000195,
    "SMC_RSI_HOST_CALL": 0xC4000199,
    "SMC_RMI_VERSION": 0xC4000150,
    "SMC_RMI_GRANULE_DELEGATE": 0xC4000151,
    # Linux include/linux/arm-smccc.h; Android's
    "ARM_SMCCC_VERSION_FUNC_ID": 0x80000000,
    "ARM_SMCCC_ARCH_FEATURES_FUNC_ID": 0x80000001,
    "ARM_SMCCC_ARCH_SOC_ID": 0x80000002,
    "ARM_SMCCC_TRNG_RND64": 0xC4000053,
    "ARM_SMCCC_TRNG_GET_UUID": 0x84000052,
    "ARM_SMCCC_HV_PV_TIME_ST": 0xC5000021,
    "ARM_SMCCC_VENDOR_HYP_CALL_UID_FUNC_ID": 0x8600FF01,
    "ARM_SMCCC_VENDOR_HYP_KVM_FEATURES_FUNC_ID": 0x86000000,
    "ARM_SMCCC_VENDOR_HYP_KVM_MMIO_GUARD_FUNC_ID": 0xC6000007,
    "ARM_SMCCC_VENDOR_HYP_KVM_MMIO_GUARD_INFO_FUNC_ID": 0xC6000005,
    "ARM_SMCCC_VENDOR_HYP_KVM_MMIO_GUARD_ENROLL_FUNC_ID": 0xC6000006,
    "ARM_SMCCC_VENDOR_HYP_KVM_MMIO_GUARD_MAP_FUNC_ID": 0xC6000007,
    "ARM_SMCCC_VENDOR_HYP_KVM_MMIO_GUARD_UNMAP_FUNC_ID": 0xC6000008,
    "VENDOR_HYP_KVM_MMIO_RGUARD_MAP_FUNC_ID": 0xC600000A,
}


@pytest.mark.parametrize(("macro", "func_id"), HEADERS.items(), ids=HEADERS)
def test_macros_stand_for_what_the_headers_say(macro: str, func_id: int) -> None:
    told = call_spelled(macro)
    assert told is not None
    assert (hex(told.id), told.note) == (hex(func_id), "")
    assert list(calls_meant(macro.lower()).values()) == [func_id], "scenarios and workloads take them too"


@pytest.mark.parametrize("row", FUNCTIONS, ids=lambda row: row.name)
def test_every_name_that_linux_has_is_spelled_by_a_rule(row) -> None:  # type: ignore[no-untyped-def]
    for name in (linux_name(row), row.name):
        told = call_spelled(name) if name else None
        assert name is None or (told is not None and told.id == row.func_id)


@pytest.mark.parametrize(
    ("macro", "func_id", "place"),
    [
        ("ARM_SMCCC_KVM_FUNC_FEATURES", 0x86000000, "is 0, the number of this function: bit 0 of"),
        ("ARM_SMCCC_KVM_FUNC_PTP", 0x86000001, "bit 1 of what VENDOR_HYP_FEATURES answers in x0"),
        ("ARM_SMCCC_KVM_FUNC_MMIO_GUARD_MAP", 0xC6000007, "is 7, the number of this function: bit 7 of"),
        ("ARM_SMCCC_KVM_FUNC_MMIO_GUARD_UNMAP", 0xC6000008, "bit 8 of what VENDOR_HYP_FEATURES answers in x0"),
        ("ARM_SMCCC_KVM_FUNC_PKVM_RESV_33", 0xC6000021, "bit 1 of what VENDOR_HYP_FEATURES answers in x1"),
        ("ARM_SMCCC_KVM_FUNC_DISCOVER_IMPL_CPUS", 0xC6000041, "bit 1 of what VENDOR_HYP_FEATURES answers in x2"),
        ("SMCCC_KVM_FUNC_FEATURES_2", 0x8600007F, "bit 31 of what VENDOR_HYP_FEATURES answers in x3"),
    ],
)
def test_a_number_of_kvms_functions_is_a_bit_and_an_id(macro: str, func_id: int, place: str) -> None:
    """Source: Linux drivers/firmware/smccc/kvm_guest.c, four words of 32 bits; arm-smccc.h."""
    told = call_spelled(macro)
    assert told is not None
    assert told.id == func_id
    assert place in told.note
    assert calls_meant(macro) == {}, "a number is no name of a call"


@pytest.mark.parametrize(
    ("macro", "name", "bit"),
    [
        ("KVM_REG_ARM_STD_BIT_TRNG_V1_0", "STD_BMAP", 0),
        ("KVM_REG_ARM_STD_HYP_BIT_PV_TIME", "STD_HYP_BMAP", 0),
        ("KVM_REG_ARM_VENDOR_HYP_BIT_PTP", "VENDOR_HYP_BMAP", 1),
        ("kvm_reg_arm_vendor_hyp_bit_discover_impl_cpus", "VENDOR_HYP_BMAP_2", 1),
    ],
)
def test_a_bit_of_a_register_is_that_register(macro: str, name: str, bit: int) -> None:
    told = call_spelled(macro)
    assert told is not None
    assert told.id == register(name)
    assert f"is bit {bit} of this register" in told.note


@pytest.mark.parametrize(
    "text",
    [
        *(
            "PSCI_0_2_FN64_SYSTEM_OFF",
            "PSCI_0_2_FN64",
            "FFA_FN64_VERSION",
            "ARM_SMCCC_KVM_NUM_FUNCS",
            "SDEI_1_0_FN_BASE",
        ),
        *("ARM_SMCCC_KVM_FUNC_PKVM_RESV_128", "ARM_SMCCC_KVM_FUNC_CALL_UID", "OPTEE_SMC_", "", "nonsense"),
    ],
)
def test_what_no_header_has_is_no_call(text: str) -> None:
    assert call_spelled(text) is None


def test_aliases_name_calls_and_hide_none() -> None:
    known = named_calls()
    for alias, name in ALIASES.items():
        assert alias not in known
        assert any(each in known for each in (name, f"{name}64")), name


@given(st.sampled_from(sorted(named_calls())))
def test_a_name_tells_whose_it_is(name: str) -> None:
    meant = owner_meant(name)
    assert meant is None or name.startswith(meant.ours)


@given(st.text(max_size=80))
def test_any_text_is_read_or_is_none(text: str) -> None:
    told = call_spelled(text)
    assert told is None or 0 <= told.id < 1 << 64


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("FFA_VERSON", "'FFA_VERSON': did you mean FFA_VERSION?"),
        ("PSCI_0_2_FN64_CPU_ONN", "did you mean PSCI_CPU_ON or PSCI_CPU_ON64"),
        ("features", "did you mean SMCCC_ARCH_FEATURES or PSCI_FEATURES or TRNG_FEATURES?"),
        ("OPTEE_SMC_GET_SHM_CONFG", "did you mean OPTEE_GET_SHM_CONFIG"),
        ("ARM_SMCCC_KVM_FUNC_PTP", "did you mean VENDOR_HYP_PTP"),
        ("nothing at all", "or give the id as a number"),
    ],
)
def test_whoever_asks_for_a_call_gets_names_of_its_owner(text: str, told: str) -> None:
    """Scenarios, workloads and filters of policies, as `explain`."""
    with pytest.raises(InputError) as error:
        call_named(text)
    assert told in str(error.value)
    with pytest.raises(InputError) as error:
        range_of(text, FilterAction.DENY)
    assert told in str(error.value)


def test_a_filters_range_may_be_named_as_a_header_does() -> None:
    assert str(range_of("PSCI_0_2_FN64_CPU_ON", FilterAction.DENY)) == "0xc4000003+1"
    assert str(range_of("FFA_VERSION", FilterAction.FWD_TO_USER)) == "0x84000063+1"
