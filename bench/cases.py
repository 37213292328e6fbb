"""The cases: what is called, on which fleet, and who else has to answer it. Nothing is timed before all agree."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import inputs
from bench.baseline import Baseline, aligned, stream, stream_name
from bench.levels import here
from bench.plain import Plain
from bench.rows import Rows, reference_vm, rows_of
from bench.timing import Contestant, Times, ratio
from bench.vector import Vector
from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher import answers as answering
from fastsmc.dispatcher import batch as dispatcher
from fastsmc.vm import Fleet

N_PYTHON = 2000
"""How many calls plain Python answers: 0.3 to 3 us each, so whole batches are beyond it."""
N_SEARCH = 2 << 20
"""Most calls that np.searchsorted answers: 40 ns each."""
FULL, QUICK = {"2M": 2 << 20, "64M": 64 << 20}, {"128K": 1 << 17}

U8 = NDArray[np.uint8]


class LeftOut(Exception):
    """Raised for a case that needs what this version does not have."""


@dataclass(slots=True, eq=False)
class Setup:
    """A case ready to be timed, all its contestants known to agree.

    Attributes:
        pattern: what the ids and vCPUs look like, in words.
        more: further figures, made of the times. notes: what else is said of the case, in words.
    """

    pattern: str
    stream: str
    contestants: dict[str, Contestant]
    more: dict[str, Callable[[Times], float]] = field(default_factory=dict)
    clock: Callable[[], int] = time.process_time_ns
    notes: dict[str, str] = field(default_factory=dict)


def accepts(function: Callable[..., Any], name: str) -> bool:
    """Whether the function has that parameter."""
    return name in inspect.signature(function).parameters


def one_thread(function: Callable[..., Any]) -> dict[str, Any]:
    """The argument that keeps a function on one core, where it has one."""
    return {"threads": 1} if accepts(function, "threads") else {}


def verdict_setup(pattern: str, fleet: Fleet, calls: AnyCalls, rows: Rows | None = None) -> tuple[Setup, U8]:
    """Ours, stream, C, NumPy and Python on the same calls; the verdicts are compared whole.

    NumPy and Python are the same on every level, so only the native one has them.
    """
    rows = rows or rows_of(fleet)
    c, vector = Baseline(fleet, rows), Vector(rows)
    n_call = len(calls)
    only = one_thread(dispatcher.verdicts)
    expected, out = dispatcher.verdicts(fleet, calls, aligned(n_call, np.uint8), **only), aligned(n_call, np.uint8)
    others: dict[str, Callable[[Any, U8], None]] = {"c_kernel_style": c.kernel_style, "c_table": c.table}
    for way in vector.ways(calls):
        out[:] = 255
        vector.run(way, calls, out)
        agree(f"c_vector by {way}", out, expected)
    way = vector.fastest(calls, out)
    others["c_vector"] = partial(vector.run, way)
    contestants = {
        "ours": Contestant(lambda: dispatcher.verdicts(fleet, calls, out, **only), n_call),
        "stream": Contestant(lambda: stream(calls, out), n_call),
    }
    if not here().name:
        others |= _without_a_compiler(rows, calls, expected, contestants)
    for name, function in others.items():
        function(calls, out)
        agree(name, out, expected)
    contestants |= {name: Contestant(_bound(function, calls, out), n_call) for name, function in others.items()}
    return Setup(pattern, stream_name(calls, out), contestants, notes={"c_vector": way}), out


def _without_a_compiler(
    rows: Rows, calls: AnyCalls, expected: U8, contestants: dict[str, Contestant]
) -> dict[str, Callable[[Any, U8], None]]:
    """NumPy's ways; plain Python, which answers a part of the calls, becomes a contestant here."""
    plain, n_call = Plain(rows), len(calls)
    place = np.linspace(0, n_call - 1, min(N_PYTHON, n_call)).astype(np.int64)
    vcpu = calls.vcpu[place] if isinstance(calls, Calls) else calls.vcpu_of(place)
    few, few_out = Calls(vcpu, calls.func_id[place]), np.empty(place.size, np.uint8)
    plain.python(few, few_out)
    agree("python", few_out, expected[place])
    contestants["python"] = Contestant(lambda: plain.python(few, few_out), few_out.size)
    others: dict[str, Callable[[Any, U8], None]] = {"numpy": plain.table}
    if n_call <= N_SEARCH and isinstance(calls, Calls):
        others["numpy_search"] = plain.search
    return others


def agree(name: str, found: NDArray[Any], expected: NDArray[Any]) -> None:
    """Every verdict, not a sample.

    Raises:
        AssertionError: naming the first call that differs.
    """
    if not np.array_equal(found, expected):
        c = int(np.flatnonzero(found != expected)[0])
        raise AssertionError(f"{name} says {found[c]} of call {c}, we say {expected[c]}")


def _bound(function: Callable[[Any, U8], None], calls: AnyCalls, out: U8) -> Callable[[], None]:
    return lambda: function(calls, out)


