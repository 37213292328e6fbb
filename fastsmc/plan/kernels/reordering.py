"""Better orders of a pool's hosts, one small change after another, each judged by the upgrade that it leads to.

A change is kept if its upgrade is no worse than the one before it, or worse by less than what is allowed. That falls
from a fortieth of the largest difference between two upgrades of as many waves to nothing, as in simulated annealing.
"""

from __future__ import annotations

import numpy as np

from fastsmc.jit.compiled import inner_kernel, kernel
from fastsmc.plan.kernels.rolling import RANK, BoolArray, I64Array, Pool, begun, next_wave

KINDS = 10
"""What a change may be, drawn evenly: 0 to 3 a host goes elsewhere in the order, 4 and 5 two hosts change places, 6 and
7 the best fit is looked for and not the first, or the reverse, 8 and 9 two VMs change their ranks."""
_TWO_HOSTS, _FIT, _TWO_VMS = 4, 6, 8
_WARM = 40
"""The share of the largest difference that is allowed at first."""


@inner_kernel
def shifted(turn: I64Array, old: int, new: int) -> None:
    """Takes a host out of the order and puts it elsewhere."""
    host, step = turn[old], 1 if new > old else -1
    for k in range(old, new, step):
        turn[k] = turn[k + step]
    turn[new] = host


@kernel
def changed(turn: I64Array, vms: I64Array, draw: I64Array) -> int:
    """Makes the change that is drawn, or takes it back with the two places exchanged; 1 where the fit is the other."""
    kind, one, other = draw[0], draw[1], draw[2]
    if kind < _TWO_HOSTS:
        shifted(turn, one, other)
    elif kind < _FIT:
        turn[one], turn[other] = turn[other], turn[one]
    elif kind < _TWO_VMS:
        return 1
    else:
        vms[one, RANK], vms[other, RANK] = vms[other, RANK], vms[one, RANK]
    return 0


@kernel
def rolled_within(
    pool: Pool, turn: I64Array, at_once: int, tries: int, fit: int, most_stops: int, most_waves: int
) -> tuple[int, int, int]:
    """(VMs that stop, waves, squares: the sum of those of hosts per wave) of an upgrade as `rolled` makes it.

    It is given up as soon as it is known to be worse than (most_stops, most_waves), and then told as one more stopped.
    The squares tell which of two upgrades of as many waves is nearer to having one fewer: that with a small wave, and
    fuller ones.
    """
    state, n_left = begun(pool.hosts, pool.vms, pool.may, pool.then, turn, fit), turn.size
    n_stop, n_wave, squares = 0, 0, 0
    while n_left > 0:
        state, n, stopped = next_wave(state, at_once, tries)
        n_left, n_stop, n_wave, squares = n_left - n, n_stop + stopped, n_wave + 1, squares + n * n
        least = n_wave + (n_left + at_once - 1) // at_once
        if n_stop > most_stops or (n_stop == most_stops and least > most_waves):
            return most_stops + 1, 0, 0
    return n_stop, n_wave, squares


@kernel
def reordered(
    hosts: I64Array,
    vms: I64Array,
    may: BoolArray,
    then: I64Array,
    turn: I64Array,
    at_once: int,
    tries: int,
    fit: int,
    draws: I64Array,
    least: int,
) -> tuple[I64Array, I64Array, int]:
    """The order of hosts, the ranks of VMs and the fit that lead to the best upgrade.

    Nothing that is given is written to. Pools are as for `rolled`.

    Args:
        turn: int64[n], the order to begin with. fit: 1 where the best fit is looked for at first.
        draws: int64[n_change, 3], a kind below KINDS, and two numbers from 0 up to 2**40, one change each.
        least: waves that no upgrade is below; with as many, and no VM stopped, the search ends.
    """
    turn, vms, n = turn.copy(), vms.copy(), turn.size
    pool = Pool(
        hosts, vms, may, then, np.zeros(10, np.int64), np.zeros((0, 4), np.int64)
    )  # its VMs' ranks change below
    span = np.int64(at_once) * n + 1
    now = rolled_within(pool, turn, at_once, tries, fit, 1 << 40, 1 << 40)
    best, best_turn, best_rank, best_fit = now, turn.copy(), vms[:, RANK].copy(), fit
    draw = np.zeros(3, np.int64)
    for number in range(draws.shape[0]):
        if best[0] == 0 and best[1] <= least:
            break
        of = n if draws[number, 0] < _TWO_VMS else vms.shape[0]
        draw[0], draw[1], draw[2] = draws[number, 0], draws[number, 1] % of, draws[number, 2] % of
        fit ^= changed(turn, vms, draw)
        new = rolled_within(pool, turn, at_once, tries, fit, now[0], now[1])
        allowed = span * (draws.shape[0] - number) // (draws.shape[0] * _WARM)
        if new[:2] < now[:2] or (new[:2] == now[:2] and new[2] + allowed >= now[2]):
            now = new
            if (now[0], now[1], -now[2]) < (best[0], best[1], -best[2]):
                best, best_turn, best_rank, best_fit = now, turn.copy(), vms[:, RANK].copy(), fit
        else:
            draw[1], draw[2] = draw[2], draw[1]
            fit ^= changed(turn, vms, draw)
    return best_turn, best_rank, best_fit
