"""What to do about a direction that fails: what the VMM's version has, and what can work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fastsmc.checks import LAST_U64
from fastsmc.facts.registers import (
    CLASS_CORE,
    CLASS_SVE,
    CLASS_SYSREG,
    FIRMWARE_CLASSES,
    FW_BY_ID,
    IMPLEMENTATION,
    Encoding,
    FwKind,
    reg_class,
    reg_size,
    sysreg,
)
from fastsmc.facts.vmm_features import GIVEN, How, given, never_given
from fastsmc.facts.vmm_versions import CHANGES, Ability, VmmVersion, first_with, written
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.judge import WORKAROUND_2, fates, hides_ssbs, psci_text
from fastsmc.migrate.compat.lists import TCR2_PIR, feature_of
from fastsmc.migrate.compat.result import RegisterFate, Remedy, shown_name
from fastsmc.migrate.compat.side import MIDR, Side
from fastsmc.migrate.compat.stops import features_of
from fastsmc.migrate.compat.templates import forced
from fastsmc.migrate.compat.vmms import BMAP_2
from fastsmc.reference.restore_rules import system_register
from fastsmc.reference.state import OK

_PINNED = "set before the VM first runs"
_PMU_VERSION = (sysreg(3, 0, 0, 1, 2), sysreg(3, 0, 0, 5, 0))
"""ID_DFR0_EL1 and ID_AA64DFR0_EL1, whose PerfMon and PMUVer are 0 without the vCPU's PMU."""
FEATURE_FIELDS = {
    "sve": {sysreg(3, 0, 0, 4, 0): 0xF << 32, sysreg(3, 0, 0, 4, 4): LAST_U64},
    "pauth": {sysreg(3, 0, 0, 6, 1): 0xFF << 24 | 0xFF << 4, sysreg(3, 0, 0, 6, 2): 0xFF << 8},
}
"""Bits of ID registers that are 0 without a vCPU feature.

ID_AA64PFR0_EL1.SVE and ID_AA64ZFR0_EL1; APA, API, GPA and GPI of ID_AA64ISAR1_EL1, GPA3 and APA3 of ID_AA64ISAR2_EL1.
Source: the recorded hosts, with a feature and without; Linux arch/arm64/kvm/sys_regs.c for the fields that are 0 there.
"""
_STATE = (CLASS_CORE, CLASS_SVE)
"""Classes of registers without whose values no guest goes on."""
_IMPLEMENTATION = frozenset(sysreg(*encoding) for encoding in IMPLEMENTATION)


def remedies(source: Side, dest: Side, by: VmmVersion, failing: Sequence[RegisterFate]) -> tuple[Remedy, ...]:
    """Everything that could be done with this version of the VMM. Each remedy names the registers it takes care of."""
    vmm = by.vmm
    if not (source.is_emulated or dest.is_emulated) and (other := _other_vcpu(source, dest, by)):
        return (other,)
    if not failing:
        return ()
    if source.is_emulated != dest.is_emulated:
        text = "none between QEMU's TCG and KVM: start the VM under KVM at the source, or under TCG at the destination"
        return (Remedy(text, tuple(fate.reg for fate in failing)),)
    if dest.release is None and vmm is Vmm.QEMU:
        text = "start both with the same CPU model and the same QEMU: without KVM the list is QEMU's own"
        return (Remedy(text, tuple(fate.reg for fate in failing)),)
    missing = [fate for fate in failing if fate.reg not in dest.values]
    refused = [fate for fate in failing if fate.reg in dest.values]
    pmu = [fate for fate in refused if fate.reg in _PMU_VERSION and any(feature_of(m.reg) == "pmu" for m in missing)]
    refused = [fate for fate in refused if fate not in pmu]  # raised along with the feature
    found = [*_same_features(source, dest, refused, by)]
    of_features = _of_features(source, dest, refused)
    refused = [fate for fate in refused if fate not in of_features]
    found += [
        *_features(source, dest, [fate.reg for fate in (*missing, *pmu)], by),
        *_tolerated(missing, by),
        *_values(source, dest, refused, by),
    ]
    removable = [fate for fate in failing if reg_class(fate.reg) not in _STATE and fate.reg not in _IMPLEMENTATION]
    if vmm is Vmm.FIRECRACKER and by.can(Ability.EDITS_SNAPSHOTS) and len(removable) == len(failing):
        found.append(_removed(failing))
    return tuple(found)


