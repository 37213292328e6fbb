"""Names of functions and registers: those of Linux' headers, those people type, and what a wrong one is told."""

from __future__ import annotations

import re

import pytest

from fastsmc.errors import InputError
from fastsmc.explanation import explain
from fastsmc.explanation.names import linux_name
from fastsmc.facts.register_names import recorded_ids, sysreg_ids
from fastsmc.facts.smccc import FUNCTIONS

STD_BMAP = 0x6030_0000_0016_0000


def test_linux_names_are_those_of_the_headers() -> None:
    named = {row.name: linux_name(row) for row in FUNCTIONS}
    assert [name for name, linux in named.items() if linux is None] == ["SMCCC_ARCH_WORKAROUND_4"]
    assert len(set(named.values())) == len(named)
    # include/linux/arm-smccc.h, include/uapi/linux/psci.h
    assert named["SMCCC_VERSION"] == "ARM_SMCCC_VERSION_FUNC_ID"
    assert named["SMCCC_ARCH_SOC_ID"] == "ARM_SMCCC_ARCH_SOC_ID"
    assert named["PSCI_VERSION"] == "PSCI_0_2_FN_PSCI_VERSION"
    assert named["PSCI_FEATURES"] == "PSCI_1_0_FN_PSCI_FEATURES"
    assert named["PSCI_MIGRATE_INFO_UP_CPU64"] == "PSCI_0_2_FN64_MIGRATE_INFO_UP_CPU"
    assert named["PSCI_MEM_PROTECT"] == "PSCI_1_1_FN_MEM_PROTECT"
    assert named["PSCI_SYSTEM_OFF2_64"] == "PSCI_1_3_FN64_SYSTEM_OFF2"
    assert named["PSCI_0_1_CPU_ON"] == "KVM_PSCI_FN_CPU_ON"
    assert named["PV_TIME_ST"] == "ARM_SMCCC_HV_PV_TIME_ST"
    assert named["VENDOR_HYP_CALL_UID"] == "ARM_SMCCC_VENDOR_HYP_CALL_UID_FUNC_ID"
    assert named["VENDOR_HYP_FEATURES"] == "ARM_SMCCC_VENDOR_HYP_KVM_FEATURES_FUNC_ID"


