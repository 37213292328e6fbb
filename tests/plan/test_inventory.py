"""Inventories: columns of any kind in, each VM's host found, each kernel known or unknown."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.errors import InputError
from fastsmc.plan.inventory.codes import distinct, repeated
from fastsmc.plan.inventory.inventory import Inventory, places

HOSTS = {"name": ["h1", "h2", "h3"], "kernel": ["6.12.107", "", "6.12.107"]}
VMS = {"name": ["a", "b"], "host": ["h3", "gone"], "vcpus": [4, 8]}


def test_each_vm_has_its_host_and_each_kernel_its_rules() -> None:
    inventory = Inventory.of(hosts=HOSTS, vms=VMS)
    assert inventory.host_of_vm.tolist() == [2, -1]
    assert inventory.kernels.values.tolist() == ["", "6.12.107"]
    assert inventory.kernels.of_row.tolist() == [1, 0, 1]
    none, known = inventory.releases
    assert none is None
    assert str(known).startswith("Linux 6.12") or "6.12" in str(known)


def test_what_is_not_told_is_unknown_and_nothing_can_be_written() -> None:
    inventory = Inventory.of(hosts=HOSTS, vms={**VMS, "memory_gib": [None, 2]})
    assert np.isnan(inventory.vms["memory_gib"]).tolist() == [True, False]
    assert inventory.hosts["cpu"].tolist() == ["", "", ""]
    assert inventory.hosts["cores"].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        inventory.vms["vcpus"][0] = 1


@pytest.mark.parametrize(
    ("hosts", "vms", "words"),
    [
        ({"kernel": []}, VMS, "hosts: the column name is missing"),
        (HOSTS, {**VMS, "ram": [1, 2]}, "vms: column 4 is 'ram': it must be one of"),
        (HOSTS, {**VMS, "vcpus": [1]}, "vms: vcpus has 1 values where name has 2"),
        (HOSTS, {**VMS, "vcpus": ["1", "2"]}, "vms: vcpus: row 0 holds '1'"),
        (HOSTS, {**VMS, "vcpus": [1.5, 2]}, "a count is a whole number"),
        (HOSTS, {**VMS, "vcpus": [[1], [2]]}, "2 dimensions"),
        (HOSTS, {**VMS, "vcpus": [[1], 2]}, r"vcpus: row 0 holds \[1\]"),
        (HOSTS, {**VMS, "vcpus": [10**30, 2]}, "vms: vcpus holds a number that does not fit 64 bits"),
        (HOSTS, {**VMS, "vcpus": np.array([1 << 63, 2], np.uint64)}, "64 bits with a sign"),
        (HOSTS, {**VMS, "vcpus": [1e300, 2]}, "a count is a whole number"),
        (HOSTS, {**VMS, "vcpus": [True, False]}, "row 0 holds True"),
        (HOSTS, {**VMS, "vcpus": np.array([True, False])}, "vcpus holds bool"),
        (HOSTS, {**VMS, "memory_gib": ["1", None]}, "memory_gib: row 0 holds '1'"),
    ],
)
def test_columns_that_are_none_are_refused(hosts: object, vms: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Inventory.of(hosts=hosts, vms=vms)


@given(st.lists(st.text("abc", max_size=2)), st.lists(st.text("abc", max_size=2)))
def test_places_are_those_a_loop_finds(names: list[str], among: list[str]) -> None:
    found = places(np.array(names, "U3"), np.array(among, "U3"))
    assert found.tolist() == [among.index(name) if name in among else -1 for name in names]


@given(st.lists(st.text("ab", max_size=2)))
def test_distinct_values_and_repeated_ones_are_those_that_sorting_finds(names: list[str]) -> None:
    column = np.array(names, "U3")
    values, of_row = distinct(column)
    expected, rows = np.unique(column, return_inverse=True)
    assert values.tolist() == expected.tolist()
    assert of_row.tolist() == rows.reshape(-1).tolist()
    assert repeated(column).tolist() == [row for row, name in enumerate(names) if name in names[:row]]


def test_columns_that_are_put_in_others_places_are_the_ones_that_are_checked() -> None:
    inventory = Inventory.of(hosts=HOSTS, vms={**VMS, "host": ["h1", "h2"]})
    assert not len(inventory.problems())
    other = dataclasses.replace(inventory, vms={**inventory.vms, "host": np.array(["h1", "gone"])})
    assert [str(one) for one in other.problems()] == [
        "vms row 1, host 'gone': no host has that name; add the host, or correct the name"
    ]
