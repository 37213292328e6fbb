"""Dispatch: counters against a plain count, errors before the kernel runs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher import timing as dispatch_times
from fastsmc.dispatcher.answers import answers
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.dispatcher.timing import compare_dispatch, measure_batches, measure_dispatch
from fastsmc.errors import InputError
from fastsmc.facts.smccc import FUNCTION_BY_ID, FUNCTIONS, Service, Verdict
from fastsmc.jit import threads as parts
from fastsmc.vm import Fleet


def random_calls(n_call: int, n_vcpu: int, seed: int = 1) -> Calls:
    rng = np.random.default_rng(seed)
    known = np.array([f.func_id for f in FUNCTIONS], np.uint32)
    func_id = np.where(rng.random(n_call) < 0.8, rng.choice(known, n_call), rng.integers(0, 1 << 32, n_call, np.uint32))
    return Calls.of(rng.integers(0, n_vcpu, n_call, np.uint32), func_id.astype(np.uint32))


def test_counters_are_the_counts_of_the_verdicts() -> None:
    fleet = Fleet([1, 2, 3, 4], hosts=Fleet.uniform(n_vm=1, n_vcpu=1).hosts)
    calls = random_calls(5000, fleet.n_vcpu)
    done = dispatch(fleet, calls)
    by_vm = Counter((int(fleet.vm_of_vcpu[v]), int(d)) for v, d in zip(calls.vcpu, done.verdict, strict=True))
    assert {(m, v): int(done.by_vm[m, v]) for m, v in zip(*np.nonzero(done.by_vm), strict=True)} == by_vm
    named = Counter()  # type: ignore[var-annotated]
    for func_id, verdict in zip(calls.func_id.tolist(), done.verdict.tolist(), strict=True):
        row = FUNCTION_BY_ID.get(func_id)
        named[(row.service if row else Service.UNKNOWN).name, Verdict(verdict).name] += 1
    assert done.counts() == named
    assert list(done.counts().values()) == sorted(named.values(), reverse=True)


@pytest.mark.parametrize("n_vm", [1, 3])
def test_counters_say_the_same_whoever_asks(n_vm: int) -> None:
    fleet = Fleet.uniform(n_vm=n_vm, n_vcpu=4)
    plain = random_calls(3000, fleet.n_vcpu)
    rng = np.random.default_rng(2)
    calls = Calls.of(plain.vcpu, plain.func_id, x1=rng.integers(0, 3, 3000), x2=rng.integers(0, 2, 3000))
    both = dispatch(fleet, calls)
    assert int(both.by_vm_service.sum()) == 3000
    assert np.array_equal(both.by_service, dispatch(fleet, calls, by="service").by_service)
    assert np.array_equal(both.by_vm, dispatch(fleet, calls, by="vm").by_vm)
    for verdict in Verdict:
        assert int(both.by_service[:, verdict].sum()) == int((both.verdict == verdict).sum())
    assert np.array_equal(both.verdict, verdicts(fleet, calls))
    assert dispatch(fleet, calls, by="service").by_vm.size == 0
    assert dispatch(fleet, calls, by="vm").by_service.size == 0
    with pytest.raises(InputError, match="must be one of service, vm, both"):
        dispatch(fleet, calls, by="vcpu")  # type: ignore[arg-type]


def test_an_empty_batch_has_no_verdicts() -> None:
    assert dispatch(Fleet.uniform(n_vm=1, n_vcpu=1), random_calls(0, 1)).verdict.size == 0


def test_dispatch_changes_no_vm() -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=2)
    dispatch(fleet, random_calls(100, 4))
    assert not fleet.has_run_once.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("n_call", [3, 64, 65, 5000])
def test_a_vcpu_the_fleet_lacks_is_named(dtype: type[np.unsignedinteger], n_call: int) -> None:
    for place in {0, 1, n_call // 2, n_call - 1}:
        vcpu = np.arange(n_call).astype(dtype) & dtype(3)
        vcpu[place:] = np.iinfo(dtype).max
        vcpu[place] = 4
        with pytest.raises(InputError, match=f"call {place} is made by vCPU 4, but the fleet has 4 vCPUs"):
            verdicts(Fleet.uniform(n_vm=2, n_vcpu=2), Calls(vcpu, np.zeros(n_call, np.uint32)))
        out = np.full(n_call, 99, np.uint8)
        with pytest.raises(InputError, match=f"call {place} is made by vCPU 4"):
            verdicts(Fleet.uniform(n_vm=2, n_vcpu=2), Calls(vcpu, np.zeros(n_call, np.uint32)), out)
        with pytest.raises(InputError, match=f"call {place} is made by vCPU 4"):
            dispatch(Fleet.uniform(n_vm=2, n_vcpu=2), Calls(vcpu, np.zeros(n_call, np.uint32)), out=out)
        assert (out == 99).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_frozen_calls_are_refused_whole_too(threads: int) -> None:
    n_call = 3 * parts.PART
    vcpu = np.zeros(n_call, np.uint16)
    vcpu[-5] = 4
    calls = Calls(vcpu, np.zeros(n_call, np.uint32)).frozen()
    fleet, out = Fleet.uniform(n_vm=2, n_vcpu=2), np.full(n_call, 99, np.uint8)
    for function in (verdicts, dispatch):
        with pytest.raises(InputError, match=f"call {n_call - 5} is made by vCPU 4"):
            function(fleet, calls, out=out, threads=threads)
        with pytest.raises(InputError, match=f"call {n_call - 5} is made by vCPU 4"):
            function(fleet, calls, threads=threads)
    with pytest.raises(InputError, match=f"call {n_call - 5} is made by vCPU 4"):
        answers(fleet, calls)
    assert (out == 99).all()
    enough = Fleet.uniform(n_vm=5, n_vcpu=1)
    assert np.array_equal(verdicts(enough, calls, out, threads=threads), verdicts(enough, Calls(vcpu, calls.func_id)))


def test_frozen_calls_are_what_they_were() -> None:
    calls = random_calls(1000, 8)
    calls = Calls(calls.vcpu, calls.func_id, x1=np.arange(1000, dtype=np.uint64))
    fleet = Fleet.uniform(n_vm=8, n_vcpu=1)
    fleet.set_one_reg(0x6030_0000_0016_0000, 0, vms=slice(0, 8, 2))
    expected, ice = verdicts(fleet, calls), calls.frozen()
    assert ice.n_vcpu == 8
    assert ice.x1 is calls.x1
    calls.vcpu[:] = 1000
    assert np.array_equal(verdicts(fleet, ice, np.zeros(1000, np.uint8)), expected)
    assert ice.frozen().vcpu is ice.vcpu
    with pytest.raises(ValueError, match="read-only"):
        ice.vcpu[0] = 0
    part = ice.part(slice(5, 9))
    assert part.n_vcpu is None
    assert Calls.of([], []).frozen().n_vcpu == 0
    assert verdicts(fleet, Calls.of([], []).frozen(), np.zeros(0, np.uint8)).size == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_a_vcpu_index_may_be_as_narrow_as_the_caller_has_it(dtype: type[np.unsignedinteger]) -> None:
    fleet = Fleet.uniform(n_vm=50, n_vcpu=4)
    fleet.set_one_reg(0x6030_0000_0016_0000, 0, vms=slice(0, 50, 3))
    calls = random_calls(1000, 200)
    narrow = Calls.of(calls.vcpu.astype(dtype), calls.func_id)
    assert narrow.vcpu.dtype == dtype
    assert np.array_equal(verdicts(fleet, narrow), verdicts(fleet, calls))


def test_dispatch_fills_the_out_it_is_given() -> None:
    fleet, calls = Fleet.uniform(n_vm=2, n_vcpu=2), random_calls(3000, 4)
    out = np.full(3000, 99, np.uint8)
    done = dispatch(fleet, calls, out=out)
    assert done.verdict is out
    assert np.array_equal(out, dispatch(fleet, calls).verdict)
    with pytest.raises(InputError, match=r"uint8\[3000\]"):
        dispatch(fleet, calls, out=out[1:])


def test_an_out_that_overlaps_a_column_is_refused() -> None:
    memory = np.zeros(64, np.uint32)
    calls = Calls(np.zeros(32, np.uint8), memory[:32])
    fleet = Fleet.uniform(n_vm=1, n_vcpu=1)
    with pytest.raises(InputError, match="shares memory with func_id"):
        verdicts(fleet, calls, memory.view(np.uint8)[100:132])
    assert verdicts(fleet, calls, memory.view(np.uint8)[128:160]).size == 32
    with pytest.raises(InputError, match="must be a NumPy array"):
        verdicts(fleet, calls, [0] * 32)  # type: ignore[arg-type]
    for name, dtype in (("vcpu", np.uint8), ("conduit", np.uint8), ("x1", np.uint64), ("x2", np.uint64)):
        memory = np.zeros(32, dtype)
        columns = {"vcpu": calls.vcpu, "func_id": calls.func_id, name: memory}
        with pytest.raises(InputError, match=f"shares memory with {name}"):
            verdicts(fleet, Calls(**columns), memory.view(np.uint8)[:32])


@pytest.mark.parametrize(
    "out", [np.zeros(2, np.uint8), np.zeros(3, np.int8), np.zeros(6, np.uint8)[::2], np.zeros((3, 1), np.uint8)]
)
def test_an_out_of_another_shape_is_refused(out) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=r"uint8\[3\]"):
        verdicts(Fleet.uniform(n_vm=1, n_vcpu=1), random_calls(3, 1), out)


def test_an_out_that_nobody_may_write_to_is_refused() -> None:
    out = np.zeros(3, np.uint8)
    out.flags.writeable = False
    with pytest.raises(InputError, match=r"writeable contiguous uint8\[3\]"):
        verdicts(Fleet.uniform(n_vm=1, n_vcpu=1), random_calls(3, 1), out)


@pytest.mark.parametrize("n_vcpu", [255, 256])
def test_the_last_index_a_narrow_column_can_hold(n_vcpu: int) -> None:
    fleet, n_call = Fleet.uniform(n_vm=n_vcpu, n_vcpu=1), 2 * parts.PART
    calls = Calls(np.full(n_call, 255, np.uint8), np.zeros(n_call, np.uint32))
    out = np.full(n_call, 99, np.uint8)
    if n_vcpu == 256:
        assert not (verdicts(fleet, calls, out, threads=2) == 99).any()
        assert len(answers(fleet, calls.part(slice(0, 3)))) == 3
        return
    for function in (verdicts, dispatch):
        with pytest.raises(InputError, match="call 0 is made by vCPU 255, but the fleet has 255 vCPUs"):
            function(fleet, calls, out=out, threads=2)
    assert (out == 99).all()
    with pytest.raises(InputError, match="call 0 is made by vCPU 255"):
        answers(fleet, calls.part(slice(0, 3)))


def test_verdicts_follow_a_change_of_policy() -> None:
    fleet = Fleet.uniform(n_vm=1, n_vcpu=1)
    calls = Calls.one_each(0x84000053, n_vcpu=1)
    assert verdicts(fleet, calls).tolist() == [Verdict.HANDLED]
    fleet.set_one_reg(0x6030_0000_0016_0000, 0)
    assert verdicts(fleet, calls).tolist() == [Verdict.DENIED]


def test_measurements_cover_what_they_say() -> None:
    fleet = Fleet.uniform(n_vm=2, n_vcpu=8)
    timed = measure_dispatch(fleet, random_calls(1000, 16), repeats=3)
    assert (timed.n_call, timed.ns_per_call.shape, bool((timed.ns_per_call > 0).all())) == (1000, (3,), True)
    batches = measure_batches(fleet, [Calls.one_each(0x84000000, n_vcpu=16)], n_batch=50)
    summary = batches.summary()
    assert sorted(summary) == ["max_ns", "p50_ns", "p99.9_ns", "p99_ns"]
    assert summary["p50_ns"] in batches.ns
    assert summary["max_ns"] == batches.ns.max()
    assert summary["p99_ns"] == np.sort(batches.ns)[49]


def test_times_are_those_of_the_fleet_and_the_batch_they_are_given_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that ticks once per vCPU of the fleet and call."""
    now = [0]

    def ticking(fleet: Fleet, calls: Calls, *_: object, **__: object) -> None:
        now[0] += fleet.n_vcpu * len(calls)

    monkeypatch.setattr(dispatch_times, "verdicts", ticking)
    monkeypatch.setattr(dispatch_times.time, "perf_counter_ns", lambda: now[0])
    small, big = Fleet.uniform(n_vm=2, n_vcpu=1), Fleet.uniform(n_vm=3, n_vcpu=1)
    batches = [random_calls(n_call, 2) for n_call in (10, 20, 30)]
    assert measure_dispatch(small, batches[1], repeats=3).ns_per_call.tolist() == [2, 2, 2]
    ratio = compare_dispatch(small, big, batches[0], rounds=4)
    assert ratio.ratio.tolist() == [1.5] * 4
    assert (ratio.first.median_ns_per_call, ratio.second.median_ns_per_call) == (2, 3)
    assert str(ratio).startswith("1.50x")
    assert measure_batches(big, batches, n_batch=7).ns.tolist() == [30, 60, 90, 30, 60, 90, 30]
