"""What the study's tables say twice: rates, times and knees of the same calls under the same load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.reporting.rows import are_numbers, first, unlike
from fastsmc.results.histogram import RELATIVE_ERROR
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table

POINTS = ("study_vcpus", "study_share", "study_lock", "study_filter")
"""Tables with a row for each simulated load."""
_ZERO = ("alone_ns", "mean_ns", "p50_ns", "p99_ns", "p99_9_ns", "waiting_ns", "utilisation", "forwarded_hz")
"""Columns that are 0 where no call was forwarded."""
_RARER = {"p50_ns": 2, "p99_ns": 100, "p99_9_ns": 1000}
"""One call of how many takes at least so long."""
_SIGMAS, _EDGE = 8, 0.1
"""How far a count of forwarded calls may lie from its mean: standard deviations, and calls under way at both ends."""
_MANY, _TIMES_OFF = 1000, 3
"""Of so many forwarded calls, their rate is their share of all calls' rate within a factor: VMs differ less."""
_SUMMED = 1e-6
"""Relative, of sums that were made in another order."""


def wrong_in_study(run: Run) -> Iterator[str]:
    """Sentences on what contradicts what; none for a run that agrees with itself or has no study."""
    if "study" not in run.tables:
        return
    figures = dict(zip(run["study"]["figure"].tolist(), run["study"]["value"].tolist(), strict=True))
    sizes = run.provenance.inputs.get("sizes")
    study = sizes.get("study") if isinstance(sizes, dict) else None
    is_alike = isinstance(study, dict) and study.get("service_law") == "deterministic"
    differences: dict[float, str] = {}
    for name in POINTS:
        table = run[name]
        for wrong in (
            *_counts(table),
            *_times(table, is_alike=is_alike),
            *_rates(table, figures, is_alike=is_alike),
            *_difference(name, table, differences),
        ):
            yield f"table {name}, {wrong}"
    for wrong in _knees(run, figures):
        yield f"table study_knees, {wrong}"
    for wrong in _boot(run["study_boot"]):
        yield f"table study_boot, {wrong}"


def _counts(table: Table) -> Iterator[str]:
    for column in _ZERO:
        if are_numbers(table, column, "n_forwarded"):
            none = (table["n_forwarded"] == 0) & (table[column] != 0)
            yield from first(table, none, column, "n_forwarded", "is not 0, with")
    if are_numbers(table, "share", "n_call", "n_forwarded"):
        forwarded, share, n_call = table["n_forwarded"], table["share"], table["n_call"].astype(np.float64)
        for end, how in ((0, "is 0, with"), (1, "is 1, with")):
            wrong = (share == end) & (forwarded != end * n_call)
            yield from first(table, wrong, "share", "n_forwarded", how)
        off = np.abs(forwarded - share * n_call)
        spread = np.sqrt(np.maximum(n_call * share * (1 - share), 0))
        yield from first(table, off > _SIGMAS * (spread + 1) + _EDGE * n_call, "n_forwarded", "share", "is far from")
    if "lock" in table.columns and are_numbers(table, "n_thread"):
        lock = table["lock"]
        yield from unlike(table, "n_thread", 1, "lock 'vm'", only=lock == "vm")
        yield from unlike(table, "n_thread", table["n_vcpu"], "lock 'none' and n_vcpu", only=lock == "none")
    if are_numbers(table, "n_range", "filter_levels"):
        none = (table["n_range"] == 0) != (table["filter_levels"] == 0)
        yield from first(table, none, "filter_levels", "n_range", "does not fit")
        order = np.argsort(table["n_range"], kind="stable")
        if (np.diff(table["filter_levels"][order]) < 0).any():
            yield "column filter_levels: it falls where n_range rises"


def _times(table: Table, *, is_alike: bool) -> Iterator[str]:
    some = _has_some(table)
    if are_numbers(table, "mean_ns"):
        for column, rarer in _RARER.items():
            if are_numbers(table, column):
                above = table[column] > table["mean_ns"] * rarer * (1 + 2 * RELATIVE_ERROR)
                yield from first(table, above & some, column, "mean_ns", "is too long for")
        if is_alike and are_numbers(table, "alone_ns", "waiting_ns"):
            right = table["alone_ns"] + table["waiting_ns"]
            yield from unlike(table, "mean_ns", right, "alone_ns and waiting_ns", only=some, slack=_SUMMED)
    if is_alike and are_numbers(table, "alone_ns", "p50_ns"):
        below = table["p50_ns"] * (1 + 2 * RELATIVE_ERROR) < table["alone_ns"]
        yield from first(table, below & some, "p50_ns", "alone_ns", "is below")


