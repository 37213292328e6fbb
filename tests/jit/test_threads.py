"""Threads: every part is done once, by whoever gets to it, and results do not depend on how many there are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher import batch as dispatcher
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.errors import InputError
from fastsmc.jit import threads as parts
from fastsmc.jit.cache_lines import empty_on_lines, on_lines
from fastsmc.vm import Fleet
from tests.dispatcher.test_batch import random_calls


@pytest.mark.parametrize("n_call", [0, 1, 2 * parts.PART, 5 * parts.PART + 7])
@pytest.mark.parametrize("n_thread", [1, 2, 5])
def test_every_part_is_given_once(n_call: int, n_thread: int) -> None:
    def work(these: Iterator[slice]) -> list[tuple[int, int]]:
        return [(part.start, part.stop) for part in these]

    done = sorted(part for each in parts.in_parts(work, n_call, n_thread) for part in each)
    assert [first for first, _ in done] == list(range(0, n_call, parts.PART))
    assert [end for _, end in done] == [first for first, _ in done][1:] + [n_call] * bool(n_call)


def test_what_fails_on_any_thread_fails_for_the_caller() -> None:
    def work(these: Iterator[slice]) -> None:
        for part in these:
            if part.start:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        parts.in_parts(work, 4 * parts.PART, 2)


def test_small_batches_stay_on_one_thread() -> None:
    assert parts.thread_count(None, parts.SMALL - 1) == 1
    assert parts.thread_count(None, 1 << 30) == parts.n_core()
    assert parts.thread_count(8, 100) == 1
    assert parts.thread_count(8, 3 * parts.PART) == 3
    for wrong in (0, -1, True, 1.5, "2"):
        with pytest.raises(InputError, match="whole number from 1 up"):
            parts.thread_count(wrong, 1)  # type: ignore[arg-type]


def test_results_are_the_same_on_any_number_of_threads() -> None:
    fleet = Fleet.uniform(n_vm=20, n_vcpu=3)
    fleet.set_one_reg(0x6030_0000_0016_0000, 0, vms=slice(0, 20, 3))
    some = random_calls(3 * parts.PART + 1000, fleet.n_vcpu)
    conduit = np.random.default_rng(1).integers(0, 4, len(some), np.uint8)
    x1 = np.arange(len(some), dtype=np.uint64) & np.uint64(3)
    for calls in (some, Calls(some.vcpu, some.func_id, conduit, x1)):
        one = dispatch(fleet, calls, threads=1)
        for threads in (2, 3, 7, None):
            many = dispatch(fleet, calls, threads=threads)
            assert many.verdict.tobytes() == one.verdict.tobytes()
            assert np.array_equal(many.by_vm_service, one.by_vm_service)
            assert np.array_equal(verdicts(fleet, calls, threads=threads), one.verdict)


@pytest.mark.parametrize("offset", [0, 1, 32])
@pytest.mark.parametrize("n_vcpu", [60, 3000])
def test_verdicts_written_around_the_caches_are_the_same(
    n_vcpu: int, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "STREAMED", 0)
    fleet = Fleet.uniform(n_vm=n_vcpu // 3, n_vcpu=3)
    fleet.set_one_reg(0x6030_0000_0016_0000, 0, vms=slice(0, fleet.n_vm, 3))
    calls = random_calls(2 * parts.PART + 1000, n_vcpu)
    lines = on_lines(np.full(len(calls) + 256, 0xEE, np.uint8))
    out = lines[64 + offset : 64 + offset + len(calls)]
    verdicts(fleet, calls, out, threads=2)
    assert np.array_equal(out, verdicts(fleet, calls, threads=1))
    assert (lines[: 64 + offset] == 0xEE).all()
    assert (lines[64 + offset + len(calls) :] == 0xEE).all()


def test_a_bad_vcpu_is_named_on_any_number_of_threads() -> None:
    calls = random_calls(3 * parts.PART, 4)
    calls.vcpu[2 * parts.PART + 5] = 4
    for threads in (1, 3):
        with pytest.raises(InputError, match=f"call {2 * parts.PART + 5} is made by vCPU 4"):
            verdicts(Fleet.uniform(n_vm=4, n_vcpu=1), calls, threads=threads)


@pytest.mark.parametrize("bad", range(4))
def test_a_bad_vcpu_is_named_whichever_thread_gets_its_part(bad: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that take turns, so that the part is the first or the last of either."""

    def in_turns(work: Callable[[Iterator[slice]], object], n_call: int, _: int) -> list[object]:
        these = [slice(first, first + parts.PART) for first in range(0, n_call, parts.PART)]
        return [work(iter(these[k::2])) for k in (0, 1)]

    monkeypatch.setattr(dispatcher, "in_parts", in_turns)
    calls = random_calls(4 * parts.PART, 4)
    calls.vcpu[bad * parts.PART + 5] = 4
    with pytest.raises(InputError, match=f"call {bad * parts.PART + 5} is made by vCPU 4"):
        verdicts(Fleet.uniform(n_vm=4, n_vcpu=1), calls, threads=2)


def test_callers_may_be_threads_and_forked_children() -> None:
    fleet, calls = Fleet.uniform(n_vm=4, n_vcpu=1), random_calls(3 * parts.PART, 4)
    expected, got = verdicts(fleet, calls, threads=1), []
    callers = [threading.Thread(target=lambda: got.append(verdicts(fleet, calls, threads=2))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all(np.array_equal(each, expected) for each in got)
    assert len(got) == 3
    assert parts._pool is not None
    parts._forget_pool()  # what os.register_at_fork calls in a child
    assert np.array_equal(verdicts(fleet, calls, threads=2), expected)


@pytest.mark.parametrize("shape", [0, 1, 1000, (5, 77), (3, 0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.float64])
def test_an_array_on_cache_lines_begins_at_one(shape: int | tuple[int, ...], dtype: type) -> None:
    empty = empty_on_lines(shape, dtype)
    assert (empty.dtype, empty.shape) == (np.dtype(dtype), np.empty(shape).shape)
    assert empty.ctypes.data % 64 == 0 or not empty.size
    given = np.ones(shape, dtype)
    assert np.array_equal(on_lines(given), given)
