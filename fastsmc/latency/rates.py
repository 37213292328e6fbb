"""What the rates of a saved group can be, by the times of its calls: bounds that hold whatever was simulated.

A VM's window begins and ends with calls under way, so a lock may be held for longer than the window: by one response
time at most, as every counted call was made in the window and ended so long after it. What is known of all VMs
together bounds the mean over them: sums of 1 / window are the throughput over a VM's calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

from fastsmc.latency.group import IN_VMM
from fastsmc.latency.times import Times

SPREADS = ("utilisation", "queue_length")
LOCKS = ("vm", "workers", "none")
MOST = 2**53
"""No run has more calls or VMs: sums of fewer are exact."""
_ROUNDING = 1e-6
_IN_VMM = {verdict.name for verdict in IN_VMM}


def wrong_rates(row: dict[str, Any], entries: list[tuple[str, Times]], *, is_whole: bool) -> Iterator[str]:
    """What of a row of table groups contradicts what.

    Args:
        entries: verdict and times of each of the group's rows of table calls.
        is_whole: whether the run was not stopped, so that all VMs made equally many calls.
    """
    calls, n_vm, forwarded = row["calls"], row["vms_counted"], row["forwarded"]
    in_vmm = sum(times.n_call for verdict, times in entries if verdict in _IN_VMM)
    if forwarded != in_vmm:
        yield f"forwarded is {forwarded}, in table calls {in_vmm} went to the VMM"
    if (calls > 0) != (n_vm > 0) or n_vm > calls:
        yield f"calls is {calls}, of vms_counted {n_vm}"
    if is_whole and calls and (n_vm != row["vms"] or calls % n_vm):
        yield f"calls is {calls}, of {n_vm} counted VMs of {row['vms']}, though the run is whole and all are alike"
    if (calls > 0) != (row["throughput_hz"] > 0):
        yield f"throughput_hz is {row['throughput_hz']:g}, of {calls} calls"
    if row.get("lock", "vm") not in LOCKS:
        yield f"lock is none of {', '.join(LOCKS)}"
    elif row.get("lock") == "vm" and row.get("workers", 1) != 1:
        yield f"workers is {row['workers']}, with one lock per VM"
    for spread in SPREADS:
        yield from _spread(row, spread, n_vm)
    if not forwarded:
        for name in (f"{spread}_most" for spread in SPREADS):
            if row[name]:
                yield f"{name} is {row[name]:g}, though no call went to the VMM"
    elif calls and n_vm:
        yield from _bounds(row, entries, is_whole=is_whole)


def _spread(row: dict[str, Any], spread: str, n_vm: int) -> Iterator[str]:
    """Of n values one is the least and one the most, so the mean lies in a narrower range than between them."""
    least, mean, most = (row[f"{spread}_{what}"] for what in ("least", "mean", "most"))
    low = (most + (n_vm - 1) * least) / max(n_vm, 1)
    high = (least + (n_vm - 1) * most) / max(n_vm, 1)
    slack = _ROUNDING * most
    if not least <= most or not low - slack <= mean <= high + slack:
        yield f"{spread} has least {least:g}, mean {mean:g}, most {most:g} over {n_vm} VMs"


def _bounds(row: dict[str, Any], entries: list[tuple[str, Times]], *, is_whole: bool) -> Iterator[str]:
    n_vm, throughput = row["vms_counted"], row["throughput_hz"]
    responses = [times.response for verdict, times in entries if verdict in _IN_VMM]
    waitings = [times.waiting for _, times in entries]
    response, waiting = (max((times.max_ns for times in some), default=0) / 1e9 for some in (responses, waitings))
    per_response, per_waiting = response, waiting
    if n_vm == 1:  # then rates are the sums themselves over the window: Little's law
        per_response, per_waiting = (
            sum(t.total_ns for t in some) / row["calls"] / 1e9 for some in (responses, waitings)
        )
    windows = throughput * (n_vm / row["calls"] if is_whole else 1)  # sum of 1 / window, per second; at most
    lock, vcpus = row.get("lock", "none"), row["vcpus_per_vm"] if row.get("workload_kind") == "closed" else inf
    n_worker = row.get("workers", 1) if lock == "workers" else 1
    at_once = {"vm": 1, "workers": n_worker}.get(lock, vcpus)
    busy = min(throughput * per_response, at_once * (n_vm + windows * response)) / (n_vm * n_worker)
    yield from _above(row, "utilisation_mean", busy, "throughput_hz and the responses of table calls")
    queue = min(throughput * per_waiting, vcpus * (n_vm + windows * waiting)) / n_vm
    yield from _above(row, "queue_length_mean", queue, "throughput_hz and the waiting of table calls")


def _above(row: dict[str, Any], name: str, most: float, by: str) -> Iterator[str]:
    if row[name] > most * (1 + _ROUNDING):
        yield f"{name} is {row[name]:g}, by {by} it is {most:g} at most"
