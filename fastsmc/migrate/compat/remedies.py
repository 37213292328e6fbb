"""What to do about a direction that fails, in the VMM's own words where it has any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastsmc.facts.registers import (
    FIRMWARE_CLASSES,
    FW_BY_ID,
    IMPLEMENTATION,
    FwKind,
    reg_class,
    reg_size,
    register,
    sysreg,
)
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.judge import psci_text
from fastsmc.migrate.compat.lists import feature_of
from fastsmc.migrate.compat.result import RegisterFate, Remedy, shown_name
from fastsmc.migrate.compat.side import MIDR, Side

_UNVERIFIED = "QEMU 2026; final property names not verified"
_UNDATED = "read in its source of 2026; since which release is not verified"
_PINNED = "set before the VM first runs"
_PMU_VERSION = (sysreg(3, 0, 0, 1, 2), sysreg(3, 0, 0, 5, 0))
"""ID_DFR0_EL1 and ID_AA64DFR0_EL1, whose PerfMon and PMUVer are 0 without the vCPU's PMU."""
_BMAP_2 = register("VENDOR_HYP_BMAP_2")
_IMPLEMENTATION = frozenset(sysreg(*encoding) for encoding in IMPLEMENTATION)


def remedies(source: Side, dest: Side, vmm: Vmm, failing: Sequence[RegisterFate]) -> tuple[Remedy, ...]:
    """Everything that could be done, most specific first. Each remedy names the registers it takes care of."""
    if dest.release is None and failing:
        text = "start both with the same CPU model and the same QEMU: without KVM the list is QEMU's own"
        return (Remedy(text, tuple(fate.reg for fate in failing)),)
    missing = [fate.reg for fate in failing if fate.reg not in dest.values]
    refused = [fate for fate in failing if fate.reg in dest.values]
    if any(feature_of(reg) == "pmu" for reg in missing):
        missing += [fate.reg for fate in refused if fate.reg in _PMU_VERSION]  # raised along with the feature
        refused = [fate for fate in refused if fate.reg not in _PMU_VERSION]
    found = [
        *_features(source, missing, vmm),
        *_lists(source, missing, dest, vmm),
        *_values(source, dest, refused, vmm),
    ]
    if vmm is Vmm.FIRECRACKER and "pmu" in source.features.split("+"):
        found.append(Remedy("start the VM without pmu: Firecracker has no vCPUs with it", ()))
    if vmm is Vmm.FIRECRACKER and failing:
        found.append(_removed(failing))
    return tuple(found)


# -- registers that are missing --------------------------------------------------------------------------------


def _features(source: Side, missing: Sequence[int], vmm: Vmm) -> Iterator[Remedy]:
    """Remedies for missing registers that a vCPU feature would bring."""
    for feature in ("pmu", "sve", "pauth"):
        ids = tuple(reg for reg in missing if feature_of(reg) == feature or (feature == "pmu" and reg in _PMU_VERSION))
        if not ids or (feature == "pmu" and vmm is Vmm.FIRECRACKER):  # which refuses a PMU
            continue
        chosen = source.release is None or feature in source.features.split("+")
        other = f", or start the VM without {feature} at the source" if chosen else ""
        command = f"-cpu host,{feature}=on" if vmm is Vmm.QEMU else ""
        yield Remedy(f"give the destination's vCPUs the feature {feature}{other}", ids, command)


def _lists(source: Side, missing: Sequence[int], dest: Side, vmm: Vmm) -> Iterator[Remedy]:
    """Remedies for missing registers that a newer QEMU can be told to leave out, or to tolerate."""
    ids = tuple(reg for reg in missing if reg not in dest.values)
    if not ids or vmm is not Vmm.QEMU:
        return
    if _BMAP_2 in ids and source.values[_BMAP_2] == 0:
        # Source: QEMU's tolerance list in target/arm, read in a copy of 2026.
        text = f"a newer QEMU at the destination lets VENDOR_HYP_BMAP_2 be missing, as its value is 0 ({_UNDATED})"
        yield Remedy(text, (_BMAP_2,))
    joined = ",".join(f"{reg:#x}" for reg in ids)
    yield Remedy(
        f"hide them at the source, before the VM starts, so that they never enter the stream ({_UNVERIFIED})",
        ids,
        f"x-mig-hidden-regs={joined}",
    )
    yield Remedy(
        f"or let the destination ignore them; the guest's values are lost ({_UNVERIFIED})",
        ids,
        f"x-mig-safe-missing-regs={joined}",
    )


