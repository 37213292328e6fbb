"""The first calls of a process: decided without a kernel, to the same bytes, until kernels pay."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher import batch, columnwise, decide
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.errors import InputError
from fastsmc.facts.releases import Host, release
from fastsmc.facts.smccc import FUNCTIONS, Conduit
from fastsmc.fleet.filters import FilterRange
from fastsmc.jit import first
from fastsmc.jit.first import BATCH, COMPILING, LOADING, Awaited, FirstWork
from fastsmc.kernels import N_CODE
from fastsmc.reference.vm import Vm
from fastsmc.vm import Fleet
from tests.support.examples import examples
from tests.support.places import ROOT
from tests.support.strategies import Policy, hosts, policies
from tests.test_kernels import calls, fleet_of
from tests.whole.test_every_id import CHUNK, NAMED, painted, policy

AWAITED = (decide._FEW, decide._MANY, decide._FEW_BLOCKS, decide._MANY_BLOCKS, decide._SPREAD, batch._CHECKED)
KNOWN = np.array([f.func_id for f in FUNCTIONS], np.uint32)


def no_kernel(*_: object) -> None:
    raise AssertionError("a kernel was called")


@contextmanager
def without_kernels() -> Iterator[None]:
    """A process that has done nothing yet, finds no kernel on disk, and will never have done enough to compile one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first, "first_work", FirstWork(at_once=False, done=-(1 << 60)))
        for awaited in AWAITED:
            patch.setattr(awaited, "ready", set())
            patch.setattr(awaited, "kernel", no_kernel)
        yield


def in_blocks(made: Calls) -> GroupedCalls:
    grouped = GroupedCalls.from_calls(made)
    assert grouped.each().vcpu.tolist() == made.vcpu.tolist()
    return grouped


def columns_of(batch_: list[tuple[int, int, Conduit, int, int]], *, by_hvc: bool = False) -> Calls:
    vcpu, func_id, conduit, x1, x2 = (list(column) for column in zip(*batch_, strict=True))
    return Calls.of(vcpu, func_id, conduit=None if by_hvc else [int(c) for c in conduit], x1=x1, x2=x2)


@examples(200)
@given(
    st.lists(policies, min_size=4, max_size=4),
    st.lists(hosts, min_size=4, max_size=4),
    st.lists(calls, min_size=1, max_size=60),
    st.booleans(),
)
def test_verdicts_are_those_of_the_reference(
    policy_of_vm: list[Policy],
    hosts_of_vm: list[Host],
    made: list[tuple[int, int, Conduit, int, int]],
    by_hvc: bool,
) -> None:
    fleet, expected = fleet_of(policy_of_vm, hosts_of_vm), []
    for number, func_id, conduit, x1, x2 in made:
        vm = policy_of_vm[number].vm(hosts_of_vm[number])
        expected.append(int(vm.call(0, func_id, x1, x2, 0, Conduit.HVC if by_hvc else conduit).verdict))
    one_by_one = columns_of(made, by_hvc=by_hvc)
    with without_kernels():
        assert verdicts(fleet, one_by_one).tolist() == expected
        assert verdicts(fleet, in_blocks(one_by_one)).tolist() == expected


def shapes_of(n: int) -> Iterator[tuple[Fleet, AnyCalls]]:
    """Fleets small and large, one policy and many, with and without ranges, conduits, arguments and blocks."""
    rng = np.random.default_rng(5)
    for n_vm, n_vcpu in ((1, 1), (7, 3), (300, 300)):
        fleet = Fleet(np.full(n_vm, n_vcpu), hosts=Host(release("7.3")))
        if n_vm > 1:
            fleet.set_one_reg(0x6030_0000_0016_0000, np.arange(n_vm) % 2)
            fleet.install_filter(FilterRange(0x4000_0000, 0x4000_0000, 2), vms=0)
        ids = np.where(rng.random(n) < 0.7, KNOWN[rng.integers(0, KNOWN.size, n)], rng.integers(0, 1 << 32, n))
        vcpu = np.sort(rng.integers(0, fleet.n_vcpu, n).astype(np.uint32))
        for conduit in (None, rng.integers(0, 4, n).astype(np.uint8)):
            x1, x2 = (rng.choice(np.array([0, 1, 1 << 31, 1 << 32], np.uint64), n) for _ in range(2))
            one_by_one = Calls.of(vcpu, ids.astype(np.uint32), conduit=conduit, x1=x1, x2=x2)
            yield fleet, one_by_one
            yield fleet, GroupedCalls.from_calls(one_by_one)


