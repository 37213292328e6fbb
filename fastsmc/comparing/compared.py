"""What a comparison found: a row per figure that two results have, and what is different of their making."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from fastsmc.checks import escaped
from fastsmc.results.headings import cell
from fastsmc.results.intervals import LEVEL, Estimate, finite, of_ratio, verdict_of
from fastsmc.results.tables import Column, ColumnKind, Table
from fastsmc.results.units import number_of, significant

SAME, HIGHER, LOWER, UNKNOWN = "same", "higher", "lower", "unknown"
GONE, NEW, OTHER = "gone", "new", "other"
VERDICTS = (HIGHER, LOWER, SAME, UNKNOWN, GONE, NEW, OTHER)
"""Of a ratio: higher, lower, same, or unknown where no spread is saved. Of what has no ratio: gone where only the base
has it, new where only the other file has it, other where both have it with another value."""
_UNITS = ("ns", "us", "ms", "s", "percent")
_FIGURES: dict[str, ColumnKind] = {
    "simulation": "modelled",
    "benchmark": "measured",
    "registers": "recorded",
    "plan": "modelled",
}
"""How the figures of a kind of result came about."""
BY_CHANCE = f"an interval holds the ratio in {LEVEL:.0%} of cases: of many figures a few differ by chance"

Told = float | str | None
"""A figure, or a text where a row is of something that is no number; None: unknown, or the file has none."""


class Row(NamedTuple):
    """A figure of the base and of another file.

    Attributes:
        of: what the figure is of: a group of VMs, a benchmark, a row of a plan, a register.
        metric: which figure, its unit at the end where it has one: `response_p99_ns`.
        file: the file that is compared with the base.
        base, value: the figure in the base and in the file.
        ratio: the file's over the base's, with its interval; None where there is none.
        verdict: one of VERDICTS.
    """

    of: str
    metric: str
    file: str
    base: Told
    value: Told
    ratio: Estimate | None
    verdict: str

    @classmethod
    def measured(cls, of: str, metric: str, file: str, first: Estimate, second: Estimate) -> Row:
        """A row of two sampled figures, judged by the interval of their ratio."""
        ratio = of_ratio(first, second)
        return cls(of, metric, file, first.value, second.value, ratio, verdict_of(ratio))

    @classmethod
    def computed(cls, of: str, metric: str, file: str, first: Told, second: Told) -> Row:
        """A row of two figures that are known exactly, so that any difference is one; or of two texts."""
        ratio = None
        if isinstance(first, int | float) and isinstance(second, int | float):
            ratio = of_ratio(Estimate(first), Estimate(second))
        verdict = verdict_of(ratio, is_exact=True) if ratio else SAME if first == second else OTHER
        return cls(of, metric, file, first, second, ratio, verdict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the interval is null where no spread is saved, and a limit where there is no end."""
        ratio = self.ratio
        interval = None if ratio is None or ratio.low is None else finite([ratio.low, ratio.high])
        return {
            "of": self.of,
            "metric": self.metric,
            "file": self.file,
            "base": _finite(self.base),
            "value": _finite(self.value),
            "ratio": None if ratio is None else ratio.value,
            "interval": interval,
            "interval_by": ratio.basis if ratio is not None and interval else None,
            "verdict": self.verdict,
        }


