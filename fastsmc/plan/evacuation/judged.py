"""Whether drains keep their times: in the replicas, and at both ends of what is not known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.checks import F64Array, I64Array
from fastsmc.facts import costs
from fastsmc.plan.evacuation.destinations import Placed
from fastsmc.plan.evacuation.drains import Drained, Drains, simulate
from fastsmc.plan.evacuation.guessed import IOCTL, MEMORY, NIC, WRITES, Guessed
from fastsmc.plan.kernels.draining import Rules
from fastsmc.plan.result import Weakest
from fastsmc.results.units import number_of, percent

_ENOUGH = 100
"""Replicas at the ends of what is not known."""
_RANGES = {each.figure: each for each in (WRITES, MEMORY, NIC)}


class Asked(NamedTuple):
    """The question's numbers, checked."""

    within_s: float
    downtime_ms: float
    replicas: int
    seed: int
    miss_share: float


class Outcome(NamedTuple):
    """What a run came to.

    Attributes:
        late_share: of the replicas; where hosts are emptied each by itself, that of the host that is late most often.
        over_share: of the migrations that ended, those over their downtime: at low, middle and high cost of an ioctl.
        p90_s: nine of ten drains are over by then.
    """

    late_share: float
    over_share: tuple[float, float, float]
    p90_s: float

    @classmethod
    def of(cls, drained: Drained, within_s: float, *, is_each: bool) -> Outcome:
        """The outcome of a run."""
        late = drained.is_late(within_s)
        share = late.mean(axis=0).max(initial=0) if is_each else late.any(axis=1).mean()
        over = drained.found.n_over.sum(axis=0) / max(drained.n_migration, 1)
        times: F64Array = drained.found.ended_s if is_each else drained.all_s
        low, mid, high = over.tolist()
        return cls(float(share), (low, mid, high), float(np.quantile(times, 0.9)))

    def is_met(self, miss_share: float, ioctl: int = 1) -> bool:
        """Whether both shares stay within what was allowed, at the low (0), middle or high (2) cost of an ioctl."""
        return self.late_share <= miss_share and self.over_share[ioctl] <= miss_share

    def sentence(self, ioctl: int = 1) -> str:
        """The outcome in words."""
        late, over = percent(self.late_share), percent(self.over_share[ioctl])
        return f"p90 {time_text(self.p90_s)}, late in {late} of replicas, {over} of migrations over their downtime"


class Verdict(NamedTuple):
    """What was found, and whether it will do; None where what is not known decides."""

    drained: Drained
    outcome: Outcome
    is_met: bool | None
    weakest: Weakest
    is_each: bool
    n_stay: I64Array


def judged(drains: Drains, guesses: Guessed, rules: Rules, asked: Asked, found: Placed) -> Verdict:
    """Simulates the drains as drawn, and with each unknown figure, and all of them, at either end."""
    is_each = len(drains.first) > 2

    def run(figures: Guessed, replicas: int) -> Drained:
        moves = drains.moves._replace(
            memory=np.ascontiguousarray(figures.memory[found.vm]), rate=np.ascontiguousarray(figures.rate[found.vm])
        )
        return simulate(
            drains._replace(moves=moves, nic=figures.nic),
            *(rules, len(found.n_stay)),
            n_replica=replicas,
            seed=asked.seed,
        )

    def end(figure: str, which: int) -> Outcome:
        drained = run(guesses.at(figure, which), min(asked.replicas, _ENOUGH))
        return Outcome.of(drained, asked.within_s, is_each=is_each)

    drained = run(guesses, asked.replicas)
    outcome = Outcome.of(drained, asked.within_s, is_each=is_each)
    ends = {figure: (end(figure, 0), end(figure, 1)) for figure in guesses.n_unknown}
    every = list(ends.values())
    if len(ends) > 1:
        every.append((end("", 0), end("", 1)))
    said = {outcome.is_met(asked.miss_share, ioctl) for ioctl in range(3)}
    said |= {each.is_met(asked.miss_share) for pair in every for each in pair}
    is_met = None if len(said) > 1 or (found.doubts and True in said) else said.pop()
    if found.excuses:
        is_met = False
    return Verdict(drained, outcome, is_met, _weakest(outcome, ends, asked.miss_share), is_each, found.n_stay)


def _weakest(outcome: Outcome, ends: dict[str, tuple[Outcome, Outcome]], miss_share: float) -> Weakest:
    """The figure whose ends differ most: in the verdict, then in the shares that miss and the time that drains take."""

    def differs(figure: str) -> tuple[bool, float]:
        low, high = ends[figure]
        shares = abs(high.late_share - low.late_share) + abs(high.over_share[1] - low.over_share[1])
        times = abs(high.p90_s - low.p90_s) / max(high.p90_s, low.p90_s, 1e-9)
        return low.is_met(miss_share) != high.is_met(miss_share), shares + times

    ioctls = outcome.is_met(miss_share, 0) != outcome.is_met(miss_share, 2)
    by_ioctls = (ioctls, outcome.over_share[2] - outcome.over_share[0])
    figure = max(ends, key=differs, default="")
    if not figure or by_ioctls > differs(figure):
        low, _, high = costs.IOCTL_NS
        return Weakest(f"{IOCTL}, ns", low.value, high.value, outcome.sentence(0), outcome.sentence(2))
    its = _RANGES[figure]
    return Weakest(figure, its.low, its.high, *(each.sentence() for each in ends[figure]))


def time_text(seconds: float) -> str:
    """A time in seconds as a person reads it.

    >>> time_text(42.42), time_text(750), time_text(9000)
    ('42.4 s', '12.5 min', '2.5 h')
    """
    for unit, name, least in ((3600, "h", 2), (60, "min", 2)):
        if seconds >= unit * least:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def hosts_text(names: list[str], shown: int = 3) -> str:
    """A few names of hosts, or how many there are.

    >>> hosts_text(["h1"]), hosts_text(["h1", "h2", "h3", "h4"])
    ('h1', '4 hosts')
    """
    return ", ".join(names) if len(names) <= shown else number_of(len(names), "host")
