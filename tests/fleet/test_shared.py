"""Threads that share a fleet: each sees one state, before a change or after it, and never an older one than it must."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EBUSY

import numpy as np
import pytest

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.answers import answers
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.dispatcher.power import switch
from fastsmc.facts.registers import register
from fastsmc.facts.smccc import FilterAction, Verdict
from fastsmc.fleet.filters import FilterRange
from fastsmc.jit import threads as parts
from fastsmc.vm import Fleet
from tests.support.places import ROOT

N_READER = 7
N_ROUND, N_SOAK = 100, 10_000
N_VM = 60
VERSION, STD_BMAP = register("PSCI_VERSION"), register("STD_BMAP")
VERSIONS = (0x2, 0x1_0000, 0x1_0001, 0x1_0002, 0x1_0003)
BASE = 0xC500_1000
ROUNDS = pytest.mark.parametrize(
    "n_round",
    [N_ROUND, pytest.param(N_SOAK, marks=pytest.mark.soak(f"{N_SOAK:,} changes; make test makes {N_ROUND}"))],
)


@pytest.fixture(autouse=True)
def _threads_take_short_turns() -> Iterator[None]:
    """50 µs in place of 5 ms: more changes fall into the middle of something."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(50e-6)
    yield
    sys.setswitchinterval(before)


