"""A new recording beside the committed one of the same kernel: are the lines the same, free bits aside?

What may differ between two recordings of one kernel: the words of random numbers and of clocks, the address of a
structure in the guest, the values of registers that count time or hold the machine's own state, and what the host says
of itself in meta.json.
"""

from __future__ import annotations

import json
import lzma
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fastsmc.recordings.compact import EVERY_NTH, WHOLE_KINDS
from fastsmc.recordings.folder import CALL_KINDS

FREE = frozenset({0x8400_0053, 0xC400_0053, 0x8600_0001})
"""Ids whose answers are not the same twice: TRNG_RND of 32 and 64 bits, and PTP."""
_SUCCESS_FREE = "free"
_ANSWERS = ("x", "r", "y")


class Compared(NamedTuple):
    """One kind of record of two recordings."""

    kind: str
    n_line: int
    """Lines of the committed recording."""
    n_missing: int
    """Those of them that the new one does not have at their place in the order."""
    n_more: int
    """Lines that only the new one has, where both should have the same; 0 where the committed one is a selection."""
    first: str
    """The first line that is missing, or another sentence; "" where nothing is told."""

    @property
    def is_same(self) -> bool:
        """Whether the kernel did the same."""
        return not self.n_missing and not self.n_more

    def __str__(self) -> str:
        if self.is_same:
            return f"{self.kind:12} {self.n_line:6} lines, all there"
        return f"{self.kind:12} {self.n_line:6} lines, {self.n_missing} missing, {self.n_more} more; {self.first}"


def compare(new: Path, committed: Path) -> list[Compared]:
    """Every kind of record of a committed recording, looked for in a new one.

    Args:
        new: a host's folder, whole.
        committed: another's, whole or a compact copy, which has a selection of the calls and of the random sequences.
    """
    return [_compared(new / path.name, path) for path in sorted(committed.glob("*.jsonl.xz"))]


def added(new: Path, committed: Path) -> list[str]:
    """Names of files that only the new recording has."""
    return sorted(path.name for path in new.glob("*.xz") if not (committed / path.name).exists())


def _compared(new: Path, committed: Path) -> Compared:
    kind = committed.name.partition(".")[0]
    theirs = list(_lines(committed))
    if not new.exists():
        return Compared(kind, len(theirs), len(theirs), 0, "it was not recorded")
    places: dict[str, list[int]] = {}
    n_ours = 0
    for n_ours, line in enumerate(_lines(new), 1):
        places.setdefault(line, []).append(n_ours)
    last, n_missing, first = 0, 0, ""
    for number, line in enumerate(theirs, 1):
        found = places.get(line, [])
        at = bisect_right(found, last)
        if at < len(found):
            last = found[at]
        else:
            n_missing += 1
            first = first or f"line {number} is not there: {line if len(line) <= 160 else f'{line[:157]}...'}"
    # A new host has restored from hosts that were not there when the old one was recorded.
    is_selection = kind in EVERY_NTH or kind == "restore" or (kind in CALL_KINDS and kind not in WHOLE_KINDS)
    n_more = 0 if is_selection else max(0, n_ours - (len(theirs) - n_missing))
    return Compared(kind, len(theirs), n_missing, n_more, first)


def _lines(path: Path) -> Iterator[str]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.dumps(settled(json.loads(line)), separators=(",", ":"))


def settled(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its free bits.

    >>> settled({"id": "0x84000053", "c": "hvc0", "a": ["0x20"], "x": ["0x0", "0x0", "0x0", "0x1234"]})["x"]
    ['0x0', 'free', 'free', 'free']
    >>> settled({"id": "0x84000053", "c": "hvc0", "a": ["0x0"], "x": ["0xffffffffffffffff", "0x0"]})["x"]
    ['0xffffffffffffffff', '0x0']
    """
    if "regs" in record:
        return record | {"regs": [[reg[0], *reg[2:]] for reg in record["regs"]]}
    if "id" not in record or int(str(record["id"]), 16) & 0xFFFF_FFFF not in FREE:
        return record
    is_clock = int(str(record["id"]), 16) & 0xFFFF_FFFF == 0x8600_0001
    changed = {}
    for key in _ANSWERS:
        words = record.get(key)
        if isinstance(words, list) and words and (is_clock or words[0] == "0x0") and not _is_refused(words[0]):
            changed[key] = [_SUCCESS_FREE if at or is_clock else word for at, word in enumerate(words)]
    return record | changed


def _is_refused(word: object) -> bool:
    """Whether x0 is -1, of 32 or 64 bits: what is in the others is then not free."""
    return int(str(word), 16) in (0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)
