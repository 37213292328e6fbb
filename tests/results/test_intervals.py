"""Intervals against exact binomials in plain Python, and by how often they hold what they should: coverage."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fastsmc.results import intervals
from fastsmc.results.histogram import Histogram
from fastsmc.results.intervals import Estimate

TAIL = Fraction(25, 1000)


def exact_ranks(n: int, share: Fraction) -> tuple[int, int]:
    """The same by whole binomials: the largest with P(K < low) <= 2.5 %, the smallest with P(K >= high) <= 2.5 %."""
    mass = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
    low = max(rank for rank in range(n + 2) if sum(mass[:rank]) <= TAIL)
    high = min(rank for rank in range(1, n + 2) if sum(mass[rank:]) <= TAIL)
    return low, high


@pytest.mark.parametrize("share", [Fraction(1, 2), Fraction(9, 10), Fraction(99, 100), Fraction(1, 4)], ids=str)
@pytest.mark.parametrize("n", [1, 2, 5, 6, 10, 37, 100, 250])
def test_ranks_are_those_of_the_exact_binomial(n: int, share: Fraction) -> None:
    assert intervals.order_ranks(n, float(share)) == exact_ranks(n, share)


def test_ranks_of_a_billion_values_are_those_of_the_normal_law() -> None:
    low, high = intervals.order_ranks(10**9, 0.5)
    assert low == pytest.approx(5e8 - 1.959964 * math.sqrt(10**9 / 4), abs=2)
    assert high == pytest.approx(5e8 + 1.959964 * math.sqrt(10**9 / 4), abs=2)


def held(make: Any, truth: float, n: int = 1500) -> float:
    """The share of intervals that hold the truth."""
    rng = np.random.default_rng(1)
    found = [make(rng) for _ in range(n)]
    return float(np.mean([one.low <= truth <= one.high for one in found]))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_quantile_lies_in_its_interval_as_often_as_it_should(share: float) -> None:
    def make(rng: np.random.Generator) -> Estimate:
        return intervals.of_quantile(Histogram.of(rng.exponential(1000, 600)), share)

    assert 0.94 <= held(make, -1000 * math.log(1 - share)) <= 0.995


def test_a_mean_lies_in_its_interval_as_often_as_it_should() -> None:
    def make(rng: np.random.Generator) -> Estimate:
        return intervals.of_mean(Histogram.of(rng.exponential(1000, 600)))

    assert 0.93 <= held(make, 1000.0) <= 0.97


def test_the_median_of_rounds_lies_in_its_interval_as_often_as_it_should() -> None:
    assert 0.95 <= held(lambda rng: intervals.of_median(rng.exponential(1.0, 21)), math.log(2)) <= 0.99


def test_a_median_by_quartiles_lies_in_its_interval_as_often_as_it_should() -> None:
    def make(rng: np.random.Generator) -> Estimate:
        rounds = rng.normal(100, 5, 41)
        low, middle, high = np.quantile(rounds, [0.25, 0.5, 0.75])
        return intervals.of_median_and_iqr(float(middle), float(high - low), len(rounds))

    assert 0.92 <= held(make, 100.0) <= 0.98


@pytest.mark.parametrize("times", [1.0, 1.3])
def test_a_ratio_lies_in_its_interval_as_often_as_it_should(times: float) -> None:
    def make(rng: np.random.Generator) -> Estimate:
        first, second = (Histogram.of(rng.exponential(scale, 500)) for scale in (1000, 1000 * times))
        ratio = intervals.of_ratio(intervals.of_quantile(first, 0.9), intervals.of_quantile(second, 0.9))
        assert ratio is not None
        return ratio

    assert 0.94 <= held(make, times) <= 0.995


def clustered(rng: np.random.Generator) -> tuple[Histogram, float | None]:
    """30 parts of 50 values each that share their part's level, and the design effect that they show."""
    levels = rng.normal(1000, 100, 30)
    values = np.maximum(levels[:, None] + rng.normal(0, 50, (30, 50)), 1)
    times = Histogram.of(values)
    means, n = values.mean(axis=1), np.full(30, 50)
    return times, intervals.design_effect(means, n, intervals.variance(times))


def test_values_that_hang_together_need_their_design_effect() -> None:
    def aware(rng: np.random.Generator) -> Estimate:
        times, effect = clustered(rng)
        assert effect is not None
        return intervals.of_mean(times, design_effect=effect)

    assert 0.92 <= held(aware, 1000.0, 600) <= 0.98
    assert held(lambda rng: intervals.of_mean(clustered(rng)[0]), 1000.0, 600) < 0.5  # as if calls were independent