def _other_vcpu(source: Side, dest: Side, by: VmmVersion) -> Remedy | None:
    """The remedy for a vCPU that the VMM's version does not have, or does not save; None where it does both."""
    name = f"{by.vmm.full_name} {by.version}".rstrip()
    for features in (*features_of(source), *features_of(dest)):
        if not never_given(by, features):
            continue
        extra = [feature for feature in features.split("+") if feature not in (*given(by), "power_off", "none")]
        if not extra:
            return Remedy(f"give the vCPUs psci02: {name} has none without it", ())
        without = f"start the VM without {' and '.join(extra)}"
        since = _first_that_saves(by.vmm, extra)
        if not since:
            return Remedy(f"{without}: {by.vmm.full_name} has no vCPUs with it", ())
        newer = f"use {by.vmm.full_name} {since} or newer at both ends"
        return Remedy(f"{without}: {name} has no vCPUs with it, or {newer}", ())
    row = given(by).get("sve")
    has_sve = any("sve" in features.split("+") for features in features_of(source))
    if row is None or not has_sve or by.can(Ability.SAVES_SVE) or by.vmm is Vmm.QEMU:
        return None
    since = first_with(by.vmm, Ability.SAVES_SVE)
    newest = [f"{by.vmm.full_name} {since} or newer, which saves and restores SVE"] if since else []
    others = [] if row.how is How.ALWAYS else ["start the VM without sve at the source"]
    return Remedy(", or ".join((*newest, *others)), (), row.switch)


def _first_that_saves(vmm: Vmm, features: Sequence[str]) -> str:
    """The first version of a VMM that gives these features and saves a vCPU with them; "" if none is known."""
    since = {row.feature: row.by for row in GIVEN if row.vmm is vmm}
    if not features or not all(feature in since for feature in features):
        return ""
    needed = [since[feature] for feature in features]
    if "sve" in features:
        needed += [change.by for change in CHANGES if change.vmm is vmm and change.ability is Ability.SAVES_SVE]
    return written(vmm, max(needed))


# -- ID registers that tell of a vCPU feature ------------------------------------------------------------------


def _same_features(source: Side, dest: Side, refused: Sequence[RegisterFate], by: VmmVersion) -> Iterator[Remedy]:
    """The remedy for ID registers whose fields tell of a vCPU feature that one side alone has."""
    ours, theirs = (
        set(side.features.split("+")) & {*FEATURE_FIELDS, "el1_32bit", "el2", "e2h0"} for side in (source, dest)
    )
    ids = tuple(fate.reg for fate in refused if is_id_register(fate.reg))
    if not ids or ours == theirs:
        return
    rows = given(by)
    fixed = sorted(feature for feature in ours ^ theirs if feature in rows and rows[feature].how is How.ALWAYS)
    if fixed:
        words = " and ".join(fixed)
        text = f"move the VM between hosts that both have {words}, or both not: {_no_setting(by)} for it"
    else:
        text = f"give both sides the same vCPU features: SOURCE has {source.features}, DEST {dest.features}"
    yield Remedy(text, ids)


def _of_features(source: Side, dest: Side, refused: Sequence[RegisterFate]) -> list[RegisterFate]:
    """Registers that are refused for a vCPU feature that one side alone has, and for nothing else."""
    apart = set(source.features.split("+")) ^ set(dest.features.split("+"))
    if "el1_32bit" in apart:
        return [fate for fate in refused if is_id_register(fate.reg)]
    fields: dict[int, int] = {}
    for feature in apart & FEATURE_FIELDS.keys():
        for reg, mask in FEATURE_FIELDS[feature].items():
            fields[reg] = fields.get(reg, 0) | mask
    found = []
    for fate in refused:
        own = dest.values.get(fate.reg)
        others = LAST_U64 & ~fields.get(fate.reg, 0)
        if fate.reg in fields and (fate.value is None or own is None or not (fate.value ^ own) & others):
            found.append(fate)
    return found


# -- registers that are missing --------------------------------------------------------------------------------


