"""Linux releases as sets of rules, and hosts: a release plus what the machine adds.

A release is what the first supported one had, plus every change up to it. A change says since which release it is
there (`by`), in which stable updates of older releases it is there too (`backports`) and, where only recordings
bracket it, which release or update is known to be without it (`after`, `stable_after`). So the rules of 5.10.50 differ
from those of 5.10.218, and 5.10 without a number has those of the newest 5.10.

Nothing else in this package compares version numbers: a rule that differs between releases is a field here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from errno import EEXIST, EINVAL
from functools import cache
from typing import Any

from fastsmc.checks import shown, whole
from fastsmc.errors import InputError
from fastsmc.facts.id_changes import ID_CHANGES
from fastsmc.facts.registers import WORKAROUND_2_NOT_REQUIRED, WORKAROUND_NOT_REQUIRED
from fastsmc.facts.smccc import PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3, psci_name
from fastsmc.facts.vcpu import VCPU_FEATURES
from fastsmc.facts.versions import NEWEST, OLDEST, Series, Version, check_existence, parse_version


@dataclass(frozen=True, slots=True, repr=False)
class Release:
    """What one Linux release does with hypercalls and firmware registers.

    Attributes:
        name: as it was asked for: "6.12", "6.12.107" or what `uname -r` printed.
        fw_registers: names, in the order KVM_GET_REG_LIST reports them.
        bitmap_limit, bitmap_reset: per bitmap register; a bitmap the release lacks has limit 0. While a release
            has no bitmaps at all (`is_gated` false), nothing is gated and services answer as if all bits were set.
        psci_versions: words PSCI_VERSION accepts; the last is the default.
        answers: services the kernel implements (`Function.needs`).
        has_filter: KVM_ARM_VM_SMCCC_FILTER exists.
        serves_smc: an SMC from EL1 reaches the SMCCC handler; before, every SMC returns -1.
        has_system_suspend: KVM_CAP_ARM_SYSTEM_SUSPEND can be enabled.
        has_event_data: a SYSTEM_EVENT exit fills data[] and counts it in ndata.
        filter_empty_at_0_errno: what inserting base 0, nr_functions 0 returns.
        mpidr_masks_extra_bits: CPU_ON and AFFINITY_INFO ignore target bits outside the affinity fields
            (true) or answer INVALID_PARAMETERS (false).
        a32_refuses_all_smc64: the PSCI code answers -1 to any SMC64 id of an AArch32 caller (true), or only to
            CPU_SUSPEND, CPU_ON and AFFINITY_INFO (false).
        n_vcpu_feature: feature bits KVM_ARM_VCPU_INIT knows; a higher one is ENOENT.
        caches_are_fixed: CLIDR_EL1 and CCSIDR accept no value but the host's.
        id_registers_are_fixed: ID registers accept no value but the vCPU's own, the writable fields apart.
        writable_id_fields: ID register fields that accept other values, as "REGISTER.FIELD", and registers all of
            whose fields do, as far as `id_fields` does not say otherwise.
        maybe_writable_id_fields: those that became writable somewhere around this release, so that it may refuse them.
        fixed_id_fields: fields that could be written in earlier releases.
        ignored_id_fields: fields that earlier releases showed; the value they showed is accepted and ignored.
        unknown_id_fields: fields of which it is not known what this release accepts.
        ignores_aarch32_ids: where EL0 has no AArch32, what is written to its ID registers is ignored.
        pmu_version_must_match: a version of the PMU is accepted only if the vCPU has one, and none only if not.
        takes_system_mode: PSTATE of an AArch32 vCPU accepts System mode; None where that is not known.
        uncertain: fields that changed somewhere between a recorded release before this one and one after it.
    """

    name: str
    fw_registers: tuple[str, ...] = ("PSCI_VERSION", "SMCCC_ARCH_WORKAROUND_1", "SMCCC_ARCH_WORKAROUND_2")
    bitmap_limit: tuple[int, int, int, int] = (0, 0, 0, 0)
    bitmap_reset: tuple[int, int, int, int] = (0, 0, 0, 0)
    psci_versions: tuple[int, ...] = (PSCI_0_1, PSCI_0_2, PSCI_1_0)
    answers: frozenset[str] = frozenset({"WORKAROUND_1", "WORKAROUND_2", "PV_TIME"})
    is_gated: bool = False
    has_filter: bool = False
    serves_smc: bool = False
    has_system_suspend: bool = False
    has_event_data: bool = False
    filter_empty_at_0_errno: int = EEXIST
    mpidr_masks_extra_bits: bool = True
    a32_refuses_all_smc64: bool = False
    n_vcpu_feature: int = 7
    caches_are_fixed: bool = True
    id_registers_are_fixed: bool = True
    writable_id_fields: frozenset[str] = frozenset()
    maybe_writable_id_fields: frozenset[str] = frozenset()
    fixed_id_fields: frozenset[str] = frozenset()
    ignored_id_fields: frozenset[str] = frozenset()
    unknown_id_fields: frozenset[str] = frozenset()
    ignores_aarch32_ids: bool = False
    pmu_version_must_match: bool = False
    takes_system_mode: bool | None = False
    uncertain: tuple[str, ...] = ()

    @property
    def series(self) -> Series:
        """(major, minor): (6, 12) of "6.12.118"."""
        return parse_version(self.name)[:2]

    @property
    def stable(self) -> int | None:
        """Number of the stable update, 118 of "6.12.118"; None where none was named: the newest."""
        return parse_version(self.name)[2]

    def __str__(self) -> str:
        words = {
            "firmware registers": self.fw_registers,
            "PSCI versions": map(psci_name, self.psci_versions),
            "services": sorted(self.answers),
            "SMCCC filter": ("yes" if self.has_filter else "no",),
            "SMC from guests": ("served" if self.serves_smc else "refused",),
            "uncertain": self.uncertain or ("nothing",),
        }
        rows = [f"  {label:18}  {', '.join(told)}" for label, told in words.items()]
        return "\n".join([f"Linux {self.name}", *rows])

    def __repr__(self) -> str:
        return f"Release({shown(self.name)})"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between releases.

    Attributes:
        by: first release that has it.
        sets: fields it replaces.
        adds: fields it appends to.
        after: newest release known to lack it, where the exact one is not known.
        backports: series older than `by` that got it by a stable update, each with the first update known to have it.
        stable_after: series, each with the newest update known to lack it, where it is not known which later one
            got it. Between that update and the one in `backports`, if there is one, the change is uncertain.
    """

    by: Series
    source: str
    sets: dict[str, Any] = field(default_factory=dict)
    adds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    after: Series | None = None
    backports: dict[Series, int] = field(default_factory=dict)
    stable_after: dict[Series, int] = field(default_factory=dict)

    def is_in(self, version: Version) -> bool | None:
        """Whether a release has this change; None where it may have it.

        >>> change = Change((7, 3), "", backports={(6, 12): 112}, stable_after={(6, 12): 107, (6, 6): 50})
        >>> [change.is_in((6, 12, update)) for update in (107, 110, 112, None)]
        [False, None, True, True]
        >>> change.is_in((6, 6, None)), change.is_in((6, 6, 50)), change.is_in((7, 3, 0))
        (None, False, True)
        """
        *series, update = version
        opened = series[0], series[1]
        first, lacking = self.backports.get(opened), self.stable_after.get(opened)
        if opened >= self.by or (first is not None and (update is None or update >= first)):
            return True
        if lacking is not None:
            return None if update is None or update > lacking else False
        return None if self.after is not None and opened > self.after else False


