"""What a register id names: its class, and inside the class the register, as far as the bits say.

Sources: Linux arch/arm64/include/uapi/asm/kvm.h (KVM_REG_ARM_*, struct kvm_regs), and for the names of system
registers arch/arm64/include/asm/sysreg.h, 5.10, and arch/arm64/tools/sysreg, 6.5, with patches up to 2026. LLVM 14's
assembler has the same encodings for the names that it knows.
"""

from __future__ import annotations

from functools import cache

from fastsmc.facts.register_sets import register_sets
from fastsmc.facts.registers import (
    ARCH_ARM64,
    CLASS_CORE,
    CLASS_DEMUX,
    CLASS_NAMES,
    CLASS_SVE,
    CLASS_SYSREG,
    FW_BY_ID,
    MAX_VALUE_BYTES,
    SIZE_U32,
    SIZE_U128,
    Encoding,
    core_register,
    reg_class,
    reg_size,
    sysreg,
)

_SYSREGS = """
2 0 0 2 2 MDSCR_EL1, 3 0 0 0 0 MIDR_EL1, 3 0 0 0 5 MPIDR_EL1, 3 0 0 0 6 REVIDR_EL1,
3 0 0 1 0 ID_PFR0_EL1, 3 0 0 1 1 ID_PFR1_EL1, 3 0 0 1 2 ID_DFR0_EL1, 3 0 0 1 3 ID_AFR0_EL1,
3 0 0 1 4 ID_MMFR0_EL1, 3 0 0 1 5 ID_MMFR1_EL1, 3 0 0 1 6 ID_MMFR2_EL1, 3 0 0 1 7 ID_MMFR3_EL1,
3 0 0 2 0 ID_ISAR0_EL1, 3 0 0 2 1 ID_ISAR1_EL1, 3 0 0 2 2 ID_ISAR2_EL1, 3 0 0 2 3 ID_ISAR3_EL1,
3 0 0 2 4 ID_ISAR4_EL1, 3 0 0 2 5 ID_ISAR5_EL1, 3 0 0 2 6 ID_MMFR4_EL1, 3 0 0 2 7 ID_ISAR6_EL1,
3 0 0 3 0 MVFR0_EL1, 3 0 0 3 1 MVFR1_EL1, 3 0 0 3 2 MVFR2_EL1,
3 0 0 3 4 ID_PFR2_EL1, 3 0 0 3 5 ID_DFR1_EL1, 3 0 0 3 6 ID_MMFR5_EL1,
3 0 0 4 0 ID_AA64PFR0_EL1, 3 0 0 4 1 ID_AA64PFR1_EL1, 3 0 0 4 4 ID_AA64ZFR0_EL1, 3 0 0 4 5 ID_AA64SMFR0_EL1,
3 0 0 5 0 ID_AA64DFR0_EL1, 3 0 0 5 1 ID_AA64DFR1_EL1, 3 0 0 5 4 ID_AA64AFR0_EL1, 3 0 0 5 5 ID_AA64AFR1_EL1,
3 0 0 6 0 ID_AA64ISAR0_EL1, 3 0 0 6 1 ID_AA64ISAR1_EL1, 3 0 0 6 2 ID_AA64ISAR2_EL1,
3 0 0 7 0 ID_AA64MMFR0_EL1, 3 0 0 7 1 ID_AA64MMFR1_EL1, 3 0 0 7 2 ID_AA64MMFR2_EL1,
3 0 1 0 0 SCTLR_EL1, 3 0 1 0 1 ACTLR_EL1, 3 0 1 0 2 CPACR_EL1, 3 0 1 2 0 ZCR_EL1,
3 0 2 0 0 TTBR0_EL1, 3 0 2 0 1 TTBR1_EL1, 3 0 2 0 2 TCR_EL1,
3 0 5 1 0 AFSR0_EL1, 3 0 5 1 1 AFSR1_EL1, 3 0 5 2 0 ESR_EL1, 3 0 6 0 0 FAR_EL1, 3 0 7 4 0 PAR_EL1,
3 0 10 2 0 MAIR_EL1, 3 0 10 3 0 AMAIR_EL1, 3 0 12 0 0 VBAR_EL1, 3 0 12 1 1 DISR_EL1,
3 0 13 0 1 CONTEXTIDR_EL1, 3 0 13 0 4 TPIDR_EL1, 3 0 14 1 0 CNTKCTL_EL1,
3 1 0 0 1 CLIDR_EL1, 3 1 0 0 7 AIDR_EL1, 3 2 0 0 0 CSSELR_EL1, 3 3 0 0 1 CTR_EL0, 3 3 9 12 0 PMCR_EL0,
3 3 14 0 1 KVM_REG_ARM_PTIMER_CNT, 3 3 14 2 1 KVM_REG_ARM_PTIMER_CTL, 3 3 14 2 2 KVM_REG_ARM_PTIMER_CVAL,
3 3 14 3 2 KVM_REG_ARM_TIMER_CNT, 3 3 14 3 1 KVM_REG_ARM_TIMER_CTL, 3 3 14 0 2 KVM_REG_ARM_TIMER_CVAL,
3 0 2 0 3 TCR2_EL1, 3 0 10 2 2 PIRE0_EL1, 3 0 10 2 3 PIR_EL1,
3 0 2 1 0 APIAKEYLO_EL1, 3 0 2 1 1 APIAKEYHI_EL1, 3 0 2 1 2 APIBKEYLO_EL1, 3 0 2 1 3 APIBKEYHI_EL1,
3 0 2 2 0 APDAKEYLO_EL1, 3 0 2 2 1 APDAKEYHI_EL1, 3 0 2 2 2 APDBKEYLO_EL1, 3 0 2 2 3 APDBKEYHI_EL1,
3 0 2 3 0 APGAKEYLO_EL1, 3 0 2 3 1 APGAKEYHI_EL1, 3 3 13 0 2 TPIDR_EL0, 3 3 13 0 3 TPIDRRO_EL0,
2 0 0 2 0 MDCCINT_EL1, 2 0 1 1 4 OSLSR_EL1, 2 4 0 7 0 DBGVCR32_EL2,
3 4 3 0 0 DACR32_EL2, 3 4 5 0 1 IFSR32_EL2, 3 4 5 3 0 FPEXC32_EL2,
3 0 9 14 1 PMINTENSET_EL1, 3 0 9 14 2 PMINTENCLR_EL1, 3 0 9 14 6 PMMIR_EL1,
3 3 9 12 1 PMCNTENSET_EL0, 3 3 9 12 2 PMCNTENCLR_EL0, 3 3 9 12 3 PMOVSCLR_EL0, 3 3 9 12 4 PMSWINC_EL0,
3 3 9 12 5 PMSELR_EL0, 3 3 9 13 0 PMCCNTR_EL0, 3 3 9 14 0 PMUSERENR_EL0, 3 3 9 14 3 PMOVSSET_EL0,
3 3 14 15 7 PMCCFILTR_EL0,
3 0 0 4 2 ID_AA64PFR2_EL1, 3 0 0 4 7 ID_AA64FPFR0_EL1, 3 0 0 5 2 ID_AA64DFR2_EL1, 3 0 0 6 3 ID_AA64ISAR3_EL1,
3 0 0 7 3 ID_AA64MMFR3_EL1, 3 0 0 7 4 ID_AA64MMFR4_EL1, 3 0 1 0 3 SCTLR2_EL1, 3 0 1 0 5 RGSR_EL1, 3 0 1 0 6 GCR_EL1,
3 0 1 2 4 SMPRI_EL1, 3 0 1 2 6 SMCR_EL1, 3 0 4 1 0 SP_EL0, 3 0 5 6 0 TFSR_EL1, 3 0 5 6 1 TFSRE0_EL1,
3 0 10 2 4 POR_EL1, 3 3 10 2 4 POR_EL0, 3 0 12 1 0 ISR_EL1, 3 0 13 0 7 SCXTNUM_EL1, 3 3 13 0 7 SCXTNUM_EL0,
3 1 0 0 4 GMID_EL1, 3 1 0 0 6 SMIDR_EL1, 3 3 0 0 7 DCZID_EL0, 3 3 2 4 0 RNDR, 3 3 4 2 2 SVCR, 3 3 13 0 5 TPIDR2_EL0,
3 3 14 0 0 CNTFRQ_EL0, 2 0 1 3 4 OSDLR_EL1, 3 4 0 0 0 VPIDR_EL2, 3 4 0 0 5 VMPIDR_EL2, 3 4 1 0 0 SCTLR_EL2,
3 4 1 0 1 ACTLR_EL2, 3 4 1 1 0 HCR_EL2, 3 4 1 1 1 MDCR_EL2, 3 4 1 1 2 CPTR_EL2, 3 4 1 1 3 HSTR_EL2,
3 4 1 1 4 HFGRTR_EL2, 3 4 1 1 5 HFGWTR_EL2, 3 4 1 1 6 HFGITR_EL2, 3 4 1 1 7 HACR_EL2, 3 4 1 2 0 ZCR_EL2,
3 4 1 2 2 HCRX_EL2, 3 4 2 0 0 TTBR0_EL2, 3 4 2 0 1 TTBR1_EL2, 3 4 2 0 2 TCR_EL2, 3 4 2 1 0 VTTBR_EL2,
3 4 2 1 2 VTCR_EL2, 3 4 2 2 0 VNCR_EL2, 3 4 3 1 4 HDFGRTR_EL2, 3 4 3 1 5 HDFGWTR_EL2, 3 4 3 1 6 HAFGRTR_EL2,
3 4 4 0 0 SPSR_EL2, 3 4 4 0 1 ELR_EL2, 3 4 5 1 0 AFSR0_EL2, 3 4 5 1 1 AFSR1_EL2, 3 4 5 2 0 ESR_EL2,
3 4 5 2 3 VSESR_EL2, 3 4 6 0 0 FAR_EL2, 3 4 6 0 4 HPFAR_EL2, 3 4 10 2 0 MAIR_EL2, 3 4 10 2 2 PIRE0_EL2,
3 4 10 2 3 PIR_EL2, 3 4 10 3 0 AMAIR_EL2, 3 4 12 0 0 VBAR_EL2, 3 4 12 0 1 RVBAR_EL2, 3 4 12 1 1 VDISR_EL2,
3 4 12 11 0 ICH_HCR_EL2, 3 4 12 11 1 ICH_VTR_EL2, 3 4 12 11 7 ICH_VMCR_EL2, 3 4 13 0 1 CONTEXTIDR_EL2,
3 4 13 0 2 TPIDR_EL2, 3 4 14 0 3 CNTVOFF_EL2, 3 4 14 1 0 CNTHCTL_EL2, 3 4 14 2 1 CNTHP_CTL_EL2,
3 4 14 2 2 CNTHP_CVAL_EL2, 3 4 14 3 1 CNTHV_CTL_EL2, 3 4 14 3 2 CNTHV_CVAL_EL2, 3 6 4 1 0 SP_EL2
"""
"""Each entry is op0 op1 CRn CRm op2 name. TIMER_CNT and TIMER_CVAL have each other's encoding, by mistake; it is ABI
now."""


