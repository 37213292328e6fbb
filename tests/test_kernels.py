"""Kernels and tables agree with the reference on arbitrary ids, policies, filters and arguments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Policy, func_ids, hosts, policies

from fastsmc import bitmaps
from fastsmc.dispatcher import verdicts
from fastsmc.reference import Vm
from fastsmc.releases import Host, release
from fastsmc.smccc import FUNCTIONS, Conduit
from fastsmc.vm import Fleet
from fastsmc.workload import Calls

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


@settings(max_examples=300)
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


def test_the_hash_gives_every_id_a_bucket_of_its_own() -> None:
    ids = [f.func_id for f in FUNCTIONS]
    buckets = {(func_id * bitmaps.MULTIPLIER & 0xFFFF_FFFF) >> (32 - bitmaps.N_HASH_BITS) for func_id in ids}
    assert len(buckets) == len(ids)
    for bucket, slot in enumerate(bitmaps.SLOT_OF_BUCKET):
        is_home = (ids[slot] * bitmaps.MULTIPLIER & 0xFFFF_FFFF) >> (32 - bitmaps.N_HASH_BITS) == bucket
        assert is_home == (bucket in buckets), "an empty bucket must name an id that hashes elsewhere"


def test_equal_policies_are_stored_once() -> None:
    fleet = Fleet.uniform(n_vm=1000, n_vcpu=3)
    fleet.set_one_reg(0x6030_0000_0016_0000, 0, vms=slice(0, 1000, 2))
    tables, policy_of_vcpu = fleet.tables()
    assert tables.action.shape[0] == 2
    assert policy_of_vcpu.shape == (3000,)
    assert len(set(policy_of_vcpu[0::6].tolist())) == 1
