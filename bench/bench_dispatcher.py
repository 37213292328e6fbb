"""Dispatch: the kernel, the public operation, and a guest's trace on 1024 vCPUs.

Inputs rotate over many arrays, so that no branch predictor learns one; the pattern of the calls is part of every name.
ns per call = mean time / extra_info["calls_per_round"].
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastsmc.dispatcher import dispatch, verdicts
from fastsmc.filters import FilterRange
from fastsmc.smccc import FUNCTIONS, Verdict
from fastsmc.traces import read_trace
from fastsmc.vm import Fleet
from fastsmc.workload import Calls, batch, replay

N_ROTATED = 64
KNOWN = np.array([f.func_id for f in FUNCTIONS], np.uint32)
TRACE = Path(__file__).parents[1] / "fastsmc" / "data" / "linux-7.3-guest-boot.ftrace.txt"


def random_known(n_call: int, n_vcpu: int, seed: int) -> Calls:
    """Known ids and vCPUs, evenly and independently."""
    rng = np.random.default_rng(seed)
    return Calls.of(rng.integers(0, n_vcpu, n_call, np.uint32), rng.choice(KNOWN, n_call))


def random_unknown(n_call: int, n_vcpu: int, seed: int) -> Calls:
    """Ids from all 2**32."""
    rng = np.random.default_rng(seed)
    return Calls.of(rng.integers(0, n_vcpu, n_call, np.uint32), rng.integers(0, 1 << 32, n_call, np.uint32))


@pytest.mark.benchmark(group="kernel: verdicts of random ids, 32768 calls")
@pytest.mark.parametrize("n_range", [0, 32, 500])
@pytest.mark.parametrize("pattern", [random_known, random_unknown], ids=lambda pattern: pattern.__name__)
def bench_verdicts(benchmark: BenchmarkFixture, pattern, n_range: int) -> None:  # type: ignore[no-untyped-def]
    fleet = Fleet.uniform(n_vm=16, n_vcpu=64)
    fleet.install_filter([FilterRange(0x1000_0000 + 0x10_0000 * n, 256, n % 3) for n in range(n_range)])
    batches = [pattern(1 << 15, fleet.n_vcpu, seed) for seed in range(N_ROTATED)]
    turn = cycle(batches)
    out = np.empty(1 << 15, np.uint8)
    benchmark.extra_info.update(n_vcpu=fleet.n_vcpu, calls_per_round=1 << 15, n_range=n_range)
    benchmark(lambda: verdicts(fleet, next(turn), out))
    assert np.array_equal(verdicts(fleet, batches[0]), verdicts(fleet, batches[0], out))


@pytest.mark.benchmark(group="operation: dispatch with counters, every vCPU calls once")
@pytest.mark.parametrize("n_vcpu", [1, 16, 64, 256, 1024])
def bench_batch(benchmark: BenchmarkFixture, n_vcpu: int) -> None:
    fleet = Fleet.uniform(n_vm=max(1, n_vcpu // 64), n_vcpu=min(64, n_vcpu))
    trace = read_trace(TRACE)
    turn = cycle([batch(trace, k, n_vcpu=n_vcpu) for k in range(len(trace))])
    benchmark.extra_info.update(n_vcpu=n_vcpu, calls_per_round=n_vcpu, pattern="real trace")
    done = benchmark(lambda: dispatch(fleet, next(turn)))
    assert int(done.by_vm.sum()) == n_vcpu


@pytest.mark.benchmark(group="scenario: a guest's boot on 1024 vCPUs")
@pytest.mark.parametrize("n_vm", [1, 16])
def bench_trace(benchmark: BenchmarkFixture, n_vm: int) -> None:
    fleet = Fleet.uniform(n_vm=n_vm, n_vcpu=1024 // n_vm)
    calls = replay(read_trace(TRACE), n_vcpu=1024)
    benchmark.extra_info.update(n_vcpu=1024, calls_per_round=len(calls), pattern="real trace")
    done = benchmark(dispatch, fleet, calls)
    assert int(done.by_service[:, Verdict.FORWARDED].sum()) == 0