CHANGES: tuple[Change, ...] = (
    Change((5, 12), "5.12 merge of the TRNG service (trng.c)", adds={"answers": ("TRNG",)}),
    Change((5, 13), "5.13 merge of the vendor calls and PTP (hypercalls.c)", adds={"answers": ("VENDOR_HYP",)}),
    Change(
        (5, 17),
        "Spectre-BHB fixes, March 2022. Stable updates from memory, except that 5.10.218 is recorded",
        adds={"answers": ("WORKAROUND_3",), "fw_registers": ("SMCCC_ARCH_WORKAROUND_3",)},
        backports={(5, 10): 105, (5, 15): 28, (5, 16): 14},
    ),
    Change(
        (5, 18),
        "PSCI 1.1 and SYSTEM_RESET2 (psci.c)",
        sets={"psci_versions": (PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1)},
    ),
    Change(
        (5, 18),
        "32-bit rule generalised: patch seen, release not pinned; recorded off in 5.10.218, on in 6.1.192",
        sets={"a32_refuses_all_smc64": True},
        after=(5, 10),
    ),
    Change(
        (5, 19),
        "hypercall services selection v7, merged for 5.19 (hypercalls.c); SYSTEM_SUSPEND capability",
        sets={
            "is_gated": True,
            "bitmap_limit": (1, 1, 3, 0),
            "bitmap_reset": (1, 1, 3, 0),
            "has_system_suspend": True,
        },
        adds={"fw_registers": ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP")},
    ),
    Change(
        (5, 15),
        "5.15, commit e10ecb4d6c07 (psci.c); recorded: masked in 5.10.218, -2 in 6.1.192",
        sets={"mpidr_masks_extra_bits": False},
    ),
    Change(
        (5, 18),
        "5.18, commit d495f942f40a (struct kvm_run's system_event); recorded: ndata 0 in 5.10.218, 1 in 6.1.192",
        sets={"has_event_data": True},
    ),
    Change(
        (6, 3),
        "6.3 pull request, commit 7af0c2534f4c; recorded: EINVAL in 6.1.192, accepted in 6.12.107",
        sets={"caches_are_fixed": False},
    ),
    Change(
        (6, 4), "SMCCC filter, 6.4 pull request; SMC from EL1 served", sets={"has_filter": True, "serves_smc": True}
    ),
    Change(
        (6, 13),
        "6.13 pull request: PSCI 1.2 and 1.3, SYSTEM_OFF2",
        sets={"psci_versions": (PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3)},
    ),
    Change(
        (6, 15),
        "6.15 pull request, commit c0000e58c74e: VENDOR_HYP_BMAP_2, reset 0",
        sets={"bitmap_limit": (1, 1, 3, 3)},
        adds={"fw_registers": ("VENDOR_HYP_BMAP_2",)},
    ),
    Change(
        (6, 16),
        "6.16: KVM_ARM_VCPU_HAS_EL2 and its E2H0 can be asked for; recorded: ENOENT in 6.12.107, EINVAL in 6.16.12",
        sets={"n_vcpu_feature": 9},
        after=(6, 12),
    ),
    Change(
        (7, 3),
        "7.3, commit 64dc6f1db7e6 (hypercalls.c), and the stable updates of 3 October 2026; recorded: EEXIST in "
        "6.12.107, 6.18.15 and 7.1.13, EINVAL in 7.2.12 and 7.3.4",
        sets={"filter_empty_at_0_errno": EINVAL},
        backports={(7, 2): 9, (6, 18): 55, (6, 12): 112, (6, 6): 158},
    ),
    *(Change(**row) for row in ID_CHANGES),
)


def release(name: str) -> Release:
    """The rules of a Linux release, recorded or between recorded ones.

    Args:
        name: "6.12", "v6.12", "6.12.107" or what `uname -r` prints. The number of a stable update decides which
            backports are in it; without one, it is the newest update of its series.

    Raises:
        InputError: not a version, or outside the releases about which anything is known.

    >>> release("6.17").fw_registers[-1], release("6.12.118").stable
    ('VENDOR_HYP_BMAP_2', 118)
    >>> [len(release(name).fw_registers) for name in ("5.10.104", "5.10.105", "5.10")]
    [3, 4, 4]
    """
    version = parse_version(name)
    check_existence(name, version)
    return _release(name.strip(), version)


@cache
def _release(name: str, version: Version) -> Release:
    series = version[:2]
    if not OLDEST <= series <= NEWEST:
        msg = (
            f"release {name} is outside {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}, the releases fastsmc knows"
        )
        raise InputError(msg)
    row = Release(name=name)
    for change in CHANGES:
        row = _applied(row, change, version)
    order = {register: index for index, register in enumerate(_REG_LIST_ORDER)}
    return replace(row, fw_registers=tuple(sorted(row.fw_registers, key=order.__getitem__)))


_REG_LIST_ORDER = (
    "PSCI_VERSION",
    "SMCCC_ARCH_WORKAROUND_1",
    "SMCCC_ARCH_WORKAROUND_2",
    "SMCCC_ARCH_WORKAROUND_3",
    "STD_BMAP",
    "STD_HYP_BMAP",
    "VENDOR_HYP_BMAP",
    "VENDOR_HYP_BMAP_2",
)


def _applied(row: Release, change: Change, version: Version) -> Release:
    is_in = change.is_in(version)
    if is_in is None:
        maybe = row.maybe_writable_id_fields.union(change.adds.get("writable_id_fields", ()))
        uncertain = (*row.uncertain, *change.sets, *change.adds)
        return replace(row, uncertain=uncertain, maybe_writable_id_fields=maybe)
    if not is_in:
        return row
    fields = dict(change.sets)
    for name, more in change.adds.items():
        old = getattr(row, name)
        fields[name] = old | set(more) if isinstance(old, frozenset) else (*old, *more)
    return replace(row, **fields)


_LAST_LEVELS = (WORKAROUND_NOT_REQUIRED, WORKAROUND_2_NOT_REQUIRED, WORKAROUND_NOT_REQUIRED)
"""Highest level of WORKAROUND_1, _2 and _3."""
DEFAULT_LEVELS = (2, 0, 0)
"""Levels of WORKAROUND_1, _2 and _3 that every recorded host from 6.1 on reports, on QEMU's `max` CPU."""


@dataclass(frozen=True, slots=True, repr=False)
class Host:
    """A release plus what its machine adds.

    Attributes:
        release: the rules of its kernel, down to the stable update where its name has one.
        workaround: levels of SMCCC_ARCH_WORKAROUND_1, _2, _3 as GET_ONE_REG reports them. The default is what every
            recorded host from 6.1 on reports on QEMU's `max` CPU.
        is_arch_counter_clocksource: the host's clock source is the Arm counter, without which PTP answers -1.
            True on every recorded host; assumed for others.
        name: what messages call it.

    Raises:
        InputError: a release that is no Release, or workaround levels that do not exist.
    """

    release: Release
    workaround: tuple[int, int, int] = DEFAULT_LEVELS
    is_arch_counter_clocksource: bool = True
    name: str = ""

    def __post_init__(self) -> None:
        rules: object = self.release
        if not isinstance(rules, Release):
            msg = f"a host's release is what release(name) gives, not {rules!r}: Host.of(name) takes a name"
            raise InputError(msg)
        levels: object = self.workaround
        if not isinstance(levels, tuple | list) or len(levels) != len(_LAST_LEVELS):
            msg = f"workaround is {levels!r}: give the levels of SMCCC_ARCH_WORKAROUND_1, _2 and _3"
            raise InputError(msg)
        pairs = enumerate(zip(levels, _LAST_LEVELS, strict=True), 1)
        checked = tuple(
            whole(f"the level of SMCCC_ARCH_WORKAROUND_{i}", level, last=last) for i, (level, last) in pairs
        )
        object.__setattr__(self, "workaround", checked)

    @classmethod
    def of(cls, name: str, **kwargs: Any) -> Host:
        """A host running the named release: `Host.of("6.12", workaround=(2, 0, 1))`.

        >>> Host.of("6.12.118").release.stable
        118
        """
        named = ", ".join(part for part in str(name).split("+")[1:] if part in VCPU_FEATURES)
        if named:
            msg = f"host {shown(name)} names vCPU features ({named}), which a VM has and no host: give them as features"
            raise InputError(msg)
        return cls(release(name), name=kwargs.pop("host_name", name), **kwargs)

    def __str__(self) -> str:
        levels = ", ".join(map(str, self.workaround))
        counter = "" if self.is_arch_counter_clocksource else "; its clock source is not the Arm counter"
        named = "" if self.name in ("", self.release.name) else f"{self.name}: "
        return f"{named}Linux {self.release.name}, SMCCC_ARCH_WORKAROUND_1 to _3 at levels {levels}{counter}"

    def __repr__(self) -> str:
        return f"Host({shown(self.name or self.release.name)}, {self.release!r}, workaround={self.workaround})"
