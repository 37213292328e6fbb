"""What a replay found: records counted, differences kept in full."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MAX_DIFFERENCES = 5
"""Differences kept per host and kind; the rest are counted."""


@dataclass(slots=True)
class Tally:
    """Records of one kind on one host.

    Attributes:
        n_record: looked at. n_match: the model says what was recorded, reference and vectorized path alike.
        unjudged: records the model cannot judge, by reason; they do not match.
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
        """Counts one record; None: it matches."""
        self.n_record += 1
        if difference is None:
            self.n_match += 1
        elif len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(difference)

    def cannot_judge(self, reason: str) -> None:
        """Counts one record that the model has no rule for."""
        self.n_record += 1
        self.unjudged[reason] += 1


@dataclass(slots=True)
class Verification:
    """All tallies of one run.

    Attributes:
        not_looked_at: kinds of records that lie in the folders and were not replayed, with the number of hosts.
    """

    tallies: list[Tally] = field(default_factory=list)
    not_looked_at: Counter[str] = field(default_factory=Counter)

    @property
    def n_record(self) -> int:
        return sum(tally.n_record for tally in self.tallies)

    @property
    def n_match(self) -> int:
        return sum(tally.n_match for tally in self.tallies)

    @property
    def ok(self) -> bool:
        """Whether there was something to compare and all of it matched."""
        return self.n_record > 0 and self.n_match == self.n_record
