"""One id in the three kinds of guest: what becomes of it in an ordinary VM, in one with EL2, in a protected one.

All of it is asked of the reference, in VMs that nobody configured. Recorded: guests with EL2 on 6.16.12, 6.18.15,
7.2.13 and 7.3.4, protected VMs on 7.3.4 (docs/guests.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastsmc.explanation.explanation import Line
from fastsmc.facts.guests import why_refused
from fastsmc.facts.releases import Host, Release
from fastsmc.facts.smccc import Conduit, Level, Verdict
from fastsmc.facts.vcpu import FEATURE_EL2, FEATURE_PSCI_0_2, has_el2
from fastsmc.reference.state import Outcome
from fastsmc.reference.vm import Vm

FATES = {
    Verdict.HANDLED: "handled",
    Verdict.DENIED: "denied (x0 = -1)",
    Verdict.FORWARDED: "forwarded to the VMM",
    Verdict.NOT_SUPPORTED: "not supported (x0 = -1)",
    Verdict.EXIT: "exit to the VMM",
    Verdict.FAST_PATH: "answered at EL2 (x0 = 0)",
    Verdict.SMC_REFUSED: "refused (x0 = -1)",
    Verdict.TO_VEL2: "to the guest's own EL2",
}
"""Verdicts in words."""


class Guest(NamedTuple):
    """A kind of guest.

    Attributes:
        name: how it is told.
        features: word 0 of its vCPUs' features.
        kvm_arm_mode: what its host was booted with.
        is_protected: its VM is of the type protected.
        levels: where its calls come from.
    """

    name: str
    features: int
    kvm_arm_mode: str
    is_protected: bool
    levels: tuple[Level, ...]


ORDINARY = Guest("ordinary", FEATURE_PSCI_0_2, "default", False, (Level.EL1,))
WITH_EL2 = Guest("with EL2", FEATURE_PSCI_0_2 | FEATURE_EL2, "nested", False, (Level.VEL2, Level.VEL1, Level.VEL1_TSC))
PROTECTED = Guest("protected", FEATURE_PSCI_0_2, "protected", True, (Level.EL1,))
GUESTS = (ORDINARY, WITH_EL2, PROTECTED)
LEVELS = {Level.EL1: "EL1", Level.VEL2: "vEL2", Level.VEL1: "vEL1", Level.VEL1_TSC: "vEL1 with TSC"}
"""How a level is told. TSC is a bit of HCR_EL2 that the guest's own EL2 sets."""
CONDUITS = (Conduit.HVC, Conduit.SMC)


class Asked(NamedTuple):
    """A call of one guest, and what becomes of it; x1, x2 and x3 are 0."""

    guest: Guest
    level: Level
    conduit: Conduit
    outcome: Outcome

    @property
    def fate(self) -> str:
        """The verdict in words."""
        if self.outcome.verdict is not Verdict.FAST_PATH:
            return FATES[self.outcome.verdict]
        value = "depends on memory" if self.outcome.unknown else f"= {self.outcome.x[0] and hex(self.outcome.x[0])}"
        return f"answered at {'the real ' * has_el2(self.guest.features)}EL2 (x0 {value})"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: who called how, the verdict, and x0 as the guest finds it; null where it is no fixed value."""
        is_open = bool(self.outcome.free[0] or self.outcome.unknown or self.outcome.exit)
        return {
            "guest": self.guest.name,
            "level": LEVELS[self.level],
            "conduit": self.conduit.name.lower(),
            "verdict": self.outcome.verdict.name,
            "x0": None if is_open else hex(self.outcome.x[0]),
        }


def asked(func_id: int, release: Release) -> tuple[Asked, ...]:
    """What becomes of a call in every kind of guest that a release has, from each level, by HVC and by SMC."""
    return tuple(
        Asked(guest, level, conduit, _vm(guest, release).call(0, func_id, conduit=conduit, level=level))
        for guest in GUESTS
        if not refused(guest, release)
        for level in guest.levels
        for conduit in CONDUITS
    )


def is_for_protected(func_id: int, release: Release) -> bool:
    """Whether a release answers an id at EL2 to protected VMs, and not to ordinary ones."""
    by = {one.guest.name: one.outcome.verdict for one in asked(func_id, release) if one.conduit is Conduit.HVC}
    return by.get(PROTECTED.name) is Verdict.FAST_PATH and by[ORDINARY.name] is not Verdict.FAST_PATH


def lines(func_id: int, release: Release) -> list[Line]:
    """What becomes of a call in each kind of guest, a line each; of a kind that the release has not, why."""
    found = asked(func_id, release)
    return [
        (f"{guest.name} {release.name}", _told([one for one in found if one.guest is guest]) or _lacks(guest, release))
        for guest in (WITH_EL2, PROTECTED)
    ]


def rows(func_id: int, releases: Sequence[Release]) -> tuple[dict[str, Any], ...]:
    """The same for JSON: a row per release, kind of guest, level and conduit."""
    return tuple({"release": one.name, **row.as_dict()} for one in releases for row in asked(func_id, one))


def _lacks(guest: Guest, release: Release) -> str:
    """That a release has no such guest, or may have none: a vendor may have taken the change over."""
    doubt = next((one for one in release.doubts if any(not refused(guest, other) for other in one.others)), None)
    if doubt is not None:
        return f"not known: {doubt.text}; else no such guest, as {refused(guest, release)}"
    return f"no such guest: {refused(guest, release)}"


def _told(rows: Sequence[Asked]) -> str:
    """What becomes of the calls of one kind of guest: by conduit, and by level where that makes a difference."""
    told = {conduit: _by_level([one for one in rows if one.conduit is conduit]) for conduit in CONDUITS}
    if len(set(told.values())) == 1:
        return told[Conduit.HVC]
    return ", ".join(f"{conduit.name} {text}" for conduit, text in told.items())


def _by_level(rows: Sequence[Asked]) -> str:
    if not rows:
        return ""
    usual = rows[0].fate
    others = [f"; of {LEVELS[one.level]} {one.fate}" for one in rows if one.fate != usual]
    return usual + "".join(others)


def refused(guest: Guest, release: Release) -> str:
    """Why a release has no such guest, with KVM's errno; "" where it has."""
    host = Host(release, kvm_arm_mode=guest.kvm_arm_mode)
    return why_refused(host, guest.features, is_protected=guest.is_protected)


def _vm(guest: Guest, release: Release) -> Vm:
    host = Host(release, kvm_arm_mode=guest.kvm_arm_mode)
    return Vm(host, features=guest.features, is_protected=guest.is_protected)
