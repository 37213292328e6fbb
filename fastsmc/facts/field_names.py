"""The names of the fields of ID registers, by which a difference between two values is told.

Fields with a rule of their own are those of `id_fields`; here are the names of those without one. Sources: Arm ARM DDI
0487, chapter D24; Linux arch/arm64/tools/sysreg; names and places compared with QEMU 7.2 target/arm/cpu.h and TF-A
include/arch/aarch64/arch.h (6a164dda7). A field whose name is not known is told by its bits.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from fastsmc.facts.id_fields import id_fields
from fastsmc.facts.registers import ARCH_ARM64, ARCH_MASK, CLASS_MASK, CLASS_SYSREG, Encoding

_MORE = """
4 0 RME 52
4 2 MTEPERM 0 UINJ 16
5 0 HPMN0 60
6 2 PAC_frac 24 SYSREG_128 32 SYSINSTR_128 36 PRFMSLC 40 ATS1A 60
6 3 CPA 0 TLBIW 8
7 1 nTLBPA 48 CMOW 56
7 3 S2PIE 12 S2POE 20 AIE 24 MEC 28 D128 32 D128_2 36 SNERR 40 ANERR 44 SDERR 52 ADERR 56 Spec_FPACC 60
7 4 EIESB 4 ASID2 8 HACDBS 12 FGWTE3 16 E3DSE 36
"""
"""CRm and op2, then the names of fields of four bits, each with its lowest bit."""


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


@cache
def _fields() -> dict[Encoding, tuple[Field, ...]]:
    """The fields of each register whose fields have names, lowest first; those without a name fill the ID registers."""
    found: dict[Encoding, list[Field]] = {}
    for encoding, fields in id_fields().items():
        found[encoding] = [Field(each.name.partition(".")[2], each.low + each.width - 1, each.low) for each in fields]
    for row in _MORE.strip().splitlines():
        crm, op2, *words = row.split()
        names = zip(words[::2], map(int, words[1::2]), strict=True)
        found[Encoding(3, 0, 0, int(crm), int(op2))] += [Field(name, low + 3, low) for name, low in names]
    for encoding, named in found.items():
        taken = {field.low for field in named}
        named += [field for field in _UNNAMED if encoding.is_id_register and field.low not in taken]
        named.sort(key=lambda field: field.low)
    return {encoding: tuple(named) for encoding, named in found.items()} | {_MIDR: _MIDR_FIELDS}


_MIDR = Encoding(3, 0, 0, 0, 0)
_MIDR_FIELDS = (
    Field("Revision", 3, 0),
    Field("PartNum", 15, 4),
    Field("Architecture", 19, 16),
    Field("Variant", 23, 20),
    Field("Implementer", 31, 24),
)
_UNNAMED = tuple(Field("", low + 3, low) for low in range(0, 64, 4))


def named_fields(reg: int) -> tuple[Field, ...]:
    """The fields of an ID register, MIDR_EL1 or CTR_EL0, lowest first; () for any other register.

    >>> print(*named_fields(0x603000000013C020)[8:10])  # ID_AA64PFR0_EL1
    SVE (35:32) SEL2 (39:36)
    """
    if reg & ARCH_MASK != ARCH_ARM64 or reg & CLASS_MASK != CLASS_SYSREG:
        return ()
    encoding = Encoding.of(reg)
    return _fields().get(encoding, _UNNAMED if encoding.is_id_register else ())


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
