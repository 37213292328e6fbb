"""One pool upgraded: orders in which hosts are tried, the best of them, and on small pools whether none is better.

Better is: fewer VMs stop; then fewer waves; then fewer moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastsmc.checks import BoolArray, I64Array
from fastsmc.plan.kernels.rolling import (
    APART,
    AT,
    GOES,
    KIND,
    MIB,
    NEEDS_MIB,
    NEEDS_VCPUS,
    NEW,
    PLACE,
    RANK,
    STOPS,
    TAKES,
    VCPUS,
    rolled,
)
from fastsmc.plan.rolling.exact import fewest

SMALL = 7
"""Hosts of a pool that is searched through where an order does not reach the bounds."""
_MANY = 64
"""Hosts up to which a pool is upgraded in many orders."""
_ORDERS = 20_000
"""Random orders that are tried on all such pools together where they do not reach the bounds, some 3 s."""
_FEWEST, _MOST = 48, 4000
"""Random orders on one of them."""
_TRIES = 64
"""Hosts that are tried in vain before a wave of a larger pool is taken for full."""


class Pool(NamedTuple):
    """A pool as the kernel takes it.

    Attributes:
        hosts: int64[n_host, 10], vms: int64[n_vm, 10], with the columns of `kernels.rolling`.
        may: bool[n_kind, n_place]. then: int64[n_kind, n_place].
        due: int64[n], hosts to upgrade.
    """

    hosts: I64Array
    vms: I64Array
    may: BoolArray
    then: I64Array
    due: I64Array


class Found(NamedTuple):
    """A pool's upgrade.

    Attributes:
        wave: int64[n_host], -1 for a host that needs none.
        moves: int64[n_move, 4], (wave, VM, host it left, host it came to or STOPS): VMs that can go live only.
        is_proven: no plan has fewer VMs stop, nor as many in fewer waves.
    """

    wave: I64Array
    moves: I64Array
    is_proven: bool

    @property
    def cost(self) -> tuple[int, int, int]:
        """(VMs that stop for want of a place, waves, moves)."""
        return int((self.moves[:, 3] == STOPS).sum()), int(self.wave.max(initial=-1)) + 1, len(self.moves)


def columns(n_host: int, n_vm: int) -> tuple[I64Array, I64Array]:
    """Hosts and VMs of which nothing is filled in."""
    return np.zeros((n_host, 10), np.int64), np.zeros((n_vm, 10), np.int64)


def filled(
    places: tuple[I64Array, I64Array], takes: BoolArray, cap: I64Array, vms: tuple[I64Array, I64Array, BoolArray]
) -> tuple[I64Array, I64Array]:
    """Hosts and VMs as columns; what VMs use is taken from the hosts' room.

    Args:
        places: int64[n_host] now and after the upgrade. cap: int64[n_host, 2], vCPUs and MiB.
        vms: int64[n_vm, 4], host, kind, vCPUs, MiB; int64[n_vm], group; bool[n_vm], may go live.
    """
    own, apart, goes = vms
    hosts, table = columns(len(takes), len(own))
    hosts[:, PLACE], hosts[:, NEW], hosts[:, TAKES] = *places, takes
    table[:, AT], table[:, KIND], table[:, NEEDS_VCPUS], table[:, NEEDS_MIB] = own.T
    table[:, APART], table[:, GOES] = apart, goes
    for column, needs in ((VCPUS, NEEDS_VCPUS), (MIB, NEEDS_MIB)):
        used = np.bincount(table[:, AT], table[:, needs], len(hosts)).astype(np.int64)
        hosts[:, column] = cap[:, column] - used
    most = np.maximum(cap.max(axis=0, initial=1), 1)
    share = np.maximum(table[:, NEEDS_VCPUS] / most[0], table[:, NEEDS_MIB] / most[1])
    table[np.argsort(-share, kind="stable"), RANK] = np.arange(len(table))
    return hosts, table


def upgraded(pool: Pool, at_once: int, seed: int = 0, *, n_pool: int = 1) -> Found:
    """The best upgrade that is found of a pool.

    Args:
        n_pool: pools that share the orders which are tried.
    """
    n_due, best = len(pool.due), None
    least = 0, -(-n_due // at_once)
    tries = n_due + 1 if n_due <= _MANY else _TRIES
    for order, is_best_fit in _orders(pool, seed, max(_FEWEST, min(_MOST, _ORDERS // n_pool))):
        found = Found(*rolled(*pool[:4], order, at_once, tries, is_best_fit), False)
        if best is None or found.cost < best.cost:
            best = found
        if best.cost[:2] == least:
            return best._replace(is_proven=True)
    if best is None:
        return Found(np.full(len(pool.hosts), -1, np.int64), np.zeros((0, 4), np.int64), True)
    if len(pool.hosts) <= SMALL:
        wave, moves, is_proven = fewest(pool, at_once, best.cost[:2])
        better = best if wave is None or moves is None else Found(wave, moves, is_proven)
        return better._replace(is_proven=is_proven)
    return best


def _orders(pool: Pool, seed: int, n_order: int) -> Iterator[tuple[I64Array, bool]]:
    """Orders of the hosts to upgrade, each with whether the best fit is looked for; the first is the usual one."""
    due, hosts, vms = pool.due, pool.hosts, pool.vms
    if not len(due):
        return
    goes = vms[:, GOES] == 1
    load = [np.bincount(vms[goes, AT], vms[goes, needs], len(hosts))[due] for needs in (NEEDS_VCPUS, NEEDS_MIB)]
    share = np.maximum(*(each / max(each.max(), 1) for each in load))
    up = due[np.argsort(share, kind="stable")]
    yield up, False
    if len(due) > _MANY:
        yield up[::-1].copy(), False
        return
    dice = np.random.default_rng(seed)
    for is_best_fit in (True, False):
        yield up, is_best_fit
        yield up[::-1].copy(), is_best_fit
    for number in range(n_order):
        yield dice.permutation(due), bool(number & 1)
