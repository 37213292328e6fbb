"""Calls in blocks get what the same calls get one by one, wherever blocks, steps, chunks and parts begin and end."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.inputs import fleet_of_policies
from fastsmc.calls.grouped import GroupedCalls
from fastsmc.calls.workload import COLUMNS, Calls
from fastsmc.dispatcher import decide as deciding
from fastsmc.dispatcher.answers import answers
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.dispatcher.decide import SPREAD
from fastsmc.dispatcher.kernels.blocks import LONG_BLOCK, decide_blocks
from fastsmc.dispatcher.kernels.passes import ROOM
from fastsmc.dispatcher.power import switch
from fastsmc.errors import InputError
from fastsmc.fleet.filters import FilterRange
from fastsmc.jit import threads as parts
from fastsmc.jit.level import HAS_WIDE
from fastsmc.vm import Fleet
from tests.dispatcher.test_wide import mixed_ids
from tests.support.examples import examples
from tests.support.strategies import hosts, policies
from tests.test_kernels import fleet_of

LENGTHS = (0, 1, 2, 10, 63, 64, 65, 127, 128, 200, 255, 256, 257, 319, 320, 500, 2047, 2048, 2049, 5000)
STD_BMAP, PSCI_VERSION = 0x6030_0000_0016_0000, 0x6030_0000_0014_0000


def in_blocks(rng: np.random.Generator, lengths: NDArray[np.int64], n_vcpu: int, unknown: float = 0.1) -> GroupedCalls:
    vcpu = rng.integers(0, n_vcpu, lengths.size)
    return GroupedCalls.of(vcpu, mixed_ids(rng, int(lengths.sum()), unknown), n_call=lengths)


def one_by_one(calls: GroupedCalls) -> Calls:
    vcpu = np.repeat(calls.block_vcpu, np.diff(calls.block_first))
    return Calls(vcpu, calls.func_id, calls.conduit, calls.x1, calls.x2, calls.x3)


def various(n_vm: int = 40) -> Fleet:
    fleet = Fleet.uniform(n_vm=n_vm, n_vcpu=3)
    fleet.set_one_reg(STD_BMAP, np.arange(n_vm) % 2)
    fleet.set_one_reg(PSCI_VERSION, np.array([0x2, 0x10000, 0x10003])[np.arange(n_vm) % 3])
    return fleet


def assert_same(fleet: Fleet, calls: GroupedCalls) -> None:
    alone = one_by_one(calls)
    expected = dispatch(fleet, alone)
    guarded = np.full(len(calls) + 128, 0xEE, np.uint8)
    out = guarded[64 : 64 + len(calls)]
    assert verdicts(fleet, calls, out) is out
    assert np.array_equal(out, expected.verdict)
    assert (guarded[:64] == 0xEE).all()
    assert (guarded[64 + len(calls) :] == 0xEE).all()
    counted = dispatch(fleet, calls)
    assert np.array_equal(counted.verdict, expected.verdict)
    assert np.array_equal(counted.by_vm_service, expected.by_vm_service)
    assert np.array_equal(dispatch(fleet, calls, by="service").by_service, expected.by_service)


@examples(60)
@given(
    st.lists(policies, min_size=4, max_size=4),
    st.lists(hosts, min_size=4, max_size=4),
    st.lists(st.sampled_from(LENGTHS), max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_any_policies_and_blocks(policy_of_vm, hosts_of_vm, lengths, seed) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    calls = in_blocks(rng, np.array(lengths, np.int64), 4, rng.choice([0, 0.02, 0.5]))
    conduit = rng.integers(0, 4, len(calls), np.uint8) if seed % 3 == 0 else None
    x1 = rng.integers(0, 3, len(calls), np.uint64) if seed % 2 else None
    assert_same(
        fleet_of(policy_of_vm, hosts_of_vm),
        GroupedCalls(calls.block_vcpu, calls.block_first, calls.func_id, conduit, x1, x1),
    )


@pytest.mark.parametrize("first", LENGTHS)
@pytest.mark.parametrize("last", LENGTHS)
def test_every_pair_of_lengths_beside_a_long_block(first: int, last: int) -> None:
    fleet, rng = various(), np.random.default_rng(first * 10_000 + last)
    for lengths in ([first, last], [first, 300, last], [300, first, last, 300], [first] * 3 + [last] * 40):
        calls = in_blocks(rng, np.array(lengths), fleet.n_vcpu, 0.02)
        assert np.array_equal(verdicts(fleet, calls), verdicts(fleet, one_by_one(calls)))


@pytest.mark.parametrize("n_call", [ROOM, 20_000])
def test_a_block_longer_than_the_scratch_between_short_ones(n_call: int) -> None:
    fleet, rng = various(), np.random.default_rng(n_call)
    assert_same(fleet, in_blocks(rng, np.array([10, n_call, 10, 0, n_call, 70]), fleet.n_vcpu))


@pytest.mark.parametrize("has_ranges", [False, True])
@pytest.mark.parametrize("n_vm", [40, 700])
def test_many_short_blocks(n_vm: int, has_ranges: bool) -> None:
    fleet, rng = various(n_vm), np.random.default_rng(n_vm)
    if has_ranges:
        fleet.install_filter([FilterRange(0xC700_0000, 1 << 24, 1)], vms=slice(1, n_vm, 2))
    assert_same(fleet, in_blocks(rng, rng.integers(0, 150, 2 * SPREAD // 75), fleet.n_vcpu))


def test_blocks_of_rows_that_are_too_many_for_registers() -> None:
    fleet = fleet_of_policies(3000)
    rows = fleet.rows()
    assert not rows.has_ranges
    assert not rows.bit_rows.table.size, rows.n_row
    rng = np.random.default_rng(5)
    for lengths in (rng.integers(0, 150, 300), rng.choice(LENGTHS, 100)):
        assert_same(fleet, in_blocks(rng, lengths, fleet.n_vcpu))


@pytest.mark.parametrize("threads", [1, 2, 7, None])
def test_results_are_the_same_on_any_number_of_threads(threads: int | None) -> None:
    fleet, rng = various(), np.random.default_rng(1)
    calls = in_blocks(rng, rng.choice(LENGTHS, 900), fleet.n_vcpu)
    assert len(calls) > 2 * parts.PART
    expected = dispatch(fleet, one_by_one(calls), threads=1)
    assert verdicts(fleet, calls, threads=threads).tobytes() == expected.verdict.tobytes()
    assert np.array_equal(dispatch(fleet, calls, threads=threads).by_vm_service, expected.by_vm_service)


def test_answers_and_power_state_are_those_of_the_calls_one_by_one() -> None:
    rng = np.random.default_rng(3)
    plain = in_blocks(rng, rng.integers(0, 20, 200), 120, 0.1)
    x1 = rng.integers(0, 4, len(plain), np.uint64)
    calls = GroupedCalls(plain.block_vcpu, plain.block_first, plain.func_id, None, x1, x1, x1)
    fleet, other = various(), various()
    assert np.array_equal(answers(fleet, calls), answers(fleet, one_by_one(calls)))
    one, two = (switch(f, c, verdicts(f, c)) for f, c in ((fleet, calls), (other, one_by_one(calls))))
    assert np.array_equal(one.x0, two.x0)
    assert np.array_equal(fleet.mp_state, other.mp_state)


@examples(200)
@given(st.lists(st.integers(0, 5), max_size=8), st.integers(-40, 40), st.integers(-40, 40))
def test_a_part_is_its_calls(lengths: list[int], start: int, stop: int) -> None:
    calls = in_blocks(np.random.default_rng(1), np.array(lengths, np.int64), 9)
    part = calls.part(slice(start, stop))
    assert np.array_equal(one_by_one(part).vcpu, one_by_one(calls).vcpu[start:stop])
    assert np.array_equal(part.func_id, calls.func_id[start:stop])
    assert [c.n_vcpu for c in (calls, part)] == [max([-1, *c.block_vcpu.tolist()]) + 1 for c in (calls, part)]
    assert np.array_equal(calls.each().part(slice(start, stop)).func_id, calls.func_id[start:stop])
    assert not len(part) or np.diff(part.block_first)[[0, -1]].all(), "blocks before and after it are no part of it"
    assert np.array_equal(calls.each().vcpu, one_by_one(calls).vcpu)


@pytest.mark.parametrize("step", [2, -1])
def test_a_part_is_calls_in_a_row(step: int) -> None:
    calls = GroupedCalls.of([0, 1], [1, 2, 3, 4, 5], n_call=[2, 3])
    for each in (calls, calls.each()):
        with pytest.raises(InputError, match="must be a slice of step 1"):
            each.part(slice(None, None, step))


@pytest.mark.parametrize("call", [-1, -5, 5, 2**40])
def test_a_call_that_there_is_not_has_no_vcpu(call: int) -> None:
    with pytest.raises(InputError, match=f"there is no call {call}: there are 5 calls"):
        GroupedCalls.of([7, 8], [1, 2, 3, 4, 5], n_call=[2, 3]).vcpu_of(np.array([4, call]))


@examples(200)
@given(st.lists(st.integers(0, 2), max_size=20), st.sampled_from([np.uint8, np.uint16, np.uint32]))
def test_blocks_are_found_in_calls(vcpu: list[int], dtype: type[np.unsignedinteger]) -> None:
    calls = Calls(np.array(vcpu, dtype), np.arange(len(vcpu), dtype=np.uint32))
    grouped = GroupedCalls.from_calls(calls)
    assert grouped.each().vcpu.tolist() == vcpu
    assert grouped.func_id is calls.func_id
    assert (np.diff(grouped.block_first) > 0).all()
    assert not (np.diff(grouped.block_vcpu.astype(int)) == 0).any()
    assert grouped.vcpu_of(np.arange(len(vcpu))).tolist() == vcpu


@pytest.mark.parametrize("n_call", [3, 64, 5000, 3 * parts.PART])
def test_a_vcpu_the_fleet_lacks_is_named_and_out_left_as_it_was(n_call: int) -> None:
    calls = GroupedCalls.of([0, 5, 6, 7], np.zeros(n_call, np.uint32), n_call=[n_call - 2, 0, 1, 1])
    fleet, out = Fleet.uniform(n_vm=2, n_vcpu=3), np.full(n_call, 0xEE, np.uint8)
    for threads in (1, 2):
        with pytest.raises(InputError, match="block 2 is made by vCPU 6, but the fleet has 6 vCPUs"):
            verdicts(fleet, calls, out, threads=threads)
        with pytest.raises(InputError, match="block 2 is made by vCPU 6"):
            dispatch(fleet, calls, threads=threads, out=out)
    assert (out == 0xEE).all()
    with pytest.raises(InputError, match=f"call {n_call - 2} is made by vCPU 6"):
        answers(fleet, calls)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_block_of_no_calls_needs_a_vcpu_too(threads: int) -> None:
    """Also where parts of the batch meet, and at its ends."""
    ids = np.zeros(2 * parts.PART, np.uint32)
    for vcpu, n_call in (([6, 0, 0], [0, 1, 1]), ([0, 6, 0], [1, 0, 1]), ([0, 0, 6], [1, 1, 0])):
        calls = GroupedCalls.of(vcpu, ids, n_call=np.array(n_call) * parts.PART)
        with pytest.raises(InputError, match=f"block {vcpu.index(6)} is made by vCPU 6"):
            verdicts(Fleet.uniform(n_vm=2, n_vcpu=3), calls, threads=threads)


def test_an_out_that_overlaps_a_column_is_refused() -> None:
    memory = {name: np.zeros(64, dtype) for name, dtype in COLUMNS.items()}
    calls = GroupedCalls(np.zeros(1, np.uint32), np.array([0, 64]), **memory)
    for name, column in memory.items():
        for each in (calls, calls.each()):
            with pytest.raises(InputError, match=f"shares memory with {name}"):
                verdicts(Fleet.uniform(n_vm=1, n_vcpu=1), each, column.view(np.uint8)[:64])


def test_blocks_cannot_be_changed_once_they_were_checked() -> None:
    vcpu, first = np.zeros(2, np.uint32), np.array([0, 1, 3])
    calls = GroupedCalls(vcpu, first, np.zeros(3, np.uint32))
    first[1], vcpu[0] = 1000, 1000
    assert calls.block_first.tolist() == [0, 1, 3]
    assert calls.block_vcpu.tolist() == [0, 0]
    assert calls.n_vcpu == 1
    with pytest.raises(ValueError, match="read-only"):
        calls.block_first[1] = 1000


def test_a_read_only_column_that_another_array_can_write_to_is_copied() -> None:
    first = np.array([0, 1, 3])
    other = first[:]
    first.flags.writeable = False
    calls = GroupedCalls(np.zeros(2, np.uint32), first, np.zeros(3, np.uint32))
    other[1] = 1000
    assert calls.block_first.tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        dataclasses.replace,
        *(lambda calls, n=n: pickle.loads(pickle.dumps(calls, n)) for n in range(2, 6)),
    ],
)
def test_a_copy_cannot_be_changed_either(copied: Callable[[Any], Any]) -> None:
    calls = GroupedCalls.of([5, 7], [1, 2, 3], n_call=[1, 2], x1=[4, 5, 6])
    again = copied(calls)
    assert np.array_equal(one_by_one(again).vcpu, [5, 7, 7])
    assert again.func_id.tolist() == [1, 2, 3]
    assert again.conduit is None
    assert again.x1.tolist() == [4, 5, 6]
    assert again.n_vcpu == 8
    ice = copied(calls.each().frozen())
    assert ice.vcpu.tolist() == [5, 7, 7]
    assert ice.n_vcpu == (None if copied is dataclasses.replace else 8)
    assert copied(calls.each()).n_vcpu is None
    for column in (again.block_vcpu, again.block_first, ice.vcpu):
        assert not column.flags.writeable
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            column.flags.writeable = True


IDS3, ONE = np.zeros(3, np.uint32), np.zeros(1, np.uint32)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ((ONE.astype(int), np.array([0, 3]), IDS3), r"block_vcpu must be a contiguous uint32\[1\]"),
        ((ONE, np.array([0, 3], np.int32), IDS3), r"block_first must be a contiguous int64\[2\]"),
        ((ONE, np.array([0, 1, 3]), IDS3), r"block_first must be a contiguous int64\[2\]"),
        ((ONE, np.array([1, 3]), IDS3), "must ascend from 0 to 3"),
        ((ONE, np.array([0, 2]), IDS3), "must ascend from 0 to 3"),
        ((ONE.repeat(2), np.array([0, 5, 3]), IDS3), "must ascend from 0 to 3"),
        ((ONE, np.array([0, 3]), IDS3.astype(int)), "func_id must be a contiguous uint32"),
        ((ONE, np.array([0, 3]), IDS3, np.zeros(2, np.uint8)), r"conduit must be a contiguous uint8\[3\]"),
        (([0], np.array([0, 3]), IDS3), "block_vcpu must be a contiguous uint32"),
        ((ONE, np.array([0, 3]), IDS3[:, None]), "func_id must be a contiguous uint32"),
        ((ONE, np.array([0, 1]), np.array(0, np.uint32)), "func_id must be a contiguous uint32"),
    ],
)
def test_the_constructor_takes_nothing_a_kernel_could_trip_over(columns, told) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=told):
        GroupedCalls(*columns)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (([0], [2], [1, 2, 3]), "n_call adds up to 2 calls and func_id has 3"),
        (([0, 1], [3], [1, 2, 3]), "n_call has 1 blocks and vcpu has 2"),
        (([0, -1], [1, 2], [1, 2, 3]), r"vcpu\[1\] is -1"),
        (([0, 1], [4, -1], [1, 2, 3]), r"n_call\[1\] is -1"),
        (([0, 1], [1, 2.5], [1, 2, 3]), r"n_call\[1\] is 2.5"),
        (([[0]], [3], [1, 2, 3]), "one number per block"),
    ],
)
def test_blocks_that_do_not_add_up_are_refused(arguments, told) -> None:  # type: ignore[no-untyped-def]
    vcpu, n_call, func_id = arguments
    with pytest.raises(InputError, match=told):
        GroupedCalls.of(vcpu, func_id, n_call=n_call)
    with pytest.raises(InputError, match=r"x1 has 2 calls and n_call adds up to 3"):
        GroupedCalls.of([0], [1, 2, 3], n_call=[3], x1=[1, 2])
    for conduit in ([7, 0, 0], np.array([7, 0, 0], np.uint8)):
        with pytest.raises(InputError, match=r"conduit\[0\] is 7"):
            GroupedCalls.of([0], [1, 2, 3], n_call=[3], conduit=conduit)


@pytest.mark.skipif(not HAS_WIDE, reason="other back ends have other loops over blocks")
@pytest.mark.parametrize(("why_not", "is_used"), [("", True), ("conduit", False), ("ranges", False), ("few", False)])
def test_the_block_kernel_is_used_where_it_can_be(why_not: str, is_used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the tests above would compare one kernel with itself."""
    fleet, rng, used = various(), np.random.default_rng(1), []
    calls = in_blocks(rng, np.array([30, 33] if why_not == "few" else [LONG_BLOCK, 1, LONG_BLOCK]), fleet.n_vcpu)
    if why_not == "conduit":
        conduit = np.zeros(len(calls), np.uint8)
        calls = GroupedCalls(calls.block_vcpu, calls.block_first, calls.func_id, conduit)
    if why_not == "ranges":
        fleet.install_filter([FilterRange(0xC700_0000, 1 << 24, 1)], vms=0)
    monkeypatch.setattr(deciding._MANY_BLOCKS, "kernel", lambda *given: used.append(decide_blocks(*given)))
    assert np.array_equal(verdicts(fleet, calls), verdicts(fleet, one_by_one(calls)))
    assert bool(used) == is_used
