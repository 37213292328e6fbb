"""Fields of ID registers, and what a release that lets one be written accepts in it.

KVM compares each field of a written ID register with the value that a fresh vCPU has. A field that cannot be written
must be equal. One that can be written has a safe direction: mostly down, for a guest may have less than the machine.
Since which release a field can be written is in `id_changes`, not here.

Sources: for positions and names the Arm Architecture Reference Manual, DDI 0487; for directions Linux
arch/arm64/kernel/cpufeature.c (the tables ftr_id_*), confirmed by tools/testing/selftests/kvm/arm64/set_id_regs.c; for
what is masked arch/arm64/kvm/sys_regs.c, of 6.2, 6.7, 6.15, 6.18 and later.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

from fastsmc.facts.registers import Encoding


class Rule(Enum):
    """Which other values than the fresh vCPU's a writable field accepts."""

    LOWER = "a lower one"
    SIGNED = "a lower one, of a signed field: 0xf is -1"
    HIGHER = "a higher one"
    EXACT = "one safe value"
    HARDWARE = "the hardware's, which is then ignored; nothing else"
    FIXED = "none, in any release"


@dataclass(frozen=True, slots=True)
class IdField:
    """One field of an ID register, or of CTR_EL0.

    Attributes:
        name: the register and the field: "ID_AA64PFR0_EL1.CSV2".
        encoding, low, width: where it is; `low` is its lowest bit.
        rule: what it accepts where it can be written.
        is_named: whether a release must name the field to let it be written; naming the register is not enough.
        lowest: the smallest value that is accepted; below it EINVAL.
        or_zero: 0 is accepted too.
        safe: the value that an EXACT field accepts beside the fresh vCPU's.
    """

    name: str
    encoding: Encoding
    low: int
    width: int = 4
    rule: Rule = Rule.LOWER
    is_named: bool = False
    lowest: int = 0
    or_zero: bool = True
    safe: int = 0

    @property
    def register(self) -> str:
        """The name of the field's register."""
        return self.name.partition(".")[0]

    @property
    def mask(self) -> int:
        """The field's bits in the register."""
        return ((1 << self.width) - 1) << self.low

    def of(self, value: int) -> int:
        """The field's value in a register's."""
        return (value & self.mask) >> self.low


