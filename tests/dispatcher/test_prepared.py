"""A prepared dispatcher says what the reference says, and refuses what `verdicts` refuses, whatever it is given."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastsmc.calls.grouped import GroupedCalls
from fastsmc.calls.workload import VCPU_DTYPES, Calls
from fastsmc.dispatcher import batch, prepared
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.dispatcher.prepared import N_HELD, Dispatcher
from fastsmc.errors import InputError
from fastsmc.facts.registers import register
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import FUNCTIONS, Conduit, FilterAction, Verdict
from fastsmc.fleet.filters import FilterRange
from fastsmc.jit import held
from fastsmc.vm import Fleet
from tests.support.examples import examples
from tests.support.strategies import Policy, func_ids, hosts, policies
from tests.test_kernels import fleet_of

if not held.is_readable():
    pytest.skip("Numba is off, or this Python keeps arrays elsewhere: verdicts decides", allow_module_level=True)

STD_BMAP, TRNG_RND64 = register("STD_BMAP"), 0xC400_0053
KNOWN = np.array([f.func_id for f in FUNCTIONS], np.uint32)
LENGTHS = (0, 1, 2, 63, 64, 65, 2047, 2048, 2049, 5000, N_HELD)
arguments = st.integers(0, 2) | st.sampled_from([0x8000_0000, 1 << 32, 2**64 - 1])
calls = st.tuples(st.integers(0, 3), func_ids, st.sampled_from(list(Conduit)), arguments, arguments)


def random_calls(n_call: int, n_vcpu: int, *, dtype: Any = np.uint32, columns: str = "", seed: int = 1) -> Calls:
    """Calls of known ids and others; `columns` says which of c(onduit), 1 (x1) and 2 (x2) they have."""
    rng = np.random.default_rng([seed, n_call])
    func_id = np.where(rng.random(n_call) < 0.9, rng.choice(KNOWN, n_call), rng.integers(0, 1 << 32, n_call, np.uint32))
    return Calls.of(
        rng.integers(0, min(n_vcpu, np.iinfo(dtype).max), n_call).astype(dtype),
        func_id.astype(np.uint32),
        conduit=rng.integers(0, 4, n_call).astype(np.uint8) if "c" in columns else None,
        x1=rng.integers(0, 3, n_call).astype(np.uint64) if "1" in columns else None,
        x2=rng.integers(0, 2, n_call).astype(np.uint64) if "2" in columns else None,
    )


def mixed_fleet(n_vm: int = 40, n_vcpu: int = 4) -> Fleet:
    """VMs of several policies, some with filters whose ranges are searched."""
    fleet = Fleet.uniform(n_vm=n_vm, n_vcpu=n_vcpu)
    fleet.set_one_reg(STD_BMAP, 0, vms=slice(0, n_vm, 3))
    fleet.enable_system_suspend(vms=slice(0, n_vm, 2))
    for vm in range(0, n_vm, 5):
        fleet.install_filter(FilterRange(0x1000 * vm + 0x100, 1 << 28, FilterAction(1 + vm % 2)), vms=vm)
    return fleet


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes how many calls each batch has that the prepared dispatcher leaves to `verdicts`."""
    left: list[int] = []

    def noting(fleet: Fleet, its: Any, out: Any = None) -> NDArray[np.uint8]:
        left.append(len(its))
        return verdicts(fleet, its, out)

    monkeypatch.setattr(prepared, "verdicts", noting)
    return left


# -- the same verdicts -----------------------------------------------------------------------------------------------


@examples(100)
@given(
    st.lists(policies, min_size=4, max_size=4),
    st.lists(hosts, min_size=4, max_size=4),
    st.lists(st.lists(calls, max_size=80), min_size=1, max_size=2),
    st.sampled_from([np.uint8, np.uint16, np.uint32]),
)
def test_verdicts_are_those_of_the_reference(
    policy_of_vm: list[Policy],
    hosts_of_vm: list[Host],
    batches: list[list[tuple[int, int, Conduit, int, int]]],
    dtype: Any,
) -> None:
    dispatcher = Dispatcher(fleet_of(policy_of_vm, hosts_of_vm))
    for batch_ in batches:
        columns = zip(*batch_, strict=True) if batch_ else ((), (), (), (), ())
        vcpu, func_id, conduit, x1, x2 = (list(column) for column in columns)
        made = Calls.of(np.array(vcpu, dtype), func_id, conduit=conduit, x1=x1, x2=x2)
        expected = []
        for number, f, c, a, b in batch_:
            vm = policy_of_vm[number].vm(hosts_of_vm[number])
            expected.append(int(vm.call(0, f, a, b, 0, c).verdict))
        assert dispatcher.verdicts(made).tolist() == expected


