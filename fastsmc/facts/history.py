"""Since which release a rule holds. The releases themselves are asked, so that no version number is compared here."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

from fastsmc.facts.changes import CHANGES
from fastsmc.facts.releases import Release, release
from fastsmc.facts.versions import LAST_MINOR, NEWEST, OLDEST, Series


def series_name(row: Release) -> str:
    """The series a milestone opens, as text: "5.19"."""
    return row.name.removesuffix(".0")


@cache
def milestones() -> tuple[Release, ...]:
    """The oldest and newest release and every one that changed a rule, oldest first, without stable updates."""
    known = sorted({OLDEST, NEWEST, *(change.by for change in CHANGES)})
    return tuple(release(f"{major}.{minor}.0") for major, minor in known)


@cache
def newest() -> Release:
    """The newest release about which anything is known."""
    return release(f"{NEWEST[0]}.{NEWEST[1]}")


def span() -> str:
    """The releases about which anything is known: "5.10 to 7.3"."""
    return f"{series_name(milestones()[0])} to {series_name(milestones()[-1])}"


def since(has: Callable[[Release], bool]) -> str | None:
    """The first release of which `has` is true, with the stable updates that got it later; None where there is none.

    >>> since(lambda row: "WORKAROUND_3" in row.answers)
    '5.17 and stable 5.10.105, 5.15.28, 5.16.14'
    >>> since(lambda row: "PV_TIME" in row.answers)
    'before 5.10'
    """
    first = next((row for row in milestones() if has(row)), None)
    if first is None:
        return None
    if first is milestones()[0]:
        return f"before {series_name(first)}"
    stable = [
        f"{major}.{minor}.{update}"
        for change in CHANGES
        for (major, minor), update in change.backports.items()
        if has(release(f"{major}.{minor}.{update}")) and not has(release(f"{major}.{minor}.{update - 1}"))
    ]
    begin = series_name(first) + _bracket(has, first)
    return f"{begin} and stable {', '.join(stable)}" if stable else begin


def _bracket(has: Callable[[Release], bool], first: Release) -> str:
    """What is said of the first release of which `has` is true where it may have been true of earlier ones."""
    begins = [
        release(f"{change.after[0]}.{change.after[1]}")
        for change in CHANGES
        if change.after is not None and change.by == first.series
        if any(has(other) for doubt in _before(first).doubts for other in doubt.others if doubt.source == change.source)
    ]
    if not begins:
        return ""
    major, minor = _next(min(row.series for row in begins))
    return f" at the latest, and not before {major}.{minor}"


def _before(row: Release) -> Release:
    """The release before one."""
    major, minor = row.series
    return release(f"{major}.{minor - 1}") if minor else release(f"{major - 1}.{LAST_MINOR[major - 1]}")


def _next(series: Series) -> Series:
    """The series after one."""
    major, minor = series
    return (major + 1, 0) if LAST_MINOR.get(major) == minor else (major, minor + 1)


def turning_points(value: Callable[[Release], object]) -> list[Release]:
    """The milestones at which a value differs from the milestone before, and the oldest."""
    rows = milestones()
    return [rows[0], *(row for last, row in pairwise(rows) if value(row) != value(last))]
