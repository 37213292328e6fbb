"""What a guest with EL2 was given before its calls were listed, in the words of headers: HCR_EL2, bitmaps, filter."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from fastsmc.facts.smccc import FilterAction, Level
from fastsmc.reference.state import PSTATE_EL1, PSTATE_EL2

HCR = {"TSC": 1 << 19, "TGE": 1 << 27, "HCD": 1 << 29, "RW": 1 << 31}
HCR_E2H = 1 << 34
HCR_JUDGED = HCR["TSC"] | HCR["TGE"] | HCR["HCD"] | HCR_E2H
"""Bits of HCR_EL2 that the guest must find as it set them; E2H is 1 unless there is E2H0 (Documentation: api.rst)."""

_MODE = re.compile(r"vEL([12]), (?:HCR_EL2 untouched|((?:[A-Z]+=[01])(?: [A-Z]+=[01])*))")
_INSERT = re.compile(r"(HANDLE|DENY|FWD) (0x[0-9a-f]+)\+(0x[0-9a-f]+|[0-9]+)")
_ACTION = {"HANDLE": FilterAction.HANDLE, "DENY": FilterAction.DENY, "FWD": FilterAction.FWD_TO_USER}
N_FILTER_ERRNO = 3
"""Errnos of inserts in a header; those of inserts that were not made are 0."""


class Mode(NamedTuple):
    """What the guest made of itself before it called: its level, and bits set in HCR_EL2."""

    level: Level
    hcr: int

    @property
    def pstate(self) -> int:
        """PSTATE at that level, but for the flags."""
        return PSTATE_EL1 if self.level in (Level.VEL1, Level.VEL1_TSC) else PSTATE_EL2


class Given(NamedTuple):
    """What the VM was given: inserts into its filter (base, number, action), and whether its bitmaps were cleared."""

    inserts: tuple[tuple[int, int, FilterAction], ...]
    is_cleared: bool


def mode_of(text: Any) -> Mode | None:
    """The mode a header names, None for one without a rule.

    >>> mode_of("vEL1, TSC=1"), mode_of("vEL2, HCR_EL2 untouched"), mode_of("vEL3")
    (Mode(level=<Level.VEL1_TSC: 5>, hcr=524288), Mode(level=<Level.VEL2: 2>, hcr=0), None)
    """
    found = _MODE.fullmatch(text) if isinstance(text, str) else None
    bits = [part.partition("=") for part in (found.group(2) or "").split()] if found else []
    if found is None or any(name not in HCR for name, _, _ in bits):
        return None
    hcr = sum(HCR[name] for name, _, value in bits if value == "1")
    is_vel1, has_tsc = found.group(1) == "1", bool(hcr & HCR["TSC"])
    level = (Level.VEL1_TSC if has_tsc else Level.VEL1) if is_vel1 else (Level.VEL2_TSC if has_tsc else Level.VEL2)
    return Mode(level, hcr)


def given_of(text: Any) -> Given | None:
    """What a header's cfg names, None for one without a rule.

    >>> given_of("filter: DENY 0x84000050+4").inserts, given_of("bitmaps all 0").is_cleared, given_of("other")
    (((2214592592, 4, <FilterAction.DENY: 1>),), True, None)
    """
    if text in ("default", "bitmaps all 0"):
        return Given((), text != "default")
    parts = text.removeprefix("filter: ").split(", ") if isinstance(text, str) and text.startswith("filter: ") else []
    found = [_INSERT.fullmatch(part) for part in parts]
    inserts = tuple((int(f.group(2), 16), int(f.group(3), 0), _ACTION[f.group(1)]) for f in found if f is not None)
    return Given(inserts, is_cleared=False) if 0 < len(inserts) == len(found) <= N_FILTER_ERRNO else None
