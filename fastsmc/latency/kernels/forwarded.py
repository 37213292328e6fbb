"""`lanes` where every call goes to the VMM: nothing is drawn but times, and every call is counted in full."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.cache_lines import empty_on_lines
from fastsmc.jit.compiled import borrowing_kernel, inner_lane_kernel
from fastsmc.jit.lane_ops import prefer_wide
from fastsmc.latency.kernels.entries import ENTER, HAS_LOCK, IS_CLOSED, WORK
from fastsmc.latency.kernels.lanes import ONE, Drawn, Front, Totals, add_call, draw, sink, totals_of
from fastsmc.latency.kernels.variates import bucket
from fastsmc.results.log_linear import N_BUCKET

F64Array = NDArray[np.float64]
I64Array = NDArray[np.int64]
U64Array = NDArray[np.uint64]
U32Array = NDArray[np.uint32]

BLOCK, STEPS = 256, 4
"""BLOCK VMs run side by side, and STEPS steps lie between two passes over the histogram. Measured: 128 VMs and 8 steps
are 1.1x slower."""


class Buckets(NamedTuple):
    """The buckets that calls of some steps fall into, in a class's row of counts."""

    waiting: U32Array
    served: U32Array
    response: U32Array


@inner_lane_kernel
def _call(front: Front, drawn: Drawn, law: F64Array, totals: Totals, found: Buckets) -> None:
    """The next call of each VM. Buckets are found while the times are in registers: 1.2x (measured)."""
    prefer_wide()
    for i in range(front.clock.size):
        work, pause, now = drawn.work[i], drawn.pause[i], front.clock[i]
        arrival = now + law[ENTER]
        start = max(front.free[i], arrival)
        wait, served = start - arrival, law[ENTER] + work
        front.free[i] = (start + work) * law[HAS_LOCK]
        front.clock[i] = now + pause + (wait + served) * law[IS_CLOSED]
        found.waiting[i] = bucket(wait)
        found.served[i] = bucket(served) + N_BUCKET
        found.response[i] = bucket(wait + served) + 2 * N_BUCKET
        add_call(totals, i, wait, work, served)


@inner_lane_kernel
def _count(waiting: U32Array, served: U32Array, response: U32Array, counts: U32Array) -> None:
    """Counts calls by turns in three histograms: neighbours often share a bucket, where one write waits for another."""
    for i in range(waiting.size):
        counts[np.uint64(waiting[i])] += ONE
        counts[np.uint64(served[i])] += ONE
        counts[np.uint64(response[i])] += ONE


def scratch(n_vm: int, law: F64Array) -> tuple[F64Array, U32Array]:
    """What `simulate_forwarded` keeps between its loops; fixed work is written here."""
    times = empty_on_lines(2 * n_vm, np.float64)
    times[:] = law[WORK]
    return times, empty_on_lines(3 * STEPS * n_vm, np.uint32)


@borrowing_kernel
def simulate_forwarded(
    clock: F64Array,
    stream: U64Array,
    free: F64Array,
    law: F64Array,
    n_step: int,
    per_vm: F64Array,
    n_of_class: I64Array,
    counts: U32Array,
    times: F64Array,
    buckets: U32Array,
) -> None:
    """Takes a block of VMs through `n_step` calls each; arrays as those of `lanes.simulate_block`, and of `scratch`."""
    n_vcpu, n_vm = clock.shape
    size = STEPS * n_vm
    front, totals, drawn = Front(clock[0], free), totals_of(per_vm), Drawn(times[:n_vm], times[n_vm:])
    waiting, served, response = buckets[:size], buckets[size : 2 * size], buckets[2 * size : 3 * size]
    for done in range(0, n_step, STEPS):
        n = min(STEPS, n_step - done)
        for k in range(n):
            at = slice(k * n_vm, (k + 1) * n_vm)
            draw(stream[0], law, drawn)
            _call(front, drawn, law, totals, Buckets(waiting[at], served[at], response[at]))
            for j in range(1, n_vcpu):
                sink(clock[j - 1], stream[j - 1], clock[j], stream[j])
        made = n * n_vm
        _count(waiting[:made], served[:made], response[:made], counts[0])
        n_of_class[0] += made
