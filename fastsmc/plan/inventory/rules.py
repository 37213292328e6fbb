"""What is checked of an inventory, each rule on whole columns, each text once however often it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import not_among
from fastsmc.plan.inventory.codes import distinct, is_empty, repeated
from fastsmc.plan.inventory.columns import TABLES, Columns, Spec
from fastsmc.plan.inventory.problems import Group, Problems
from fastsmc.plan.inventory.tables import Told
from fastsmc.plan.inventory.words import Verdict, of_features, of_kernel, of_vmm

_TEXTS: Mapping[tuple[str, str], Callable[[str], Verdict | None]] = {
    ("hosts", "kernel"): of_kernel,
    ("hosts", "vmm"): of_vmm,
    ("vms", "features"): of_features,
    ("vms", "vmm"): of_vmm,
}
_SLACK = 1e-9
"""Of memory: sums of binary fractions are not exact."""


def problems_of(tables: Mapping[str, Told], host_of_vm: NDArray[np.int64]) -> Problems:
    """All that is wrong with hosts and VMs, or unknown.

    Args:
        host_of_vm: the row of each VM's host, -1 for none.
    """
    hosts, vms = tables["hosts"].columns, tables["vms"].columns
    groups: list[Group] = []
    for table, one in tables.items():
        groups += _unread(table, one)
        groups += _names(table, one.columns)
        for name, spec in TABLES[table].items():
            column = one.columns[name]
            groups += _numbers(table, name, spec, column) if spec.type != "text" else _texts(table, name, spec, column)
    groups += _without_host(hosts, vms, host_of_vm)
    groups += _without_vcpus(tables["vms"])
    groups += _larger_than_host(hosts, vms, host_of_vm)
    n_vcpu = _sum(vms["vcpus"], host_of_vm, len(hosts["name"]))
    groups += _over_memory(hosts, vms, host_of_vm)
    groups += _not_apart(vms, host_of_vm)
    groups = [group for group in groups if len(group.rows)]
    groups.sort(key=lambda group: (group.severity != "wrong", -len(group.rows)))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(hosts["cores"] > 0, n_vcpu / hosts["cores"], 0)
    over = int((ratio > 1).sum()), float(ratio.max(initial=0))
    return Problems(tables, tuple(groups), _untold(tables), over)


def _unread(table: str, one: Told) -> Iterator[Group]:
    kinds: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    for unread in one.unread:
        kinds.setdefault((unread.column, unread.what, unread.remedy), []).append((unread.row, unread.text))
    for (column, what, remedy), found in kinds.items():
        rows, texts = zip(*found, strict=True)
        yield Group("wrong", table, column, what, remedy, np.array(rows, np.int64), texts)


def _names(table: str, columns: Columns) -> Iterator[Group]:
    names = columns["name"]
    word = table[:-1].replace("vm", "VM")
    yield Group("wrong", table, "name", "no name", f"name each {word}", np.flatnonzero(names == ""))
    again = repeated(names)
    again = again[names[again] != ""]
    yield Group("wrong", table, "name", f"a {word} of that name is there before", "name each once", again)


def _numbers(table: str, name: str, spec: Spec, column: NDArray[Any]) -> Iterator[Group]:
    def group(which: NDArray[np.bool_], what: str, remedy: str) -> Group:
        return Group("wrong", table, name, what, remedy, np.flatnonzero(which))

    with np.errstate(invalid="ignore"):
        is_finite = np.isfinite(column) | (column != column)
        yield group(~is_finite, "infinite", "write a number, or leave it empty where it is not known")
        yield group(
            is_finite & (column < 0), "negative", f"write {'0 or more' if spec.zero else 'more than 0'} {spec.unit}"
        )
        if spec.type == "number" and not spec.zero:
            yield group(column == 0, "0 is no size", "leave it empty where it is not known")
        what = f"more than {spec.most:,g} {spec.unit}"
        is_vcpus = (table, name) == ("vms", "vcpus")
        remedy = "no VM of KVM on arm64 has so many" if is_vcpus else f"is it in {spec.unit}?"
        yield group(is_finite & (column > spec.most), what, remedy)


def _texts(table: str, name: str, spec: Spec, column: NDArray[Any]) -> Iterator[Group]:
    judge = _TEXTS.get((table, name))
    if (judge is None and not spec.words) or is_empty(column):
        return
    values, of_row = distinct(column)
    for text, rows in zip(values.tolist(), _rows_of(of_row, len(values)), strict=True):
        verdict = judge(text) if judge is not None else _word(name, text, spec)
        if verdict is not None:
            yield Group(verdict.severity, table, name, verdict.what, verdict.remedy, rows)


def _rows_of(of_row: NDArray[np.int64], n: int) -> list[NDArray[np.int64]]:
    """The rows of each of n values, each in order."""
    return np.split(np.argsort(of_row, kind="stable"), np.cumsum(np.bincount(of_row, minlength=n))[:-1])


def _word(name: str, text: str, spec: Spec) -> Verdict | None:
    if text in ("", *spec.words):
        return None
    told = not_among(name, text, list(spec.words)).partition(": it ")[2]
    return Verdict("wrong", f"no {name} that there is", f"it {told}, or empty")


def _without_host(hosts: Columns, vms: Columns, host_of_vm: NDArray[np.int64]) -> Iterator[Group]:
    rows = np.flatnonzero((host_of_vm < 0) | (vms["host"] == ""))
    names = vms["host"][rows]
    remedy = "write the name of the host it runs on; leave out VMs that run nowhere"
    yield Group("wrong", "vms", "host", "no host was told", remedy, rows[names == ""])
    rows, names = rows[names != ""], names[names != ""]
    if not len(rows):
        return
    alike = {_plain(name): name for name in hosts["name"].tolist()}
    values, of_row = distinct(names)
    near = [alike.get(_plain(name), "") for name in values.tolist()]
    has_near = np.array([bool(name) for name in near])[of_row]
    remedy = "add the host, or correct the name"
    yield Group("wrong", "vms", "host", "no host has that name", remedy, rows[~has_near])
    for name, which in zip(near, _rows_of(of_row, len(values)), strict=True):
        if name:
            yield Group("wrong", "vms", "host", "no host has that name", f"did you mean {name!r}?", rows[which])


def _plain(name: str) -> str:
    """A host's name without blanks, capitals and domain."""
    return name.strip().lower().partition(".")[0]


