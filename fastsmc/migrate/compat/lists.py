"""The register list of a release nobody recorded: the oldest recorded list, and what changed since.

The changes reproduce every recorded list of 5.10 to 7.3 exactly, on both recorded CPUs; between recordings they rest
on the source named with each. Firmware registers are not here: `releases` has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from fastsmc.errors import InputError
from fastsmc.facts.history import since
from fastsmc.facts.register_names import name_of
from fastsmc.facts.register_sets import register_set
from fastsmc.facts.registers import (
    ARCH_ARM64,
    CLASS_FW,
    CLASS_FW_FEAT_BMAP,
    CLASS_SVE,
    CLASS_SYSREG,
    FW_BY_ID,
    FW_BY_NAME,
    SIZE_U64,
    reg_class,
)
from fastsmc.facts.releases import Release, parse_version
from fastsmc.facts.vcpu import FEATURE_PAUTH_ADDRESS, FEATURE_PAUTH_GENERIC, FEATURE_PMU, FEATURE_SVE, feature_bits

_SYSREG = ARCH_ARM64 | SIZE_U64 | CLASS_SYSREG
_OLDEST = "5.10"
_UNLISTED = ("el2",)
"""vCPU features with which no list was recorded."""


@dataclass(frozen=True, slots=True)
class ListChange:
    """Registers that a release began to list, or ceased to.

    Attributes:
        after: newest release known to be without it. by: the release it is dated to. known: oldest known to have it.
        feature: vCPU feature bit that has the registers listed in any case (when they go), or that they need (when
            they come); 0 for none.
        note: where lists differ although the release is the same.
    """

    after: tuple[int, int]
    by: tuple[int, int]
    known: tuple[int, int]
    ids: frozenset[int]
    is_listed: bool
    feature: int
    source: str
    note: str = ""

    def is_uncertain(self, version: tuple[int, int]) -> bool:
        """Whether nothing but the change's date tells what this release lists."""
        return self.after < version < self.known


@cache
def pmu_registers() -> frozenset[int]:
    """The 74 registers of the PMU; PMMIR_EL1, the 75th, is listed from 7.3 on."""
    return _ids("6.1", "psci02+pmu") - _ids("6.1", "psci02")


TCR2_PIR = frozenset(_SYSREG | low for low in (0xC103, 0xC512, 0xC513))
"""TCR2_EL1, PIRE0_EL1, PIR_EL1."""
PTIMER_CNT, PMMIR, ZCR = _SYSREG | 0xDF01, _SYSREG | 0xC4F6, _SYSREG | 0xC090
_ENCODING, _PAUTH_KEYS = 0xFFFF, (0xC108, 0xC119)
_CACHE_LEVELS = frozenset(range(0x6020_0000_0011_0003, 0x6020_0000_0011_000E))


@cache
def list_changes() -> tuple[ListChange, ...]:
    """Every change of the list between 5.10 and 7.3, oldest first."""
    return (
        ListChange(
            *((5, 11), (5, 12), (5, 13)),
            *(pmu_registers(), False, FEATURE_PMU),
            "hidden without the vCPU's PMU; a public report has them on 5.11 and not on 5.13; recorded 5.10 and 6.1",
        ),
        ListChange(
            *((5, 13), (5, 18), (6, 1)),
            *(frozenset({_SYSREG | 0x808C}), True, 0),
            "OSLSR_EL1: the emulated OS lock, from memory; recorded in 6.1",
        ),
        ListChange(
            *((6, 2), (6, 3), (6, 3)), *(_CACHE_LEVELS, True, 0), "CCSIDR of all levels: 6.3, commit 7af0c2534f4c"
        ),
        ListChange(
            *((6, 3), (6, 4), (6, 4)),
            *(frozenset({PTIMER_CNT}), True, 0),
            "physical counter: the series of KVM_CAP_COUNTER_OFFSET, 6.4, as Firecracker's source says",
        ),
        ListChange(
            *((6, 1), (6, 4), (6, 12)),
            *(frozenset({_SYSREG | 0xDF11, _SYSREG | 0xDF12}), True, 0),
            "physical timer: the same series, from memory; recorded in 6.12",
            " (by Amazon's 5.10 and 6.1 too)",
        ),
        ListChange(
            *((6, 1), (6, 5), (6, 12)),
            *(TCR2_PIR, True, 0),
            "TCR2_EL1 and permission indirection, from memory; recorded in 6.12",
        ),
        ListChange(
            *((6, 12), (6, 13), (6, 13)),
            *(TCR2_PIR, False, 0),
            "hidden without the CPU feature: commits 0fcb4eea5345 and a68cddbe47ef, 6.13",
        ),
        ListChange(*((7, 2), (7, 3), (7, 3)), *(frozenset({PMMIR}), True, FEATURE_PMU), "PMMIR_EL1, recorded"),
    )