def test_names_of_registers_are_those_their_bits_spell() -> None:
    assert explain(0x603000000013C020).name == "ID_AA64PFR0_EL1"
    assert "op0 3, op1 0, CRn 0, CRm 4, op2 0 (S3_0_C0_C4_0)" in str(explain(0x603000000013C020))
    names = {explain(reg).name for reg in recorded_ids() if reg & 0x0FFF_0000 in (0x10_0000, 0x11_0000, 0x15_0000)}
    assert None not in names, "core, demux and SVE registers have names throughout"
    assert {"x0", "x30", "sp", "pc", "pstate", "spsr[FIQ]", "V31", "fpcr", "Z31 slice 0", "P15 slice 0"} <= names
    listed = {name for name, reg in sysreg_ids().items() if reg in recorded_ids()}
    assert {"MIDR_EL1", "SCTLR_EL1", "KVM_REG_ARM_TIMER_CNT", "ID_AA64MMFR2_EL1"} <= listed


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (0x86000001, 0x86000001),
        ("0x86000001", 0x86000001),
        (" 0X8600_0001 ", 0x86000001),
        ("2248146945", 0x86000001),
        ("PTP", 0x86000001),
        ("vendor-hyp-ptp", 0x86000001),
        ("ARM_SMCCC_VENDOR_HYP_KVM_PTP_FUNC_ID", 0x86000001),
        ("SMCCC_VENDOR_HYP_KVM_PTP", 0x86000001),
        ("KVM_PTP", 0x86000001),
        ("CPU_ON", 0x84000003),
        ("PSCI_0_2_FN64_CPU_ON", 0xC4000003),
        ("PSCI_VERSION", 0x84000000),
        ("KVM_REG_ARM_PSCI_VERSION", 0x6030000000140000),
        ("STD_BMAP", STD_BMAP),
        ("KVM_REG_ARM_STD_BMAP", STD_BMAP),
        ("BMAP_2", 0x6030000000160003),
        ("SYS_MIDR_EL1", 0x603000000013C000),
        ("0x603000000013c020", 0x603000000013C020),
        ("6931039826524487696", 0x603000000013C010),
        ("KVM_REG_ARM_FW_REG(3)", 0x6030000000140003),
        ("KVM_REG_ARM_FW_FEAT_BMAP_REG(1)", 0x6030000000160001),
        ("KVM_REG_ARM_VENDOR_HYP_BMAP_2", 0x6030000000160003),
        ("ARM64_SYS_REG(3, 0, 10, 2, 2)", 0x603000000013C512),
        ("sys_reg(3,0,10,2,2)", 0x603000000013C512),
        ("s3_0_c10_c2_3", 0x603000000013C513),
        ("pir_el1", 0x603000000013C513),
        ("0x603000000013c513,", 0x603000000013C513),
        ("ARM64_SYS_REG(3, 0, 10, 2, 3), /* PIR_EL1 */", 0x603000000013C513),
        ("kvm_reg_arm_fw_reg(3)", 0x6030000000140003),
        ("kvm_reg_arm_core_reg(regs.pc)", 0x6030000000100040),
        ("fw feat reg 3", 0x6030000000160003),
        ("Could not set register fw reg 3 to 2 (is 1)", 0x6030000000140003),
        ("KVM_REG_ARM_CORE_REG(regs.pc)", 0x6030000000100040),
        ("x3", 0x6030000000100006),
        ("PSCI_CPU_ON,", 0x84000003),
        (" ptp; ", 0x86000001),
        ("SDEI_1_0_FN_SDEI_VERSION", 0xC4000020),
        ("OPTEE_SMC_CALLS_UID", 0xBF00FF01),
        ("SMC_RSI_ABI_VERSION", 0xC4000190),
        ("ARM_SMCCC_VENDOR_HYP_KVM_MMIO_GUARD_MAP_FUNC_ID", 0xC6000007),
        ("ARM_SMCCC_KVM_FUNC_PTP", 0x86000001),
        ("KVM_REG_ARM_STD_BIT_TRNG_V1_0", STD_BMAP),
    ],
)
def test_ways_to_ask(what: int | str, expected: int) -> None:
    assert explain(what).id == expected


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("STDBMAP", "did you mean STD_BMAP or STD_HYP_BMAP?"),
        ("PSCI_CPU_ONN", "did you mean PSCI_CPU_ON"),
        ("FEATURES", "may be SMCCC_ARCH_FEATURES, PSCI_FEATURES, TRNG_FEATURES"),
        ("EL1", "more; name one of them"),
        ("C6000001", "write 0xC6000001"),
        ("PIR_ELL1", "did you mean PIR_EL1"),
        ("KVM_REG_ARM_FWREG(3)", "did you mean KVM_REG_ARM_FW_REG?"),
        ("fw regg 3", "QEMU's words are one name, in quotes: 'fw reg 3'"),
        ("system", "in quotes: 'system register op0:3 op1:0 crn:10 crm:2 op2:2'"),
        ("FFA_VERSOIN", "did you mean FFA_VERSION"),
        ("0x8600000G", "is not a number: after 0x come digits 0 to 9 and a to f"),
        ("0x86000001,0x86000002", "is 2 ids: give each apart, 0x86000001 0x86000002"),
        ("PTP, STD_BMAP", "is 2 ids: give each apart, PTP STD_BMAP"),
        ("nonsense!", "write a number (0x86000001), a function (VENDOR_HYP_PTP) or a register (STD_BMAP)"),
        ("", "write a number"),
        ("-1", "function ids have 32 bits"),
        (1 << 64, "0x10000000000000000 is not an id"),
        ("9" * 5000, "no function or register is called"),
    ],
)
def test_what_is_no_id_says_what_would_be_right(what: int | str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        explain(what)


def test_a_macro_that_is_no_id_says_what_it_is() -> None:
    assert explain("ARM_SMCCC_KVM_FUNC_PTP").lines[0][0] == "spelled"
    assert "bit 1 of what VENDOR_HYP_FEATURES answers in x0" in explain("ARM_SMCCC_KVM_FUNC_PTP").lines[0][1]
    assert explain("VENDOR_HYP_PTP").lines[0][0] == "anatomy"


@pytest.mark.parametrize(
    ("what", "beginnings"),
    [
        ("SDEI_1_0_FN_SDEI_EVNT_ENABLE", ("SDEI_",)),
        ("OPTEE_SMC_GET_SHM_CONFG", ("OPTEE_",)),
        ("SMC_RSI_VERSON", ("RSI_",)),
        ("RMI_REALM", ("RMI_",)),
        ("PSCI_1_0_FN_SYSTEM_SUSPENT", ("PSCI_",)),
        ("ARM_SMCCC_TRNG_RND128", ("TRNG_",)),
        ("ARM_SMCCC_KVM_FUNC_PTPP", ("VENDOR_HYP_", "PKVM_")),
        ("ARM_SMCCC_VENDOR_HYP_KVM_MEM_SHARED_FUNC_ID", ("VENDOR_HYP_", "PKVM_")),
        ("KVM_REG_ARM_PSCI_VERSIO", ("KVM_REG_",)),
        ("KVM_REG_ARM_STD_BIT_TRNG", ("KVM_REG_",)),
        ("SYS_ID_AA64PFRO_EL1", ("SYS_",)),
        ("DRTM_NOTHING_LIKE_IT", ("DRTM_",)),
    ],
)
def test_a_name_that_tells_its_owner_gets_names_of_no_other(what: str, beginnings: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"did you mean|calls of that owner are") as error:
        explain(what)
    told = re.split(r"did you mean |calls of that owner are ", str(error.value))[1]
    told = re.sub(r" and \d+ more$", "", told.rstrip("?"))
    names = re.split(r", | or ", told)
    assert all(name.startswith(beginnings) for name in names), names


def test_no_two_suggestions_are_one_id() -> None:
    with pytest.raises(InputError) as error:
        explain("CLIDR_EL2")
    names = re.split(r", | or ", str(error.value).split("did you mean ")[1].rstrip("?"))
    assert len({explain(name).id for name in names}) == len(names)


def test_a_long_name_is_cut_with_a_mark() -> None:
    with pytest.raises(InputError) as error:
        explain("ARM_SMCCC_VENDOR_HYP_KVM_" + "MMIO_GUARD_" * 9)
    assert "…" in str(error.value)
    with pytest.raises(InputError, match="'ARM_SMCCC_VENDOR_HYP_KVM_DISCOVER_IMPL_CPU_FUNC_ID'; did you mean"):
        explain("ARM_SMCCC_VENDOR_HYP_KVM_DISCOVER_IMPL_CPU_FUNC_ID")


def test_workaround_4_is_cited_from_where_it_is() -> None:
    told = explain("SMCCC_ARCH_WORKAROUND_4")
    assert told.sources == ("Arm DEN0028 (SMCCC), 7.9", "TF-A include/services/arm_arch_svc.h, 6a164dda7")
    assert dict(told.lines)["Linux name"] == "none"
