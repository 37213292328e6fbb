"""Intervals of quantiles, means and medians, and of their ratios: how far a figure may be off by chance.

All are for a probability `LEVEL`. Sources: order statistics, W. J. Conover, Practical Nonparametric Statistics (3rd
ed., 1999), 3.2; ratios from the limits of both figures, G. Y. Zou and A. Donner, Construction of confidence intervals
about effect measures, Statistics in Medicine 27 (2008), 1693-1702 (MOVER), here on logarithms; design effects, L. Kish,
Survey Sampling (1965), 8.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.results.histogram import Histogram, bucket_edges

LEVEL = 0.95
"""How often an interval holds what it is about, over many repetitions."""
LEAST_CLUSTERS = 8
"""Parts from which on a design effect says anything; a variance of fewer is a guess."""
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
_MEDIAN_OF_IQR = math.sqrt(math.pi / 2) / (2 * NormalDist().inv_cdf(0.75))
"""Standard error of a normal sample's median, times the root of its size, as a multiple of its interquartile range."""
_FAR = 12
"""Standard deviations beyond which a binomial has no mass that float64 could tell."""


class Estimate(NamedTuple):
    """A figure and its interval.

    Attributes:
        value: the figure.
        low, high: where it lies; 0 and infinity where too few values were seen to say, None where nothing was.
        basis: how the interval came about.
    """

    value: float
    low: float | None = None
    high: float | None = None
    basis: str = ""


def order_ranks(n: int, share: float) -> tuple[int, int]:
    """Ranks, from 1, of the order statistics between which a quantile lies, of n independent values of any law.

    The lower is 0 where even the smallest value may lie above the quantile, the upper n + 1 where the largest may lie
    below.

    Args:
        share: of the quantile, between 0 and 1, neither of them.

    >>> order_ranks(10, 0.5), order_ranks(100, 0.99)
    ((2, 9), (97, 101))
    """
    middle, spread = n * share, math.sqrt(n * share * (1 - share))
    first = max(math.floor(middle - _FAR * spread) - _FAR, 0)
    last = min(math.ceil(middle + _FAR * spread) + _FAR, n)
    k = np.arange(first, last)
    steps = np.log((n - k) / (k + 1.0)) + math.log(share / (1 - share))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    mass = np.exp(logs - logs.max())
    below = np.cumsum(mass / mass.sum())  # P(at most k of n values lie at or below the quantile)
    tail = (1 - LEVEL) / 2
    low = first + int(np.searchsorted(below, tail, side="right"))
    high = first + int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return low, high


def of_quantile(times: Histogram, share: float, *, design_effect: float = 1.0) -> Estimate:
    """A quantile in ns, between edges of the buckets of two order statistics.

    Args:
        design_effect: how many values count as one independent one.
    """
    value = times.quantile(share)
    n = int(times.n / max(design_effect, 1.0))
    if n < 1:
        return Estimate(value)
    ranks, edges = np.cumsum(times.counts), bucket_edges()
    low, high = order_ranks(n, share)
    at_low, at_high = (int(np.searchsorted(ranks, math.ceil(rank / n * times.n))) for rank in (low, min(high, n)))
    top = min(float(edges[at_high + 1]), times.max_ns) if high <= n else math.inf
    return Estimate(value, float(edges[at_low]), top, "order statistics")  # rank 0 is in the bucket from 0 on


def of_mean(times: Histogram, *, design_effect: float = 1.0) -> Estimate:
    """The mean in ns, by the central limit theorem. The variance is that of the buckets' middles and of a uniform law
    within each."""
    if times.n < 2:
        return Estimate(times.mean_ns)
    error = _Z * math.sqrt(variance(times) / times.n * max(design_effect, 1.0))
    return Estimate(times.mean_ns, max(times.mean_ns - error, 0.0), times.mean_ns + error, "central limit")


def variance(times: Histogram) -> float:
    """Variance in ns squared, to the buckets' width."""
    used = np.flatnonzero(times.counts)
    counts, edges = times.counts[used], bucket_edges()
    low, high = edges[used], np.minimum(edges[used + 1], times.max_ns)
    low, high = np.where(low > 0, (low, high), 0.0)
    middle = (low + high) / 2
    mean = float((counts * middle).sum()) / times.n
    return float((counts * ((middle - mean) ** 2 + (high - low) ** 2 / 12)).sum()) / times.n


