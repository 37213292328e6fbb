"""Histograms against ranks of the sorted times, and buckets against plain arithmetic on exponent and fraction."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.results.histogram import RELATIVE_ERROR, Histogram, bucket_edges, bucket_of
from fastsmc.results.log_linear import N_BUCKET

LEAST, MOST = 2.0**-10, 2.0**44
times = st.floats(LEAST * 65 / 64, MOST, exclude_max=True)
samples = st.lists(st.just(0.0) | times, min_size=1, max_size=60)
shares = st.sampled_from([0.5, 0.9, 0.99, 0.999, 0.9999]) | st.floats(0, 1, exclude_max=True)


def plain_bucket(time_ns: float) -> int:
    """Sixty-four to the octave, from the first octave on; what is below is in the first, what is above in the last."""
    if time_ns < LEAST:
        return 0
    fraction, exponent = math.frexp(time_ns)  # 0.5 <= fraction < 1
    octave, place = exponent - 1 + 10, math.floor((2 * fraction - 1) * 64)
    return min(64 * octave + place, 64 * 54 - 1)


@given(time_ns=st.floats(0, 1e300) | times)
def test_a_bucket_is_a_64th_of_an_octave(time_ns: float) -> None:
    assert int(bucket_of([time_ns])[0]) == plain_bucket(time_ns)


@given(k=st.integers(0, N_BUCKET - 1))
def test_edges_enclose_what_is_counted(k: int) -> None:
    low, high = bucket_edges()[k : k + 2]
    assert bucket_of([low, np.nextafter(high, 0)]).tolist() == [k, k]
    assert bucket_of([high])[0] == min(k + 1, N_BUCKET - 1)
    assert k == 0 or (high - low) / low <= 1 / 64


def by_rank(values: list[float], share: float) -> float:
    """The time of rank ceil(share * n), exactly."""
    from fractions import Fraction

    numerator, denominator = (int(part) for part in Fraction(str(share)).as_integer_ratio())
    rank = max(-(-numerator * len(values) // denominator), 1)
    return sorted(values)[rank - 1]


@given(values=samples, share=shares)
def test_a_quantile_is_the_time_of_its_rank(values: list[float], share: float) -> None:
    found, exact = Histogram.of(values).quantile(share), by_rank(values, share)
    assert abs(found - exact) <= RELATIVE_ERROR * exact
    assert RELATIVE_ERROR <= 0.01
    assert found <= max(values)


def test_a_quantile_is_what_numpy_finds() -> None:
    values = np.random.default_rng(1).lognormal(9, 2, 100_000)
    histogram = Histogram.of(values)
    for share in (0.001, 0.5, 0.9, 0.99, 0.999, 0.9999):
        exact = np.quantile(values, share, method="inverted_cdf")
        assert abs(histogram.quantile(share) - exact) <= RELATIVE_ERROR * exact
        low, high = histogram.bucket(share)
        assert low <= exact < high
    assert histogram.quantile(1) == values.max()
    assert math.isclose(histogram.mean_ns, values.mean(), rel_tol=1e-12)


@given(values=samples, cut=st.integers(0, 60), share=shares)
def test_merged_is_the_histogram_of_all(values: list[float], cut: int, share: float) -> None:
    whole, parts = Histogram.of(values), [Histogram.of(values[:cut]), Histogram.of(values[cut:])]
    for order in (parts, parts[::-1]):
        merged = Histogram.merged(order)
        assert (merged.counts == whole.counts).all()
        assert merged.max_ns == whole.max_ns
        assert merged.n == len(values)
        assert math.isclose(merged.total_ns, whole.total_ns, rel_tol=1e-12)
        assert merged.quantile(share) == whole.quantile(share)


@given(values=samples, share=shares)
def test_the_share_above_counts_whole_buckets(values: list[float], share: float) -> None:
    histogram = Histogram.of(values)
    low, high = histogram.bucket(share)
    above = sum(value >= high for value in values) / len(values)
    assert math.isclose(histogram.share_above(low), above, abs_tol=1e-12)


@given(values=samples, shares=st.lists(shares, min_size=2, max_size=5))
def test_quantiles_are_in_order(values: list[float], shares: list[float]) -> None:
    histogram = Histogram.of(values)
    found = [histogram.quantile(share) for share in sorted(shares)]
    assert all(a <= b for a, b in pairwise(found))


@given(values=st.lists(times, max_size=30))
def test_a_saved_histogram_is_the_same(values: list[float]) -> None:
    histogram = Histogram.of(values)
    back = Histogram.from_dict(json.loads(json.dumps(histogram.as_dict())))
    assert (back.counts == histogram.counts).all()
    assert (back.total_ns, back.max_ns) == (histogram.total_ns, histogram.max_ns)


def test_ranks_of_round_numbers_are_exact() -> None:
    """0.999 * 1000 is a little more than 999 in floating point."""
    for n in (1000, 10_000, 1_000_000):
        values = np.full(n, 100.0)
        values[-n // 1000 :] = 1e6
        low, high = Histogram.of(values).bucket(0.999)
        assert low <= 100 < high


def test_of_nothing() -> None:
    nothing = Histogram.merged([])
    assert (nothing.n, nothing.mean_ns, nothing.quantile(0.5), nothing.quantile(1), nothing.share_above(1)) == (
        0, 0, 0, 0, 0,
    )  # fmt: skip


@pytest.mark.parametrize("bad", [[-1.0], [math.nan], [math.inf]])
def test_what_is_no_time_is_refused(bad: list[float]) -> None:
    with pytest.raises(InputError, match="negative or not finite"):
        Histogram.of(bad)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="from 0 to 1"):
        Histogram.of([1.0]).quantile(share)


@pytest.mark.parametrize(
    "counts", [np.zeros(3, np.int64), np.zeros(N_BUCKET), np.full(N_BUCKET, -1), [0] * N_BUCKET], ids=str
)
def test_what_are_no_counts_is_refused(counts: object) -> None:
    with pytest.raises(InputError, match="histogram"):
        Histogram(counts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"counts": None}, {"first_bucket": -1}, {"first_bucket": -1, "counts": [1]}, {"first_bucket": N_BUCKET},
        {"counts": [-1]}, {"counts": [1.5]}, {"counts": ["x"]}, {"counts": [1 << 70]}, {"total_ns": "x"},
        {"total_ns": math.nan}, {"max_ns": -1.0}, {"first_bucket": True},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_saved_histogram_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="histogram"):
        Histogram.from_dict(Histogram.of([5.0, 6.0]).as_dict() | change)