def _finite(value: Told) -> Told:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Compared:
    """Two results or more, the first being the base of all ratios.

    Attributes:
        kind: simulation, benchmark, registers or plan.
        files: what was compared, as it was named.
        rows: figures that two files have, and what only one has, in the order of the base.
        differs: what else is different: machines, versions, seeds, inputs, assumptions; a sentence each.
        notes: what a reader of the figures should know.
    """

    kind: str
    files: tuple[str, ...]
    rows: tuple[Row, ...]
    differs: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows have which verdict; verdicts that no row has are left out."""
        found = Counter(row.verdict for row in self.rows)
        return {word: found[word] for word in VERDICTS if found[word]}

    @property
    def is_same(self) -> bool:
        """Whether nothing is known to differ: neither a figure nor what the files rest on."""
        return set(self.counts) <= {SAME} and not self.differs

    @property
    def answer(self) -> str:
        """One sentence: how many figures differ, and which the most."""
        if not self.rows:
            return f"{' and '.join(self.files)}: all figures are the same"
        told = ", ".join(f"{n} {word}" for word, n in self.counts.items())
        most = max((row for row in self.rows if row.verdict in (HIGHER, LOWER)), key=distance, default=None)
        if most is None:
            return f"{self._named()}: {told}"
        return f"{self._named()}: {told}; the most, {_name(most)} {_times(most.ratio)}"

    def _named(self) -> str:
        others = self.files[1] if len(self.files) == 2 else f"{len(self.files) - 1} files"
        return f"{others} against {self.files[0]}, {number_of(len(self.rows), 'figure')} ({_FIGURES[self.kind]})"

    def table(self) -> Table:
        """A row per figure; a limit that is unknown, or has no end, is NaN. Values that are texts have columns of text.

        Columns: of, metric, file, base, value, ratio, low, high, interval_by, verdict.
        """
        rows, kind = self.rows, _FIGURES[self.kind]
        is_text = any(isinstance(value, str) for row in rows for value in (row.base, row.value))
        ratios = [Estimate(math.nan) if row.ratio is None else row.ratio for row in rows]
        columns = {
            "of": Column.of([row.of for row in rows]),
            "metric": Column.of([row.metric for row in rows]),
            "file": Column.of([row.file for row in rows]),
        }
        for name in ("base", "value"):
            told = [getattr(row, name) for row in rows]
            columns[name] = (
                Column.of(["" if one is None else cell(one) for one in told])
                if is_text
                else Column.of(cast(Any, [_finite(one) for one in told]), kind, unknown=True)
            )
        columns["ratio"] = _unknown(kind, [one.value for one in ratios], "the file's figure over the base's")
        columns["low"] = _unknown(kind, [one.low for one in ratios], f"end of its interval ({LEVEL:.0%})")
        columns["high"] = _unknown(kind, [one.high for one in ratios], f"end of its interval ({LEVEL:.0%})")
        columns["interval_by"] = Column.of([one.basis for one in ratios])
        columns["verdict"] = Column.of([row.verdict for row in rows])
        return Table("A row per figure that is in the base and in another file, or in one of them only.", columns)

    def numbers(self) -> dict[str, list[float | None]]:
        """What --fail-if compares: changes in percent by metric, without its unit, and by its last word.

        `p99 > +5%` is about every p99, `response_p99 > +5%` about that of response, `change > +5%` about all figures.
        An interval does not count: the ratio itself decides.
        """
        found: dict[str, list[float | None]] = {}
        for row in self.rows:
            if row.ratio is not None or (row.base == 0 and row.value is not None):
                change = math.inf if row.ratio is None else 100 * (row.ratio.value - 1)
                for name in _names(row.metric):
                    found.setdefault(f"{name}_percent", []).append(change)
        return found

    def as_dict(self) -> dict[str, Any]:
        """For JSON; figures that differ and figures that do not."""
        return {
            "kind": self.kind,
            "files": list(self.files),
            "answer": self.answer,
            "same": self.is_same,
            "level": LEVEL,
            "counts": self.counts,
            "rows": [row.as_dict() for row in self.rows],
            "differs": list(self.differs),
            "notes": list(self.notes),
        }

    def to_markdown(self) -> str:
        """The answer, all rows, and what else differs, as Markdown."""
        from fastsmc.comparing.text import markdown

        return markdown(self)

    def to_csv(self) -> str:
        """The table as CSV, numbers in full precision."""
        return self.table().to_csv()

    def __str__(self) -> str:
        from fastsmc.comparing.text import text

        return text(self)

    def __repr__(self) -> str:
        return f"<Compared {self.kind}: {escaped(self.answer)[:150]}>"

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


def _unknown(kind: ColumnKind, values: Sequence[float | None], meaning: str) -> Column:
    return Column.of(cast(Any, finite(values)), kind, meaning, unknown=True)


def _names(metric: str) -> list[str]:
    """What a threshold may call a metric.

    >>> _names("response_p99_9_ns"), _names("throughput_hz"), _names("call_ns")
    (['change', 'response_p99_9', 'p99_9'], ['change', 'throughput_hz', 'throughput'], ['change', 'call'])
    """
    words = metric.split("_")
    if "per" in words:
        return ["change"]
    whole = words[:-1] if words[-1] in _UNITS else words
    short = whole[1:] if whole[0] in ("response", "waiting", "service") else whole[:-1] if words[-1] == "hz" else whole
    return list(dict.fromkeys(("change", "_".join(whole), "_".join(short))))


def distance(row: Row) -> float:
    """How far a ratio is from 1, up or down; 0 where there is none."""
    ratio = row.ratio.value if row.ratio is not None else 1.0
    return abs(math.log(ratio)) if ratio > 0 else math.inf


def _name(row: Row) -> str:
    return f"{row.of} {row.metric}".strip()


def _times(ratio: Estimate | None) -> str:
    """A ratio with its interval, as text."""
    if ratio is None:
        return ""
    interval = [limit for limit in finite([ratio.low, ratio.high]) if limit is not None]
    told = f" ({' to '.join(map(significant, interval))})" if len(interval) == 2 else ""
    return f"{significant(ratio.value)}x{told}"
