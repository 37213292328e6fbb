"""What a fresh vCPU does with a value that one of its cache or system registers does not have already.

An ID register has fields of four bits, and each field has its own rule: fixed, or lowered at will. A field whose rule
is not known leaves the register's fate unknown.

Sources: recordings of restores between eight releases; Linux arch/arm64/kvm/sys_regs.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from errno import EINVAL

from fastsmc.facts.registers import IMPLEMENTATION, Encoding, sysreg
from fastsmc.facts.releases import Release
from fastsmc.reference.state import OK

Fate = tuple[int | None, str]
"""An errno, or None where no rule is known, and the reason."""

STATE: Fate = (OK, "state: any value")

# -- caches ----------------------------------------------------------------------------------------------------

_CLIDR_EL1, _CTR_EL0 = sysreg(3, 1, 0, 0, 1), sysreg(3, 3, 0, 0, 1)
_CTR_IDC = 1 << 28
_UNSURE_CACHES: Fate = (None, "whether caches may be given, or are the host's, is not known of this release")
_FIXED_CACHES: Fate = (EINVAL, "cache geometry is the host's, on this release")


def cache_size(value: int, own: int, release: Release) -> Fate:
    """CCSIDR takes any geometry whose lines are not shorter than the fresh vCPU's. Source: sys_regs.c, set_ccsidr."""
    if release.caches_are_fixed:
        return _UNSURE_CACHES if "caches_are_fixed" in release.uncertain else _FIXED_CACHES
    if value & 7 < own & 7:
        return EINVAL, "cache lines shorter than the host's"
    return OK, "any geometry with lines at least as long as the host's"


def _cache_levels(value: int, fresh: Mapping[int, int], release: Release) -> Fate:
    """CLIDR_EL1 may promise no more coherence than CTR_EL0 does. Source: sys_regs.c, set_clidr."""
    if release.caches_are_fixed:
        return _UNSURE_CACHES if "caches_are_fixed" in release.uncertain else _FIXED_CACHES
    louis, loc, louu = (value >> shift & 7 for shift in (21, 24, 27))
    has_idc = loc == 0 or (louis == 0 and louu == 0)
    if value >> 47 or (has_idc and not fresh.get(_CTR_EL0, 0) & _CTR_IDC):
        return EINVAL, "promises coherence that CTR_EL0 does not, or reserved bits"
    return OK, "any levels that CTR_EL0 allows"


# -- identification --------------------------------------------------------------------------------------------

_READ_ONLY = {
    Encoding(3, 3, 0, 0, 1): "CTR_EL0",
    Encoding(2, 0, 1, 1, 4): "OSLSR_EL1",
    Encoding(3, 0, 9, 14, 6): "PMMIR_EL1",
}
"""The other registers outside the ID block that are not plain state. Writing them another value was never recorded."""

_ID_DFR0_EL1 = Encoding(3, 0, 0, 1, 2)
_ID_AA64PFR0_EL1 = Encoding(3, 0, 0, 4, 0)
_ID_AA64DFR0_EL1 = Encoding(3, 0, 0, 5, 0)
_ID_AA64MMFR1_EL1 = Encoding(3, 0, 0, 7, 1)

_CSV = {(_ID_AA64PFR0_EL1, 56), (_ID_AA64PFR0_EL1, 60)}
"""ID_AA64PFR0_EL1.CSV2 and .CSV3: writable before the others, to what the host's mitigations allow."""


@dataclass(frozen=True, slots=True)
class IdField:
    """A four-bit ID field whose rule is known: fixed, or, once writable, lowered at will.

    Attributes:
        name: the register and the field.
        lowest: the smallest value that is accepted; below it EINVAL.
        or_zero: 0 is accepted too.
    """

    name: str
    lowest: int = 0
    or_zero: bool = True


