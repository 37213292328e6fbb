"""What a fresh vCPU does with another value of an ID register or of CTR_EL0, field by field.

A register is refused if one field is refused, and its fate is unknown if one field's is. Where it is uncertain whether
a release has a change, a value is refused only if it is refused before and after, and accepted only likewise.

Sources: recordings of restores between eight releases; Linux arch/arm64/kvm/sys_regs.c (arm64_check_features and what
set_id_reg and its relatives do first); the tables of `facts.id_fields` and `facts.id_changes` with theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from errno import EINVAL

from fastsmc.facts.id_changes import ID_CHANGES
from fastsmc.facts.id_fields import IdField, Rule, id_fields
from fastsmc.facts.registers import Encoding, sysreg
from fastsmc.facts.releases import Release
from fastsmc.reference.state import OK

Fate = tuple[int | None, str]
"""An errno, or None where no rule is known, and the reason."""

CTR_EL0 = Encoding(3, 3, 0, 0, 1)
_MIDR, _PFR0 = sysreg(3, 0, 0, 0, 0), sysreg(3, 0, 0, 4, 0)
_EL0_HAS_AARCH64_ONLY = 1
_FIXED: Fate = (EINVAL, "ID registers are fixed, on this release")
_PMU_VERSIONS = ("ID_AA64DFR0_EL1.PMUVer", "ID_DFR0_EL1.PerfMon")
_IMPLEMENTATION_DEFINED = 0xF
"""In PMUVer and PerfMon no high version, but a PMU that KVM does not offer."""
_NEGATIVE = 8
"""From here on a version of the PMU is below zero for KVM, which offers none so high."""


def _ever(kind: str) -> frozenset[str]:
    return frozenset(name for row in ID_CHANGES for name in row.get("adds", {}).get(kind, ()))


_EVER_FIXED, _EVER_UNKNOWN, _EVER_IGNORED = map(_ever, ("fixed_id_fields", "unknown_id_fields", "ignored_id_fields"))
_EVER_NONZERO = _ever("nonzero_id_fields")


@dataclass(frozen=True, slots=True)
class _Write:
    """One write of an ID register: what is wanted, what a fresh vCPU has, and what else the rules look at."""

    value: int
    own: int
    release: Release
    fresh: Mapping[int, int]
    source: Mapping[int, int]

    def doubts(self, rule: str) -> bool:
        """Whether it is uncertain what a field of `Release` is for this one."""
        return rule in self.release.uncertain


def id_register(
    reg: int, value: int, fresh: Mapping[int, int], release: Release, source: Mapping[int, int] | None = None
) -> Fate:
    """What happens when an ID register or CTR_EL0 is written a value that it does not have.

    Args:
        fresh, source: registers of the fresh vCPU, with this one, and of the vCPU that the value comes from.
    """
    encoding, own = Encoding.of(reg), fresh[reg]
    write = _Write(value, own, release, fresh, source or {})
    ignored = _ignored_aarch32(encoding, write)
    if ignored is not None:
        return ignored
    fates, left = [], value ^ own
    for field in id_fields().get(encoding, ()):
        if left & field.mask:
            left &= ~field.mask
            fates.append(_field(field, write))
    if left:
        fates.append(_unlisted(encoding, left, write))
    return next((fate for wanted in (EINVAL, None) for fate in fates if fate[0] == wanted), fates[0])


def _ignored_aarch32(encoding: Encoding, write: _Write) -> Fate | None:
    """The fate of an AArch32 register on a host whose EL0 has none; None where the fields decide.

    Source: sys_regs.c, aa32_id_visibility; selftest aarch32_id_regs.c.
    """
    may_ignore = write.release.ignores_aarch32_ids or write.doubts("ignores_aarch32_ids")
    if not may_ignore or encoding.crm > 3 or encoding == CTR_EL0 or encoding not in id_fields() or write.own:
        return None
    if _PFR0 not in write.fresh:
        return None, "ignored if the host's EL0 has no AArch32, which ID_AA64PFR0_EL1 would tell"
    if write.fresh[_PFR0] & 0xF != _EL0_HAS_AARCH64_ONLY:
        return None
    if write.doubts("ignores_aarch32_ids"):
        return None, "no AArch32 at EL0: whether this release ignores what is written is not known"
    return OK, "ignored: EL0 has no AArch32 there"


def _field(field: IdField, write: _Write) -> Fate:
    """The fate of one field that differs."""
    release = write.release
    if field.name in release.unknown_id_fields or (field.name in _EVER_UNKNOWN and write.doubts("unknown_id_fields")):
        return None, f"what {field.name} accepts was not seen, on this release"
    if field.rule is Rule.HARDWARE:
        return _hardware(field, write)
    is_writable = _is_writable(field, write)
    if is_writable is False:
        return _fixed(field, write)
    refused = _refusal(field, write)
    if refused is not None:
        return refused
    if is_writable is None:
        return None, f"{field.name} became writable somewhere around this release"
    return OK, f"{field.name} is lowered" if field.rule is Rule.LOWER else f"{field.name} accepts {field.rule.value}"


def _is_writable(field: IdField, write: _Write) -> bool | None:
    """Whether a release lets a field be written; None where it may."""
    release = write.release
    names = {field.name} if field.is_named else {field.name, field.register}
    if field.rule is Rule.FIXED or field.name in release.fixed_id_fields:
        return False
    if names & release.writable_id_fields:
        return None if field.name in _EVER_FIXED and write.doubts("fixed_id_fields") else True
    return None if names & release.maybe_writable_id_fields else False


def _fixed(field: IdField, write: _Write) -> Fate:
    if write.release.id_registers_are_fixed and not write.doubts("id_registers_are_fixed"):
        return _FIXED
    return EINVAL, f"{field.name} is fixed, on this release"


def _refusal(field: IdField, write: _Write) -> Fate | None:
    """Why a writable field refuses a value, or that it is not known; None if it accepts it."""
    wanted, own = field.of(write.value), field.of(write.own)
    if field.name in _PMU_VERSIONS:
        if max(wanted, own) >= _NEGATIVE or write.doubts("pmu_version_must_match"):
            return _unusual_pmu(field, wanted, own, write)
        if write.release.pmu_version_must_match and bool(wanted) != bool(own):
            return EINVAL, f"{field.name} must agree with whether the vCPU has a PMU, on this release"
    if wanted == 0 and field.name in _EVER_NONZERO:
        if write.doubts("nonzero_id_fields"):
            return None, f"whether {field.name} accepts 0 is not known, on this release"
        if field.name in write.release.nonzero_id_fields:
            return EINVAL, f"{field.name} is 0x0, and this release keeps AArch64 there"
    is_too_low = wanted < field.lowest and not (wanted == 0 and field.or_zero)
    if not is_too_low and _is_safe(field, wanted, own):
        return None
    limit = f"of at least {own:#x}" if field.rule is Rule.HIGHER else f"of at most {own:#x}"
    if field.rule is Rule.EXACT:
        limit = f"where only {own:#x} and {field.safe:#x} are accepted"
    return EINVAL, f"{field.name} is {wanted:#x}, {limit}"


def _is_safe(field: IdField, wanted: int, own: int) -> bool:
    """Whether one value is safe in place of another. Source: cpufeature.c, arm64_ftr_safe_value."""
    match field.rule:
        case Rule.HIGHER:
            return wanted > own
        case Rule.EXACT:
            return wanted == field.safe
        case Rule.SIGNED:
            return _signed(wanted) < _signed(own)
    return wanted < own


def _signed(value: int) -> int:
    """A field of four bits as a signed number.

    >>> _signed(0xF), _signed(7)
    (-1, 7)
    """
    return value - 16 if value & 8 else value


def _unusual_pmu(field: IdField, wanted: int, own: int, write: _Write) -> Fate | None:
    """An implementation defined PMU, which KVM showed by mistake and takes for none when it is written; others unknown.

    Source: sys_regs.c, set_id_aa64dfr0_el1 and set_id_dfr0_el1 of 6.15.
    """
    is_settled = not write.release.pmu_version_must_match and not write.doubts("pmu_version_must_match")
    if wanted == _IMPLEMENTATION_DEFINED != own and is_settled and not write.release.id_registers_are_fixed:
        return None
    return None, f"no rule is known for {field.name} of {wanted:#x} in place of {own:#x}"


def _hardware(field: IdField, write: _Write) -> Fate:
    """A field that this release hides: earlier ones showed what the hardware has, and that is accepted and ignored.

    A fresh vCPU has 0 there, so the hardware's value is not in its list. The source shows it, if both are the same
    hardware. Sources: commits 6685f5d572c2, 9d6745572899, fe21ff5d4b46.
    """
    wanted, own = field.of(write.value), field.of(write.own)
    if field.name not in write.release.ignored_id_fields:
        doubted = field.name in _EVER_IGNORED and write.doubts("ignored_id_fields")
        text = f"whether the hardware's {field.name} is ignored is not known, on this release"
        return (None, text) if doubted else _fixed(field, write)
    if field.name == "ID_AA64PFR1_EL1.MTE_frac":
        is_old = (wanted, own, write.own >> 8 & 0xF) == (0, 0xF, 2)
        return (OK, f"{field.name} of 0, as older kernels show it, is ignored") if is_old else _fixed(field, write)
    if own:
        return _fixed(field, write)
    midr, source = write.fresh.get(_MIDR), write.source.get(_MIDR)
    if midr is None or source is None:
        return None, f"{field.name} is ignored if it is the hardware's, which MIDR_EL1 of both sides would tell"
    if midr != source:
        return None, f"{field.name} is ignored if it is the hardware's, and here the hardware is another"
    return OK, f"{field.name} is the hardware's, on the same CPU: accepted and ignored"


def _unlisted(encoding: Encoding, left: int, write: _Write) -> Fate:
    """The fate of bits that no known field has."""
    release = write.release
    if encoding == CTR_EL0:
        return EINVAL, "other fields of CTR_EL0 are fixed"
    if release.id_registers_are_fixed and not write.doubts("id_registers_are_fixed"):
        return _FIXED
    if encoding not in id_fields() and not write.own:
        return EINVAL, "a register that reads as zero takes no other value"
    low = (left & -left).bit_length() - 1 & ~3
    return None, f"no rule is known for bits {low + 3}:{low} of an ID register with another value"
