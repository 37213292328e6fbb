"""An inventory as the pools that are upgraded: columns of whole numbers, and what is not told set apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray, I64Array
from fastsmc.errors import InputError
from fastsmc.facts.releases import Release, release
from fastsmc.facts.versions import bare
from fastsmc.plan.inventory.codes import distinct
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.ways import Guest, Place

MIB = 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """What an upgrade is asked with; see `upgrade`."""

    to: str
    hosts_at_once: int
    per_tenant_at_once: int | None
    spare_hosts: int
    vcpus_per_core: float
    vmm: str
    to_vmm: str


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Hosts and VMs of an upgrade. Spare hosts follow those of the inventory; what is down or nowhere is left out.

    Attributes:
        names, pool: text and int64[n_host]; row is its row in the inventory, -1 for a spare.
        now, new: int64[n_host], index into `places`, before and after the upgrade.
        is_due: bool[n_host], to be upgraded. is_open: bool[n_host], in service, so that it would take VMs.
        is_known: bool[n_host], its room is known, also what its VMs use.
        cap: int64[n_host, 2], vCPUs and MiB.
        vm: int64[n_vm], row of each VM in the inventory. at: int64[n_vm], its host here.
        guest: int64[n_vm], index into `guests`. size: int64[n_vm, 2]; is_sized: bool[n_vm], both are told.
        apart: int64[n_vm], its group or -1. may_move: bool[n_vm], nothing says that it cannot be migrated.
    """

    names: NDArray[np.str_]
    row: I64Array
    pool: I64Array
    pools: tuple[str, ...]
    now: I64Array
    new: I64Array
    places: tuple[Place, ...]
    is_due: BoolArray
    is_open: BoolArray
    is_known: BoolArray
    cap: I64Array
    vm: I64Array
    at: I64Array
    guest: I64Array
    guests: tuple[Guest, ...]
    size: I64Array
    is_sized: BoolArray
    apart: I64Array
    may_move: BoolArray


def is_done(kernel: str, target: Release, known: Release | None) -> bool:
    """Whether a host needs no upgrade: it has that kernel, an update of that series where none is named, or a newer."""
    if known is None:
        return False
    if bare(kernel) == bare(target.name):
        return True
    is_series = known.series == target.series and target.stable is None
    return (is_series and known.vendor == target.vendor) or known.series > target.series


def fleet_of(inv: Inventory, asked: Asked) -> Fleet:
    """The hosts that are not down, their spares, and the VMs on them.

    Raises:
        InputError: no host is left.
    """
    hosts, target = inv.hosts, release(asked.to)
    kept = np.flatnonzero(hosts["state"] != "down")
    if not len(kept):
        msg = "inventory: no host is in service: there is nothing to upgrade"
        raise InputError(msg)
    done = np.array(
        [
            is_done(kernel, target, host.release if host else None)
            for kernel, host in zip(inv.kernels.values.tolist(), inv.releases, strict=True)
        ],
        np.bool_,
    )[inv.kernels.of_row[kept]]
    pools, pool = distinct(hosts["pool"][kept])
    columns, places = _hosts(inv, asked, kept, done, pool)
    spares = _spares(columns, asked.spare_hosts, len(pools))
    n_spare = len(spares)
    place_now, place_new, room, is_told, pool_of = (np.concatenate([each, each[spares]]) for each in columns)
    place_now[len(kept) :] = place_new[len(kept) :]
    names = [
        f"spare {k % asked.spare_hosts + 1} of {pools[pool_of[len(kept) + k]] or 'the pool'}" for k in range(n_spare)
    ]
    vm, at = _vms(inv, kept)
    size, is_sized = _sizes(inv, vm)
    is_known = is_told.copy()
    is_known[at[~is_sized]] = False
    guests, guest = _guests(inv, vm)
    apart = _groups(inv.vms["apart"][vm])
    return Fleet(
        names=np.concatenate([hosts["name"][kept], np.array(names, np.str_)]) if names else hosts["name"][kept],
        row=np.concatenate([kept, np.full(n_spare, -1)]),
        pool=pool_of,
        pools=tuple(pools.tolist()),
        now=place_now,
        new=place_new,
        places=places,
        is_due=np.concatenate([~done, np.zeros(n_spare, np.bool_)]),
        is_open=np.concatenate([hosts["state"][kept] != "cordoned", np.ones(n_spare, np.bool_)]),
        is_known=is_known,
        cap=room,
        vm=vm,
        at=at,
        guest=guest,
        guests=guests,
        size=size,
        is_sized=is_sized,
        apart=apart,
        may_move=inv.vms["moves"][vm] != "no",
    )


