"""What becomes of a VM on another host: asked once for each distinct pair of sides."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.migrate.compat.result import Outlook
from fastsmc.plan.inventory.codes import distinct
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.plan.ways import Guest, Place, way

CODES = {Outlook.FAILS: 0, Outlook.UNKNOWN: 1, Outlook.RESTORES: 2}


class Fate(NamedTuple):
    """An outlook, and why in a sentence."""

    outlook: Outlook
    why: str


class Fates(NamedTuple):
    """Fates of distinct VMs on distinct hosts.

    Attributes:
        of_vm, of_host: int64: the row of each VM asked for, and the column of each host.
        codes: int8[n_kind of VMs, n_kind of hosts], of CODES.
        why: the sentence of each, where it does not restore.
    """

    of_vm: NDArray[np.int64]
    of_host: NDArray[np.int64]
    codes: NDArray[np.int8]
    why: dict[tuple[int, int], str]


def fates(inventory: Inventory, vms: NDArray[np.int64]) -> Fates:
    """Whether VMs restore on hosts. Checked once per distinct (place, features) and destination."""
    hosts = inventory.hosts
    host_columns = [*(hosts[name] for name in ("kernel", "cpu", "vmm", "mode")), inventory.probed]
    kinds, of_host = _distinct(host_columns)
    host = inventory.host_of_vm[vms]
    own = inventory.vms["vmm"][vms]
    sources, of_vm = _distinct([of_host[host].astype(str), inventory.vms["features"][vms], own])
    codes = np.zeros((len(sources), len(kinds)), np.int8)
    why = {}
    for i, (kind, features, vmm) in enumerate(sources):
        source = Place(*kinds[int(kind)])
        for k, dest in enumerate(kinds):
            found = fate(source, Place(*dest), features, vmm)
            codes[i, k] = CODES[found.outlook]
            if found.why:
                why[i, k] = found.why
    return Fates(of_vm, of_host, codes, why)


def _distinct(columns: list[NDArray[np.str_]]) -> tuple[list[tuple[str, ...]], NDArray[np.int64]]:
    """Distinct rows of columns of text, and which of them each row is."""
    number = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, of_row = distinct(column)
        number = number * len(values) + of_row
    _, first, of_row = np.unique(number, return_index=True, return_inverse=True)
    return list(zip(*(column[first].tolist() for column in columns), strict=True)), of_row.reshape(-1)


@lru_cache(maxsize=4096)
def fate(source: Place, dest: Place, features: str, vmm: str) -> Fate:
    """What becomes of a VM that moves; `vmm` is its own where that is not its host's."""
    found = way(Guest(features, vmm), source, dest)
    if found.outlook is Outlook.RESTORES:
        return Fate(found.outlook, "")
    if found.registers:
        return Fate(found.outlook, f"{source.kernel} to {dest.kernel} with {vmm or dest.vmm}, {found}")
    return Fate(found.outlook, str(found))