def mixed_known(n_call: int) -> Setup:
    """1024 VMs in random order, policies drawn from all that exist without a filter, random known ids."""
    calls = inputs.random_calls(n_call, 1024, seed=1)
    return verdict_setup("random ids, random VMs", inputs.fleet_of_policies(1024), calls)[0]


def mixed_known_16(n_call: int) -> Setup:
    """The calls of mixed-known with 16 distinct policies."""
    calls = inputs.random_calls(n_call, 1024, seed=2)
    return verdict_setup("random ids, random VMs", inputs.fleet_of_policies(1024, n_policy=16), calls)[0]


def filtered(n_call: int) -> tuple[Fleet, Calls]:
    """256 VMs with 100 ranges each; 2 % of the ids have no name, half of those are near misses."""
    fleet = inputs.fleet_of_policies(256, series=inputs.WITH_FILTER, seed=3)
    inputs.install_ranges(fleet, 100)
    return fleet, inputs.random_calls(n_call, 256, seed=3, unknown_share=0.02)


def mixed_filter(n_call: int) -> Setup:
    """Verdicts of filtered calls, and what one unknown id costs beyond a known one."""
    fleet, calls = filtered(n_call)
    setup, out = verdict_setup("random ids, 2 % unknown, random VMs", fleet, calls)
    named, only = inputs.named_only(calls, seed=3), one_thread(dispatcher.verdicts)
    setup.contestants["named_only"] = Contestant(lambda: dispatcher.verdicts(fleet, named, out, **only), n_call)
    share = inputs.n_unnamed(calls) / n_call
    setup.more["unknown_ns"] = lambda t: float(np.median((t["ours"] - t["named_only"]) / share + t["named_only"]))
    return setup


def grouped_known(n_call: int) -> Setup:
    """Calls grouped by VM, random known ids, no filter: a block per VM, for everybody, so nothing is read but ids."""
    calls = GroupedCalls.from_calls(inputs.random_calls(n_call, 1024, seed=4, grouped=True))
    return verdict_setup("random ids, in blocks by VM", inputs.fleet_of_policies(1024, seed=4), calls)[0]


def grouped_column(n_call: int) -> Setup:
    """The calls of grouped-known in the same order, with a vCPU each."""
    calls = inputs.random_calls(n_call, 1024, seed=4, grouped=True)
    return verdict_setup("random ids, ordered by VM", inputs.fleet_of_policies(1024, seed=4), calls)[0]


def counted(n_call: int) -> Setup:
    """The filtered calls with counters per VM and service; all counters are compared too."""
    fleet, calls = filtered(n_call)
    rows = rows_of(fleet)
    c, plain, out = Baseline(fleet, rows), Plain(rows), aligned(n_call, np.uint8)
    only = one_thread(dispatcher.dispatch)
    if accepts(dispatcher.dispatch, "out"):
        only = {**only, "out": out}
    done = dispatcher.dispatch(fleet, calls, **only)
    expected, by_service, by_vm = done.verdict.copy(), done.by_service.copy(), done.by_vm.copy()
    others: dict[str, tuple[Callable[[Calls, U8], None], Baseline | Plain]] = {
        "c_kernel_style": (c.kernel_style_counted, c),
        "numpy": (plain.table_counted, plain),
    }
    for name, (function, owner) in others.items():
        function(calls, out)
        agree(name, out, expected)
        agree(name, owner.by_service, by_service)
        agree(name, owner.by_vm, by_vm)
    alone = one_thread(dispatcher.verdicts)
    contestants = {
        "ours": Contestant(lambda: dispatcher.dispatch(fleet, calls, **only), n_call),
        "verdicts": Contestant(lambda: dispatcher.verdicts(fleet, calls, out, **alone), n_call),
        "stream": Contestant(lambda: stream(calls, out), n_call),
        **{name: Contestant(_bound(function, calls, out), n_call) for name, (function, _) in others.items()},
    }
    more = {"times_verdicts": lambda t: 1 / ratio(t, "verdicts")}
    return Setup("random ids, 2 % unknown, random VMs", stream_name(calls, out), contestants, more)


def answers(n_call: int) -> Setup:
    """Full answers x0..x3, 32 bytes a call, on the calls of mixed-known; a sample is compared with the reference."""
    function = answering.answers
    fleet, calls = inputs.fleet_of_policies(1024), inputs.random_calls(n_call, 1024, seed=1)
    out, only = aligned(4 * n_call, np.uint64).reshape(n_call, 4), one_thread(function)
    function(fleet, calls, out, **only)
    for c in np.linspace(0, n_call - 1, min(N_PYTHON, n_call)).astype(np.int64).tolist():
        func_id = int(calls.func_id[c])
        outcome = reference_vm(fleet, int(calls.vcpu[c])).call(0, func_id)
        x0, x1, x2, x3 = (int(word) for word in out[c])
        if not outcome.matches((x0, x1, x2, x3)):
            raise AssertionError(f"answers says {out[c]} of call {c}, id {func_id:#x}; the reference {outcome.x}")
    contestants = {
        "ours": Contestant(lambda: function(fleet, calls, out, **only), n_call),
        "stream": Contestant(lambda: stream(calls, out), n_call),
    }
    return Setup("random ids, random VMs", stream_name(calls, out), contestants)


