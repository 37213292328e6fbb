"""What a host profile must hold, as a pattern of plain values, and the sentence on what is otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastsmc.checks import cut, shown
from fastsmc.errors import InputError
from fastsmc.facts.releases import KVM_ARM_MODES

_HEX = re.compile(r"0x[0-9a-f]{1,512}", re.ASCII)
_LONGEST = 1 << 12
"""Letters of a text; the longest that a probe writes are the features of /proc/cpuinfo, some 600."""
_MOST = 1 << 14
"""Entries of a list or mapping; a vCPU has some 400 registers."""
_LAST = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Rule:
    """What a single value must be: a test, and words for it."""

    is_right: Callable[[Any], bool]
    words: str


@dataclass(frozen=True, slots=True)
class Each:
    """A mapping by names that the file chooses."""

    key: Rule
    value: Any


@dataclass(frozen=True, slots=True)
class Maybe:
    """An entry that may be missing."""

    value: Any


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


TEXT = Rule(lambda value: isinstance(value, str) and len(value) <= _LONGEST, f"text of at most {_LONGEST} letters")
TEXT_OR_NULL = Rule(lambda value: value is None or TEXT.is_right(value), "text or null")
COUNT = Rule(lambda value: _is_whole(value) and 0 <= value <= _LAST, "a whole number from 0 on")
NUMBER = Rule(lambda value: _is_whole(value) and abs(value) <= _LAST, "a whole number of 32 bits")
HEX = Rule(lambda value: isinstance(value, str) and _HEX.fullmatch(value) is not None, 'text such as "0x10001"')
REGISTER = Rule(lambda value: HEX.is_right(value) and int(value, 16) >> 64 == 0, "an id of 64 bits such as 0x60…")
WORD = Rule(lambda value: HEX.is_right(value) and int(value, 16) >> 64 == 0, "a number of 64 bits such as 0x10001")
DIGITS = Rule(lambda value: re.fullmatch(r"\d{1,4}", value, re.ASCII) is not None, "a capability's number")
MODE = Rule(lambda value: isinstance(value, str) and value in KVM_ARM_MODES, f"one of {', '.join(KVM_ARM_MODES)}")
_NS = (1 << 53) - 1
NS = Rule(
    lambda value: isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _NS,
    "a finite number of ns",
)
SAMPLES = Rule(lambda value: _is_whole(value) and 2 <= value <= _LAST, "a whole number from 2 on")
ABOVE_ZERO = Rule(lambda value: _is_whole(value) and 1 <= value <= _LAST, "a whole number from 1 on")
GET_OR_SET = Rule(lambda value: value in ("get", "set"), "get or set")
COLD_OR_WARM = Rule(lambda value: value in ("cold", "warm"), "cold or warm")
_SPREAD = {"median": NS, "q1": NS, "q3": NS, "samples": SAMPLES}
_WAY = {"ioctls": ABOVE_ZERO, "all": NS, "ns": _SPREAD}
COSTS: dict[str, Any] = {
    "features": TEXT,
    "overhead": dict.fromkeys(("function", "system_call", "ioctl", "ioctl_with_struct"), _SPREAD),
    "calls": [{"call": TEXT, "id": WORD, "ranges": COUNT, "ns": _SPREAD}],
    "registers": [{"kind": TEXT, "ioctl": GET_OR_SET, "state": COLD_OR_WARM, "registers": ABOVE_ZERO, "ns": _SPREAD}],
    "vms": [{"vcpus": ABOVE_ZERO, "save": _WAY, "load": _WAY}],
    "cut": [TEXT],
    "seconds": NS,
}
"""What `standalone.measure` found."""
API = Rule(lambda value: value == 12 and _is_whole(value), "12")

SHAPE: dict[str, Any] = {
    "schema": TEXT,
    "version": COUNT,
    "date_utc": TEXT,
    "emulated_by": [TEXT],
    "kernel": {"release": TEXT, "version": TEXT, "machine": TEXT, "page_bytes": COUNT},
    "cpu": {"kinds": [{"midr": WORD, "cores": COUNT}], "features": TEXT, "clocksource": TEXT_OR_NULL},
    "vulnerabilities": Each(TEXT, TEXT),
    "kvm": {
        "api_version": API,
        "mode_asked": TEXT_OR_NULL,
        "mode": MODE,
        "capabilities": Each(DIGITS, [NUMBER]),
        "device_errnos": Each(TEXT, COUNT),
        "pv_time_errno": COUNT,
        "sve_lengths": [COUNT],
        "largest_vm": {"limit": COUNT, "made": COUNT, "ended_by": TEXT},
    },
    "filter": {"errno": COUNT, "empty_at_0_errno": COUNT, "empty_errno": COUNT},
    "firmware": [
        {"id": REGISTER, "name": TEXT_OR_NULL, "reset": WORD, "accepted": Maybe([WORD]), "accepted_bits": Maybe(WORD)}
    ],
    "register_sets": [
        {"features": TEXT, "init": WORD, "registers": Each(REGISTER, HEX), "unread": Each(REGISTER, COUNT)}
    ],
    "refused": [{"features": TEXT, "init": WORD, "errno": COUNT}],
    "costs": Maybe(COSTS),
}
"""A host profile of version 1, as `standalone.probe` makes it."""


def check_shape(value: object, pattern: Any, where: str) -> None:
    """Checks that a value is as its pattern says.

    Raises:
        InputError: it is not; where, what is there, and what would be right.
    """
    if isinstance(pattern, Rule):
        if not pattern.is_right(value):
            msg = f"{where} is {shown(value)}: it must be {pattern.words}"
            raise InputError(msg)
    elif isinstance(pattern, list):
        for number, one in enumerate(_sized(value, list, where)):
            check_shape(one, pattern[0], f"{where}[{number}]")
    elif isinstance(pattern, Each):
        for key, one in _sized(value, dict, where).items():
            check_shape(key, pattern.key, f"a key of {where}")
            check_shape(one, pattern.value, f"{where}, {cut(key)}")
    else:
        table = _sized(value, dict, where)
        for key in table:
            if key not in pattern:
                msg = f"{where} has an entry {shown(key)}, which no host profile of this version has"
                raise InputError(msg)
        for key, inner in pattern.items():
            if key in table:
                check_shape(table[key], inner.value if isinstance(inner, Maybe) else inner, f"{where}, {key}")
            elif not isinstance(inner, Maybe):
                msg = f"{where} lacks {shown(key)}: is the file whole?"
                raise InputError(msg)


def _sized(value: object, kind: type, where: str) -> Any:
    words = "an object" if kind is dict else "a list"
    if not isinstance(value, kind):
        msg = f"{where} is {shown(value)}: it must be {words}"
        raise InputError(msg)
    if len(value) > _MOST:  # type: ignore[arg-type]
        msg = f"{where} has {len(value)} entries: a probe writes at most {_MOST}"  # type: ignore[arg-type]
        raise InputError(msg)
    return value