def _hosts(
    inv: Inventory, asked: Asked, kept: I64Array, done: BoolArray, pool: NDArray[np.intp]
) -> tuple[tuple[NDArray[Any], ...], tuple[Place, ...]]:
    """Columns of hosts (place before, place after, room, whether it is told, pool), and the places."""
    hosts = {name: column[kept] for name, column in inv.hosts.items()}
    cores, memory = hosts["cores"].astype(np.float64), hosts["memory_gib"]
    told = (cores > 0) & (memory > 0)
    cap = np.stack([np.floor(cores * asked.vcpus_per_core), np.floor(np.where(told, memory, 0) * MIB)], 1)
    vmms = np.where(hosts["vmm"] == "", asked.vmm, hosts["vmm"])
    its = (hosts["kernel"], hosts["cpu"], vmms, hosts["mode"], inv.probed[kept])
    now = [Place(*each) for each in zip(*(column.tolist() for column in its), strict=True)]
    new = [
        each if is_new else Place(asked.to, each.cpu, asked.to_vmm or each.vmm, each.mode)  # not probed yet
        for each, is_new in zip(now, done, strict=True)
    ]
    numbers = {key: k for k, key in enumerate(dict.fromkeys([*now, *new]))}
    columns = (
        np.array([numbers[each] for each in now], np.int64),
        np.array([numbers[each] for each in new], np.int64),
        cap.astype(np.int64),
        told,
        pool.reshape(-1).astype(np.int64),
    )
    return columns, tuple(numbers)


def _spares(columns: tuple[NDArray[np.generic], ...], n_spare: int, n_pool: int) -> I64Array:
    """The hosts that spares are like: of each pool its most common one, once per spare."""
    table = np.stack([np.asarray(each, np.int64) for each in (columns[1], *columns[2].T, columns[3], columns[4])], 1)
    found: list[int] = []
    for pool in range(n_pool if n_spare else 0):
        rows = np.flatnonzero(columns[4] == pool)
        _, first, n = np.unique(table[rows], axis=0, return_index=True, return_counts=True)
        found += [int(rows[first[np.argmax(n)]])] * n_spare
    return np.array(found, np.int64)


def _vms(inv: Inventory, kept: I64Array) -> tuple[I64Array, I64Array]:
    """VMs on the hosts that are kept, and each one's host among them."""
    place = np.full(inv.n_host + 1, -1, np.int64)  # the last for VMs whose host does not exist
    place[kept] = np.arange(len(kept))
    at = place[inv.host_of_vm]
    vm = np.flatnonzero(at >= 0)
    return vm, at[vm]


def _sizes(inv: Inventory, vm: I64Array) -> tuple[I64Array, BoolArray]:
    vcpus, memory = inv.vms["vcpus"][vm], inv.vms["memory_gib"][vm]
    is_sized = (vcpus > 0) & (memory > 0)
    return np.stack([vcpus, np.ceil(np.where(is_sized, memory, 0) * MIB).astype(np.int64)], 1), is_sized


def _guests(inv: Inventory, vm: I64Array) -> tuple[tuple[Guest, ...], I64Array]:
    """The distinct guests, and which one each VM is."""
    pairs = list(zip(inv.vms["features"][vm].tolist(), inv.vms["vmm"][vm].tolist(), strict=True))
    numbers = {key: k for k, key in enumerate(dict.fromkeys(pairs))}
    return tuple(Guest(*key) for key in numbers), np.array([numbers[each] for each in pairs], np.int64)


def _groups(texts: NDArray[np.str_]) -> I64Array:
    """A number for each group of VMs that stay apart, -1 for none; a group of one is none."""
    numbers: dict[str, int] = {"": -1}
    for text in texts.tolist():
        numbers.setdefault(text, len(numbers))
    found = np.array([numbers[text] for text in texts.tolist()], np.int64)
    n = np.bincount(found + 1, minlength=len(numbers) + 1)
    return np.where(n[found + 1] > 1, found, -1)
