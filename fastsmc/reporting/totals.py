"""What one table of a run says of another: calls are those of the trace, bytes and ioctls those of the registers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.reporting.rows import ROUNDING, are_numbers, unlike, untold
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table

KVM_LIMIT = "KVM vCPUs per VM"
_HEAD_BYTES, _VALUE_BYTES = 8, 8
"""An id and a value, of the codecs that the report has: 64-bit registers."""
_MOST_IOCTLS = 4
"""For one value on one side: it is read or written once, or twice as QEMU does, or as often again."""


def wrong_totals(run: Run) -> Iterator[str]:
    """Sentences on what contradicts what; none for a run that agrees with itself."""
    for name in run.tables:
        for wrong in _hypothetical(run, name):
            yield f"table {name}, {wrong}"
    yield from _of_trace(run)
    yield from _of_verdicts(run)
    for name in ("payload", "origin"):
        for wrong in _encoded(run[name]):
            yield f"table {name}, {wrong}"
    for name in ("dispatch_by_vcpu", "dispatch_by_vm"):
        for wrong in _axis(run[name], name):
            yield f"table {name}, {wrong}"
    for wrong in _sets(run["sets"]):
        yield f"table sets, {wrong}"
    for wrong in _costs(run):
        yield f"table set_cost, {wrong}"


def _hypothetical(run: Run, name: str) -> Iterator[str]:
    """Fleets are hypothetical where a VM has more vCPUs than KVM allows, which is among the limits."""
    table, limits = run.tables[name], run["limits"]
    most = limits["value"][limits["limit"] == KVM_LIMIT]
    if not most.size or "is_hypothetical" not in table.columns or not are_numbers(table, "n_vcpu"):
        return
    n_vm = table["n_vm"] if are_numbers(table, "n_vm") else 1
    yield from untold(table, "is_hypothetical", table["n_vcpu"] / n_vm > most[0], f"its vCPUs and {KVM_LIMIT!r}")


def _of_trace(run: Run) -> Iterator[str]:
    trace, replay = run["trace"], run["replay"]
    total = sum(trace["calls"].tolist())
    told = run.provenance.inputs.get("n_trace_call")
    if type(told) is int and told != total:
        yield f"table trace: its calls add up to {total}, input n_trace_call is {shown(told)}"
    if len(set(trace["function"].tolist())) < trace.n_row:
        yield "table trace: two rows have the same function"
    by = f"n_vcpu and the {total} calls of table trace"
    for wrong in (
        *unlike(replay, "n_call", replay["n_vcpu"].astype(np.float64) * total, by),
        *unlike(replay, "calls_per_s", 1e9 / replay["dispatch_ns"], "dispatch_ns"),
        *untold(replay, "shape", np.array(_shapes(replay)), "n_vm and n_vcpu_per_vm"),
    ):
        yield f"table replay, {wrong}"
    if len(set(_shapes(replay))) < replay.n_row:
        yield "table replay: two rows have the same shape"


def _shapes(replay: Table) -> list[str]:
    sizes = zip(replay["n_vm"].tolist(), replay["n_vcpu_per_vm"].tolist(), strict=True)
    return [f"{n_vm} x {per_vm}" for n_vm, per_vm in sizes]


def _of_verdicts(run: Run) -> Iterator[str]:
    """Each service is called by every vCPU of a shape as often as in the trace."""
    replay, calls = run["replay"], Counter[tuple[str, str]]()
    hypothetical = dict(zip(_shapes(replay), replay["is_hypothetical"].tolist(), strict=True))
    for row in run["verdicts"].rows():
        calls[row["shape"], row["service"]] += row["calls"]
        if row["is_hypothetical"] != hypothetical.get(row["shape"], row["is_hypothetical"]):
            yield f"table verdicts: shape {shown(row['shape'])} has another is_hypothetical than table replay"
    by_service = Counter[str]()
    for row in run["trace"].rows():
        by_service[row["service"]] += row["calls"]
    right = {
        (shape, service): n_call * n_vcpu
        for shape, n_vcpu in zip(_shapes(replay), replay["n_vcpu"].tolist(), strict=True)
        for service, n_call in by_service.items()
    }
    for shape, service in (*right, *calls):
        found, should = calls[shape, service], right.get((shape, service), 0)
        if found != should:
            of = f"{shown(service)} of shape {shown(shape)}"
            yield f"table verdicts: {of} has {found} calls, by tables replay and trace it has {should}"


def _axis(table: Table, name: str) -> Iterator[str]:
    """Batches are equally large, VMs have equally many vCPUs, and one axis has as many in all throughout."""
    yield from unlike(table, "n_call", table["n_call"][0], "row 1")
    each = table["n_vcpu"] // table["n_vm"]
    yield from unlike(table, "n_vcpu", each * table["n_vm"].astype(np.float64), "n_vm, each with whole vCPUs,")
    if name == "dispatch_by_vm":
        yield from unlike(table, "n_vcpu", table["n_vcpu"][0], "row 1")


def _encoded(table: Table) -> Iterator[str]:
    """Bytes by the codec, and a round trip that was exact only if the prediction was."""
    if "payload_bytes" in table.columns and are_numbers(table, "payload_bytes"):
        is_alike = table["encoded_bytes"] == table["payload_bytes"]
        exact = table["is_round_trip_exact"]
        yield from unlike(table, "encoded_bytes", table["payload_bytes"], "payload_bytes", only=exact & ~is_alike)
        sent = _sent(table["codec"], table["n_reg"], table["n_reg"], table["n_vcpu"])
        yield from unlike(table, "payload_bytes", *_bytes(table["codec"], sent))
        yield from unlike(table, "least_save_ioctls", sent, "n_reg and n_vcpu, by codec")
        for way in ("save_ioctls", "load_ioctls"):
            yield from _ioctls(table, way, sent, np.zeros(table.n_row))


def _sent(codec: NDArray[Any], n_reg: Any, n_global: Any, n_vcpu: NDArray[Any]) -> NDArray[np.float64]:
    """How many values are sent; NaN for a codec that is not known here."""
    once = np.char.endswith(codec.astype(str), "VM-global once")
    n_reg, n_global, n_vcpu = (np.asarray(column, np.float64) for column in (n_reg, n_global, n_vcpu))
    sent: NDArray[np.float64] = np.where(once, n_global + (n_reg - n_global) * n_vcpu, n_reg * n_vcpu)
    return sent


def _bytes(codec: NDArray[Any], sent: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    has_id = np.char.startswith(codec.astype(str), "id+value")
    return sent * np.where(has_id, _HEAD_BYTES + _VALUE_BYTES, _VALUE_BYTES), "codec, registers and vCPUs"


def _sets(sets: Table) -> Iterator[str]:
    each = _HEAD_BYTES + _VALUE_BYTES
    yield from unlike(sets, "payload_bytes", sets["n_cpreg"] * float(each), f"{each} bytes for each of n_cpreg")


def _costs(run: Run) -> Iterator[str]:
    sets, cost = run["sets"], run["set_cost"]
    row_of = {name: row for row, name in enumerate(sets["register_set"].tolist())}
    names = cost["register_set"].tolist()
    if lacking := [row for row, name in enumerate(names, 1) if name not in row_of]:
        yield f"row {lacking[0]}: register_set {shown(names[lacking[0] - 1])}, which table sets lacks"
        return
    rows = [row_of[name] for name in names]
    n_reg, n_global = (sets[name][rows] for name in ("n_cpreg", "n_global"))
    sent = _sent(cost["codec"], n_reg, n_global, cost["n_vcpu"])
    yield from unlike(cost, "payload_bytes", *_bytes(cost["codec"], sent))
    for way in ("save", "load"):
        n_ioctl = cost[f"{way}_ioctls"].astype(np.float64)
        for level in ("low", "mid", "high"):
            each = run["limits"]["value"][run["limits"]["limit"] == f"one register ioctl, {level}"]
            by = f"{way}_ioctls and what table limits says of one"
            if each.size:
                yield from unlike(cost, f"{way}_{level}_ms", n_ioctl * each[0] / 1e6, by, slack=1e3 * ROUNDING)
        yield from _ioctls(cost, f"{way}_ioctls", sent, np.array(rows))


def _ioctls(table: Table, way: str, sent: NDArray[np.float64], group: NDArray[Any]) -> Iterator[str]:
    """Ioctls are so many for each value sent, and so many besides for each vCPU of one group of rows.

    How many is a matter of the version that saved the run, so most rows tell it for the others.
    """
    if not are_numbers(table, way):
        return
    n_vcpu, best, most = table["n_vcpu"].astype(np.float64), np.zeros(table.n_row), -1
    for each in range(1, _MOST_IOCTLS + 1):
        besides = (table[way] - each * sent) / n_vcpu
        usual = np.empty_like(besides)
        for one in np.unique(group):
            usual[group == one] = Counter(besides[group == one].tolist()).most_common(1)[0][0]
        right = each * sent + usual * n_vcpu
        if (n_alike := int(np.count_nonzero(right == table[way]))) > most:
            best, most = right, n_alike
    yield from unlike(table, way, best, "the other rows")
