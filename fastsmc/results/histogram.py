"""Histograms of times that can be added up: log-linear, with a stated error.

Each power of two of nanoseconds is cut into 64 buckets of equal width, so a bucket is at most 1/64 of its lower edge
wide and its middle is within 1/128 (0.8 %) of every value in it. Counts are whole numbers: histograms of any parts of
a run add up to that of the run, whatever the order, and a quantile is read from the sum. Quantiles are never averaged.

The scheme is that of HdrHistogram (G. Tene, hdrhistogram.org), with a fixed range.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.errors import InputError
from fastsmc.results.log_linear import BUCKET_OFFSET, BUCKET_SHIFT, N_BUCKET, SUB_BITS

RELATIVE_ERROR = 2.0 ** -(SUB_BITS + 1)
"""The largest relative error of a quantile, against the value that has this rank."""


def bucket_of(time_ns: ArrayLike) -> NDArray[np.int64]:
    """The bucket of each time: float64[n] -> int64[n], from the bits of the number.

    >>> bucket_of([0.0, 2.0**-10, 1.0, 2.0])
    array([  0,   0, 640, 704])
    """
    bits = np.asarray(time_ns, np.float64).view(np.int64)
    buckets: NDArray[np.int64] = np.clip((bits >> BUCKET_SHIFT) - BUCKET_OFFSET, 0, N_BUCKET - 1)
    return buckets


def bucket_edges() -> NDArray[np.float64]:
    """The lower edge of each bucket and the upper one of the last: float64[N_BUCKET + 1], the first being 0."""
    bits = (np.arange(N_BUCKET + 1, dtype=np.int64) + BUCKET_OFFSET) << BUCKET_SHIFT
    edges = bits.view(np.float64)
    edges[0] = 0.0
    return edges


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How often times fell into each bucket, and the largest of them.

    Attributes:
        counts: int64[N_BUCKET], read-only.
        total_ns: the sum of all times, so that the mean does not suffer from buckets.
        max_ns: the largest time.
    """

    counts: NDArray[np.int64]
    total_ns: float = 0.0
    max_ns: float = 0.0
    _cumulative: list[NDArray[np.int64]] = field(default_factory=list, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<Histogram of {self.n} times: mean {self.mean_ns:.4g} ns, max {self.max_ns:.4g} ns>"

    def __post_init__(self) -> None:
        """Checks and freezes the counts.

        Raises:
            InputError: counts of another shape or dtype, or negative ones.
        """
        counts: object = self.counts
        if not isinstance(counts, np.ndarray) or counts.shape != (N_BUCKET,) or counts.dtype != np.int64:
            msg = f"a histogram needs counts as int64[{N_BUCKET}]; Histogram.of makes one of times"
            raise InputError(msg)
        if counts.min() < 0:
            msg = "a histogram has a negative count: counts are numbers of calls"
            raise InputError(msg)
        self.counts.flags.writeable = False

    @classmethod
    def of(cls, time_ns: ArrayLike) -> Histogram:
        """The histogram of times, in ns.

        Raises:
            InputError: a time that is negative or not finite.

        >>> h = Histogram.of([1000.0] * 99 + [5000.0])
        >>> h.n, h.mean_ns, round(h.quantile(0.5)), round(h.quantile(1.0))
        (100, 1040.0, 1004, 5000)
        """
        times = np.asarray(time_ns, np.float64).ravel()
        if not (np.isfinite(times) & (times >= 0)).all():
            msg = "a time is negative or not finite: a histogram takes times in ns from 0 up"
            raise InputError(msg)
        counts = np.bincount(bucket_of(times), minlength=N_BUCKET).astype(np.int64)
        return cls(counts, float(times.sum()), float(times.max(initial=0.0)))

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Histogram:
        """The histogram of all that the parts counted."""
        counts, total, largest = np.zeros(N_BUCKET, np.int64), 0.0, 0.0
        for part in parts:
            counts += part.counts
            total += part.total_ns
            largest = max(largest, part.max_ns)
        return cls(counts, total, largest)

    @property
    def n(self) -> int:
        """How many times were counted."""
        return int(self._ranks()[-1])

    @property
    def mean_ns(self) -> float:
        """The mean of the times themselves, not of buckets; 0 where nothing was counted."""
        return self.total_ns / self.n if self.n else 0.0

    def quantile(self, share: float) -> float:
        """The time in ns that `share` of the calls did not exceed, within RELATIVE_ERROR; 0 where nothing was counted.

        It is the middle of the bucket in which the call of rank ceil(share * n) lies, and never above the maximum.

        Raises:
            InputError: a share outside 0..1.
        """
        if not 0 <= share <= 1:
            msg = f"quantile {share!r}: give a share from 0 to 1, such as 0.99"
            raise InputError(msg)
        if not self.n:
            return 0.0
        if share == 1:
            return self.max_ns
        low, high = self.bucket(share)
        return min((low + high) / 2 if low else 0.0, self.max_ns)

    def bucket(self, share: float) -> tuple[float, float]:
        """Lower and upper edge, in ns, of the bucket that holds the quantile."""
        # Of 1000 calls p99.9 is the 999th: 0.999 * 1000 is a little more than 999 in floating point.
        rank = max(int(np.ceil(share * self.n * (1 - 1e-12))), 1)
        k = int(np.searchsorted(self._ranks(), rank))
        edges = bucket_edges()
        return float(edges[k]), float(edges[k + 1])

    def share_above(self, time_ns: float) -> float:
        """The share of calls that took longer, by whole buckets: those in the bucket of `time_ns` do not count."""
        return 1 - float(self._ranks()[int(bucket_of([time_ns])[0])]) / self.n if self.n else 0.0

    def _ranks(self) -> NDArray[np.int64]:
        if not self._cumulative:
            self._cumulative.append(np.cumsum(self.counts))
        return self._cumulative[0]

    def as_dict(self) -> dict[str, object]:
        """The histogram for JSON: the counts from the first bucket in use to the last."""
        used = np.flatnonzero(self.counts)
        first, last = (int(used[0]), int(used[-1])) if used.size else (0, -1)
        return {
            "first_bucket": first,
            "counts": self.counts[first : last + 1].tolist(),
            "total_ns": self.total_ns,
            "max_ns": self.max_ns,
        }

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> Histogram:
        """Undoes `as_dict`.

        Raises:
            InputError: not what `as_dict` gives.
        """
        msg = "not a saved histogram: it needs first_bucket, counts, total_ns and max_ns, none of them negative"
        try:
            first: Any = data["first_bucket"]
            counts: Any = data["counts"]
            total, largest = float(data["total_ns"]), float(data["max_ns"])  # type: ignore[arg-type]
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(msg) from error
        whole = isinstance(counts, list) and all(type(c) is int and 0 <= c < 1 << 63 for c in (first, *counts))
        if not whole or first + len(counts) > N_BUCKET or not (0 <= total < np.inf and 0 <= largest < np.inf):
            raise InputError(msg)
        buckets = np.zeros(N_BUCKET, np.int64)
        buckets[first : first + len(counts)] = counts
        return cls(buckets, total, largest)
