"""Firecracker's CPU templates as part of a side: what the VM that starts with one has, and whether it starts at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from fastsmc.errors import InputError
from fastsmc.facts.id_fields import id_fields
from fastsmc.facts.registers import CLASS_SYSREG, Encoding, reg_class, sysreg
from fastsmc.facts.releases import Release, release
from fastsmc.facts.vcpu import (
    FEATURE_EL1_32BIT,
    FEATURE_EL2,
    FEATURE_EL2_E2H0,
    FEATURE_PAUTH_ADDRESS,
    FEATURE_PAUTH_GENERIC,
    FEATURE_PMU,
    FEATURE_POWER_OFF,
    FEATURE_PSCI_0_2,
    FEATURE_SVE,
    VCPU_FEATURES,
    feature_bits,
    not_served,
)
from fastsmc.facts.versions import NEWEST
from fastsmc.facts.vmm_versions import Ability, VmmVersion, first_with
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.judge import WORKAROUND_2, fates, hides_ssbs
from fastsmc.migrate.compat.lists import lists_pmu_always
from fastsmc.migrate.compat.named import normal_features
from fastsmc.migrate.compat.result import RegisterFate
from fastsmc.migrate.compat.side import Side
from fastsmc.migrate.read.cpu_template import CpuTemplate
from fastsmc.migrate.read.detect import inspect
from fastsmc.reference.state import OK

_NOT_LISTED = ("pauth_address_only", "el2", "e2h0")
_TOLD = FEATURE_EL1_32BIT | FEATURE_PSCI_0_2 | FEATURE_PMU | FEATURE_SVE | FEATURE_PAUTH_ADDRESS | FEATURE_PAUTH_GENERIC
"""vCPU features that a vCPU's registers show."""
_PFR0, _LAST_AARCH32 = sysreg(3, 0, 0, 4, 0), 3
"""ID_AA64PFR0_EL1, and the last CRm of the AArch32 ID registers."""


def template_of(path: str | Path | None, by: VmmVersion) -> CpuTemplate | None:
    """The template in a file; None for none.

    Raises:
        FastsmcError: the file cannot be read or holds no template, or the VMM's version has none.
    """
    if path is None:
        return None
    if by.vmm is not Vmm.FIRECRACKER or not by.can(Ability.HAS_TEMPLATES):
        since = first_with(Vmm.FIRECRACKER, Ability.HAS_TEMPLATES)
        msg = f"{path}: CPU templates are Firecracker's, from {since} on; {by} takes none"
        raise InputError(msg)
    found = inspect(path)
    if not isinstance(found, CpuTemplate):
        msg = f"{path}: is no Firecracker CPU template"
        raise InputError(msg)
    return found


def with_features(template: CpuTemplate, features: str) -> str:
    """A vCPU's features as a template leaves them.

    What has no name among them, and half of pointer authentication, is left to `not_initialised`.

    Raises:
        InputError: without PSCI 0.2, with which Firecracker starts a VM's other vCPUs, or with all vCPUs powered off.
    """
    bits = template.apply_features(feature_bits(features))
    if bits & FEATURE_POWER_OFF:
        msg = f"{template.path}: sets the vCPU feature power_off, with which no vCPU ever starts"
        raise InputError(msg)
    if feature_bits(features) & FEATURE_PSCI_0_2 and not bits & FEATURE_PSCI_0_2:
        msg = f"{template.path}: clears the vCPU feature psci02, without which no vCPU but the first ever starts"
        raise InputError(msg)
    names = [name for name, bit in VCPU_FEATURES.items() if bit and name not in _NOT_LISTED and bits & bit == bit]
    return normal_features("+".join(names) if bits & FEATURE_PSCI_0_2 else "+".join(["none", *names]))


def not_initialised(template: CpuTemplate, side: Side) -> str:
    """Why KVM_ARM_VCPU_INIT refuses the vCPU that a template asks for; "" if it takes it.

    Raises:
        InputError: whether it does is not known: Firecracker's guests with EL2.
    """
    never = f"the VM never starts with {template.path}"
    word = next((index for index, forced in template.features.items() if index and forced.value), 0)
    if word:
        return f"{never}: KVM_ARM_VCPU_INIT knows word 0 of the vCPU features and not word {word} (ENOENT)"
    bits = template.apply_features(feature_bits(side.features))
    n_known = max(rules.n_vcpu_feature for rules in _possible(side))
    if bits >> n_known:
        told = f"KVM_ARM_VCPU_INIT knows bits 0 to {n_known - 1} of the vCPU features, not bit {bits.bit_length() - 1}"
        return f"{never}: {told} (ENOENT)"
    why = not_served(bits)
    if why is None and bits & (FEATURE_EL2 | FEATURE_EL2_E2H0):
        name = "bit 7 (HAS_EL2)" if bits & FEATURE_EL2 else "bit 8 (HAS_EL2_E2H0)"
        msg = f"{template.path}: sets vCPU feature {name}: nothing is known of Firecracker's guests with EL2"
        raise InputError(msg)
    return "" if why is None else f"{never}: {why}"


