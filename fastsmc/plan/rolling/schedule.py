"""The waves of all pools under one limit, and the rounds in which a wave's VMs move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray, I64Array
from fastsmc.plan.kernels.rolling import STOPS
from fastsmc.plan.rolling.pools import Fleet
from fastsmc.plan.rolling.search import Found


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """What happens when.

    Attributes:
        wave: int64[n_host], -1 for hosts that need no upgrade.
        moves: int64[n_move, 4], (wave, VM, host it leaves, host it comes to or STOPS), by wave.
        n_wave, at_least: waves, and how many there are at least with as many hosts at once.
        is_proven: no plan has fewer VMs stop, nor as many in fewer waves.
    """

    wave: I64Array
    moves: I64Array
    n_wave: int
    at_least: int
    is_proven: bool


def merged(fleet: Fleet, pools: Sequence[tuple[Found, I64Array, I64Array]], goes: BoolArray, at_once: int) -> Schedule:
    """The waves of all pools as waves of the fleet: pools with most waves left come first.

    A pool's wave may be made in parts, as its VMs go to hosts outside the wave.

    Args:
        pools: of each the upgrade, and which hosts and VMs of the fleet its rows are.
    """
    order = _order([found.wave for found, _, _ in pools], at_once)
    wave, logs = np.full(len(fleet.names), -1, np.int64), []
    for number, (found, hosts, vms) in enumerate(pools):
        wave[hosts] = np.where(found.wave >= 0, order[number], -1)
        log = found.moves
        rows = np.empty((len(log), 4), np.int64)
        rows[:, 1], rows[:, 2] = vms[log[:, 1]], hosts[log[:, 2]]
        rows[:, 3] = np.where(log[:, 3] == STOPS, STOPS, hosts[log[:, 3]])
        rows[:, 0] = wave[rows[:, 2]]
        logs.append(rows)
    held = np.flatnonzero(~goes & fleet.is_due[fleet.at])
    logs.append(np.stack([wave[fleet.at[held]], held, fleet.at[held], np.full(len(held), STOPS)], 1))
    rows = np.concatenate(logs)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    n_due, n_wave = int(fleet.is_due.sum()), int(wave.max(initial=-1)) + 1
    is_proven = all(found.is_proven for found, _, _ in pools) and (len(pools) == 1 or n_wave == -(-n_due // at_once))
    return Schedule(wave, rows, n_wave, -(-n_due // at_once), is_proven)


def _order(waves: Sequence[I64Array], at_once: int) -> list[I64Array]:
    """The fleet's wave of each pool's hosts.

    Args:
        waves: of each pool int64[n_host], the wave in its own upgrade, -1 for none.
    """
    found = [np.full(len(own), -1, np.int64) for own in waves]
    queues: list[list[list[int]]] = []
    for own in waves:
        hosts = np.flatnonzero(own >= 0)
        hosts = hosts[np.argsort(own[hosts], kind="stable")]
        cuts = np.flatnonzero(np.diff(own[hosts])) + 1
        queues.append([part.tolist() for part in np.split(hosts, cuts)][::-1] if len(hosts) else [])
    heap = [(-len(queue), pool) for pool, queue in enumerate(queues) if queue]
    heapify(heap)
    wave = 0
    while heap:
        room, later = at_once, []
        while heap and room:
            _, pool = heappop(heap)
            part = queues[pool].pop()
            found[pool][part[:room]] = wave
            if part[room:]:
                queues[pool].append(part[room:])
            room -= min(room, len(part))
            if queues[pool]:
                later.append((-len(queues[pool]), pool))
        for each in later:
            heappush(heap, each)
        wave += 1
    return found


def rounds(moves: I64Array, tenant: NDArray[np.int64], at_once: int | None) -> I64Array:
    """The round of each move within its wave, from 0: no tenant has more than `at_once` VMs in one.

    Args:
        moves: int64[n, 4], (wave, VM, …), by wave.
        tenant: int64[n_vm], -1 for none.
    """
    found = np.zeros(len(moves), np.int64)
    if at_once is None or not len(moves):
        return found
    mine = np.flatnonzero((tenant[moves[:, 1]] >= 0) & (moves[:, 3] != STOPS))
    key = np.stack([moves[mine, 0], tenant[moves[mine, 1]]], 1)
    order = np.lexsort((key[:, 1], key[:, 0]))
    starts = (
        np.concatenate([[True], (np.diff(key[order], axis=0) != 0).any(axis=1)]) if len(mine) else np.zeros(0, bool)
    )
    first = np.maximum.accumulate(np.where(starts, np.arange(len(mine)), 0)) if len(mine) else np.zeros(0, np.int64)
    found[mine[order]] = (np.arange(len(mine)) - first) // at_once
    return found
