"""Many VMs of few vCPUs each, simulated side by side: VMs are the lanes of vector registers.

A step takes every VM of a block to its next call. Each VM's vCPUs are kept in the order of their next calls, so the
next one is always in row 0, and after its call it sinks to its place: K - 1 comparisons, free of branches. Within a VM
calls are made in order of time, so calls that need the VMM come to its lock in that order, first come, first served;
when the lock is next free (`free`) is then all there is to know of the queue.

Arrays of state are laid out [row, n_vm]; a block is BLOCK VMs side by side. Times are float64 ns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.cache_lines import empty_on_lines
from fastsmc.jit.compiled import borrowing_kernel, inner_kernel, inner_lane_kernel
from fastsmc.jit.lane_ops import larger, prefer_wide, smaller
from fastsmc.jit.simd import fma
from fastsmc.latency.kernels.entries import (
    BUSY,
    ENTER,
    FORWARDED,
    GAP,
    HAS_LOCK,
    IS_CLOSED,
    MOST_RESPONSE,
    MOST_SERVED,
    MOST_WAITING,
    RANDOM_GAP,
    RANDOM_WORK,
    RESPONSE,
    WAITING,
    WORK,
)
from fastsmc.latency.kernels.variates import STEP, bucket, exponential, mixed
from fastsmc.results.log_linear import N_BUCKET

F64Array = NDArray[np.float64]
I64Array = NDArray[np.int64]
U64Array = NDArray[np.uint64]
U32Array = NDArray[np.uint32]

BLOCK = 128
"""VMs side by side. Measured on Zen 4: 64 is 1.15x slower (calls of step functions), 256 no faster."""
STEPS = 8
"""Steps between two passes over the histogram; 16 leave L1 and are 1.1x slower, 4 are 1.2x slower."""
ONE = np.uint32(1)
_CLASS_0, _CLASS_1, _NOTHING = np.uint64(0), np.uint64(1), np.uint64(0)


class Front(NamedTuple):
    """The front of each VM's queue: when its next vCPU calls, and when the VMM's lock is free."""

    clock: F64Array
    free: F64Array


class Made(NamedTuple):
    """Calls of some steps: their class, its ns (below 0: forwarded), and how long each waited and was served."""

    kind: U64Array
    kernel_ns: F64Array
    wait_ns: F64Array
    served_ns: F64Array


class Totals(NamedTuple):
    """Rows of `per_vm`, one array each."""

    forwarded: F64Array
    waiting: F64Array
    busy: F64Array
    response: F64Array
    most_waiting: F64Array
    most_served: F64Array
    most_response: F64Array


@inner_lane_kernel
def _first_classes(
    stream: U64Array,
    threshold: np.uint64,
    kernel_0: float,
    kernel_1: float,
    bits: U64Array,
    kind: U64Array,
    kernel_ns: F64Array,
) -> None:
    """Draws what decides each VM's class, and class 0 or 1; further classes are told apart by the same bits."""
    prefer_wide()
    for i in range(bits.size):
        word = stream[i] + STEP
        stream[i] = word
        drawn = mixed(word)
        bits[i] = drawn
        is_next = drawn >= threshold
        kind[i] = _CLASS_1 if is_next else _CLASS_0
        kernel_ns[i] = kernel_1 if is_next else kernel_0


@inner_lane_kernel
def _later_class(bits: U64Array, threshold: np.uint64, kernel_c: float, kind: U64Array, kernel_ns: F64Array) -> None:
    """Tells one class more from those before it. The sum with 0.0 keeps LLVM from a store under a mask (`larger`)."""
    prefer_wide()
    for i in range(bits.size):
        is_next, before = bits[i] >= threshold, kernel_ns[i]
        kind[i] += _CLASS_1 if is_next else _CLASS_0
        kernel_ns[i] = (kernel_c if is_next else before) + 0.0


class Drawn(NamedTuple):
    """What is drawn for a call by each VM: the VMM's work for it, and the pause after it."""

    work: F64Array
    pause: F64Array