_REGISTERS = """
ID_PFR0_EL1 1 0: State0 0, State1 4, State2 8, State3 12, CSV2 16, DIT 24
ID_PFR1_EL1 1 1: ProgMod 0, Security 4, MProgMod 8, Virtualization 12, GenTimer 16, Sec_frac 20, Virt_frac 24, GIC 28
ID_DFR0_EL1 1 2: CopDbg 0 lowest=6, CopSDbg 4, MMapDbg 8, CopTrc 12, MMapTrc 16, MProfDbg 20
ID_DFR0_EL1 1 2: PerfMon 24 lowest=3 or_zero
ID_MMFR0_EL1 1 4: VMSA 0, PMSA 4, OuterShr 8 signed, ShareLvl 12, TCM 16, AuxReg 20, FCSE 24, InnerShr 28 signed
ID_MMFR1_EL1 1 5: L1HvdVA 0, L1UniVA 4, L1HvdSW 8, L1UniSW 12, L1Hvd 16, L1Uni 20, L1TstCln 24, BPred 28
ID_MMFR2_EL1 1 6: L1HvdFG 0, L1HvdBG 4, L1HvdRng 8, HvdTLB 12, UniTLB 16, MemBarr 20, WFIStall 24, HWAccFlg 28
ID_MMFR3_EL1 1 7: CMaintVA 0, CMaintSW 4, BPMaint 8, MaintBcst 12, PAN 16, CohWalk 20, CMemSz 24, Supersec 28
ID_ISAR0_EL1 2 0: Swap 0, BitCount 4, BitField 8, CmpBranch 12, Coproc 16, Debug 20, Divide 24
ID_ISAR1_EL1 2 1: Endian 0, Except 4, Except_AR 8, Extend 12, IfThen 16, Immediate 20, Interwork 24, Jazelle 28
ID_ISAR2_EL1 2 2: LoadStore 0, MemHint 4, MultiAccessInt 8, Mult 12, MultS 16, MultU 20, PSR_AR 24, Reversal 28
ID_ISAR3_EL1 2 3: Saturate 0, SIMD 4, SVC 8, SynchPrim 12, TabBranch 16, T32Copy 20, TrueNOP 24, T32EE 28
ID_ISAR4_EL1 2 4: Unpriv 0, WithShifts 4, Writeback 8, SMC 12, Barrier 16, SynchPrim_frac 20, PSR_M 24, SWP_frac 28
ID_ISAR5_EL1 2 5: SEVL 0, AES 4, SHA1 8, SHA2 12, CRC32 16, RDM 24
ID_MMFR4_EL1 2 6: SpecSEI 0 higher, AC2 4, XNX 8, CnP 12, HPDS 16, LSM 20, CCIDX 24, EVT 28
ID_ISAR6_EL1 2 7: JSCVT 0, DP 4, FHM 8, SB 12, SPECRES 16, BF16 20, I8MM 24
MVFR0_EL1 3 0: SIMDReg 0, FPSP 4, FPDP 8, FPTrap 12, FPDivide 16, FPSqrt 20, FPShVec 24, FPRound 28
MVFR1_EL1 3 1: FPFtZ 0, FPDNaN 4, SIMDLS 8, SIMDInt 12, SIMDSP 16, SIMDHP 20, FPHP 24, SIMDFMAC 28
MVFR2_EL1 3 2: SIMDMisc 0, FPMisc 4
ID_PFR2_EL1 3 4: CSV3 0, SSBS 4
ID_MMFR5_EL1 3 6: ETS 0
ID_AA64PFR0_EL1 4 0: EL0 0, EL1 4, EL2 8, EL3 12, FP 16 fixed, AdvSIMD 20 fixed, GIC 24 named
ID_AA64PFR0_EL1 4 0: RAS 28 named, SVE 32 fixed, SEL2 36, MPAM 40 hardware, AMU 44 fixed, DIT 48, CSV2 56, CSV3 60
ID_AA64PFR1_EL1 4 1: BT 0, SSBS 4, MTE 8 fixed, RAS_frac 12 named, MPAM_frac 16 hardware, SME 24 fixed
ID_AA64PFR1_EL1 4 1: RNDR_trap 28 fixed, CSV2_frac 32, NMI 36 fixed, MTE_frac 40 hardware, GCS 44 fixed, THE 48 fixed
ID_AA64PFR1_EL1 4 1: MTEX 52 fixed, DF2 56 named, PFAR 60 fixed
ID_AA64PFR2_EL1 4 2: MTESTOREONLY 4 named, MTEFAR 8 named, GCIE 12 named, FPMR 32 named
ID_AA64ZFR0_EL1 4 4: SVEver 0, AES 4, BitPerm 16, BF16 20, B16B16 24, SHA3 32, SM4 40, I8MM 44, F32MM 52, F64MM 56
ID_AA64DFR0_EL1 5 0: DebugVer 0 named lowest=6, TraceVer 4 fixed, PMUVer 8 named, BRPs 12 fixed, WRPs 20 named
ID_AA64DFR0_EL1 5 0: CTX_CMPs 28 fixed, PMSVer 32 fixed, DoubleLock 36 named signed, TraceFilt 40 fixed
ID_AA64DFR0_EL1 5 0: TraceBuffer 44 fixed, MTPMU 48 fixed, BRBE 52 fixed, ExtTrcBuff 56 fixed, PMSS 16 fixed
ID_AA64DFR0_EL1 5 0: SEBEP 24 fixed
ID_AA64ISAR0_EL1 6 0: AES 4, SHA1 8, SHA2 12, CRC32 16, ATOMIC 20, TME 24, RDM 28, SHA3 32, SM3 36, SM4 40, DP 44
ID_AA64ISAR0_EL1 6 0: FHM 48, TS 52, TLB 56, RNDR 60
ID_AA64ISAR1_EL1 6 1: DPB 0, APA 4 fixed, API 8 fixed, JSCVT 12, FCMA 16, LRCPC 20, GPA 24 fixed, GPI 28 fixed
ID_AA64ISAR1_EL1 6 1: FRINTTS 32, SB 36, SPECRES 40, BF16 44, DGH 48, I8MM 52, XS 56, LS64 60
ID_AA64ISAR2_EL1 6 2: WFxT 0, RPRES 4, GPA3 8 fixed, APA3 12 fixed, MOPS 16, BC 20, CLRBHB 28, RPRFM 48, CSSC 52, LUT 56
ID_AA64ISAR3_EL1 6 3: FAMINMAX 4 named, LSFE 16 named, LSUI 24 named, FPRCVT 28 named
ID_AA64MMFR0_EL1 7 0: PARange 0, ASIDBits 4, BigEnd 8, SNSMem 12, BigEndEL0 16, TGran16 20, TGran64 24 signed
ID_AA64MMFR0_EL1 7 0: TGran4 28 signed, TGran16_2 32 named exact=1, TGran64_2 36 named exact=1
ID_AA64MMFR0_EL1 7 0: TGran4_2 40 named exact=1, ExS 44, FGT 56, ECV 60
ID_AA64MMFR1_EL1 7 1: HAFDBS 0, VMIDBits 4 fixed, VH 8 fixed, HPDS 12, LO 16, PAN 20, SpecSEI 24 higher, XNX 28 fixed
ID_AA64MMFR1_EL1 7 1: TWED 32 named, ETS 36, HCX 40 named, AFP 44, TIDCP1 52, ECBHB 60
ID_AA64MMFR2_EL1 7 2: CnP 0, UAO 4, LSM 8, IESB 12, VARange 16, CCIDX 20 fixed, NV 24 hardware, ST 28, AT 32
ID_AA64MMFR2_EL1 7 2: IDS 36 fixed, FWB 40 fixed, TTL 48, BBM 52, EVT 56 fixed, E0PD 60
ID_AA64MMFR3_EL1 7 3: TCRX 0 named, SCTLRX 4 named, S1PIE 8 named, S1POE 16 named
ID_AA64MMFR4_EL1 7 4: NV_frac 20 named, E2H0 24 fixed
"""
"""Each line is a register's name, its CRm and op2, and its fields: name, lowest bit, and what is not the usual.
A writable field is `LOWER` unless another rule stands there. In the registers of AArch32 (CRm 1 to 3) 0xf in PerfMon,
and in ID_AA64DFR0_EL1 0xf in PMUVer, is no high version but one that is written back as 0."""

