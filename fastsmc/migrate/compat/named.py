"""Sides by name: "6.12+psci02+pmu", a recorded host such as "linux-6.12.107-max", or a recorded host's folder."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from fastsmc.checks import near_file, shown
from fastsmc.errors import FastsmcError, InputError
from fastsmc.facts.register_sets import RegisterSet, register_set, register_sets
from fastsmc.facts.releases import Release, release
from fastsmc.facts.vcpu import VCPU_FEATURES, feature_bits
from fastsmc.facts.vendors import feature_parts, kernel, split_plus
from fastsmc.facts.versions import bare, near_release
from fastsmc.migrate.compat.lists import doubts, inferred_ids, is_known
from fastsmc.migrate.compat.result import SideBasis
from fastsmc.migrate.compat.side import Side
from fastsmc.migrate.compat.unsure import unsure
from fastsmc.migrate.compat.values import PACKAGED, known_values, payload
from fastsmc.recordings.folder import open_recording

DEFAULT_FEATURES = "psci02"

_LOOKS_LIKE_RELEASE = re.compile(r"[vV]?\d+\.\d")
_LOOKS_LIKE_FILE = re.compile(r"/|\.(json|jsonl|xz|bin|txt|log|migration|state)$", re.IGNORECASE)
_LONGEST = 80
"""Characters of a wrong name that are compared with others."""
_CPU = re.compile(r"-[a-z]\w*$")
"""The CPU at the end of a recorded host's name."""
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


def names_features(what: object, features: str | None) -> bool:
    """Whether vCPU features are given for a side, apart or behind the name of its release or host.

    >>> names_features("6.12+pmu", None), names_features("6.12.107+deb13-arm64", None), names_features("6.12", "sve")
    (True, False, True)
    """
    return features is not None or split_plus(str(what))[1] != []


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
    if "e2h0" in given and "el2" not in given:
        msg = "feature e2h0 without el2: KVM takes it and gives an ordinary vCPU; write el2+e2h0, or leave it out"
        raise InputError(msg)
    if {"el2", "el1_32bit"} <= given:
        msg = "feature el2 with el1_32bit: KVM gives EL2 to AArch64 vCPUs only (KVM_ARM_VCPU_INIT is EINVAL)"
        raise InputError(msg)
    if "none" not in given:
        given.add("psci02")
    kept = [name for name in VCPU_FEATURES if name in given and name not in _IMPLIED]
    return "+".join(kept if "psci02" in kept else ["none", *kept])


def by_release(text: str, features: str | None) -> Side:
    """The side that a release names. Its values are known where that very release was recorded.

    A release that has no such vCPUs is a side without registers, which says so.

    Raises:
        InputError: no release fastsmc knows, or features that are none.
    """
    name, wanted = split_features(text, features)
    if told := feature_parts(name):
        base = f"{kernel(name).base}+{'+'.join(told.split(', '))}"
        msg = f"{shown(text)} names vCPU features ({told}) with another sign than +; did you mean {base}?"
        raise InputError(msg)
    rules = release(name)
    if is_refused(rules, feature_bits(wanted)):
        refused = f"KVM_ARM_VCPU_INIT of {name} refuses el2 (ENOENT): Linux has such vCPUs from 6.16 on"
        return Side(text, SideBasis.INFERRED, rules, wanted, {}, True, refused=refused)
    known = known_values(rules, wanted)
    if known.recorded is not None:
        notes = known.how, *rules.notes
        return Side(text, SideBasis.RECORDED, known.recorded, wanted, known.values, True, notes=notes)
    values = {reg: known.values.get(reg) for reg in inferred_ids(rules, wanted)}
    how = f"{name} {wanted} was not recorded: its list is inferred, and {known.how}"
    notes, doubtful = (how, *told_of(rules), *_host_meant(name), *doubts(rules, wanted)), unsure(rules, wanted, values)
    side = Side(text, SideBasis.INFERRED, rules, wanted, values, True, notes=notes, doubtful=doubtful)
    return replace(side, is_whole=is_known(rules, wanted)).in_list_order()


def is_refused(rules: Release, bits: int) -> bool:
    """Whether a kernel certainly refuses vCPUs with these features, of which it does not know them all (ENOENT)."""
    return not any(
        bits >> one.n_vcpu_feature == 0 for one in (rules, *(o for doubt in rules.doubts for o in doubt.others))
    )


