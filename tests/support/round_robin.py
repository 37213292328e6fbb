"""Threads that share cores by round robin, an event at a time in plain Python: what the overcommit model stands for.

One queue of runnable threads, first in, first out; whoever is at its head gets the next core that is free, for a slice;
a thread that wakes goes to its tail. Each thread thinks, calls, and for its call may need its VM's lock. The lock is
not handed over: whoever waited for it is woken and takes it when it runs, unless somebody was quicker (as a pthread
mutex, and so QEMU's big lock).
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

THINK, ENTER, LOCK, WORK = range(4)


@dataclass(slots=True)
class Outcome:
    """Of each call, in ns: how long it took beyond what it needed of a core. `end_ns`: when the last one was over."""

    waits: list[float] = field(default_factory=list)
    held_ns: float = 0.0
    end_ns: float = 0.0


@dataclass(slots=True)
class Cores:
    """The threads `vcpu` of VM `vcpu // vcpus_per_vm`, on so many cores.

    Attributes:
        work_is_locked: the call's work is done under the VM's lock; else it is part of what needs no lock.
    """

    n_core: int
    n_thread: int
    slice_ns: float
    think_ns: float
    enter_ns: float
    work_ns: float
    vcpus_per_vm: int
    seed: int
    work_is_locked: bool = True
    random_work: bool = False

    def run(self, n_call: int, n_warm: int = 0) -> Outcome:
        draw, out = random.Random(self.seed), Outcome()
        stage, left = [THINK] * self.n_thread, [draw.expovariate(1 / self.think_ns) for _ in range(self.n_thread)]
        began, need, taken = [0.0] * self.n_thread, [0.0] * self.n_thread, [0.0] * self.n_thread
        holder: list[int | None] = [None] * (self.n_thread // self.vcpus_per_vm)
        asleep: list[deque[int]] = [deque() for _ in holder]
        order = list(range(self.n_thread))
        draw.shuffle(order)
        runnable, idle = deque(order), self.n_core
        ends: list[
            tuple[float, int, float, bool]
        ] = []  # when, who, how much it will have run, whether its slice is over
        until = [0.0] * self.n_thread
        now, n_done = 0.0, 0

        def go_on(who: int) -> None:
            """Runs until its stage or its slice is over."""
            end = now + left[who]
            heapq.heappush(ends, (min(end, until[who]), who, min(left[who], until[who] - now), end > until[who]))

        def start_some() -> None:
            nonlocal idle
            while idle and runnable:
                idle -= 1
                who = runnable.popleft()
                until[who] = now + self.slice_ns * (draw.random() if now == 0.0 else 1.0)
                go_on(who)

        start_some()
        while n_done < n_warm + n_call:
            now, who, ran, is_out = heapq.heappop(ends)
            left[who] -= ran
            vm = who // self.vcpus_per_vm
            if is_out:
                runnable.append(who)
                idle += 1
                start_some()
                continue
            if stage[who] == THINK:
                began[who], stage[who], left[who] = now, ENTER, self.enter_ns
                need[who] = draw.expovariate(1 / self.work_ns) if self.random_work else self.work_ns
            elif stage[who] == ENTER:
                stage[who], left[who] = (LOCK, 0.0) if self.work_is_locked else (WORK, need[who])
            elif stage[who] == LOCK:
                if holder[vm] is None:
                    holder[vm], stage[who], left[who], taken[who] = who, WORK, need[who], now
                else:
                    asleep[vm].append(who)
                    idle += 1
                    start_some()
                    continue
            else:
                if self.work_is_locked:
                    holder[vm] = None
                    if asleep[vm]:
                        runnable.append(asleep[vm].popleft())
                n_done += 1
                if n_done == n_warm:
                    out.end_ns = now
                if n_done > n_warm:
                    out.waits.append(now - began[who] - self.enter_ns - need[who])
                    out.held_ns += now - taken[who]
                stage[who], left[who] = THINK, draw.expovariate(1 / self.think_ns)
            go_on(who)
            start_some()
        out.end_ns = now - out.end_ns
        return out
