"""`Inventory`: hosts and VMs as columns, with each VM's host found and each kernel's rules known or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import FastsmcError
from fastsmc.facts.releases import Host
from fastsmc.plan.inventory.columns import HOSTS, VMS, Columns, columns_of


class Distinct(NamedTuple):
    """A column of text as its distinct values and the number of each row's: text[n], int64[n_row]."""

    values: NDArray[np.str_]
    of_row: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Inventory:
    """A fleet's hosts and VMs.

    Attributes:
        hosts, vms: columns by name (columns.HOSTS, columns.VMS), read-only. Unknown are "", NaN and 0.
        assumed: what of it nobody told, by column, a sentence each.
    """

    hosts: Columns
    vms: Columns
    assumed: Mapping[str, str]

    @classmethod
    def of(cls, *, hosts: Any, vms: Any, assumed: Mapping[str, str] | None = None) -> Inventory:
        """An inventory from mappings of columns: dicts, data frames of pandas or polars, tables of Arrow.

        Raises:
            InputError: a column that is missing, unknown, of another type or length.

        >>> inventory = Inventory.of(
        ...     hosts={"name": ["h1", "h2"], "kernel": ["6.12.107", ""]},
        ...     vms={"name": ["a"], "host": ["h2"], "vcpus": [4]},
        ... )
        >>> inventory
        <Inventory of 2 hosts and 1 VM>
        """
        return cls(columns_of(hosts, HOSTS, "hosts"), columns_of(vms, VMS, "vms"), dict(assumed or {}))

    @property
    def n_host(self) -> int:
        """Hosts."""
        return len(self.hosts["name"])

    @property
    def n_vm(self) -> int:
        """VMs."""
        return len(self.vms["name"])

    @cached_property
    def host_of_vm(self) -> NDArray[np.int64]:
        """int64[n_vm]: the row of each VM's host, -1 where no host has that name."""
        return places(self.vms["host"], self.hosts["name"])

    @cached_property
    def kernels(self) -> Distinct:
        """The distinct kernels of hosts, as `uname -r` prints them; "" where none was told."""
        values, of_row = np.unique(self.hosts["kernel"], return_inverse=True)
        return Distinct(values, of_row.reshape(-1))

    @cached_property
    def releases(self) -> tuple[Host | None, ...]:
        """The rules of each distinct kernel; None where fastsmc does not know it."""
        return tuple(map(_host, self.kernels.values.tolist()))

    def __repr__(self) -> str:
        hosts, vms = (f"{n:,} {what}{'s' * (n != 1)}" for n, what in ((self.n_host, "host"), (self.n_vm, "VM")))
        return f"<Inventory of {hosts} and {vms}>"


def places(names: NDArray[np.str_], among: NDArray[np.str_]) -> NDArray[np.int64]:
    """Where each name stands among others, of equal ones the first, or -1. text[n], text[m] -> int64[n]."""
    if not len(among):
        return np.full(len(names), -1, np.int64)
    order = np.argsort(among, kind="stable")
    at = np.minimum(np.searchsorted(among, names, sorter=order), len(among) - 1)
    return np.where(among[order[at]] == names, order[at], -1)


def _host(kernel: str) -> Host | None:
    try:
        return Host.of(kernel)
    except FastsmcError:
        return None
