"""Firecracker's CPU templates as part of a side: what the VM that starts with one has, and whether it starts at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fastsmc.errors import InputError
from fastsmc.facts.id_fields import id_fields
from fastsmc.facts.registers import CLASS_SYSREG, Encoding, reg_class, sysreg
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2, VCPU_FEATURES, feature_bits
from fastsmc.facts.vmm_versions import Ability, VmmVersion, first_with
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.judge import fates
from fastsmc.migrate.compat.named import normal_features
from fastsmc.migrate.compat.result import RegisterFate
from fastsmc.migrate.compat.side import Side
from fastsmc.migrate.read.cpu_template import CpuTemplate
from fastsmc.migrate.read.detect import inspect
from fastsmc.reference.state import OK


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

    Raises:
        InputError: without PSCI 0.2, with which Firecracker starts a VM's other vCPUs.
    """
    bits = template.apply_features(feature_bits(features))
    if feature_bits(features) & FEATURE_PSCI_0_2 and not bits & FEATURE_PSCI_0_2:
        msg = f"{template.path}: clears the vCPU feature psci02, without which no vCPU but the first ever starts"
        raise InputError(msg)
    names = [name for name, bit in VCPU_FEATURES.items() if bit and name != "pauth_address_only" and bits & bit == bit]
    return normal_features("+".join(names) if bits & FEATURE_PSCI_0_2 else "+".join(["none", *names]))


def started(template: CpuTemplate, side: Side) -> tuple[Side, tuple[RegisterFate, ...]]:
    """The side's VM as it starts with a template, and the template's registers that its kernel may refuse.

    Raises:
        InputError: the vCPU lacks a register of the template.
    """
    values = template.apply(side.values)
    note = f"with the CPU template {template.path}"
    templated = replace(side, values=values, is_named_by_release=False, notes=(*side.notes, note))
    found = fates(templated, side, (), is_vls_early=True)
    kept = {reg: _heeded(reg, value, side) for reg, value in values.items() if reg in template.registers}
    templated = replace(templated, values={**values, **kept})
    return templated, tuple(fate for fate in found if fate.reg in template.registers and fate.errno != OK)


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


_PFR0, _LAST_AARCH32 = sysreg(3, 0, 0, 4, 0), 3


def refusal(template: CpuTemplate, refused: Sequence[RegisterFate]) -> str:
    """Why the VM never starts with a template; "" if nothing is known to be refused."""
    first = next((fate for fate in refused if fate.errno), None)
    return "" if first is None else f"the VM never starts with {template.path}: {first.name}: {first.reason}"