@inner_lane_kernel
def _draw_times(stream: U64Array, skip: np.uint64, random: float, fixed: float, out: F64Array) -> None:
    """A span of time from each stream's word `skip` further on."""
    prefer_wide()
    for i in range(stream.size):
        word = stream[i] + skip
        stream[i] = word
        out[i] = fma(exponential(mixed(word)), random, fixed)


@inner_kernel
def draw(stream: U64Array, law: F64Array, found: Drawn) -> None:
    """Draws work and pause. Work that is fixed has been written once; its word is passed over."""
    skip = STEP + STEP
    if law[RANDOM_WORK] > 0.0:
        _draw_times(stream, STEP, law[RANDOM_WORK], law[WORK], found.work)
        skip = STEP
    _draw_times(stream, skip, law[RANDOM_GAP], law[GAP], found.pause)


@inner_lane_kernel
def add_call(totals: Totals, i: int, wait: float, work: float, served: float) -> None:
    """Adds a call of VM i to what its calls add up to; `work` is that under the lock, 0.0 for a call in the kernel."""
    totals.waiting[i] += wait
    totals.busy[i] += work
    totals.response[i] += wait + served
    totals.most_waiting[i] = larger(totals.most_waiting[i], wait)
    totals.most_served[i] = larger(totals.most_served[i], served)
    totals.most_response[i] = larger(totals.most_response[i], wait + served)


@inner_lane_kernel
def _call(front: Front, drawn: Drawn, law: F64Array, totals: Totals, made: Made) -> None:
    """One call by each VM's next vCPU, and when that vCPU calls again."""
    prefer_wide()
    enter, is_closed, has_lock = law[ENTER], law[IS_CLOSED], law[HAS_LOCK]
    for i in range(front.clock.size):
        work, pause, now = drawn.work[i], drawn.pause[i], front.clock[i]
        arrival = now + enter
        start = max(front.free[i], arrival)
        kernel_ns = made.kernel_ns[i]
        is_forwarded = kernel_ns < 0.0
        wait = start - arrival if is_forwarded else 0.0
        # No lock is free before it was, so the larger is the later, or what it was where the call is not forwarded.
        front.free[i] = larger(front.free[i], (start + work) * has_lock if is_forwarded else 0.0)
        served = enter + work if is_forwarded else kernel_ns
        front.clock[i] = now + pause + (wait + served) * is_closed
        made.wait_ns[i], made.served_ns[i] = wait, served
        totals.forwarded[i] += 1.0 if is_forwarded else 0.0
        add_call(totals, i, wait, work if is_forwarded else 0.0, served)


@inner_lane_kernel
def sink(front: F64Array, front_stream: U64Array, clock: F64Array, stream: U64Array) -> None:
    """Puts two rows in order of time; of equal times, the one that was behind comes first."""
    prefer_wide()
    for i in range(front.size):
        mine, other = front[i], clock[i]
        my_stream, other_stream = front_stream[i], stream[i]
        front[i] = smaller(mine, other)
        clock[i] = larger(mine, other)
        change = my_stream ^ other_stream if other <= mine else _NOTHING
        front_stream[i] = my_stream ^ change
        stream[i] = other_stream ^ change


@inner_lane_kernel
def _list_forwarded(kernel_ns: F64Array, out: U64Array) -> int:
    """Lists the calls that were forwarded, without a branch; returns how many. `out` has room for one more."""
    n = 0
    for i in range(kernel_ns.size):
        out[n] = np.uint64(i)
        n += 1 if kernel_ns[i] < 0.0 else 0
    return n


@inner_lane_kernel
def _count_listed(
    listed: U64Array,
    made: Made,
    counts: U32Array,
    sums: F64Array,
) -> None:
    for k in range(listed.size):
        i = listed[k]
        c, wait, served = made.kind[i], made.wait_ns[i], made.served_ns[i]
        counts[c, bucket(wait)] += ONE
        counts[c, bucket(served) + N_BUCKET] += ONE
        counts[c, bucket(wait + served) + 2 * N_BUCKET] += ONE
        sums[c, 0] += wait
        sums[c, 1] += served
        sums[c, 2] = max(sums[c, 2], wait)
        sums[c, 3] = max(sums[c, 3], served)
        sums[c, 4] = max(sums[c, 4], wait + served)


