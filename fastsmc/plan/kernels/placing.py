"""Where the VMs of drained hosts go: the next host in turn that takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import inner_kernel, kernel

F64Array = NDArray[np.float64]
I64Array = NDArray[np.int64]
I8Array = NDArray[np.int8]

NO_HOST, FAILS, NO_ROOM, APART = -1, -2, -3, -4
"""Why a VM has nowhere to go: its pool has no other host in service; it restores on none of these; none that it
restores on has memory for it; each that has holds a VM that it must not share a host with."""
UNKNOWN, RESTORES = 1, 2


class Hosts(NamedTuple):
    """Hosts in the order of their pools.

    Attributes:
        ring: hosts, those of one pool side by side; first: pool p has ring[first[p]] up to ring[first[p + 1]].
        pool: of each host. kind: its kernel, CPU and VMM, a column of the fates.
        is_open: 0 where it takes no VMs.
        drain: in which drain each is emptied, -1 for none.
        free: bytes of memory, changed while VMs are placed; infinite where not known.
        turn: of each pool, whose turn it is.
    """

    ring: I64Array
    first: I64Array
    pool: I64Array
    kind: I64Array
    is_open: I64Array
    drain: I64Array
    free: F64Array
    turn: I64Array


class Guests(NamedTuple):
    """VMs, in the order in which they are placed, those of one drain side by side.

    Attributes:
        vm: which VM; host: where it is; kind: what it needs, a row of the fates; memory: bytes.
        group: VMs of one group never share a host; -1 for none.
        member_first, members: VMs of group g are members[member_first[g]] up to members[member_first[g + 1]].
        at: the host of every VM of the inventory, changed while VMs are placed.
    """

    vm: I64Array
    host: I64Array
    kind: I64Array
    memory: F64Array
    group: I64Array
    member_first: I64Array
    members: I64Array
    at: I64Array


@inner_kernel
def shares(guests: Guests, group: int, host: int) -> bool:
    """Whether a VM of the group is on a host."""
    if group < 0:
        return False
    for k in range(guests.member_first[group], guests.member_first[group + 1]):
        if guests.at[guests.members[k]] == host:
            return True
    return False


@inner_kernel
def find(hosts: Hosts, guests: Guests, fates: I8Array, i: int, wanted: int) -> int:
    """The next host in turn that takes VM i and on which its fate is at least the wanted one; or why there is none."""
    pool, drain = hosts.pool[guests.host[i]], hosts.drain[guests.host[i]]
    first = hosts.first[pool]
    n = hosts.first[pool + 1] - first
    why = NO_HOST
    for step in range(n):
        turn = (hosts.turn[pool] + step) % n
        host: int = hosts.ring[first + turn]
        if not hosts.is_open[host] or hosts.drain[host] == drain:
            continue
        if fates[guests.kind[i], hosts.kind[host]] < wanted:
            why = min(why, FAILS)
        elif hosts.free[host] < guests.memory[i]:
            why = min(why, NO_ROOM)
        elif shares(guests, guests.group[i], host):
            why = APART
        else:
            hosts.turn[pool] = turn + 1
            return host
    return why


@kernel
def place(hosts: Hosts, guests: Guests, fates: I8Array, first: I64Array, dest: I64Array, is_sure: I64Array) -> None:
    """The destination of each VM, or why there is none; each drain by itself. -> dest, is_sure: int64[n].

    A host on which a VM restores goes before one of which that is not known.
    """
    for k in range(first.size - 1):
        for i in range(first[k], first[k + 1]):
            host = find(hosts, guests, fates, i, RESTORES)
            is_sure[i] = host >= 0
            if host < 0:
                host = find(hosts, guests, fates, i, UNKNOWN)
            dest[i] = host
            if host >= 0:
                hosts.free[host] -= guests.memory[i]
                guests.at[guests.vm[i]] = host
        for i in range(first[k], first[k + 1]):  # the next drain finds all where it was
            if dest[i] >= 0:
                hosts.free[dest[i]] += guests.memory[i]
                guests.at[guests.vm[i]] = guests.host[i]