@pytest.mark.parametrize("dtype", VCPU_DTYPES)
@pytest.mark.parametrize("columns", ["", "c", "1", "2", "c12"])
def test_every_length_and_column_is_decided_without_verdicts(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, columns: str
) -> None:
    fleet, left = mixed_fleet(), counted(monkeypatch)
    dispatcher = Dispatcher(fleet)
    for n_call in LENGTHS:
        its = random_calls(n_call, fleet.n_vcpu, dtype=dtype, columns=columns)
        expected = dispatch(fleet, its).verdict
        memory = np.full(n_call + 128, 0xEE, np.uint8)  # guards on both sides
        out = memory[64 : 64 + n_call]
        assert dispatcher.verdicts(its, out) is out
        assert np.array_equal(out, expected)
        assert (np.delete(memory, slice(64, 64 + n_call)) == 0xEE).all()
        assert np.array_equal(dispatcher.verdicts(its.frozen()), expected)
    assert left == []


@pytest.mark.parametrize("n_vcpu", [1, 200, 300, 70_000])
def test_fleets_of_any_size(n_vcpu: int) -> None:
    """Rows of one, two and four bytes, of one VM and of many."""
    fleet = Fleet(np.ones(n_vcpu, np.int64), hosts="7.3")
    fleet.set_one_reg(STD_BMAP, np.arange(n_vcpu) % 2)
    dispatcher = Dispatcher(fleet)
    for n_call in (10, 3000):
        its = random_calls(n_call, n_vcpu)
        assert np.array_equal(dispatcher.verdicts(its), dispatch(fleet, its).verdict)


def test_what_is_left_to_verdicts_is_decided_there(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, left = mixed_fleet(), counted(monkeypatch)
    dispatcher, few = Dispatcher(fleet), random_calls(100, fleet.n_vcpu)
    with_x3 = Calls(few.vcpu, few.func_id, x3=np.zeros(100, np.uint64))
    for its in (random_calls(N_HELD + 1, fleet.n_vcpu), GroupedCalls.from_calls(few), with_x3):
        assert np.array_equal(dispatcher.verdicts(its), verdicts(fleet, its))
    assert left == [N_HELD + 1, 100, 100]


def test_without_arrays_that_can_be_read_verdicts_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, left = mixed_fleet(), counted(monkeypatch)
    monkeypatch.setattr(prepared, "is_readable", lambda: False)
    its = random_calls(100, fleet.n_vcpu)
    assert np.array_equal(Dispatcher(fleet).verdicts(its), verdicts(fleet, its))
    assert left == [100]


def test_each_batch_has_an_array_of_its_own() -> None:
    fleet = mixed_fleet()
    batches = [random_calls(50, fleet.n_vcpu, seed=seed) for seed in range(20)]
    got = list(map(Dispatcher(fleet).verdicts, batches))
    assert len({array.ctypes.data for array in got}) == 20
    assert all(np.array_equal(one, verdicts(fleet, its)) for one, its in zip(got, batches, strict=True))


# -- it follows its fleet ---------------------------------------------------------------------------------------------


def test_a_batch_after_a_change_sees_it() -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=1)
    dispatcher, its = Dispatcher(fleet), Calls.one_each(TRNG_RND64, n_vcpu=2)
    out = np.empty(2, np.uint8)
    for value in (1, 0, 0, 1, 0):
        fleet.set_one_reg(STD_BMAP, value, vms=1)
        assert dispatcher.verdicts(its, out).tolist() == [Verdict.HANDLED, [Verdict.DENIED, Verdict.HANDLED][value]]
    fleet.install_filter(FilterRange(TRNG_RND64, 1, FilterAction.FWD_TO_USER))
    assert dispatcher.verdicts(its).tolist() == [Verdict.FORWARDED, Verdict.FORWARDED]


@examples(50)
@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 3)), min_size=1, max_size=8), st.integers(1, 200))
def test_of_a_fleet_that_changes_each_batch_sees_what_is(changes: list[tuple[int, int]], n_call: int) -> None:
    fleet = Fleet.uniform(n_vm=40, n_vcpu=2, host="6.12")
    dispatcher, its = Dispatcher(fleet), random_calls(n_call, fleet.n_vcpu)
    for vm, what in changes:
        if what == 0:
            fleet.set_one_reg(STD_BMAP, vm % 2, vms=vm)
        elif what == 1:
            fleet.try_install_filter(FilterRange(0x1000 + vm, 5, FilterAction.DENY), vms=vm)
        elif what == 2:
            fleet.enable_system_suspend(vms=vm)
        assert np.array_equal(dispatcher.verdicts(its), dispatch(fleet, its).verdict)


