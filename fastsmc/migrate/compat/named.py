"""Sides by name: "6.12+psci02+pmu", a recorded host such as "linux-6.12.107-max", or a recorded host's folder."""

from __future__ import annotations

import re
from functools import cache
from math import inf
from pathlib import Path

import numpy as np

from fastsmc.errors import FastsmcError, InputError
from fastsmc.facts.packaged import packaged
from fastsmc.facts.register_sets import RegisterSet, register_set, register_sets
from fastsmc.facts.registers import FIRMWARE_CLASSES, reg_class
from fastsmc.facts.releases import Release, release
from fastsmc.facts.vcpu import VCPU_FEATURES, feature_bits
from fastsmc.facts.vendors import split_plus
from fastsmc.migrate.compat.lists import doubts, inferred_ids
from fastsmc.migrate.compat.result import SideBasis
from fastsmc.migrate.compat.side import Side
from fastsmc.recordings.folder import open_recording, payload_path, read_payload
from fastsmc.reference.restore import RegisterDump

DEFAULT_FEATURES = "psci02"
PACKAGED = packaged("payloads")
"""Values of the hosts recorded on QEMU's `max` CPU."""

_LOOKS_LIKE_RELEASE = re.compile(r"v?\d+\.\d")
_IMPLIED = ("none", "pauth_address_only")
"""Names that a payload's name does not have beside others."""


def looks_like_release(text: str) -> bool:
    """Whether text begins like a kernel version, so that no file is looked for."""
    return bool(_LOOKS_LIKE_RELEASE.match(text))


def split_features(text: str, features: str | None) -> tuple[str, str]:
    """(name, features) of "6.12+psci02+pmu"; features given apart win over none, and contradict others.

    The name of a kernel may hold a plus too, "6.12.107+deb13-arm64" or "…el9.aarch64+64k": `vendors.split_plus`.

    Raises:
        InputError: an unknown feature, or features given twice.

    >>> split_features("6.12.107+deb13-arm64+pmu+psci02", None)
    ('6.12.107+deb13-arm64', 'psci02+pmu')
    """
    name, parts = split_plus(text)
    if parts and features is not None:
        msg = f"{text!r} names features, and {features!r} are given apart: give them once"
        raise InputError(msg)
    return name, normal_features("+".join(parts) if parts else features or DEFAULT_FEATURES)


def normal_features(features: str) -> str:
    """vCPU features in the order in which payloads name them. PSCI 0.2 is among them unless "none" is.

    Raises:
        InputError: one without a known bit, or a pair KVM refuses.

    >>> normal_features("pmu"), normal_features("none"), normal_features("none+pmu")
    ('psci02+pmu', 'none', 'none+pmu')
    """
    feature_bits(features)
    given = set(features.split("+"))
    if "pauth_address_only" in given and "pauth" not in given:
        msg = "feature pauth_address_only: KVM refuses address authentication without the generic one; write pauth"
        raise InputError(msg)
    if "none" not in given:
        given.add("psci02")
    kept = [name for name in VCPU_FEATURES if name in given and name not in _IMPLIED]
    return "+".join(kept if "psci02" in kept else ["none", *kept])


def by_release(text: str, features: str | None) -> Side:
    """The side that a release names. Its values are known where that very release was recorded.

    Raises:
        InputError: no release fastsmc knows, or features it does not have.
    """
    name, wanted = split_features(text, features)
    rules = release(name)
    if feature_bits(wanted) >> rules.n_vcpu_feature:
        msg = f"features {wanted!r}: KVM of {name} does not know them all (KVM_ARM_VCPU_INIT is ENOENT)"
        raise InputError(msg)
    folder = _recorded_folder(rules)
    if folder is not None and (found := _payload(folder, wanted)) is not None:
        note = f"values of {folder.name}"
        return Side(
            text, SideBasis.RECORDED, _recorded_release(folder), wanted, found, True, notes=(note, *rules.notes)
        )
    known, told = _between(rules, wanted)
    values = {reg: known.get(reg) for reg in inferred_ids(rules, wanted)}
    notes = (f"{name} {wanted} was not recorded: its list is inferred, {told}", *told_of(rules), *doubts(rules))
    return Side(text, SideBasis.INFERRED, rules, wanted, values, True, notes=notes).in_list_order()


def told_of(rules: Release) -> tuple[str, ...]:
    """What the notes of a side say of its kernel: whose it is, and what is not known of its rules."""
    return (*rules.notes, *(f"not certain of this kernel: {doubt}" for doubt in rules.doubts))


def listed(text: str, features: str | None = None) -> RegisterSet:
    """The registers that a vCPU of a release lists: recorded, or inferred as for `check`.

    Raises:
        InputError: as `by_release`.

    >>> print(listed("6.17", "sve"))
    Linux 6.17 psci02+sve, list inferred: 276 registers, 10544 B per vCPU, 71 VM-global
    """
    name, wanted = split_features(text, features)
    try:
        return register_set(name, features=wanted)
    except InputError:
        side = by_release(name, wanted)
    ids = np.array(sorted(side.values), np.uint64)
    ids.flags.writeable = False
    vendor = "" if side.release is None or side.release.is_mainline else f" of {side.release.vendor}"
    return RegisterSet(f"Linux {name} {wanted}, list inferred{vendor}", name, "", tuple(wanted.split("+")), ids)