def _without_vcpus(vms: Told) -> Iterator[Group]:
    rows = np.flatnonzero(vms.columns["vcpus"] == 0)
    told = {one.row for one in vms.unread if one.column == "vcpus"}
    if told:
        rows = rows[[row not in told for row in rows.tolist()]]
    yield Group("unknown", "vms", "vcpus", "its vCPUs were not told", "write how many it has", rows)


def _larger_than_host(hosts: Columns, vms: Columns, host_of_vm: NDArray[np.int64]) -> Iterator[Group]:
    if not len(hosts["name"]):
        return
    for column, of_host, unit in (("vcpus", "cores", "cores"), ("memory_gib", "memory_gib", "GiB")):
        has = hosts[of_host][host_of_vm]
        with np.errstate(invalid="ignore"):
            rows = np.flatnonzero((host_of_vm >= 0) & (has > 0) & (vms[column] > has * (1 + _SLACK)))
        pairs = zip(vms[column][rows].tolist(), has[rows].tolist(), strict=True)
        texts = tuple(f"{one:,g} on a host of {its:,g} {unit}" for one, its in pairs)
        remedy = "correct its size, or that of its host"
        yield Group("wrong", "vms", column, "larger than its host", remedy, rows, texts)


def _over_memory(hosts: Columns, vms: Columns, host_of_vm: NDArray[np.int64]) -> Iterator[Group]:
    taken = _sum(vms["memory_gib"], host_of_vm, len(hosts["name"]))
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((hosts["memory_gib"] > 0) & (taken > hosts["memory_gib"] * (1 + _SLACK)))
    pairs = zip(taken[rows].tolist(), hosts["memory_gib"][rows].tolist(), strict=True)
    texts = tuple(f"VMs of {its:,g} GiB on {one:,g} GiB" for its, one in pairs)
    what, remedy = "its VMs have more memory than it has", "correct the sizes, or where the VMs run"
    yield Group("wrong", "hosts", "memory_gib", what, remedy, rows, texts)


def _not_apart(vms: Columns, host_of_vm: NDArray[np.int64]) -> Iterator[Group]:
    if is_empty(vms["apart"]):
        return
    _, of_row = distinct(vms["apart"])
    rows = np.flatnonzero((host_of_vm >= 0) & (vms["apart"] != ""))
    pairs = of_row[rows] * (int(host_of_vm.max(initial=0)) + 1) + host_of_vm[rows]
    _, first = np.unique(pairs, return_index=True)
    again = np.delete(rows, first)
    what = "a VM of that group, which must be apart, runs on its host already"
    yield Group("wrong", "vms", "apart", what, "move it, or correct the group", again)


def _sum(of_vm: NDArray[Any], host_of_vm: NDArray[np.int64], n_host: int) -> NDArray[np.float64]:
    """What the VMs of each host have together, as far as it is told and can be."""
    values = np.where(np.isfinite(of_vm) & (of_vm > 0), of_vm, 0).astype(np.float64)
    on_one = host_of_vm >= 0
    return np.bincount(host_of_vm[on_one], values[on_one], n_host).astype(np.float64)


def _untold(tables: Mapping[str, Told]) -> dict[str, int]:
    found = {}
    for table, one in tables.items():
        for name, column in one.columns.items():
            is_untold = column == 0 if column.dtype.kind == "i" else column == "" if column.dtype.kind == "U" else None
            n = int((np.isnan(column) if is_untold is None else is_untold).sum())
            if n and name not in ("state", "moves", "why_not", "apart", "pool", "mode", "profile"):  # empty is as good
                found[f"{table}.{name}"] = n
    return found
