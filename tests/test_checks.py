"""What callers give: each check returns the value or says in one sentence what was given and what would be right."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.checks import LAST_U32, LAST_U64, one_of, shown, whole, whole_array, whole_numbers, word_of
from fastsmc.errors import InputError, TraceError


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@given(st.integers(-10, 20))
def test_a_whole_number_comes_back_if_it_is_in_range(number: int) -> None:
    for value in (number, np.int64(number)):
        if 0 <= number <= 9:
            assert type(whole("n", value, last=9)) is int
            assert whole("n", value, last=9) == number
        else:
            with pytest.raises(InputError, match=r"^n is .*: it must be a whole number in 0\.\.9$"):
                whole("n", value, last=9)


@pytest.mark.parametrize("value", [True, np.True_, 1.0, "1", None, [1], 1 + 0j, float("nan")])
def test_what_is_no_whole_number_is_not_made_one(value: object) -> None:
    with pytest.raises(InputError) as told:
        whole("n_vcpu", value, first=1, last=512)
    assert str(told.value) == f"n_vcpu is {value!r}: it must be a whole number in 1..512"


def test_a_message_has_the_callers_remark_and_class_and_writes_large_limits_as_hex() -> None:
    with pytest.raises(TraceError, match=r"^n is 3: it must be a whole number in 0\.\.2; KVM stops at 2$"):
        whole("n", 3, last=2, remark="KVM stops at 2", error=TraceError)
    with pytest.raises(InputError, match=r"in 0\.\.0xffffffffffffffff$"):
        whole("word", 1 << 64, last=LAST_U64)
    with pytest.raises(InputError, match=rf"in 0\.\.{LAST_U32 - 1}$"):
        whole("word", -1, last=LAST_U32 - 1)


def test_a_long_value_is_shown_on_one_line_and_cut() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert shown("x" * 1000) == "'" + "x" * 59 + "…"


@given(st.lists(st.integers(0, 300), max_size=6), st.integers(0, 3), st.integers(5, 260))
def test_arrays_are_checked_element_by_element(values: list[int], first: int, last: int) -> None:
    bad = [i for i, value in enumerate(values) if not first <= value <= last]
    for given_as in (values, np.array(values, np.uint16)):
        if bad:
            with pytest.raises(InputError, match=rf"^n\[{bad[0]}\] is {values[bad[0]]}: "):
                whole_array("n", given_as, first=first, last=last)
        else:
            assert whole_array("n", given_as, first=first, last=last).tolist() == values


@pytest.mark.parametrize("value", [[0, True], [0.5], [0, 2**64], "x", [[1], [1, 2]]])
def test_arrays_of_other_things_are_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^n"):
        whole_array("n", value, last=LAST_U64)


def test_one_of_a_few_is_told_by_its_value_and_the_near_one_is_named() -> None:
    assert one_of("colour", "red", Colour) is Colour.RED
    assert one_of("colour", Colour.GREEN, Colour) is Colour.GREEN
    with pytest.raises(InputError, match=r"^colour is 'gren': it must be one of red, green; did you mean green\?$"):
        one_of("colour", "gren", Colour)
    with pytest.raises(InputError, match=r"^colour is 7: it must be one of red, green$"):
        one_of("colour", 7, Colour)
    assert word_of("by", "vm", ("vm", "both")) == "vm"
    with pytest.raises(InputError, match=r"^by is None: it must be one of vm, both$"):
        word_of("by", None, ("vm", "both"))


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5)), min_size=1, max_size=5), st.sampled_from(["-", ".."]))
def test_numbers_and_ranges_are_read_as_they_are_written(parts: list[tuple[int, int]], between: str) -> None:
    text = ",".join(f"{low}{between}{low + more}" if more else f"{low}" for low, more in parts)
    assert whole_numbers("--vcpus", text) == [n for low, more in parts for n in range(low, low + more + 1)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "--vcpus '': give whole numbers joined by commas, or ranges, such as 1,64,512 or 1-8"),
        ("1,,2", "--vcpus '1,,2': give whole numbers"),
        ("1.5", "--vcpus '1.5': give whole numbers"),
        ("-4", "--vcpus '-4': give whole numbers"),
        ("8-4", "--vcpus '8-4': the range 8-4 falls; write the smaller number first"),
        ("0", "--vcpus is 0: it must be a whole number in 1..1048576"),
        ("1-99999999999", "--vcpus is 99999999999: it must be a whole number in 1..1048576"),
        ("1-1048576,1", "--vcpus '1-1048576,1' stands for more than 65536 numbers"),
        ("1" * 5000, "--vcpus '" + "1" * 59 + "…: give whole numbers"),
    ],
)
def test_what_stands_for_no_numbers_is_named(text: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        whole_numbers("--vcpus", text)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1..8..0", "leads nowhere"),
        ("1..8..x1", "leads nowhere"),
        ("0..8..x2", "leads nowhere"),
        ("8..7", "falls"),
        ("9-8", "falls"),
        ("0-65536", "more than 65536 numbers"),
        ("1-65536,7", "more than 65536 numbers"),
    ],
)
def test_a_range_that_leads_nowhere_or_too_far_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        whole_numbers("--vcpus", text, first=0)


def test_as_many_numbers_as_may_be_are_taken() -> None:
    assert whole_numbers("--vcpus", "1-65536") == list(range(1, 65537))
    assert whole_numbers("--vcpus", "7,1-65535") == [7, *range(1, 65536)]
