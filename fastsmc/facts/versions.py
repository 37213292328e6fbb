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

ENDED: dict[Series, int] = {
    **{(4, 4): 302, (4, 9): 337, (4, 14): 336, (4, 19): 325, (5, 0): 21, (5, 1): 21, (5, 2): 21, (5, 3): 18},
    **{(5, 4): 302, (5, 5): 19, (5, 6): 19, (5, 7): 19, (5, 8): 18, (5, 9): 16},
    **{(5, 11): 22, (5, 12): 19, (5, 13): 19, (5, 14): 21, (5, 16): 20, (5, 17): 15, (5, 18): 19, (5, 19): 17},
    **{(6, 0): 19, (6, 2): 16, (6, 3): 13, (6, 4): 16, (6, 5): 13, (6, 7): 12, (6, 8): 12, (6, 9): 12, (6, 10): 14},
    **{(6, 11): 11, (6, 13): 12, (6, 14): 11, (6, 15): 11, (6, 16): 12, (6, 17): 13},
}
"""The last stable update of each series that ended.

Source: endoflife.date, products/linux-kernel.md at commit 0118c3037fa9, which has the mail that announced each end;
4.4 and 5.0 to 5.9 but 5.4, which it does not list, from memory.
"""
NEWEST_UPDATE: dict[Series, int] = {
    **{(5, 10): 271, (5, 15): 222, (6, 1): 192, (6, 6): 158, (6, 12): 118, (6, 18): 55},
    **{(6, 19): 14, (7, 0): 14, (7, 1): 13, (7, 2): 13, (7, 3): 4},
}
"""The newest stable update known of each other series, of November 2026.

Sources: the stable updates announced on 3 October 2026 (5.10.271, 5.15.222, 6.6.158, 6.18.55); Debian's packages
(6.1.192, 6.12.118, 6.19.14, 7.1.13, 7.2.13, 7.3.4); a Proxmox kernel's name (7.0.14).
"""

_PERHAPS_ENDED = {(6, 19), (7, 0), (7, 1)}
"""Series of which no further update is expected, neither longterm nor the newest two, and whose last is not known."""

_NUMBER = "(0|[1-9][0-9]{0,5})"
_VERSION = re.compile(rf"[vV]?{_NUMBER}\.{_NUMBER}(?:\.{_NUMBER})?((?:\.[0-9]{{1,6}})?[-+~_][!-~]*)?")
"""Azure Linux and WSL have a fourth number before their suffix, which is printable ASCII without blanks."""
_FIRST_NUMBER = re.compile(r"[0-9].*")
_LONGEST = 80
"""Characters of a text in which a version is looked for."""
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
        what = shown(text) if isinstance(text, str) else f"{shown(text)} (a {type(text).__name__})"
        near = near_release(text) if isinstance(text, str) else ""
        hint = f"; did you mean {near}?" if near else ""
        msg = f"release {what} is not a Linux version: write it as text, '6.12' or '6.12.107'{hint}"
        raise InputError(msg)
    major, minor, update, suffix = match.groups()
    return int(major), int(minor), None if update is None else int(update), suffix or ""


def bare(name: str) -> str:
    """A release's name without blanks around it and the v that tags have before it.

    >>> bare(" v6.12"), bare("6.12")
    ('6.12', '6.12')
    """
    name = name.strip()
    return name[1:] if name[:1] in ("v", "V") else name


def near_release(text: str) -> str:
    """What a text that is no version may mean: the version in it, with points between the numbers; "" for none.

    >>> [near_release(text) for text in ("6,12", "linux 6.12.107", "vmlinuz-6.1.0-50-arm64", "6.12.x", "612", "newest")]
    ['6.12', '6.12.107', '6.1.0-50-arm64', '6.12', '6.12', '']
    """
    found = _FIRST_NUMBER.search(text[:_LONGEST])
    if found is None:
        return ""
    begun = re.sub(r"(?<=[0-9])[,_;:](?=[0-9])", ".", found[0].strip(" .,;:/\"'"))
    if _VERSION.fullmatch(begun):
        return begun
    numbers = re.match(r"([0-9]{1,2})[^0-9]{1,2}([0-9]{1,2})(?:\.([0-9]{1,3}))?(?![0-9])", begun)
    if numbers is None:
        numbers = re.fullmatch(r"([4-9])([0-9]{1,2})()", begun)
    if numbers is None:
        return ""
    near = ".".join(part.lstrip("0") or "0" for part in numbers.groups() if part)
    return near if _VERSION.fullmatch(near) else ""


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
    last = ENDED.get(series)
    near = "" if last is None else f"{series[0]}.{series[1]}.{last}"
    never = bool(near) and is_plain and update is not None and update > (last or 0)
    if not OLDEST <= series <= NEWEST:
        what = "newer than any of them: nothing is known of it" if series > NEWEST else "older than any of them"
        span = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
        msg = f"release {cut(name)} is outside {span}, the releases fastsmc knows; it is {what}"
        more = f"nor did it exist: {near} was the last {series[0]}.{series[1]}.x" if never else vendor
        raise InputError(f"{msg}; {more}" if more else msg)
    if never:
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
    if (major, minor) in ENDED:
        return (f"newer than {known}, the last update of {major}.{minor}: judged as that one",)
    ended = ", and its series has ended: perhaps it never existed" if (major, minor) in _PERHAPS_ENDED else ""
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
