"""Whether the machine was busy with something else while a run was measured: what a page of times has to say."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from fastsmc.results.runs import Run
from fastsmc.results.units import percent, significant

MOST_LOAD, MOST_SPREAD = 0.25, 0.1
"""Processes per core that ran already, and the middle half of a timing's repeats as a share of their median."""


def load_before(run: Run) -> float | None:
    """The load when the run began, averaged over a minute; None where the run does not tell."""
    told: Any = run.provenance.inputs.get("load_average_before")
    first: Any = told[0] if isinstance(told, list) and told else None
    is_load = isinstance(first, int | float) and not isinstance(first, bool) and 0 <= first < inf
    return float(first) if is_load else None


def spread(run: Run) -> float:
    """The middle half of a timing's repeats as a share of their median: the median over all timings."""
    tables = [run[name] for name in ("dispatch_by_vcpu", "dispatch_by_vm")]
    shares = [(table["dispatch_p75_ns"] - table["dispatch_p25_ns"]) / table["dispatch_ns"] for table in tables]
    return float(np.median(np.concatenate(shares)))


def is_noisy(run: Run) -> bool:
    """Whether times of this run may well be longer than on a quiet machine."""
    load = load_before(run)
    return (load or 0.0) > MOST_LOAD * max(run.provenance.n_core, 1) or spread(run) > MOST_SPREAD


def told(run: Run) -> str:
    """A sentence or two on load and spread, for every page with measured times."""
    load, cores = load_before(run), run.provenance.n_core
    said = "the load when it began was not recorded" if load is None else f"load {significant(load)} when it began"
    what = f"{said}, on {cores} cores; the middle half of a timing's repeats spans {percent(spread(run))} of its median"
    if not is_noisy(run):
        return f"This run was quiet: {what}."
    return f"This run was noisy: {what}. Times marked measured may be longer than on a quiet machine."
