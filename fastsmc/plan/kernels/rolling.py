"""The hosts of one pool, upgraded wave by wave: which fit into a wave, and where their VMs go meanwhile.

Hosts are tried in a given order. A host joins a wave if each of its VMs that can go live finds a place, largest first:
on upgraded hosts first, so that it moves once, then on hosts whose turn comes last. Where no host of a pool can be
emptied so, the one that leaves fewest VMs without a place is upgraded all the same, and these stop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import inner_kernel, kernel

I64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

STOPS = -1
"""Where a VM goes that stops: it starts again on its own host."""


class Pool(NamedTuple):
    """A pool while it is upgraded. Few arrays with many columns: a kernel's time to compile grows with its arrays.

    hosts: int64[n_host, 10], vms: int64[n_vm, 10], columns as below.
    may: bool[n_kind, n_place], a VM of that kind restores there. then: int64[n_kind, n_place], its kind once it does.
    counts: int64[10], see _N_DONE and those after it. log: int64[n, 4], (wave, VM, host it left, host it came to).
    """

    hosts: I64Array
    vms: I64Array
    may: BoolArray
    then: I64Array
    counts: I64Array
    log: I64Array


VCPUS, MIB, TAKES, PLACE, NEW, _HEAD, _WAVE, _TOUCHED, _DONE, _TURN = range(10)
"""Columns of hosts: free vCPUs and MiB, negative where more is in use than there is; whether VMs may be moved there;
place (kernel, CPU, VMM) now and after the upgrade; the first of its VMs; its wave, -1 before it; the last wave in which
a VM came. The last two are lists: hosts that are upgraded, and hosts to upgrade, in order."""
AT, KIND, NEEDS_VCPUS, NEEDS_MIB, GOES, APART, RANK, _AFTER, _BEFORE, _MINE = range(10)
"""Columns of VMs: host; kind, which says where it may go; vCPUs; MiB; whether it may go live to an upgraded host; the
group of which no host has two, -1 for none; its number among VMs by size, the largest first; its neighbours on the
host's list. The last is a list: the VMs of the host that is being emptied."""
_N_DONE, _N_TURN, _N_LOG, _FIRST_DONE, _LAST_TURN, _NOW, _BEST, _LEAST_VCPUS, _LEAST_MIB = range(9)
"""In counts: hosts in the two lists, rows of the log, where searches begin in the lists, the wave, whether the best fit
is looked for and not the first, the least VM."""


@inner_kernel
def link(pool: Pool, vm: int, host: int) -> None:
    """Puts a VM on a host's list."""
    first = pool.hosts[host, _HEAD]
    pool.vms[vm, _AFTER], pool.vms[vm, _BEFORE] = first, -1
    if first >= 0:
        pool.vms[first, _BEFORE] = vm
    pool.hosts[host, _HEAD] = vm
    pool.vms[vm, AT] = host


@inner_kernel
def unlink(pool: Pool, vm: int) -> None:
    """Takes a VM from its host's list."""
    after, before = pool.vms[vm, _AFTER], pool.vms[vm, _BEFORE]
    if before >= 0:
        pool.vms[before, _AFTER] = after
    else:
        pool.hosts[pool.vms[vm, AT], _HEAD] = after
    if after >= 0:
        pool.vms[after, _BEFORE] = before


@inner_kernel
def fits(pool: Pool, vm: int, host: int) -> bool:
    """Whether a VM may be moved to a host: it restores there, has room, and meets no VM of its group."""
    hosts, vms = pool.hosts, pool.vms
    if hosts[host, VCPUS] < vms[vm, NEEDS_VCPUS] or hosts[host, MIB] < vms[vm, NEEDS_MIB] or not hosts[host, TAKES]:
        return False
    if not pool.may[vms[vm, KIND], hosts[host, PLACE]]:
        return False
    group = vms[vm, APART]
    if group >= 0:
        other = hosts[host, _HEAD]
        while other >= 0:
            if vms[other, APART] == group:
                return False
            other = vms[other, _AFTER]
    return True


