"""`bench`: the cases timed by turns, and what came out, as text and as a file that `compare` reads."""

from __future__ import annotations

import gc
import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import not_among
from fastsmc.errors import InputError
from fastsmc.jit.first import take_kernels_at_once
from fastsmc.measuring.cases import Case, cases
from fastsmc.progress import Progress, silent
from fastsmc.results.intervals import Estimate, of_median
from fastsmc.results.layout import text
from fastsmc.results.runs import provenance
from fastsmc.results.tables import Column, Table
from fastsmc.results.units import significant

SCHEMA = 1
LEAST_ROUNDS, MOST_ROUNDS = 7, 101
_SAMPLE_S = 0.005
"""A sample repeats its case until it lasts about so long."""
_MOST_SECONDS = 600.0


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredCase:
    """The times of a case (measured): CPU time of one core.

    Attributes:
        n_call: calls that it handles each time it is run.
        rounds_ns: float64[n_round], ns per call.
    """

    name: str
    what: str
    n_call: int
    rounds_ns: NDArray[np.float64]

    @property
    def call_ns(self) -> Estimate:
        """The median of the rounds in ns per call, with its interval."""
        return of_median(self.rounds_ns)

    @property
    def spread(self) -> float:
        """Interquartile range over median."""
        low, middle, high = np.quantile(self.rounds_ns, [0.25, 0.5, 0.75])
        return float((high - low) / middle)

    def __repr__(self) -> str:
        return f"<MeasuredCase {self.name}: {self.call_ns.value:.4g} ns a call, {len(self.rounds_ns)} rounds>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Measured:
    """What was measured on this machine.

    Attributes:
        cases: by turns, in one process.
        environment: machine and versions; no host name and no path.
        first_s: seconds that the first run of every case took, compiling among it.
    """

    cases: tuple[MeasuredCase, ...]
    environment: Mapping[str, Any]
    first_s: float

    @property
    def answer(self) -> str:
        """One sentence: the first case, on which machine."""
        first = self.cases[0]
        env = self.environment
        return (
            f"{first.name}: {significant(first.call_ns.value)} ns a call on one core (measured); {env['cpu']}, "
            f"{env['n_core']} cores, fastsmc {env['fastsmc']}"
        )

    @property
    def table(self) -> Table:
        """A row per case."""
        found = [case.call_ns for case in self.cases]
        columns = {
            "case": Column.of([case.name for case in self.cases]),
            "call_ns": Column.of([one.value for one in found], "measured", "median of the rounds, ns per call"),
            "low_ns": Column.of([one.low or 0.0 for one in found], "measured", "end of its 95 % interval"),
            "high_ns": Column.of([one.high or 0.0 for one in found], "measured", "end of its 95 % interval"),
            "mcalls_per_s": Column.of([1e3 / one.value for one in found], "measured", "million calls per second"),
            "n_round": Column.of([len(case.rounds_ns) for case in self.cases], "measured"),
            "what": Column.of([case.what for case in self.cases]),
        }
        return Table("A row per case: CPU time of one core, good for this machine and minute.", columns)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what the file has, and the answer."""
        return {
            "schema": SCHEMA,
            "answer": self.answer,
            "environment": dict(self.environment),
            "first_s": self.first_s,
            "cases": {
                case.name: {
                    "ns_per_call": float(np.median(case.rounds_ns)),
                    "spread": case.spread,
                    "n_call": case.n_call,
                    "n_round": len(case.rounds_ns),
                    "pattern": case.what,
                    "clock": "cpu",
                    "rounds_ns": case.rounds_ns.tolist(),
                }
                for case in self.cases
            },
        }

    def file_text(self) -> str:
        """The file that `compare` reads."""
        return json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n"

    def __str__(self) -> str:
        load = self.environment["load_before"]
        notes = [f"first runs, compiling among it, took {significant(self.first_s)} s and do not count"]
        if load[0] > self.environment["n_core"] / 2:
            notes.append(f"note: {load[0]} processes wanted to run before this began: times may be high")
        return "\n".join([self.answer, "", text(self.table), *notes])

    def __repr__(self) -> str:
        return f"<Measured {len(self.cases)} cases: {self.answer[:140]}>"


def bench(*, seconds: float = 5.0, only: list[str] | None = None, progress: Progress | None = None) -> Measured:
    """Measures how fast fastsmc dispatches and simulates on this machine.

    The cases take turns, each round in a new random order, so that whatever disturbs the machine disturbs all alike.
    CPU time of one core is taken. Nothing of it says anything of KVM's own speed.

    Args:
        seconds: for all rounds together; each case has at least 7. Compiling comes on top, and is kept for next time.
        only: names of cases; all of them by default.
        progress: called with ("measuring", rounds done, rounds at most).

    Raises:
        InputError: seconds that are none, or no such case.
    """
    if not 0 < seconds <= _MOST_SECONDS:
        msg = f"seconds is {seconds!r}: give a time above 0 and up to {_MOST_SECONDS:g}"
        raise InputError(msg)
    found = cases()
    for name in only or ():
        if name not in found:
            raise InputError(not_among("case", name, list(found)))
    chosen = {name: case for name, case in found.items() if not only or name in only}
    made_on = _environment()
    take_kernels_at_once()
    start = time.perf_counter()
    for case in chosen.values():
        case.run()
    first_s = time.perf_counter() - start
    times = _rounds(chosen, seconds, progress or silent)
    measured = [MeasuredCase(name, case.what, case.n_call, np.array(times[name])) for name, case in chosen.items()]
    return Measured(tuple(measured), made_on, round(first_s, 3))


def _rounds(chosen: Mapping[str, Case], seconds: float, progress: Progress) -> dict[str, list[float]]:
    """ns per call of each case, round by round."""
    repeats = {name: _repeats(case) for name, case in chosen.items()}
    order, rng = list(chosen), np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in order}
    end = time.perf_counter() + seconds
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for done in range(MOST_ROUNDS):
            if done >= LEAST_ROUNDS and time.perf_counter() > end:
                break
            progress("measuring", done, MOST_ROUNDS)
            for i in rng.permutation(len(order)):
                case, n = chosen[order[i]], repeats[order[i]]
                start = time.process_time_ns()
                for _ in range(n):
                    case.run()
                times[order[i]].append((time.process_time_ns() - start) / (n * case.n_call))
    finally:
        if was_enabled:
            gc.enable()
    return times


def _repeats(case: Case) -> int:
    start = time.process_time_ns()
    case.run()
    taken = time.process_time_ns() - start
    return max(1, min(1000, round(_SAMPLE_S * 1e9 / max(taken, 1))))


def _environment() -> dict[str, Any]:
    of_run = provenance(seed=0, inputs={})
    return {
        "cpu": of_run.cpu,
        "n_core": len(os.sched_getaffinity(0)),
        "os": f"{platform.system()} {platform.release()}",
        "python": of_run.python,
        "numpy": of_run.numpy,
        "numba": of_run.numba,
        "fastsmc": of_run.fastsmc,
        "date_utc": of_run.date_utc,
        "load_before": [round(value, 2) for value in os.getloadavg()],
    }
