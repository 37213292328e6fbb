"""VMs simulated one at a time, an event at a time: any number of vCPUs, several workers, bursts, scripts, overcommit.

Does what `lanes` does and all that is too irregular for lanes; where both can do it, they draw the same numbers
and come to the same times, bit for bit. The vCPU that calls next is the winner of a tournament: after its call, only
the matches on its way up are played again, one per power of two of vCPUs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import inner_kernel, kernel
from fastsmc.jit.simd import fma
from fastsmc.latency.kernels.cores import Call, OneVm, on_a_core, on_few_cores
from fastsmc.latency.kernels.entries import (
    GAP,
    IS_CLOSED,
    LAST_END,
    MOST_RESPONSE,
    MOST_SERVED,
    MOST_WAITING,
    OFF,
    ON,
    RANDOM_GAP,
    RESPONSE,
    SLICE,
    WAITING,
)
from fastsmc.latency.kernels.lanes import ONE
from fastsmc.latency.kernels.variates import STEP, bucket, exponential, mixed, unit
from fastsmc.results.log_linear import N_BUCKET

F64Array = NDArray[np.float64]
I64Array = NDArray[np.int64]
U64Array = NDArray[np.uint64]
U32Array = NDArray[np.uint32]


class Steps(NamedTuple):
    """A script; all arrays are empty where there is none.

    Attributes:
        vcpu: of each step its vCPU.
        wait: the ns it comes after the step it waits for.
        kind: its class.
        first_next, following: the steps that wait for step k are following[first_next[k]] up to
            following[first_next[k + 1]].
    """

    vcpu: I64Array
    wait: F64Array
    kind: I64Array
    first_next: I64Array
    following: I64Array


class Costs(NamedTuple):
    """Classes of calls: where they lie among 64-bit random numbers, their ns, the VMM's work, fixed and random."""

    threshold: U64Array
    class_ns: F64Array
    work_ns: F64Array
    random_work_ns: F64Array


class Counted(NamedTuple):
    """Where calls are counted: by class, by bucket of their times, and the sums and maxima of one VM's."""

    n_of_class: I64Array
    counts: U32Array
    sums: F64Array


@inner_kernel
def play(clock: F64Array, tree: I64Array) -> None:
    """All matches: tree[1] becomes the vCPU that calls next, the first of those that tie. P clocks, a power of two."""
    size = clock.size
    for i in range(size):
        tree[size + i] = i
    for node in range(size - 1, 0, -1):
        left, right = tree[2 * node], tree[2 * node + 1]
        tree[node] = left if clock[left] <= clock[right] else right


@inner_kernel
def _play_again(clock: F64Array, tree: I64Array, vcpu: int) -> None:
    """The matches of one vCPU, whose clock has changed."""
    node = (clock.size + vcpu) >> 1
    while node > 0:
        left, right = tree[2 * node], tree[2 * node + 1]
        tree[node] = left if clock[left] <= clock[right] else right
        node >>= 1


@inner_kernel
def _burst_gap(gap: float, left: F64Array, vcpu: int, word: np.uint64, law: F64Array) -> tuple[float, np.uint64]:
    """A gap in time spent in bursts as a gap in time; `left` is what remains of the vCPU's burst."""
    passed = 0.0
    while gap > left[vcpu]:
        gap -= left[vcpu]
        passed += left[vcpu]
        word += STEP
        passed += exponential(mixed(word)) * law[OFF]
        word += STEP
        left[vcpu] = exponential(mixed(word)) * law[ON]
    left[vcpu] -= gap
    return passed + gap, word


@inner_kernel
def _class_of(bits: np.uint64, threshold: U64Array) -> int:
    c = 0
    for k in range(threshold.size):
        c += 1 if bits >= threshold[k] else 0
    return c


@inner_kernel
def _next_call(vm: OneVm, steps: Steps, costs: Costs, law: F64Array) -> Call:
    """The call of the vCPU that is next. Its class is the script's or drawn, unless there is only one."""
    vcpu = vm.tree[1]
    word = vm.stream[vcpu]
    c = 0
    if steps.wait.size > 0:
        c = steps.kind[vm.position[vcpu]]
    elif costs.class_ns.size > 1:
        word += STEP
        c = _class_of(mixed(word), costs.threshold)
    word += STEP
    work = fma(exponential(mixed(word)), costs.random_work_ns[c], costs.work_ns[c])
    word += STEP
    pause = fma(exponential(mixed(word)), law[RANDOM_GAP], law[GAP])
    return Call(vcpu, vm.clock[vcpu], c, costs.class_ns[c], work, pause, word)


@inner_kernel
def _count(c: int, wait: float, served: float, is_listed: bool, counted: Counted) -> None:
    n_of_class, counts, sums = counted
    n_of_class[c] += 1
    if is_listed:
        counts[c, bucket(wait)] += ONE
        counts[c, bucket(served) + N_BUCKET] += ONE
        counts[c, bucket(wait + served) + 2 * N_BUCKET] += ONE
        sums[c, 0] += wait
        sums[c, 1] += served
        sums[c, 2] = max(sums[c, 2], wait)
        sums[c, 3] = max(sums[c, 3], served)
        sums[c, 4] = max(sums[c, 4], wait + served)


@inner_kernel
def _add(total: F64Array, now: float, wait: float, served: float) -> None:
    """Adds a call to what a VM's calls add up to."""
    total[WAITING] += wait
    total[RESPONSE] += wait + served
    total[MOST_WAITING] = max(total[MOST_WAITING], wait)
    total[MOST_SERVED] = max(total[MOST_SERVED], served)
    total[MOST_RESPONSE] = max(total[MOST_RESPONSE], wait + served)
    total[LAST_END] = max(total[LAST_END], now + wait + served)


