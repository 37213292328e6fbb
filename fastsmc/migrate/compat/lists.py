"""The register list of a release nobody recorded: the oldest recorded list, and what changed since.

The changes reproduce every recorded list of 5.10 to 7.3 exactly, on both recorded CPUs; between recordings they rest
on the source named with each. Firmware registers are not here: `releases` has them.

With EL2 a vCPU lists the registers of EL2 besides. What 6.16.12 lists of them was not recorded, but follows from the
restores that were: 6.18.15 and 7.3.4 refuse 27 registers of its 325 as missing and have the other 298 of their own 300,
all but VSESR_EL2 and VDISR_EL2, which 6.16.12 refuses as missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import inf

from fastsmc.facts.history import since
from fastsmc.facts.register_names import name_of
from fastsmc.facts.register_sets import register_set
from fastsmc.facts.registers import (
    ARCH_ARM64,
    CLASS_DEMUX,
    CLASS_FW,
    CLASS_FW_FEAT_BMAP,
    CLASS_SVE,
    CLASS_SYSREG,
    FW_BY_ID,
    FW_BY_NAME,
    PTIMER_CNT,
    SIZE_SHIFT,
    reg_class,
    sysreg,
)
from fastsmc.facts.releases import Release
from fastsmc.facts.vcpu import (
    FEATURE_EL2,
    FEATURE_EL2_E2H0,
    FEATURE_PAUTH_ADDRESS,
    FEATURE_PAUTH_GENERIC,
    FEATURE_PMU,
    FEATURE_SVE,
    feature_bits,
    has_el2,
)
from fastsmc.facts.versions import Series

_OLDEST = "5.10"
_FIRST_WITH_EL2, _FIRST_RECORDED = (6, 16), (6, 18)
"""The first series that have vCPUs with EL2, and of which their lists were recorded."""
_BESIDE_EL2 = {frozenset({"none"}), frozenset({"none", "pmu", "sve", "pauth"})}
"""Features with which EL2 was recorded, psci02 and power_off apart."""


@dataclass(frozen=True, slots=True)
class ListChange:
    """Registers that a release began to list, or ceased to.

    Attributes:
        after: the newest release that is known to be without the change.
        by: the release that the change is dated to.
        known: the oldest release that is known to have the change.
        is_listed: whether the registers came; else they went.
        feature: vCPU feature bit that has the registers listed in any case (when they go), or that they need (when
            they come); 0 for none.
        guest: bits of a vCPU's features without which the change says nothing.
        note: where lists differ although the release is the same.
        by_vendor: vendors that have it in older series: (newest update known without it, oldest known with it).
    """

    after: tuple[int, int]
    by: tuple[int, int]
    known: tuple[int, int]
    ids: frozenset[int]
    is_listed: bool
    feature: int
    source: str
    guest: int = 0
    note: str = ""
    by_vendor: Mapping[tuple[str, Series], tuple[int, int]] = field(default_factory=dict)

    def has_come_to(self, release: Release) -> bool:
        """Whether a release's list has the change."""
        first = self.by_vendor.get((release.vendor, release.series), (0, inf))[1]
        is_newest = release.stable is None and first < inf
        return release.series >= self.by or is_newest or (release.stable or 0) >= first

    def is_uncertain_in(self, release: Release) -> bool:
        """Whether nothing but the change's date, or a vendor's habits, tells what this release lists."""
        lacking, first = self.by_vendor.get((release.vendor, release.series), (0, 0))
        is_between = lacking < (release.stable or 0) < first
        is_later = release.may_be_later and release.series < self.by
        return self.after < release.series < self.known or is_between or is_later

    def is_about(self, bits: int) -> bool:
        """Whether a vCPU with these features lists such registers at all."""
        return bits & self.guest == self.guest

    @property
    def since(self) -> str:
        """The release that the change is dated to, as text: "5.12"."""
        return f"{self.by[0]}.{self.by[1]}"


@cache
def pmu_registers() -> frozenset[int]:
    """The 74 registers of the PMU; PMMIR_EL1, the 75th, is listed from 7.3 on."""
    return _ids("6.1", "psci02+pmu") - _ids("6.1", "psci02")


