"""Precopy while the bandwidth changes: a migration's state, taken forward and looked ahead, round by round.

At one bandwidth from start to end it is what `fastsmc.migrate.precopy` has in closed form, with one difference: a
migration that would take over MOST_ROUNDS more rounds counts as one that does not converge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import inner_kernel

F64Array = NDArray[np.float64]
I64Array = NDArray[np.int64]

MOST_ROUNDS = 1000
_SAME = 1e-9
"""Rounds that differ by less than this share of their size no longer shrink."""
ROUNDS, STOPPED, REGISTERS = 0, 1, 2
"""What a migration does: sends rounds while the guest runs; the rest of memory while it is stopped; registers."""


class Guests(NamedTuple):
    """What the guests of this replica are, float64[n_vm] each.

    Attributes:
        memory: bytes.
        dirty: bytes/s that are written for the first time since they were sent, beyond the hot set.
        hot, hot_s: bytes written again and again, and the seconds that writing them once takes.
        registers_s: seconds of the downtime that are not memory's.
    """

    memory: F64Array
    dirty: F64Array
    hot: F64Array
    hot_s: F64Array
    registers_s: F64Array


class Progress(NamedTuple):
    """How far each migration is, one value per VM.

    Attributes:
        doing: of ROUNDS, STOPPED, REGISTERS.
        left: bytes that the round, or the rest, still has; in REGISTERS: seconds.
        round_s: seconds since the round began.
        rate: bytes/s.
        at: the time that all this is of.
        stopped_at: when the guest stopped.
        ends_at: when the migration ends if its rate stays; infinite where it does not converge.
    """

    doing: I64Array
    left: F64Array
    round_s: F64Array
    rate: F64Array
    at: F64Array
    stopped_at: F64Array
    ends_at: F64Array


@inner_kernel
def written(guests: Guests, vm: int, seconds: float) -> float:
    """Bytes that a guest writes during a round of so many seconds."""
    hot = guests.hot[vm]
    if seconds < guests.hot_s[vm]:
        hot *= seconds / guests.hot_s[vm]
    size: float = min(guests.memory[vm], guests.dirty[vm] * seconds + hot)
    return size


@inner_kernel
def take_forward(progress: Progress, guests: Guests, vm: int, now: float, stop_s: float) -> None:
    """Takes a migration to `now` at its rate; it stops its guest once what is left takes at most `stop_s`."""
    at, rate = progress.at[vm], progress.rate[vm]
    while True:
        seconds = progress.left[vm]
        if progress.doing[vm] != REGISTERS:
            seconds /= rate
        if at + seconds > now or (progress.doing[vm] == REGISTERS):
            break
        at += seconds
        if progress.doing[vm] == STOPPED:
            progress.doing[vm], progress.left[vm] = REGISTERS, guests.registers_s[vm]
            continue
        took = progress.round_s[vm] + seconds
        left = written(guests, vm, took)
        if left <= stop_s * rate:
            progress.doing[vm], progress.stopped_at[vm] = STOPPED, at
        elif abs(left - took * rate) <= _SAME * left:  # rounds that stay as they are need not be counted
            at += np.floor((now - at) / took) * took
        progress.left[vm], progress.round_s[vm] = left, 0.0
    passed = max(now - at, 0.0)
    if progress.doing[vm] == REGISTERS:
        progress.left[vm] = max(progress.left[vm] - passed, 0.0)
    else:
        progress.left[vm] = max(progress.left[vm] - passed * rate, 0.0)
    progress.round_s[vm] += passed
    progress.at[vm] = now


@inner_kernel
def look_ahead(progress: Progress, guests: Guests, vm: int, stop_s: float) -> None:
    """Finds when a migration ends and its guest stops if the rate stays as it is now."""
    rate, at, left = progress.rate[vm], progress.at[vm], progress.left[vm]
    if progress.doing[vm] == REGISTERS:
        progress.ends_at[vm] = at + left
        return
    if progress.doing[vm] == STOPPED:
        progress.ends_at[vm] = at + left / rate + guests.registers_s[vm]
        return
    before = progress.round_s[vm]
    sent = np.inf
    for _ in range(MOST_ROUNDS):
        seconds = left / rate
        at += seconds
        left = written(guests, vm, before + seconds)
        if left <= stop_s * rate:
            progress.stopped_at[vm] = at
            progress.ends_at[vm] = at + left / rate + guests.registers_s[vm]
            return
        if left >= sent * (1.0 - _SAME):
            break
        before, sent = 0.0, left
    progress.ends_at[vm] = np.inf
