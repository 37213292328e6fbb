"""What becomes of a VM on another host: asked once for each distinct pair of sides."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import FastsmcError
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.check import check
from fastsmc.migrate.compat.result import Outlook
from fastsmc.plan.inventory.inventory import Inventory

CODES = {Outlook.FAILS: 0, Outlook.UNKNOWN: 1, Outlook.RESTORES: 2}


class HostKind(NamedTuple):
    """What of a host decides whether a VM restores on it, as the inventory has it."""

    kernel: str
    cpu: str
    vmm: str


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
    """Whether VMs restore on hosts. Checked once per distinct (kernel, CPU, VMM, features) and destination."""
    hosts = inventory.hosts
    host_columns = [hosts[name] for name in ("kernel", "cpu", "vmm")]
    kinds, of_host = _distinct(host_columns)
    host = inventory.host_of_vm[vms]
    own = inventory.vms["vmm"][vms]
    sources, of_vm = _distinct([of_host[host].astype(str), inventory.vms["features"][vms], own])
    codes = np.zeros((len(sources), len(kinds)), np.int8)
    why = {}
    for i, (kind, features, vmm) in enumerate(sources):
        source = HostKind(*kinds[int(kind)])
        for k, dest in enumerate(kinds):
            found = fate(source, HostKind(*dest), features, vmm)
            codes[i, k] = CODES[found.outlook]
            if found.why:
                why[i, k] = found.why
    return Fates(of_vm, of_host, codes, why)


def _distinct(columns: list[NDArray[np.str_]]) -> tuple[list[tuple[str, ...]], NDArray[np.int64]]:
    """Distinct rows of columns of text, and which of them each row is."""
    number = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, of_row = np.unique(column, return_inverse=True)
        number = number * len(values) + of_row.reshape(-1)
    _, first, of_row = np.unique(number, return_index=True, return_inverse=True)
    return list(zip(*(column[first].tolist() for column in columns), strict=True)), of_row.reshape(-1)


@lru_cache(maxsize=4096)
def fate(source: HostKind, dest: HostKind, features: str, vmm: str) -> Fate:
    """What becomes of a VM that moves; `vmm` is its own where that is not its host's."""
    ours, theirs = vmm or source.vmm, vmm or dest.vmm
    if not ours or not theirs:
        return Fate(Outlook.UNKNOWN, "the VMM is not told")
    families = _family(ours), _family(theirs)
    if None not in families and families[0] != families[1]:
        return Fate(Outlook.FAILS, f"{families[1]} restores no VM of {families[0]}")
    if None in families:
        return Fate(Outlook.UNKNOWN, f"no VMM or version that is known: {ours if families[0] is None else theirs}")
    if source.cpu != dest.cpu:
        told = dest.cpu or "one not told", source.cpu or "one not told"
        return Fate(Outlook.UNKNOWN, f"CPU {told[0]} in place of {told[1]}: MIDR_EL1 may differ")
    if source.kernel == dest.kernel and source.kernel and ours == theirs:
        return Fate(Outlook.RESTORES, "")
    if not source.kernel or not dest.kernel:
        return Fate(Outlook.UNKNOWN, "the kernel of a host is not known")
    try:
        way = check(
            *(source.kernel, dest.kernel),
            vmm=theirs,
            source_features=features or None,
            dest_features=features or None,
        ).forward
    except FastsmcError as error:
        return Fate(Outlook.UNKNOWN, str(error))
    return Fate(way.outlook, "" if way.outlook is Outlook.RESTORES else way.summary)


def _family(vmm: str) -> Vmm | None:
    try:
        return VmmVersion.of(vmm, tuple(Vmm)).vmm
    except FastsmcError:
        return None