TCR2_PIR = frozenset({sysreg(3, 0, 2, 0, 3), sysreg(3, 0, 10, 2, 2), sysreg(3, 0, 10, 2, 3)})
"""TCR2_EL1, PIRE0_EL1, PIR_EL1."""
PMMIR, ZCR, OSLSR = sysreg(3, 0, 9, 14, 6), sysreg(3, 0, 1, 2, 0), sysreg(2, 0, 1, 1, 4)
"""PMMIR_EL1, ZCR_EL1, OSLSR_EL1."""
SCTLR2 = sysreg(3, 0, 1, 0, 3)
"""SCTLR2_EL1, which 6.17 began to list on CPUs that have it. Source: "KVM/arm64 updates for 6.17", 28 July 2025."""
PTIMER_CTL, PTIMER_CVAL = sysreg(3, 3, 14, 2, 1), sysreg(3, 3, 14, 2, 2)
"""CNTP_CTL_EL0 and CNTP_CVAL_EL0."""
APIAKEYLO, _LAST_PAUTH_KEY = sysreg(3, 0, 2, 1, 0), sysreg(3, 0, 2, 3, 1)
"""The keys of pointer authentication, from APIAKEYLO_EL1 to APGAKEYHI_EL1."""
VSERROR = frozenset({sysreg(3, 4, 5, 2, 3), sysreg(3, 4, 12, 1, 1)})
"""VSESR_EL2, VDISR_EL2."""
RVBAR_AND_ICH = frozenset(
    sysreg(3, 4, 12, crm, op2)
    for crm, ops in ((0, (1,)), (8, range(4)), (9, range(4)), (11, (0, 7)), (12, range(8)), (13, range(8)))
    for op2 in ops
)
"""RVBAR_EL2, ICH_AP0R0_EL2 to ICH_AP1R3_EL2, ICH_HCR_EL2, ICH_VMCR_EL2, ICH_LR0_EL2 to ICH_LR15_EL2."""
HIDDEN_BY_E2H0 = frozenset({sysreg(3, 4, 2, 2, 0), sysreg(3, 4, 14, 3, 1), sysreg(3, 4, 14, 3, 2)})
"""VNCR_EL2, CNTHV_CTL_EL2, CNTHV_CVAL_EL2."""
HCR_EL2, ZCR_EL2 = sysreg(3, 4, 1, 1, 0), sysreg(3, 4, 1, 2, 0)
_CACHE_LEVELS = frozenset(ARCH_ARM64 | 2 << SIZE_SHIFT | CLASS_DEMUX | number for number in range(3, 14))
"""CCSIDR of the cache levels beyond those that every machine has."""


@cache
def list_changes() -> tuple[ListChange, ...]:
    """Every change of the list between 5.10 and 7.3, oldest first."""
    return tuple(sorted((*_changes(), *_changes_with_el2()), key=lambda change: change.by))


def _changes() -> tuple[ListChange, ...]:
    """The changes that concern ordinary vCPUs."""
    return (
        ListChange(
            *((5, 11), (5, 12), (5, 12)),
            *(pmu_registers(), False, FEATURE_PMU),
            "hidden without the vCPU's PMU: commit 11663111cd49, 5.12; by a public report on 5.11 and not on 5.13",
        ),
        ListChange(
            *((5, 17), (5, 18), (5, 18)),
            *(frozenset({OSLSR}), True, 0),
            'OSLSR_EL1: commits 7dabf02f43a1 and d134998838ac, in "KVM/arm64 updates for 5.18", 18 March 2022',
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
            *((6, 3), (6, 4), (6, 4)),
            *(frozenset({PTIMER_CTL, PTIMER_CVAL}), True, 0),
            'physical timer: commit 680232a94c12, in "KVM/arm64 updates for v6.4", 21 April 2023; Firecracker\'s '
            "fingerprints of Amazon",
            0,
            " (by Amazon's 5.10 and 6.1 too)",
            {("Amazon Linux 2", (5, 10)): (214, 234), ("Amazon Linux 2023", (6, 1)): (84, 129)},
        ),
        ListChange(
            *((6, 4), (6, 5), (6, 5)),
            *(TCR2_PIR, True, 0),
            'TCR2_EL1, PIR_EL1 and PIRE0_EL1: commits fbff56068232 and 86f9de9db178, in "arm64 updates for 6.5", '
            "26 June 2023",
        ),
        ListChange(
            *((6, 12), (6, 13), (6, 13)),
            *(TCR2_PIR, False, 0),
            "hidden without the CPU feature: commits 0fcb4eea5345 and a68cddbe47ef, 6.13",
        ),
        ListChange(*((7, 2), (7, 3), (7, 3)), *(frozenset({PMMIR}), True, FEATURE_PMU), "PMMIR_EL1, recorded"),
    )


