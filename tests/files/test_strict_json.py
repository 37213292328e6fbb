"""Long numbers in JSON are found as a search finds them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from fastsmc.files.strict_json import has_long_number

RUNS = st.lists(st.tuples(st.integers(0, 90), st.sampled_from(["", ",", "x" * 30, "\u0661", "a\n"])), max_size=6)


@given(RUNS)
def test_a_number_of_many_digits_is_found_wherever_it_stands(runs: list[tuple[int, str]]) -> None:
    text = "".join("1234567890"[:n] * (n > 10) + "7" * n + between for n, between in runs)
    assert has_long_number(text) == bool(re.search(r"[0-9]{39}", text))


@given(st.integers(0, 100), st.integers(36, 42), st.integers(0, 100))
def test_so_is_one_that_just_is_long_enough(before: int, n: int, after: int) -> None:
    assert has_long_number("," * before + "9" * n + "," * after) == (n >= 39)
