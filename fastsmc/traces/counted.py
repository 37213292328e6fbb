"""Counts of calls by function id: maps that bpftrace prints, and histograms of the kernel (hist triggers).

A map is taken for one of function ids if one of its keys is an id that KVM names: its text does not say what it counts.

Sources: bpftrace src/output.cpp (maps, histograms, statistics); Linux kernel/trace/trace_events_hist.c
(hist_trigger_show, hist_trigger_entry_print).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from fastsmc.calls.counts import Counts
from fastsmc.checks import LAST_U32, LAST_U64
from fastsmc.errors import TraceError
from fastsmc.facts.smccc import FUNCTION_BY_ID

_MAP = re.compile(r"@(\w{0,128})\[([^\]]{1,256})\]:\s*(?:count )?(-?\d{1,20})?(?:,? .{0,200}|\s*)", re.ASCII)
_BUCKET = re.compile(r"[\[(][^|]{0,80}[\])]\s+(\d{1,20})\s+\|[@ ]*\|\s*", re.ASCII)
_BPFTRACE = re.compile(
    r"Attach(?:ing|ed) \d+ probes?(?:\.\.\.)?\s*|\^C\s*|(?:WARNING: )?Lost (?P<lost>\d{1,18}) events\s*", re.ASCII
)
_HIST = re.compile(r"\{ ([^{}]{1,300}) \}\s+hitcount:\s+(\d{1,20})(?:\s.*|)\s*", re.ASCII)
_HIST_KEY = re.compile(r"\br0:\s*([0-9a-fA-F]{1,20})\b", re.ASCII)
_HIST_NOTE = re.compile(
    r"\s+Hits: (?P<hits>\d{1,20})\s*|\s+Dropped: (?P<dropped>\d{1,20})\s*|Totals:\s*|\s+Entries: \d+\s*"
)
_TRIGGER = re.compile(r"# trigger info: hist:.*\br0\.hex\b", re.ASCII)
_MOST = 1 << 53
"""Calls that a count may stand for; more is damage."""


@dataclass(slots=True)
class Counted:
    """What the lines of maps and histograms have said so far."""

    maps: dict[str, dict[tuple[str, ...], int]] = field(default_factory=dict)
    hist: dict[str, int] = field(default_factory=dict)
    is_hex: bool = False
    n_lost: int = 0
    n_hit: int = 0
    _open: tuple[str, tuple[str, ...]] | None = None

    def __bool__(self) -> bool:
        """Whether there was a count."""
        return bool(self.maps or self.hist)

    def takes(self, line: str) -> bool:
        """Takes a line of a map or a histogram over; False if it is none, or damaged."""
        if found := _HIST.fullmatch(line):
            return self._add_hist(found[1], int(found[2]))
        if found := _MAP.fullmatch(line):
            keys = tuple(key.strip() for key in found[2].split(","))
            self._open = found[1], keys
            return self._add(int(found[3] or 0))
        if self._open and (found := _BUCKET.fullmatch(line)):
            return self._add(int(found[1]))
        if line.startswith('{"type": "'):
            return self._add_json(line)
        if found := _BPFTRACE.fullmatch(line) or _HIST_NOTE.fullmatch(line):
            named = found.groupdict()
            self.n_lost += int(named.get("lost") or named.get("dropped") or 0)
            self.n_hit += int(named.get("hits") or 0)
            return True
        return False

    def notes(self, line: str) -> None:
        """Takes over what a comment says of the histogram."""
        self.is_hex = self.is_hex or _TRIGGER.match(line) is not None

    def _add(self, n: int) -> bool:
        assert self._open is not None
        name, keys = self._open
        counts = self.maps.setdefault(name, {})
        new = counts.get(keys, 0) + n
        if not (n >= 0 and new < _MOST):
            return False
        counts[keys] = new
        return True

    def _add_json(self, line: str) -> bool:
        """Takes over a line of bpftrace -f json, whose maps count by one key."""
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            return False
        if told.get("type") != "map" or not isinstance(told.get("data"), dict):
            return told.get("type") in ("attached_probes", "printf", "time")
        for name, by_key in told["data"].items():
            pairs = by_key.items() if isinstance(by_key, dict) else ()
            for key, n in pairs:
                self._open = name.removeprefix("@"), tuple(key.split(","))
                if type(n) is not int or not self._add(n):
                    return False
        return True

    def _add_hist(self, text: str, n: int) -> bool:
        key = _HIST_KEY.search(text)
        if key is None or self.hist.get(key[1].lower(), 0) + n >= _MOST:
            return False
        self.hist[key[1].lower()] = self.hist.get(key[1].lower(), 0) + n
        return True

    def result(self, name: str, where: str, *, n_skipped: int, first_skipped_line: int) -> Counts:
        """The counts by function id.

        Raises:
            TraceError: no map counts by function id, or several do.
        """
        found = {f"bpftrace map @{map_name}": by_id for map_name, keys in self.maps.items() if (by_id := _ids(keys))}
        if self.hist and (by_id := _hist_ids(self.hist, is_hex=self.is_hex)):
            found["hist trigger"] = by_id
        if len(found) != 1:
            names = f"{', '.join(list(found)[:3])}{', ...' * (len(found) > 3)}"
            have = f"several maps count by function id ({names})" if found else _NO_ID
            message = f"{where}: {have}; {_HOW}"
            raise TraceError(message)
        ((kind, by_id),) = found.items()
        ordered = sorted(by_id.items(), key=lambda item: -item[1])
        hidden = max(0, self.n_hit - sum(self.hist.values())) if self.hist else 0
        return Counts(
            name,
            kind,
            np.array([func_id for func_id, _ in ordered], np.uint32),
            np.array([n for _, n in ordered], np.int64),
            self.n_lost + hidden,
            n_skipped,
            first_skipped_line,
        )


_NO_ID = "counts, but by no key that is a function id KVM names"
_HOW = (
    "count one map by r0, for instance bpftrace -e 'tracepoint:kvm:kvm_hvc_arm64 { @[args.r0] = count(); }' or "
    "hist:keys=r0.hex"
)


def _ids(keys: dict[tuple[str, ...], int]) -> dict[int, int]:
    """Counts by function id, from the one column of keys that has such; empty if no column, or several, have."""
    columns = []
    for column in range(min(map(len, keys))):
        numbers = [_number(each[column]) for each in keys]
        if None not in numbers and any(number in FUNCTION_BY_ID for number in numbers):
            columns.append(column)
    if len(columns) != 1:
        return {}
    return _added((_number(each[columns[0]]) or 0, n) for each, n in keys.items())


def _hist_ids(hist: dict[str, int], *, is_hex: bool) -> dict[int, int]:
    """Counts by function id. A histogram without its header does not say whether it is hexadecimal; the ids do."""
    for base in (16,) if is_hex else (10, 16):
        try:
            by_id = _added((int(key, base), n) for key, n in hist.items())
        except ValueError:
            continue
        if is_hex or any(func_id in FUNCTION_BY_ID for func_id in by_id):
            return by_id
    return {}


def _added(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    by_id: dict[int, int] = {}
    for number, n in pairs:
        by_id[number & LAST_U32] = by_id.get(number & LAST_U32, 0) + n
    return {func_id: n for func_id, n in by_id.items() if n}


def _number(text: str) -> int | None:
    try:
        number = int(text, 0)
    except ValueError:
        return None
    number += (1 << 64) * (number < 0)
    return number if 0 <= number <= LAST_U64 else None
