"""Rows as bits say what the rows themselves say; taken apart here one vCPU and class at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastsmc.fleet.bit_rows import BitRows, build_bit_rows
from fastsmc.kernels import SEARCH
from tests.support.examples import examples
from tests.support.strategies import hosts, policies
from tests.test_kernels import fleet_of

NOBODY = np.zeros(0, np.uint8)


def verdict_of(rows: BitRows, number: int, k: int) -> int:
    """The verdict of class k in row `number`, by the layout as documented: 3 planes of 256, 3 tables of 64, 4 of 32."""
    table = rows.table.tolist()
    bits = table[256 * table[768 + k] + number]
    one, other = bits & table[832 + k] != 0, bits & table[896 + k] != 0
    return int(table[960 + 64 * other + 32 * one + k])


def built(by_class: NDArray[np.uint8], left_out: NDArray[np.uint8] = NOBODY) -> BitRows:
    own = np.arange(len(by_class), dtype=np.uint16)
    return build_bit_rows(by_class, left_out, own, own)


@examples(60)
@given(st.lists(policies, min_size=4, max_size=4), st.lists(hosts, min_size=4, max_size=4))
def test_any_policies(policy_of_vm, hosts_of_vm) -> None:  # type: ignore[no-untyped-def]
    fleet = fleet_of(policy_of_vm, hosts_of_vm)
    rows = fleet.rows()
    n_class = 1 + int(max(rows.lookup[1024:1152].max(), rows.lookup[1216:1218].max()))
    left_out = set(rows.lookup[1216:1218].tolist()) if rows.has_ranges else set()
    assert rows.bit_rows.table.size, "four policies are few"
    for v in range(fleet.n_vcpu):
        group = v * rows.magic >> rows.magic_shift
        number = int(rows.bit_rows.row_of_group[group])
        assert number == rows.bit_rows.table[1088 + v]
        for k in set(range(n_class)) - left_out:
            assert verdict_of(rows.bit_rows, number, k) == rows.verdict[rows.row_of_group[group], k]


@pytest.mark.parametrize(
    ("n_row", "n_class", "n_value", "fits"),
    [
        (256, 12, 3, True),
        (256, 12, 4, True),
        (256, 24, 2, True),
        (256, 13, 3, False),
        (256, 25, 2, False),
        (257, 12, 3, False),
        (256, 8, 5, False),
    ],
)
def test_what_fits(n_row: int, n_class: int, n_value: int, fits: bool) -> None:
    by_class = np.random.default_rng(n_class).integers(0, n_value, (n_row, n_class), np.uint8)
    assert len(np.unique(by_class, axis=0)) == n_row
    rows = built(by_class)
    assert (rows.table.size > 0) is fits
    for r in range(n_row if fits else 0):
        for k in range(n_class):
            assert verdict_of(rows, int(rows.row_of_group[r]), k) == by_class[r, k]


def test_classes_that_go_together_share_bits_and_constant_ones_need_none() -> None:
    one = np.random.default_rng(1).integers(0, 4, (100, 10), np.uint8)
    by_class = np.hstack([one, 4 + one, np.full((100, 12), 5, np.uint8)])
    rows = built(by_class)
    for r in range(100):
        for k in range(32):
            assert verdict_of(rows, int(rows.row_of_group[r]), k) == by_class[r, k]
    assert not built(np.hstack([by_class, by_class[:, :1]])).table.size, "33 classes"


def test_a_class_left_out_needs_no_bits_and_makes_no_rows() -> None:
    by_class = np.zeros((300, 3), np.uint8)
    by_class[:, 1], by_class[:, 2] = np.arange(300) % 7 + SEARCH, np.arange(300) % 2
    assert not built(by_class).table.size
    rows = built(by_class, np.array([1], np.uint8))
    assert rows.row_of_group.max() == 1
    assert [verdict_of(rows, int(rows.row_of_group[r]), 2) for r in range(300)] == (np.arange(300) % 2).tolist()