@inner_kernel
def _follow(base: float, vcpu: int, steps: Steps, vm: OneVm) -> None:
    """Sets off the steps that wait for the one just made, the vCPU's own next one as a rule."""
    step = vm.position[vcpu]
    vm.clock[vcpu] = np.inf
    for k in range(steps.first_next[step], steps.first_next[step + 1]):
        other = steps.vcpu[steps.following[k]]
        vm.position[other] = steps.following[k]
        vm.clock[other] = base + steps.wait[steps.following[k]]
        _play_again(vm.clock, vm.tree, other)
    _play_again(vm.clock, vm.tree, vcpu)


@inner_kernel
def _take_through(vm: OneVm, n_step: int, steps: Steps, costs: Costs, law: F64Array, counted: Counted) -> None:
    """Takes a VM through its calls, in a loop here: handing over so many arrays a call takes 1.8x (measured)."""
    is_shared = law[SLICE] > 0.0
    play(vm.clock, vm.tree)
    for _ in range(n_step):
        if vm.clock[vm.tree[1]] == np.inf:
            break
        call = _next_call(vm, steps, costs, law)
        vcpu, now, pause, word = call.vcpu, call.now, call.pause, call.word
        if is_shared:
            wait, served, later, word = on_few_cores(call, law, vm)
            pause += later
        else:
            wait, served = on_a_core(call, law, vm)
        total = wait + served
        if steps.wait.size > 0:
            _follow(now + total * law[IS_CLOSED], vcpu, steps, vm)
        else:
            if law[ON] > 0.0:
                pause, word = _burst_gap(pause, vm.left, vcpu, word, law)
            vm.clock[vcpu] = now + pause + total * law[IS_CLOSED]
            _play_again(vm.clock, vm.tree, vcpu)
        vm.stream[vcpu] = word
        _add(vm.total, now, wait, served)
        _count(call.c, wait, served, call.class_ns < 0.0 or is_shared, counted)


@kernel
def simulate_each(
    clock: F64Array,
    stream: U64Array,
    free: F64Array,
    left: F64Array,
    used: F64Array,
    position: I64Array,
    threshold: U64Array,
    class_ns: F64Array,
    work_ns: F64Array,
    random_work_ns: F64Array,
    law: F64Array,
    script: tuple[I64Array, F64Array, I64Array, I64Array, I64Array],
    n_step: int,
    per_vm: F64Array,
    n_of_class: I64Array,
    counts: U32Array,
    sums: F64Array,
) -> None:
    """Takes each VM through `n_step` calls, or to the end of its script.

    float64[n_vm, P] (P a power of two; vCPUs that do not exist, have not begun or have ended call at infinity),
    uint64[n_vm, P], float64[n_vm, n_worker], float64[n_vm, P], float64[n_vm, P] (ns of its slice that each vCPU has
    used), int64[n_vm, P], uint64[n_class - 1], 3 x float64[n_class], float64[N_LONG_LAW], the arrays of `Steps`
    -> added to float64[N_SUM, n_vm] and the others as `lanes.simulate_block` does, but sums per VM:
    float64[n_vm, n_class, 5].
    """
    steps = Steps(script[0], script[1], script[2], script[3], script[4])
    costs = Costs(threshold, class_ns, work_ns, random_work_ns)
    tree, total = np.empty(2 * clock.shape[1], np.int64), np.empty(per_vm.shape[0])
    for v in range(clock.shape[0]):
        vm = OneVm(clock[v], stream[v], left[v], used[v], position[v], free[v], tree, total)
        counted = Counted(n_of_class, counts, sums[v])
        total[:] = per_vm[:, v]
        _take_through(vm, n_step, steps, costs, law, counted)
        per_vm[:, v] = total


@kernel
def start_clocks(stream: U64Array, law: F64Array, clock: F64Array) -> None:
    """When each vCPU calls first: after a random gap, or at a random point of a fixed one.

    uint64[n], float64[N_LONG_LAW] -> uint64[n], float64[n].
    """
    for i in range(stream.size):
        word = stream[i] + STEP
        stream[i] = word
        clock[i] = fma(exponential(mixed(word)), law[RANDOM_GAP], law[GAP] * unit(word))


@kernel
def start_bursts(stream: U64Array, law: F64Array, clock: F64Array, left: F64Array) -> None:
    """Puts each vCPU into a burst or before it; apart, as few scenarios have bursts and compiling takes its time.

    After `start_clocks`: uint64[n], float64[N_LONG_LAW] -> uint64[n], float64[n] (gaps become times), float64[n].
    """
    for i in range(stream.size):
        word = stream[i] + STEP
        left[i] = exponential(mixed(word)) * law[ON]
        word += STEP
        silence = 0.0
        if unit(word) * (law[ON] + law[OFF]) < law[OFF]:
            word += STEP
            silence = exponential(mixed(word)) * law[OFF]
        gap, word = _burst_gap(clock[i], left, i, word, law)
        clock[i] = silence + gap
        stream[i] = word


@kernel
def start_slices(stream: U64Array, time_slice: float, used: F64Array, n_vcpu: int) -> None:
    """How much of its slice each vCPU has used as it begins: anything from nothing to all.

    uint64[n_vm * n_vcpu] -> uint64[n_vm * n_vcpu], float64[n_vm, P].
    """
    for i in range(stream.size):
        stream[i] += STEP
        used[i // n_vcpu, i % n_vcpu] = unit(stream[i]) * time_slice