@inner_kernel
def is_full(pool: Pool, host: int) -> bool:
    """Whether not even the least VM has room."""
    room, count = pool.hosts[host], pool.counts
    return bool(room[VCPUS] < count[_LEAST_VCPUS] or room[MIB] < count[_LEAST_MIB])


@inner_kernel
def better(pool: Pool, vm: int, host: int, best: int) -> int:
    """Of two hosts the one that is left with less room; -1 for none."""
    if not fits(pool, vm, host):
        return best
    return host if best < 0 or pool.hosts[host, VCPUS] < pool.hosts[best, VCPUS] else best


@inner_kernel
def found_place(pool: Pool, vm: int, source: int) -> int:
    """A host for a VM, or -1: among upgraded hosts first, then among those whose turn comes last."""
    hosts, count, best = pool.hosts, pool.counts, -1
    while count[_FIRST_DONE] < count[_N_DONE] and is_full(pool, hosts[count[_FIRST_DONE], _DONE]):
        count[_FIRST_DONE] += 1
    for k in range(count[_FIRST_DONE], count[_N_DONE]):
        best = better(pool, vm, hosts[k, _DONE], best)
        if best >= 0 and not count[_BEST]:
            break
    if best >= 0:
        return int(best)
    while count[_LAST_TURN] >= 0:
        host = hosts[count[_LAST_TURN], _TURN]
        if hosts[host, _WAVE] < 0 and not is_full(pool, host):
            break
        count[_LAST_TURN] -= 1
    for k in range(count[_LAST_TURN], -1, -1):
        host = hosts[k, _TURN]
        if hosts[host, _WAVE] < 0 and host != source:
            best = better(pool, vm, host, best)
            if best >= 0 and not count[_BEST]:
                break
    return int(best)


@inner_kernel
def carry(pool: Pool, vm: int, host: int) -> None:
    """Puts a VM on another host."""
    hosts, own, source = pool.hosts, pool.vms[vm], pool.vms[vm, AT]
    hosts[source, VCPUS] += own[NEEDS_VCPUS]
    hosts[source, MIB] += own[NEEDS_MIB]
    hosts[host, VCPUS] -= own[NEEDS_VCPUS]
    hosts[host, MIB] -= own[NEEDS_MIB]
    unlink(pool, vm)
    link(pool, vm, host)


@inner_kernel
def write_down(pool: Pool, vm: int, source: int, host: int) -> None:
    """Adds a row to the log."""
    row = pool.log[pool.counts[_N_LOG]]
    row[0], row[1], row[2], row[3] = pool.counts[_NOW], vm, source, host
    pool.counts[_N_LOG] += 1


@inner_kernel
def undo(pool: Pool, first: int) -> None:
    """Takes moves back, the last one first."""
    for n in range(pool.counts[_N_LOG] - 1, first - 1, -1):
        if pool.log[n, 3] != STOPS:
            carry(pool, pool.log[n, 1], pool.log[n, 2])
    pool.counts[_N_LOG] = first


@inner_kernel
def gathered(pool: Pool, host: int) -> int:
    """How many VMs of a host can go live; they stand in `mine`, largest first."""
    n, vm = 0, pool.hosts[host, _HEAD]
    while vm >= 0:
        if pool.vms[vm, GOES]:
            k = n
            while k > 0 and pool.vms[pool.vms[k - 1, _MINE], RANK] > pool.vms[vm, RANK]:
                pool.vms[k, _MINE] = pool.vms[k - 1, _MINE]
                k -= 1
            pool.vms[k, _MINE] = vm
            n += 1
        vm = pool.vms[vm, _AFTER]
    return n


