"""Dispatch over its scale axes, one axis at a time; the pattern of the calls is part of every name.

Inputs rotate over 64 arrays, 2M calls together, so that no branch predictor learns them; what is constant or a trace
is learnt, as it would be in real life. ns per call = mean time / extra_info["calls_per_round"].
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import pytest

from bench import inputs
from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls, batch, replay
from fastsmc.dispatcher.batch import dispatch, verdicts
from fastsmc.facts.smccc import Verdict
from fastsmc.traces.text import traced_calls as read_trace
from fastsmc.vm import Fleet

N_CALL, N_ROTATED = 1 << 15, 64
TRACE = inputs.ROOT / inputs.TRACES[0]
Pattern = Callable[[int, int, int], Calls]


def random(n_call: int, n_vcpu: int, seed: int) -> Calls:
    """Named ids and vCPUs, evenly and independently."""
    return inputs.random_calls(n_call, n_vcpu, seed=seed)


def grouped(n_call: int, n_vcpu: int, seed: int) -> Calls:
    """Named ids, evenly; vCPUs in ascending order."""
    return inputs.random_calls(n_call, n_vcpu, seed=seed, grouped=True)


def real_trace(n_call: int, n_vcpu: int, seed: int) -> Calls:
    """Recorded guests on all vCPUs in step."""
    return inputs.trace_calls(n_call, n_vcpu)


def constant(n_call: int, n_vcpu: int, seed: int) -> Calls:
    """One id by one vCPU."""
    calls = inputs.random_calls(1, n_vcpu, seed=seed)
    return Calls(calls.vcpu.repeat(n_call), calls.func_id.repeat(n_call))


def rotated(benchmark: Any, function: Callable[[Any], object], make: Callable[[int], AnyCalls], **info: Any) -> None:
    """Times the function on one array after the other; on a single one when nothing is timed."""
    turn = cycle([make(seed) for seed in range(1 if benchmark.disabled else N_ROTATED)])
    first = next(turn)
    function(first)
    benchmark.extra_info.update(calls_per_round=len(first), **info)
    benchmark(lambda: function(next(turn)))


def kernel(benchmark: Any, fleet: Fleet, make: Callable[[int], AnyCalls], **info: Any) -> None:
    """Writes verdicts into an array that is there already."""
    out = np.full(N_CALL, 255, np.uint8)
    rotated(benchmark, lambda calls: verdicts(fleet, calls, out), make, n_vcpu=fleet.n_vcpu, n_vm=fleet.n_vm, **info)
    assert int(out.max()) <= max(Verdict)


@pytest.mark.benchmark(group="kernel: verdicts by pattern, 1024 VMs")
@pytest.mark.parametrize("pattern", [random, grouped, real_trace, constant], ids=lambda pattern: pattern.__name__)
def bench_pattern(benchmark: Any, pattern: Pattern) -> None:
    fleet = inputs.fleet_of_policies(1024)
    kernel(benchmark, fleet, lambda seed: pattern(N_CALL, 1024, seed), pattern=pattern.__name__)


@pytest.mark.benchmark(group="kernel: verdicts by calls in a block, 1024 VMs")
@pytest.mark.parametrize("calls_in_block", [1, 32, 128, 2048])
@pytest.mark.parametrize("pattern", ["random"])
def bench_blocks(benchmark: Any, pattern: str, calls_in_block: int) -> None:
    def make(seed: int) -> GroupedCalls:
        calls = inputs.random_calls(N_CALL, 1024, seed=seed)
        n_block = N_CALL // calls_in_block
        return GroupedCalls.of(calls.vcpu[:n_block], calls.func_id, n_call=np.full(n_block, calls_in_block))

    kernel(benchmark, inputs.fleet_of_policies(1024), make, calls_in_block=calls_in_block)


@pytest.mark.benchmark(group="kernel: verdicts by vCPUs of one VM")
@pytest.mark.parametrize("n_vcpu", [1, 32, 1024, 1 << 15, 1 << 20])
@pytest.mark.parametrize("pattern", [random], ids=["random"])
def bench_vcpus(benchmark: Any, pattern: Pattern, n_vcpu: int) -> None:
    kernel(benchmark, Fleet.uniform(n_vm=1, n_vcpu=n_vcpu), lambda seed: pattern(N_CALL, n_vcpu, seed))


@pytest.mark.benchmark(group="kernel: verdicts by VMs of one vCPU, 50 policies")
@pytest.mark.parametrize("n_vm", [1, 300, 100_000])
@pytest.mark.parametrize("pattern", [random, grouped], ids=["random", "grouped"])
def bench_vms(benchmark: Any, pattern: Pattern, n_vm: int) -> None:
    fleet = inputs.fleet_of_policies(n_vm, n_policy=min(50, n_vm))
    kernel(benchmark, fleet, lambda seed: pattern(N_CALL, n_vm, seed))


@pytest.mark.benchmark(group="kernel: verdicts by policies of 1024 VMs")
@pytest.mark.parametrize("n_policy", [1, 16, 128, 1000])
@pytest.mark.parametrize("pattern", [random], ids=["random"])
def bench_policies(benchmark: Any, pattern: Pattern, n_policy: int) -> None:
    fleet = inputs.fleet_of_policies(1024, n_policy=n_policy)
    kernel(benchmark, fleet, lambda seed: pattern(N_CALL, 1024, seed), n_policy=n_policy)


@pytest.mark.benchmark(group="kernel: verdicts by ranges of a filter, 2 % unknown, 64 VMs")
@pytest.mark.parametrize("n_range", [0, 32, 300, 3000])
@pytest.mark.parametrize("pattern", ["random"])
def bench_ranges(benchmark: Any, pattern: str, n_range: int) -> None:
    fleet = inputs.fleet_of_policies(64, series=inputs.WITH_FILTER)
    inputs.install_ranges(fleet, n_range, n_filter=4)
    make = _with_unknown(0.02)
    kernel(benchmark, fleet, make, n_range=n_range)


@pytest.mark.benchmark(group="kernel: verdicts by share of unknown ids, 100 ranges, 64 VMs")
@pytest.mark.parametrize("unknown_percent", [0, 2, 50, 100])
@pytest.mark.parametrize("pattern", ["random"])
def bench_unknown(benchmark: Any, pattern: str, unknown_percent: int) -> None:
    fleet = inputs.fleet_of_policies(64, series=inputs.WITH_FILTER)
    inputs.install_ranges(fleet, 100, n_filter=16)
    kernel(benchmark, fleet, _with_unknown(unknown_percent / 100), unknown_percent=unknown_percent)


def _with_unknown(share: float) -> Callable[[int], Calls]:
    return lambda seed: inputs.random_calls(N_CALL, 64, seed=seed, unknown_share=share)


@pytest.mark.benchmark(group="kernel: verdicts with arguments looked at, 1024 VMs")
@pytest.mark.parametrize("pattern", [random], ids=["random"])
def bench_arguments(benchmark: Any, pattern: Pattern) -> None:
    def make(seed: int) -> Calls:
        calls = pattern(N_CALL, 1024, seed)
        x1 = np.random.default_rng(seed).integers(2, size=N_CALL, dtype=np.uint64)
        return Calls(calls.vcpu, calls.func_id, x1=x1, x2=np.zeros(N_CALL, np.uint64))

    kernel(benchmark, inputs.fleet_of_policies(1024), make)


@pytest.mark.benchmark(group="operation: dispatch with counters, 1024 VMs")
@pytest.mark.parametrize("pattern", [random, grouped, real_trace, constant], ids=lambda pattern: pattern.__name__)
def bench_counted(benchmark: Any, pattern: Pattern) -> None:
    fleet = inputs.fleet_of_policies(1024)
    rotated(benchmark, lambda calls: dispatch(fleet, calls), lambda seed: pattern(N_CALL, 1024, seed), n_vcpu=1024)


@pytest.mark.benchmark(group="operation: verdicts, every vCPU calls once")
@pytest.mark.parametrize("n_vcpu", [1, 16, 64, 256, 1024, 16384])
@pytest.mark.parametrize("pattern", ["real_trace"])
def bench_batch(benchmark: Any, pattern: str, n_vcpu: int) -> None:
    """Step k of a trace on all vCPUs, one step after the other."""
    fleet = Fleet.uniform(n_vm=max(1, n_vcpu // 64), n_vcpu=min(64, n_vcpu))
    trace = read_trace(TRACE)
    rotated(
        benchmark,
        lambda calls: verdicts(fleet, calls),
        lambda seed: batch(trace, seed % len(trace), n_vcpu=n_vcpu),
        n_vcpu=n_vcpu,
    )


@pytest.mark.benchmark(group="scenario: a guest's boot on 1024 vCPUs, counted")
@pytest.mark.parametrize("n_vm", [1, 16, 1024])
@pytest.mark.parametrize("pattern", ["real_trace"])
def bench_boot(benchmark: Any, pattern: str, n_vm: int) -> None:
    fleet = Fleet.uniform(n_vm=n_vm, n_vcpu=1024 // n_vm)
    calls = replay(read_trace(TRACE), n_vcpu=1024)
    benchmark.extra_info.update(n_vcpu=1024, calls_per_round=len(calls))
    done = benchmark(dispatch, fleet, calls)
    assert int(done.by_service[:, Verdict.FORWARDED].sum()) == 0


@pytest.mark.benchmark(group="scenario: 20 filters tried on one fleet, tables rebuilt each time")
@pytest.mark.parametrize("pattern", [random], ids=["random"])
def bench_sweep(benchmark: Any, pattern: Pattern) -> None:
    """What a planner does: the same calls under other filters."""
    calls = pattern(N_CALL, 256, 1)

    def sweep() -> int:
        n_denied = 0
        for n_range in range(20):
            fleet = Fleet.uniform(n_vm=16, n_vcpu=16)
            inputs.install_ranges(fleet, n_range, n_filter=1)
            n_denied += int(dispatch(fleet, calls).by_service[:, Verdict.DENIED].sum())
        return n_denied

    benchmark.extra_info.update(n_vcpu=256, calls_per_round=20 * len(calls))
    assert benchmark(sweep) > 0
