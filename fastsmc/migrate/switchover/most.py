"""The most vCPUs whose modelled downtime is within a budget: `arrays.total_ms` turned round, for arrays of budgets.

Of one register list, link and ioctl cost the downtime is a straight line in the number of vCPUs, except where the
numbers of vCPUs that the description writes out get one more digit. So a budget is divided by the line's slope. Where
rounding could change the answer, it is taken from the downtimes of the numbers around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from fastsmc.checks import BoolArray, F64Array, I64Array
from fastsmc.migrate.switchover.arrays import Vms, modelled_steps, total_ms

_GIVEN = ("n_reg", "has_sve", "gbit_per_s", "rtt_us")
_ANY = np.ones((), np.int64)
_BLOCK = 1 << 17
"""Answers that are worked out at once: so many that a cache holds them."""
_CLOSE = 1e-9
"""A budget that is so much larger or smaller (of one) must give the same answer; rounding is a millionth of it."""


def most_vcpus(vms: Vms, downtime_ms: F64Array, limit: int) -> I64Array:
    """The most vCPUs, 0 to `limit`, whose downtime is within the budget: int64[..., 3], at low, mid and high figures.

    Args:
        vms: `n_vcpu` is not looked at; the others broadcast with the budgets.
        downtime_ms: float64, without the axis of figures.
    """
    given = {name: getattr(vms, name) for name in _GIVEN}
    shape = np.broadcast_shapes(downtime_ms.shape, vms.ioctl_ns.shape[:-1], *(one.shape for one in given.values()))
    n_dim = max(len(shape), 1)

    def raised(array: Any, n: int = n_dim) -> Any:
        return array.reshape((1,) * (n - array.ndim) + array.shape)

    given = {name: raised(one) for name, one in given.items()} | {"ioctl_ns": raised(vms.ioctl_ns, n_dim + 1)}
    budget = raised(downtime_ms)
    found = np.empty((*(shape or (1,)), 3), np.int64)
    axis = int(np.argmax(found.shape[:-1]))
    step = max(_BLOCK * found.shape[axis] // max(found.size, 1), 1)
    for start in range(0, found.shape[axis], step):
        place = (*(slice(None),) * axis, slice(start, start + step))
        part = {name: one if one.shape[axis] == 1 else one[place] for name, one in given.items()}
        _block(
            found[place],
            Vms(n_vcpu=_ANY, by_step=vms.by_step, **part),
            budget if budget.shape[axis] == 1 else budget[place],
            limit,
        )
    return found.reshape((*shape, 3))


def _block(found: I64Array, vms: Vms, downtime_ms: F64Array, limit: int) -> None:
    budget = downtime_ms[..., None]
    bounds = budget * (1 - _CLOSE), budget * (1 + _CLOSE)
    sums = [np.zeros(found.shape) for _ in bounds]
    for first, last in _lines(limit):
        low = _total_ms(vms, first)
        slope = (_total_ms(vms, last) - low) / (last - first) if last > first else low
        before, per_ms = low - slope, 1 / slope
        for bound, total in zip(bounds, sums, strict=True):
            n_fit = bound - before
            n_fit = np.multiply(n_fit, per_ms, out=n_fit if n_fit.shape == found.shape else None)
            np.floor(n_fit, out=n_fit)
            np.maximum(n_fit, 0, out=n_fit)
            total += np.minimum(n_fit, last - first + 1, out=n_fit)
    found[...] = sums[0]
    is_close = sums[0] != sums[1]
    if is_close.any():
        found[is_close] = _decided(found[is_close], sums[1][is_close].astype(np.int64), is_close, vms, downtime_ms)


def _lines(limit: int) -> Iterator[tuple[int, int]]:
    """First and last number of vCPUs of each straight line: 1, 2 to 10, 11 to 100, 101 to 1000, …"""
    first, last = 1, 1
    while first <= limit:
        yield first, min(last, limit)
        first, last = last + 1, last * 10


def _total_ms(vms: Vms, n_vcpu: int) -> F64Array:
    """As `total_ms` of a number of vCPUs, but for rounding: steps of one shape are added before they are broadcast."""
    sums: dict[tuple[int, ...], F64Array] = {}
    for step in modelled_steps(replace(vms, n_vcpu=np.full((1,) * vms.n_reg.ndim, n_vcpu))):
        sums[step.ms.shape] = sums[step.ms.shape] + step.ms if step.ms.shape in sums else step.ms
    total, *others = sorted(sums.values(), key=np.size)
    for one in others:
        total = one + total
    return total


def _decided(least: I64Array, most: I64Array, is_close: BoolArray, vms: Vms, downtime_ms: F64Array) -> I64Array:
    """Answers between `least` and `most`, which rounding cannot tell apart, from the downtimes themselves."""
    *place, figure = np.nonzero(is_close)
    shape = is_close.shape[:-1]
    chosen = {name: np.broadcast_to(getattr(vms, name), shape)[tuple(place)] for name in _GIVEN}
    chosen["ioctl_ns"] = np.broadcast_to(vms.ioctl_ns, (*shape, 3))[tuple(place)]
    some = Vms(n_vcpu=_ANY, by_step=vms.by_step, **chosen)
    budget, rows = np.broadcast_to(downtime_ms, shape)[tuple(place)], np.arange(figure.size)
    while (least < most).any():
        middle = (least + most + 1) // 2
        fits = total_ms(replace(some, n_vcpu=np.maximum(middle, 1)))[rows, figure] <= budget
        least, most = np.where(fits, middle, least), np.where(fits, most, middle - 1)
    return least
