"""Values of a release's registers: recorded, composed from recordings of the same host, or what its neighbours have.

A host was recorded with a few sets of vCPU features. Any other set is composed: what a feature alone changes, it
changes beside others too. On every host that reproduces the recorded vCPU with pmu, sve and pauth together.

Values of vCPUs with EL2 are those of hosts in the mode `nested`, which are another machine than the others: QEMU 10.0's
`max`, which has FEAT_NV2. Beside EL2, composing reproduces all ID registers of the recorded vCPU with everything; a
PMU's reset values are others then, and MDCR_EL2 tells its counters, so of those two kinds no value is composed.
"""

from __future__ import annotations

from functools import cache
from math import inf
from pathlib import Path
from typing import NamedTuple

from fastsmc.facts.packaged import packaged
from fastsmc.facts.register_sets import register_sets
from fastsmc.facts.registers import CLASS_SYSREG, FIRMWARE_CLASSES, Encoding, reg_class, sysreg
from fastsmc.facts.releases import Release, release
from fastsmc.facts.vcpu import FEATURE_EL2_E2H0, feature_bits, has_el2
from fastsmc.migrate.compat.lists import HIDDEN_BY_E2H0, feature_of
from fastsmc.recordings.folder import payload_path, read_payload
from fastsmc.reference.restore import RegisterDump

PACKAGED = packaged("payloads")
"""Values of the hosts recorded on QEMU's `max` CPU."""

_NESTED = "-nested"
_SAME_WITH_EL2 = {"7.2.13": "7.3.4"}
"""Stable updates of which no vCPU with EL2 was recorded, with those whose values theirs have.

A vCPU of 7.2.13 restored on 7.3.4, and one of 7.3.4 on 7.2.13, without a failure (recorded, on one machine). What one
ID field takes from the other it takes in one direction, down or up, so both ways mean that all are equal.
"""
_SHOWN_ALIKE = ("psci02+el2", "psci02+el2+e2h0")
_E2H0_CLEARS = {sysreg(3, 0, 0, 7, 1): 0xF << 8, sysreg(3, 0, 0, 7, 4): 0xF << 24 | 0xF << 20}
"""Fields that are 0 with E2H0: VH of ID_AA64MMFR1_EL1, E2H0 and NV_frac of ID_AA64MMFR4_EL1.

Recorded on 6.18.15 and 7.3.4: nothing else of a vCPU with EL2 changes.
"""
_PLAIN = "psci02"
_FIELD = 0xF

Values = dict[int, int | None]
Whole = dict[int, int]


class Known(NamedTuple):
    """Values of one vCPU, and how they are known."""

    values: Values
    how: str
    recorded: Release | None = None
    """The release of a vCPU that was recorded with these very features, so that its list is known too."""


def known_values(rules: Release, features: str) -> Known:
    """What is known of a vCPU's values on a release; every value is absent or None where nothing is."""
    folder = _recorded_folder(rules, features)
    if folder is not None and rules.series != _recorded_release(folder).series:
        return _same(rules, folder, features)
    if folder is not None:
        recorded = payload(folder, features)
        if recorded is not None:
            return Known(dict(recorded), f"values of {folder.name}", _recorded_release(folder))
        composed = _composed(folder, features)
        if composed:
            return Known(dict(composed), f"its values are composed from those of {folder.name} with each feature alone")
    return _between(rules, features)


def _same(rules: Release, folder: Path, features: str) -> Known:
    """Values of a release that has those of another, as far as restores show it: with EL2 alone, and its E2H0."""
    if features not in _SHOWN_ALIKE:
        return _between(rules, features)
    values = payload(folder, features) or _composed(folder, features)
    return Known(dict(values), f"its values are those of {folder.name}, as restores both ways show")


def payload(folder: Path, features: str) -> Whole | None:
    """Whole values, in list order, of the payload whose name has these features in any order."""
    return _packaged(folder, features) if folder.is_relative_to(PACKAGED) else _payload(folder, features)


@cache
def _packaged(folder: Path, features: str) -> Whole | None:
    return _payload(folder, features)


def _payload(folder: Path, features: str) -> Whole | None:
    for path in sorted(folder.glob("payload-*.bin.xz")):
        name = path.name.removeprefix("payload-").removesuffix(".bin.xz")
        if set(name.split("+")) == set(features.split("+")):
            return dict(RegisterDump.parse(read_payload(payload_path(folder, name)), name).values)
    return None


def composed_values(folder: Path, features: str) -> Values:
    """The values of a vCPU whose features were recorded one by one on this host; empty if one of them was not.

    A register has the plain vCPU's value, or that of the one feature that changes it. Where two features change
    different fields of an ID register, it has both; where they disagree, its value is None.
    """
    if feature_bits(features) & FEATURE_EL2_E2H0:
        return _with_e2h0(folder, "+".join(name for name in features.split("+") if name != "e2h0"))
    plain = payload(folder, _PLAIN)
    alone = [payload(folder, each) for each in _each_alone(features)]
    if plain is None or any(each is None for each in alone):
        return {}
    found: Values = {}
    for reg in dict.fromkeys([*plain, *(reg for each in alone if each for reg in each)]):
        own = plain.get(reg)
        others = {each.get(reg) for each in alone if each is not None} - {own}
        if None in others or (own is None and len(others) > 1):
            continue  # a feature hides it, or each would give it another value
        found[reg] = _joined(reg, own, [value for value in others if value is not None])
    if has_el2(feature_bits(features)) and "pmu" in features.split("+"):
        found |= dict.fromkeys(reg for reg in found if feature_of(reg) in ("el2", "pmu"))
    return found


