"""Where one lock per VM collapses, in closed form and simulated: a text and its table."""

from __future__ import annotations

import numpy as np

from fastsmc.reporting.study.common import figure_of, vcpus
from fastsmc.reporting.style import Note, limit
from fastsmc.results.runs import Run
from fastsmc.results.units import duration, percent, significant


def note(run: Run) -> Note:
    """vCPUs at which one lock per VM collapses, by share of forwarded calls."""
    knees = run["study_knees"]
    most = next(knees.where(share=float(knees["share"].max())).rows())
    title = (
        f"One lock per VM collapses at {vcpus(most['knee_vcpus'])} vCPUs if {percent(most['share'])} of their "
        f"calls are forwarded, later in proportion if fewer are"
    )
    return Note("load-knee", title, _told(run), *_table(run))


def _apart(run: Run) -> float:
    """How far the simulated knees are from the closed form at most; 0 if none was simulated."""
    found = run["study_knees"]["simulated_vcpus"] > 0
    simulated, closed = (run["study_knees"][name][found] for name in ("simulated_vcpus", "knee_vcpus"))
    return float(np.abs(simulated / closed - 1).max(initial=0.0))


def _told(run: Run) -> str:
    knees = run["study_knees"]
    most = limit(run, "KVM vCPUs per VM")
    safe = [row for row in knees.rows() if row["knee_vcpus"] >= most]
    service = figure_of(run, "vmm_service_ns")
    text = (
        "The knee needs no simulation: vCPUs times forwarded calls a second of each times the time under the lock is "
        f"one. The simulation is within {percent(_apart(run))} of it. "
    )
    if safe:
        last = safe[-1]
        text += (
            f"Of the shares above, {percent(last['share'])} is the most that a lock bears with {most:g} vCPUs "
            f"({significant(last['vcpu_forwarded_hz'])} forwarded calls a second from each, knee at "
            f"{vcpus(last['knee_vcpus'])}). "
        )
    text += (
        f"A vCPU here makes a call every {duration(figure_of(run, 'think_ns'))}, which is a storm; one that calls ten "
        f"times less often moves the knee about ten times further, and so does a tenth of the {duration(service)} "
        "under the lock: measure your own. Halving it does as much as a second thread. The knee is where waiting "
        "takes over, not where it begins."
    )
    return text


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = (
        "forwarded (modelled)", "knee, closed form (assumed)", "knee, simulated (assumed)",
        "forwarded calls per second and vCPU below it (assumed)",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = [
        (
            percent(row["share"]),
            f"{vcpus(row['knee_vcpus'])} vCPUs",
            f"{vcpus(row['simulated_vcpus'])} vCPUs" if row["simulated_vcpus"] else "beyond the axis",
            significant(row["vcpu_forwarded_hz"]),
        )
        for row in run["study_knees"].rows()
    ]
    return header, rows
