"""Which VMs leave, where each goes, and which have to stay: the drains before anything moves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.checks import BoolArray, F64Array, I64Array
from fastsmc.plan.evacuation.fates import Fates, fates
from fastsmc.plan.inventory.codes import distinct
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.kernels import placing
from fastsmc.plan.result import Excuse

GIB = 1 << 30
_WHY = {
    placing.NO_HOST: "its pool has no other host in service",
    placing.NO_ROOM: "no host on which it restores has memory for it",
    placing.APART: "each host with memory for it holds a VM that must stay apart from it",
}


class Placed(NamedTuple):
    """VMs that leave their hosts, those of one drain side by side.

    Attributes:
        vm: int64[n]: rows of the inventory. dest: int64[n]: their new hosts.
        first: int64[n_drain + 1]: drain k has the VMs first[k] up to first[k + 1].
        is_sure: bool[n]: it is known to restore there.
        excuses: VMs that cannot leave, by reason, most first.
        n_stay: int64[n_drained]: of each drained host, VMs that cannot leave.
        doubts: VMs of which it is not known whether they restore, by reason.
    """

    vm: I64Array
    dest: I64Array
    first: I64Array
    is_sure: BoolArray
    excuses: tuple[Excuse, ...]
    n_stay: I64Array
    doubts: tuple[Excuse, ...]


def placed(inventory: Inventory, drained: I64Array, drain_of_host: I64Array, memory_bytes: F64Array) -> Placed:
    """Destinations of all VMs on drained hosts: in turn, the next host of the pool that takes it, the largest first.

    Args:
        drained: rows of hosts; drain_of_host: int64[n_host]: in which drain each is emptied, -1 for none.
        memory_bytes: float64[n_vm] of the inventory.
    """
    at = inventory.host_of_vm
    on_drained = np.flatnonzero((at >= 0) & (drain_of_host[at] >= 0))
    vm = on_drained[np.lexsort((-memory_bytes[on_drained], drain_of_host[at[on_drained]]))]
    cannot = inventory.vms["moves"][vm] == "no"
    stays, vm = vm[cannot], vm[~cannot]
    n_drain = int(drain_of_host.max(initial=-1)) + 1
    first = np.searchsorted(drain_of_host[at[vm]], np.arange(n_drain + 1)).astype(np.int64)
    found = fates(inventory, vm)
    dest, is_sure = np.zeros(len(vm), np.int64), np.zeros(len(vm), np.int64)
    placing.place(
        _hosts(inventory, drain_of_host, found, memory_bytes),
        _guests(inventory, vm, found, memory_bytes),
        *(found.codes, first, dest, is_sure),
    )
    goes = dest >= 0
    n_stay = np.zeros(inventory.n_host, np.int64)
    np.add.at(n_stay, at[np.concatenate([stays, vm[~goes]])], 1)
    kept_first = np.concatenate([[0], np.cumsum(goes)])[first].astype(np.int64)
    return Placed(
        vm[goes],
        dest[goes],
        kept_first,
        is_sure[goes] > 0,
        _excuses(inventory, stays, vm, dest, found),
        n_stay[drained],
        _doubts(inventory, vm, dest, is_sure, found),
    )


def _hosts(inventory: Inventory, drain: I64Array, found: Fates, memory_bytes: F64Array) -> placing.Hosts:
    hosts = inventory.hosts
    pools, pool = distinct(hosts["pool"])
    pool = pool.reshape(-1)
    ring = np.argsort(pool, kind="stable")
    first = np.searchsorted(pool[ring], np.arange(len(pools) + 1)).astype(np.int64)
    at = inventory.host_of_vm
    used = np.bincount(at[at >= 0], memory_bytes[at >= 0], minlength=inventory.n_host)
    free: F64Array = np.nan_to_num(hosts["memory_gib"] * GIB - used, nan=np.inf, posinf=np.inf)
    is_open = (hosts["state"] == "").astype(np.int64)
    return placing.Hosts(ring, first, pool, found.of_host, is_open, drain, free, np.zeros(len(pools), np.int64))


def _guests(inventory: Inventory, vm: I64Array, found: Fates, memory_bytes: F64Array) -> placing.Guests:
    names, group = distinct(inventory.vms["apart"])
    group = np.where(inventory.vms["apart"] == "", -1, group.reshape(-1))
    members = np.argsort(group, kind="stable")
    first = np.searchsorted(group[members], np.arange(len(names) + 1)).astype(np.int64)
    at = inventory.host_of_vm
    return placing.Guests(vm, at[vm], found.of_vm, memory_bytes[vm], group[vm], first, members, at.copy())


def _excuses(inventory: Inventory, stays: I64Array, vm: I64Array, dest: I64Array, found: Fates) -> tuple[Excuse, ...]:
    """Why VMs cannot leave, each reason counted."""
    excuses = []
    if len(stays):
        excuses.append(Excuse("it is marked as one that cannot be migrated", len(stays), _row(inventory, stays[0])))
    for code, why in _WHY.items():
        where = np.flatnonzero(dest == code)
        if len(where):
            excuses.append(Excuse(why, len(where), _row(inventory, vm[where[0]])))
    fails = np.flatnonzero(dest == placing.FAILS)
    pool = inventory.hosts["pool"]
    for kind in np.unique(found.of_vm[fails]).tolist():
        its = fails[found.of_vm[fails] == kind]
        home = inventory.host_of_vm[vm[its[0]]]
        near = (pool == pool[home]) & (inventory.hosts["state"] == "")
        near[home] = False
        reasons = [found.why.get((kind, its), "") for its in np.unique(found.of_host[near]).tolist()]
        why = f"it restores on no other host of its pool: {next(filter(None, reasons), 'none is left')}"
        excuses.append(Excuse(why, len(its), _row(inventory, vm[its[0]])))
    return tuple(sorted(excuses, key=lambda excuse: -excuse.n_row))


def _doubts(inventory: Inventory, vm: I64Array, dest: I64Array, is_sure: I64Array, found: Fates) -> tuple[Excuse, ...]:
    """Why it is not known of VMs whether they restore where they go, each reason counted."""
    unsure = np.flatnonzero((dest >= 0) & (is_sure == 0))
    pairs = np.stack([found.of_vm[unsure], found.of_host[dest[unsure]]], axis=1)
    doubts = []
    for kind in np.unique(pairs, axis=0).tolist():
        its = unsure[(pairs == kind).all(axis=1)]
        why = f"it may not restore: {found.why.get(tuple(kind), 'nothing is known')}"
        doubts.append(Excuse(why, len(its), _row(inventory, vm[its[0]])))
    return tuple(sorted(doubts, key=lambda excuse: -excuse.n_row))


def _row(inventory: Inventory, vm: int) -> dict[str, str]:
    return {"name": str(inventory.vms["name"][vm]), "host": str(inventory.vms["host"][vm])}