ID_FIELDS: dict[tuple[Encoding, int], IdField] = {
    (_ID_DFR0_EL1, 24): IdField("ID_DFR0_EL1.PerfMon", lowest=3),
    (_ID_AA64DFR0_EL1, 0): IdField("ID_AA64DFR0_EL1.DebugVer", lowest=6, or_zero=False),
    (_ID_AA64DFR0_EL1, 8): IdField("ID_AA64DFR0_EL1.PMUVer"),
    (_ID_AA64MMFR1_EL1, 4): IdField("ID_AA64MMFR1_EL1.VMIDBits"),
    (_ID_AA64MMFR1_EL1, 8): IdField("ID_AA64MMFR1_EL1.VH"),
    (_ID_AA64MMFR1_EL1, 28): IdField("ID_AA64MMFR1_EL1.XNX"),
    (_ID_AA64MMFR1_EL1, 32): IdField("ID_AA64MMFR1_EL1.TWED"),
    (_ID_AA64MMFR1_EL1, 40): IdField("ID_AA64MMFR1_EL1.HCX"),
}
"""The fields whose rule is known, by register and lowest bit.

Recorded: PerfMon, DebugVer, PMUVer, HCX. The others: sys_regs.c, ID_WRITABLE masks.
"""

_IMPLEMENTATION_DEFINED = 0xF
"""In PMUVer and PerfMon, 0xF is not a high version; its rule was not recorded."""


def system_register(reg: int, value: int, fresh: Mapping[int, int], release: Release) -> Fate:
    """What happens when a listed system register is written a value that it does not have."""
    encoding = Encoding.of(reg)
    if reg == _CLIDR_EL1:
        return _cache_levels(value, fresh, release)
    if encoding in IMPLEMENTATION:
        return EINVAL, f"{IMPLEMENTATION[encoding]} is the host's; no VM was given KVM_CAP_ARM_WRITABLE_IMP_ID_REGS"
    if encoding in _READ_ONLY:
        return None, f"another {_READ_ONLY[encoding]}"
    return STATE if is_state(reg) else _id_register(encoding, value, fresh[reg], release)


def is_state(reg: int) -> bool:
    """Whether a listed system register takes any value: it neither identifies the CPU nor describes its caches."""
    encoding = Encoding.of(reg)
    is_identity = encoding.is_id_register or encoding in IMPLEMENTATION
    return not is_identity and reg != _CLIDR_EL1 and encoding not in _READ_ONLY


def _id_register(encoding: Encoding, value: int, own: int, release: Release) -> Fate:
    """An ID register is refused if one field is refused, and unknown if one field's fate is unknown."""
    fates = [
        _id_field(encoding, shift, value >> shift & 0xF, own >> shift & 0xF, release)
        for shift in range(0, 64, 4)
        if (value ^ own) >> shift & 0xF
    ]
    for wanted in (EINVAL, None):
        for fate in fates:
            if fate[0] == wanted:
                return fate
    return fates[0]


def _id_field(encoding: Encoding, shift: int, value: int, own: int, release: Release) -> Fate:
    """The fate of one field of an ID register.

    Around the release that made fields writable, a value is refused only if it is refused before and after.
    """
    unknown: Fate = (None, f"no rule is known for bits {shift + 3}:{shift} of an ID register with another value")
    doubts = [doubt for doubt in release.doubts if "id_registers_are_fixed" in doubt.fields]
    is_uncertain = bool(doubts)
    if release.id_registers_are_fixed and not is_uncertain:
        return unknown if (encoding, shift) in _CSV else (EINVAL, "ID registers are fixed, on this release")
    field = ID_FIELDS.get((encoding, shift))
    if field is None or value == _IMPLEMENTATION_DEFINED:
        return unknown
    if field.name not in release.writable_id_fields | release.maybe_writable_id_fields:
        return EINVAL, f"{field.name} is fixed, on this release"
    if value > own or (value < field.lowest and not (value == 0 and field.or_zero)):
        return EINVAL, f"{field.name} is {value:#x}, of at most {own:#x}"
    if is_uncertain:
        return None, f"whether {field.name} can be written is not known: {doubts[0].text} ({doubts[0].source})"
    if field.name not in release.writable_id_fields:
        return None, f"whether {field.name} can be written is not known of this kernel"
    return OK, f"{field.name} is lowered"
