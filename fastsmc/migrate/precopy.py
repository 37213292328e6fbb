"""Precopy of a VM's memory: rounds while the guest runs, and what is left once it stops. In closed form, of arrays.

The first round sends all memory. Each later round sends what the guest wrote during the one before. When what is left
fits the downtime limit, the guest stops and the rest is sent. A round of t seconds leaves

    min(memory, dirty rate x t + min(hot set, hot set x t / seconds that writing it takes))

to the next one. That is a straight line in up to two pieces. So the number of rounds and their sum are geometric
series, and a cell costs the same whether it takes 2 rounds or a million.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import BoolArray, F64Array, I64Array, shown
from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.migrate._checks import brief

ASSUMED = (
    "memory is what has to be sent: neither QEMU's page heads (8 B of 4104) nor pages of zeros (9 B each) are counted",
    "the guest writes at one rate all the time, and its hot set page after page, then again from the start",
    "the bandwidth is the migration's own from the first byte to the last; no round trip, throttling or compression",
    "QEMU stops the guest as soon as what is left fits the downtime limit at that bandwidth, never before one round",
)
"""What the model takes for granted."""
MOST = 1e18
"""A sanity bound of bytes and rates, an exbibyte; seconds and milliseconds have it too."""


@dataclass(frozen=True, slots=True)
class Precopy:
    """What precopy takes (modelled); arrays of one shape.

    Attributes:
        converges: whether what is left ever fits the downtime limit.
        total_s: from the first byte to the last; infinite where precopy does not converge.
        downtime_ms: for what is left when the guest stops. Where precopy does not converge: for what would be left
            after ever so many rounds, which is the least that stopping it by force would cost.
        sent_bytes: of all rounds and of what is left; infinite where precopy does not converge.
        rounds: while the guest runs; 0 where precopy does not converge.
    """

    converges: BoolArray
    total_s: F64Array
    downtime_ms: F64Array
    sent_bytes: F64Array
    rounds: I64Array

    def __repr__(self) -> str:
        return f"Precopy({', '.join(f'{f.name}={brief(getattr(self, f.name))}' for f in fields(self))})"

    def __str__(self) -> str:
        n_converging, n_all = np.count_nonzero(self.converges), self.converges.size
        return f"precopy: {n_converging} of {n_all} migrations converge (modelled)"


def precopy(
    *,
    memory_bytes: ArrayLike,
    bandwidth_bytes_per_s: ArrayLike,
    dirty_bytes_per_s: ArrayLike = 0.0,
    hot_set_bytes: ArrayLike = 0.0,
    hot_set_s: ArrayLike = 0.0,
    downtime_ms: ArrayLike = costs.QEMU_DOWNTIME_LIMIT_MS.value,
) -> Precopy:
    """Time, downtime and bytes of a precopy migration's memory (modelled; see `ASSUMED`). Arguments broadcast.

    Args:
        memory_bytes: what the first round sends.
        dirty_bytes_per_s: pages that are written for the first time since they were sent, beyond the hot set.
        hot_set_bytes: memory that the guest writes again and again; part of `memory_bytes`.
        hot_set_s: how long it takes to write the hot set once; 0: every round finds all of it written.
        downtime_ms: the limit for what is left; at 0 nothing may be left.

    Raises:
        InputError: a number that is negative or not finite, a bandwidth of 0, a hot set larger than memory, or shapes
            that do not broadcast.

    >>> found = precopy(memory_bytes=8e9, bandwidth_bytes_per_s=1e9, dirty_bytes_per_s=1e8)
    >>> int(found.rounds), float(found.total_s.round(3)), float(found.downtime_ms.round(3))
    (2, 8.88, 80.0)
    """
    given = _checked(
        memory_bytes=memory_bytes,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        dirty_bytes_per_s=dirty_bytes_per_s,
        hot_set_bytes=hot_set_bytes,
        hot_set_s=hot_set_s,
        downtime_ms=downtime_ms,
    )
    memory, rate, dirty, hot, hot_s, limit = given
    too_hot = np.flatnonzero(hot > memory)
    if too_hot.size:
        i = too_hot[0]
        msg = f"hot_set_bytes is {hot.flat[i]:g}: it must be at most memory_bytes, {memory.flat[i]:g}"
        raise InputError(msg)
    with np.errstate(all="ignore"):  # what a branch computes where it does not hold is not taken
        return _found(memory, rate, dirty, hot, hot_s, limit / 1e3 * rate)


def _checked(**given: ArrayLike) -> list[F64Array]:
    """The arguments as arrays of one shape, each finite and not negative; a bandwidth is above 0."""
    arrays = []
    for name, value in given.items():
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            msg = f"{name} is {shown(value)}: it must be a number, or an array of them"
            raise InputError(msg)
        array = array.astype(np.float64)
        is_rate = name == "bandwidth_bytes_per_s"
        is_right = ((array > 0) if is_rate else (array >= 0)) & (array <= MOST)
        if not is_right.all():
            wrong = float(array[~is_right].flat[0])
            bound = "above 0" if is_rate else "of 0 or more"
            msg = f"{name} is {wrong:g}: it must be a number {bound} and at most {MOST:g}"
            raise InputError(msg)
        arrays.append(array)
    try:
        return list(np.broadcast_arrays(*arrays))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(given, arrays, strict=True))
        msg = f"these shapes do not broadcast: {shapes}"
        raise InputError(msg) from None


class _Series(NamedTuple):
    """Rounds whose sizes approach `end` by a factor a round.

    `n` of them are sent, `sent` bytes together, and `left` is the first size at or below the target. Where none is,
    `is_reached` is false and `left` is the end.
    """

    n: F64Array
    sent: F64Array
    left: F64Array
    is_reached: BoolArray


def _series(first: F64Array, factor: F64Array, end: F64Array, target: F64Array) -> _Series:
    """The series from `first`, of at least one round; factor < 1 and end < first are taken for granted."""
    is_reached = end < target
    log = np.log(factor)

    def after(n: F64Array) -> F64Array:
        return end + factor**n * (first - end)

    n = np.where(factor == 0, 1.0, np.ceil(np.log((target - end) / (first - end)) / log))
    n = np.maximum(n, 1.0)
    n -= (n > 1) & (after(n - 1) <= target)  # logarithms are rounded
    n += after(n) > target
    sent = n * end + (first - end) * -np.expm1(n * log) / (1 - factor)
    return _Series(n, sent, np.where(is_reached, after(n), end), is_reached)


def _found(
    memory: F64Array, rate: F64Array, dirty: F64Array, hot: F64Array, hot_s: F64Array, fits: F64Array
) -> Precopy:
    """As `precopy`; `fits` is the limit in bytes."""
    knee = hot_s * rate  # a round of so many bytes finds the whole hot set written; smaller ones a part of it
    slow = dirty / rate
    steep = slow + np.where(knee > 0, hot / knee, 0.0)
    is_long = memory >= knee
    second = np.minimum(memory, np.where(is_long, slow * memory + hot, steep * memory))
    is_one = second <= fits
    is_stuck = ~is_one & (second >= memory)

    long = _series(memory, slow, hot / (1 - slow), np.maximum(knee, fits))
    n, sent, left = (np.where(is_long, a, b) for a, b in ((long.n, 0.0), (long.sent, 0.0), (long.left, memory)))
    is_through = ~is_long | long.is_reached
    is_short = is_through & ((left > fits) | ~is_long)
    short = _series(left, steep, np.zeros_like(left), fits)
    is_sinking = steep < 1
    n, sent = n + is_short * np.where(is_short, short.n, 0.0), sent + np.where(is_short, short.sent, 0.0)
    left = np.where(is_short & is_sinking, short.left, left)
    converges = is_one | (~is_stuck & is_through & (~is_short | (short.is_reached & is_sinking)))

    n = np.where(is_one, 1.0, n)
    left = np.where(is_one, second, np.where(is_stuck, memory, left))
    sent = np.where(converges, np.where(is_one, memory, sent) + left, np.inf)
    return Precopy(
        converges=converges,
        total_s=sent / rate,
        downtime_ms=left / rate * 1e3,
        sent_bytes=sent,
        rounds=np.where(converges, n, 0.0).astype(np.int64),
    )
