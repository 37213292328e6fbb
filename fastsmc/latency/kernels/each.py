"""VMs simulated one at a time, an event at a time: any number of vCPUs, several workers, bursts, scripts, overcommit.

Does what `kernels_queue` does and all that is too irregular for lanes; where both can do it, they draw the same numbers
and come to the same times, bit for bit. The vCPU that calls next is the winner of a tournament: after its call, only
the matches on its way up are played again, one per power of two of vCPUs.

Overcommit is round robin, with so many others that want a vCPU's core as `latency.overcommit` finds, drawn anew for
each call. A thread whose slice is over waits for a turn of each, and the lock if it holds it is held all the while. One
that slept for the lock waits for what is left of a turn and for whole ones of the rest; until then the lock is free for
whoever runs, as a pthread mutex is (tests/latency/test_overcommit.py has how far this is from round robin itself).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import kernel
from fastsmc.jit.simd import fma
from fastsmc.latency.kernels.lanes import (
    BUSY,
    ENTER,
    FORWARDED,
    GAP,
    HAS_LOCK,
    IS_CLOSED,
    LAST_END,
    MOST_RESPONSE,
    MOST_SERVED,
    MOST_WAITING,
    N_LAW,
    ONE,
    QUEUED,
    RAN,
    RANDOM_GAP,
    RESPONSE,
    SQUARES,
    TURNS,
    WAITING,
)
from fastsmc.latency.kernels.variates import STEP, bucket, exponential, mixed
from fastsmc.results.log_linear import N_BUCKET

F64Array = NDArray[np.float64]
I64Array = NDArray[np.int64]
U64Array = NDArray[np.uint64]
U32Array = NDArray[np.uint32]
Script = tuple[I64Array, F64Array, I64Array, I64Array, I64Array]

ON, OFF, OTHERS, SPREAD, TURN, REST, SLICE = range(N_LAW, N_LAW + 7)
"""Further entries of `law`: mean ns of a burst and of the silence after it, 0 for none. Of overcommit: other runnable
threads per core, their mean (below 0: cores are idle) and standard deviation; for how long one of them runs, in ns, and
twice what is left of that, on average, when somebody looks; the scheduler's time slice in ns, 0 for no overcommit."""
N_LONG_LAW = N_LAW + 7

_11, _16, _32, _48 = np.uint64(11), np.uint64(16), np.uint64(32), np.uint64(48)
_TO_UNIT = 2.0**-53


@kernel
def play(clock: F64Array, tree: I64Array) -> None:
    """All matches: tree[1] becomes the vCPU that calls next, the first of those that tie. P clocks, a power of two."""
    size = clock.size
    for i in range(size):
        tree[size + i] = i
    for node in range(size - 1, 0, -1):
        left, right = tree[2 * node], tree[2 * node + 1]
        tree[node] = left if clock[left] <= clock[right] else right


@kernel
def _play_again(clock: F64Array, tree: I64Array, vcpu: int) -> None:
    node = (clock.size + vcpu) >> 1
    while node > 0:
        left, right = tree[2 * node], tree[2 * node + 1]
        tree[node] = left if clock[left] <= clock[right] else right
        node >>= 1


@kernel
def _unit(word: np.uint64) -> float:
    """A number from 0 up to 1, without 1."""
    return np.float64(mixed(word) >> _11) * _TO_UNIT


@kernel
def _burst_gap(
    gap: float, left: F64Array, vcpu: int, word: np.uint64, on: float, off: float
) -> tuple[float, np.uint64]:
    """A gap in time spent in bursts as a gap in time; `left` is what remains of the vCPU's burst."""
    passed = 0.0
    while gap > left[vcpu]:
        gap -= left[vcpu]
        passed += left[vcpu]
        word += STEP
        passed += exponential(mixed(word)) * off
        word += STEP
        left[vcpu] = exponential(mixed(word)) * on
    left[vcpu] -= gap
    return passed + gap, word


@kernel
def _count_call(
    c: int, wait: float, served: float, n_of_class: I64Array, is_listed: bool, counts: U32Array, sums: F64Array
) -> None:
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


@kernel
def _total(wait: float, served: float, now: float, per_vm: F64Array, v: int) -> None:
    per_vm[WAITING, v] += wait
    per_vm[RESPONSE, v] += wait + served
    per_vm[MOST_WAITING, v] = max(per_vm[MOST_WAITING, v], wait)
    per_vm[MOST_SERVED, v] = max(per_vm[MOST_SERVED, v], served)
    per_vm[MOST_RESPONSE, v] = max(per_vm[MOST_RESPONSE, v], wait + served)
    per_vm[LAST_END, v] = max(per_vm[LAST_END, v], now + wait + served)


