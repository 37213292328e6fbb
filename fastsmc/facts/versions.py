"""Names of Linux releases: which there were, and which series and stable update a name means."""

from __future__ import annotations

import re

from fastsmc.checks import cut, shown
from fastsmc.errors import InputError

Series = tuple[int, int]
"""(major, minor): the release that opened it, and all its stable updates."""
Version = tuple[int, int, int | None]
"""(major, minor, stable update); None as the third part stands for the newest update of that series."""

OLDEST, NEWEST = (5, 10), (7, 3)
"""First and last release whose kernel was recorded; outside them no claim is made."""
LAST_MINOR = {2: 6, 3: 19, 4: 20, 5: 19, 6: 19}
"""The last minor number of each major one that is closed: 5.19 was followed by 6.0, and 6.19 by 7.0. Source: the
release tags of Linux."""

ENDED: dict[Series, int] = {(5, 19): 17, (6, 2): 16, (6, 8): 12}
"""The last stable update of series that ended, where a tag or mail of its end was seen."""
NEWEST_UPDATE: dict[Series, int] = {
    **{(5, 10): 271, (5, 15): 222, (6, 1): 192, (6, 6): 158, (6, 12): 118, (6, 18): 55},
    **{(6, 16): 12, (6, 17): 13, (6, 19): 14, (7, 0): 14, (7, 1): 13, (7, 2): 13, (7, 3): 4},
    **{(5, 11): 22, (5, 12): 19, (5, 13): 19, (5, 14): 21, (5, 16): 20, (5, 17): 15, (5, 18): 19},
    **{(6, 0): 19, (6, 3): 13, (6, 4): 16, (6, 5): 13, (6, 7): 12, (6, 9): 12, (6, 10): 14, (6, 11): 11},
    **{(6, 13): 12, (6, 14): 11, (6, 15): 11},
}
"""The newest stable update known of each series, of November 2026.

Sources: the stable updates announced on 3 October 2026 (5.10.271, 5.15.222, 6.6.158, 6.18.55); Debian's packages
(6.1.192, 6.12.118, 6.16.12, 6.17.13, 6.19.14, 7.1.13, 7.2.13, 7.3.4); a Proxmox kernel's name (7.0.14). The last two
lines are series that ended long ago, from memory.
"""

_GOING_ON = {(5, 10), (5, 15), (6, 1), (6, 6), (6, 12), (6, 18), (7, 2), (7, 3)}
_LONG_ENDED = frozenset(NEWEST_UPDATE) - _GOING_ON
"""Series of which no further update is expected: neither longterm nor the newest two."""

_NUMBER = "(0|[1-9][0-9]{0,5})"
_VERSION = re.compile(rf"v?{_NUMBER}\.{_NUMBER}(?:\.{_NUMBER})?((?:\.[0-9]{{1,6}})?[-+~_][!-~]*)?")
"""Azure Linux and WSL have a fourth number before their suffix, which is printable ASCII without blanks."""
_CANDIDATE = re.compile(r"[-+~](0\.)?rc[0-9]")
"""What follows the version of a release candidate; Fedora writes -0.rc3."""


def parse_version(text: object) -> Version:
    """(major, minor, update) of a release name such as "6.12", "v6.12.107" or "6.1.0-56-cloud-arm64".

    A distribution's ".0-56" counts its own packages, not stable updates, so it reads as "newest update". A release
    candidate is older than every stable update, so it reads as update 0.

    Raises:
        InputError: not a version, or not text: 6.10 as a number is 6.1.

    >>> parse_version("5.10.218"), parse_version("6.1.0-56-cloud-arm64"), parse_version("5.15-rc3")
    ((5, 10, 218), (6, 1, None), (5, 15, 0))
    """
    major, minor, update, suffix = split_version(text)
    if _CANDIDATE.match(suffix) and not update:
        return major, minor, 0
    return major, minor, None if suffix and update == 0 else update


def split_version(text: object) -> tuple[int, int, int | None, str]:
    """(major, minor, third number, suffix) of a release name, as written.

    Raises:
        InputError: not a version, or not text.

    >>> split_version("6.6.104.2-4.azl3")
    (6, 6, 104, '.2-4.azl3')
    """
    match = _VERSION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        what = f"{shown(text)}" if isinstance(text, str) else f"{text!r} (a {type(text).__name__})"
        msg = f"release {what} is not a Linux version: write it as text, '6.12' or '6.12.107'"
        raise InputError(msg)
    major, minor, update, suffix = match.groups()
    return int(major), int(minor), None if update is None else int(update), suffix or ""


def check_known(name: str, version: Version, vendor: str = "", *, is_plain: bool = True) -> None:
    """Checks that there was such a release, and that something is known of it.

    Args:
        vendor: whose kernel it is and what is known of it, for the refusal.
        is_plain: it is mainline's own; others may number their updates as they like.

    Raises:
        InputError: there never was one, it is newer or older than all that are known, or its series ended before it.
    """
    check_existence(name, version)
    series, update = version[:2], version[2]
    if not OLDEST <= series <= NEWEST:
        what = "newer than any of them: nothing is known of it" if series > NEWEST else "older than any of them"
        span = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
        msg = f"release {cut(name)} is outside {span}, the releases fastsmc knows; it is {what}"
        raise InputError(f"{msg}; {vendor}" if vendor else msg)
    last = ENDED.get(series)
    if is_plain and last is not None and update is not None and update > last:
        near = f"{series[0]}.{series[1]}.{last}"
        msg = (
            f"release {shown(name)} never existed: {near} was the last {series[0]}.{series[1]}.x; did you mean {near}?"
        )
        raise InputError(msg)


def stable_note(version: Version) -> tuple[str, ...]:
    """What must be said of a stable update that is newer than the newest one known of its series; else nothing."""
    major, minor, update = version
    newest = NEWEST_UPDATE.get((major, minor), ENDED.get((major, minor)))
    if newest is None or update is None or update <= newest:
        return ()
    known = f"{major}.{minor}.{newest}"
    ended = ", and its series has ended: perhaps it never existed" if (major, minor) in _LONG_ENDED else ""
    return (f"newer than {known}, the newest update of {major}.{minor} that is known: judged as that one{ended}",)


def check_existence(name: str, version: Version) -> None:
    """Checks that there was such a release; the sentence about one that never was names a near one.

    That has the same digits in another order, or else it is the last.

    Raises:
        InputError: there was none.
    """
    major, minor, _ = version
    last = LAST_MINOR.get(major)
    if last is None or minor <= last:
        return
    asked = f"{major}.{minor}"
    known = [f"{major}.{n}" for n in range(last + 1) if OLDEST <= (major, n) <= NEWEST]
    swapped = [each for each in known if sorted(each) == sorted(asked)]
    close = swapped or known[-1:]
    meant = f"; did you mean {close[0]}?" if close else ""
    msg = f"release {shown(name)} never existed: {major}.{last} was the last {major}.x{meant}"
    raise InputError(msg)
