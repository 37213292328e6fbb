"""A new recording beside the committed one of the same kernel: are the lines the same, free bits aside?

What may differ between two recordings of one kernel: the words of random numbers and of clocks, the address of a
structure in the guest, the values of registers that count time or hold the machine's own state, and what the host says
of itself in meta.json.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

FREE = frozenset({0x8400_0053, 0xC400_0053, 0x8600_0001})
"""Ids whose answers are not the same twice: TRNG_RND of 32 and 64 bits, and PTP."""
_SUCCESS_FREE = "free"
_ANSWERS = ("x", "r", "y")


class Compared(NamedTuple):
    """One kind of record of two recordings."""

    kind: str
    n_line: int
    """Lines of the committed recording."""
    n_other: int
    """Lines that are not the same, by their place, and lines that only one has."""
    first: str
    """The first of those, as a sentence; "" where there is none."""

    def __str__(self) -> str:
        if not self.n_other:
            return f"{self.kind:12} {self.n_line:6} lines, all the same"
        return f"{self.kind:12} {self.n_line:6} lines, {self.n_other} not the same; {self.first}"


def compare(new: Path, committed: Path) -> list[Compared]:
    """Every kind of record of a committed recording, beside the same of a new one; both compact, or both whole.

    Args:
        new: a host's folder.
        committed: another's; kinds that only the new one has are left out.
    """
    return [_compared(new / path.name, path) for path in sorted(committed.glob("*.jsonl.xz"))]


def added(new: Path, committed: Path) -> list[str]:
    """Names of files that only the new recording has."""
    return sorted(path.name for path in new.glob("*.xz") if not (committed / path.name).exists())


def _compared(new: Path, committed: Path) -> Compared:
    kind = committed.name.partition(".")[0]
    ours = list(_lines(new)) if new.exists() else []
    theirs = list(_lines(committed))
    n_other, first = 0, ""
    for number, (line, expected) in enumerate(zip_longest(ours, theirs), 1):
        if line != expected:
            n_other += 1
            first = first or f"line {number} is {_short(line)}, and was {_short(expected)}"
    return Compared(kind, len(theirs), n_other, first if new.exists() else "it was not recorded")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield settled(json.loads(line))


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


def _short(record: dict[str, Any] | None) -> str:
    if record is None:
        return "missing"
    text = json.dumps(record, separators=(",", ":"))
    return text if len(text) <= 160 else f"{text[:157]}..."
