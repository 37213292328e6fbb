"""A host profile: the registers of a vCPU of that host after its reset, with one of the feature sets it has."""

from __future__ import annotations

from typing import Any

from fastsmc.checks import cut
from fastsmc.errors import InputError, RegisterFileError
from fastsmc.facts.releases import Release
from fastsmc.migrate.read.banks import Registers
from fastsmc.migrate.read.lines import printable
from fastsmc.migrate.read.result import Format
from fastsmc.migrate.read.told import Told
from fastsmc.probing.profile import HostProfile, is_profile, profile_of

_USUAL = ("psci02+pmu", "psci02")
"""Feature sets that are taken when none is asked for, the first that is there: what QEMU gives a VM on that host."""


def is_ours(value: object) -> bool:
    """Whether a JSON value says that it is a host profile."""
    return is_profile(value)


def read(value: dict[str, Any], features: str | None) -> Told:
    """The registers of one feature set, with the values of a fresh vCPU.

    Raises:
        RegisterFileError: the profile is of another version or damaged, or has no such feature set.
    """
    try:
        profile = profile_of(value, "the profile")
        name = features or next((one for one in _USUAL if one in profile.features), "psci02")
        values = profile.registers(name)
    except InputError as error:
        raise RegisterFileError(str(error)) from error
    registers = Registers("the profile")
    for reg, one in values.items():
        registers.add(reg, one, "the profile")
    others = ", ".join(printable(cut(one)) for one in profile.features if one != name)
    notes = ["Values are those of a vCPU after its reset."]
    notes += [f"The host is emulated or a VM itself: {profile.emulated}."] if profile.emulated else []
    notes += [f"Other feature sets in the file: {others}."] if others else []
    rules, different = _rules(profile)
    notes += [f"Otherwise than known, {text}." for text in different]
    told_by = {"kernel_version": profile.kernel, "features": name}
    return Told(Format.HOST_PROFILE, registers, told_by, tuple(notes), rules=rules)


def _rules(profile: HostProfile) -> tuple[Release | None, tuple[str, ...]]:
    """The rules that were found, and where they are others than its release is known to have; none if it is unknown."""
    try:
        return profile.host.release, profile.differences
    except InputError:
        return None, ()
