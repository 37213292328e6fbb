"""Names of Linux releases: which there were, and which series and stable update a name means."""

from __future__ import annotations

import re
from difflib import get_close_matches

from fastsmc.checks import shown
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

_NUMBER = "(0|[1-9][0-9]*)"
_VERSION = re.compile(rf"v?{_NUMBER}\.{_NUMBER}(?:\.{_NUMBER})?([-+~].*)?")


def parse_version(text: object) -> Version:
    """(major, minor, update) of a release name such as "6.12", "v6.12.107" or "6.1.0-56-cloud-arm64".

    A distribution's ".0-56" counts its own packages, not stable updates, so it reads as "newest update". A release
    candidate is older than every stable update, so it reads as update 0.

    Raises:
        InputError: not a version, or not text: 6.10 as a number is 6.1.

    >>> parse_version("5.10.218"), parse_version("6.1.0-56-cloud-arm64"), parse_version("5.15-rc3")
    ((5, 10, 218), (6, 1, None), (5, 15, 0))
    """
    match = _VERSION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        shown = f"{text[:40]!r}" if isinstance(text, str) else f"{text!r} (a {type(text).__name__})"
        msg = f"release {shown} is not a Linux version: write it as text, '6.12' or '6.12.107'"
        raise InputError(msg)
    major, minor, update, suffix = match.groups()
    if re.match("[-+~]rc[0-9]", suffix or "") and int(update or 0) == 0:
        return int(major), int(minor), 0
    if update is None or (suffix and int(update) == 0):
        return int(major), int(minor), None
    return int(major), int(minor), int(update)


def check_existence(name: str, version: Version) -> None:
    """Checks that there was such a release; the sentence about one that never was names those spelled most alike.

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
    close = swapped or get_close_matches(asked, known, n=1, cutoff=0)
    meant = f"; did you mean {close[0]}?" if close else ""
    msg = f"release {shown(name)} never existed: {major}.{last} was the last {major}.x{meant}"
    raise InputError(msg)
