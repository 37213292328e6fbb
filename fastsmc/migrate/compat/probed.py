"""Sides of host profiles by a word that stands for what they hold, so that hosts which are alike are judged once."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from typing import Any

from fastsmc.errors import InputError
from fastsmc.migrate.compat.filed import from_file
from fastsmc.migrate.compat.named import normal_features
from fastsmc.migrate.compat.side import Side
from fastsmc.migrate.read.detect import inspect
from fastsmc.migrate.read.result import Format, RegisterFile
from fastsmc.probing.profile import HostProfile
from fastsmc.reference.restore import takes_any_value

_BEGIN = "profile:"
_PROFILES: dict[str, HostProfile] = {}
"""One profile for each word; a word is made of the content, so it never stands for another."""


def word_of(profile: HostProfile) -> str:
    """A word for all hosts that are judged as this one, which `prepared.named` takes for a kernel.

    Dates, counts of CPUs and the values of registers that take any value are no part of it: a counter's value differs
    from host to host and decides nothing.
    """
    content = profile.content
    sets = [{**one, "registers": _deciding(one["registers"])} for one in content["register_sets"]]
    parts = {name: content[name] for name in ("firmware", "filter", "refused")}
    told = content["kernel"], content["kvm"]["capabilities"], content["kvm"]["mode"], content["cpu"]["clocksource"]
    text = json.dumps([told, len(content["cpu"]["kinds"]) > 1, parts, sets], sort_keys=True)
    word = f"{_BEGIN}{hashlib.sha256(text.encode()).hexdigest()}"
    _PROFILES.setdefault(word, profile)
    return word


def _deciding(registers: dict[str, str]) -> dict[str, str]:
    return {reg: "" if takes_any_value(int(reg, 16)) else value for reg, value in registers.items()}


def is_word(text: str) -> bool:
    """Whether a text is a word that `word_of` made."""
    return text in _PROFILES


def side_of(word: str, features: str) -> Side:
    """The vCPU with these features of hosts with that word, or why they have none.

    Raises:
        FastsmcError: the probe did not ask for these features.
    """
    profile, wanted = _PROFILES[word], normal_features(features)
    refused = profile.refuses(wanted)
    if not refused and wanted not in profile.features:
        msg = f"the host profile has no registers of a vCPU with {wanted}; it has {', '.join(profile.features)}"
        raise InputError(msg)
    file = _file(profile, None if refused else wanted)
    side = replace(from_file(file, None if refused else wanted, None), is_host=True)
    return replace(side, features=wanted, values={}, refused=refused) if refused else side


def _file(profile: HostProfile, features: str | None) -> RegisterFile:
    stream: Any = io.BytesIO(json.dumps(dict(profile.content)).encode())
    found = inspect(stream, format=Format.HOST_PROFILE, features=features)
    if not isinstance(found, RegisterFile):
        msg = f"{profile.path}: {found.no_host}"
        raise InputError(msg)
    return found