def test_tables_are_made_once_for_each_kind_of_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, made = prepared._prepare, []

    def noting(now: Any, used: Any) -> Any:
        made.append(len(used))
        return prepare(now, used)

    monkeypatch.setattr(prepared, "_prepare", noting)
    dispatcher = Dispatcher(mixed_fleet())
    for _ in range(3):
        for dtype in VCPU_DTYPES:
            dispatcher.verdicts(random_calls(10, 160, dtype=dtype))
    assert made == [0, 1, 2, 3]
    dispatcher.fleet.set_one_reg(STD_BMAP, 1)
    dispatcher.verdicts(random_calls(10, 160))
    assert made == [0, 1, 2, 3, 3]


def test_it_keeps_what_its_kernels_read() -> None:
    its = random_calls(200, 160)
    expected = verdicts(mixed_fleet(), its)
    dispatcher = Dispatcher(mixed_fleet())
    dispatcher.verdicts(its)
    gc.collect()
    taken = [np.full(1 << k, 0xAA, np.uint8) for k in range(4, 16) for _ in range(50)]  # what was freed
    assert np.array_equal(dispatcher.verdicts(its), expected)
    assert len(taken) == 600


def test_a_column_is_held_no_longer_than_its_call_takes() -> None:
    dispatcher, its, out = Dispatcher(mixed_fleet()), random_calls(100, 160, columns="c12"), np.empty(100, np.uint8)
    columns = (its.vcpu, its.func_id, its.conduit, its.x1, its.x2, out)
    counts = []
    for _ in range(3):
        counts.append([sys.getrefcount(column) for column in columns])
        for _ in range(50):
            dispatcher.verdicts(its, out)
    assert counts[1:] == [counts[0]] * 2


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_dispatches_too(copied: Any) -> None:
    dispatcher, its = Dispatcher(mixed_fleet()), random_calls(100, 160)
    expected = dispatcher.verdicts(its)
    other = copied(dispatcher)
    assert np.array_equal(other.verdicts(its), expected)
    other.fleet.set_one_reg(STD_BMAP, 0)
    assert (other.fleet is dispatcher.fleet) == (copied is copy.copy)
    assert np.array_equal(dispatcher.verdicts(its), verdicts(dispatcher.fleet, its))


def test_its_text_is_short() -> None:
    assert repr(Dispatcher(Fleet.uniform(n_vm=2, n_vcpu=4))) == "Dispatcher(Fleet of 2 VMs, 8 vCPUs, 1 host)"


# -- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", VCPU_DTYPES)
@pytest.mark.parametrize("n_call", [3, 64, 65, 5000])
def test_a_vcpu_the_fleet_lacks_is_named_and_out_is_as_it_was(dtype: Any, n_call: int) -> None:
    dispatcher = Dispatcher(Fleet.uniform(n_vm=2, n_vcpu=2))
    for place in {0, 1, n_call // 2, n_call - 1}:
        vcpu = (np.arange(n_call) & 3).astype(dtype)
        vcpu[place:] = np.iinfo(dtype).max
        vcpu[place] = 4
        its, out = Calls(vcpu, np.zeros(n_call, np.uint32)), np.full(n_call, 99, np.uint8)
        for one in (its, its.frozen()):
            with pytest.raises(InputError, match=f"call {place} is made by vCPU 4, but the fleet has 4 vCPUs"):
                dispatcher.verdicts(one, out)
            with pytest.raises(InputError, match=f"call {place} is made by vCPU 4"):
                dispatcher.verdicts(one)
        assert (out == 99).all()
        vcpu[place:] = 3
        assert not (dispatcher.verdicts(its, out) == 99).any()


def read_only(n_call: int) -> NDArray[np.uint8]:
    out = np.zeros(n_call, np.uint8)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    "out",
    [
        *(np.zeros(2, np.uint8), np.zeros(3, np.int8), np.zeros(6, np.uint8)[::2], np.zeros((3, 1), np.uint8)),
        *(np.array(0, np.uint8), [0, 0, 0], 7, "out", object(), np.uint8, read_only(3), np.zeros(3, np.bool_)),
    ],
)
def test_an_out_that_verdicts_refuses_is_refused(out: Any) -> None:
    dispatcher = Dispatcher(Fleet.uniform(n_vm=1, n_vcpu=1))
    with pytest.raises(InputError, match=r"uint8\[3\]"):
        dispatcher.verdicts(random_calls(3, 1), out)