def _features(source: Side, dest: Side, missing: Sequence[int], by: VmmVersion) -> Iterator[Remedy]:
    """Remedies for missing registers that a vCPU feature would bring."""
    rows = given(by)
    for feature in ("pmu", "sve", "pauth"):
        ids = tuple(reg for reg in missing if feature_of(reg) == feature or (feature == "pmu" and reg in _PMU_VERSION))
        row, chosen = rows.get(feature), source.release is None or feature in source.features.split("+")
        if not ids or (by.vmm is not Vmm.KVM and row is None):
            continue  # with no such vCPUs, the source's kernel lists them all the same
        switch = row.switch if row is not None else ""
        if row is not None and row.how is How.ALWAYS:
            yield Remedy(f"move the VM to a host that has {feature}: {_no_setting(by)} to start it without", ids)
        elif feature in dest.features.split("+"):  # which has the feature, and its kernel does not list these
            yield Remedy(f"start the VM without {feature} at the source", ids, switch)
        else:
            other = f", or start the VM without {feature} at the source" if chosen else ""
            command = f"-cpu host,{feature}=on" if by.vmm is Vmm.QEMU else ""
            yield Remedy(f"give the destination's vCPUs the feature {feature}{other}", ids, command)


def _no_setting(by: VmmVersion) -> str:
    return f"{by.vmm.full_name} {by.version}".rstrip() + " has no setting"


def _tolerated(missing: Sequence[RegisterFate], by: VmmVersion) -> Iterator[Remedy]:
    """The remedy for missing registers that a newer QEMU than this one tolerates."""
    if by.vmm is not Vmm.QEMU or by.can(Ability.TOLERATES):
        return
    ids = tuple(fate.reg for fate in missing if fate.reg in TCR2_PIR or (fate.reg == BMAP_2 and fate.value == 0))
    if ids:
        names, since = ", ".join(map(shown_name, ids)), first_with(Vmm.QEMU, Ability.TOLERATES)
        text = f"QEMU {since} or newer at the destination: with -cpu host it lets {names} be missing there"
        yield Remedy(text, ids)


# -- values that are refused -----------------------------------------------------------------------------------


def _values(source: Side, dest: Side, refused: Sequence[RegisterFate], by: VmmVersion) -> Iterator[Remedy]:
    for fate in refused:
        row = FW_BY_ID.get(fate.reg)
        if row is None:
            continue
        if row.kind is FwKind.PSCI_VERSION:
            yield from _psci(source, dest, fate, by)
        elif row.kind is FwKind.BITMAP and dest.release is not None:
            limit = dest.release.bitmap_limit[row.index]
            pinned = (fate.value or 0) & limit
            yield _chosen(by, f"clear the bits at the source: {row.name} = {pinned:#x}", fate.reg, pinned)
        elif fate.reg == WORKAROUND_2 and hides_ssbs(source, dest):
            yield Remedy("leave SSBS (ID_AA64PFR1_EL1) as the source's host has it, from the VM's start", (fate.reg,))
        else:
            text = "or start the VM on the host with the lower level, which is accepted everywhere and stored nowhere"
            yield Remedy(f"bring the destination's mitigation to the source's level of {row.name}, {text}", (fate.reg,))
    yield from _identity(source, dest, [fate for fate in refused if reg_class(fate.reg) not in FIRMWARE_CLASSES], by)


def _psci(source: Side, dest: Side, fate: RegisterFate, by: VmmVersion) -> Iterator[Remedy]:
    if source.release is None or dest.release is None:
        return
    both = [word for word in dest.release.psci_versions if word in source.release.psci_versions and word > 1]
    has = ["psci02" in side.features.split("+") for side in (source, dest)]
    if fate.value == 1 or not both or has[0] != has[1]:
        yield Remedy("give both vCPUs the feature psci02, or neither", (fate.reg,))
        return
    version = psci_text(both[-1])
    text = f"pin PSCI {version}, which both know, at the source"
    if by.vmm is not Vmm.QEMU:
        yield _chosen(by, text, fate.reg, both[-1])
    elif by.can(Ability.PINS_PSCI):
        yield Remedy(f"{text}, {_PINNED}", (fate.reg,), f"-cpu host,kvm-psci-version={version}")
    else:
        since = first_with(Vmm.QEMU, Ability.PINS_PSCI)
        told = f"{text}, {_PINNED}: QEMU {since} has the property kvm-psci-version for it, {by} has not"
        yield Remedy(told, (fate.reg,))


def _chosen(by: VmmVersion, text: str, reg: int, value: int) -> Remedy:
    """The remedy of choosing a firmware register's value when a VM starts, or of a start where KVM chooses it."""
    if by.vmm is Vmm.FIRECRACKER and by.can(Ability.HAS_TEMPLATES):
        command = f'CPU template: {{"reg_modifiers": [{_modifier(reg, value)}]}}'
    elif by.vmm is Vmm.KVM:
        command = f"KVM_SET_ONE_REG {reg:#x} = {value:#x}"
    else:
        where = "start the VM on a kernel that offers no more than the destination's"
        return Remedy(f"{where}: {_no_setting(by)} to {text}", (reg,))
    return Remedy(f"{text}, {_PINNED}", (reg,), command)


