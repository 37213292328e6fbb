"""Linux releases as sets of rules, and hosts: a release plus what the machine adds.

A release is what the first supported one had, plus every change up to it (`changes`), plus what its vendor is known to
have changed (`vendors`). So the rules of 5.10.50 differ from those of 5.10.218, and 5.10 without a number has those of
the newest 5.10. Where it is not known whether a release has a change, that is a doubt, which goes where the release
goes.

Nothing else in this package compares version numbers: a rule that differs between releases is a field here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from errno import EEXIST
from functools import cache
from typing import Any

from fastsmc.checks import shown, whole
from fastsmc.errors import InputError
from fastsmc.facts.changes import CHANGES, Change
from fastsmc.facts.registers import WORKAROUND_2_NOT_REQUIRED, WORKAROUND_NOT_REQUIRED
from fastsmc.facts.rule_words import RULE_WORDS
from fastsmc.facts.smccc import PSCI_0_1, PSCI_0_2, PSCI_1_0, psci_name
from fastsmc.facts.vendors import Kernel, feature_parts, kernel
from fastsmc.facts.versions import Series, Version, check_known, stable_note


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that is not known of a release's rules.

    Attributes:
        fields: fields of `Release` that may be different.
        text: why it is not known, in words.
        source: what is known, and on whose word.
        others: the rules as they would be otherwise, without doubts of their own.
    """

    fields: tuple[str, ...]
    text: str
    source: str
    others: tuple[Release, ...] = field(repr=False)

    def __str__(self) -> str:
        names = ", ".join(dict.fromkeys(RULE_WORDS.get(name, name) for name in self.fields))
        return f"{names}: {self.text} ({self.source})"


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
        has_protected: a host in the mode `protected` creates protected VMs.
        caches_are_fixed: CLIDR_EL1 and CCSIDR accept no value but the host's.
        id_registers_are_fixed: ID registers accept no value but the vCPU's own, the writable fields apart.
        writable_id_fields: ID register fields that accept other values, as "REGISTER.FIELD", and registers all of
            whose fields do, as far as `id_fields` does not say otherwise.
        maybe_writable_id_fields: those that became writable somewhere around this release, so that it may refuse them.
        fixed_id_fields: fields that could be written in earlier releases.
        ignored_id_fields: fields that earlier releases showed; the value they showed is accepted and ignored.
        nonzero_id_fields: fields that refuse 0, which earlier releases accepted.
        unknown_id_fields: fields of which it is not known what this release accepts.
        ignores_aarch32_ids: where EL0 has no AArch32, what is written to its ID registers is ignored.
        pmu_version_must_match: a version of the PMU is accepted only if the vCPU has one, and none only if not.
        takes_system_mode: PSTATE of an AArch32 vCPU accepts System mode; None where that is not known.
        version: series and stable update; None as the third where none was named: the newest.
        vendor: who built the kernel, "RHEL 9"; "" for mainline, "custom" for a suffix that is not known.
        notes: what a reader must know of it: what its vendor is known to have changed, and that it may carry more.
        may_be_later: its vendor may have carried back any change of later releases.
        doubts: what is not known of its rules.
    """

    name: str
    version: Version = (0, 0, None)
    vendor: str = ""
    notes: tuple[str, ...] = ()
    may_be_later: bool = False
    doubts: tuple[Doubt, ...] = field(default=(), compare=False)
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
    has_protected: bool = False
    caches_are_fixed: bool = True
    id_registers_are_fixed: bool = True
    writable_id_fields: frozenset[str] = frozenset()
    maybe_writable_id_fields: frozenset[str] = frozenset()
    fixed_id_fields: frozenset[str] = frozenset()
    ignored_id_fields: frozenset[str] = frozenset()
    nonzero_id_fields: frozenset[str] = frozenset()
    unknown_id_fields: frozenset[str] = frozenset()
    ignores_aarch32_ids: bool = False
    pmu_version_must_match: bool = False
    takes_system_mode: bool | None = False

    @property
    def uncertain(self) -> tuple[str, ...]:
        """Fields that may be different, of all doubts."""
        return tuple(dict.fromkeys(name for doubt in self.doubts for name in doubt.fields))

    @property
    def is_mainline(self) -> bool:
        """Whether the name is that of a mainline release, and nobody else's kernel."""
        return not self.vendor

    @property
    def series(self) -> Series:
        """(major, minor): (6, 12) of "6.12.118"."""
        return self.version[:2]

    @property
    def stable(self) -> int | None:
        """Number of the stable update, 118 of "6.12.118"; None where none was named: the newest."""
        return self.version[2]

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
        rows += [f"  {'doubt':18}  {doubt}" for doubt in self.doubts]
        rows += [f"  {'note':18}  {note}" for note in self.notes]
        return "\n".join([f"Linux {self.name}", *rows])

    def __repr__(self) -> str:
        return f"Release({shown(self.name)}{f', {self.vendor}' if self.vendor else ''})"


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
    found = kernel(name)
    name = name.strip()
    if features := feature_parts(name):
        msg = (
            f"release {shown(name)} names vCPU features ({features}), which a VM has and no host: give them as features"
        )
        raise InputError(msg)
    check_known(name, found.version, found.told, is_plain=found.is_plain)
    return _release(name)