def _ids(release: str, features: str) -> frozenset[int]:
    return frozenset(register_set(release, features=features).ids.tolist())


@cache
def inferred_ids(release: Release, features: str) -> tuple[int, ...]:
    """The register ids of one vCPU, ascending: recorded lists reproduced, others inferred.

    Args:
        features: as in register sets, in any combination of recorded ones.

    Raises:
        InputError: a feature without a known bit, or one with which nothing was recorded.

    >>> from fastsmc.facts.releases import release
    >>> len(inferred_ids(release("6.17"), "psci02"))
    257
    """
    bits = feature_bits(features)
    if set(features.split("+")) & set(_UNLISTED):
        msg = f"features {features!r}: no register list with {', '.join(_UNLISTED)} was recorded, so none can be told"
        raise InputError(msg)
    plain = _ids(_OLDEST, "psci02")
    ids = set(plain)
    for bit, name in ((FEATURE_SVE, "sve"), (FEATURE_PAUTH_ADDRESS | FEATURE_PAUTH_GENERIC, "pauth")):
        if bits & bit:
            ids ^= plain ^ _ids(_OLDEST, f"psci02+{name}")
    for change in list_changes():
        if parse_version(release.name)[:2] >= change.by:
            if change.is_listed and bits & change.feature == change.feature:
                ids |= change.ids
            elif not change.is_listed and not bits & change.feature:
                ids -= change.ids
    ids = {reg for reg in ids if reg_class(reg) not in (CLASS_FW, CLASS_FW_FEAT_BMAP)}
    return tuple(sorted(ids | {FW_BY_NAME[name].reg for name in release.fw_registers}))


def _some(ids: frozenset[int]) -> str:
    names = [name_of(reg) or f"{reg:#x}" for reg in sorted(ids)]
    return ", ".join(names[:3]) + " and more" * (len(names) > 3)


def doubts(release: Release) -> tuple[str, ...]:
    """What is not certain about a release's inferred list, one sentence per change."""
    version = parse_version(release.name)[:2]
    return tuple(
        f"whether {release.name} lists {_some(change.ids)} rests on when that changed ({change.source})"
        for change in list_changes()
        if change.is_uncertain(version)
    )


def feature_of(reg: int) -> str:
    """The vCPU feature that has a register listed: pmu, sve, pauth, or "" for none."""
    kind, low = reg_class(reg), reg & _ENCODING
    if reg in pmu_registers() or reg == PMMIR:
        return "pmu"
    if kind == CLASS_SVE or reg == ZCR:
        return "sve"
    return "pauth" if kind == CLASS_SYSREG and _PAUTH_KEYS[0] <= low <= _PAUTH_KEYS[1] else ""


def why_missing(reg: int, release: Release | None, features: str) -> str:
    """Why a destination does not list a register, as far as that is known."""
    if release is None:
        return "not in its list"
    version, bits = parse_version(release.name)[:2], feature_bits(features)
    for change in list_changes():
        doubt = ", probably: the release is inferred" if change.is_uncertain(version) else ""
        if reg in change.ids and change.is_listed and version < change.by:
            return f"listed from {change.by[0]}.{change.by[1]} on{change.note}{doubt}"
        if reg in change.ids and not change.is_listed and version >= change.by and not bits & change.feature:
            what = feature_of(reg)
            without = f"the vCPU feature {what}" if what else "the CPU's feature"
            return f"hidden without {without} since {change.by[0]}.{change.by[1]}{doubt}"
    name = feature_of(reg)
    if name and not bits & feature_bits(name):
        return f"listed with the vCPU feature {name} only"
    if reg in FW_BY_ID:
        row = FW_BY_ID[reg].name
        return f"Linux has it since {since(lambda rules: row in rules.fw_registers)}"
    return "not in the list of such a vCPU"
