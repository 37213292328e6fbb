"""A simulation as a person reads it: a table per group, units that fit, what is assumed at the end."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from fastsmc.latency.summary import LABELS
from fastsmc.results.layout import drawn, number, words
from fastsmc.results.units import column_unit, number_of, prefixed, significant, three_digits

_LABEL = {label.replace(".", "_"): label for label in ("mean", *LABELS, "max")}
_KEYS = tuple(_LABEL)
_TIMES = ("service", "waiting", "response")
_LOCKS = {"vm": "one lock per VM", "none": "no lock, a thread per vCPU"}


def text(told: dict[str, Any], width: int | None = None) -> str:
    """What `summary` tells, as text. Tables take 80 columns; sentences are wrapped to `width`, if one is given."""
    blocks = [_head(told), *(_group(group) for group in told["groups"])]
    if len(told["groups"]) > 1:
        blocks.append(_fleet(told["fleet"]))
    lines = [line for block in [*blocks, _foot(told)] for line in [*block, ""]]
    return "\n".join(part for line in lines[:-1] for part in _wrapped(line, width))


def _wrapped(line: str, width: int | None) -> list[str]:
    if width is None or len(line) <= width or not line:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, max(width, 40), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _head(told: dict[str, Any]) -> list[str]:
    fleet, profile = told["fleet"], told["profile"]
    n_vm = number_of(fleet["vms"], "VM")
    sizes = f"{n_vm}, {number_of(fleet['vcpus'], 'vCPU')}, {number_of(fleet['calls'], 'call')}"
    lines = [f"{told['scenario']}: {sizes}; all times are modelled"]
    if told["partial"]:
        lines.append(
            f"PARTIAL: stopped with {fleet['calls']} of {fleet['calls_planned']} calls counted,"
            f" of {fleet['vms_counted']} of {n_vm}"
        )
    default = " (default)" if told["seed_is_default"] else ""
    lines.append(f"seed {told['seed']}{default}")
    if any(group["workload_kind"] != "script" for group in told["groups"]):
        lines[-1] += f"; {told['calls_per_vcpu']} calls per vCPU, after {told['warmup_per_vcpu']} that are not counted"
    lines.append(f"profile {profile['name']}: {profile['title']}")
    host = told["host"]
    if host is not None and host["overcommitted"]:
        vcpus, runnable = significant(host["vcpus_per_core"]), significant(host["runnable_per_core"])
        lines.append(
            f"overcommit: {vcpus} vCPUs per core ({fleet['vcpus']} on {host['cores']} cores),"
            f" {runnable} of them run or want to; waiting has the time a vCPU waits for a core"
        )
    return lines


def _group(group: dict[str, Any]) -> list[str]:
    lock = _LOCKS.get(group["lock"], f"{number_of(group['workers'], 'worker')} per VM")
    marked = " (hypothetical: arm64 KVM stops at 512)" if group["hypothetical"] else ""
    lines = [
        f"{group['group']}: {number_of(group['vms'], 'VM')} of {number_of(group['vcpus_per_vm'], 'vCPU')}{marked},"
        f" Linux {group['release']}, {group['workload_kind']} workload {group['workload']}; VMM: {lock}"
    ]
    if not group["calls"]:
        return [*lines, "  no call was counted"]
    busy = "VMM threads busy" if group["lock"] == "none" else "utilisation"
    use, queue = (_spread(group[key], group["vms_counted"]) for key in ("utilisation", "queue_length"))
    in_vmm = f"{busy} {use}, queue length {queue}" if group["forwarded"] else "nothing goes to the VMM"
    lines.append(f"  throughput {prefixed(group['throughput_hz'])}calls/s, {in_vmm}")
    lines += [f"  note: {note}" for note in group["notes"]]
    rows = [row for row in group["services"] if row["calls"]]
    parts = [(f"{row['service']} {row['verdict']}" + "*" * bool(row["rests_on_assumed"]), row) for row in rows]
    lines += [f"  {title}, {number_of(row['calls'], 'call')}: {_same(row)}" for title, row in parts if _is_same(row)]
    others = [part for part in parts if not _is_same(part[1])]
    if others and len(rows) > 1:
        others.append(("all", group))
    return [*lines, *_table(others)] if others else lines


def _is_same(row: dict[str, Any]) -> bool:
    """Whether all calls take the same time and none waits, as calls that stay in the kernel do."""
    served = row["service_ns"]
    return bool(row["waiting_ns"]["max"] == 0 and math.isclose(served["mean"], served["max"], rel_tol=1e-9))


def _same(row: dict[str, Any]) -> str:
    time_ns = row["response_ns"]["max"]
    unit, scale = column_unit([time_ns])
    return f"service and response {three_digits(time_ns / scale)} {unit}, waiting 0"


def _fleet(fleet: dict[str, Any]) -> list[str]:
    if not fleet["calls"]:
        return ["fleet: no call was counted"]
    return [f"fleet: throughput {prefixed(fleet['throughput_hz'])}calls/s", *_table([("all", fleet)])]


def _foot(told: dict[str, Any]) -> list[str]:
    weakest = told["profile"]["weakest"]
    lines = ["figures made use of: " + ", ".join(map(_figure, told["profile"]["figures"]))] * bool(
        told["profile"]["figures"]
    )
    lines.append(f"weakest figure: {_figure(weakest)}: {weakest['source']}")
    lines += [f"assumed: {sentence}" for sentence in told["assumed"] if not sentence.startswith(f"{weakest['name']} ")]
    calls = [row["calls"] for group in told["groups"] for row in group["services"] if row["calls"]]
    if any(row["rests_on_assumed"] for group in told["groups"] for row in group["services"] if row["calls"]):
        lines.append("* rests on an assumed figure")
    if calls and min(calls) < 10_000:
        lines.append("of fewer than 10000 calls p99.99 is the maximum, of fewer than 1000 p99.9 too")
    lines.append(f"quantiles are within {100 * told['relative_error']:.1f} %; mean and max are exact")
    return lines


def _figure(figure: dict[str, Any]) -> str:
    return f"{figure['name']} {figure['value']:g} {figure['unit']} ({figure['kind']})"


def _table(parts: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Mean, quantiles and maximum of the three times of each part; a unit per column."""
    units = [column_unit([part[f"{time}_ns"][key] for _, part in parts for time in _TIMES]) for key in _KEYS]
    heads = [words("time"), *(number(f"{_LABEL[key]} {unit}") for key, (unit, _) in zip(_KEYS, units, strict=True))]
    rows: list[str | tuple[str, ...]] = []
    for title, part in parts:
        rows.append(f"{title}, {number_of(part['calls'], 'call')}")
        for time in _TIMES:
            told = part[f"{time}_ns"]
            cells = (three_digits(told[key] / scale) for key, (_, scale) in zip(_KEYS, units, strict=True))
            rows.append((f"  {time}", *cells))
    return drawn(heads, rows, indent="  ")


def _spread(spread: dict[str, float], n_vm: int) -> str:
    mean = three_digits(spread["mean"])
    return mean if n_vm < 2 else f"{mean} (VMs {three_digits(spread['least'])} to {three_digits(spread['most'])})"
