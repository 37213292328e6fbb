"""A saved simulation judged: whatever its tables say twice must agree, or nothing of it is believed.

A sum of times is not exact, so it may be off by SLACK of the largest sum it was made from.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import Any

import numpy as np

from fastsmc.checks import shown
from fastsmc.errors import ResultFileError
from fastsmc.latency.rates import MOST, SPREADS, wrong_rates
from fastsmc.latency.summary import quantiles
from fastsmc.latency.times import Times
from fastsmc.results.histogram import Histogram, bucket_edges
from fastsmc.results.log_linear import N_BUCKET
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table

TIMES = ("waiting", "service", "response")
SLACK = 1e-6
"""Rounding, relative: a float64 sum of 2**30 numbers is off by less."""
_EXACT = 1e-9
"""Rounding, relative, of what is computed from the very numbers that are saved."""

_OF_TIME = ("mean", "p50", "p90", "p99", "p99_9", "p99_99", "max", "total")
_CALLS = {
    **dict.fromkeys(("group", "call", "service", "verdict"), "U"),
    **dict.fromkeys(("entry", "calls"), "i"),
    **{f"{time}_{what}_ns": "f" for time in TIMES for what in _OF_TIME},
}
_GROUPS = {
    "group": "U",
    **dict.fromkeys(("vms", "vms_counted", "vcpus_per_vm", "calls", "forwarded"), "i"),
    "throughput_hz": "f",
    **{f"{spread}_{what}": "f" for spread in SPREADS for what in ("least", "mean", "most")},
}
_HISTOGRAMS = {"group": "U", "entry": "i", "time": "U", "bucket": "i", "from_ns": "f", "below_ns": "f", "calls": "i"}
_HOLDS = {"U": "text", "i": "whole numbers, 0 or more", "f": "numbers, 0 or more"}

Key = tuple[str, int]
"""Group and entry: what a row of `calls` is of."""


def judged(run: Run) -> dict[Key, Times]:
    """The times of each row of `calls`.

    Raises:
        ResultFileError: not a simulation's run, or one that contradicts itself: what, where, and what would be right.
    """
    for name, columns in (("groups", _GROUPS), ("calls", _CALLS)):
        _check_columns(name, run[name], columns)
    counts = _counts(run)
    edges = bucket_edges()
    found: dict[Key, Times] = {}
    for row in run["calls"].rows():
        key, what = (row["group"], row["entry"]), f"group {shown(row['group'])}, {shown(row['call'])}"
        if key in found:
            msg = f"{what}: table calls has two rows of entry {row['entry']}"
            raise ResultFileError(msg)
        totals = [row[f"{time}_total_ns"] for time in TIMES]
        slack = SLACK * max(totals)
        if abs(totals[0] + totals[1] - totals[2]) > slack:
            both = f"waiting and service add up to {totals[0] + totals[1]:g} ns"
            msg = f"{what}: {both}, response to {totals[2]:g}: damaged"
            raise ResultFileError(msg)
        found[key] = Times(*(_histogram(row, time, counts.pop((*key, time), {}), edges, slack, what) for time in TIMES))
    if counts:
        group, entry, time = next(iter(counts))
        msg = f"table histograms has {shown(time)} of group {shown(group)}, entry {entry}, which table calls lacks"
        raise ResultFileError(msg)
    _check_groups(run, found)
    return found


def _check_columns(name: str, table: Table, columns: dict[str, str]) -> None:
    for column, kind in columns.items():
        values = table[column]
        is_right = values.dtype.kind in ("if" if kind == "f" else kind)
        if not is_right or (kind != "U" and not (values >= 0).all()):
            msg = f"table {name}, column {column}: it must hold {_HOLDS[kind]}"
            raise ResultFileError(msg)
        if kind == "i" and (most := int(values.max())) > MOST:
            msg = f"table {name}, column {column}: {most} is more than any run has: damaged"
            raise ResultFileError(msg)


def _counts(run: Run) -> dict[tuple[str, int, str], dict[int, int]]:
    """Calls by bucket, of each row of `calls` and each of its times."""
    counts: dict[tuple[str, int, str], dict[int, int]] = defaultdict(dict)
    if "histograms" not in run.tables:
        return counts
    table, edges = run["histograms"], bucket_edges()
    _check_columns("histograms", table, _HISTOGRAMS)
    bucket = table["bucket"]
    if (bucket >= N_BUCKET).any() or any(
        (edges[bucket + upper] != table[name]).any() for upper, name in enumerate(("from_ns", "below_ns"))
    ):
        msg = "table histograms: its buckets are not those of this version of fastsmc, which cuts an octave into 64"
        raise ResultFileError(msg)
    for row in table.rows():
        of = counts[row["group"], row["entry"], row["time"]]
        if row["bucket"] in of:
            what = f"bucket {row['bucket']} stands twice in {shown(row['time'])} of {shown(row['group'])}"
            msg = f"table histograms: {what}, entry {row['entry']}"
            raise ResultFileError(msg)
        of[row["bucket"]] = row["calls"]
    return counts


def _histogram(row: dict[str, Any], time: str, of: dict[int, int], edges: Any, slack: float, what: str) -> Histogram:
    """One histogram, which agrees with its row's number of calls, total, maximum, mean and quantiles."""
    total, largest, n = row[f"{time}_total_ns"], row[f"{time}_max_ns"], row["calls"]
    if sum(of.values()) != n:
        msg = f"{what}: {time} has {sum(of.values())} calls in its histogram and {n} in the table: damaged"
        raise ResultFileError(msg)
    used = [bucket for bucket, calls in of.items() if calls]
    low, high = _bounds(used, edges)
    if not low * (1 - _EXACT) <= largest <= high * (1 + _EXACT):
        msg = f"{what}: {time}_max_ns is {largest:g}, but the last bucket in use goes from {low:g} to {high:g}: damaged"
        raise ResultFileError(msg)
    least = sum(of[bucket] * float(edges[bucket]) for bucket in used)
    most = sum(of[bucket] * min(float(edges[bucket + 1]), largest) for bucket in used if bucket < N_BUCKET - 1)
    most += of.get(N_BUCKET - 1, 0) * largest
    if not least - slack <= total <= most + slack:
        msg = f"{what}: {time}_total_ns is {total:g}, but its {n} calls took {least:g} to {most:g} ns: damaged"
        raise ResultFileError(msg)
    counts = np.zeros(N_BUCKET, np.int64)
    counts[used] = [of[bucket] for bucket in used]
    histogram = Histogram(counts, total, largest)
    for name, value in quantiles(histogram).items():
        if abs(row[f"{time}_{name}_ns"] - value) > _EXACT * value:
            msg = f"{what}: {time}_{name}_ns is {row[f'{time}_{name}_ns']:g}, by its histogram it is {value:g}: damaged"
            raise ResultFileError(msg)
    return histogram