def trace(n_call: int) -> Setup:
    """The recorded guest traces on 1024 vCPUs of 16 VMs, order kept: each call by every vCPU before the next one."""
    calls = inputs.trace_calls(n_call, 1024)
    fleet = inputs.fleet_of_policies(16, n_vcpu=64, seed=5)
    return verdict_setup("real traces, 1024 vCPUs in step", fleet, calls)[0]


def threads_2(n_call: int) -> Setup:
    """mixed-known, frozen, on two threads against one; wall time, so it says something on an idle machine only."""
    if not accepts(dispatcher.verdicts, "threads"):
        raise LeftOut("dispatcher.verdicts has no parameter threads yet")
    if len(os.sched_getaffinity(0)) < 2:
        raise LeftOut("this process may use one core only")
    calls, fleet = inputs.random_calls(n_call, 1024, seed=1).frozen(), inputs.fleet_of_policies(1024)
    setup, out = verdict_setup("random ids, random VMs", fleet, calls)
    two: dict[str, Any] = {"threads": 2}
    agree("two threads", dispatcher.verdicts(fleet, calls, **two), dispatcher.verdicts(fleet, calls, out))
    setup.contestants["one_thread"] = setup.contestants["ours"]
    setup.contestants["ours"] = Contestant(lambda: dispatcher.verdicts(fleet, calls, out, **two), n_call)
    setup.more["vs_one_thread"] = lambda t: ratio(t, "one_thread")
    setup.clock = time.perf_counter_ns
    return setup


def million(n_call: int) -> Setup:
    """1M vCPUs of 100k VMs, 50 policies, against the same policies on 1024 VMs."""
    large = inputs.fleet_of_policies(100_000, n_policy=50, n_vcpu=10, seed=6)
    small = inputs.fleet_of_policies(1024, n_policy=50, seed=6)
    calls = inputs.random_calls(n_call, large.n_vcpu, seed=6)
    setup, out = verdict_setup("random ids, random vCPUs of 1M", large, calls)
    only = one_thread(dispatcher.verdicts)
    for name, is_wide in (("1024_vms", False), ("1024_vms_same_width", True)):
        fewer = inputs.random_calls(n_call, small.n_vcpu, seed=6, wide=is_wide)
        setup.contestants[name] = Contestant(_verdicts(small, fewer, out, only), n_call)
    setup.more["times_1024_vms"] = lambda t: 1 / ratio(t, "1024_vms")
    setup.more["times_1024_vms_same_width"] = lambda t: 1 / ratio(t, "1024_vms_same_width")
    return setup


def million_grouped(n_call: int) -> Setup:
    """The fleets of million with calls in a block per VM, and for 1024 VMs in blocks as long: no look-up by call."""
    large = inputs.fleet_of_policies(100_000, n_policy=50, n_vcpu=10, seed=6)
    small = inputs.fleet_of_policies(1024, n_policy=50, seed=6)
    func_id = inputs.random_calls(n_call, 1, seed=6).func_id
    n_of_vm = np.diff(np.arange(large.n_vm + 1) * n_call // large.n_vm)
    calls = GroupedCalls.of(large.first_vcpu[:-1], func_id, n_call=n_of_vm)
    fewer = GroupedCalls.of(np.arange(large.n_vm) * small.n_vcpu // large.n_vm, func_id, n_call=n_of_vm)
    setup, out = verdict_setup("random ids, in blocks by VM of 100k", large, calls)
    setup.contestants["1024_vms"] = Contestant(_verdicts(small, fewer, out, one_thread(dispatcher.verdicts)), n_call)
    setup.more["times_1024_vms"] = lambda t: 1 / ratio(t, "1024_vms")
    return setup


def _verdicts(fleet: Fleet, calls: AnyCalls, out: U8, only: dict[str, Any]) -> Callable[[], object]:
    return lambda: dispatcher.verdicts(fleet, calls, out, **only)


CASES: dict[str, Callable[[int], Setup]] = {
    "mixed-known": mixed_known,
    "mixed-known-16policies": mixed_known_16,
    "mixed-filter": mixed_filter,
    "grouped-known": grouped_known,
    "grouped-column": grouped_column,
    "counted": counted,
    "answers": answers,
    "trace": trace,
    "threads-2": threads_2,
    "million": million,
    "million-grouped": million_grouped,
}
"""The cases by name; "-2M", "-64M" (quick: "-128K") is appended. The batches are in bench/latency.py."""
ON_LEVELS: dict[str, tuple[str, ...]] = {
    "mixed-known": ("avx2",),
    "mixed-filter": ("avx2",),
    "grouped-known": (),
    "trace": (),
}
"""The cases that every level has, at the smallest size; and those of which levels have all sizes."""
NOT_ASKED = frozenset({"grouped-column", "million-grouped"})
"""Cases without a number to reach, which stand beside others."""