def _with_e2h0(folder: Path, features: str) -> Values:
    """The values of a vCPU with EL2 that was given E2H0 too; `features` are those without it."""
    values = payload(folder, features) or _composed(folder, features)
    found: Values = {reg: value for reg, value in values.items() if reg not in HIDDEN_BY_E2H0}
    for reg, mask in _E2H0_CLEARS.items():
        value = found.get(reg)
        if value is not None:
            found[reg] = value & ~mask
    return found


@cache
def _composed(folder: Path, features: str) -> Values:
    return composed_values(folder, features)


def _each_alone(features: str) -> list[str]:
    """The recorded sets in which each feature stands alone: "psci02+pmu", "psci02+sve"; "none" is one too."""
    names = [name for name in features.split("+") if name != _PLAIN]
    return [{"none": "none", "power_off": "power_off+psci02"}.get(name, f"{_PLAIN}+{name}") for name in names]


def _joined(reg: int, own: int | None, others: list[int]) -> int | None:
    """One value of those that features alone give a register; None where they contradict each other."""
    if len(others) < 2:
        return others[0] if others else own
    if own is None or reg_class(reg) != CLASS_SYSREG or not Encoding.of(reg).is_id_register:
        return None
    value = own
    for shift in range(0, 64, 4):
        fields = {other >> shift & _FIELD for other in others} - {own >> shift & _FIELD}
        if len(fields) > 1:
            return None
        for field in fields:
            value = value & ~(_FIELD << shift) | field << shift
    return value


@cache
def _folders() -> dict[str, Path]:
    """Packaged hosts by each name of their release, 6.12 and 6.12.107; those in the mode `nested` are apart."""
    return _by_name(is_nested=False)


@cache
def _nested_folders() -> dict[str, Path]:
    """The packaged hosts in the mode `nested`, by release, and releases that have their values."""
    names = _by_name(is_nested=True)
    for release_name, same in _SAME_WITH_EL2.items():
        names |= dict.fromkeys((release_name, release_name.rpartition(".")[0]), names[same])
    return names


def _by_name(*, is_nested: bool) -> dict[str, Path]:
    names: dict[str, Path] = {}
    for found in register_sets():
        folder = PACKAGED / found.name.split()[0]
        if folder.is_dir() and folder.name.endswith(_NESTED) is is_nested:
            names |= dict.fromkeys((found.release, found.release.rpartition(".")[0]), folder)
    return names


def _folders_with(features: str) -> dict[str, Path]:
    return _nested_folders() if has_el2(feature_bits(features)) else _folders()


def _recorded_folder(rules: Release, features: str) -> Path | None:
    """Where the values of that very release are, if it was recorded. A distribution's kernel never was."""
    series = "{}.{}".format(*rules.series)
    if not rules.is_mainline:
        return None
    return _folders_with(features).get(series if rules.stable is None else f"{series}.{rules.stable}")


@cache
def _recorded_release(folder: Path) -> Release:
    """The release of a packaged host, from its folder's name."""
    return release(folder.name.split("-")[1])


def _between(rules: Release, features: str) -> Known:
    """Values that the nearest recorded releases before and after agree on, and a sentence that says so.

    A kernel between them with another value would have changed it and changed it back. A vendor may have taken a
    change from any later release, so of its kernels only what all later recordings agree on is known. Firmware
    registers are left out: the release's rules tell them, and workaround levels are the machine's.
    """
    wanted, before = _age(rules), None
    after: list[Path] = []
    for folder in sorted(set(_folders_with(features).values()), key=lambda one: _age(_recorded_release(one))):
        if not (payload(folder, features) or _composed(folder, features)):
            continue
        if _age(_recorded_release(folder)) < wanted:
            before = folder
        elif not after or not rules.is_mainline:
            after.append(folder)
    if before is None or not after:
        return Known({}, "its values are not known")
    others = after[0].name if len(after) == 1 else "all later ones"
    alike = dict(_alike(before, tuple(after), features))
    return Known(alike, f"its values are known where {before.name} and {others} have the same")


@cache
def _alike(before: Path, after: tuple[Path, ...], features: str) -> Values:
    """The values that recorded hosts agree on."""
    first, *others = (payload(folder, features) or _composed(folder, features) for folder in (before, *after))
    return {
        reg: value
        for reg, value in first.items()
        if value is not None and reg_class(reg) not in FIRMWARE_CLASSES
        if all(later.get(reg) == value for later in others)
    }


def _age(rules: Release) -> tuple[int, int, float]:
    return *rules.series, inf if rules.stable is None else rules.stable