@inner_kernel
def emptied(pool: Pool, host: int, most: int) -> int:
    """Moves a host's VMs away; how many found no place. With more than `most` of them all moves are taken back."""
    first, n_stop = pool.counts[_N_LOG], 0
    kept = pool.counts[_FIRST_DONE], pool.counts[_LAST_TURN]
    for k in range(gathered(pool, host)):
        vm = pool.vms[k, _MINE]
        to = found_place(pool, vm, host)
        if to >= 0:
            carry(pool, vm, to)
            write_down(pool, vm, host, to)
            continue
        n_stop += 1
        if n_stop > most:
            undo(pool, first)
            pool.counts[_FIRST_DONE], pool.counts[_LAST_TURN] = kept
            return n_stop
        write_down(pool, vm, host, STOPS)
    return n_stop


@inner_kernel
def join(pool: Pool, host: int, first: int) -> None:
    """Puts an emptied host into the wave; hosts that took its VMs cannot join it any more."""
    pool.hosts[host, _WAVE] = pool.counts[_NOW]
    for n in range(first, pool.counts[_N_LOG]):
        if pool.log[n, 3] != STOPS:
            pool.hosts[pool.log[n, 3], _TOUCHED] = pool.counts[_NOW]


@inner_kernel
def fewest(pool: Pool, tries: int) -> int:
    """The host that leaves fewest VMs without a place, of those that are tried."""
    best, least, n = -1, np.int64(1) << 62, 0
    for k in range(pool.counts[_N_TURN]):
        host = pool.hosts[k, _TURN]
        if pool.hosts[host, _WAVE] >= 0 or pool.hosts[host, _TOUCHED] == pool.counts[_NOW]:
            continue
        first, kept = pool.counts[_N_LOG], (pool.counts[_FIRST_DONE], pool.counts[_LAST_TURN])
        n_stop = emptied(pool, host, pool.vms.shape[0])
        n_moved = pool.counts[_N_LOG] - first - n_stop
        undo(pool, first)
        pool.counts[_FIRST_DONE], pool.counts[_LAST_TURN] = kept
        if n_stop * 1024 - min(n_moved, 1023) < least:
            best, least = host, n_stop * 1024 - min(n_moved, 1023)
        n += 1
        if n >= tries:
            break
    return int(best)


@inner_kernel
def forced(pool: Pool, at_once: int, tries: int) -> int:
    """Fills a wave where every host leaves VMs without a place; how many hosts are in it.

    As long as no VM moves, nothing is gained by a wave of its own.
    """
    n = 0
    while n < at_once:
        host = fewest(pool, tries)
        if host < 0:
            break
        first = pool.counts[_N_LOG]
        n_moved = -emptied(pool, host, pool.vms.shape[0]) + pool.counts[_N_LOG] - first
        if n and n_moved:
            undo(pool, first)
            break
        join(pool, host, first)
        n += 1
        if n_moved:
            break
    return n


@inner_kernel
def wave_of(pool: Pool, at_once: int, tries: int) -> int:
    """Fills one wave; how many hosts are in it."""
    n, failed = 0, 0
    for k in range(pool.counts[_N_TURN]):
        host = pool.hosts[k, _TURN]
        if pool.hosts[host, _WAVE] >= 0 or pool.hosts[host, _TOUCHED] == pool.counts[_NOW]:
            continue
        first = pool.counts[_N_LOG]
        if emptied(pool, host, 0) == 0:
            join(pool, host, first)
            n += 1
            if n == at_once:
                return n
        else:
            failed += 1
            if failed == tries:
                break
    return n if n else forced(pool, at_once, tries)


@inner_kernel
def settle(pool: Pool, first: int) -> None:
    """Ends a wave: its VMs are of the kind that they became, its hosts are upgraded."""
    for n in range(first, pool.counts[_N_LOG]):
        vm, host = pool.log[n, 1], pool.log[n, 3]
        if host != STOPS:
            pool.vms[vm, KIND] = pool.then[pool.vms[vm, KIND], pool.hosts[host, PLACE]]
    for k in range(pool.counts[_N_TURN]):
        host = pool.hosts[k, _TURN]
        if pool.hosts[host, _WAVE] == pool.counts[_NOW]:
            pool.hosts[host, PLACE] = pool.hosts[host, NEW]
            if pool.hosts[host, TAKES]:
                pool.hosts[pool.counts[_N_DONE], _DONE] = host
                pool.counts[_N_DONE] += 1


