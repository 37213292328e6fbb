"""What an inventory does not tell of VMs and links, and the range that stands in for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import F64Array, I64Array, shown
from fastsmc.errors import FastsmcError, InputError
from fastsmc.migrate.carried import carried
from fastsmc.migrate.link import Link
from fastsmc.migrate.span import ioctl_costs
from fastsmc.migrate.switchover.arrays import Vms, total_ms
from fastsmc.plan.inventory.inventory import Inventory
from fastsmc.results.units import number_of

GIB, MIB = float(1 << 30), float(1 << 20)
GBIT = 1e9 / 8


class Range(NamedTuple):
    """A figure that nobody told: its least and greatest value, and why these."""

    figure: str
    low: float
    high: float
    why: str


MEMORY = Range(
    "memory of VMs that is not told, GiB per vCPU",
    *(0.75, 7.0),
    "the least and the most that a first-party VM of Azure had in 2017 (Cortez et al.), 0.01 % of the VMs left out",
)
WRITES = Range("memory that VMs write and nobody told, MiB/s", 1.0, 256.0, "nobody has published it for a fleet")
NIC = Range("line rate of hosts that is not told, Gb/s", 10.0, 25.0, "what such hosts are sold with")
IOCTL = "cost of one ioctl"
_REGISTERS = (167, 218, 269)
"""Registers that QEMU carries per vCPU: the fewest of a recorded kernel, the middle, the most."""


class Guessed(NamedTuple):
    """Figures with their low and high ends, and how many rows have no figure of their own.

    Attributes:
        memory: bytes, float64[n_vm, 2]. rate: bytes/s written, float64[n_vm, 2]. nic: bytes/s, float64[n_host, 2].
        n_unknown: rows by the Range's figure; those with none are left out.
    """

    memory: F64Array
    rate: F64Array
    nic: F64Array
    n_unknown: Mapping[str, int]

    def at(self, figure: str, end: int) -> Guessed:
        """With a figure, or with "" all of them, at their low (0) or high (1) end."""
        arrays = {MEMORY.figure: "memory", WRITES.figure: "rate", NIC.figure: "nic"}
        changed: dict[str, Any] = {
            name: np.ascontiguousarray(np.repeat(getattr(self, name)[:, end : end + 1], 2, axis=1))
            for its, name in arrays.items()
            if figure in ("", its)
        }
        return self._replace(**changed)

    def middle(self) -> F64Array:
        """float64[n_vm]: the memory that room is kept for: what is told, or the middle of its range."""
        return np.sqrt(self.memory[:, 0] * self.memory[:, 1])


def guessed(inventory: Inventory, link: Link | None) -> Guessed:
    """The figures of all VMs and hosts; what is not told is not counted yet."""
    vms, hosts = inventory.vms, inventory.hosts
    vcpus = np.maximum(vms["vcpus"], 1)
    memory = _ends(vms["memory_gib"] * GIB, MEMORY.low * vcpus * GIB, MEMORY.high * vcpus * GIB)
    rate = _ends(vms["dirty_mib_per_s"] * MIB, np.array(WRITES.low * MIB), np.array(WRITES.high * MIB))
    ends = (NIC.low, NIC.high) if link is None else (link.gbit_per_s,) * 2
    nic = _ends(hosts["nic_gbit_per_s"] * GBIT, *(np.array(end * GBIT) for end in ends))
    return Guessed(memory, rate, nic, {})


def counted(inventory: Inventory, vm: I64Array, host: I64Array, link: Link | None) -> dict[str, int]:
    """By figure, of how many of these VMs and hosts it is not told; figures that all have are left out."""
    vms = inventory.vms
    counts = {
        MEMORY.figure: int(np.isnan(vms["memory_gib"][vm]).sum()),
        WRITES.figure: int(np.isnan(vms["dirty_mib_per_s"][vm]).sum()),
        NIC.figure: 0 if link else int(np.isnan(inventory.hosts["nic_gbit_per_s"][host]).sum()),
    }
    return {figure: n for figure, n in counts.items() if n}


_POSITIVE = {"hosts": ("nic_gbit_per_s",), "vms": ("downtime_ms",)}
_NOT_NEGATIVE = {"hosts": ("memory_gib",), "vms": ("memory_gib", "dirty_mib_per_s", "hot_set_mib")}


def require_possible(inventory: Inventory) -> None:
    """Raises InputError where a number of the inventory cannot be: negative, infinite, or a rate or time of 0."""
    for what, table in (("hosts", inventory.hosts), ("vms", inventory.vms)):
        for name in (*_POSITIVE[what], *_NOT_NEGATIVE[what]):
            least = "above 0" if name in _POSITIVE[what] else "of 0 or more"
            column = table[name]
            wrong = np.flatnonzero((column < 0) | np.isinf(column) | ((column == 0) & (least == "above 0")))
            if len(wrong):
                row = wrong[0]
                its = f"{what}: {name} of {shown(str(table['name'][row]))} is {column[row]:g}"
                msg = f"{its}: it must be a number {least}, or left empty where it is not known"
                raise InputError(msg)


def _ends(told: F64Array, low: F64Array, high: F64Array) -> F64Array:
    is_told = ~np.isnan(told)
    return np.ascontiguousarray(np.stack([np.where(is_told, told, low), np.where(is_told, told, high)], axis=1))


def texts(found: Guessed, n_vm: int) -> list[str]:
    """What was assumed of these figures, a sentence each."""
    said = []
    for each in (WRITES, MEMORY, NIC):
        if n := found.n_unknown.get(each.figure):
            whose = number_of(n, "host") if each is NIC else f"{n:,} of {number_of(n_vm, 'VM')}"
            said.append(f"{each.figure}: {each.low:g} to {each.high:g} for {whose} (assumed: {each.why})")
    return said


def registers_s(inventory: Inventory, vm: I64Array, nic: F64Array, rtt_us: float) -> tuple[F64Array, int]:
    """Seconds of each VM's downtime that are not memory's, low, middle and high: float64[n, 3]; and of how many VMs
    the registers are not known. Computed once per distinct (kernel, features, vCPUs, line rate)."""
    host = inventory.host_of_vm[vm]
    features, feature = _distinct(inventory.vms["features"][vm])
    rates, rate = _distinct(nic[:, 0])
    counts, count = _distinct(np.maximum(inventory.vms["vcpus"][vm], 1))
    shape = len(inventory.kernels.values), len(features), len(counts), len(rates)
    number = np.ravel_multi_index((inventory.kernels.of_row[host], feature, count, rate[host]), shape)
    numbers, kind = _distinct(number)
    kernel, feature, count, rate = np.unravel_index(numbers, shape)
    names = zip(inventory.kernels.values[kernel].tolist(), features[feature].tolist(), strict=True)
    known = np.array([_listed(*each) for each in names], np.int64).reshape(-1, 2)
    spans = np.zeros((len(numbers), 3))
    for k, usual in enumerate(_REGISTERS):
        vms = Vms(
            n_reg=np.where(known[:, 0] > 0, known[:, 0], usual),
            n_vcpu=counts[count],
            has_sve=known[:, 1] > 0,
            gbit_per_s=rates[rate] / GBIT,
            rtt_us=np.array(rtt_us),
            ioctl_ns=ioctl_costs(None),
        )
        spans[:, k] = total_ms(vms)[:, k] / 1e3
    return np.ascontiguousarray(spans[kind]), int((known[kind, 0] == 0).sum())


def _distinct(values: NDArray[Any]) -> tuple[NDArray[Any], I64Array]:
    """Distinct values, and which of them each is."""
    found, of_row = np.unique(values, return_inverse=True)
    return found, of_row.reshape(-1)


@lru_cache(maxsize=4096)
def _listed(kernel: str, features: str) -> tuple[int, int]:
    """Registers that QEMU carries per vCPU, 0 where that is not known, and whether there is SVE among them."""
    try:
        found = carried(f"{kernel}+{features}" if features else kernel) if kernel else None
    except FastsmcError:
        found = None
    return (0, 0) if found is None else (found.n_reg, int(found.has_sve))
