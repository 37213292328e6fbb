"""Planner's questions to sweep, small ones, and what each cell's numbers are, read from a plan by plain Python."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from fastsmc.plan.result import Plan

HOSTS: dict[str, list[Any]] = {
    "name": [f"h{k}" for k in range(6)],
    "kernel": ["6.12.107"] * 4 + ["6.6.31", ""],
    "vmm": ["qemu:10.1"] * 6,
    "cores": [16] * 6,
    "memory_gib": [64.0] * 6,
    "nic_gbit_per_s": [10.0, 10.0, 25.0, None, None, 25.0],
    "pool": ["a"] * 4 + ["b", "b"],
}
VMS: dict[str, list[Any]] = {
    "name": [f"v{k}" for k in range(8)],
    "host": ["h0", "h0", "h1", "h1", "h2", "h3", "h4", "h5"],
    "vcpus": [2, 4, 2, 8, 4, 2, 1, 1],
    "memory_gib": [8.0, 16.0, 4.0, 32.0, 8.0, 4.0, 2.0, 2.0],
    "features": ["psci02+pmu"] * 6 + ["psci02"] * 2,
    "dirty_mib_per_s": [50.0, None, 100.0, 900.0, 10.0, 5.0, 1.0, 1.0],
}
"""Two pools, an unknown kernel, line rates and dirty rates that nobody told."""


def csv(columns: dict[str, list[Any]]) -> str:
    rows = [columns, *zip(*columns.values(), strict=True)]
    return "".join(",".join("" if field is None else str(field) for field in row) + "\n" for row in rows)


def files(folder: Path) -> Path:
    """Writes hosts.csv and vms.csv; returns the folder."""
    (folder / "hosts.csv").write_text(csv(HOSTS))
    (folder / "vms.csv").write_text(csv(VMS))
    return folder


def numbers(plan: Plan) -> dict[str, float]:
    """The measures of a plan, from what it prints as JSON."""
    told = plan.as_dict()
    return {"exit_code": {True: 0, False: 4, None: 5}[told["met"]], **_NUMBERS[plan.question](told)}


def _evacuate(told: dict[str, Any]) -> dict[str, float]:
    rows, cube = told["rows"], {name: one["values"] for name, one in told["cube"]["values"].items()}
    n_leave = sum(row["leave"] for row in rows)
    over = math.fsum(row["over_share"] * row["leave"] for row in rows)
    return {
        **{f"drain_p{percent}_s": cube["drain_s"][percent] for percent in (50, 90, 99)},
        **{f"downtime_p{percent}_ms": cube["downtime_ms"][percent] if n_leave else math.nan for percent in (50, 99)},
        "late_share": max(row["late_share"] for row in rows),
        "over_share": over / n_leave if n_leave else math.nan,
        "n_host_late": sum(row["late_share"] > told["inputs"]["miss_share"] or row["stay"] > 0 for row in rows),
        "n_aborted": math.fsum(row["aborted"] for row in rows),
        "n_leave": n_leave,
        "n_stay": sum(row["stay"] for row in rows),
    }


def _upgrade(told: dict[str, Any]) -> dict[str, float]:
    waves = told["rows"]
    sums = {"n_host": "hosts", "n_round": "rounds", "n_move": "moved", "n_stop": "stopped", "n_unknown": "unknown"}
    return {
        "n_wave": len(waves),
        **{name: sum(row[column] for row in waves) for name, column in sums.items()},
        "n_back": sum(row["vms"] for row in told["tables"]["back"] if row["verdict"] == "restores"),
        "moved_gib": math.fsum(row["moved_gib"] for row in waves),
    }


def _flat(values: Any, figure: int) -> list[float]:
    """The values at one place of the last axis."""
    if isinstance(values[0], list):
        return [one for part in values for one in _flat(part, figure)]
    return [math.nan if values[figure] is None else values[figure]]


def _largest_shape(told: dict[str, Any]) -> dict[str, float]:
    values = told["cube"]["values"]["n_vcpu"]["values"]
    return {name: min(_flat(values, k)) for name, k in (("n_vcpu", 1), ("n_vcpu_low", 0), ("n_vcpu_high", 2))}


def _migration_table(told: dict[str, Any]) -> dict[str, float]:
    cube = {name: one["values"] for name, one in told["cube"]["values"].items()}
    times = [_flat(cube["total_s"], k) for k in range(3)]
    known = [[time for time in some if not math.isnan(time)] for some in times]
    least = [min(some, default=math.nan) for some in known]
    at = times[1].index(least[1]) if known[1] else None
    its = {"stopped_ms": "stopped_ms", "sent_mib": "sent_mib", "n_round": "n_round"}
    return {
        "total_s": least[1],
        "total_low_s": least[0],
        "total_high_s": least[2],
        **{name: math.nan if at is None else _flat(cube[name], 1)[at] for name in its},
        "converging_share": len(known[1]) / len(times[1]),
    }


def _baseline(told: dict[str, Any]) -> dict[str, float]:
    words = [row["in_common"] for row in told["rows"]]
    counts = {"n_common": "yes", "n_lost": "no", "n_unknown": "unknown"}
    most = max((row["n_vm_losing"] for row in told["rows"]), default=0)
    return {**{name: words.count(word) for name, word in counts.items()}, "n_vm_losing": most}


def _filter_cost(told: dict[str, Any]) -> dict[str, float]:
    row = max(told["rows"], key=lambda row: row["n_range"])
    return {name: row[name] for name in ("kvm_handled_ns", "kvm_added_ns", "kvm_tree_levels")}


_NUMBERS = {
    "baseline": _baseline,
    "evacuate": _evacuate,
    "filter_cost": _filter_cost,
    "largest_shape": _largest_shape,
    "migration_table": _migration_table,
    "upgrade": _upgrade,
}