_KVM_6_17 = 'in "KVM/arm64 updates for 6.17", 28 July 2025; no list of 6.17 was recorded'
_NESTED = "missing in restores from 6.16.12 to 6.18.15 and 7.3.4"
_E2H0 = "with E2H0 6.16.12 lists 324 registers, one fewer than without, and 6.18.15 and 7.3.4 three fewer: recorded"


def _changes_with_el2() -> Iterator[ListChange]:
    """The changes that concern vCPUs with EL2 only."""
    span = (6, 16), (6, 17), _FIRST_RECORDED
    commits = f"{_NESTED}; commits 1095b32665cf and c70a4027f5f3, {_KVM_6_17}"
    yield ListChange(*span, RVBAR_AND_ICH, False, 0, commits, FEATURE_EL2)
    commit = f"missing in restores from 6.18 and later to 6.16.12; commit 211fced460f2, {_KVM_6_17}"
    yield ListChange(*span, VSERROR, True, FEATURE_EL2, commit, FEATURE_EL2)
    with_e2h0 = FEATURE_EL2 | FEATURE_EL2_E2H0
    yield ListChange((6, 15), *(_FIRST_RECORDED,) * 2, HIDDEN_BY_E2H0, False, 0, _E2H0, with_e2h0)
    with_sve = FEATURE_EL2 | FEATURE_SVE
    yield ListChange((6, 15), (6, 16), _FIRST_RECORDED, frozenset({ZCR_EL2}), True, with_sve, "recorded", with_sve)


@cache
def el2_registers() -> frozenset[int]:
    """The registers of EL2 that a vCPU with EL2 lists on some release, whatever its other features."""
    return (_ids("6.18", "psci02+el2") - _ids("6.18", "psci02")) | RVBAR_AND_ICH | {ZCR_EL2}


def _ids(release: str, features: str) -> frozenset[int]:
    return frozenset(register_set(release, features=features).ids.tolist())


@cache
def inferred_ids(release: Release, features: str) -> tuple[int, ...]:
    """The register ids of one vCPU, ascending: recorded lists reproduced, others inferred.

    Args:
        features: as in register sets, in any combination of recorded ones.

    Raises:
        InputError: a feature without a known bit.

    >>> from fastsmc.facts.releases import release
    >>> len(inferred_ids(release("6.17"), "psci02")), len(inferred_ids(release("6.16"), "psci02+el2"))
    (257, 325)
    """
    bits = feature_bits(features)
    plain = _ids(_OLDEST, "psci02")
    ids = set(plain)
    for bit, name in ((FEATURE_SVE, "sve"), (FEATURE_PAUTH_ADDRESS | FEATURE_PAUTH_GENERIC, "pauth")):
        if bits & bit:
            ids ^= plain ^ _ids(_OLDEST, f"psci02+{name}")
    if has_el2(bits):
        ids |= el2_registers() - VSERROR - {ZCR_EL2}
    for change in list_changes():
        if change.has_come_to(release) and change.is_about(bits):
            if change.is_listed and bits & change.feature == change.feature:
                ids |= change.ids
            elif not change.is_listed and not bits & change.feature:
                ids -= change.ids
    ids = {reg for reg in ids if reg_class(reg) not in (CLASS_FW, CLASS_FW_FEAT_BMAP)}
    return tuple(sorted(ids | {FW_BY_NAME[name].reg for name in release.fw_registers}))