@pytest.mark.parametrize("n", [0, 1, 5000, columnwise.PART + 3])
def test_verdicts_and_counts_are_those_of_the_kernels(n: int) -> None:
    for fleet, made in shapes_of(n):
        for by in ("service", "both"):
            expected = dispatch(fleet, made, by=by)  # type: ignore[arg-type]
            with without_kernels():
                found = dispatch(fleet, made, by=by)  # type: ignore[arg-type]
            assert found.verdict.tobytes() == expected.verdict.tobytes()
            assert found.by_service.tolist() == expected.by_service.tolist()
            assert found.by_vm_service.tobytes() == expected.by_vm_service.tobytes()
            assert int(found.by_service.sum()) == n


@pytest.mark.parametrize(
    ("chunks", "n_id"),
    [
        pytest.param(NAMED, 1 << 17, id="named"),
        pytest.param(
            range(0, 1 << 32, 32 * CHUNK),
            CHUNK,
            id="all",
            marks=pytest.mark.soak("2**27 ids, every 32nd 2**24; make test has 2**20 of them"),
        ),
    ],
)
def test_every_id(chunks: Sequence[int], n_id: int) -> None:
    vm, fleet = policy("500 ranges")
    low, vcpu = np.arange(n_id, dtype=np.uint32), np.zeros(n_id, np.uint8)
    for from_id, expected in painted(vm, chunks):
        with without_kernels():
            found = verdicts(fleet, Calls(vcpu, low + np.uint32(from_id)), threads=1)
        assert np.array_equal(found, expected[:n_id]), hex(from_id + int(np.argmax(found != expected[:n_id])))


def test_arguments_at_the_edges_of_what_the_two_exits_refuse() -> None:
    edges = [0, 1, 2, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, (1 << 32) + 1, 1 << 63]
    host, exits = Host(release("7.3")), (0x8400_0012, 0xC400_0012, 0x8400_0015, 0xC400_0015, 0x8400_0008)
    made = [(0, func_id, Conduit.HVC, x1, x2) for func_id in exits for x1 in edges for x2 in edges]
    expected = [int(Vm(host).call(0, func_id, x1, x2).verdict) for _, func_id, _, x1, x2 in made]
    with without_kernels():
        assert verdicts(Fleet([1], hosts=host), columns_of(made)).tolist() == expected


@pytest.mark.parametrize("lacking", [0, 1, columnwise.PART, 2 * columnwise.PART - 1])
@pytest.mark.parametrize("is_given", [False, True])
def test_a_vcpu_that_the_fleet_lacks_is_named(lacking: int, is_given: bool) -> None:
    n = 2 * columnwise.PART
    vcpu, fleet = np.zeros(n, np.uint32), Fleet.uniform(n_vm=1, n_vcpu=300)
    vcpu[lacking] = 300
    out = np.full(n, 0xEE, np.uint8)
    with without_kernels(), pytest.raises(InputError, match=f"call {lacking} is made by vCPU 300, but the fleet has"):
        verdicts(fleet, Calls(vcpu, np.full(n, 0x8400_0000, np.uint32)), out if is_given else None)
    assert (out == 0xEE).all()
    given = (np.full(n, 0x8400_0000, np.uint32), vcpu, np.zeros(0, np.uint8))
    counts, rows = np.zeros((1, N_CODE), np.uint32), fleet.rows().portable
    made = columnwise.decide(given, rows, fleet.vm_of_vcpu, counts, out, looks_first=is_given)
    assert made == int(counts.sum()) == np.count_nonzero(out != 0xEE) == (0 if is_given else lacking)


def test_what_another_thread_puts_in_place_of_a_vcpu_is_never_looked_up() -> None:
    """A column that is overwritten as soon as it has been checked stands for the thread."""
    column = np.zeros(9, np.uint32)

    class Changing(np.ndarray):  # type: ignore[type-arg]
        def __ge__(self, other: Any) -> Any:
            found = np.asarray(self) >= other
            column[:] = 1 << 31
            return found

    fleet, out, counts = Fleet.uniform(n_vm=1, n_vcpu=1), np.empty(9, np.uint8), np.zeros((1, N_CODE), np.uint32)
    given = (np.full(9, 0x8400_0000, np.uint32), column.view(Changing), np.zeros(0, np.uint8))
    made = columnwise.decide(given, fleet.rows().portable, fleet.vm_of_vcpu, counts, out, looks_first=False)
    assert (made, int(counts.sum()), int(column[0])) == (9, 9, 1 << 31)