def test_an_out_that_overlaps_a_column_is_refused() -> None:
    dispatcher = Dispatcher(Fleet.uniform(n_vm=1, n_vcpu=1))
    memory, n_call = np.zeros(64, np.uint32), 32
    plain: dict[str, Any] = {"vcpu": np.zeros(n_call, np.uint8), "func_id": memory[:n_call]}
    for first in (0, 1, 97, 127):
        with pytest.raises(InputError, match="shares memory with func_id"):
            dispatcher.verdicts(Calls(**plain), memory.view(np.uint8)[first : first + n_call])
    assert dispatcher.verdicts(Calls(**plain), memory.view(np.uint8)[128:160]).size == n_call
    for name, dtype in (("vcpu", np.uint16), ("conduit", np.uint8), ("x1", np.uint64), ("x2", np.uint64), ("x3", "u8")):
        both = np.zeros(2 * n_call, dtype)
        at = n_call * both.itemsize
        its = Calls(**plain | {name: both[n_call:]})
        with pytest.raises(InputError, match=f"shares memory with {name}"):
            dispatcher.verdicts(its, both.view(np.uint8)[at - 1 : at - 1 + n_call])
        assert dispatcher.verdicts(its, both.view(np.uint8)[at - n_call : at]).size == n_call


def test_columns_that_became_others_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is frozen, its arrays are not: NumPy lets their dtype and shape be set anew."""
    dispatcher, left = Dispatcher(Fleet.uniform(n_vm=1, n_vcpu=4)), []
    monkeypatch.setattr(prepared, "verdicts", lambda fleet, its, out: left.append(its))
    for name in ("vcpu", "func_id", "conduit", "x1", "x2"):
        its = random_calls(64, 4, columns="c12")
        dispatcher.verdicts(its)
        assert left == []
        strange: list[Any] = [getattr(its, name)[::2], getattr(its, name)[1:], getattr(its, name).astype(np.int64)]
        strange += [getattr(its, name).reshape(8, 8), getattr(its, name)[:1].reshape(()), 5, "calls", b"", object()]
        for value in strange:
            object.__setattr__(its, name, value)
            dispatcher.verdicts(its, np.empty(64, np.uint8))
            assert left.pop() is its


# -- threads ----------------------------------------------------------------------------------------------------------


def test_threads_share_a_dispatcher_while_its_fleet_changes() -> None:
    """Each batch is of one state: before a change, or after it, and never an older one than it must."""
    n_vm, failed = 60, []
    fleet, before = Fleet.uniform(n_vm=n_vm, n_vcpu=1), sys.getswitchinterval()
    dispatcher, ended, done = Dispatcher(fleet), threading.Event(), [0] * 3
    fleet.set_one_reg(STD_BMAP, 0)

    def look(thread: int) -> None:
        dtype = VCPU_DTYPES[thread]
        its = Calls(np.arange(n_vm).astype(dtype), np.full(n_vm, TRNG_RND64, np.uint32))
        out = np.empty(n_vm, np.uint8)
        while not ended.is_set():
            got = set(dispatcher.verdicts(its, out).tolist())
            if len(got) != 1:
                failed.append(got)
            done[thread] += 1

    threads = [threading.Thread(target=look, args=(k,)) for k in range(3)]
    sys.setswitchinterval(50e-6)
    try:
        for thread in threads:
            thread.start()
        its = Calls.one_each(TRNG_RND64, n_vcpu=n_vm)
        for n in range(100):
            fleet.set_one_reg(STD_BMAP, n % 2)
            expected = Verdict.HANDLED if n % 2 else Verdict.DENIED
            assert set(dispatcher.verdicts(its).tolist()) == {expected}
        while min(done) < 100:
            pass
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before)
    assert failed == []


# -- how arrays are read and kernels called ---------------------------------------------------------------------------


def test_a_kernel_argument_that_no_word_holds_is_refused() -> None:
    assert held.kinds_of(("func_id", "out", 1, True, np.uint32(1), np.uint64(1), np.zeros(2), np.zeros((2, 2)))) == (
        "03ibwuaA"
    )
    for value in (np.zeros((4, 4))[:, ::2], 1.5, np.zeros((2, 2, 2))):
        with pytest.raises((TypeError, KeyError, IndexError)):
            held.kinds_of((value,))
    words = held.words_of((array := np.zeros((2, 3), np.uint16), 7, "out", True))
    assert words == [array.ctypes.data, 2, 2, 3, 7, 1]
    assert held.n_word((array, 7, "out", True)) == len(words)


def test_it_takes_no_batch_that_several_threads_should_share() -> None:
    assert N_HELD < batch.STREAMED
