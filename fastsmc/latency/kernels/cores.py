"""How long a call waits and is served: where each vCPU has a core, and where vCPUs share cores.

Overcommit is round robin. How many other threads want a vCPU's core is drawn anew for each call, from what
`latency.overcommit` finds. A thread whose slice is over waits for one turn of each of the others; a lock that it holds
stays held. A thread that slept for the lock waits for what is left of one turn and for whole turns of the rest; until
then the lock is free for whoever runs, as a pthread mutex is (tests/latency/test_overcommit.py has how far this is from
round robin itself).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import inner_kernel
from fastsmc.latency.kernels.entries import (
    BUSY,
    ENTER,
    FORWARDED,
    HAS_LOCK,
    IS_CLOSED,
    OTHERS,
    QUEUED,
    RAN,
    REST,
    SLICE,
    SPREAD,
    SQUARES,
    TURN,
    TURNS,
)
from fastsmc.latency.kernels.variates import STEP, mixed, unit

F64Array = NDArray[np.float64]
I64Array = NDArray[np.int64]
U64Array = NDArray[np.uint64]

u64 = np.uint64


class OneVm(NamedTuple):
    """One VM: of each vCPU its next call, its stream, what is left of its burst, what it used of its slice, its step.

    Attributes:
        free: when the lock or each worker is free.
        tree: the tournament; tree[1] is the vCPU that calls next.
        total: float64[N_SUM], what the VM's calls add up to.
    """

    clock: F64Array
    stream: U64Array
    left: F64Array
    used: F64Array
    position: I64Array
    free: F64Array
    tree: I64Array
    total: F64Array


class Call(NamedTuple):
    """One call as it is drawn: who makes it, when, its class and that class's ns, the VMM's work, the pause after it.

    Attributes:
        class_ns: below 0, the call goes to the VMM.
        word: where the vCPU's stream stands.
    """

    vcpu: int
    now: float
    c: int
    class_ns: float
    work: float
    pause: float
    word: np.uint64


@inner_kernel
def _run(ns: float, vcpu: int, law: F64Array, vm: OneVm) -> float:
    """Lets a vCPU run for so long; returns how many times its slice is over."""
    run, time_slice = vm.used[vcpu] + ns, law[SLICE]
    times = float(np.floor(run / time_slice))
    vm.used[vcpu] = run - times * time_slice
    vm.total[TURNS] += times
    vm.total[RAN] += times * time_slice
    vm.total[SQUARES] += times * time_slice * time_slice
    return times


@inner_kernel
def _stop(vcpu: int, vm: OneVm) -> None:
    """A vCPU leaves its core of its own accord, and will come back to a whole slice."""
    vm.total[TURNS] += 1.0
    vm.total[RAN] += vm.used[vcpu]
    vm.total[SQUARES] += vm.used[vcpu] * vm.used[vcpu]
    vm.used[vcpu] = 0.0


@inner_kernel
def _ahead(word: np.uint64, law: F64Array) -> float:
    """How many other threads have their turn before a thread has its next one; draws two words."""
    bits, low = mixed(word + STEP), u64(0xFFFF)
    four = (bits & low) + (bits >> u64(16) & low) + (bits >> u64(32) & low) + (bits >> u64(48))
    normal = (np.float64(four) * 2.0**-16 - 2.0) * 3.0**0.5  # nearly: four uniform ones, of variance 1/12
    others = max(law[OTHERS] + law[SPREAD] * normal, 0.0)
    return float(np.floor(others + unit(word + STEP + STEP)))


@inner_kernel
def _first_free(free: F64Array) -> int:
    worker = 0
    for k in range(1, free.size):
        if free[k] < free[worker]:
            worker = k
    return worker


@inner_kernel
def on_a_core(call: Call, law: F64Array, vm: OneVm) -> tuple[float, float]:
    """A call where each vCPU has a core: how long it waits for the lock or a worker, and how long it is served."""
    if call.class_ns >= 0.0:
        return 0.0, call.class_ns
    arrival = call.now + law[ENTER]
    worker = _first_free(vm.free)
    start = max(vm.free[worker], arrival)
    vm.free[worker] = (start + call.work) * law[HAS_LOCK]
    vm.total[FORWARDED] += 1.0
    vm.total[BUSY] += call.work
    return start - arrival, law[ENTER] + call.work


@inner_kernel
def on_few_cores(call: Call, law: F64Array, vm: OneVm) -> tuple[float, float, float, np.uint64]:
    """A call where vCPUs share cores: how long it waits and is served, and what others take of the pause after it."""
    vcpu, ahead = call.vcpu, _ahead(call.word, law)
    word = call.word + STEP + STEP
    aside = ahead * law[TURN]
    if call.class_ns >= 0.0:
        wait, served = _run(call.class_ns, vcpu, law, vm) * aside, call.class_ns
    else:
        arrival, served = call.now + law[ENTER], law[ENTER] + call.work
        wait = _run(law[ENTER], vcpu, law, vm) * aside
        worker = _first_free(vm.free)
        start = max(vm.free[worker], arrival)
        if start > arrival:
            wait += start - arrival
            vm.total[QUEUED] += start - arrival
            _stop(vcpu, vm)
            word += STEP
            if ahead > 0.0:
                wait += (ahead - 1.0) * law[TURN] + unit(word) * law[REST]
        held = _run(call.work, vcpu, law, vm) * aside  # waits for a core, and the lock is not free
        wait += held
        vm.free[worker] = (start + call.work + held) * law[HAS_LOCK]
        vm.total[FORWARDED] += 1.0
        vm.total[BUSY] += call.work + held
    if law[IS_CLOSED] > 0.0:
        return wait, served, _run(call.pause, vcpu, law, vm) * aside, word
    _stop(vcpu, vm)
    return wait, served, 0.0, word
