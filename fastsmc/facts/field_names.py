"""The names of the fields of ID registers, by which a difference between two values is told.

ID registers are sixteen fields of four bits, with few exceptions that are told by their bits here. Sources: Arm ARM
DDI 0487, chapter D24; Linux arch/arm64/tools/sysreg; names and places compared with QEMU 7.2 target/arm/cpu.h and TF-A
include/arch/aarch64/arch.h (6a164dda7). A field whose name is not known is told by its bits, and so are all of the
AArch32 ID registers.
"""

from __future__ import annotations

from typing import NamedTuple

from fastsmc.facts.registers import ARCH_ARM64, ARCH_MASK, CLASS_MASK, CLASS_SYSREG, Encoding

_AA64 = """
4 0 EL0 EL1 EL2 EL3 FP AdvSIMD GIC RAS SVE SEL2 MPAM AMU DIT RME CSV2 CSV3
4 1 BT SSBS MTE RAS_frac MPAM_frac - SME RNDR_trap CSV2_frac NMI MTE_frac GCS THE MTEX DF2 PFAR
4 2 MTEPERM MTESTOREONLY MTEFAR - UINJ - - - FPMR - - - - - - -
4 4 SVEver AES - - BitPerm BF16 B16B16 - SHA3 - SM4 I8MM - F32MM F64MM -
5 0 DebugVer TraceVer PMUVer BRPs PMSS WRPs SEBEP CTX_CMPs
    PMSVer DoubleLock TraceFilt TraceBuffer MTPMU BRBE ExtTrcBuff HPMN0
6 0 - AES SHA1 SHA2 CRC32 Atomic TME RDM SHA3 SM3 SM4 DP FHM TS TLB RNDR
6 1 DPB APA API JSCVT FCMA LRCPC GPA GPI FRINTTS SB SPECRES BF16 DGH I8MM XS LS64
6 2 WFxT RPRES GPA3 APA3 MOPS BC PAC_frac CLRBHB SYSREG_128 SYSINSTR_128 PRFMSLC - RPRFM CSSC LUT ATS1A
6 3 CPA FAMINMAX TLBIW - - - - - - - - - - - - -
7 0 PARANGE ASIDBITS BIGEND SNSMEM BIGENDEL0 TGRAN16 TGRAN64 TGRAN4 TGRAN16_2 TGRAN64_2 TGRAN4_2 EXS - - FGT ECV
7 1 HAFDBS VMIDBits VH HPDS LO PAN SpecSEI XNX TWED ETS HCX AFP nTLBPA TIDCP1 CMOW ECBHB
7 2 CnP UAO LSM IESB VARange CCIDX NV ST AT IDS FWB - TTL BBM EVT E0PD
7 3 TCRX SCTLRX S1PIE S2PIE S1POE S2POE AIE MEC D128 D128_2 SNERR ANERR - SDERR ADERR Spec_FPACC
7 4 - EIESB ASID2 HACDBS FGWTE3 NV_frac E2H0 - - E3DSE - - - - - -
"""
"""CRm, op2, then the names of the fields from bits 3:0 up; a dash where there is none, or none that is known."""


class Field(NamedTuple):
    """A field of a register.

    Attributes:
        name: as the Arm ARM has it, "" where it is not known.
        high, low: its first and last bit.
    """

    name: str
    high: int
    low: int

    def of(self, value: int) -> int:
        """What a register's value has there.

        >>> Field("SVE", 35, 32).of(0x1_0000_0000)
        1
        """
        return value >> self.low & (1 << self.high - self.low + 1) - 1

    def __str__(self) -> str:
        return f"{self.name} ({self.high}:{self.low})" if self.name else f"bits {self.high}:{self.low}"


def _rows() -> dict[Encoding, tuple[Field, ...]]:
    rows = (row.split() for row in _AA64.strip().replace("\n    ", " ").split("\n"))
    return {
        Encoding(3, 0, 0, int(crm), int(op2)): tuple(
            Field("" if name == "-" else name, 4 * n + 3, 4 * n) for n, name in enumerate(names)
        )
        for crm, op2, *names in rows
    }


_FIELDS = _rows() | {
    Encoding(3, 0, 0, 0, 0): (
        Field("Revision", 3, 0),
        Field("PartNum", 15, 4),
        Field("Architecture", 19, 16),
        Field("Variant", 23, 20),
        Field("Implementer", 31, 24),
    ),
    Encoding(3, 3, 0, 0, 1): (
        Field("IminLine", 3, 0),
        Field("L1Ip", 15, 14),
        Field("DminLine", 19, 16),
        Field("ERG", 23, 20),
        Field("CWG", 27, 24),
        Field("IDC", 28, 28),
        Field("DIC", 29, 29),
        Field("TminLine", 37, 32),
    ),
}
_UNNAMED = tuple(Field("", low + 3, low) for low in range(0, 64, 4))


def named_fields(reg: int) -> tuple[Field, ...]:
    """The fields of an ID register, MIDR_EL1 or CTR_EL0, lowest first; () for any other register.

    >>> print(*named_fields(0x603000000013C020)[8:10])  # ID_AA64PFR0_EL1
    SVE (35:32) SEL2 (39:36)
    """
    if reg & ARCH_MASK != ARCH_ARM64 or reg & CLASS_MASK != CLASS_SYSREG:
        return ()
    encoding = Encoding.of(reg)
    return _FIELDS.get(encoding, _UNNAMED if encoding.is_id_register else ())


def differing_fields(reg: int, one: int, other: int) -> tuple[Field, ...]:
    """The fields of an ID register in which two values differ, lowest first.

    Differing bits that are in no field are told as fields without a name, each run of them as one.

    >>> print(*differing_fields(0x603000000013C020, 0x1_0000_0010, 0x11))
    EL0 (3:0) SVE (35:32)
    """
    fields = tuple(field for field in named_fields(reg) if field.of(one) != field.of(other))
    left = one ^ other
    for field in fields:
        left &= ~((1 << field.high + 1) - (1 << field.low))
    return (*fields, *runs(left)) if named_fields(reg) else ()


def runs(bits: int) -> tuple[Field, ...]:
    """Each run of set bits as a field without a name, lowest first.

    >>> print(*runs(0b1110_0001))
    bits 0:0 bits 7:5
    """
    found, low = [], 0
    while bits >> low:
        if not bits >> low & 1:
            low += 1
            continue
        high = low
        while bits >> high + 1 & 1:
            high += 1
        found.append(Field("", high, low))
        low = high + 1
    return tuple(found)