@cache
def _release(name: str) -> Release:
    found = kernel(name)
    vendor = found.vendor
    notes = (*found.notes, *stable_note(found.version))
    named = vendor.name if vendor else "" if found.is_plain else "custom"
    is_heavy = vendor is not None and vendor.is_heavy
    row = Release(name=name, version=found.version, vendor=named, notes=notes, may_be_later=is_heavy)
    steps = [step for change in CHANGES if (step := _step(change, found.version, found)) is not None]
    counted = (*found.version[:2], found.count) if found.is_counted else found.version
    more = vendor.changes if vendor else ()
    steps += [step for change in more if (step := _step(change, counted, found)) is not None]
    rules = _folded(row, steps)
    doubts = [_doubt(row, rules, steps, number) for number, step in enumerate(steps) if step.doubt]
    if vendor is not None and vendor.is_heavy:
        is_read = found.count is not None and found.count <= vendor.newest_read
        pinned = _told(more) if is_read else ()
        doubts.append(_later_changes(rules, found, {name: getattr(rules, name) for name in pinned}))
    certain = [step.change.adds.get("writable_id_fields", ()) for step in steps if step.is_taken and not step.doubt]
    known = [doubt for doubt in doubts if doubt is not None]
    maybe = {name for doubt in known for other in doubt.others for name in other.writable_id_fields}
    fields = frozenset(maybe.difference(*certain))
    return replace(rules, doubts=tuple(known), maybe_writable_id_fields=fields)


@dataclass(frozen=True, slots=True)
class _Step:
    """A change that a release has or may have.

    Attributes:
        doubt: why it is not known whether it has it; "" where it is known.
    """

    change: Change
    is_taken: bool
    doubt: str = ""


def _step(change: Change, version: Version, found: Kernel) -> _Step | None:
    """What is known of a change in a kernel; None if it lacks it.

    A kernel that is not mainline's and does not tell its stable update is taken to have what came by one.
    """
    is_in = change.is_in(version)
    if is_in is None:
        return _Step(change, change.is_assumed, change.bracket(version))
    if not is_in:
        return None
    first = change.backports.get(version[:2]) if version[2] is None and version[:2] < change.by else None
    is_guessed = first is not None and not found.is_plain
    text = f"came by update {first}, and the name does not tell which update this is" if is_guessed else ""
    return _Step(change, True, text)


def _folded(row: Release, steps: list[_Step], flipped: int | None = None) -> Release:
    """The rules with all changes that are taken to be there, but the one numbered `flipped` the other way."""
    for number, step in enumerate(steps):
        if step.is_taken != (number == flipped):
            row = _changed(row, step.change)
    return _in_list_order(row)


def _doubt(row: Release, rules: Release, steps: list[_Step], number: int) -> Doubt | None:
    """The doubt about one change; None where the rules are the same with it and without."""
    step, other = steps[number], _folded(row, steps, flipped=number)
    fields = _different(rules, other)
    return Doubt(fields, step.doubt, step.change.source, (other,)) if fields else None


def _different(rules: Release, *others: Release) -> tuple[str, ...]:
    return tuple(name for name in _RULES if any(getattr(one, name) != getattr(rules, name) for one in others))


