"""Which kernels for arm64 Debian has now, read from its lists of packages; and which of them is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

SUITES = (
    *("bullseye", "bullseye-security", "bookworm", "bookworm-security", "bookworm-backports"),
    *("trixie", "trixie-security", "trixie-backports", "testing", "sid", "experimental"),
)
"""Where kernels are looked for; those that a mirror lacks are left out."""
FLAVOURS = ("cloud-arm64", "arm64")
"""Which build of a kernel is taken: the smaller one where there is a choice. KVM is the same in both."""
_IMAGE = re.compile(r"linux-image-[\w.+~-]*?(?<!-rt)(-cloud)?-arm64")
_DETAIL = re.compile(r"(?P<numbers>\d+(\.\d+)*)(~rc(?P<rc>\d+))?")


class HostsError(Exception):
    """Why a host cannot be had, as one sentence."""


class Kernel(NamedTuple):
    """A package with a kernel, as a suite has it now."""

    package: str
    version: str
    """Debian's version, such as "7.3.4-1~bpo13+1"."""
    suite: str
    binaries: tuple[str, ...] = ()
    """Packages linux-binary-... that it depends on; since 7.x the image itself lies in one of them."""

    @property
    def release(self) -> str:
        """The release of Linux, as a kernel tells it: "7.3.4", or "7.3-rc7"."""
        return release_of(self.version)


def release_of(version: str) -> str:
    """The release of Linux in a version of a Debian package.

    >>> release_of("6.1.192-3"), release_of("7.3~rc7-1~exp1")
    ('6.1.192', '7.3-rc7')
    """
    return version.rpartition("-")[0].replace("~", "-", 1)


def series(release: str) -> str:
    """The series of a release.

    >>> series("7.3.4"), series("7.3-rc7")
    ('7.3', '7.3')
    """
    return ".".join(re.split(r"[.-]", release)[:2])


def age(version: str) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    """What versions are sorted by: the numbers, a candidate before its release, then Debian's own revision.

    >>> sorted(["7.10.1-1", "7.3.4-1", "7.3~rc7-1~exp1", "7.3-1", "7.3.4-1~bpo13+1"], key=age)
    ['7.3~rc7-1~exp1', '7.3-1', '7.3.4-1~bpo13+1', '7.3.4-1', '7.10.1-1']
    """
    upstream, _, revision = version.rpartition("-")
    found = _DETAIL.match(upstream)
    if found is None:
        return (), 0, ()
    own = tuple(-1 if one == "~" else int(one) for one in re.findall(r"\d+|~", revision))
    # A version that ends is newer than the same with "~" after it, and older than the same with a number.
    return tuple(map(int, found["numbers"].split("."))), int(found["rc"] or 1 << 30), (*own, 0)


def kernels(text: str, suite: str) -> list[Kernel]:
    """The kernels that a suite's list of packages names: signed images of the flavours that boot here.

    Args:
        text: the list, one paragraph of "Key: value" lines per package.
        suite: where the list is from.
    """
    found = []
    for paragraph in text.split("\n\n"):
        if not paragraph.lstrip("\n").startswith("Package: linux-image-"):
            continue
        fields = dict(
            line.split(": ", 1) for line in paragraph.strip().splitlines() if ": " in line and not line[0].isspace()
        )
        name, version, needs = fields["Package"], fields.get("Version", ""), fields.get("Depends", "")
        # One that depends on an image has none itself: it only names the newest of a series.
        if _IMAGE.fullmatch(name) and _DETAIL.match(version) and "linux-image-" not in needs:
            binaries = re.findall(r"linux-binary-[\w.+~-]+", needs)
            found.append(Kernel(name, version, suite, tuple(dict.fromkeys(binaries))))
    return found


def newest(found: Iterable[Kernel], wanted: str) -> Kernel:
    """The newest kernel that is meant: by package, by exact release (7.3.4), or of a series (7.3).

    Raises:
        HostsError: there is none; the sentence says what there is.
    """
    everything = sorted(found, key=lambda one: age(one.version))
    fits = [one for one in everything if wanted in (one.package, one.release, series(one.release))]
    if not fits:
        there = {series(one.release): one.release for one in everything}
        msg = f"Debian has no arm64 kernel {wanted!r} now; the newest of each series are {', '.join(there.values())}"
        raise HostsError(msg)
    best = age(fits[-1].version)
    same = [one for one in fits if age(one.version) == best]
    return min(same, key=lambda one: not one.package.endswith(FLAVOURS[0]))