def by_host(text: str, features: str | None) -> Side:
    """The side that a recorded host's name stands for: its list, and its values where they are packaged.

    Raises:
        InputError: no such host, or not recorded with these features.
    """
    name, wanted = split_features(text, features)
    hosts = {found.name.split()[0]: found for found in register_sets()}
    if name not in hosts:
        msg = f"no recorded host is called {name!r}; there are {', '.join(hosts)}{_no_release(name)}"
        raise InputError(msg)
    listed = register_set(hosts[name].release, cpu=hosts[name].cpu, features=wanted)
    rules = release(hosts[name].release)
    found = _payload(PACKAGED / name, wanted)
    if found is not None:
        return Side(text, SideBasis.RECORDED, rules, wanted, found)
    values = dict.fromkeys(listed.ids.tolist())
    note = "its list was recorded; its values are not packaged and not known"
    return Side(text, SideBasis.INFERRED, rules, wanted, values, notes=(note,)).in_list_order()


def _no_release(host: str) -> str:
    """What is wrong with the release in a host's name, to end a sentence; "" if nothing is."""
    name = host.removeprefix("linux-").rpartition("-")[0]
    try:
        release(name)
    except InputError as error:
        return f"; {error}"
    return ""


def by_folder(folder: Path, features: str | None) -> Side:
    """The side in a recorded host's folder, which holds meta.json and payload-<features>.bin.xz.

    Raises:
        FastsmcError: no recording, or no payload with these features.
    """
    if not (folder / "meta.json").is_file():
        msg = f"{folder}: is a folder, and no recording: it has no meta.json"
        raise InputError(msg)
    recording = open_recording(folder)
    wanted = normal_features(features or DEFAULT_FEATURES)
    found = _payload(folder, wanted)
    if found is None:
        known = ", ".join(recording.payloads()) or "none"
        msg = f"{folder}: holds no payload with features {wanted!r}; there are {known}"
        raise InputError(msg)
    return Side(str(folder), SideBasis.RECORDED, recording.release, wanted, found)


def _payload(folder: Path, features: str) -> dict[int, int | None] | None:
    """Whole values, in list order, of the payload whose name has these features in any order."""
    for path in sorted(folder.glob("payload-*.bin.xz")):
        name = path.name.removeprefix("payload-").removesuffix(".bin.xz")
        if set(name.split("+")) == set(features.split("+")):
            return dict(RegisterDump.parse(read_payload(payload_path(folder, name)), name).values)
    return None


@cache
def _folders() -> dict[str, Path]:
    """Packaged hosts by each name of their release: 6.12, 6.12.107, and what `uname -r` printed."""
    names: dict[str, Path] = {}
    for found in register_sets():
        folder = PACKAGED / found.name.split()[0]
        if folder.is_dir():
            names |= dict.fromkeys((found.release, found.release.rpartition(".")[0]), folder)
    return names


def _recorded_folder(rules: Release) -> Path | None:
    series = "{}.{}".format(*rules.series)
    if not rules.is_mainline:
        return None
    return _folders().get(series if rules.stable is None else f"{series}.{rules.stable}")


def _between(rules: Release, features: str) -> tuple[dict[int, int | None], str]:
    """Values that the nearest recorded releases before and after agree on, and a sentence that says so.

    A kernel between them with another value would have changed it and changed it back. A vendor may have taken a
    change from any later release, so of its kernels only what all later recordings agree on is known. Firmware
    registers are left out: the release's rules tell them, and workaround levels are the machine's.
    """
    wanted, before = _age(rules), None
    after: list[tuple[Path, dict[int, int | None]]] = []
    for folder in sorted(set(_folders().values()), key=lambda one: _age(_recorded_release(one))):
        if (found := _payload(folder, features)) is None:
            continue
        if _age(_recorded_release(folder)) < wanted:
            before = folder, found
        elif not after or not rules.is_mainline:
            after.append((folder, found))
    if before is None or not after:
        return {}, "its values are not known"
    alike = {
        reg: value
        for reg, value in before[1].items()
        if all(values.get(reg) == value for _, values in after) and reg_class(reg) not in FIRMWARE_CLASSES
    }
    others = after[0][0].name if len(after) == 1 else "all later ones"
    return alike, f"and its values are known where {before[0].name} and {others} have the same"


def _age(rules: Release) -> tuple[int, int, float]:
    return *rules.series, inf if rules.stable is None else rules.stable


def _recorded_release(folder: Path) -> Release:
    return release(folder.name.split("-")[1])


def unknown(what: str) -> FastsmcError:
    """The error for text that names no side."""
    hosts = ", ".join(dict.fromkeys(found.name.split()[0] for found in register_sets()))
    return InputError(
        f"{what!r} is neither a file, nor a Linux release such as 6.12+psci02+pmu, nor a recorded host ({hosts})"
    )