_CTR_EL0 = Encoding(3, 3, 0, 0, 1)
_CTR = (
    IdField("CTR_EL0.IminLine", _CTR_EL0, 0, is_named=True),
    IdField("CTR_EL0.L1Ip", _CTR_EL0, 14, 2, Rule.EXACT, is_named=True, lowest=2, or_zero=False, safe=2),
    IdField("CTR_EL0.DminLine", _CTR_EL0, 16, is_named=True),
    IdField("CTR_EL0.ERG", _CTR_EL0, 20, rule=Rule.FIXED),
    IdField("CTR_EL0.CWG", _CTR_EL0, 24, rule=Rule.FIXED),
    IdField("CTR_EL0.IDC", _CTR_EL0, 28, 1, is_named=True),
    IdField("CTR_EL0.DIC", _CTR_EL0, 29, 1, is_named=True),
    IdField("CTR_EL0.TminLine", _CTR_EL0, 32, 6, Rule.FIXED),
)


def _field(register: str, encoding: Encoding, text: str) -> IdField:
    """One entry of the table: "GIC 24 named"."""
    name, low, *marks = text.split()
    rule, lowest, safe = Rule.LOWER, 0, 0
    for mark in marks:
        word, _, number = mark.partition("=")
        if word == "lowest":
            lowest = int(number)
        elif word == "exact":
            rule, safe = Rule.EXACT, int(number)
        elif word not in ("named", "or_zero"):
            rule = Rule[word.upper()]
    or_zero = not lowest or "or_zero" in marks
    full = f"{register}.{name}"
    return IdField(full, encoding, int(low), 4, rule, "named" in marks, lowest, or_zero, safe)


@cache
def id_fields() -> dict[Encoding, tuple[IdField, ...]]:
    """The known fields by register; CTR_EL0 is among the registers.

    >>> [field.name for field in id_fields()[Encoding(3, 0, 0, 3, 2)]]
    ['MVFR2_EL1.SIMDMisc', 'MVFR2_EL1.FPMisc']
    """
    found: dict[Encoding, tuple[IdField, ...]] = {_CTR_EL0: _CTR}
    for line in _REGISTERS.strip().splitlines():
        head, _, fields = line.partition(":")
        register, crm, op2 = head.split()
        encoding = Encoding(3, 0, 0, int(crm), int(op2))
        more = tuple(_field(register, encoding, text) for text in fields.split(","))
        found[encoding] = (*found.get(encoding, ()), *more)
    return found


AARCH32 = tuple(dict.fromkeys(line.split()[0] for line in _REGISTERS.strip().splitlines() if line.split()[1] in "123"))
"""The registers that describe AArch32."""