def of_mean_and_deviation(mean: float, deviation: float, n: int) -> Estimate:
    """A mean, from the standard deviation of n values."""
    if n < 2:
        return Estimate(mean)
    error = _Z * deviation / math.sqrt(n)
    return Estimate(mean, max(mean - error, 0.0), mean + error, "central limit")


def of_median(values: ArrayLike) -> Estimate:
    """The median of values, between two of them.

    >>> of_median([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
    Estimate(value=3.5, low=1.0, high=6.0, basis='order statistics')
    """
    ordered = np.sort(np.asarray(values, np.float64))
    n, value = len(ordered), float(np.median(ordered))
    if n < 1:
        return Estimate(math.nan)
    low, high = order_ranks(n, 0.5)
    least = float(ordered[low - 1]) if low else 0.0
    return Estimate(value, least, float(ordered[high - 1]) if high <= n else math.inf, "order statistics")


def of_median_and_iqr(median: float, iqr: float, n: int) -> Estimate:
    """A median, from the interquartile range of n values that are taken for normal."""
    if n < 2:
        return Estimate(median)
    error = _Z * _MEDIAN_OF_IQR * iqr / math.sqrt(n)
    return Estimate(median, max(median - error, 0.0), median + error, "quartiles")


def of_ratio(first: Estimate, second: Estimate) -> Estimate | None:
    """The second figure over the first, with an interval where both have one; None where the first is 0 or either is
    below.

    >>> ratio = of_ratio(Estimate(100, 90, 110, "a"), Estimate(200, 180, 220, "a"))
    >>> ratio.value, round(ratio.low, 2), round(ratio.high, 2)
    (2.0, 1.74, 2.31)
    """
    if first.value <= 0 or second.value < 0:
        return None
    value = second.value / first.value
    limits = (first.low, first.high, second.low, second.high)
    if value == 0 or any(limit is None for limit in limits):
        return Estimate(value)
    a_low, a_high, b_low, b_high = (_log(limit) for limit in limits if limit is not None)
    a, b = math.log(first.value), math.log(second.value)
    low, high = math.hypot(b - b_low, a_high - a), math.hypot(b_high - b, a - a_low)
    basis = " and ".join(dict.fromkeys((first.basis, second.basis)))
    return Estimate(value, value * math.exp(-low), value * math.exp(high) if high < 700 else math.inf, basis)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def design_effect(means: NDArray[np.float64], n: NDArray[np.int64], of_one: float) -> float | None:
    """How many values count as one independent one, where values of one part hang together and parts do not.

    It is the variance of the mean over parts, against what it would be if all values were independent; at least 1.

    Args:
        means: of each part, float64[n_part]. n: values of each part, int64[n_part].
        of_one: variance of all values.

    Returns:
        None for fewer parts than LEAST_CLUSTERS.
    """
    n_part, total = len(n), int(n.sum())
    if n_part < LEAST_CLUSTERS or not total:
        return None
    mean = float((n * means).sum()) / total
    of_mean_squared = float((n * n * (means - mean) ** 2).sum()) / total**2 * n_part / (n_part - 1)
    return max(of_mean_squared / (of_one / total), 1.0) if of_one > 0 else 1.0


def verdict_of(ratio: Estimate | None, *, is_exact: bool = False) -> str:
    """A word for a ratio: same where its interval has 1, higher or lower where it has not, unknown without one.

    Args:
        is_exact: the figures are computed, not sampled, so that any difference is one.
    """
    if ratio is None or (ratio.low is None and not is_exact):
        return "unknown"
    low, high = (ratio.value, ratio.value) if ratio.low is None or ratio.high is None else (ratio.low, ratio.high)
    return "higher" if low > 1 else "lower" if high < 1 else "same"


def finite(values: Sequence[float | None]) -> list[float | None]:
    """Limits as tables and JSON have them: what has no end is unknown."""
    return [value if value is not None and math.isfinite(value) else None for value in values]
