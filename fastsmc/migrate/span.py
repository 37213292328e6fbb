"""Numbers of which only a low, a middle and a high are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import F64Array, shown
from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.migrate.link import require_number


@dataclass(frozen=True, slots=True)
class Span:
    """Low, middle and high of one number. Spans add up end by end: all of them low at once, or all high.

    >>> Span(1, 2, 4) + Span.exactly(10)
    Span(low=11.0, mid=12.0, high=14.0)
    """

    low: float
    mid: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> Span:
        """The span of a number that is known."""
        return cls(float(value), float(value), float(value))

    @classmethod
    def of(cls, figures: costs.Range, times: float = 1.0) -> Span:
        """The span of a range of figures, multiplied by a factor."""
        return cls(figures.low.value * times, figures.mid.value * times, figures.high.value * times)

    def times(self, factor: float) -> Span:
        """The span multiplied by a factor that is not negative."""
        return Span(self.low * factor, self.mid * factor, self.high * factor)

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.mid, self.high))


def total(spans: Iterable[Span]) -> Span:
    """The sum of spans: of their lows, of their middles, of their highs."""
    return sum(spans, Span.exactly(0))


def longest(spans: Iterable[Span]) -> Span:
    """The largest low, the largest middle and the largest high; 0 if there is no span."""
    columns = tuple(zip((0.0, 0.0, 0.0), *spans, strict=True))
    return Span(*map(max, columns))


MAX_IOCTL_NS = 1e9
IoctlNs = float | Sequence[float] | Span | None
"""Nanoseconds of one ioctl: a number, or low, mid and high; None stands for `costs.IOCTL_NS`."""


def ioctl_span(ioctl_ns: IoctlNs) -> Span:
    """Nanoseconds of one ioctl, assumed in any case: as given, or the low, mid and high of `costs.IOCTL_NS`.

    Raises:
        InputError: a number that is negative or not finite, or numbers that do not ascend.
    """
    if ioctl_ns is None:
        return Span.of(costs.IOCTL_NS)
    is_several = isinstance(ioctl_ns, Iterable) and not isinstance(ioctl_ns, str)
    several: tuple[object, ...] = tuple(cast(Iterable[object], ioctl_ns)) if is_several else (ioctl_ns,) * 3
    given = [require_number(number, "ioctl_ns", least=0) for number in several]
    if len(given) != 3 or given != sorted(given):
        msg = f"ioctl_ns is {shown(ioctl_ns)}: it must be one number, or low, mid and high in ascending order"
        raise InputError(msg)
    if max(given) > MAX_IOCTL_NS:
        msg = f"ioctl_ns is {max(given)!r}: it must be at most {MAX_IOCTL_NS:g}, a second"
        raise InputError(msg)
    return Span(*given)


def ioctl_costs(ioctl_ns: IoctlNs | ArrayLike) -> F64Array:
    """As `ioctl_span`, or many of them: float64[..., 3], whose last axis is low, mid and high.

    Raises:
        InputError: as `ioctl_span`, or an array whose last axis is none of three.
    """
    if np.ndim(cast(Any, ioctl_ns)) < 2:
        return np.array(tuple(ioctl_span(cast(IoctlNs, ioctl_ns))))
    given = np.asarray(ioctl_ns)
    if given.dtype.kind not in "iuf" or given.shape[-1] != 3 or not given.size:
        msg = f"ioctl_ns is {shown(ioctl_ns)}: many costs are numbers whose last axis is low, mid and high"
        raise InputError(msg)
    given = given.astype(np.float64)
    wrong = np.argwhere(~((given >= 0) & (given <= MAX_IOCTL_NS)).all(-1) | (np.diff(given) < 0).any(-1))
    for place in wrong[:1]:
        ioctl_span(tuple(given[tuple(place)].tolist()))
    return given
