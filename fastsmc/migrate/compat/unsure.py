"""Of which registers it is not certain whether an inferred list has them, and why.

A change of the list may be dated by its bracket only, and a vendor may have taken what later releases list, or hide
what they hide.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fastsmc.facts.registers import FW_BY_NAME
from fastsmc.facts.releases import Release
from fastsmc.facts.vcpu import feature_bits
from fastsmc.migrate.compat.lists import SCTLR2, el2_registers, list_changes


def unsure(rules: Release, features: str, listed: Collection[int]) -> dict[int, str]:
    """Registers of which it is not certain whether such a vCPU lists them, each with the reason.

    Args:
        listed: the inferred list.
    """
    told = dict(_from_changes(rules, features)) | dict(_firmware(rules, listed)) | dict(_on_some_cpus(rules))
    if feature_bits(features) >> rules.n_vcpu_feature:
        told |= dict.fromkeys(el2_registers() & set(listed), "whether such a kernel has vCPUs with el2 is not certain")
    return told


def _from_changes(rules: Release, features: str) -> Iterator[tuple[int, str]]:
    bits = feature_bits(features)
    for change in list_changes():
        has_feature = bits & change.feature == change.feature
        is_settled = not has_feature if change.is_listed else bool(change.feature) and has_feature
        if not change.is_uncertain_in(rules) or is_settled or not change.is_about(bits):
            continue
        who = "such a kernel" if rules.is_mainline else rules.vendor
        what = "lists it" if change.is_listed else "hides it"
        for reg in change.ids:
            yield reg, f"whether {who} {what} is not certain ({change.source})"


def _firmware(rules: Release, listed: Collection[int]) -> Iterator[tuple[int, str]]:
    for doubt in rules.doubts:
        for other in doubt.others:
            theirs = {FW_BY_NAME[name].reg for name in other.fw_registers}
            own = {FW_BY_NAME[name].reg for name in rules.fw_registers}
            for reg in theirs ^ own:
                lists = "lists it" if reg not in listed else "lacks it"
                yield reg, f"whether such a kernel {lists} is not certain: {doubt.text} ({doubt.source})"


def _on_some_cpus(rules: Release) -> Iterator[tuple[int, str]]:
    if rules.may_be_later:
        yield SCTLR2, f"whether {rules.vendor} lists it is not certain"
