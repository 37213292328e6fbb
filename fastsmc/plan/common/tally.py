"""An inventory counted by what a baseline depends on: hosts by pool, kernel and CPU, VMs by pool, kernel and features.

However many hosts and VMs there are, of these there are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray, not_among, shown
from fastsmc.errors import InputError
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2, feature_bits
from fastsmc.plan.common.items import IS_FEATURE, IS_VERSION, ITEMS, MAYBE, NO, YES, States, states
from fastsmc.plan.inventory.codes import distinct
from fastsmc.plan.inventory.inventory import Inventory

_BITS = np.array([item.bits for item in ITEMS], np.int64)
_NEEDS_CPU = np.array([item.needs_cpu for item in ITEMS])


class Groups(NamedTuple):
    """Rows of an inventory that are alike.

    Attributes:
        keys: int64[n_group, 3], numbers of pool, kernel, and CPU or features.
        n: int64[n_group], rows in each.
        example: int64[n_group], one row of each.
    """

    keys: NDArray[np.int64]
    n: NDArray[np.int64]
    example: NDArray[np.int64]

    def of_pool(self, pool: int) -> NDArray[np.int64]:
        """The numbers of the groups in a pool."""
        return np.flatnonzero(self.keys[:, 0] == pool)


@dataclass(frozen=True, eq=False)
class Tally:
    """What a baseline is made from.

    Attributes:
        pools: names of pools that have a host in service, sorted.
        hosts: of hosts in service; the third key numbers `cpus`.
        vms: of VMs whose host is known; the third key numbers `features`.
        features: distinct texts of VMs' features.
        lost: rows of VMs on hosts that the inventory has not.
    """

    inventory: Inventory
    pools: list[str]
    cpus: NDArray[np.str_]
    hosts: Groups
    vms: Groups
    features: NDArray[np.str_]
    lost: NDArray[np.int64]

    @cached_property
    def has(self) -> States:
        """int8[n_kernel, n_item]."""
        return states(self.inventory.releases)

    @cached_property
    def gives(self) -> States:
        """int8[n_kernel, n_item]: what a new VM has."""
        return states(self.inventory.releases, of_new_vms=True)

    @cached_property
    def uses(self) -> BoolArray:
        """bool[n_features, n_item]: which features VMs ask for; those of whom nobody told ask for PSCI 0.2."""
        bits = np.array([_bits(text) for text in self.features.tolist()], np.int64)
        used: BoolArray = IS_FEATURE & (_BITS != 0) & (bits[:, None] & _BITS == _BITS)
        return used

    @cached_property
    def has_version(self) -> BoolArray:
        """bool[n_features]: VMs that may have another PSCI version than 0.1."""
        return np.array([bool(_bits(text) & FEATURE_PSCI_0_2) for text in self.features.tolist()], np.bool_)

    @cached_property
    def of_hosts(self) -> States:
        """int8[n_group, n_item]: what the hosts of each group have, kernel and CPU together."""
        _, kernel, cpu = self.hosts.keys.T
        by_cpu = np.where(self._seen[cpu] | ~_NEEDS_CPU, YES, MAYBE)
        both: States = np.minimum(self.has[kernel], by_cpu).astype(np.int8)
        return both

    @cached_property
    def of_vms(self) -> States:
        """int8[n_group, n_item]: what the VMs of each group have today."""
        _, kernel, features = self.vms.keys.T
        given = np.where(IS_FEATURE, NO, self.gives[kernel])
        given[np.ix_(~self.has_version[features], IS_VERSION)] = NO
        return np.where(self.uses[features], YES, given).astype(np.int8)

    @property
    def _seen(self) -> BoolArray:
        """bool[n_cpu, n_item]: features that some VM uses on a host of that CPU; nothing is seen where none is told."""
        seen = np.zeros((len(self.cpus), len(ITEMS)), np.bool_)
        hosts = self.inventory.host_of_vm
        placed = np.flatnonzero(hosts >= 0)
        cpu = np.searchsorted(self.cpus, self.inventory.hosts["cpu"][hosts[placed]])
        features = np.searchsorted(self.features, self.inventory.vms["features"][placed])
        for one, of in np.unique(np.stack([cpu, features], axis=1), axis=0):
            seen[one] |= self.uses[of]
        told: BoolArray = seen & (self.cpus != "")[:, None]
        return told


def _bits(text: str) -> int:
    return feature_bits(text) if text.strip() else FEATURE_PSCI_0_2


def tally(inventory: Inventory, pool: str | None) -> Tally:
    """An inventory counted, or one pool of it.

    Raises:
        InputError: no host in service, no such pool, or a VM's features that are none.
    """
    columns = inventory.hosts
    serves = columns["state"] != "down"
    pools, pool_of = distinct(columns["pool"])
    cpus, cpu_of = distinct(columns["cpu"])
    if pool is not None:
        if pool not in pools:
            raise InputError(not_among("pool", pool, pools.tolist()))
        serves &= columns["pool"] == pool
    if not serves.any():
        msg = f"no host {'' if pool is None else f'of pool {shown(pool)} '}is in service: a baseline is of hosts"
        raise InputError(msg)
    kernel_of = inventory.kernels.of_row
    hosts = _groups([pool_of, kernel_of, cpu_of], np.flatnonzero(serves))
    served = np.unique(hosts.keys[:, 0])

    features, features_of = distinct(inventory.vms["features"])
    _check_features(inventory, features, features_of)
    at = inventory.host_of_vm
    placed = np.flatnonzero((at >= 0) & np.isin(pool_of[at], served)) if len(at) else np.zeros(0, np.int64)
    of_host = at[placed]
    keys: list[Any] = [np.zeros(len(at), np.int64) for _ in range(2)]
    keys[0][placed], keys[1][placed] = pool_of[of_host], kernel_of[of_host]
    vms = _groups([*keys, features_of], placed)
    return Tally(inventory, pools.tolist(), cpus, hosts, vms, features, np.flatnonzero(at < 0))


def _groups(keys: list[Any], rows: NDArray[np.int64]) -> Groups:
    if not len(rows):
        return Groups(np.zeros((0, 3), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    stacked = np.stack([np.asarray(key, np.int64).reshape(-1)[rows] for key in keys], axis=1)
    found, first, n = np.unique(stacked, axis=0, return_index=True, return_counts=True)
    return Groups(found, n.astype(np.int64), rows[first])


def _check_features(inventory: Inventory, features: NDArray[np.str_], of_vm: NDArray[np.int64]) -> None:
    for i, text in enumerate(features.tolist()):
        try:
            _bits(text)
        except InputError as error:
            row = int(np.flatnonzero(of_vm.reshape(-1) == i)[0])
            msg = f"{inventory.tables['vms'].place(row)}, {shown(inventory.vms['name'][row].item())}: {error}"
            raise InputError(msg) from error
