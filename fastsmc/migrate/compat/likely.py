"""Which kernel a file probably came from, where it does not tell: by its firmware registers and its list.

Registers that were lost on the way make a file look like an older kernel's. So all kernels it may be from are asked
what they list: what one of them would list and the file does not hold may have been lost.
"""

from __future__ import annotations

from functools import cache

from fastsmc.facts.history import milestones, series_name
from fastsmc.facts.registers import (
    CLASS_CORE,
    CLASS_SVE,
    FW_BY_ID,
    FW_BY_NAME,
    PSTATE,
    reg_class,
    register,
    sysreg,
)
from fastsmc.facts.releases import Release, release
from fastsmc.facts.smccc import PSCI_0_1
from fastsmc.migrate.compat.lists import (
    APIAKEYLO,
    HCR_EL2,
    HIDDEN_BY_E2H0,
    ZCR,
    inferred_ids,
    is_known,
    list_changes,
    lists_pmu_always,
)
from fastsmc.migrate.compat.named import normal_features
from fastsmc.migrate.compat.unsure import unsure

_PMCR = sysreg(3, 3, 9, 12, 0)
"""PMCR_EL0."""
_PSCI = register("PSCI_VERSION")
_MODE, _AARCH32_USER = 0x1F, 0x10
"""The mode in PSTATE, and the highest that a vCPU with AArch64 at EL1 can have."""

Values = dict[int, int | None]


def likeliest(values: Values) -> Release | None:
    """The newest milestone that has exactly these firmware registers, by its list nearest to this one."""
    named = {FW_BY_ID[reg].name for reg in values if reg in FW_BY_ID}
    best: tuple[tuple[bool, int, int], Release] | None = None
    for age, milestone in enumerate(reversed(milestones())):
        rules = release(series_name(milestone))
        if set(rules.fw_registers) != named or not _knows_psci(rules, values):
            continue
        listed = set(inferred_ids(rules, shown_features(values, rules)))
        own = {reg for reg in values if reg_class(reg) not in (CLASS_CORE, CLASS_SVE)}
        n_other = len(own ^ {reg for reg in listed if reg_class(reg) not in (CLASS_CORE, CLASS_SVE)})
        key = not _has_default_psci(rules, values), n_other, age
        if best is None or key < best[0]:
            best = key, rules
    return None if best is None else best[1]


def perhaps_lost(values: Values, features: str, rules: Release) -> dict[int, str]:
    """Registers that a kernel which the file may be from would list, and the file does not hold, each with that kernel.

    Such a kernel has all firmware registers of the file, and its default version of PSCI if the likeliest has.

    Args:
        rules: the likeliest kernel.
    """
    is_default = _has_default_psci(rules, values)
    lost: dict[int, str] = {}
    for other in _kernels():
        known = {FW_BY_NAME[name].reg for name in other.fw_registers}
        if not {reg for reg in values if reg in FW_BY_ID} <= known or not _knows_psci(other, values):
            continue
        if is_default and not _has_default_psci(other, values):
            continue
        for reg in certain_ids(other, features) - values.keys():
            lost.setdefault(reg, f"{other.name} lists it, of which the file may be a part: its kernel is not told")
    return lost


@cache
def certain_ids(rules: Release, features: str) -> frozenset[int]:
    """Registers that every kernel with these rules lists for such a vCPU; none where such a vCPU was never recorded."""
    if not is_known(rules, features):
        return frozenset()
    listed = inferred_ids(rules, features)
    return frozenset(set(listed) - unsure(rules, features, listed).keys())


@cache
def _kernels() -> tuple[Release, ...]:
    """The releases that changed a rule or a list, newest first."""
    changed = {series for change in list_changes() for series in (change.after, change.known)}
    changed |= {row.series for row in milestones()}
    return tuple(release(f"{major}.{minor}") for major, minor in sorted(changed, reverse=True))


def _knows_psci(rules: Release, values: Values) -> bool:
    psci = values.get(_PSCI)
    return psci is None or psci in rules.psci_versions


def _has_default_psci(rules: Release, values: Values) -> bool:
    psci = values.get(_PSCI)
    return psci is None or psci == rules.psci_versions[-1]


def shown_features(values: Values, rules: Release | None) -> str:
    """vCPU features that the registers show. Where every vCPU lists the PMU's registers, they show no PMU."""
    is_pmu_shown = rules is None or not lists_pmu_always(rules)
    is_el2_shown = HCR_EL2 in values and _PSCI in values  # QEMU's TCG lists it too, and no firmware register
    shown = {
        "psci02": values.get(_PSCI) != PSCI_0_1,
        "pmu": _PMCR in values and is_pmu_shown,
        "sve": ZCR in values or any(reg_class(reg) == CLASS_SVE for reg in values),
        "pauth": APIAKEYLO in values,
        "el2": is_el2_shown,
        "e2h0": is_el2_shown and not values.keys() >= HIDDEN_BY_E2H0,
        "el1_32bit": (values.get(PSTATE) or 0) & _MODE > _AARCH32_USER,
    }
    listed = [name for name, is_shown in shown.items() if is_shown]
    return normal_features("+".join(listed if shown["psci02"] else ["none", *listed]))
