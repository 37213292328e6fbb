"""One line of `bpftrace -f json`: what a map counts, what was lost, or what a program printed besides.

Sources: bpftrace src/output.cpp up to 0.23 ({"type": "lost_events", "data": {"events": N}}), src/output/json.cpp since
({"type":"lost_events", "count":N}); its maps of histograms and of stats() count in the buckets and in "count".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

Keys = tuple[str, ...]
"""The keys of a map's entry, as text."""

BEGINS = re.compile(r'\{\s?"type":\s?"', re.ASCII)
_PRINTED = frozenset({"attached_probes", "printf", "time", "value", "cat", "join", "syscall", "benchmark_results"})
_ERRORS = frozenset({"helper_error", "runtime_error", "print_error"})
_MOST = 1 << 63  # bpftrace counts in 64 bits; Python writes no number of thousands of digits
_UPDATES = "map_update_elem"  # what fails when a map is full, and the call is counted nowhere


@dataclass(slots=True)
class Message:
    """What one line says.

    Attributes:
        counts: by map, how often each of its keys was counted.
        left_out: maps that count nothing by a key.
        n_lost, is_lost_least: events that bpftrace lost, and whether there are more without a number.
    """

    counts: dict[str, dict[Keys, int]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    n_lost: int = 0
    is_lost_least: bool = False


def message_of(line: str) -> Message | None:
    """What a line says; None if it is damaged, or of a kind that bpftrace does not write."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    kind, data, message = told.get("type"), told.get("data"), Message()
    if kind in _PRINTED:
        return message
    if kind in _ERRORS:
        message.is_lost_least = told.get("helper") in (_UPDATES, f"bpf_{_UPDATES}")
        return message
    if kind == "lost_events":
        n = told.get("count", data.get("events") if isinstance(data, dict) else None)
        message.n_lost = n if _is_count(n) else 0
        message.is_lost_least = not _is_count(n)
        return message
    if kind not in ("map", "hist", "lhist", "stats", "tseries") or not isinstance(data, dict):
        return None
    for name, value in data.items():
        if not _add_map(message, kind, name.removeprefix("@"), value):
            return None
    return message


def _add_map(message: Message, kind: str, name: str, value: Any) -> bool:
    """Adds one map to what is told; False if some of its entries count and others do not."""
    is_keyed = isinstance(value, dict) and not (kind == "stats" and "count" in value)
    counts = {tuple(key.split(",")): _count(kind, entry) for key, entry in value.items()} if is_keyed else {}
    if not counts or set(counts.values()) == {None}:
        message.left_out += [name] * (not is_keyed or bool(counts))
        return True
    if None in counts.values():
        return False
    message.counts[name] = {keys: n or 0 for keys, n in counts.items()}
    return True


def _count(kind: str, entry: Any) -> int | None:
    """How often one key was counted; None where the entry is no count, such as an average."""
    if kind == "stats":
        entry = entry.get("count") if isinstance(entry, dict) else None
    elif kind in ("hist", "lhist"):
        buckets = [each.get("count") if isinstance(each, dict) else None for each in entry or [None]]
        entry = sum(buckets) if all(map(_is_count, buckets)) else None
    elif kind == "tseries":
        return None
    return entry if type(entry) is int else None


def _is_count(n: object) -> bool:
    return type(n) is int and 0 <= n < _MOST