class Kept:
    """Stands for `load_kept`: what is asked for, and whether it is there."""

    def __init__(self, patch: pytest.MonkeyPatch, *, is_there: bool) -> None:
        self.asked: list[Any] = []
        self.is_there = is_there
        patch.setattr(first, "load_kept", self)
        patch.setattr(first, "first_work", FirstWork(at_once=False))

    def __call__(self, kernel: Any, _: Any) -> bool:
        self.asked.append(kernel)
        return self.is_there


def test_kernels_are_looked_for_and_then_compiled_when_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, awaited = Kept(monkeypatch, is_there=False), Awaited("kernel")
    assert not awaited.is_due(4, LOADING - BATCH, ())
    assert kept.asked == []
    assert not awaited.is_due(4, 0, ())
    assert not awaited.is_due(4, COMPILING - LOADING - 2 * BATCH, ())
    assert kept.asked == ["kernel"], "once"
    assert awaited.is_due(4, 0, ())
    assert awaited.is_due(4, 0, ())
    assert not Awaited("other").is_due(4, -BATCH, ()), "what kernels do is no first work"


def test_a_kernel_that_is_kept_is_taken_when_loading_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, awaited = Kept(monkeypatch, is_there=True), Awaited("kernel")
    assert not awaited.is_due(4, LOADING - BATCH, ())
    assert awaited.is_due(4, 0, ())
    kept.is_there = False
    assert awaited.is_due(4, 0, ()), "and kept"
    assert not awaited.is_due(2, 0, ()), "for indices of its size only"
    assert len(kept.asked) == 2


def test_a_large_batch_is_for_kernels_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    Kept(monkeypatch, is_there=False)
    assert Awaited("kernel").is_due(4, COMPILING, ())


def test_whoever_times_kernels_gets_them_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, awaited = Kept(monkeypatch, is_there=False), Awaited("kernel")
    assert not awaited.is_due(4, 1, ())
    first.take_kernels_at_once()
    assert awaited.is_due(4, 1, ())
    assert kept.asked == []


PROGRAM = """
import numpy as np
from fastsmc import kernels
from fastsmc.dispatcher.batch import dispatch
from fastsmc.jit.first import first_work, LOADING
from fastsmc.calls.workload import Calls
from fastsmc.vm import Fleet
first_work.done = {done}
ids = np.array([0x84000050, 7], np.uint32)
print(dispatch(Fleet.uniform(n_vm=1, n_vcpu=1), Calls(np.zeros(2, np.uint8), ids)).verdict.tolist())
print(len(kernels.decide.overloads), sum(kernels.decide._cache_hits.values()))
"""


def run(cache: Path, done: str, at_once: str = "0") -> list[str]:
    env = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT), "FASTSMC_JIT_AT_ONCE": at_once}
    command = [sys.executable, "-c", PROGRAM.format(done=done)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_process_compiles_nothing_for_a_few_calls_and_takes_what_is_kept(tmp_path: Path) -> None:
    assert run(tmp_path, "0") == ["[0, 1]", "0 0"]
    assert run(tmp_path, "LOADING") == ["[0, 1]", "0 0"]
    assert not list(tmp_path.rglob("*.nb?"))
    assert run(tmp_path, "0", at_once="1") == ["[0, 1]", "1 0"]
    assert run(tmp_path, "0") == ["[0, 1]", "0 0"]
    assert run(tmp_path, "LOADING") == ["[0, 1]", "1 1"]


def test_a_formula_over_columns_is_the_formula() -> None:
    """Nothing of it is compiled, nor of those that it calls."""
    func_id = np.array([0x8400_0000, 0x8400_0020, 0xC400_001F, 7], np.uint32)
    search = np.full(4, 0x52, np.uint64)
    assert columnwise._default_of(search, func_id).tolist() == [5, 2, 5, 2]
    assert [int(columnwise._PLANE[int(conduit)]) for conduit in Conduit] == [0, 1, 0, 2]
