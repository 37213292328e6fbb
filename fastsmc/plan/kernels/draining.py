"""Hosts drained by live migration, an event at a time: who starts, at which rate each sends, who ends, what holds them.

Migrations out of one host share its network card equally, and so do migrations into one host. A migration has the
lesser of its two shares, and at most its cap; what one leaves unused nobody else gets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import inner_kernel, kernel
from fastsmc.latency.kernels.variates import STEP, bucket, mixed, unit
from fastsmc.plan.kernels.precopying import ROUNDS, F64Array, Guests, I64Array, Progress, look_ahead, take_forward

U64Array = NDArray[np.uint64]
u64 = np.uint64

SOURCE_NIC, DEST_NIC, OUTBOUND, INBOUND, CLUSTER, CAP, BATCH, NEVER, FIRST, N_CAUSE = range(10)
"""What a drain waits for, in seconds of it: links, limits, the cap of one migration, the slowest of a batch, a guest
that does not converge, a migration that must end before."""
NONE = 1 << 40
"""A limit that is none."""
_PER_GIB = 2.0**-30


class Moves(NamedTuple):
    """The VMs to move, one value each; those of one drain side by side.

    Attributes:
        source, dest: hosts; drained: which drained host it leaves, counted from 0.
        memory, rate: bytes and bytes/s written, low and high: [n_vm, 2]; between them drawn in each replica.
        hot: bytes that it writes again and again.
        beyond: bytes/s that it writes beyond these; infinite: all it writes.
        registers_s: low, middle, high: [n_vm, 3].
        budget_s: the longest downtime it tolerates.
    """

    source: I64Array
    dest: I64Array
    drained: I64Array
    memory: F64Array
    rate: F64Array
    hot: F64Array
    beyond: F64Array
    registers_s: F64Array
    budget_s: F64Array


class Order(NamedTuple):
    """Which VMs a drain has: first[k] up to first[k + 1]; and for which a VM waits.

    Attributes:
        n_before: migrations that must have ended before this VM's starts.
        next_first, following: those that wait for VM i are following[next_first[i]] up to following[next_first[i + 1]].
    """

    first: I64Array
    n_before: I64Array
    next_first: I64Array
    following: I64Array


class Rules(NamedTuple):
    """Limits and times.

    Attributes:
        outbound, inbound, cluster: migrations at once, of a source, of a destination, of all; NONE for no limit.
        cap: bytes/s of one migration.
        stop_s: QEMU's downtime limit.
        timeout_s, timeout_gib: seconds per GiB of memory until a migration is aborted, and the least GiB counted.
        give_up_s: when a migration that never converges is taken back at the latest.
        is_batch: the next ones start when all have ended.
        is_shuffled: each replica starts the VMs in an order of its own.
    """

    outbound: int
    inbound: int
    cluster: int
    cap: float
    stop_s: float
    timeout_s: float
    timeout_gib: float
    give_up_s: float
    is_batch: bool
    is_shuffled: bool


class Work(NamedTuple):
    """Room to work in.

    Attributes:
        nic: bytes/s of each host, float64[n_host]; n_out, n_in: migrations out of it and into it.
        active: VMs that move, of which the first so many count.
        after: the VM that stands after each in the queue; the last entry: the first.
        before: migrations that each still waits for.
        gives_up: when each is aborted.
    """

    nic: F64Array
    n_out: I64Array
    n_in: I64Array
    active: I64Array
    after: I64Array
    before: I64Array
    gives_up: F64Array


class Found(NamedTuple):
    """What is found.

    Attributes:
        ended_s: float64[n_replica, n_drained]: when the last migration out of a host ended.
        n_aborted: int64[n_replica, n_drained].
        cause_s: float64[n_replica, N_CAUSE].
        n_over: int64[n_replica, 3]: migrations over their downtime budget, at low, middle, high registers.
        downtimes: how many downtimes fell into each bucket of results.histogram, of ns.
        aborted, over: int64[n_vm]: in how many replicas. worst_s: its longest downtime.
        started_s, end_s, downtime_s: float64[n_vm] of the last replica; the downtime of an aborted one is NaN.
    """

    ended_s: F64Array
    n_aborted: I64Array
    cause_s: F64Array
    n_over: I64Array
    downtimes: I64Array
    aborted: I64Array
    over: I64Array
    worst_s: F64Array
    started_s: F64Array
    end_s: F64Array
    downtime_s: F64Array


@inner_kernel
def drawn(low: float, high: float, word: np.uint64) -> float:
    """A number between two, all orders of magnitude alike; the number itself where they are one."""
    return low if low == high else low * (high / low) ** unit(word)


@inner_kernel
def draw(moves: Moves, guests: Guests, seed: np.uint64, replica: int) -> None:
    """What is not known of the guests, as this replica has it."""
    base = mixed(seed + u64(replica + 1) * STEP)
    for vm in range(guests.memory.size):
        word = mixed(base + u64(vm + 1) * STEP)
        guests.memory[vm] = drawn(moves.memory[vm, 0], moves.memory[vm, 1], word + STEP)
        rate = drawn(moves.rate[vm, 0], moves.rate[vm, 1], word + STEP + STEP)
        guests.dirty[vm] = min(rate, moves.beyond[vm])
        is_hot = rate > guests.dirty[vm]
        guests.hot[vm] = min(moves.hot[vm], guests.memory[vm]) if is_hot else 0.0
        guests.hot_s[vm] = guests.hot[vm] / (rate - guests.dirty[vm]) if is_hot else 0.0
        guests.registers_s[vm] = moves.registers_s[vm, 1]


@inner_kernel
def queue(work: Work, first: int, last: int, word: np.uint64, is_shuffled: bool) -> None:
    """Puts the VMs of a drain into a queue: in their order, or shuffled."""
    n = last - first
    for i in range(n):
        work.active[i] = first + i
    if is_shuffled:
        for i in range(n - 1, 0, -1):
            word += STEP
            k: int = min(int(unit(word) * (i + 1)), i)
            work.active[i], work.active[k] = work.active[k], work.active[i]
    at = work.after.size - 1
    for i in range(n):
        work.after[at] = work.active[i]
        at = work.active[i]
    work.after[at] = -1


@inner_kernel
def held_by(moves: Moves, work: Work, rules: Rules, vm: int, n_active: int) -> int:
    """What keeps a VM from starting; -1 where nothing does."""
    if work.before[vm] > 0:
        return FIRST
    if n_active >= rules.cluster:
        return CLUSTER
    if work.n_out[moves.source[vm]] >= rules.outbound:
        return OUTBOUND
    if work.n_in[moves.dest[vm]] >= rules.inbound:
        return INBOUND
    return -1


@inner_kernel
def start(moves: Moves, work: Work, rules: Rules, guests: Guests, progress: Progress, n_active: int, now: float) -> int:
    """Starts, in the order of the queue, whatever may; how many move then."""
    behind = work.after.size - 1
    while work.after[behind] >= 0 and n_active < rules.cluster:
        vm = work.after[behind]
        if held_by(moves, work, rules, vm, n_active) >= 0:
            behind = vm
            continue
        work.after[behind] = work.after[vm]
        work.active[n_active] = vm
        n_active += 1
        work.n_out[moves.source[vm]] += 1
        work.n_in[moves.dest[vm]] += 1
        progress.doing[vm], progress.left[vm], progress.round_s[vm] = ROUNDS, guests.memory[vm], 0.0
        progress.rate[vm], progress.at[vm], progress.ends_at[vm] = 0.0, now, np.inf
        work.gives_up[vm] = now + rules.timeout_s * max(guests.memory[vm] * _PER_GIB, rules.timeout_gib)
    return n_active


@inner_kernel
def share(moves: Moves, work: Work, rules: Rules, guests: Guests, progress: Progress, n_active: int, now: float) -> int:
    """Gives each migration its rate; the place of the one that will end last among those that move."""
    slowest = 0
    for i in range(n_active):
        vm = work.active[i]
        source, dest = moves.source[vm], moves.dest[vm]
        rate = min(rules.cap, min(work.nic[source] / work.n_out[source], work.nic[dest] / work.n_in[dest]))
        if rate != progress.rate[vm]:
            if progress.rate[vm] > 0.0:
                take_forward(progress, guests, vm, now, rules.stop_s)
            progress.rate[vm] = rate
            look_ahead(progress, guests, vm, rules.stop_s)
        if progress.ends_at[vm] > progress.ends_at[work.active[slowest]]:
            slowest = i
    return slowest


@inner_kernel
def leaves_at(progress: Progress, work: Work, rules: Rules, vm: int) -> float:
    """When a migration ends or is aborted, if all rates stay."""
    ends_at: float = progress.ends_at[vm]
    if ends_at == np.inf:
        ends_at = max(rules.give_up_s, progress.at[vm])
    gives_up: float = work.gives_up[vm]
    return min(ends_at, gives_up)


@inner_kernel
def waits_for(moves: Moves, work: Work, rules: Rules, progress: Progress, vm: int, n_active: int) -> int:
    """What the drain waits for, seen from the migration `vm`, which will end last."""
    source, dest = moves.source[vm], moves.dest[vm]
    out, into = work.nic[source] / work.n_out[source], work.nic[dest] / work.n_in[dest]
    waiting = work.after[work.after.size - 1]
    if progress.ends_at[vm] == np.inf:
        return NEVER
    if min(out, into) <= rules.cap:
        return SOURCE_NIC if out <= into else DEST_NIC
    if waiting < 0:
        return CAP
    held = held_by(moves, work, rules, waiting, n_active)
    return BATCH if held < 0 else held


@inner_kernel
def leave(moves: Moves, order: Order, work: Work, progress: Progress, found: Found, vm: int, replica: int) -> None:
    """A migration ends or is aborted, and what it leaves is counted."""
    source, dest, drained = moves.source[vm], moves.dest[vm], moves.drained[vm]
    work.n_out[source] -= 1
    work.n_in[dest] -= 1
    for k in range(order.next_first[vm], order.next_first[vm + 1]):
        work.before[order.following[k]] -= 1
    is_done = progress.ends_at[vm] <= work.gives_up[vm] and progress.ends_at[vm] < np.inf
    found.downtime_s[vm] = np.nan
    if is_done:
        downtime = progress.ends_at[vm] - progress.stopped_at[vm]
        found.downtime_s[vm] = downtime
        found.downtimes[bucket(downtime * 1e9)] += 1
        found.worst_s[vm] = max(found.worst_s[vm], downtime)
        memory = downtime - moves.registers_s[vm, 1]
        for k in range(3):
            found.n_over[replica, k] += memory + moves.registers_s[vm, k] > moves.budget_s[vm]
        found.over[vm] += downtime > moves.budget_s[vm]
    else:
        found.aborted[vm] += 1
        found.n_aborted[replica, drained] += 1
    found.ended_s[replica, drained] = max(found.ended_s[replica, drained], found.end_s[vm])


@inner_kernel
def end(
    moves: Moves, order: Order, work: Work, rules: Rules, progress: Progress, found: Found, n_active: int, replica: int
) -> int:
    """Ends what is due at the next event; how many move then. Times of ends are in found.end_s."""
    now = np.inf
    for i in range(n_active):
        now = min(now, leaves_at(progress, work, rules, work.active[i]))
    kept = 0
    for i in range(n_active):
        vm = work.active[i]
        found.end_s[vm] = now
        if leaves_at(progress, work, rules, vm) <= now:
            leave(moves, order, work, progress, found, vm, replica)
        else:
            work.active[kept] = vm
            kept += 1
    return kept


@kernel
def drain(
    moves: Moves,
    order: Order,
    rules: Rules,
    nic: F64Array,
    work: Work,
    guests: Guests,
    progress: Progress,
    found: Found,
    seed: np.uint64,
    n_replica: int,
) -> None:
    """All drains, each by itself, in all replicas. `nic` is float64[n_host, 2], low and high."""
    for replica in range(n_replica):
        draw(moves, guests, seed, replica)
        base = mixed(seed - u64(replica + 1) * STEP)
        for host in range(nic.shape[0]):
            work.nic[host] = drawn(nic[host, 0], nic[host, 1], base + u64(host + 1) * STEP)
        for k in range(order.first.size - 1):
            queue(work, order.first[k], order.first[k + 1], mixed(base + u64(k + 1)), rules.is_shuffled)
            for vm in range(order.first[k], order.first[k + 1]):
                work.before[vm] = order.n_before[vm]
            now, n_active = 0.0, 0
            while True:
                n_before = n_active
                if n_active == 0 or not rules.is_batch:
                    n_active = start(moves, work, rules, guests, progress, n_active, now)
                if n_active == 0:
                    break
                for i in range(n_before, n_active):
                    found.started_s[work.active[i]] = now
                slowest = work.active[share(moves, work, rules, guests, progress, n_active, now)]
                cause = waits_for(moves, work, rules, progress, slowest, n_active)
                last = work.active[0]
                n_active = end(moves, order, work, rules, progress, found, n_active, replica)
                found.cause_s[replica, cause] += found.end_s[last] - now
                now = found.end_s[last]