# -- values that are refused -----------------------------------------------------------------------------------


def _values(source: Side, dest: Side, refused: Sequence[RegisterFate], vmm: Vmm) -> Iterator[Remedy]:
    for fate in refused:
        row = FW_BY_ID.get(fate.reg)
        if row is None:
            continue
        if row.kind is FwKind.PSCI_VERSION:
            yield from _psci(source, dest, fate, vmm)
        elif row.kind is FwKind.BITMAP and dest.release is not None:
            limit = dest.release.bitmap_limit[row.index]
            pinned = (fate.value or 0) & limit
            text = f"clear the bits at the source: {row.name} = {pinned:#x}, {_PINNED}"
            yield Remedy(text, (fate.reg,), _set(vmm, fate.reg, pinned))
        else:
            text = "or start the VM on the host with the lower level, which is accepted everywhere and stored nowhere"
            yield Remedy(f"bring the destination's mitigation to the source's level of {row.name}, {text}", (fate.reg,))
    yield from _identity(dest, [fate for fate in refused if reg_class(fate.reg) not in FIRMWARE_CLASSES], vmm)


def _psci(source: Side, dest: Side, fate: RegisterFate, vmm: Vmm) -> Iterator[Remedy]:
    if source.release is None or dest.release is None:
        return
    both = [word for word in dest.release.psci_versions if word in source.release.psci_versions and word > 1]
    if fate.value == 1 or not both:
        yield Remedy("give both vCPUs the feature psci02, or neither", (fate.reg,))
        return
    version = psci_text(both[-1])
    command = f"-cpu host,kvm-psci-version={version}" if vmm is Vmm.QEMU else _set(vmm, fate.reg, both[-1])
    note = " (proposed for QEMU in 2025; whether it is merged is not verified)" if vmm is Vmm.QEMU else ""
    yield Remedy(f"pin PSCI {version}, which both know, at the source, {_PINNED}{note}", (fate.reg,), command)


def _set(vmm: Vmm, reg: int, value: int) -> str:
    """How a register's value is chosen when a VM starts."""
    if vmm is Vmm.FIRECRACKER:
        return f'CPU template: {{"reg_modifiers": [{_modifier(reg, value)}]}}'
    return f"KVM_SET_ONE_REG {reg:#x} = {value:#x}" if vmm is not Vmm.QEMU else ""


def _modifier(reg: int, value: int) -> str:
    """A whole register in a Firecracker CPU template: bits its text does not have would keep the host's value.

    Source: Firecracker src/vmm/src/cpu_config/templates.rs, RegisterValueFilter::deserialize.
    """
    return f'{{"addr": "{reg:#x}", "bitmap": "0b{value:0{8 * reg_size(reg)}b}"}}'


def _identity(dest: Side, refused: Sequence[RegisterFate], vmm: Vmm) -> Iterator[Remedy]:
    if not refused:
        return
    implementation = tuple(fate.reg for fate in refused if fate.reg in _IMPLEMENTATION)
    if MIDR in implementation:
        yield Remedy("another CPU model: no VMM moves a guest between these machines", implementation)
    elif implementation:
        text = (
            "another revision of the same CPU model: KVM takes it only from Linux 6.15 on and in a VM that was given "
            "KVM_CAP_ARM_WRITABLE_IMP_ID_REGS; no VMM is known to do that"
        )
        yield Remedy(text, implementation)
    others = [fate for fate in refused if fate.reg not in _IMPLEMENTATION]
    if not others:
        return
    names = ", ".join(shown_name(fate.reg) for fate in others[:6]) + (" and more" if others[6:] else "")
    pinned = {fate.reg: dest.values.get(fate.reg) for fate in others}
    told = [_modifier(reg, value) for reg, value in pinned.items() if value is not None]
    text = f"offer the guest no more than both machines have, from its start: {names} as the destination has them"
    needs = "; the source must let ID registers be written, Linux 6.7 and later do in part"
    command = f'CPU template: {{"reg_modifiers": [{", ".join(told)}]}}' if vmm is Vmm.FIRECRACKER and told else ""
    yield Remedy(text + needs, tuple(pinned), command)


def _removed(failing: Sequence[RegisterFate]) -> Remedy:
    ids = " ".join(f"{fate.reg:#x}" for fate in failing)
    return Remedy(
        "take them out of a snapshot; the restored guest gets the destination's values instead",
        tuple(fate.reg for fate in failing),
        f"snapshot-editor edit-vmstate remove-regs --vmstate-path VMSTATE --output-path NEW_VMSTATE {ids}",
    )
