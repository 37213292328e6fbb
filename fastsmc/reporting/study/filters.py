"""What the size of a filter costs, beside what forwarding and waiting cost: a text and its table."""

from __future__ import annotations

import numpy as np

from fastsmc.reporting.study.common import figure_of, most_real, one, vcpus_name
from fastsmc.reporting.style import Note
from fastsmc.results.runs import Run
from fastsmc.results.units import count, duration, percent, significant


def note(run: Run) -> Note:
    """Costs of calls and mean waiting against ranges of the filter."""
    table = run["study_filter"]
    large = one(table, n_vcpu=most_real(table), n_range=int(table["n_range"].max()))
    title = (
        f"A filter of {count(large['n_range'])} ranges costs a call {duration(_walk(run, large))}; at "
        f"{vcpus_name(large)}, a forwarded one waits {duration(large['waiting_ns'])} under one lock"
    )
    return Note("load-filter", title, _told(run), *_table(run))


def _walk(run: Run, row: dict[str, float]) -> float:
    """The part of a call that is the look-up in the filter."""
    return row["filter_levels"] * figure_of(run, "filter_ns")


def _told(run: Run) -> str:
    table = run["study_filter"]
    n_vcpus = np.unique(table["n_vcpu"]).tolist()
    most = int(table["n_range"].max())
    none, large = (one(table, n_vcpu=n_vcpus[0], n_range=n) for n in (0, most))
    walk = _walk(run, large)
    waits = ", ".join(
        f"{duration(row['waiting_ns'])} with {vcpus_name(row)}"
        for row in (one(table, n_vcpu=n, n_range=most) for n in n_vcpus)
    )
    return (
        f"The number of ranges does not matter. {count(most)} of them are {large['filter_levels']} levels, "
        f"{duration(walk)} (assumed), so a call that stays in the kernel takes {duration(large['in_kernel_ns'])} "
        f"instead of {duration(none['in_kernel_ns'])}, and of a forwarded call's {duration(large['alone_ns'])} the "
        f"look-up is {percent(walk / large['alone_ns'])}. Were a level ten times as dear, it would be "
        f"{duration(10 * walk)}, beside a round trip of {duration(figure_of(run, 'round_trip_ns'))} without the VMM's "
        "own work. What matters is what a range does: a call that is forwarded costs "
        f"{significant(large['alone_ns'] / large['in_kernel_ns'], 2)} times one that stays, and then waits {waits}, "
        "on average. Write as many ranges as you need, and deny or handle rather than forward."
    )


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header: tuple[str, ...] = (
        "ranges, vCPUs", "levels (modelled)", "stays in the kernel (assumed)", "forwarded, waits for nobody (assumed)",
        "mean waiting (assumed)",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = [
        (
            f"{count(row['n_range'])}, {vcpus_name(row)}",
            count(row["filter_levels"]),
            duration(row["in_kernel_ns"]),
            duration(row["alone_ns"]) if row["n_forwarded"] else "none",
            duration(row["waiting_ns"]) if row["n_forwarded"] else "none",
        )
        for row in run["study_filter"].rows()
    ]
    return header, rows
