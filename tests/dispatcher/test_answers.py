"""Full answers are those of the reference, on any policy, in any power state, with any arguments."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher import answers as answering
from fastsmc.dispatcher.answers import answers
from fastsmc.dispatcher.kernels import answers as kernels_answers
from fastsmc.errors import InputError
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTIONS, Conduit, FilterAction
from fastsmc.fleet.filters import FilterRange
from fastsmc.reference.state import STOPPED
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet
from tests.support.examples import examples
from tests.support.strategies import Policy, func_ids, hosts, policies

N_VCPU = 40
words = (
    st.integers(0, 3)
    | st.sampled_from([0x10, 0x11, 0x0F, 0x100, 96, 97, 192, 193, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 63])
    | st.sampled_from([f.func_id for f in FUNCTIONS])
    | st.builds(lambda f, high: f.func_id | high << 32, st.sampled_from(FUNCTIONS), st.integers(0, 1))
    | st.integers(0, 2**64 - 1)
)
batches = st.lists(
    st.tuples(st.integers(0, N_VCPU - 1), func_ids, st.sampled_from(list(Conduit)), words, words, words),
    min_size=1,
    max_size=60,
)


def vm_and_fleet(policy: Policy, host: Host, stopped: set[int]) -> tuple[Fleet, Vm]:
    """The policy in a fleet, behind a VM of another policy and another size, and as a reference VM."""
    fleet = Fleet([3, N_VCPU], hosts=[Host(release("7.3")), host], host_of_vm=[0, 1], features=[4, policy.features])
    vm = policy.vm(host, N_VCPU)
    for reg, value in policy.sets:
        fleet.try_set_one_reg(reg, value, vms=1)
    fleet.try_install_filter(policy.ranges, vms=1)
    if policy.wants_suspend:
        fleet.enable_system_suspend(vms=1)
    for number in stopped:
        fleet.mp_state[3 + number] = vm.mp_state[number] = STOPPED
    return fleet, vm


@examples(300)
@given(policies, hosts, st.booleans(), st.sets(st.integers(0, N_VCPU - 1)) | st.just(set(range(N_VCPU))), batches)
def test_answers_are_those_of_the_reference(policy, host, has_clock, stopped, batch) -> None:  # type: ignore[no-untyped-def]
    host = Host(host.release, host.workaround, is_arch_counter_clocksource=has_clock)
    fleet, vm = vm_and_fleet(policy, host, stopped)
    before, expected = list(vm.mp_state), []
    for vcpu, func_id, conduit, x1, x2, x3 in batch:
        vm.mp_state = list(before)
        expected.append(vm.call(vcpu, func_id, x1, x2, x3, conduit).x)
    vcpu, func_id, conduit, x1, x2, x3 = (list(column) for column in zip(*batch, strict=True))
    calls = Calls.of([3 + v for v in vcpu], func_id, conduit=conduit, x1=x1, x2=x2, x3=x3)
    assert [tuple(row) for row in answers(fleet, calls).tolist()] == expected
    assert fleet.mp_state[3:].tolist() == before


@pytest.mark.parametrize("name", ["5.10", "5.15", "6.1", "6.12", "7.3"])
@pytest.mark.parametrize("features", [0x4, 0x0, 0x6])
def test_every_known_id_asked_about_by_every_query(name: str, features: int) -> None:
    policy = Policy(features, (), (), wants_suspend=True)
    fleet, vm = vm_and_fleet(policy, Host(release(name), workaround=(1, 3, 2)), set())
    queries = [f.func_id for f in FUNCTIONS if f.name.endswith("FEATURES")]
    batch = [(query, asked.func_id) for query in queries for asked in FUNCTIONS]
    calls = Calls.of(np.full(len(batch), 3), [query for query, _ in batch], x1=[asked for _, asked in batch])
    expected = [vm.call(0, query, asked).x for query, asked in batch]
    assert [tuple(row) for row in answers(fleet, calls).tolist()] == expected


def test_calls_without_arguments_have_zeros() -> None:
    fleet = Fleet.uniform(n_vm=1, n_vcpu=1)
    fleet.install_filter(FilterRange(0x1234, 1, FilterAction.FWD_TO_USER))
    bare = Calls.of([0, 0], [0x1234, 0x8400_0050])
    assert answers(fleet, bare).tolist() == [[0x1234, 0, 0, 0], [0x10000, 0, 0, 0]]


def test_the_unique_ids_are_those_of_the_kernel_sources_and_the_reference() -> None:
    """As text they are what trng.c and arm-smccc.h say; a guest gets them word by word, each low byte first."""
    spelled = ("0d21e000-4384-11eb-8070-5244554e5a4c", "28b46fb6-2ec5-11e9-a9ca-4b564d003a74")
    calls = Calls.of([0, 0], [0x8400_0052, 0x8600_FF01])
    vm = Vm(Host(release("7.3")))
    for row, func_id, uid in zip(answers(Fleet.uniform(n_vm=1, n_vcpu=1), calls), calls.func_id, spelled, strict=True):
        assert tuple(row.tolist()) == vm.call(0, int(func_id)).x
        assert str(uuid.UUID(bytes=row.astype("<u4").tobytes())) == uid


def test_an_out_is_filled_or_refused() -> None:
    fleet = Fleet.uniform(n_vm=1, n_vcpu=1)
    memory = np.zeros(16, np.uint64)
    calls = Calls.of([0, 0], [0x8400_0000, 0x8400_0050], x1=memory[2:4])
    assert calls.x1 is not None
    out = np.full((2, 4), 9, np.uint64)
    assert answers(fleet, calls, out) is out
    assert out.tolist() == [[0x10003, 0, 0, 0], [0x10000, 0, 0, 0]]
    with pytest.raises(InputError, match="shares memory with x1"):
        answers(fleet, calls, memory[:8].reshape(2, 4))
    for wrong in (out[:1], out.T, out.astype(np.int64), [[0] * 4] * 2, np.zeros((4, 4), np.uint64)[::2]):
        with pytest.raises(InputError, match=r"uint64\[2, 4\]"):
            answers(fleet, calls, wrong)  # type: ignore[arg-type]


def test_answers_follow_a_change_of_policy() -> None:
    fleet = Fleet.uniform(n_vm=1, n_vcpu=1)
    calls = Calls.of([0], [0x8400_0000])
    before = answers(fleet, calls)[0, 0]
    fleet.set_one_reg(0x6030_0000_0014_0000, 0x10000)
    assert (before, answers(fleet, calls)[0, 0]) == (0x10003, 0x10000)


def mixed_batch(n_call: int, *, with_arguments: bool) -> tuple[Fleet, Calls]:
    """VMs of several policies and power states, with arguments a filter that forwards too, and calls of all kinds."""
    rng = np.random.default_rng(n_call)
    fleet = Fleet(np.full(16, 3), hosts=[Host(release("7.3")), Host(release("5.10"))], host_of_vm=np.arange(16) % 2)
    fleet.set_one_reg(0x6030_0000_0014_0000, np.resize([0x10003, 0x2, 0x10000], 8), vms=np.arange(0, 16, 2))
    if with_arguments:  # a forwarded call keeps its id, so its block is not streamed
        fleet.install_filter(FilterRange(0xC600_0000, 1 << 16, FilterAction.FWD_TO_USER), vms=4)
    fleet.enable_system_suspend(vms=[0, 4])
    fleet.mp_state[rng.random(48) < 0.3] = STOPPED
    ids = [f.func_id for f in FUNCTIONS] + [0xC600_0001, 0x1234]
    columns = {name: rng.choice([0, 1, 2, 0x8400_0003, 0x8000_8000], n_call) for name in ("x1", "x2", "x3")}
    return fleet, Calls.of(
        rng.integers(0, 48, n_call),
        rng.choice(ids, n_call),
        **(columns if with_arguments else {}),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("with_arguments", [False, True])
@pytest.mark.parametrize("n_call", [63, 64, 65, 1000, 1087, kernels_answers.BLOCK + 65])
def test_large_batches_are_answered_as_their_calls_are_one_by_one(n_call: int, with_arguments: bool) -> None:
    """Blocks and steps that end anywhere, against batches too small for either, as the reference was compared with."""
    fleet, calls = mixed_batch(n_call, with_arguments=with_arguments)
    got = answers(fleet, calls)
    for first in range(0, n_call, 50):
        some = slice(first, first + 50)
        if first > 2000 and first % 10_000:
            continue
        columns = [None if c is None else c[some] for c in (calls.conduit, calls.x1, calls.x2, calls.x3)]
        assert np.array_equal(got[some], answers(fleet, Calls(calls.vcpu[some], calls.func_id[some], *columns)))


@pytest.mark.parametrize("with_arguments", [False, True])
@pytest.mark.parametrize("offset", [0, 2, 4, 5])
def test_threads_and_stores_around_the_caches_change_nothing(offset: int, with_arguments: bool) -> None:
    n_call = answering.STREAMED_BYTES // 32 + 3
    fleet, calls = mixed_batch(n_call, with_arguments=with_arguments)
    memory = np.empty(4 * n_call + 16, np.uint64)
    start = -memory.ctypes.data % 64 // 8 + offset  # a line begins there where offset is 0
    out = memory[start : start + 4 * n_call].reshape(n_call, 4)
    memory[:start], memory[start + 4 * n_call :] = 9, 9
    assert answers(fleet, calls, out, threads=2) is out
    assert (memory[:start] == 9).all()
    assert (memory[start + 4 * n_call :] == 9).all()
    half = n_call // 2
    for part in (slice(0, half), slice(half, n_call)):
        columns = [None if c is None else c[part] for c in (calls.conduit, calls.x1, calls.x2, calls.x3)]
        some = Calls(calls.vcpu[part], calls.func_id[part], *columns)
        assert np.array_equal(out[part], answers(fleet, some, threads=1))


def test_a_vcpu_the_fleet_lacks_leaves_out_as_it_was() -> None:
    fleet = Fleet.uniform(n_vm=1, n_vcpu=1)
    out = np.full((70, 4), 9, np.uint64)
    with pytest.raises(InputError, match="vCPU 1"):
        answers(fleet, Calls.of([0] * 69 + [1], [0x8400_0000] * 70), out)
    assert (out == 9).all()
