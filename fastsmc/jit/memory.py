"""How much memory this process may still take, and a sentence in place of a MemoryError, before anything is computed.

Linux says what is free and what the process is held to: MemAvailable (proc(5)), RLIMIT_AS (getrlimit(2)) and the limits
of its control groups, of either version. The least of them counts. Swap does not. Other systems say nothing, so
nothing is refused there.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from fastsmc.errors import InputError

GIB = 1 << 30
_LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Of cgroup 2 and of cgroup 1: the limit, what is in use, and which row of memory.stat is only cached files."""
_NO_LIMIT = 1 << 60
"""Larger limits stand for none."""


def available() -> tuple[int, str] | None:
    """The bytes that this process may still take, and what says so; None where nothing does."""
    return min(_bounds(), default=None)


def require(n_bytes: float, what: str, remedy: str) -> None:
    """Checks that so many bytes are to be had.

    Args:
        what: begins the message: "this scenario". remedy: ends it.

    Raises:
        InputError: they are not.
    """
    found = available()
    if found is not None and n_bytes > found[0]:
        msg = f"{what} needs {in_gib(n_bytes)} of memory, and {in_gib(found[0])} are left ({found[1]}): {remedy}"
        raise InputError(msg)


def in_gib(n_bytes: float) -> str:
    """A size in GiB as messages show it."""
    gib = max(n_bytes, 0) / GIB
    return f"{gib:,.1f} GiB" if gib >= 0.1 else f"{gib:.3f} GiB"


def _bounds() -> Iterator[tuple[int, str]]:
    free = _row(Path("/proc/meminfo"), "MemAvailable:")
    if free is not None:
        yield free << 10, "MemAvailable"
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    held = _row(Path("/proc/self/status"), "VmSize:")
    if soft != resource.RLIM_INFINITY and held is not None:
        yield max(soft - (held << 10), 0), "RLIMIT_AS"
    yield from _of_cgroups(_cgroups())


def _of_cgroups(folders: Iterable[Path]) -> Iterator[tuple[int, str]]:
    """What the control groups with these folders let the process still take."""
    for folder in folders:
        for limit_name, used_name, cached_name in _LIMITS:
            limit, used = _number(folder / limit_name), _number(folder / used_name)
            if limit is not None and used is not None and limit < _NO_LIMIT:
                cached = _row(folder / "memory.stat", cached_name) or 0
                yield max(limit - used + min(cached, used), 0), f"{limit_name} of the control group"


def _cgroups(root: Path = Path("/sys/fs/cgroup"), told: Path = Path("/proc/self/cgroup")) -> Iterator[Path]:
    """The folders of this process's control groups and of those around them, as far as they can be seen from here."""
    try:
        lines = told.read_text().splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" or "memory" in controllers.split(","):
            top = root if number == "0" else root / "memory"
            inner = PurePosixPath(path.lstrip("/"))
            for one in (inner, *inner.parents):
                yield top / one


def _row(path: Path, name: str) -> int | None:
    """The number beside a name in a file with a name and a number a line; None if there is none."""
    try:
        rows = (line.split() for line in path.read_text().splitlines())
        return next((int(row[1]) for row in rows if len(row) > 1 and row[0] == name), None)
    except (OSError, ValueError):
        return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max" is no limit
        return None
