"""Drains as plain Python objects: moved by SimPy, a process per VM, and asked of the kernel as arrays."""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from fastsmc.plan.evacuation.drains import Drained, Drains, rules, simulate
from fastsmc.plan.kernels.draining import Moves


@dataclass
class Vm:
    """A VM to move; times in s, bytes, bytes/s. `hot` bytes are written once in `hot_s`."""

    source: int
    dest: int
    memory: float
    dirty: float = 0.0
    hot: float = 0.0
    hot_s: float = 1.0
    registers_s: float = 0.0
    started: float = math.nan
    ended: float = math.nan
    downtime: float = math.nan


@dataclass
class Setting:
    """Who may move when, and how fast."""

    nic: list[float]
    outbound: int | None = None
    inbound: int | None = None
    cluster: int | None = None
    cap: float = math.inf
    stop_s: float = 0.3
    timeout_s_per_gib: float | None = None
    is_batch: bool = False
    before: list[tuple[int, int]] = field(default_factory=list)


class Reference:
    """The same drain as a SimPy model."""

    def __init__(self, vms: Sequence[Vm], setting: Setting) -> None:
        self.env, self.vms, self.setting = simpy.Environment(), vms, setting
        self.waiting, self.moving, self.done = list(range(len(vms))), list[int](), set[int]()
        self.changed: simpy.Event = self.env.event()
        self.start()
        self.env.run()

    def may(self, i: int) -> bool:
        vm, of = self.vms[i], self.setting
        moving = [self.vms[k] for k in self.moving]
        return (
            all(first in self.done for first, then in of.before if then == i)
            and len(moving) < (of.cluster or math.inf)
            and sum(one.source == vm.source for one in moving) < (of.outbound or math.inf)
            and sum(one.dest == vm.dest for one in moving) < (of.inbound or math.inf)
        )

    def start(self) -> None:
        is_held = self.setting.is_batch and bool(self.moving)
        for i in list(self.waiting):
            if not is_held and self.may(i):
                self.waiting.remove(i)
                self.moving.append(i)
                self.env.process(self.move(i))
        self.changed, old = self.env.event(), self.changed
        old.succeed()

    def rate(self, i: int) -> float:
        vm, moving = self.vms[i], [self.vms[k] for k in self.moving]
        out = self.setting.nic[vm.source] / sum(one.source == vm.source for one in moving)
        into = self.setting.nic[vm.dest] / sum(one.dest == vm.dest for one in moving)
        return min(out, into, self.setting.cap)

    def move(self, i: int) -> Generator[simpy.Event, Any, None]:
        vm, per_gib = self.vms[i], self.setting.timeout_s_per_gib
        vm.started = self.env.now
        given_up = self.env.timeout(per_gib * vm.memory / 2**30) if per_gib else self.env.event()
        left = vm.memory
        while True:
            began = self.env.now
            yield from self.sent(i, left, given_up)
            took = self.env.now - began
            left = min(vm.memory, vm.dirty * took + (vm.hot * min(1.0, took / vm.hot_s) if vm.hot_s else vm.hot))
            if given_up.processed or left <= self.setting.stop_s * self.rate(i):
                break
        stopped = self.env.now
        if not given_up.processed:
            yield from self.sent(i, left, given_up)
        if not given_up.processed:
            yield given_up | self.env.timeout(vm.registers_s)
        if not given_up.processed:
            vm.downtime = self.env.now - stopped
        vm.ended = self.env.now
        self.moving.remove(i)
        self.done.add(i)
        self.start()

    def sent(self, i: int, left: float, given_up: simpy.Event) -> Generator[simpy.Event, Any, None]:
        """Until so many bytes are sent, at whatever rates there are meanwhile, or the migration is given up."""
        while not given_up.processed:
            rate, began, changed = self.rate(i), self.env.now, self.changed
            done = self.env.timeout(left / rate)
            yield done | changed | given_up
            if done.processed:
                return
            left -= rate * (self.env.now - began)


def asked(
    vms: Sequence[Vm], setting: Setting, *, replicas: int = 1, is_shuffled: bool = False, **other: float
) -> Drained:
    """The same drain by the kernel."""
    n = len(vms)

    def column(name: str) -> Any:
        return np.array([getattr(vm, name) for vm in vms], np.float64)

    written = column("dirty") + np.array([vm.hot / vm.hot_s if vm.hot else 0.0 for vm in vms])
    moves = Moves(
        np.array([vm.source for vm in vms]),
        np.array([vm.dest for vm in vms]),
        np.zeros(n, np.int64),
        np.stack([column("memory")] * 2, axis=1),
        np.stack([written] * 2, axis=1),
        column("hot"),
        column("dirty"),
        np.stack([column("registers_s")] * 3, axis=1),
        np.full(n, other.get("budget_s", 0.3)),
    )
    allowed = rules(
        outbound=setting.outbound,
        inbound=setting.inbound,
        cluster=setting.cluster,
        cap_bytes_per_s=setting.cap,
        stop_ms=setting.stop_s * 1e3,
        timeout_s_per_gib=setting.timeout_s_per_gib,
        give_up_s=other.get("give_up_s", 1e9),
        is_batch=setting.is_batch,
        is_shuffled=is_shuffled,
    )
    nic = np.stack([np.array(setting.nic)] * 2, axis=1)
    drains = Drains(moves, np.array([0, n]), nic, setting.before)
    return simulate(drains, allowed, 1, n_replica=replicas, seed=int(other.get("seed", 1)))


def drawn(rng: random.Random) -> tuple[list[Vm], Setting]:
    """A random drain in which nothing waits for ever."""
    n_source, n_dest = rng.randint(1, 3), rng.randint(1, 4)
    nic = [rng.uniform(0.5e9, 3e9) for _ in range(n_source + n_dest)]
    vms = []
    for _ in range(rng.randint(1, 14)):
        memory = 10 ** rng.uniform(8.5, 10.5)
        vms.append(
            Vm(
                rng.randrange(n_source),
                n_source + rng.randrange(n_dest),
                memory,
                rng.choice([0.0, 10 ** rng.uniform(6, 8.5), 10 ** rng.uniform(8, 9.2)]),
                rng.choice([0.0, memory * rng.uniform(0.001, 0.2)]),
                rng.uniform(0.2, 5),
                rng.choice([0.0, rng.uniform(0.001, 0.1)]),
            )
        )
    some = [None, 1, 2, 3]
    before = [(i, k) for k in range(len(vms)) for i in range(k) if rng.random() < 0.05]
    setting = Setting(
        nic,
        *(rng.choice(some) for _ in range(3)),
        rng.choice([math.inf, 10 ** rng.uniform(8, 9.3)]),
        rng.uniform(0.03, 0.5),
        rng.choice([3.0, 20.0, 150.0]),
        rng.random() < 0.4,
        before if rng.random() < 0.5 else [],
    )
    return vms, setting