@inner_lane_kernel
def _n_of(kind: U64Array, c: np.uint64) -> int:
    n = 0
    for i in range(kind.size):
        n += 1 if kind[i] == c else 0
    return n


@inner_kernel
def totals_of(per_vm: F64Array) -> Totals:
    """The rows that every kernel adds to, as arrays that do not overlap."""
    return Totals(
        per_vm[FORWARDED],
        per_vm[WAITING],
        per_vm[BUSY],
        per_vm[RESPONSE],
        per_vm[MOST_WAITING],
        per_vm[MOST_SERVED],
        per_vm[MOST_RESPONSE],
    )


def scratch(n_vm: int, class_ns: F64Array, law: F64Array) -> tuple[F64Array, U64Array]:
    """What `simulate_block` keeps between its loops; of one class and of fixed work, every call's is written here."""
    times = empty_on_lines((2 + 3 * STEPS) * n_vm, np.float64)
    words = empty_on_lines((1 + 2 * STEPS) * n_vm + 1, np.uint64)
    times[:n_vm], times[2 * n_vm : (2 + STEPS) * n_vm] = law[WORK], class_ns[0]
    words[:] = 0
    return times, words


@borrowing_kernel
def simulate_block(
    clock: F64Array,
    stream: U64Array,
    free: F64Array,
    threshold: U64Array,
    class_ns: F64Array,
    law: F64Array,
    n_step: int,
    per_vm: F64Array,
    n_of_class: I64Array,
    counts: U32Array,
    sums: F64Array,
    times: F64Array,
    words: U64Array,
) -> None:
    """Takes a block of VMs through `n_step` calls each.

    float64[n_vcpu, n_vm], each column ascending, uint64[n_vcpu, n_vm], float64[n_vm], uint64[n_class - 1],
    float64[n_class], negative where the class is forwarded, float64[N_LAW] -> added to float64[N_SUM, n_vm],
    int64[n_class], uint32[n_class, 3 * N_BUCKET] (waiting, service, response, of forwarded classes) and
    float64[n_class, 5] (sums of waiting and service, the largest waiting, service and response);
    the arrays of `scratch`. Arrays of a row per VM should begin at cache lines.
    """
    n_vcpu, n_vm = clock.shape
    size = STEPS * n_vm
    front, totals = Front(clock[0], free), totals_of(per_vm)
    drawn, bits = Drawn(times[:n_vm], times[n_vm : 2 * n_vm]), words[:n_vm]
    times, kind, listed = times[2 * n_vm :], words[n_vm : n_vm + size], words[n_vm + size :]
    all_made = Made(kind, times[:size], times[size : 2 * size], times[2 * size : 3 * size])
    for done in range(0, n_step, STEPS):
        n = min(STEPS, n_step - done)
        for k in range(n):
            at = slice(k * n_vm, (k + 1) * n_vm)
            made = Made(all_made.kind[at], all_made.kernel_ns[at], all_made.wait_ns[at], all_made.served_ns[at])
            if class_ns.size > 1:
                _first_classes(stream[0], threshold[0], class_ns[0], class_ns[1], bits, made.kind, made.kernel_ns)
            for c in range(2, class_ns.size):
                _later_class(bits, threshold[c - 1], class_ns[c], made.kind, made.kernel_ns)
            draw(stream[0], law, drawn)
            _call(front, drawn, law, totals, made)
            for j in range(1, n_vcpu):
                sink(clock[j - 1], stream[j - 1], clock[j], stream[j])
        found = _list_forwarded(all_made.kernel_ns[: n * n_vm], listed)
        _count_listed(listed[:found], all_made, counts, sums)
        for c in range(class_ns.size):
            n_of_class[c] += _n_of(all_made.kind[: n * n_vm], np.uint64(c))
