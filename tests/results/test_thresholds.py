"""Thresholds: what is one, which number it is about, and whether it holds, against exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product

import pytest

from fastsmc.errors import InputError, UnknownError
from fastsmc.results.thresholds import numbers_of, threshold

SECONDS = {"ns": Fraction(1, 10**9), "us": Fraction(1, 10**6), "ms": Fraction(1, 1000), "s": Fraction(1), "min": 60}
BYTES = {"B": 1, "kB": 1000, "MB": 10**6, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
HOLDS = {
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: not limit < value,
    ">": lambda value, limit: limit < value,
    ">=": lambda value, limit: not value < limit,
    "==": lambda value, limit: not value < limit and not limit < value,
    "!=": lambda value, limit: value < limit or limit < value,
}
VALUES = (0, 1, 2, 999, 1000, 1001, 1024, 2_000_000)


@pytest.mark.parametrize("comparison", HOLDS)
@pytest.mark.parametrize(
    ("units", "endings"),
    [(SECONDS, {"ns": "_ns", "us": "_us", "ms": "_ms", "s": "_s"}), (BYTES, {"B": "_bytes", "KiB": "_kib"})],
    ids=["times", "sizes"],
)
def test_a_threshold_holds_as_exact_fractions_say(
    comparison: str, units: dict[str, Fraction], endings: dict[str, str]
) -> None:
    for (own, ending), unit, value, limit in product(endings.items(), units, VALUES, VALUES):
        found = threshold(f"wait {comparison} {limit}{unit}").crossed({f"wait{ending}": [value]})
        expected = HOLDS[comparison](value * Fraction(units[own]), limit * Fraction(units[unit]))
        assert (found is not None) == expected, (value, own, comparison, limit, unit)


def test_of_many_numbers_the_worst_is_told() -> None:
    numbers = {"downtime_ms": [100.0, 400.0, None, 350.0]}
    found = threshold("downtime > 300ms").crossed(numbers)
    assert found is not None
    assert str(found) == "downtime > 300ms holds: downtime_ms is 400 and 1 more of 4"
    least = threshold("downtime_ms < 0.2s").crossed(numbers)
    assert least is not None
    assert (least.value, least.n, least.n_all) == (100.0, 1, 4)


def test_what_is_not_known_is_no_yes_and_no_no() -> None:
    numbers = {"downtime_ms": [100.0, None, float("nan")]}
    with pytest.raises(UnknownError, match="downtime_ms is not known for 2 of 3"):
        threshold("downtime_ms > 300").crossed(numbers)
    assert threshold("downtime_ms > 50").crossed(numbers) is not None


def test_a_table_without_rows_meets_nothing() -> None:
    assert threshold("downtime_ms > 0").crossed({"downtime_ms": []}) is None


@pytest.mark.parametrize(
    ("text", "numbers", "says"),
    [
        (
            "p98 > 1ms",
            {"p99_ns": [1], "calls": [2]},
            "no number p98 here; there are p99_ns, calls; did you mean p99_ns?",
        ),
        ("p99 > 2", {"p99_ns": [1]}, "p99_ns is in ns: give the number a unit, such as 2ns"),
        ("p99 > 2B", {"p99_ns": [1]}, "p99_ns is in ns, not in B"),
        ("calls > 2ms", {"calls": [1]}, "calls is a number without a unit, not in ms"),
        ("calls_per_s > 2s", {"calls_per_s": [1]}, "calls_per_s is a number without a unit, not in s"),
        ("p99 > 2ms", {"p99_ns": [1], "p99_ms": [1]}, "p99 may be p99_ns or p99_ms"),
        ("x > 2", {}, "no number x here; there are none"),
    ],
)
def test_a_metric_that_is_none_is_told_with_those_there_are(
    text: str, numbers: dict[str, list[float | None]], says: str
) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        threshold(text).crossed(numbers)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "p99",
            "p99 >",
            "> 2ms",
            "p99 > 2 parsecs",
            "p99 > x",
            "p99 = 2ms",
            "p99 => 2",
            "p99 > 2ms or 1",
            "2 > p99",
        ),
        *("__import__('os') > 1", "p99 > 1e999", "p99 > nan", "p99 > " + "9" * 40, "a" * 10_000 + " > 1"),
    ],
)
def test_what_is_no_threshold_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(InputError) as told:
        threshold(text)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300


def test_numbers_have_the_names_of_what_they_are_in() -> None:
    told = {
        "name": "x", "ok": True, "calls": 3, "none": None,
        "fleet": {"response_ns": {"p99": 5.0, "p99_9": 7.0}, "text": "y", "low": None}, "rows": [{"calls": 9}],
    }  # fmt: skip
    assert numbers_of(told, {"downtime_ms": [1.0, None]}) == {
        "downtime_ms": [1.0, None],
        "calls": [3],
        "fleet_response_ns_p99": [5.0],
        "fleet_response_ns_p99_9": [7.0],
        "fleet_low": [None],
    }
    assert threshold("fleet_response_p99.9 > 6ns").crossed(numbers_of(told)) is not None


@pytest.mark.parametrize(("text", "worst", "n"), [("a > 1", 4, 2), ("a >= 3", 4, 2), ("a < 4", 1, 2), ("a <= 3", 1, 2)])
def test_what_is_told_is_the_number_furthest_over_the_threshold(text: str, worst: float, n: int) -> None:
    crossed = threshold(text).crossed({"a": [3, 1, 4]})
    assert crossed is not None
    assert (crossed.value, crossed.n, crossed.n_all) == (worst, n, 3)