def _possible(side: Side) -> tuple[Release, ...]:
    """The rules that a side's kernel may have; the newest ones where no kernel is known."""
    own = side.release or release(f"{NEWEST[0]}.{NEWEST[1]}")
    return (own, *(other for doubt in own.doubts for other in doubt.others))


def with_own_features(template: CpuTemplate, side: Side) -> Side:
    """A file's side with the vCPU features that a template gives, whose registers the file must hold already.

    The PMU is taken as the template has it: Firecracker runs no vCPU with one, whatever its registers are.

    Raises:
        InputError: a vCPU of the file lacks what the template gives, or has what it takes away, so that the file tells
            nothing of the registers that the VM would have; or no VM starts with these features, as `with_features`
            says.
    """
    return replace(_own_features(template, side), others=tuple(_own_features(template, each) for each in side.others))


def _own_features(template: CpuTemplate, side: Side) -> Side:
    """The same of one vCPU."""
    made = with_features(template, side.features)
    own, bits = feature_bits(side.features), template.apply_features(feature_bits(side.features))
    is_pmu_open = bits & FEATURE_PMU or (side.release is not None and lists_pmu_always(side.release))
    judged = _TOLD & ~FEATURE_PMU if is_pmu_open else _TOLD
    for word, wrong in (("lacks", bits & ~own & judged), ("has", own & ~bits & judged)):
        names = [name for name, bit in VCPU_FEATURES.items() if bit and name not in _NOT_LISTED and wrong & bit == bit]
        if names:
            msg = (
                f"{template.path}: changes the vCPU feature {', '.join(names)}, which the vCPU of {side.name} {word}: "
                "take the file of a VM that was started with the template"
            )
            raise InputError(msg)
    if not (own ^ bits) & FEATURE_PMU:
        return side
    return replace(side, features=made).noted(f"vCPU features {made}, as the CPU template has them")


def started(template: CpuTemplate, side: Side) -> tuple[Side, tuple[RegisterFate, ...]]:
    """The side's VM as it starts with a template, and the template's registers that its kernel may refuse.

    Raises:
        InputError: the vCPU lacks a register of the template.
    """
    values = template.apply(side.values)
    note = f"with the CPU template {template.path}"
    templated = replace(side, values=values, is_named_by_release=False, notes=(*side.notes, note))
    found = fates(templated, side, (), is_vls_early=True)
    templated = forced(templated, side, template.registers)
    return templated, tuple(fate for fate in found if fate.reg in template.registers and fate.errno != OK)


def forced(templated: Side, side: Side, regs: Collection[int]) -> Side:
    """A side whose registers were written, with what its kernel heeds of them.

    Args:
        side: before they were.
        regs: those that were written.
    """
    kept = {reg: _heeded(reg, templated.values[reg], side) for reg in regs}
    found = replace(templated, values={**templated.values, **kept})
    if WORKAROUND_2 in regs or found.values.get(WORKAROUND_2) != 0 or not hides_ssbs(found, side):
        return found
    return replace(found, values={**found.values, WORKAROUND_2: None})  # 3 if the host mitigates by SSBS, which is open


def _heeded(reg: int, value: int | None, side: Side) -> int | None:
    """What a register holds once its kernel has ignored what it ignores of a value: fields that it hides."""
    own = side.values.get(reg)
    if value is None or own is None or side.release is None or reg_class(reg) != CLASS_SYSREG:
        return value
    encoding = Encoding.of(reg)
    fields = id_fields().get(encoding, ())
    is_aarch32 = encoding.is_id_register and encoding.crm <= _LAST_AARCH32
    if is_aarch32 and side.release.ignores_aarch32_ids and (side.values.get(_PFR0) or 0) & 0xF == 1:
        return own
    for field in fields:
        if field.name in side.release.ignored_id_fields:
            value = value & ~field.mask | own & field.mask
    return value


def refusal(template: CpuTemplate, refused: Sequence[RegisterFate]) -> str:
    """Why the VM never starts with a template; "" if nothing is known to be refused."""
    first = next((fate for fate in refused if fate.errno), None)
    return (
        "" if first is None else f"the VM never starts with {template.path}: {first.name}: {first.reason}{first.where}"
    )
