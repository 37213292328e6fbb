"""How many vCPUs want a core, where there are fewer cores than vCPUs: a fixed point, found by short simulations.

A vCPU that sleeps for the VMM's lock or a worker leaves its core to others, and how long it sleeps depends on how long
others wait for cores. So some VMs of each group are simulated for a while, what they found sets how long vCPUs wait
for cores, and so on from where they were, a fixed number of times; of the later rounds the mean counts.

Between calls a vCPU of a closed workload or of a script runs its guest, so it wants its core. One of an open workload
is idle: it wants a core for its calls only.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np

from fastsmc.latency.group import Group
from fastsmc.latency.kernels import entries
from fastsmc.latency.run import Counts, OneByOne, Quota
from fastsmc.latency.stable import above_zero
from fastsmc.scenario import Scenario

ROUNDS, ROUGH, FORGOTTEN = 64, 10, 32
"""Of ROUNDS rounds in all, the first ROUGH stretch no waits, and the mean leaves out the first FORGOTTEN."""
CALLS = 8192
"""Calls of a group in a round, or 4 calls of each vCPU of one VM where these are more."""
_PURPOSE = 0x0C0A_E5F0_0D15_EA5E
"""Turns a scenario's seed into that of the rounds."""
_LEAST_VM = 4
_GAIN, _MOST = 0.3, math.log(16)
"""A round goes _GAIN of the way to what it found; _MOST is the logarithm of the largest factor by which waits for a
core are stretched."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What a vCPU of a group does.

    Attributes:
        runnable: share of its time in which it runs or waits for a core.
        running: share in which it runs.
        turns, ran, squares: its turns on a core, per ns; what they take, and the sum of its squares.
    """

    runnable: float
    running: float
    turns: float
    ran: float
    squares: float

    def mixed(self, other: Shares, gain: float) -> Shares:
        """The shares that lie between these and the other's; a gain of 1 gives the other's."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Shares(*(old + gain * (new - old) for old, new in pairs))


class _Pilot:
    """Some VMs of a group, which go on from round to round; a script begins anew each time."""

    def __init__(self, group: Group, seed: int, first_vcpu: int) -> None:
        self.group, vcpus = group, group.given.vcpus
        self.n_vm = min(group.given.count, max(_LEAST_VM, CALLS // (16 * vcpus))) if group.script is None else 1
        self.n_step = max(-(-CALLS // self.n_vm), 4 * vcpus)
        self.quota = Quota(0, 0, (seed ^ _PURPOSE) & (1 << 64) - 1, first_vcpu)
        self.counts = Counts(group)
        self.begin()

    def begin(self) -> None:
        self.vms = OneByOne(self.group, slice(0, self.n_vm), self.quota, ROUNDS * self.n_step)
        self.then = np.zeros(self.n_vm)

    def shares(self) -> Shares:
        """Simulates one more round; returns what the vCPUs of the group did in it."""
        group, law = self.group, self.group.law
        n_step = self.n_step
        if group.script is not None:
            self.begin()
            n_step = min(n_step, group.script.tables[0].size)
        per_vm = np.zeros((entries.N_SUM, self.n_vm))
        by_part = np.zeros((self.n_vm, group.class_ns.size, 5))
        used = self.vms.used.sum()
        self.vms.run(n_step, per_vm, by_part, self.counts, lambda: False)
        now = per_vm[entries.LAST_END] if group.script else self.vms.now()
        passed = max(float((now - self.then).sum()), 1.0) * group.given.vcpus
        self.then = now
        asleep, turns, ran, squares = (
            float(per_vm[row].sum()) for row in (entries.QUEUED, entries.TURNS, entries.RAN, entries.SQUARES)
        )
        awake = passed - asleep
        if not law[entries.IS_CLOSED]:
            awake = float(per_vm[entries.RESPONSE].sum()) - asleep
        running = ran + float(self.vms.used.sum() - used)
        return Shares(
            min(max(awake / passed, 0.0), 1.0), running / passed, turns / passed, ran / passed, squares / passed
        )


def find_runnable(scenario: Scenario, groups: list[Group]) -> float | None:
    """Sets how long the vCPUs of each group wait for cores; None where there is a core for each.

    Returns:
        vCPUs per core that run or want to, on average.
    """
    host, n_vcpu = scenario.host, scenario.n_vcpu
    if host is None or n_vcpu <= host.cores:
        return None
    pilots, first = [], 0
    for group in groups:
        pilots.append(_Pilot(group, scenario.seed, first))
        first += group.given.count * group.given.vcpus
    shares = [Shares(0.0, 0.0, 0.0, 0.0, 0.0)] * len(groups)
    cores, slice_ns = host.cores, host.slice_ns.value
    mean, log_factor, mean_log = shares, 0.0, 0.0
    _set(groups, shares, cores, slice_ns, 1.0)
    for i in range(ROUNDS):
        found = [pilot.shares() for pilot in pilots]
        shares = [old.mixed(new, _GAIN if i else 1.0) for old, new in zip(shares, found, strict=True)]
        if i >= ROUGH:
            log_factor = min(max(log_factor + _excess(groups, shares, cores), -_MOST), _MOST)
        k = i - FORGOTTEN
        mean = shares if k < 0 else [old.mixed(new, 1 / (k + 1)) for old, new in zip(mean, shares, strict=True)]
        mean_log = log_factor if k < 0 else mean_log + (log_factor - mean_log) / (k + 1)
        _set(groups, shares, cores, slice_ns, math.exp(log_factor))
    _set(groups, mean, cores, slice_ns, math.exp(mean_log))
    return _sum(groups, mean, "runnable") / cores


def _sum(groups: list[Group], shares: list[Shares], name: str) -> float:
    """What the shares of all vCPUs add up to."""
    return sum(_n(group) * float(getattr(share, name)) for group, share in zip(groups, shares, strict=True))


def _n(group: Group) -> int:
    return group.given.count * group.given.vcpus


def _spread(groups: list[Group], shares: list[Shares]) -> float:
    """Standard deviation of the number that is runnable, were vCPUs independent of each other."""
    return math.sqrt(sum(_n(g) * s.runnable * (1 - s.runnable) for g, s in zip(groups, shares, strict=True)))


def _excess(groups: list[Group], shares: list[Shares], cores: int) -> float:
    """Cores in use against those that so many runnable vCPUs can use, as a logarithm."""
    runnable, running = _sum(groups, shares, "runnable"), _sum(groups, shares, "running")
    spread = _spread(groups, shares)
    if not spread:  # nobody sleeps: waits for a core are known, not found
        return 0.0
    in_use = runnable - above_zero(runnable - cores, spread)
    return math.log(running / in_use) if running > 0 and in_use > 0 else 0.0


def _set(groups: list[Group], shares: list[Shares], cores: int, slice_ns: float, factor: float) -> None:
    """Writes what follows from the shares into the laws of all groups."""
    runnable, spread = _sum(groups, shares, "runnable"), _spread(groups, shares)
    turns, ran, squares = (_sum(groups, shares, name) for name in ("turns", "ran", "squares"))
    turn, rest = (ran / turns, squares / ran) if ran and spread else (slice_ns, slice_ns)
    for group, share in zip(groups, shares, strict=True):
        law = group.law
        law[entries.OTHERS] = (runnable + 1 - share.runnable) / cores - 1
        law[entries.SPREAD] = spread / cores
        law[entries.TURN], law[entries.REST] = turn * factor, rest * factor