def _bounds(used: list[int], edges: Any) -> tuple[float, float]:
    """Between which times the largest lies; what is longer than all buckets is in the last."""
    if not used:
        return 0.0, 0.0
    last = max(used)
    return float(edges[last]), float(edges[last + 1]) if last < N_BUCKET - 1 else float("inf")


def _check_groups(run: Run, found: dict[Key, Times]) -> None:
    entries: dict[str, list[tuple[str, Times]]] = defaultdict(list)
    for row in run["calls"].rows():
        entries[row["group"]].append((row["verdict"], found[row["group"], row["entry"]]))
    is_whole = run.provenance.inputs.get("partial") is not True
    seen = set[str]()
    for row in run["groups"].rows():
        wrong = [] if row["group"] not in seen else ["it has two rows"]
        seen.add(row["group"])
        for part, whole in (("forwarded", "calls"), ("vms_counted", "vms")):
            if row[part] > row[whole]:
                wrong.append(f"{part} is {row[part]}, of {whole} {row[whole]}")
        n_call = sum(times.n_call for _, times in entries[row["group"]])
        if row["calls"] != n_call:
            wrong.append(f"calls is {row['calls']}, in table calls {n_call}")
        wrong = wrong or list(islice(wrong_rates(row, entries[row["group"]], is_whole=is_whole), 1))
        if wrong:
            msg = f"table groups, {shown(row['group'])}: {wrong[0]}: damaged"
            raise ResultFileError(msg)
    if unknown := entries.keys() - seen:
        msg = f"table calls has group {shown(min(unknown))}, which table groups lacks"
        raise ResultFileError(msg)