@cache
def sysreg_names() -> dict[Encoding, str]:
    """Names of well-known system registers by encoding; others are shown by their encoding."""
    rows = (entry.split() for entry in _SYSREGS.replace("\n", " ").split(","))
    named = {Encoding(*map(int, row[:5])): row[5] for row in rows}
    for kind, op2 in (("DBGBVR", 4), ("DBGBCR", 5), ("DBGWVR", 6), ("DBGWCR", 7)):
        named |= {Encoding(2, 0, 0, n, op2): f"{kind}{n}_EL1" for n in range(16)}
    for kind, crm in (("ICH_AP0R", 8), ("ICH_AP1R", 9)):
        named |= {Encoding(3, 4, 12, crm, n): f"{kind}{n}_EL2" for n in range(4)}
    named |= {Encoding(3, 4, 12, 12 + n // 8, n % 8): f"ICH_LR{n}_EL2" for n in range(16)}
    for kind, crm in (("PMEVCNTR", 8), ("PMEVTYPER", 12)):
        named |= {Encoding(3, 3, 14, crm + n // 8, n % 8): f"{kind}{n}_EL0" for n in range(31)}
    return named


@cache
def sysreg_ids() -> dict[str, int]:
    """Register ids by name of the system register."""
    return {name: sysreg(*encoding) for encoding, name in sysreg_names().items()}


@cache
def core_names() -> dict[str, int]:
    """Register ids by name of the core register: x0 to x30, sp, pc, pstate, V0 to V31 and the others."""
    words = {"sp": 0x3E, "pc": 0x40, "pstate": 0x42, "sp_el1": 0x44, "elr_el1": 0x46}
    words |= {f"spsr[{name}]": 0x48 + 2 * i for i, name in enumerate(("EL1", "ABT", "UND", "IRQ", "FIQ"))}
    words |= {f"x{i}": 2 * i for i in range(31)}
    names = {name: core_register(4 * low) for name, low in words.items()}
    names |= {f"V{i}": core_register(4 * (0x54 + 4 * i), SIZE_U128) for i in range(32)}
    return names | {"fpsr": core_register(4 * 0xD4, SIZE_U32), "fpcr": core_register(4 * 0xD5, SIZE_U32)}


@cache
def _core_by_id() -> dict[int, str]:
    return {reg: name for name, reg in core_names().items()}


def _sve(low: int, size: int) -> str | None:
    number, part = low >> 5 & 0x1F, low & 0x1F
    if low == 0xFFFF and size == 64:
        return "KVM_REG_ARM64_SVE_VLS"
    if low < 0x400 and size == MAX_VALUE_BYTES:
        return f"Z{number} slice {part}"
    if 0x400 <= low < 0x600 and size == 32:
        return f"P{number & 0xF} slice {part}"
    return f"FFR slice {part}" if 0x600 <= low < 0x620 and size == 32 else None


def name_of(reg: int) -> str | None:
    """The name of a register of any class, if its bits are those of one that is known here.

    >>> name_of(sysreg(3, 0, 0, 4, 0)), name_of(0x6030000000100040), name_of(0x6030000000160000)
    ('ID_AA64PFR0_EL1', 'pc', 'STD_BMAP')
    """
    if reg in FW_BY_ID:
        return FW_BY_ID[reg].name
    low, size = reg & 0xFFFF, reg_size(reg)
    if reg & 0xFF0F_FFFF_F000_0000 != ARCH_ARM64:
        return None
    match reg_class(reg):
        case kind if kind == CLASS_CORE:
            return _core_by_id().get(reg)
        case kind if kind == CLASS_SVE:
            return _sve(low, size)
        case kind if kind == CLASS_SYSREG and size == 8:
            return sysreg_names().get(Encoding.of(reg))
        case kind if kind == CLASS_DEMUX and size == 4 and low < 0x10:
            return f"CCSIDR of level {(low >> 1) + 1}, {'instruction' if low & 1 else 'data or unified'}"
    return None


def anatomy(reg: int) -> str:
    """The fields of a register id in words."""
    size = reg_size(reg)
    size_text = f"{size} byte{'s' * (size > 1)}" if size <= MAX_VALUE_BYTES else "a reserved size"
    kind, low = reg_class(reg), reg & 0xFFFF
    text = f"arm64, {size_text}, class 0x{kind >> 16:04X} ({CLASS_NAMES.get(kind, 'unknown')})"
    if kind == CLASS_SYSREG:
        text += f", {Encoding.of(reg)}"
    elif kind == CLASS_CORE:
        text += f", offset {4 * low} in struct kvm_regs"
    else:
        text += f", index 0x{low:04X}"
    return f"{text}, bits 31:28 0x{reg >> 28 & 0xF:X} where 0 is required" if reg >> 28 & 0xF else text


@cache
def recorded_ids() -> frozenset[int]:
    """Every register id a recorded kernel listed."""
    return frozenset(reg for found in register_sets() for reg in found.ids.tolist())


def recorded_in(reg: int) -> str:
    """Which recorded kernels list a register, and for which vCPUs."""
    having = [found for found in register_sets() if reg in found.ids]
    if not having:
        return "in no recorded list"
    everywhere = list(dict.fromkeys(found.release for found in register_sets()))
    releases = list(dict.fromkeys(found.release for found in having))
    text = f"all of {releases[0]} to {releases[-1]}" if releases == everywhere else ", ".join(releases)
    lacking = [found for found in register_sets() if found.release in releases and reg not in found.ids]
    conditions = []
    if {found.cpu for found in having} == {"max"} and any(found.cpu != "max" for found in lacking):
        conditions.append("on cpu max")
        lacking = [found for found in lacking if found.cpu == "max"]
    with_it = [set(found.features) for found in having]
    without = [set(found.features) for found in lacking]
    if without:
        wanted = with_it[0].intersection(*with_it).difference(*without)
        unwanted = without[0].intersection(*without).difference(*with_it)
        conditions += [f"with {name}" for name in sorted(wanted)] + [f"without {name}" for name in sorted(unwanted)]
        if not wanted | unwanted:
            conditions.append("for some vCPUs")
    return f"{text} (recorded), {' '.join(conditions) or 'for every vCPU'}"
