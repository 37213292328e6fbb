"""Power state: vCPUs that switch each other on and off, call after call."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import pytest

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.dispatcher.power import switch
from fastsmc.reference.psci import mpidr_affinity
from fastsmc.vm import Fleet

CPU_OFF, CPU_ON = 0x8400_0002, 0xC400_0003
N_CALL, N_ROTATED = 1 << 15, 64


def random_calls(n_vm: int, n_vcpu: int, seed: int) -> Calls:
    """CPU_ON of random vCPUs of the caller's VM, and now and then CPU_OFF."""
    rng = np.random.default_rng([9, seed])
    affinity = np.array([mpidr_affinity(v) for v in range(n_vcpu)], np.uint64)
    func_id = np.where(rng.random(N_CALL) < 0.2, np.uint32(CPU_OFF), np.uint32(CPU_ON))
    return Calls(rng.integers(n_vm * n_vcpu, size=N_CALL, dtype=np.uint32), func_id, x1=rng.choice(affinity, N_CALL))


@pytest.mark.benchmark(group="kernel: power state, 32768 calls")
@pytest.mark.parametrize("n_vcpu", [64, 512])
@pytest.mark.parametrize("pattern", ["random"])
def bench_switch(benchmark: Any, pattern: str, n_vcpu: int) -> None:
    fleet = Fleet.uniform(n_vm=1024 // n_vcpu, n_vcpu=n_vcpu)
    drawn = [random_calls(fleet.n_vm, n_vcpu, seed) for seed in range(1 if benchmark.disabled else N_ROTATED)]
    turn = cycle([(calls, verdicts(fleet, calls)) for calls in drawn])
    benchmark.extra_info.update(n_vcpu=1024, calls_per_round=N_CALL)
    done = benchmark(lambda: switch(fleet, *next(turn)))
    assert done.ran.any() or benchmark.enabled
    assert done.ran.any()
