"""Kernels and tables agree with the reference on arbitrary ids, policies, filters and arguments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc import bitmaps
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTIONS, Conduit, Verdict
from fastsmc.fleet import rows
from fastsmc.fleet.filters import FilterRange
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet
from tests.support.examples import examples
from tests.support.strategies import Policy, func_ids, hosts, policies

arguments = (
    st.integers(0, 3) | st.sampled_from([0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 63]) | st.integers(0, 2**64 - 1)
)
calls = st.tuples(st.integers(0, 3), func_ids, st.sampled_from(list(Conduit)), arguments, arguments)


def fleet_of(policy_of_vm: list[Policy], hosts_of_vm: list[Host]) -> Fleet:
    fleet = Fleet(
        np.ones(len(policy_of_vm), np.int64),
        hosts=hosts_of_vm,
        host_of_vm=np.arange(len(hosts_of_vm)),
        features=np.array([p.features for p in policy_of_vm]),
    )
    for number, policy in enumerate(policy_of_vm):
        for reg, value in policy.sets:
            fleet.try_set_one_reg(reg, value, vms=number)
        fleet.try_install_filter(policy.ranges, vms=number)
        if policy.wants_suspend:
            fleet.enable_system_suspend(vms=number)
    fleet.check()
    return fleet


def dispatched(fleet: Fleet, batch: list[tuple[int, int, Conduit, int, int]]) -> list[int]:
    vcpu, func_id, conduit, x1, x2 = (list(column) for column in zip(*batch, strict=True))
    made = Calls.of(
        np.array(vcpu, np.uint32),
        np.array(func_id, np.uint32),
        conduit=np.array(conduit, np.uint8),
        x1=np.array(x1, np.uint64),
        x2=np.array(x2, np.uint64),
    )
    return [int(v) for v in verdicts(fleet, made)]


@examples(300)
@given(
    st.lists(policies, min_size=4, max_size=4),
    st.lists(hosts, min_size=4, max_size=4),
    st.lists(calls, min_size=1, max_size=60),
)
def test_verdicts_are_those_of_the_reference(
    policy_of_vm: list[Policy], hosts_of_vm: list[Host], batch: list[tuple[int, int, Conduit, int, int]]
) -> None:
    fleet = fleet_of(policy_of_vm, hosts_of_vm)
    expected = []
    for number, func_id, conduit, x1, x2 in batch:
        vm = policy_of_vm[number].vm(hosts_of_vm[number])
        expected.append(int(vm.call(0, func_id, x1, x2, 0, conduit).verdict))
    assert dispatched(fleet, batch) == expected


@pytest.mark.parametrize("name", ["5.10", "5.15", "6.1", "6.12", "7.3"])
@pytest.mark.parametrize("conduit", list(Conduit))
def test_every_known_id_and_its_one_bit_neighbours(name: str, conduit: Conduit) -> None:
    host = Host(release(name))
    ids = sorted(
        {f.func_id ^ flip for f in FUNCTIONS for flip in (0, *(1 << bit for bit in range(32)))} | {0, 0xFFFF_FFFF}
    )
    batch = [(0, func_id, conduit, 0, 0) for func_id in ids]
    expected = [int(Vm(host).call(0, func_id, conduit=conduit).verdict) for func_id in ids]
    assert dispatched(Fleet([1], hosts=host), batch) == expected


def test_arguments_at_the_edges_of_what_the_two_exits_refuse() -> None:
    edges = [0, 1, 2, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFF, 1 << 32, (1 << 32) + 1, 3 << 31, 1 << 63]
    host, exits = Host(release("7.3")), (0x8400_0012, 0xC400_0012, 0x8400_0015, 0xC400_0015)
    batch = [(0, func_id, Conduit.HVC, x1, x2) for func_id in exits for x1 in edges for x2 in edges]
    expected = [int(Vm(host).call(0, func_id, x1, x2).verdict) for _, func_id, _, x1, x2 in batch]
    assert set(expected) == {Verdict.EXIT, Verdict.HANDLED}
    assert dispatched(Fleet([1], hosts=host), batch) == expected


def test_the_hash_gives_every_id_a_bucket_of_its_own() -> None:
    ids = [f.func_id for f in FUNCTIONS]
    buckets = {(func_id * bitmaps.MULTIPLIER & 0xFFFF_FFFF) >> (32 - bitmaps.N_HASH_BITS) for func_id in ids}
    assert len(buckets) == len(ids)
    for bucket, slot in enumerate(bitmaps.SLOT_OF_BUCKET):
        assert bitmaps.KEY_OF_BUCKET[bucket] == ids[slot]
        is_home = (ids[slot] * bitmaps.MULTIPLIER & 0xFFFF_FFFF) >> (32 - bitmaps.N_HASH_BITS) == bucket
        assert is_home == (bucket in buckets), "an empty bucket must name an id that hashes elsewhere"


def test_equal_policies_are_stored_once() -> None:
    fleet = Fleet.uniform(n_vm=1000, n_vcpu=3)
    fleet.set_one_reg(0x6030_0000_0016_0000, 0, vms=slice(0, 1000, 2))
    tables, policy_of_vcpu = fleet.tables()
    assert tables.action.shape[0] == 2
    assert policy_of_vcpu.shape == (3000,)
    assert len(set(policy_of_vcpu[0::6].tolist())) == 1


def test_a_multiplier_is_found_when_the_ids_change() -> None:
    ids = np.append(bitmaps.SLOT_ID, np.uint32(0x1234_5678) + np.arange(4, dtype=np.uint32))
    multiplier = bitmaps._perfect_multiplier(ids)
    assert np.unique((ids * np.uint32(multiplier)) >> np.uint32(32 - bitmaps.N_HASH_BITS)).size == ids.size


def test_policies_with_equal_rows_share_one() -> None:
    fleet = Fleet.uniform(n_vm=4, n_vcpu=2)
    fleet.set_one_reg(0x6030_0000_0014_0000, [0x10001, 0x10002, 0x10002, 0x10001])  # 1.1 and 1.2 answer alike
    fleet.install_filter(FilterRange(0x1000, 0x10, 1), vms=3)
    assert len(fleet.tables()[0].action) == 3
    built = fleet.rows()
    assert built.row_of_group.dtype == np.uint8
    assert (built.n_vcpu, built.n_row, built.run_of_group.tolist()) == (8, 2, [0, 1])
    assert [v * built.magic >> built.magic_shift for v in range(8)] == [0] * 6 + [1] * 2
    assert fleet.rows() is built
    fleet.set_one_reg(0x6030_0000_0016_0000, 0, vms=0)
    assert fleet.rows().n_row == 3


@pytest.mark.parametrize("n_range", [0, 1, 7, 8, 15, 16, 17, 127, 128, 200, 2100])
def test_a_tree_finds_the_range_of_every_edge(n_range: int) -> None:
    fleet = Fleet([1, 1], hosts=Host(release("7.3")))
    ranges = [FilterRange(0x1000 + 0x100 * i, 0x80 + i % 2 * 0x80, 1 + i % 2) for i in range(n_range)]
    fleet.install_filter([*ranges, FilterRange(0xFFFF_FFF0, 0x10, 2)], vms=1)
    edges = {r.base + step for r in ranges for step in (-1, 0, r.nr_functions - 1, r.nr_functions)}
    ids = sorted(edges | {0, 0x7FFF_FFFF, 0xFFFF_FFEF, 0xFFFF_FFF0, 0xFFFF_FFFE, 0xFFFF_FFFF})
    expected = [int({0: Verdict.DENIED}.get(fleet.filters[1].action(i), fleet.filters[1].action(i))) for i in ids]
    assert dispatched(fleet, [(1, i, Conduit.HVC, 0, 0) for i in ids]) == expected
    assert dispatched(fleet, [(0, i, Conduit.HVC, 0, 0) for i in ids]) == [Verdict.DENIED] * len(ids)


@given(st.integers(1, 2**31), st.integers(0, 2**31 - 1))
def test_dividing_by_multiplying_is_exact(divisor: int, number: int) -> None:
    magic, shift = rows._division(divisor)
    near = number // divisor * divisor
    for n in (number, near, max(near - 1, 0), 2**31 - 1):
        assert n * magic < 1 << 64
        assert n * magic >> shift == n // divisor


@pytest.mark.parametrize("n_vcpu", [[1], [3, 3, 3], [2, 4, 6], [5, 1, 7], [10] * 30])
def test_every_vcpu_of_a_group_has_its_row(n_vcpu: list[int]) -> None:
    fleet = Fleet(n_vcpu, hosts=Host(release("7.3")))
    fleet.set_one_reg(0x6030_0000_0016_0000, np.arange(fleet.n_vm) % 2)
    built = fleet.rows()
    row_of_vm = {vm: set() for vm in range(fleet.n_vm)}  # type: ignore[var-annotated]
    for vcpu, vm in enumerate(fleet.vm_of_vcpu.tolist()):
        row_of_vm[vm].add(int(built.row_of_group[vcpu * built.magic >> built.magic_shift]))
    assert all(len(row) == 1 for row in row_of_vm.values())
    assert all(row_of_vm[vm] == row_of_vm[vm % 2] for vm in row_of_vm)