def _some(ids: frozenset[int]) -> str:
    names = [name_of(reg) or f"{reg:#x}" for reg in sorted(ids)]
    return ", ".join(names[:3]) + " and more" * (len(names) > 3)


def is_known(release: Release, features: str) -> bool:
    """Whether it is known what a vCPU with these features lists, but for the registers that `unsure` tells of.

    With EL2 it is so for the features beside which it was recorded; with E2H0 from 6.18 on.

    Raises:
        InputError: a feature without a known bit.

    >>> from fastsmc.facts.releases import release
    >>> [is_known(release("6.16"), features) for features in ("psci02+el2", "psci02+el2+e2h0", "psci02+pmu+el2")]
    [True, False, False]
    """
    bits = feature_bits(features)
    if not has_el2(bits):
        return True
    beside = frozenset({*features.split("+"), "none"} - {"psci02", "power_off", "el2"})
    if release.series < _FIRST_RECORDED:
        return beside == {"none"} and release.series >= _FIRST_WITH_EL2
    return beside in _BESIDE_EL2 or beside == {"none", "e2h0"}


def doubts(release: Release, features: str) -> tuple[str, ...]:
    """What is not certain about a release's inferred list, one sentence per change."""
    told_of = [change for change in list_changes() if change.is_about(feature_bits(features))]
    later = [change for change in told_of if release.may_be_later and release.series < change.by]
    dated = [change for change in told_of if change.is_uncertain_in(release) and change not in later]
    told = [
        f"whether {release.name} lists {_some(change.ids)} rests on when that changed ({change.source})"
        for change in dated
    ]
    if later:
        names = ", ".join(dict.fromkeys(_some(change.ids) for change in later))
        told.append(f"{release.vendor} may list what later releases do and hide what they hide: {names}")
    return tuple(told)


def lists_pmu_always(release: Release) -> bool:
    """Whether every vCPU of a release lists the PMU's registers, with the feature or without."""
    return not any(change.has_come_to(release) for change in list_changes() if change.ids == pmu_registers())


def feature_of(reg: int) -> str:
    """The vCPU feature that has a register listed: pmu, sve, pauth, el2, or "" for none."""
    kind = reg_class(reg)
    if reg in el2_registers():
        return "el2"
    if reg in pmu_registers() or reg == PMMIR:
        return "pmu"
    if kind == CLASS_SVE or reg == ZCR:
        return "sve"
    return "pauth" if kind == CLASS_SYSREG and APIAKEYLO <= reg <= _LAST_PAUTH_KEY else ""


def why_missing(reg: int, release: Release | None, features: str) -> str:
    """Why a destination does not list a register, as far as that is known."""
    if release is None:
        return "not in its list"
    bits = feature_bits(features)
    for change in (each for each in list_changes() if each.is_about(bits)):
        doubt = ", probably: the release is inferred" if change.is_uncertain_in(release) else ""
        if reg in change.ids and change.is_listed and not change.has_come_to(release):
            return f"listed from {change.since} on{change.note}{doubt}"
        if reg in change.ids and not change.is_listed and change.has_come_to(release) and not bits & change.feature:
            if change.guest:
                how = "hidden with e2h0" if change.guest & FEATURE_EL2_E2H0 else "not listed by such a vCPU"
                return f"{how} since {change.since}{doubt}"
            what = feature_of(reg)
            without = f"the vCPU feature {what}" if what else "the CPU's feature"
            return f"hidden without {without} since {change.since}{doubt}"
    name = feature_of(reg)
    if name and not bits & feature_bits(name):
        return f"listed with the vCPU feature {name} only"
    if reg == SCTLR2 and release.series < (6, 17):
        return "listed from 6.17 on, on CPUs that have it"
    if reg in FW_BY_ID:
        row = FW_BY_ID[reg].name
        return f"Linux has it since {since(lambda rules: row in rules.fw_registers)}"
    return "not in the list of such a vCPU"
