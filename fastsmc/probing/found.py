"""A release with what a probe found of it: rules that were in doubt are known then, and differences are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from errno import EINVAL, ENOTTY, ENXIO
from typing import Any

from fastsmc.facts.registers import BITMAP_REGISTERS, FW_BY_ID, FW_BY_NAME, WORKAROUND_LIMIT, FwKind
from fastsmc.facts.releases import Doubt, Release
from fastsmc.facts.smccc import psci_name

_SYSTEM_SUSPEND = "216"
"""KVM_CAP_ARM_SYSTEM_SUSPEND. Source: include/uapi/linux/kvm.h."""
_NO_FILTER = (EINVAL, ENXIO, ENOTTY)
"""How KVM_HAS_DEVICE_ATTR says that a VM takes no filter: EINVAL on all recorded hosts without one."""
_WORDS = {
    "fw_registers": "firmware registers",
    "bitmap_limit": "bits that bitmaps accept",
    "bitmap_reset": "bits of bitmaps after reset",
    "psci_versions": "PSCI versions",
    "is_gated": "bitmap registers",
    "has_filter": "SMCCC filter",
    "filter_empty_at_0_errno": "errno of an empty filter range at base 0",
    "has_system_suspend": "SYSTEM_SUSPEND",
}


def rules_found(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Release` that a host profile tells, by name."""
    rows = {int(one["id"], 16): one for one in content["firmware"]}
    named = {FW_BY_ID[reg].name: one for reg, one in rows.items() if reg in FW_BY_ID}
    bitmaps = [named.get(row.name, {"accepted_bits": "0x0", "reset": "0x0"}) for row in BITMAP_REGISTERS]
    found: dict[str, Any] = {
        "fw_registers": tuple(named),
        "bitmap_limit": tuple(int(one["accepted_bits"], 16) for one in bitmaps),
        "bitmap_reset": tuple(int(one["reset"], 16) for one in bitmaps),
        "is_gated": any(FW_BY_NAME[name].kind is FwKind.BITMAP for name in named),
        "has_system_suspend": max(content["kvm"]["capabilities"].get(_SYSTEM_SUSPEND, (0,))) > 0,
    }
    if "PSCI_VERSION" in named:
        default = int(named["PSCI_VERSION"]["reset"], 16)
        versions = sorted(int(one, 16) for one in named["PSCI_VERSION"]["accepted"])
        found["psci_versions"] = (*(one for one in versions if one != default), default)
    if content["filter"]["errno"] in (0, *_NO_FILTER):
        found["has_filter"] = content["filter"]["errno"] == 0
    if found.get("has_filter"):
        found["filter_empty_at_0_errno"] = content["filter"]["empty_at_0_errno"]
    return found


def settled(rules: Release, found: Mapping[str, Any]) -> Release:
    """The rules with what was found. A doubt that this decides is none any more, with all that came by the same change.

    >>> from fastsmc.facts.releases import release
    >>> ubuntu = release("5.15.0-125-generic")
    >>> [doubt.fields for doubt in ubuntu.doubts]
    [('fw_registers', 'answers'), ('a32_refuses_all_smc64',)]
    >>> [doubt.fields for doubt in settled(ubuntu, {"fw_registers": ubuntu.fw_registers}).doubts]
    [('a32_refuses_all_smc64',)]
    """
    new = replace(rules, doubts=())
    left = []
    for doubt in rules.doubts:
        is_taken = _decided(rules, doubt, found)
        if is_taken is None:
            left.append(doubt)
        elif not is_taken:
            new = _otherwise(new, rules, doubt)
    new = replace(new, **found)
    doubts = []
    for doubt in left:
        others = tuple(dict.fromkeys(replace(other, **found) for other in doubt.others))
        others = tuple(other for other in others if other != new)
        if others:
            fields = tuple(name for name in doubt.fields if name not in found)
            doubts.append(Doubt(fields, doubt.text, doubt.source, others))
    return replace(new, doubts=tuple(doubts))


def _decided(rules: Release, doubt: Doubt, found: Mapping[str, Any]) -> bool | None:
    """Whether the rules are as they were taken to be (True) or as the doubt has it (False); None if that is open.

    A doubt with one alternative is about one change of Linux, which a kernel has as a whole or not at all. Where there
    are several, a vendor may have taken over any of them.
    """
    if len(doubt.others) != 1:
        return None
    told = [name for name in doubt.fields if name in found]
    taken = [_agrees(getattr(rules, name), getattr(doubt.others[0], name), found[name]) for name in told]
    other = [_agrees(getattr(doubt.others[0], name), getattr(rules, name), found[name]) for name in told]
    if not told or all(taken) == all(other):
        return None
    return all(taken)


def _agrees(one: Any, against: Any, found: Any) -> bool:
    """Whether what was found is one rule and not the other, as far as the two differ."""
    if isinstance(one, tuple) and len(one) != len(against):
        return set(one) - set(against) <= set(found) and not (set(against) - set(one)) & set(found)
    return bool(one == found)


def _otherwise(new: Release, rules: Release, doubt: Doubt) -> Release:
    """The rules with one change the other way: what it adds to a set or takes from it, and what it sets."""
    changed = {}
    for name in doubt.fields:
        own, other = getattr(rules, name), getattr(doubt.others[0], name)
        changed[name] = getattr(new, name) - (own - other) | (other - own) if isinstance(own, frozenset) else other
    return replace(new, **changed)


def differences(rules: Release, found: Mapping[str, Any]) -> Iterator[str]:
    """Where a host is otherwise than is known of its release, a sentence each; what is in doubt is no difference."""
    for name, value in found.items():
        own = getattr(rules, name)
        if own != value and name not in rules.uncertain:
            yield f"{_WORDS[name]}: found {_shown(name, value)}; known of Linux {rules.name}: {_shown(name, own)}"


def strangers(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Ids of firmware registers that fastsmc does not know, so that it cannot tell what they gate."""
    return tuple(one["id"] for one in content["firmware"] if int(one["id"], 16) not in FW_BY_ID)


def levels(content: Mapping[str, Any]) -> tuple[int, int, int]:
    """Levels of SMCCC_ARCH_WORKAROUND_1 to _3; 0 for a register that the host lacks."""
    by_id = {int(one["id"], 16): int(one["reset"], 16) & WORKAROUND_LIMIT for one in content["firmware"]}
    one, two, three = (by_id.get(FW_BY_NAME[f"SMCCC_ARCH_WORKAROUND_{n}"].reg, 0) for n in (1, 2, 3))
    return one, two, three


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "psci_versions":
        return ", ".join(map(psci_name, value))
    if isinstance(value, tuple):
        return ", ".join(f"{one:#x}" if isinstance(one, int) else one for one in value) or "none"
    return str(value)
