"""Simulations as runs of `results`, with their histograms, and times back from runs: saved runs can be added up.

docs/latency.md has the tables. A histogram is a row per bucket in use, so any program can draw it again.
"""

from __future__ import annotations

import os
from typing import Any, cast

import numpy as np

from fastsmc.checks import shown
from fastsmc.errors import InputError, ResultFileError
from fastsmc.latency.judged import TIMES, judged
from fastsmc.latency.outcome import GroupOutcome
from fastsmc.latency.summary import Findings, assumed, quantiles
from fastsmc.latency.times import Times
from fastsmc.results.files import load
from fastsmc.results.histogram import bucket_edges
from fastsmc.results.intervals import design_effect, variance
from fastsmc.results.runs import Run, provenance
from fastsmc.results.tables import Column, ColumnKind, Table

_IN_GROUP = ("group", "vms", "vms_counted", "vcpus_per_vm", "hypothetical", "release", "workload", "workload_kind")
WAITED = ("waiting", "response")
"""Times that calls of one VM share, as they wait for the same lock."""
_INPUTS = {"vms", "vcpus_per_vm", "workers", "entry"}
_OF_VM = (
    "n_call", "forwarded", "window_ns", "throughput_hz", "utilisation", "queue_length", "mean_waiting_ns",
    "mean_response_ns", "max_response_ns",
)  # fmt: skip


def run_of(simulation: Findings, told: dict[str, Any]) -> Run:
    """Tables `groups`, `calls` and `histograms` (the last only if any call was counted), and what to repeat it from.

    `told` is the simulation's summary.
    """
    inputs = {key: told[key] for key in told if key not in ("seed", "groups", "fleet")}
    inputs["text"] = simulation.scenario.source_text
    kind: ColumnKind = "assumed" if told["assumed"] else "modelled"
    tables = {"groups": _groups(simulation, told, kind), "calls": _calls(simulation, kind)}
    if (histograms := _histograms(simulation, kind)) is not None:
        tables["histograms"] = histograms
    return Run(tables, provenance(seed=simulation.scenario.seed, inputs=inputs))


def vm_table(simulation: Findings) -> Table | None:
    """A row per VM that made counted calls; None if there is none."""
    done = [group for group in simulation.groups if group.n_vm]
    if not done:
        return None
    kind: ColumnKind = "assumed" if assumed(simulation) else "modelled"
    columns = {
        "group": Column.of([group.name for group in done for _ in range(group.n_vm)], "input"),
        "vm": Column.of(np.concatenate([group.vm for group in done]), "input", "which VM of the group"),
        **{name: Column.of(np.concatenate([getattr(group, name) for group in done]), kind) for name in _OF_VM},
    }
    return Table("A row per VM that made counted calls.", columns)


def _groups(simulation: Findings, told: dict[str, Any], kind: ColumnKind) -> Table:
    rows = []
    for group in told["groups"]:
        row = {key: group[key] for key in (*_IN_GROUP, "lock", "workers", "calls", "forwarded", "throughput_hz")}
        for name in ("utilisation", "queue_length"):
            row |= {f"{name}_{key}": value for key, value in group[name].items()}
        rows.append(row)
    table = _table("A row per group of VMs; utilisation and queue length over its VMs.", rows, kind)
    effects = {
        f"{time}_design_effect": Column.of(
            cast(Any, [_design_effect(group, time) for group in simulation.groups]),
            kind,
            "calls that count as one independent call, as calls of one VM wait together",
            unknown=True,
        )
        for time in WAITED
    }
    return Table(table.meaning, {**table.columns, **effects})


def _design_effect(group: GroupOutcome, time: str) -> float | None:
    means = getattr(group, f"mean_{time}_ns")
    return design_effect(means, group.n_call, variance(getattr(group.times, time))) if group.n_vm else None


def _calls(simulation: Findings, kind: ColumnKind) -> Table:
    rows = []
    for group in simulation.groups:
        for entry, one in enumerate(group.kinds):
            row: dict[str, Any] = {
                "group": group.name,
                "entry": entry,
                "call": one.name,
                "service": one.service,
                "verdict": one.verdict.name,
                "calls": one.times.n_call,
            }
            for time in TIMES:
                histogram = getattr(one.times, time)
                row |= {f"{time}_{key}_ns": value for key, value in quantiles(histogram).items()}
                row[f"{time}_total_ns"] = histogram.total_ns
            rows.append(row)
    return _table("A row per entry of a group's mix; times of its calls.", rows, kind)


def _table(meaning: str, rows: list[dict[str, Any]], kind: ColumnKind) -> Table:
    columns = {}
    for key in rows[0]:
        values = [row[key] for row in rows]
        is_word = isinstance(values[0], str | bool)
        columns[key] = Column.of(values, "input" if is_word or key in _INPUTS else kind)
    return Table(meaning, columns)


def _histograms(simulation: Findings, kind: ColumnKind) -> Table | None:
    names: list[str] = []
    times: list[str] = []
    numbers = []
    for group in simulation.groups:
        for entry, one in enumerate(group.kinds):
            for time in TIMES:
                counts = getattr(one.times, time).counts
                used = np.flatnonzero(counts)
                names += [group.name] * used.size
                times += [time] * used.size
                numbers.append(np.stack([np.full(used.size, entry), used, counts[used]]))
    if not names:
        return None
    entry_of, bucket, calls = np.concatenate(numbers, axis=1)
    columns = {
        "group": Column.of(names, "input"),
        "entry": Column.of(entry_of, "input", "entry of the group's mix"),
        "time": Column.of(times, "", "waiting, service or response"),
        "bucket": Column.of(bucket, "input", "number of the bucket"),
        "from_ns": Column.of(bucket_edges()[bucket], "input", "its lower edge"),
        "below_ns": Column.of(bucket_edges()[bucket + 1], "input", "its upper edge"),
        "calls": Column.of(calls, kind),
    }
    return Table("A row per bucket that is in use.", columns)


def saved_times(*runs: Run | str | os.PathLike[str], **where: object) -> Times:
    """Times of calls of saved simulations, as if all had been one run: histograms are added, then quantiles are read.

    Args:
        runs: of the same or different scenarios, whole or partial, by their files or loaded.
        where: which calls, by columns of the table `calls`: group="web", service="TRNG", verdict="FORWARDED".

    Raises:
        InputError: two runs hold the same calls, being of one scenario and one seed.
        ResultFileError: not a simulation's run, a damaged one, or one without such calls.
    """
    named = [(_name(run), run if isinstance(run, Run) else load(run)) for run in runs]
    seen = set()
    for _, run in named:
        of = run.provenance
        key = (of.seed, str(of.inputs.get("text")), str(of.inputs.get("profile")))
        if key in seen:
            both = f"two runs of {shown(of.inputs.get('scenario'))} have seed {of.seed}"
            msg = f"{both}, so they hold the same calls: give runs of different seeds"
            raise InputError(msg)
        seen.add(key)
    return Times.merged(times for name, run in named for times in _times_of(name, run, where))


def _name(run: Run | str | os.PathLike[str]) -> str:
    return "" if isinstance(run, Run) else f"{os.fspath(run)}: "


def _times_of(name: str, run: Run, where: dict[str, object]) -> list[Times]:
    try:
        found = judged(run)
        calls = run["calls"].where(**where) if where else run["calls"]
    except ResultFileError as error:
        msg = f"{name}{error}"
        raise ResultFileError(msg) from error
    return [found[row["group"], row["entry"]] for row in calls.rows()]
