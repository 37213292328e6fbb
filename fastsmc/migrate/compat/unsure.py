"""What is not known of a vendor's register list: it may have taken what later releases list, and what they hide.

A date that is known only by its bracket is no such doubt here: a change is taken to be where it is dated, and `lists`
says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fastsmc.facts.registers import FW_BY_ID, FW_BY_NAME, reg_class
from fastsmc.facts.releases import Release
from fastsmc.facts.vcpu import feature_bits
from fastsmc.migrate.compat.lists import SCTLR2, list_changes
from fastsmc.migrate.compat.result import SideBasis
from fastsmc.migrate.compat.side import Side


def may_list(reg: int, side: Side) -> str:
    """Why a side may list a register that its inferred list lacks; "" if it is known not to."""
    rules = _vendors(side)
    if rules is None:
        return ""
    return _firmware(reg, rules, is_listed=False) or _listed_later(reg, rules)


def may_lack(reg: int, side: Side) -> str:
    """Why a side may not list a register of its inferred list; "" if it is known to."""
    rules = _vendors(side)
    if rules is None:
        return ""
    for change in list_changes():
        if reg in change.ids and not change.is_listed and change.is_uncertain_in(rules):
            return f"{rules.vendor} may hide it ({change.source})"
    return _firmware(reg, rules, is_listed=True)


def more(side: Side, classes: Collection[int]) -> Iterator[tuple[int, str]]:
    """Registers of some classes that a side may list beyond its inferred list, each with the reason."""
    rules = _vendors(side)
    if rules is None:
        return
    ids = {reg for change in list_changes() if change.is_listed and _needs(change.feature, side) for reg in change.ids}
    ids |= {FW_BY_NAME[name].reg for doubt in rules.doubts for other in doubt.others for name in other.fw_registers}
    for reg in sorted(ids - side.values.keys()):
        why = may_list(reg, side) if reg_class(reg) in classes else ""
        if why:
            yield reg, why


def _vendors(side: Side) -> Release | None:
    """The rules of a side that was named as a vendor's kernel and not recorded or read from a file."""
    rules = side.release
    return None if rules is None or rules.is_mainline or side.basis is not SideBasis.INFERRED else rules


def _needs(feature: int, side: Side) -> bool:
    return feature_bits(side.features) & feature == feature


def _firmware(reg: int, rules: Release, *, is_listed: bool) -> str:
    row = FW_BY_ID.get(reg)
    if row is not None:
        for doubt in rules.doubts:
            if any((row.name in other.fw_registers) != is_listed for other in doubt.others):
                return f"{doubt.text} ({doubt.source})"
    return ""


def _listed_later(reg: int, rules: Release) -> str:
    for change in list_changes():
        if reg in change.ids and change.is_listed and change.is_uncertain_in(rules):
            return f"{rules.vendor} may list it ({change.source})"
    return f"{rules.vendor} may list it" if reg == SCTLR2 and rules.may_be_later else ""