def test_the_quantile_of_values_that_hang_together_has_the_ranks_of_fewer() -> None:
    values = np.sort(np.random.default_rng(4).exponential(1000, 4000))
    found = intervals.of_quantile(Histogram.of(values), 0.9, design_effect=40.0)
    low, high = (values[rank * 40 - 1] for rank in exact_ranks(100, Fraction(9, 10)))
    assert found.low == pytest.approx(low, rel=1 / 64)
    assert found.high == pytest.approx(high, rel=1 / 64)


def test_a_design_effect_is_that_of_the_textbook() -> None:
    """Kish: 1 + (values of a part - 1) x the correlation within parts."""
    rng = np.random.default_rng(3)
    levels = rng.normal(1000, 100, 4000)
    values = levels[:, None] + rng.normal(0, 200, (4000, 10))
    found = intervals.design_effect(values.mean(axis=1), np.full(4000, 10), float(values.var()))
    assert found == pytest.approx(1 + 9 * 100**2 / (100**2 + 200**2), rel=0.05)


def test_a_design_effect_of_single_values_is_bessels_correction() -> None:
    values = np.arange(10.0)
    assert intervals.design_effect(values, np.ones(10, np.int64), float(values.var())) == pytest.approx(10 / 9)


def test_a_ratio_takes_each_limit_from_the_side_that_moves_it() -> None:
    """Lopsided intervals, by hand: low from b's low and a's high, high from b's high and a's low."""
    ratio = intervals.of_ratio(Estimate(100, 50, 110, "x"), Estimate(100, 90, 300, "x"))
    assert ratio is not None
    assert ratio.low == pytest.approx(math.exp(-math.sqrt(math.log(100 / 90) ** 2 + math.log(110 / 100) ** 2)))
    assert ratio.high == pytest.approx(math.exp(math.sqrt(math.log(3) ** 2 + math.log(2) ** 2)))


def test_few_parts_say_nothing_of_a_design_effect() -> None:
    assert intervals.design_effect(np.arange(7.0), np.full(7, 3), 1.0) is None
    assert intervals.design_effect(np.arange(8.0), np.full(8, 3), 1.0) is not None


def test_the_variance_is_that_of_the_values() -> None:
    values = np.random.default_rng(2).gamma(2.0, 700, 50_000)
    assert intervals.variance(Histogram.of(values)) == pytest.approx(float(values.var()), rel=0.01)


def test_the_variance_within_a_bucket_is_that_of_a_uniform_law() -> None:
    values = np.random.default_rng(2).uniform(292, 296, 50_000)  # one bucket, 4 ns wide
    assert intervals.variance(Histogram.of(values)) == pytest.approx(16 / 12, rel=0.02)


def test_times_in_one_bucket_have_an_interval_as_narrow_as_the_bucket() -> None:
    times = Histogram.of([292.0] * 5000)
    mean, median = intervals.of_mean(times), intervals.of_quantile(times, 0.5)
    assert mean.low is not None
    assert mean.high is not None
    assert mean.high - mean.low < 0.1
    assert (median.low, median.high) == (292.0, 292.0)


def test_what_too_few_values_say_has_no_end() -> None:
    found = intervals.of_quantile(Histogram.of([1.0, 2.0, 3.0]), 0.5)
    assert (found.low, found.high) == (0.0, math.inf)
    ratio = intervals.of_ratio(found, found)
    assert ratio is not None
    assert intervals.finite([ratio.low, ratio.high]) == [0.0, None]
    assert intervals.verdict_of(ratio) == "same"


@pytest.mark.parametrize(
    ("ratio", "is_exact", "word"),
    [
        (Estimate(1.2, 1.1, 1.3), False, "higher"),
        (Estimate(0.8, 0.7, 0.9), False, "lower"),
        (Estimate(1.2, 0.9, 1.6), False, "same"),
        (Estimate(1.2, 1.0, 1.6), False, "same"),
        (Estimate(1.2, 1.1, math.inf), False, "higher"),
        (Estimate(1.2), False, "unknown"),
        (Estimate(1.2), True, "higher"),
        (Estimate(0.5), True, "lower"),
        (Estimate(1.0), True, "same"),
        (None, False, "unknown"),
    ],
)
def test_a_word_for_each_ratio(ratio: Estimate | None, is_exact: bool, word: str) -> None:
    assert intervals.verdict_of(ratio, is_exact=is_exact) == word


def test_no_ratio_to_nothing_and_no_interval_of_one_value() -> None:
    assert intervals.of_ratio(Estimate(0.0, 0.0, 1.0), Estimate(2.0, 1.0, 3.0)) is None
    ratio = intervals.of_ratio(Estimate(1.0), Estimate(2.0, 1.0, 3.0))
    assert ratio == Estimate(2.0)
    assert intervals.of_mean(Histogram.of([5.0])).low is None
    assert intervals.of_mean_and_deviation(5.0, 1.0, 1).low is None
    assert intervals.of_median_and_iqr(5.0, 1.0, 1).low is None
