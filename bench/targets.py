"""What the issues ask for: a number of a case, what it must be and what it aims at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.cases import ON_LEVELS
from bench.levels import LEVELS

NO_SLOWER = (
    "AVX-512 with byte look-ups is to be no slower than it was before there were other levels: "
    "`make bench-compare` tells, on one machine, of two versions."
)
"""What is asked for and is no number of one run."""


@dataclass(frozen=True, slots=True)
class Target:
    """A number the issue asks for: of `key` in a case, at least that much, or at most."""

    case: str
    key: str
    must: float | None
    aim: float
    at_most: bool = False
    sizes: tuple[str, ...] = ()

    def names(self, cases: Mapping[str, Any]) -> list[str]:
        """The measured cases it is about."""
        wanted = [f"{self.case}-{size}" for size in self.sizes] if self.sizes else list(cases)
        return [n for n in wanted if n in cases and (n == self.case or n.rpartition("-")[0] == self.case)]

    def reached(self, value: float, limit: float) -> bool:
        return value <= limit if self.at_most else value >= limit


_FIRST = (
    Target("mixed-known", "vs_c_kernel_style", 20, 30),
    Target("mixed-known", "of_stream", 0.5, 0.8, sizes=("64M",)),
    Target("mixed-known-16policies", "of_stream", 0.40, 0.80, sizes=("64M",)),
    Target("mixed-filter", "vs_c_kernel_style", 50, 80),
    Target("mixed-filter", "unknown_ns", None, 8, at_most=True),
    Target("grouped-known", "vs_c_kernel_style", 80, 115),
    Target("grouped-known", "of_stream", 0.60, 0.80, sizes=("2M",)),
    Target("counted", "times_verdicts", 2.5, 1.5, at_most=True),
    Target("answers", "of_stream", 0.5, 0.8),
    Target("trace", "vs_c_kernel_style", 5, 10),
    Target("batch-1024", "p50_ns", 8000, 3000, at_most=True),
    Target("threads-2", "vs_one_thread", 1.5, 1.9, sizes=("64M",)),
    Target("million", "times_1024_vms", 1.3, 1.1, at_most=True),
    Target("simulate-closed", "vs_simpy", 300, 450),
    Target("simulate-mm1", "vs_simpy", 2000, 3000),
    Target("migration-values", "times_copy", 1.0, 0.9, at_most=True),
    Target("migration-id-value", "times_copy", 1.0, 0.6, at_most=True),
    Target("migration-global-columns", "times_copy", 1.0, 0.5, at_most=True),
    Target("migration-restore", "times_copy", 1.2, 1.0, at_most=True),
)
"""The tables of issues 4, 5 and 6; of issue 18 what it changes in them."""
_LEVELS = (
    Target("mixed-known@avx2", "vs_c_table", 1.3, 2),
    Target("mixed-filter@avx2", "vs_c_table", 1.3, 2),
    Target("grouped-known@avx2", "vs_c_table", 1.5, 3),
    Target("trace@avx2", "vs_c_kernel_style", 3, 6),
    *(Target(f"{case}@generic", "vs_c_table", 1.0, 1.2) for case in ON_LEVELS),
    *(
        Target(case + level, "vs_c_vector", 0.8, 1.0)
        for level in ("", *(f"@{level.name}" for level in LEVELS[1:]))
        for case in ON_LEVELS
    ),
)
_BATCHES = (
    Target("batch-1024", "vs_public", 1.5, 2.5),
    Target("latency-1", "prepared_p50_ns", 1500, 700, at_most=True),
)
TARGETS = (*_FIRST, *_LEVELS, *_BATCHES)
"""The tables of issues 4, 5, 6 and 18."""


def judged(cases: Mapping[str, Any]) -> list[tuple[str, Target, float]]:
    """(case, target, measured value) of everything the issue asks for and this run measured."""
    rows = [(name, target) for target in TARGETS for name in target.names(cases)]
    return [(name, t, cases[name][t.key]) for name, t in rows if cases[name].get(t.key) is not None]
