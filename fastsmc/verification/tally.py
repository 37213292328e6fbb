"""What a replay found: records counted, differences kept in full, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastsmc.results.layout import drawn, number, words
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table

MAX_DIFFERENCES = 5
"""Differences kept per host and kind; the rest are counted."""


@dataclass(slots=True, repr=False)
class Tally:
    """Records of one kind on one host.

    Attributes:
        n_record: how many were looked at.
        n_match: how many of them are what the model says, reference and vectorized path alike.
        unjudged: how many records the model cannot judge, by reason; they do not match.
        notes: inputs that had to be inferred, by kind of inference.
        differences: the first few, each the whole story.
    """

    host: str
    kind: str
    n_record: int = 0
    n_match: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def add(self, difference: str | None) -> None:
        """Counts one record, which matches if its difference is None."""
        self.n_record += 1
        if difference is None:
            self.n_match += 1
        elif len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(difference)

    def cannot_judge(self, reason: str) -> None:
        """Counts one record that the model has no rule for."""
        self.n_record += 1
        self.unjudged[reason] += 1

    def as_dict(self) -> dict[str, Any]:
        """For JSON; "inferred" are the notes."""
        return {
            "host": self.host,
            "kind": self.kind,
            "records": self.n_record,
            "match": self.n_match,
            "not_judged": dict(self.unjudged),
            "inferred": dict(self.notes),
            "differences": self.differences,
        }

    def told(self) -> Iterator[str]:
        """The differences and what could not be judged, as lines."""
        n_different = self.n_record - self.n_match - sum(self.unjudged.values())
        if n_different:
            yield f"\n{self.host} {self.kind}: {n_different} differ, the first {len(self.differences)}:"
            yield from (f"  {difference}" for difference in self.differences)
        for reason, count in self.unjudged.items():
            yield f"\n{self.host} {self.kind}: {count} not judged: the model has no rule for {reason}"

    def __repr__(self) -> str:
        return f"Tally({self.host[:60]} {self.kind}: {self.n_match} of {self.n_record} records match)"


@dataclass(slots=True, repr=False)
class Verification:
    """What the replay of some recordings found.

    Attributes:
        tallies: one per host and kind of record.
        not_looked_at: kinds of records that lie in the folders and were not replayed, with the number of hosts.
        not_known_whole: hosts whose compact copy has no list of its files, so that some may be missing.
    """

    tallies: list[Tally] = field(default_factory=list)
    not_looked_at: Counter[str] = field(default_factory=Counter)
    not_known_whole: list[str] = field(default_factory=list)

    @property
    def n_record(self) -> int:
        """How many records were looked at."""
        return sum(tally.n_record for tally in self.tallies)

    @property
    def n_match(self) -> int:
        """How many of them are what the model says."""
        return sum(tally.n_match for tally in self.tallies)

    @property
    def ok(self) -> bool:
        """Whether there was something to compare and all of it matched."""
        return self.n_record > 0 and self.n_match == self.n_record

    @property
    def answer(self) -> str:
        """One sentence: how many records match."""
        return f"{self.n_match} of {self.n_record} records match"

    def table(self) -> Table:
        """A row per host and kind of record."""
        rows = [
            {
                "host": tally.host,
                "kind": tally.kind,
                "records": tally.n_record,
                "match": tally.n_match,
                "not_judged": sum(tally.unjudged.values()),
            }
            for tally in self.tallies
        ]
        columns = ("host", "kind", "records", "match", "not_judged")
        return table_of_rows("A row per host and kind of record.", rows, "recorded", columns=columns)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: every tally, and what was not looked at."""
        return {
            "records": self.n_record,
            "match": self.n_match,
            "ok": self.ok,
            "kinds": [tally.as_dict() for tally in self.tallies],
            "not_looked_at": dict(self.not_looked_at),
            "not_known_whole": self.not_known_whole,
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.answer
        yield from drawn(
            [words("host"), words("kind"), *map(number, ("records", "match", "not judged"))],
            [
                (tally.host, tally.kind, tally.n_record, tally.n_match, sum(tally.unjudged.values()))
                for tally in self.tallies
            ],
        )
        for tally in self.tallies:
            yield from tally.told()
        for note in sorted({note for tally in self.tallies for note in tally.notes}):
            yield f"note: {sum(tally.notes[note] for tally in self.tallies)} {note}"
        if n := len(self.not_known_whole):
            copies = "a compact copy" if n == 1 else f"{n} compact copies"
            why = "made before copies listed their files, or of such a one"
            yield f"note: whether {copies} is whole is not known: {why}"
        for kind, hosts in sorted(self.not_looked_at.items()):
            yield f"not looked at: {kind} (of {hosts} host{'s' if hosts > 1 else ''})"

    def __repr__(self) -> str:
        n_host = len({tally.host for tally in self.tallies})
        return f"Verification({self.n_match} of {self.n_record} records of {n_host} hosts match)"