@kernel
def started(pool: Pool, turn: I64Array) -> None:
    """Fills the columns that change, before the first wave.

    Args:
        turn: int64[n], the hosts to upgrade, in the order in which they are tried.
    """
    hosts, vms, count = pool.hosts, pool.vms, pool.counts
    for column in (_HEAD, _WAVE, _TOUCHED):
        hosts[:, column] = -1
    for vm in range(vms.shape[0]):
        link(pool, vm, vms[vm, AT])
    count[_LEAST_VCPUS] = count[_LEAST_MIB] = np.int64(1) << 62
    for vm in range(vms.shape[0]):
        if vms[vm, GOES]:
            count[_LEAST_VCPUS] = min(count[_LEAST_VCPUS], vms[vm, NEEDS_VCPUS])
            count[_LEAST_MIB] = min(count[_LEAST_MIB], vms[vm, NEEDS_MIB])
    for k in range(turn.size):
        hosts[k, _TURN] = turn[k]
        hosts[turn[k], _WAVE] = -2
    for host in range(hosts.shape[0]):
        if hosts[host, _WAVE] == -2:
            hosts[host, _WAVE] = -1
        elif hosts[host, TAKES]:
            hosts[count[_N_DONE], _DONE] = host
            count[_N_DONE] += 1
    count[_N_TURN] = turn.size
    count[_LAST_TURN] = turn.size - 1


@kernel
def grown(log: I64Array, n_row: int, more: int) -> I64Array:
    """The log with room for so many more rows."""
    if n_row + more <= log.shape[0]:
        return log
    wider = np.zeros((2 * log.shape[0] + more, 4), np.int64)
    wider[:n_row] = log[:n_row]
    return wider


@kernel
def begun(hosts: I64Array, vms: I64Array, may: BoolArray, then: I64Array, turn: I64Array, fit: int) -> Pool:
    """A pool before its first wave; what is given is copied."""
    log = np.zeros((2 * vms.shape[0] + 16, 4), np.int64)
    fresh = Pool(hosts.copy(), vms.copy(), may, then, np.zeros(10, np.int64), log)
    started(fresh, turn)
    fresh.counts[_BEST] = fit
    return fresh


@kernel
def next_wave(pool: Pool, at_once: int, tries: int) -> tuple[Pool, int, int]:
    """Makes one wave: the pool, with a wider log where it took one, hosts of the wave, and VMs that stop in it."""
    first, n_vm = pool.counts[_N_LOG], pool.vms.shape[0]
    wider = Pool(pool.hosts, pool.vms, pool.may, pool.then, pool.counts, grown(pool.log, first, 2 * n_vm + 16))
    n_host, n_stop = wave_of(wider, at_once, tries), 0
    settle(wider, first)
    wider.counts[_NOW] += 1
    for n in range(first, wider.counts[_N_LOG]):
        n_stop += wider.log[n, 3] == STOPS
    return wider, n_host, n_stop


@kernel
def rolled(
    hosts: I64Array,
    vms: I64Array,
    may: BoolArray,
    then: I64Array,
    turn: I64Array,
    at_once: int,
    tries: int,
    fit: int,
) -> tuple[I64Array, I64Array]:
    """Upgrades all hosts of `turn`. Returns int64[n_host], each host's wave or -1, and int64[n_move, 4], the moves.

    A row of moves is (wave, VM, host it left, host it came to or STOPS). Nothing that is given is written to.

    Args:
        at_once: hosts in a wave at most.
        tries: hosts that are tried in vain before a wave is taken for full.
        fit: 1 to look for the best fit and not the first.
    """
    state, n_left = begun(hosts, vms, may, then, turn, fit), turn.size
    while n_left > 0:
        state, n, _ = next_wave(state, at_once, tries)
        n_left -= n
    return state.hosts[:, _WAVE].copy(), state.log[: state.counts[_N_LOG]].copy()