def _told(changes: Iterable[Change]) -> set[str]:
    return {name for change in changes for name in (*change.sets, *change.adds)}


def _later_changes(rules: Release, found: Kernel, known: dict[str, Any]) -> Doubt | None:
    """The doubt about a kernel that may have been given any later change, one after the other.

    Args:
        known: values of the fields that are known of the vendor's kernels, which no later change is taken to set.
    """
    others, later = [], rules
    for change in CHANGES:
        if change.is_in(found.version) is False:
            later = _in_list_order(replace(_changed(later, change), **known))
            others.append(later)
    others = [other for other in dict.fromkeys(others) if other != rules]
    text = f"{rules.vendor} may have changes of later releases, which {found.base} lacks"
    return Doubt(_different(rules, *others), text, "which of them is not known", tuple(others)) if others else None


def _in_list_order(row: Release) -> Release:
    order = {register: index for index, register in enumerate(_REG_LIST_ORDER)}
    return replace(row, fw_registers=tuple(sorted(set(row.fw_registers), key=order.__getitem__)))


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


def _changed(row: Release, change: Change) -> Release:
    """The rules with a change."""
    fields = dict(change.sets)
    for name, more in change.adds.items():
        old = getattr(row, name)
        fields[name] = old | set(more) if isinstance(old, frozenset) else tuple(dict.fromkeys((*old, *more)))
    return replace(row, **fields)


_RULES = tuple(
    name
    for name in Release.__dataclass_fields__
    if name not in ("name", "version", "vendor", "notes", "may_be_later", "doubts", "maybe_writable_id_fields")
)
"""The fields of a release that are rules."""
_LAST_LEVELS = (WORKAROUND_NOT_REQUIRED, WORKAROUND_2_NOT_REQUIRED, WORKAROUND_NOT_REQUIRED)
"""Highest level of WORKAROUND_1, _2 and _3."""
DEFAULT_LEVELS = (2, 0, 0)
"""Levels of WORKAROUND_1, _2 and _3 that every recorded host from 6.1 on reports, on QEMU's `max` CPU."""
KVM_ARM_MODES = ("default", "nvhe", "nested", "protected")
"""Values of the kernel's parameter kvm-arm.mode; `default`: it was not given.

Source: Documentation/admin-guide/kernel-parameters.txt. Its `none` is left out, as such a host has no KVM.
"""


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
        kvm_arm_mode: what it was booted with, one of KVM_ARM_MODES; guests with EL2 need `nested`, protected VMs
            `protected`. Ordinary guests are answered alike in every mode (recorded).

    Raises:
        InputError: a release that is no Release, workaround levels or a mode that do not exist.
    """

    release: Release
    workaround: tuple[int, int, int] = DEFAULT_LEVELS
    is_arch_counter_clocksource: bool = True
    name: str = ""
    kvm_arm_mode: str = "default"

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
        if self.kvm_arm_mode not in KVM_ARM_MODES:
            msg = f"kvm_arm_mode is {shown(str(self.kvm_arm_mode))}: it must be one of {', '.join(KVM_ARM_MODES)}"
            raise InputError(msg)

    @classmethod
    def of(cls, name: str, **kwargs: Any) -> Host:
        """A host running the named release: `Host.of("6.12", workaround=(2, 0, 1))`.

        >>> Host.of("6.12.118").release.stable
        118
        """
        return cls(release(name), name=kwargs.pop("host_name", name), **kwargs)

    def __str__(self) -> str:
        levels = ", ".join(map(str, self.workaround))
        counter = "" if self.is_arch_counter_clocksource else "; its clock source is not the Arm counter"
        named = "" if self.name in ("", self.release.name) else f"{self.name}: "
        mode = "" if self.kvm_arm_mode == "default" else f"; kvm-arm.mode={self.kvm_arm_mode}"
        head = f"{named}Linux {self.release.name}, SMCCC_ARCH_WORKAROUND_1 to _3 at levels {levels}{counter}{mode}"
        doubts = [f"  doubt: {doubt}" for doubt in self.release.doubts]
        return "\n".join([head, *doubts, *(f"  note: {note}" for note in self.release.notes)])

    def __repr__(self) -> str:
        return f"Host({shown(self.name or self.release.name)}, {self.release!r}, workaround={self.workaround})"