def _modifier(reg: int, value: int) -> str:
    """A whole register in a Firecracker CPU template: bits its text does not have would keep the host's value.

    Source: Firecracker src/vmm/src/cpu_config/templates.rs, RegisterValueFilter::deserialize.
    """
    return f'{{"addr": "{reg:#x}", "bitmap": "0b{value:0{8 * reg_size(reg)}b}"}}'


def _starts(source: Side, reg: int, value: int) -> bool:
    """Whether a VM of the source is known to start with that value of an ID register."""
    known = {each: own for each, own in source.values.items() if own is not None}
    return source.release is not None and reg in known and system_register(reg, value, known, source.release)[0] == OK


def _helping(source: Side, dest: Side, pinned: Mapping[int, int | None]) -> dict[int, int]:
    """Values that a VM of the source starts with, keeps, and of which the destination then refuses none."""
    told = {reg: value for reg, value in pinned.items() if value is not None and _starts(source, reg, value)}
    begun = forced(replace(source, values={**source.values, **told}), source, told)
    refused = {fate.reg for fate in fates(begun, dest, (), is_vls_early=True) if fate.errno}
    return {reg: value for reg, value in told.items() if reg not in refused}


def _identity(source: Side, dest: Side, refused: Sequence[RegisterFate], by: VmmVersion) -> Iterator[Remedy]:
    if not refused:
        return
    implementation = tuple(fate.reg for fate in refused if fate.reg in _IMPLEMENTATION)
    if MIDR in implementation:
        yield Remedy("another CPU model: no VMM moves a guest between these machines", implementation)
        return
    elif implementation:
        text = (
            "another revision of the same CPU model: KVM takes it only from Linux 6.15 on and in a VM that was given "
            "KVM_CAP_ARM_WRITABLE_IMP_ID_REGS; no VMM is known to do that"
        )
        yield Remedy(text, implementation)
    others = [fate for fate in refused if is_id_register(fate.reg) and fate.reg not in _IMPLEMENTATION]
    if not others:
        return
    names = ", ".join(shown_name(fate.reg) for fate in others[:6]) + (" and more" if others[6:] else "")
    pinned = {fate.reg: dest.values.get(fate.reg) for fate in others}
    if by.vmm is not Vmm.KVM and not (by.vmm is Vmm.FIRECRACKER and by.can(Ability.HAS_TEMPLATES)):
        what = "host" if _are_kernels(source, dest) else "machine"
        other = "give that the source's kernel" if what == "host" else "move it to one like the source's"
        text = f"start the VM on the destination's {what}, or {other}: {_no_setting(by)} "
        yield Remedy(f"{text}to offer the guest less than its {what} has of {names}", tuple(pinned))
        return
    helping = {} if by.vmm is Vmm.KVM else _helping(source, dest, pinned)
    text = f"offer the guest no more than both machines have, from its start: {names} as the destination has them"
    needs = "; the source must let ID registers be written, Linux 6.7 and later do in part"
    told = ", ".join(_modifier(reg, value) for reg, value in helping.items())
    command = f'CPU template: {{"reg_modifiers": [{told}]}}' if told else ""
    yield Remedy(text + needs, tuple(pinned), command)


def _are_kernels(source: Side, dest: Side) -> bool:
    """Whether both sides are of one CPU model and of different kernels, so that these are what differs."""
    is_told = source.release is not None and dest.release is not None and source.values.get(MIDR) is not None
    is_one_cpu = is_told and source.values[MIDR] == dest.values.get(MIDR)
    return is_one_cpu and source.release != dest.release


def is_id_register(reg: int) -> bool:
    """Whether a register's id is one of the ID registers'."""
    return reg_class(reg) == CLASS_SYSREG and Encoding.of(reg).is_id_register


def _removed(failing: Sequence[RegisterFate]) -> Remedy:
    ids = " ".join(f"{fate.reg:#x}" for fate in failing)
    return Remedy(
        "take them out of a snapshot; the restored guest gets the destination's values instead",
        tuple(fate.reg for fate in failing),
        f"snapshot-editor edit-vmstate remove-regs --vmstate-path VMSTATE --output-path NEW_VMSTATE {ids}",
    )
