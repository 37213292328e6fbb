"""Fleets drawn like known ones: the shapes of their VMs by their shares, everything else assumed and listed as such."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown, whole, word_of
from fastsmc.errors import InputError
from fastsmc.plan.inventory.columns import MOST_ROWS

Placement = Literal["first-fit", "spread"]


class Shares(NamedTuple):
    """A fleet that was published.

    Attributes:
        shapes: (vCPUs, memory in GiB, share of the VMs); shares are scaled to 1.
        source: who counted it, and what is left out.
    """

    shapes: tuple[tuple[int, float, float], ...]
    source: str


FLEETS: Mapping[str, Shares] = {
    "azure-2017": Shares(
        ((1, 1.75, 47.7), (2, 3.5, 24.9), (4, 7, 10.9), (8, 14, 10.6), (8, 56, 3.8), (1, 0.75, 2.1)),
        "first-party VMs of Azure, 2017 (Cortez et al., Resource Central, SOSP 2017; counted from 1,870,433 requests "
        "of the public trace); ten more shapes, 0.13 % together, are left out; its GB are taken as GiB",
    )
}
_DIRTY_MIB_PER_S, _DIRTY_SPREAD, _HOT_SHARE = 10.0, 1.0, 0.1
"""A vCPU's dirty rate (median, and the standard deviation of its logarithm), and the share of memory that is written
again and again. Assumed: nobody has published them of such a fleet."""
_VMS_PER_TENANT = 20
_FEATURES, _VMM, _NIC_GBIT_PER_S = "psci02+pmu", "qemu:10.1", 25.0
"""Assumed, too."""


def fleet_like(
    name: str, *, n_host: int, seed: int, n_vm: int | None, cores: int, memory_gib: float, fill: float, kernels: Any,
    placement: str,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str], tuple[str, ...]]:  # fmt: skip
    """(hosts, vms, assumed, notes) of a fleet that is drawn; `Inventory.like` has the arguments.

    Raises:
        InputError: a name or number that is none; VMs that do not fit the hosts.
    """
    shares = FLEETS[word_of("the fleet", name, FLEETS)]
    n_host = whole("n_host", n_host, first=1, last=MOST_ROWS)
    cores = whole("cores", cores, first=1, last=100_000)
    word_of("placement", placement, ("first-fit", "spread"))
    if n_vm is not None:
        n_vm = whole("n_vm", n_vm, first=0, last=MOST_ROWS)
    sizes: tuple[tuple[str, Any, int], ...] = ("memory_gib", memory_gib, 1 << 20), ("fill", fill, 1)
    for what, value, most in sizes:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
            msg = f"{what} is {shown(value)}: it must be a number above 0 and up to {most:g}"
            raise InputError(msg)
    rng = np.random.default_rng(whole("seed", seed, last=(1 << 64) - 1))
    shapes = _drawn(shares, rng, n_vm, fill * n_host * cores)
    place = _first_fit if placement == "first-fit" else _spread
    hosts = place(shapes.tolist(), shares.shapes, n_host, cores, memory_gib)
    if n_vm is not None and len(hosts) < n_vm:
        msg = f"{n_vm:,} VMs do not fit {n_host:,} hosts of {cores} cores and {memory_gib:g} GiB: {len(hosts):,} do"
        raise InputError(msg)
    kernel, told = _kernels(kernels, n_host, rng)
    names = np.array([f"host-{number:06d}" for number in range(n_host)])
    assumed = _assumed(told, cores, memory_gib, placement)
    columns = {
        "name": names,
        "kernel": kernel,
        "vmm": np.full(n_host, _VMM),
        "cores": np.full(n_host, cores),
        "memory_gib": np.full(n_host, float(memory_gib)),
        "nic_gbit_per_s": np.full(n_host, _NIC_GBIT_PER_S),
    }
    vms = _vms(shares, shapes[: len(hosts)], names[np.array(hosts, np.int64)], rng)
    return columns, vms, assumed, (f"drawn with seed {seed} like {name}: {shares.source}",)


def _drawn(shares: Shares, rng: np.random.Generator, n_vm: int | None, n_vcpu: float) -> NDArray[np.int64]:
    """Numbers of shapes: so many, or as many as have so many vCPUs together."""
    share = np.array([each for *_, each in shares.shapes])
    until = np.cumsum(share / share.sum())
    until[-1] = 1
    vcpus = np.array([each for each, *_ in shares.shapes])
    if n_vm is not None:
        return np.searchsorted(until, rng.random(n_vm), side="right")
    parts: list[NDArray[np.int64]] = []
    while sum(int(vcpus[part].sum()) for part in parts) <= n_vcpu:
        parts.append(np.searchsorted(until, rng.random(1 << 16), side="right"))
        if len(parts) * (1 << 16) > MOST_ROWS + (1 << 16):
            msg = f"hosts of {n_vcpu:,.0f} vCPUs hold over {MOST_ROWS:,} VMs: ask for fewer hosts, or give n_vm"
            raise InputError(msg)
    drawn = np.concatenate(parts)
    return drawn[: int(np.searchsorted(np.cumsum(vcpus[drawn]), n_vcpu, side="right"))]


Shapes = tuple[tuple[int, float, float], ...]


def _first_fit(drawn: list[int], shapes: Shapes, n_host: int, cores: int, memory_gib: float) -> list[int]:
    """The host of each VM, the first that has room; ends before the first VM that finds none.

    Room only shrinks, so what had none for a shape never has again: each shape has a place from which it looks on.
    """
    free, room = [cores] * n_host, [memory_gib] * n_host
    at = [0] * len(shapes)
    hosts = []
    for shape in drawn:
        vcpus, memory, _ = shapes[shape]
        host = at[shape]
        while host < n_host and (free[host] < vcpus or room[host] < memory):
            host += 1
        at[shape] = host
        if host == n_host:
            break
        free[host] -= vcpus
        room[host] -= memory
        hosts.append(host)
    return hosts


def _spread(drawn: list[int], shapes: Shapes, n_host: int, cores: int, memory_gib: float) -> list[int]:
    """The host of each VM, of those with room the one with the most free cores, of equal ones the first."""
    room = [memory_gib] * n_host
    emptiest = [(-cores, host) for host in range(n_host)]
    hosts = []
    for shape in drawn:
        vcpus, memory, _ = shapes[shape]
        full = []
        while emptiest and -emptiest[0][0] >= vcpus and room[emptiest[0][1]] < memory:
            full.append(heapq.heappop(emptiest))
        has_room = bool(emptiest) and -emptiest[0][0] >= vcpus
        if has_room:
            free, host = emptiest[0]
            heapq.heapreplace(emptiest, (free + vcpus, host))
            room[host] -= memory
            hosts.append(host)
        for one in full:
            heapq.heappush(emptiest, one)
        if not has_room:
            break
    return hosts


def _kernels(kernels: Any, n_host: int, rng: np.random.Generator) -> tuple[NDArray[Any], str]:
    """The kernel of each host, and how it came about; hosts of one kernel stand beside each other."""
    shares = {kernels: 1.0} if isinstance(kernels, str) else dict(kernels)
    if not shares or not all(
        isinstance(kernel, str) and isinstance(share, int | float) and 0 < share < 1e9
        for kernel, share in shares.items()
    ):
        msg = f"kernels is {shown(kernels)}: give a kernel, or shares by kernel, such as {{'6.12': 0.7, '6.18': 0.3}}"
        raise InputError(msg)
    until = np.cumsum(list(shares.values()))
    number = np.searchsorted(until, (np.arange(n_host) + rng.random()) / n_host * until[-1], side="right")
    chosen = np.array(list(shares))[np.minimum(number, len(shares) - 1)]
    return chosen, ", ".join(f"{kernel} on {share / until[-1]:.1%}" for kernel, share in shares.items())


def _vms(shares: Shares, shapes: NDArray[np.int64], hosts: NDArray[Any], rng: np.random.Generator) -> dict[str, Any]:
    n = len(shapes)
    vcpus = np.array([vcpus for vcpus, *_ in shares.shapes])[shapes]
    memory = np.array([float(memory) for _, memory, _ in shares.shapes])[shapes]
    rate = _DIRTY_MIB_PER_S * vcpus * np.exp(_DIRTY_SPREAD * rng.standard_normal(n))
    return {
        "name": np.array([f"vm-{number:07d}" for number in range(n)], "U10"),
        "host": hosts,
        "vcpus": vcpus,
        "memory_gib": memory,
        "features": np.full(n, _FEATURES),
        "tenant": np.char.add("tenant-", rng.integers(0, max(1, n // _VMS_PER_TENANT), n).astype("U7")),
        "dirty_mib_per_s": np.round(rate, 2),
        "hot_set_mib": np.round(memory * 1024 * _HOT_SHARE, 1),
    }


def _assumed(kernels: str, cores: int, memory_gib: float, placement: str) -> dict[str, str]:
    """What nobody told of such a fleet, by column."""
    return {
        "hosts.kernel": f"{kernels} of the hosts: the fleet's kernels are not published, and it was not arm64",
        "hosts.vmm": _VMM,
        "hosts.cores": f"{cores} on each host",
        "hosts.memory_gib": f"{memory_gib:g} GiB on each host",
        "hosts.nic_gbit_per_s": f"{_NIC_GBIT_PER_S:g} Gb/s on each host",
        "vms.host": f"placed by {placement} in the order in which they were drawn",
        "vms.features": f"{_FEATURES} on each VM",
        "vms.tenant": f"tenants of some {_VMS_PER_TENANT} VMs, each VM's drawn alike",
        "vms.dirty_mib_per_s": (
            f"log-normal about {_DIRTY_MIB_PER_S:g} MiB/s for each vCPU, deviation of the logarithm {_DIRTY_SPREAD:g}"
        ),
        "vms.hot_set_mib": f"{_HOT_SHARE:.0%} of the memory",
    }