def _rates(table: Table, figures: dict[str, float], *, is_alike: bool) -> Iterator[str]:
    if not are_numbers(table, "most_forwarded_hz", "n_thread", "forwarded_hz"):
        return
    most, some = table["most_forwarded_hz"], _has_some(table)
    if service := figures.get("vmm_service_ns", 0.0):
        yield from unlike(table, "most_forwarded_hz", table["n_thread"] * 1e9 / service, "n_thread and vmm_service_ns")
    if is_alike:
        right = table["forwarded_hz"] / most
        by = "forwarded_hz and most_forwarded_hz"
        yield from unlike(table, "utilisation", right, by, only=some, slack=_SUMMED)
    if are_numbers(table, "throughput_hz", "n_call", "n_forwarded"):
        found = table["forwarded_hz"] * table["n_call"]
        should = table["throughput_hz"] * table["n_forwarded"]
        off = (table["n_forwarded"] >= _MANY) & ((found > _TIMES_OFF * should) | (found * _TIMES_OFF < should))
        yield from first(table, off, "throughput_hz", "forwarded_hz", "does not fit n_forwarded of n_call:")
    if "think_ns" not in figures or not are_numbers(table, "alone_ns", "in_kernel_ns", "share"):
        return
    with np.errstate(all="ignore"):
        round_ns = _round(table, figures["think_ns"])
        share, n_vcpu = table["share"], table["n_vcpu"]
        yield from unlike(table, "knee_vcpus", round_ns * most / share / 1e9, "the closed form", only=some)
        rest = n_vcpu * 1e9 / most - (table["alone_ns"] - table["in_kernel_ns"])
        right = np.where(rest > 0, (figures["think_ns"] + table["in_kernel_ns"]) / rest, 0)
        yield from unlike(table, "knee_share", right, "the closed form", only=some)
        right = np.minimum(n_vcpu / round_ns * 1e9, most / share)
        yield from unlike(table, "bound_hz", right, "the closed form", only=some)


def _has_some(table: Table) -> NDArray[np.bool_]:
    """Which rows forwarded calls; a table without the column has none that did not."""
    return table["n_forwarded"] > 0 if are_numbers(table, "n_forwarded") else np.ones(table.n_row, np.bool_)


def _round(table: Table, think_ns: float) -> NDArray[np.float64]:
    """Thinking and a call, nobody in the way."""
    share = table["share"]
    ns: NDArray[np.float64] = think_ns + share * table["alone_ns"] + (1 - share) * table["in_kernel_ns"]
    return ns


def _difference(name: str, table: Table, known: dict[float, str]) -> Iterator[str]:
    """What a forwarded call takes longer than one that stays is the same throughout: both search the same filter."""
    if not are_numbers(table, "alone_ns", "in_kernel_ns"):
        return
    for row, (alone, stays) in enumerate(zip(table["alone_ns"].tolist(), table["in_kernel_ns"].tolist(), strict=True)):
        if not alone:
            continue
        where = f"table {name}, row {row + 1}"
        if not known:
            known[alone - stays] = where
        right, at = next(iter(known.items()))
        if abs(alone - stays - right) > _SUMMED * abs(alone):
            yield f"row {row + 1}: alone_ns less in_kernel_ns is {alone - stays:.10g}, in {at} it is {right:.10g}"


def _knees(run: Run, figures: dict[str, float]) -> Iterator[str]:
    knees, by_share = run["study_knees"], run["study_share"]
    if service := figures.get("vmm_service_ns", 0.0):
        right = 1e9 / service / knees["vcpu_forwarded_hz"]
        yield from unlike(knees, "knee_vcpus", right, "vcpu_forwarded_hz and vmm_service_ns", slack=_SUMMED)
    if not are_numbers(by_share, "throughput_hz"):
        return
    few, many = int(by_share["n_vcpu"].min()), int(by_share["n_vcpu"].max())
    rate = {
        (share, n_vcpu): hz
        for share, n_vcpu, hz in zip(*(by_share[c].tolist() for c in ("share", "n_vcpu", "throughput_hz")), strict=True)
    }
    nowhere = float("nan")
    crossings = [
        few * rate.get((share, many), nowhere) / (rate.get((share, few)) or nowhere)
        for share in knees["share"].tolist()
    ]
    yield from unlike(knees, "simulated_vcpus", crossings, "table study_share", only=knees["simulated_vcpus"] > 0)


def _boot(table: Table) -> Iterator[str]:
    plain: dict[Any, float] = {}
    n_call: dict[Any, int] = {}
    for row in table.rows():
        if row["forwarded"] == "nothing":
            plain[row["shape"], row["n_vcpu"]] = row["whole_ns"]
        known = n_call.setdefault((row["shape"], row["n_vcpu"]), row["n_call"])
        if row["n_call"] != known:
            of = f"{shown(row['shape'])} of {row['n_vcpu']} vCPUs"
            yield f"column n_call: {of} makes {known} calls or {row['n_call']}, whatever is forwarded"
    for number, row in enumerate(table.rows(), 1):
        right = row["whole_ns"] - plain.get((row["shape"], row["n_vcpu"]), row["whole_ns"] - row["added_ns"])
        if abs(row["added_ns"] - right) > 1e-9 * row["whole_ns"]:
            by = "whole_ns and that of the row that forwards nothing"
            yield f"row {number}: added_ns is {shown(row['added_ns'])}, by {by} it is {right:.10g}"
        if not row["n_forwarded"] and (row.get("utilisation") or row["most_waiting_ns"]):
            yield f"row {number}: n_forwarded is 0, but something held or waited for the lock"
