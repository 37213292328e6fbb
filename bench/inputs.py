"""Fleets and calls the cases are made of, seeded: the same on every machine."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.baseline import aligned
from bench.rows import KNOWN, policy_words
from fastsmc.calls.workload import Calls, replay
from fastsmc.errors import InputError
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import RESERVED_RANGES
from fastsmc.fleet.filters import FilterRange
from fastsmc.traces.text import traced_calls as read_trace
from fastsmc.vm import Fleet

ROOT = Path(__file__).resolve().parents[1]
TRACES = (
    "fastsmc/data/linux-7.3-guest-boot.ftrace.txt",
    "tests/recordings/guest-traces/5.10-5.10.ftrace.txt",
    "tests/recordings/guest-traces/6.1-6.1.ftrace.txt",
)
"""Recorded guests, one after another: Linux 7.3, 5.10 and 6.1."""
SERIES = tuple(f"{major}.{minor}" for major, last in ((5, 19), (6, 19), (7, 3)) for minor in range(last + 1))[10:]
"""Every release there are rules for, 5.10 to 7.3."""
WITH_FILTER = SERIES[SERIES.index("6.4") :]

_BITMAPS = ("STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP", "VENDOR_HYP_BMAP_2")
_OWNED = (0x8400_0000, 0xC400_0000, 0x8500_0000, 0xC500_0000, 0x8600_0000, 0xC600_0000)


def fleet_of_policies(
    n_vm: int, *, n_policy: int | None = None, n_vcpu: int = 1, series: tuple[str, ...] = SERIES, seed: int = 1
) -> Fleet:
    """VMs whose policies are drawn from all that exist, or from so many distinct ones, in random order over the VMs.

    Release, features, every bitmap, PSCI version and capability are drawn, each evenly from what the release accepts.
    """
    if n_policy is None:
        return _drawn(np.arange(n_vm), n_vm, n_vcpu, series, seed)
    n_drawn = 4 * n_policy + 16  # some come out equal
    words = policy_words(_drawn(np.arange(n_drawn), n_drawn, 1, series, seed))
    distinct = np.sort(np.unique(words, axis=0, return_index=True)[1])[:n_policy]
    rng = np.random.default_rng([seed, 5])
    of_vm = np.concatenate([np.arange(distinct.size), rng.integers(distinct.size, size=n_vm)])[:n_vm]
    return _drawn(distinct[rng.permutation(of_vm)], n_drawn, n_vcpu, series, seed)


def _drawn(of_vm: NDArray[np.int64], n_policy: int, n_vcpu: int, series: tuple[str, ...], seed: int) -> Fleet:
    """VMs with the policies that of_vm names, out of n_policy drawn ones."""
    rng = np.random.default_rng([seed, 1])
    hosts = [Host.of(name) for name in series]
    host = rng.integers(len(series), size=n_policy)
    features = rng.choice(np.array([0x0, 0x2, 0x4, 0x6], np.uint32), n_policy)
    fleet = Fleet(np.full(of_vm.size, n_vcpu), hosts=hosts, host_of_vm=host[of_vm], features=features[of_vm])
    limit = np.array([h.release.bitmap_limit for h in hosts])[host]
    word = rng.integers(4, size=limit.shape) & limit
    for i, name in enumerate(_BITMAPS):
        fleet.try_set_one_reg(register(name), word[of_vm, i])
    accepted = [hosts[h].release.psci_versions for h in host]
    version = np.array([choice[int(rng.integers(len(choice)))] for choice in accepted])
    fleet.try_set_one_reg(register("PSCI_VERSION"), version[of_vm])
    fleet.enable_system_suspend(vms=np.flatnonzero((rng.random(n_policy) < 0.5)[of_vm]))
    return fleet


def install_ranges(fleet: Fleet, n_range: int, *, seed: int = 1, n_filter: int | None = None) -> None:
    """Gives each VM so many ranges of its own, or one of n_filter lists: half anywhere, half among owned ids."""
    rng = np.random.default_rng([seed, 2])
    lists = [_ranges(rng, n_range) for _ in range(n_filter or fleet.n_vm)]
    for i, ranges in enumerate(lists):
        fleet.install_filter(ranges, vms=np.arange(i, fleet.n_vm, len(lists)))


def _ranges(rng: np.random.Generator, n_range: int) -> list[FilterRange]:
    """Disjoint ranges of 1 to 4096 ids, clear of the reserved ones, in the order drawn."""
    taken: list[tuple[int, int]] = []
    busy = sorted(RESERVED_RANGES)
    while len(taken) < n_range:
        is_owned = bool(rng.integers(2))
        first = int(_OWNED[rng.integers(len(_OWNED))] + rng.integers(1 << 17) if is_owned else rng.integers(1 << 32))
        last = min(first + (1 << int(rng.integers(4 if is_owned else 13))) - 1, 0xFFFF_FFFF)
        at = bisect_right(busy, (last, 1 << 32))
        if at and busy[at - 1][1] >= first:
            continue
        busy.insert(at, (first, last))
        taken.append((first, last))
    return [FilterRange(first, last - first + 1, int(rng.integers(3))) for first, last in taken]


def index_type(n_vcpu: int) -> type[np.uint16 | np.uint32]:
    """The narrowest of uint16 and uint32 that holds these vCPUs and that Calls accepts."""
    if n_vcpu > 1 << 16:
        return np.uint32
    try:
        Calls(np.zeros(1, np.uint16), KNOWN[:1])
    except InputError:
        return np.uint32
    return np.uint16


def random_calls(
    n_call: int, n_vcpu: int, *, seed: int, unknown_share: float = 0.0, grouped: bool = False, wide: bool = False
) -> Calls:
    """Named ids and vCPUs, evenly and independently; a share of ids without a name, half of them near misses.

    Args:
        grouped: in ascending order of vCPU instead. wide: vCPU as uint32 whatever the fleet.
    """
    rng = np.random.default_rng([seed, 3])
    dtype = np.uint32 if wide else index_type(n_vcpu)
    vcpu = aligned(n_call, dtype, fill=False)
    vcpu[:] = np.arange(n_call) * n_vcpu // n_call if grouped else rng.integers(n_vcpu, size=n_call, dtype=dtype)
    func_id = aligned(n_call, np.uint32, fill=False)
    np.take(KNOWN, rng.integers(KNOWN.size, size=n_call, dtype=np.uint8), out=func_id, mode="wrap")
    if unknown_share:
        place = np.flatnonzero(rng.random(n_call, np.float32) < unknown_share)
        func_id[place] = unnamed_ids(place.size, rng)
    return Calls(vcpu, func_id)


def unnamed_ids(n: int, rng: np.random.Generator) -> NDArray[np.uint32]:
    """Ids without a name: even places one bit off a named id, odd ones from all 2**32."""
    ids = rng.integers(1 << 32, size=n, dtype=np.uint32)
    near = ids[::2].size
    bit = rng.integers(32, size=near, dtype=np.uint32)
    ids[::2] = rng.choice(KNOWN, near) ^ (np.uint32(1) << bit)
    while (named := np.flatnonzero(np.isin(ids, KNOWN))).size:
        ids[named] = rng.choice(_misses(), named.size)
    return ids


@cache
def _misses() -> NDArray[np.uint32]:
    flipped = (KNOWN[:, None] ^ (np.uint32(1) << np.arange(32, dtype=np.uint32))).reshape(-1)
    return flipped[~np.isin(flipped, KNOWN)]


def trace_calls(n_call: int, n_vcpu: int) -> Calls:
    """The recorded guests on so many vCPUs, order kept (`workload.replay`), over and over until n_call calls."""
    parts = [replay(read_trace(ROOT / name), n_vcpu=n_vcpu) for name in TRACES]
    assert all(part.conduit is None for part in parts), "the baselines know HVCs with immediate 0 only"
    once_vcpu, once_id = (np.concatenate([getattr(part, name) for part in parts]) for name in ("vcpu", "func_id"))
    vcpu, func_id = aligned(n_call, index_type(n_vcpu), fill=False), aligned(n_call, np.uint32, fill=False)
    for at in range(0, n_call, once_id.size):
        n = min(once_id.size, n_call - at)
        vcpu[at : at + n], func_id[at : at + n] = once_vcpu[:n], once_id[:n]
    return Calls(vcpu, func_id)


def n_unnamed(calls: Calls) -> int:
    """How many calls carry an id without a name."""
    return int(
        sum(np.count_nonzero(~_is_named(calls.func_id[at : at + (1 << 20)])) for at in range(0, len(calls), 1 << 20))
    )


def _is_named(ids: NDArray[np.uint32]) -> NDArray[np.bool_]:
    order = np.sort(KNOWN)
    named: NDArray[np.bool_] = order[np.minimum(np.searchsorted(order, ids), order.size - 1)] == ids
    return named


def named_only(calls: Calls, *, seed: int) -> Calls:
    """The same calls, every id without a name replaced by a named one."""
    func_id = aligned(len(calls), np.uint32, fill=False)
    func_id[:] = calls.func_id
    place = np.flatnonzero(~_is_named(func_id))
    func_id[place] = np.random.default_rng([seed, 4]).choice(KNOWN, place.size)
    return Calls(calls.vcpu, func_id)