class Clock:
    """Which change has begun, and which has ended: the states that a reader may see lie between the two."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    @contextmanager
    def change(self, n: int) -> Iterator[None]:
        self.begun = n
        yield
        self.ended = n


def beside(change: Callable[[int], None], n_round: int, look: Callable[[], None]) -> None:
    """Makes the changes 1..n_round on this thread while others look; what fails there fails here."""
    failed: list[BaseException] = []
    started, ended = threading.Barrier(N_READER + 1), threading.Event()

    def looking() -> None:
        try:
            look()
            started.wait()
            while not ended.is_set():
                look()
            look()
        except BaseException as error:  # told by the thread that started this one
            failed.append(error)
            started.abort()

    readers = [threading.Thread(target=looking) for _ in range(N_READER)]
    for reader in readers:
        reader.start()
    try:
        started.wait()
        for n in range(1, n_round + 1):
            change(n)
            if failed:
                break
    except threading.BrokenBarrierError:
        pass
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    if failed:
        raise failed[0]


@ROUNDS
def test_set_one_reg_beside_answers(n_round: int) -> None:
    fleet, clock = Fleet.uniform(n_vm=N_VM, n_vcpu=1), Clock()
    calls = Calls.one_each(0x8400_0000, n_vcpu=N_VM)
    fleet.set_one_reg(VERSION, VERSIONS[0])

    def change(n: int) -> None:
        with clock.change(n):
            fleet.set_one_reg(VERSION, VERSIONS[n % 5])
        assert set(fleet.get_one_reg(VERSION).tolist()) == {VERSIONS[n % 5]}
        assert answers(fleet, calls)[0, 0] == VERSIONS[n % 5]

    def look() -> None:
        oldest = clock.ended
        seen = set(answers(fleet, calls)[:, 0].tolist())
        assert len(seen) == 1, "a state between two changes"
        assert seen <= {VERSIONS[n % 5] for n in range(oldest, clock.begun + 1)}, "a stale answer"

    beside(change, n_round, look)


@ROUNDS
def test_install_filter_beside_dispatch(n_round: int) -> None:
    """Each change denies one more id, so how many are denied tells which state a reader saw."""
    n_id = 100
    of_vm = np.repeat(np.arange(N_VM, dtype=np.uint32), n_id)
    calls = Calls.of(of_vm, np.tile(np.arange(BASE, BASE + n_id, dtype=np.uint32), N_VM))
    for first in range(0, n_round, n_id):
        fleet, clock = Fleet.uniform(n_vm=N_VM, n_vcpu=1, host="6.12"), Clock()
        fleet.install_filter(FilterRange(BASE, n_id, FilterAction.FWD_TO_USER), vms=[])

        def change(n: int, fleet: Fleet = fleet, clock: Clock = clock) -> None:
            with clock.change(n):
                fleet.install_filter(FilterRange(BASE + n - 1, 1, FilterAction.FWD_TO_USER))
            if n % 10 == 0:
                fleet.install_filter(FilterRange(BASE + n_id + n, 1, FilterAction.DENY), vms=slice(0, N_VM // 2))

        def look(fleet: Fleet = fleet, clock: Clock = clock) -> None:
            oldest = clock.ended
            is_forwarded = dispatch(fleet, calls).verdict.reshape(N_VM, n_id) == Verdict.FORWARDED
            n_forwarded = is_forwarded.sum(axis=1)
            assert (n_forwarded == n_forwarded[0]).all(), "a state between two changes"
            assert is_forwarded[:, : n_forwarded[0]].all()
            assert oldest <= n_forwarded[0] <= clock.begun, "a stale verdict"

        beside(change, min(n_id, n_round - first), look)


@ROUNDS
def test_run_once_beside_set_one_reg(n_round: int) -> None:
    """A VM that has run keeps its bitmaps, and every later change is refused."""
    fleet, clock = Fleet.uniform(n_vm=n_round, n_vcpu=1, host="6.12"), Clock()
    wants, order = threading.local(), threading.Lock()

    def change(n: int) -> None:
        with clock.change(n):
            fleet.run_once(vms=n - 1)

    def look() -> None:
        wants.value = 1 - getattr(wants, "value", 0)
        oldest = clock.ended
        with order:  # or another reader sets the VMs that have not run in between
            errnos = fleet.try_set_one_reg(STD_BMAP, wants.value)
            newest, values = clock.begun, fleet.get_one_reg(STD_BMAP)
        differs = values != wants.value
        assert (errnos[differs] == EBUSY).all()
        assert set(errnos.tolist()) <= {0, EBUSY}
        assert not (errnos[newest:] != 0).any(), "refused before it ran"
        assert (errnos[:oldest][differs[:oldest]] == EBUSY).all()

    beside(change, n_round, look)
    fleet.check()


def test_threads_that_only_dispatch_build_the_tables_once() -> None:
    calls = Calls.one_each(BASE, n_vcpu=2000)
    for _ in range(50):
        fleet = Fleet.uniform(n_vm=2000, n_vcpu=1, host="6.12")
        for offset, action in ((0, FilterAction.DENY), (16, FilterAction.DENY), (32, FilterAction.FWD_TO_USER)):
            fleet.install_filter(FilterRange(BASE + offset, 2, action), vms=slice(0, 1000 - offset))
        made, start = [], threading.Barrier(8)

        def work(fleet: Fleet = fleet, start: threading.Barrier = start, made: list[object] = made) -> None:
            start.wait()
            made.append((id(fleet.rows()), verdicts(fleet, calls).tobytes()))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [made[0]] * 8


def test_of_threads_that_switch_a_vcpu_on_one_succeeds() -> None:
    calls = Calls.of([0], [0xC400_0003], x1=[1])
    for _ in range(100):
        fleet = Fleet.uniform(n_vm=1, n_vcpu=2)
        fleet.vcpu_init([1], power_off=True)
        verdict, start = verdicts(fleet, calls), threading.Barrier(8)
        got: list[int] = []

        def work(
            fleet: Fleet = fleet, verdict: object = verdict, start: threading.Barrier = start, got: list[int] = got
        ) -> None:
            start.wait()
            got.append(int(switch(fleet, calls, verdict).x0[0]))  # type: ignore[arg-type]

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == [-4] * 7 + [0]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda fleet: pickle.loads(pickle.dumps(fleet))])
def test_a_copy_is_of_one_state(copied: Callable[[Fleet], Fleet]) -> None:
    fleet, clock = Fleet.uniform(n_vm=N_VM, n_vcpu=1, host="6.12"), Clock()
    calls = Calls.one_each(0x8400_0053, n_vcpu=N_VM)

    def change(n: int) -> None:
        with clock.change(n):
            fleet.set_one_reg(STD_BMAP, n % 2)
        fleet.install_filter(FilterRange(BASE + n, 1, FilterAction.DENY), vms=n % N_VM)

    def look() -> None:
        other = copied(fleet)
        other.check()
        assert len(set(other.fw_bmap[:, 0].tolist())) == 1
        assert len(set(verdicts(other, calls).tolist())) == 1
        other.set_one_reg(STD_BMAP, 0)

    beside(change, 100, look)


FORKS = """
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, which is what is tried
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.vm import Fleet
fleet, calls, ended = Fleet.uniform(n_vm=5000, n_vcpu=1), Calls.one_each(0x8400_0053, n_vcpu=5000), threading.Event()
verdicts(fleet, calls)
def work():
    n = 0
    while not ended.is_set():
        n += 1
        fleet.set_one_reg(0x6030_0000_0016_0000, n % 2)
        fleet.rows()