@kernel
def _class_of(bits: np.uint64, threshold: U64Array) -> int:
    c = 0
    for k in range(threshold.size):
        c += 1 if bits >= threshold[k] else 0
    return c


@kernel
def _run(ns: float, vcpu: int, law: F64Array, used: F64Array, per_vm: F64Array, v: int) -> float:
    """A vCPU runs for so long; how many times its slice is over. `used`: how much of its slice is."""
    run, time_slice = used[vcpu] + ns, law[SLICE]
    times = float(np.floor(run / time_slice))
    used[vcpu] = run - times * time_slice
    per_vm[TURNS, v] += times
    per_vm[RAN, v] += times * time_slice
    per_vm[SQUARES, v] += times * time_slice * time_slice
    return times


@kernel
def _stop(vcpu: int, used: F64Array, per_vm: F64Array, v: int) -> None:
    """A vCPU leaves its core of its own accord: it will come back to a whole slice."""
    per_vm[TURNS, v] += 1.0
    per_vm[RAN, v] += used[vcpu]
    per_vm[SQUARES, v] += used[vcpu] * used[vcpu]
    used[vcpu] = 0.0


@kernel
def _ahead(word: np.uint64, law: F64Array) -> float:
    """How many other threads have their turn before a thread has its next one; reads two words."""
    bits, low = mixed(word + STEP), np.uint64(0xFFFF)
    four = (bits & low) + (bits >> _16 & low) + (bits >> _32 & low) + (bits >> _48)
    normal = (np.float64(four) * 2.0**-16 - 2.0) * 3.0**0.5  # nearly: four uniform ones, of variance 1/12
    others = max(law[OTHERS] + law[SPREAD] * normal, 0.0)
    return float(np.floor(others + _unit(word + STEP + STEP)))


@kernel
def _first_free(free: F64Array) -> int:
    worker = 0
    for k in range(1, free.size):
        if free[k] < free[worker]:
            worker = k
    return worker


@kernel
def _on_a_core(
    now: float, class_ns: float, work: float, law: F64Array, free: F64Array, per_vm: F64Array, v: int
) -> tuple[float, float]:
    """A call where each vCPU has a core: how long it waits for the lock or a worker, and how long it is served."""
    if class_ns >= 0.0:
        return 0.0, class_ns
    arrival = now + law[ENTER]
    worker = _first_free(free)
    start = max(free[worker], arrival)
    free[worker] = (start + work) * law[HAS_LOCK]
    per_vm[FORWARDED, v] += 1.0
    per_vm[BUSY, v] += work
    return start - arrival, law[ENTER] + work


@kernel
def _on_few_cores(
    now: float,
    class_ns: float,
    work: float,
    pause: float,
    vcpu: int,
    word: np.uint64,
    law: F64Array,
    free: F64Array,
    used: F64Array,
    per_vm: F64Array,
    v: int,
) -> tuple[float, float, float, np.uint64]:
    """A call where vCPUs share cores: how long it waits and is served, and what others take of the pause after it."""
    ahead = _ahead(word, law)
    word += STEP + STEP
    aside = ahead * law[TURN]
    if class_ns >= 0.0:
        wait, served = _run(class_ns, vcpu, law, used, per_vm, v) * aside, class_ns
    else:
        arrival, served = now + law[ENTER], law[ENTER] + work
        wait = _run(law[ENTER], vcpu, law, used, per_vm, v) * aside
        worker = _first_free(free)
        start = max(free[worker], arrival)
        if start > arrival:
            wait += start - arrival
            per_vm[QUEUED, v] += start - arrival
            _stop(vcpu, used, per_vm, v)
            word += STEP
            if ahead > 0.0:
                wait += (ahead - 1.0) * law[TURN] + _unit(word) * law[REST]
        held = _run(work, vcpu, law, used, per_vm, v) * aside  # waits for a core, and the lock is not free
        wait += held
        free[worker] = (start + work + held) * law[HAS_LOCK]
        per_vm[FORWARDED, v] += 1.0
        per_vm[BUSY, v] += work + held
    if law[IS_CLOSED] > 0.0:
        return wait, served, _run(pause, vcpu, law, used, per_vm, v) * aside, word
    _stop(vcpu, used, per_vm, v)
    return wait, served, 0.0, word


