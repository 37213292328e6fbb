"""One pool upgraded: orders in which hosts are tried, the best of them, and on small pools whether none is better.

Better is: fewer VMs stop; then fewer waves; then fewer moves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.checks import BoolArray, I64Array
from fastsmc.plan.kernels.reordering import KINDS, reordered
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
MODERATE = 400
"""Hosts to upgrade up to which better orders are looked for."""
_MANY = 64
"""Hosts to upgrade up to which all are tried before a wave is taken for full."""
_TRIES = 64
"""Hosts that are tried in vain before a wave of a larger pool is taken for full."""
_WORK = 200_000_000
"""What is spent on better orders of all pools together, some 3 s: an order costs the pool's hosts times its VMs."""
_FEWEST, _MOST = 48, 40_000
"""Orders that are tried on one pool, whatever they cost."""
_ROUNDS = 8
"""Searches for better orders, each with its part of them: the first from given orders, the others from the best."""


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
    """The best upgrade that is found of a pool; the same for the same pool and seed.

    Args:
        n_pool: pools that share the orders which are tried.
    """
    if not len(pool.due):
        return Found(np.full(len(pool.hosts), -1, np.int64), np.zeros((0, 4), np.int64), True)
    least = fewest_waves(pool, at_once)
    orders = _orders(pool)
    best = _best([_rolled(pool, at_once, *order) for order in orders[:1]])
    if best.cost[:2] > (0, least):
        best = _best([best, *(_rolled(pool, at_once, *order) for order in orders[1:])])
    if best.cost[:2] > (0, least) and len(pool.due) <= MODERATE:
        best = _searched(pool, at_once, best, seed, max(_FEWEST, min(_MOST, _orders_for(pool) // n_pool)))
    if best.cost[:2] == (0, least):
        return best._replace(is_proven=True)
    if len(pool.hosts) <= SMALL:
        wave, moves, is_proven = fewest(pool, at_once, best.cost[:2])
        better = best if wave is None or moves is None else Found(wave, moves, is_proven)
        return better._replace(is_proven=is_proven)
    return best


def fewest_waves(pool: Pool, at_once: int) -> int:
    """Waves that an upgrade has at least in which no VM stops.

    What is free on the hosts that take VMs never grows: a move between two of them leaves the sum as it is, one from
    another host takes from it. In a wave the VMs of its hosts, and what is free on these, are no more than that sum.
    """
    least = -(-len(pool.due) // at_once)
    takes = pool.hosts[:, TAKES] == 1
    if (pool.hosts[takes][:, [VCPUS, MIB]] < 0).any():  # once such a host is emptied, more is free than the sum says
        return least
    for room, needs in ((VCPUS, NEEDS_VCPUS), (MIB, NEEDS_MIB)):
        free, size, _ = room_of(pool, room, needs)
        least = max(least, -(-int(size[pool.due].sum()) // free) if free else least)
    return least


def room_of(pool: Pool, room: int, needs: int) -> tuple[int, I64Array, BoolArray]:
    """What is free on all hosts that take VMs; what each host's VMs use and it has free; which hosts take none."""
    takes, goes = pool.hosts[:, TAKES] == 1, pool.vms[:, GOES] == 1
    free = np.where(takes, pool.hosts[:, room], 0)
    load = np.bincount(pool.vms[goes, AT], pool.vms[goes, needs], len(pool.hosts)).astype(np.int64)
    return int(free.sum()), free + load, ~takes


class _Order(NamedTuple):
    """An order of the hosts to upgrade, the VMs with their ranks, and 1 where the best fit is looked for."""

    turn: I64Array
    vms: I64Array
    fit: int


def _best(found: list[Found]) -> Found:
    return min(found, key=lambda each: each.cost)


def _tries(pool: Pool) -> int:
    return len(pool.due) + 1 if len(pool.due) <= _MANY else _TRIES


def _rolled(pool: Pool, at_once: int, turn: I64Array, vms: I64Array, fit: int) -> Found:
    return Found(*rolled(pool.hosts, vms, pool.may, pool.then, turn, at_once, _tries(pool), fit), False)


def _orders(pool: Pool) -> list[_Order]:
    """Orders to begin with; the first is the usual one, the least loaded host first.

    Of hosts that take no VMs what is free is lost once they are emptied, so that their turn comes last where room is
    tight; and the most loaded first, as those are the hardest to place.
    """
    due, hosts, vms = pool.due, pool.hosts, pool.vms
    goes = vms[:, GOES] == 1
    load = [np.bincount(vms[goes, AT], vms[goes, needs], len(hosts))[due] for needs in (NEEDS_VCPUS, NEEDS_MIB)]
    share = np.maximum(*(each / max(each.max(), 1) for each in load))
    up, is_closed = due[np.argsort(share, kind="stable")], hosts[due, TAKES] == 0
    plain = [_Order(up, vms, 0), _Order(up[::-1].copy(), vms, 0)]
    if len(due) > MODERATE:
        return plain
    last = [_Order(due[np.lexsort((key, is_closed))], vms, 1) for key in (-share, share)]
    return [*plain, *last]


def _orders_for(pool: Pool) -> int:
    return _WORK // max(len(pool.hosts) * len(pool.vms), 1)


def _searched(pool: Pool, at_once: int, best: Found, seed: int, n_order: int) -> Found:
    """The best upgrade of all orders that are come to by small changes from given ones, and from the best of these."""
    dice, least, given = np.random.default_rng(seed), fewest_waves(pool, at_once), _orders(pool)[::-1]
    top = given[0]
    for number in range(_ROUNDS):
        order = given[number % 2] if number < _ROUNDS - 2 else top
        n = n_order // _ROUNDS
        draws = np.stack([dice.integers(0, KINDS, n), *dice.integers(0, 1 << 40, (2, n))], 1)
        turn, rank, fit = reordered(
            pool.hosts, order.vms, pool.may, pool.then, order.turn, at_once, _tries(pool), order.fit, draws, least
        )
        vms = order.vms.copy()
        vms[:, RANK] = rank
        found = _rolled(pool, at_once, turn, vms, fit)
        if number == 0 or found.cost < best.cost:
            best, top = _best([best, found]), _Order(turn, vms, fit)
        if best.cost[:2] == (0, least):
            break
    return best