def _host_meant(name: str) -> tuple[str, ...]:
    """What is said of a kernel's name that is a recorded host's without its "linux-"."""
    host = f"linux-{bare(name)}"
    is_host = any(found.name.split()[0] == host for found in register_sets())
    return (f"not the recorded host {host}, which is written so",) if is_host else ()


def told_of(rules: Release) -> tuple[str, ...]:
    """What the notes of a side say of its kernel: whose it is, and what is not known of its rules."""
    return (*rules.notes, *(f"not certain of this kernel: {doubt}" for doubt in rules.doubts))


def listed(text: str, features: str | None = None) -> RegisterSet:
    """The registers that a vCPU of a release lists: recorded, or inferred as for `check`.

    Raises:
        InputError: as `by_release`.

    >>> print(listed("6.17", "sve"))
    Linux 6.17 psci02+sve, list inferred: 276 registers, 10544 B per vCPU, 70 VM-global
    """
    name, wanted = split_features(text, features)
    try:
        return register_set(name, features=wanted)
    except InputError:
        side = by_release(name, wanted)
    if side.refused or not side.is_whole:
        msg = f"{shown(text)}: {side.refused or f'no register list of a vCPU with {wanted} was recorded'}"
        raise InputError(msg)
    ids = np.array(sorted(side.values), np.uint64)
    ids.flags.writeable = False
    rules = side.release
    whose = "a custom kernel" if rules is not None and rules.vendor == "custom" else rules and rules.vendor
    vendor = f" of {whose}" if rules is not None and not rules.is_mainline else ""
    return RegisterSet(f"Linux {name} {wanted}, list inferred{vendor}", name, "", tuple(wanted.split("+")), ids)


def by_host(text: str, features: str | None) -> Side:
    """The side that a recorded host's name stands for: its list, and its values where they are packaged.

    Raises:
        InputError: no such host, or not recorded with these features.
    """
    name, wanted = split_features(text, features)
    hosts = {found.name.split()[0]: found for found in register_sets()}
    if name not in hosts:
        msg = f"no recorded host is called {shown(name)}; there are {', '.join(hosts)}{_host_hint(name, list(hosts))}"
        raise InputError(msg)
    listed = register_set(hosts[name].release, cpu=hosts[name].cpu, features=wanted)
    if "el2" in listed.features and (nested := listed.name.split()[0]) != name:
        msg = f"features {wanted!r} were refused (errno 22) on {name}; recorded on {nested}, in the mode nested"
        raise InputError(msg)
    rules = release(hosts[name].release)
    found = payload(PACKAGED / name, wanted)
    if found is not None:
        return Side(text, SideBasis.RECORDED, rules, wanted, dict(found))
    values = dict.fromkeys(listed.ids.tolist())
    note = "its list was recorded; its values are not packaged and not known"
    return Side(text, SideBasis.INFERRED, rules, wanted, values, notes=(note,)).in_list_order()


def _host_hint(name: str, hosts: list[str]) -> str:
    """What a host's name that is none may mean, to end a sentence: a host of that series, or the release itself."""
    given = name.removeprefix("linux-").rpartition("-")[0] or name.removeprefix("linux-")
    try:
        rules = release(given)
    except InputError as error:
        return f"; {error}"
    begin = f"linux-{rules.series[0]}.{rules.series[1]}."
    alike = [host for host in hosts if host.startswith(begin)]
    if not alike:
        return f"; did you mean the release {given}, of which no host was recorded?"
    wanted = name if _CPU.search(name) else f"{name}-max"
    return f"; did you mean {get_close_matches(wanted[:_LONGEST], alike, n=1, cutoff=0)[0]}?"


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
    found = payload(folder, wanted)
    if found is None:
        known = ", ".join(recording.payloads()) or "none"
        msg = f"{folder}: holds no payload with features {wanted!r}; there are {known}"
        raise InputError(msg)
    return Side(str(folder), SideBasis.RECORDED, recording.release, wanted, dict(found))


def unknown(what: str) -> FastsmcError:
    """The error for text that names no side."""
    hosts = ", ".join(dict.fromkeys(found.name.split()[0] for found in register_sets()))
    if (file := near_file(what)) or _LOOKS_LIKE_FILE.search(what):
        return InputError(f"{shown(what)} is no file, folder, release or recorded host{file}")
    near = near_release(what)
    meant = f"; did you mean {near}?" if near else ""
    forms = f"neither a file, nor a Linux release such as 6.12+psci02+pmu, nor a recorded host ({hosts})"
    return InputError(f"{shown(what)} is {forms}{meant}")