@kernel
def _follow(base: float, vcpu: int, script: Script, clock: F64Array, position: I64Array, tree: I64Array) -> None:
    """Sets off the steps that wait for the one just made, the vCPU's own next one as a rule."""
    vcpu_of, wait, _, first_next, following = script
    step = position[vcpu]
    clock[vcpu] = np.inf
    for k in range(first_next[step], first_next[step + 1]):
        other = vcpu_of[following[k]]
        position[other] = following[k]
        clock[other] = base + wait[following[k]]
        _play_again(clock, tree, other)
    _play_again(clock, tree, vcpu)


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
    script: Script,
    n_step: int,
    per_vm: F64Array,
    n_of_class: I64Array,
    counts: U32Array,
    sums: F64Array,
) -> None:
    """Takes each VM through `n_step` calls, or to the end of its script.

    float64[n_vm, P] (P a power of two; vCPUs that do not exist, have not begun or have ended call at infinity),
    uint64[n_vm, P], float64[n_vm, n_worker], float64[n_vm, P], float64[n_vm, P] (ns of its
    slice that each vCPU has used), int64[n_vm, P], uint64[n_class - 1],
    3 x float64[n_class], float64[N_LONG_LAW], script: of each step its vCPU, int64[n], the ns it comes after the step
    it waits for, float64[n], and its class, int64[n]; the steps that wait for step k, following[first_next[k]] up to
    following[first_next[k + 1]], int64[n + 1] and int64[n_follow]; all empty where there is none
    -> added to float64[N_SUM, n_vm] and the others as `kernels_queue.simulate_block` does, but sums per VM:
    float64[n_vm, n_class, 5].
    """
    has_script, is_shared = script[1].size > 0, law[SLICE] > 0.0
    tree = np.empty(2 * clock.shape[1], np.int64)
    for v in range(clock.shape[0]):
        play(clock[v], tree)
        for _ in range(n_step):
            vcpu = tree[1]
            now, word = clock[v, vcpu], stream[v, vcpu]
            if now == np.inf:
                break
            c = 0
            if has_script:
                c = script[2][position[v, vcpu]]
            elif class_ns.size > 1:
                word += STEP
                c = _class_of(mixed(word), threshold)
            word += STEP
            work = fma(exponential(mixed(word)), random_work_ns[c], work_ns[c])
            word += STEP
            pause = fma(exponential(mixed(word)), law[RANDOM_GAP], law[GAP])
            if is_shared:
                wait, served, later, word = _on_few_cores(
                    now, class_ns[c], work, pause, vcpu, word, law, free[v], used[v], per_vm, v
                )
                pause += later
            else:
                wait, served = _on_a_core(now, class_ns[c], work, law, free[v], per_vm, v)
            total = wait + served
            if has_script:
                _follow(now + total * law[IS_CLOSED], vcpu, script, clock[v], position[v], tree)
            else:
                if law[ON] > 0.0:
                    pause, word = _burst_gap(pause, left[v], vcpu, word, law[ON], law[OFF])
                clock[v, vcpu] = now + pause + total * law[IS_CLOSED]
                _play_again(clock[v], tree, vcpu)
            stream[v, vcpu] = word
            _total(wait, served, now, per_vm, v)
            _count_call(c, wait, served, n_of_class, class_ns[c] < 0.0 or is_shared, counts, sums[v])


@kernel
def start_clocks(stream: U64Array, law: F64Array, clock: F64Array, left: F64Array) -> None:
    """When each vCPU calls first: after a random gap, or at a random point of a fixed one; in a burst or before it.

    uint64[n], float64[N_LONG_LAW] -> uint64[n], float64[n], float64[n].
    """
    for i in range(stream.size):
        word = stream[i] + STEP
        gap = fma(exponential(mixed(word)), law[RANDOM_GAP], law[GAP] * _unit(word))
        clock[i] = gap
        if law[ON] > 0.0:
            word += STEP
            left[i] = exponential(mixed(word)) * law[ON]
            word += STEP
            silence = 0.0
            if _unit(word) * (law[ON] + law[OFF]) < law[OFF]:
                word += STEP
                silence = exponential(mixed(word)) * law[OFF]
            gap, word = _burst_gap(gap, left, i, word, law[ON], law[OFF])
            clock[i] = silence + gap
        stream[i] = word


@kernel
def start_slices(stream: U64Array, time_slice: float, used: F64Array, n_vcpu: int) -> None:
    """How much of its slice each vCPU has used as it begins: anything from nothing to all.

    uint64[n_vm * n_vcpu] -> uint64[n_vm * n_vcpu], float64[n_vm, P].
    """
    for i in range(stream.size):
        stream[i] += STEP
        used[i // n_vcpu, i % n_vcpu] = _unit(stream[i]) * time_slice
