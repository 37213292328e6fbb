"""Filters against a plain list of ranges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.facts.releases import Host, release
from fastsmc.fleet.filters import Filter, FilterRange, inserted, listed
from fastsmc.reference.vm import Vm
from tests.support.strategies import filter_ranges, func_ids


@given(st.lists(filter_ranges, max_size=30), st.sampled_from(["6.4", "7.3"]))
def test_inserts_and_their_errnos_are_those_of_the_reference(ranges: list[FilterRange], name: str) -> None:
    vm = Vm(Host(release(name)))
    expected = [vm.insert_filter(r.base, r.nr_functions, int(r.action)) for r in ranges]
    made, errnos = inserted(Filter(), ranges, empty_at_0_errno=vm.release.filter_empty_at_0_errno)
    assert errnos == expected
    assert made.ranges == tuple(sorted((first, last, int(action)) for first, last, action in vm.filter))


@given(st.lists(filter_ranges, max_size=30), st.lists(func_ids, max_size=50))
def test_steps_and_search_agree_with_a_scan_of_the_ranges(ranges: list[FilterRange], ids: list[int]) -> None:
    made, _ = inserted(Filter(), ranges, empty_at_0_errno=22)
    start, action = made.steps()
    assert start[0] == 0
    assert np.all(start[1:] > start[:-1])
    edges = [
        edge for first, last, _ in made.ranges for edge in (first, last, first - 1, last + 1) if 0 <= edge < 1 << 32
    ]
    for func_id in ids + edges:
        scanned = next((what for first, last, what in made.ranges if first <= func_id <= last), 0)
        assert made.action(func_id) == scanned
        assert action[np.searchsorted(start, func_id, side="right") - 1] == scanned


def test_thousands_of_ranges_fit() -> None:
    ranges = [FilterRange(0x84000000 + 8 * n, 4, n % 3) for n in range(3000)]
    made, errnos = inserted(Filter(), ranges, empty_at_0_errno=22)
    assert (len(made), set(errnos)) == (3000, {0})


@pytest.mark.parametrize(
    "fields",
    [
        (-1, 1, 0),
        (1 << 32, 1, 0),
        (0, 1 << 32, 0),
        (0, 1, 256),
        (1.5, 1, 1),
        (float("nan"), 1, 1),
        (0, None, 1),
        (0, "1", 1),
        (0, 1, True),
    ],
)
def test_what_does_not_fit_the_struct_is_refused(fields: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="must be a whole number in"):
        FilterRange(*fields)


def test_numpys_whole_numbers_are_whole_numbers() -> None:
    made, errnos = inserted(
        Filter(), [FilterRange(np.uint32(0xFFFF_FFFF), np.uint8(1), np.int64(1))], empty_at_0_errno=22
    )
    assert (made.ranges, errnos) == (((0xFFFF_FFFF, 0xFFFF_FFFF, 1),), [0])


@pytest.mark.parametrize("ranges", [None, 5, [(0, 1, 1)], [FilterRange(0, 1, 1), None], "ab"])
def test_what_is_no_range_is_refused(ranges: object) -> None:
    with pytest.raises(InputError, match="give a FilterRange"):
        listed(ranges)
