"""Counts of calls by function id: maps that bpftrace prints, and histograms of the kernel (hist triggers).

A map is taken for one of function ids if one of its keys is an id that KVM names: its text does not say what it counts.

Sources: bpftrace src/output.cpp (maps, histograms, statistics); Linux kernel/trace/trace_events_hist.c
(hist_trigger_show, hist_trigger_entry_print).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from fastsmc.calls.counts import Counts
from fastsmc.checks import LAST_U32, LAST_U64
from fastsmc.errors import TraceError
from fastsmc.facts.smccc import FUNCTION_BY_ID
from fastsmc.traces.bpftrace_json import BEGINS, Keys, message_of

_MAP = re.compile(
    r"@(?P<name>\w{0,128})\[(?P<keys>[^\]]{1,256})\]:\s*"
    r"(?:(?P<n>\d{1,20})|count (?P<of_stats>\d{1,20}), average -?\d{1,20}, total -?\d{1,20})?\s*",
    re.ASCII,
)
_HARMED = re.compile(r"0x(?![0-9a-fA-F]{1,16}$)", re.ASCII)
_OTHER_MAP = re.compile(r"@(\w{0,128})(?::(?:\s.{0,300}|)|\[[^\]]{1,256}\]:\s*[^\s\d@-].{0,300})", re.ASCII)
_BUCKET = re.compile(r"[\[(][^|]{0,80}[\])]\s+(\d{1,20})\s+\|[@ ]*\|\s*", re.ASCII)
_BPFTRACE = re.compile(
    r"Attach(?:ing|ed) \d+ probes?(?:\.\.\.)?\s*|\^C\s*|(?:WARNING: )?Lost (?P<lost>\d{1,18}) events\s*"
    r"|.{0,200}WARNING: (?P<full>Map full|Failed to map_update_elem)\b.*|Additional Info - helper: .*",
    re.ASCII,
)
_HIST = re.compile(r"\{ ([^{}]{1,300}) \}\s+hitcount:\s+(\d{1,20})(?:\s.*|)\s*", re.ASCII)
_HIST_KEY = re.compile(r"\br0:\s*([0-9a-fA-F]{1,20})\b", re.ASCII)
_HIST_NOTE = re.compile(r"Hits: (?P<hits>\d{1,20})|Dropped: (?P<dropped>\d{1,20})|Totals:|Entries: \d+")
_TRIGGER = re.compile(r"# trigger info: hist:.*\br0\.hex\b", re.ASCII)
_ROW = re.compile(r"\s{0,64}(?:@\w{0,128}\[|\{ [^{}]{0,300}\bhitcount:|\{ \w{1,40}: |" + BEGINS.pattern + ")", re.ASCII)
_READABLE = re.compile(
    r"\][:\s]\s*(?:count )?(\d{1,20})(?:\s*$|, average )|\bhitcount:\s+(\d{1,20})\s*(?:$|\w)", re.ASCII
)
_MOST = 1 << 53
"""Calls that a count may stand for, and all counts of a file; more is damage."""
_MOST_ENTRIES = 1 << 20
"""Entries that may be read, those of maps that are printed again and again among them."""
_MOST_FUNCTIONS = 1 << 13
"""Functions that may be counted; KVM names some hundred."""
_MOST_KEYS = 1 << 17
"""Keys that the entries of a file may have; a map of bpftrace has 4096 entries unless it is told otherwise."""


@dataclass(slots=True)
class Counted:
    """What the lines of maps and histograms have said so far."""

    maps: dict[str, dict[Keys, int]] = field(default_factory=dict)
    hist: dict[str, int] = field(default_factory=dict)
    is_hex: bool = False
    n_lost: int = 0
    is_lost_least: bool = False
    n_hit: int = 0
    n_skipped_call: int = 0
    is_skipped_least: bool = False
    left_out: dict[str, None] = field(default_factory=dict)
    repeated: dict[str, None] = field(default_factory=dict)
    n_key: int = 0
    n_entry: int = 0
    _n_call: int = 0
    _open: tuple[str, Keys] | None = None

    def __bool__(self) -> bool:
        """Whether there was a map or a histogram."""
        return bool(self.maps or self.hist or self.left_out)

    def takes(self, line: str) -> bool:
        """Takes a line of a map or a histogram over; False if it is none, or damaged."""
        line = line.strip()  # a page may have it indented
        if found := _HIST.fullmatch(line):
            return self._add_hist(found[1], int(found[2]))
        if found := _MAP.fullmatch(line):
            keys = _keys(found["keys"])
            if any(_HARMED.match(key) for key in keys):  # one such key would cost the whole map its column of ids
                return False
            return self._add(found["name"], keys, int(found["n"] or found["of_stats"] or 0))
        if found := _BUCKET.fullmatch(line):
            return self._add_bucket(int(found[1]))
        if BEGINS.match(line):
            return self._add_json(line)
        if (found := _OTHER_MAP.fullmatch(line)) and found[1] not in self.maps:
            self.left_out[f"@{found[1]}"], self._open = None, None
            self.n_key += 1
            return True
        if found := _BPFTRACE.fullmatch(line) or _HIST_NOTE.fullmatch(line):
            named = found.groupdict()
            self.n_lost += int(named.get("lost") or named.get("dropped") or 0)
            self.is_lost_least |= bool(named.get("full"))
            self.n_hit += int(named.get("hits") or 0)
            return True
        return False

    def has_too_many(self) -> bool:
        """Whether there are more entries than a map, or a histogram, of function ids has."""
        return self.n_key > _MOST_KEYS or self.n_entry > _MOST_ENTRIES

    def notes(self, line: str) -> None:
        """Takes over what a comment says of the histogram."""
        self.is_hex = self.is_hex or _TRIGGER.match(line) is not None

    def skips(self, line: str, *, is_whole: bool) -> None:
        """Counts the calls of a row that is damaged, as far as its count can be read.

        Args:
            is_whole: the row has its line end, so that no digit is missing.
        """
        if not is_row(line):
            return
        found = _READABLE.search(line) if is_whole and not BEGINS.match(line) else None
        n = int(found[1] or found[2]) if found else _MOST
        self.n_skipped_call += n * (n < _MOST)
        self.is_skipped_least |= n >= _MOST

    def _is_sound(self, n: int) -> bool:
        """Whether a row may add this many calls; its counts are added up, and their sum must stay a number of calls."""
        return 0 <= n < _MOST and self._n_call + n < _MOST

    def _add(self, name: str, keys: Keys, n: int) -> bool:
        """Adds an entry. One that was there before is of another print, cleared between or not, which is not told."""
        if not self._is_sound(n):
            self._open = None
            return False
        counts = self.maps.setdefault(name, {})
        if keys in counts:
            self.repeated[name] = None
        else:
            self.n_key += len(keys)
        self.n_entry += 1
        self._open = name, keys
        self._n_call += n
        counts[keys] = n
        return True

    def _add_bucket(self, n: int) -> bool:
        """Adds a bucket to the entry that a map of histograms opened; a histogram without keys is left out."""
        if self._open is None:
            return bool(self.left_out)
        if not self._is_sound(n):
            return False
        name, keys = self._open
        self._n_call += n
        self.maps[name][keys] += n
        return True

    def _add_json(self, line: str) -> bool:
        """Adds the maps of a line, all of them or none."""
        told = message_of(line)
        if told is None:
            return False
        entries = [(name, keys, n) for name, counts in told.counts.items() for keys, n in counts.items()]
        if any(n < 0 for _, _, n in entries) or not self._is_sound(sum(n for _, _, n in entries)):
            return False
        self.n_lost += told.n_lost
        self.is_lost_least |= told.is_lost_least
        self.left_out |= {f"@{name}": None for name in told.left_out}
        self.n_key += len(told.left_out)
        return all(self._add(name, keys, n) for name, keys, n in entries)

    def _add_hist(self, text: str, n: int) -> bool:
        if _HIST_KEY.search(text) is None or not self._is_sound(n):
            return False
        if text in self.hist:
            self.repeated[_HIST_NAME] = None
        else:
            self.n_key += 1
        self._n_call += n
        self.hist[text] = n
        return True

    def result(self, name: str, where: str, *, n_skipped: int, first_skipped_line: int) -> Counts:
        """The counts by function id.

        Raises:
            TraceError: no map counts by function id, several do, or one was printed more than once.
        """
        found = {f"@{map_name}": by_id for map_name, keys in self.maps.items() if (by_id := _ids(keys))}
        hist = _hist_ids(self.hist, is_hex=self.is_hex)
        found |= {_HIST_NAME: hist} if hist else {}
        if len(found) != 1:
            names = f"{', '.join(list(found)[:3])}{', ...' * (len(found) > 3)}"
            have = f"several maps count by function id ({names})" if found else _NO_ID
            message = f"{where}: {have}; {_HOW}"
            raise TraceError(message)
        ((kind, by_id),) = found.items()
        if kind.removeprefix("@") in self.repeated:
            message = f"{where}: {kind} {_TWICE}"
            raise TraceError(message)
        if len(by_id) > _MOST_FUNCTIONS:
            message = f"{where}: {kind} counts more than {_MOST_FUNCTIONS} functions; {TOO_MANY}"
            raise TraceError(message)
        ordered = sorted(by_id.items(), key=lambda item: -item[1])
        hidden = max(0, self.n_hit - sum(self.hist.values())) if self.hist else 0
        others = [f"@{map_name}" for map_name in self.maps]
        return Counts(
            name,
            kind if hist else f"bpftrace map {kind}",
            np.array([func_id for func_id, _ in ordered], np.uint32),
            np.array([n for _, n in ordered], np.int64),
            n_lost=self.n_lost + hidden,
            is_lost_least=self.is_lost_least,
            n_skipped=n_skipped,
            first_skipped_line=first_skipped_line,
            n_skipped_call=self.n_skipped_call,
            is_skipped_least=self.is_skipped_least,
            left_out=tuple(other for other in dict.fromkeys([*others, *self.left_out]) if other != kind),
        )


def is_row(line: str) -> bool:
    """Whether a line that is not understood was a row of a map or a histogram."""
    return _ROW.match(line) is not None


_HIST_NAME = "hist trigger"
_TWICE = (
    "is printed more than once, and its text does not say whether it was cleared in between; keep one print of it, the "
    "last if it was not cleared"
)
TOO_MANY = "see whether the file is what a tracer wrote; of a guest that tries ids, trace one part at a time"
_NO_ID = "counts, but by no key that is a function id KVM names"
_HOW = (
    "count one map by r0, for instance bpftrace -e 'tracepoint:kvm:kvm_hvc_arm64 { @[args.r0] = count(); }' or "
    "hist:keys=r0.hex"
)


def _keys(text: str) -> Keys:
    return tuple(key.strip() for key in text.split(","))


def _ids(keys: dict[Keys, int]) -> dict[int, int]:
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
            by_id = _added((int(_HIST_KEY.findall(text)[0], base), n) for text, n in hist.items())
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