threads = [threading.Thread(target=work) for _ in range(3)]
[thread.start() for thread in threads]
codes = []
for _ in range(20):
    child = os.fork()
    if not child:
        signal.alarm(20)  # which ends a child that waits for a lock for ever
        fleet.set_one_reg(0x6030_0000_0016_0000, 0)
        os._exit(not (verdicts(fleet, calls) == verdicts(fleet, calls)[0]).all())
    codes.append(os.waitpid(child, 0)[1])
ended.set()
[thread.join() for thread in threads]
print(codes)
"""


def test_a_child_forked_in_the_middle_of_a_change_goes_on() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout == f"{[0] * 20}\n", done.stderr


WRITES = """
import sys, threading
import numpy as np
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.answers import answers
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.dispatcher.power import switch
from fastsmc.errors import InputError
from fastsmc.vm import Fleet
n = 20_000
fleet, out, ended = Fleet.uniform(n_vm=500, n_vcpu=4), np.empty(n, np.uint8), threading.Event()
vcpu = np.random.default_rng(0).integers(fleet.n_vcpu, size=n).astype(np.uint32)
good = vcpu.copy()
# Functions whose answers and effects look at other vCPUs and at arguments.
func_id = np.resize(np.array([0x84000053, 0x84000000, 0xC4000003, 0xC4000004, 0xC4000012], np.uint32), n)
calls = Calls(vcpu, func_id, None, np.arange(n, dtype=np.uint64) % 5)
instruments = {
    "verdicts": lambda: verdicts(fleet, calls, out),
    "dispatch": lambda: dispatch(fleet, calls),
    "answers": lambda: answers(fleet, calls),
    "switch": lambda: switch(fleet, calls, out),
}
run = instruments[sys.argv[1]]
verdicts(fleet, calls, out)
run()
def write():
    k = 0
    while not ended.is_set():
        vcpu[k % 7 :: 7] = 0xFFFF_FFF0 - k % 1000
        vcpu[:] = good
        k += 1
writer = threading.Thread(target=write)
writer.start()
done = [0, 0]
try:
    while sum(done) < 600 or (not done[1] and sum(done) < 100_000):
        try:
            run()
            done[0] += 1
        except InputError as error:
            assert "made by vCPU 42949" in str(error) or "written to meanwhile" in str(error), error
            done[1] += 1
finally:
    ended.set()
    writer.join()
print(sum(done) >= 600, done[1] > 0)
"""


@pytest.mark.parametrize("instrument", ["verdicts", "dispatch", "answers", "switch"])
def test_columns_that_are_written_to_meanwhile_are_refused_or_were_good(instrument: str) -> None:
    """A process of its own, because a kernel that trusted such a column would read anywhere."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITES, instrument]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr


def test_threads_that_need_the_pool_at_once_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_pool", None)
    monkeypatch.setattr(parts, "ThreadPoolExecutor", made := Counted())
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        assert sum(parts.share(lambda these: sum(these), range(100), 2)) == 4950

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.n == 1


class Counted:
    """Makes pools and counts them."""

    def __init__(self) -> None:
        self.n, self._make = 0, parts.ThreadPoolExecutor

    def __call__(self, n_thread: int, thread_name_prefix: str) -> parts.ThreadPoolExecutor:
        self.n += 1
        return self._make(n_thread, thread_name_prefix=thread_name_prefix)


def test_a_batch_at_the_end_of_the_interpreter_is_done_by_its_own_thread() -> None:
    program = "import atexit; from fastsmc.jit.threads import share; "
    program += "share(sum, range(9), 2); atexit.register(lambda: print(sum(share(sum, range(100), 2))))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.stderr) == ("4950\n", "")
