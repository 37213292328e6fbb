"""Where a lock saturates: the asymptotes of a closed queue, and what the simulation says.

A vCPU's round is thinking and a call. Without waiting, N vCPUs finish N rounds in the time of one; a VMM with k threads
finishes at most k forwarded calls per service time. Throughput is below both, and the knee is where they cross.
Source: asymptotic bounds of the machine repairman; E. Lazowska et al., Quantitative System Performance, 1984, ch. 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsmc.results.tables import Table
from fastsmc.scaling._rows import Heading, table
from fastsmc.scaling.study.sizes import StudySizes

MARGIN = 2.0
"""A simulation with so many times the knee's vCPUs lies well beyond the knee."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one round of a vCPU asks for, in ns.

    Attributes:
        share: of calls that are forwarded.
        in_kernel_ns, alone_ns: a call that stays, and a forwarded one that waits for nobody.
        service_ns: the part of a forwarded call under the lock. n_thread: how many of these parts go on at once.
    """

    think_ns: float
    share: float
    in_kernel_ns: float
    alone_ns: float
    service_ns: float
    n_thread: int = 1

    @property
    def round_ns(self) -> float:
        """Thinking and a call, nobody in the way."""
        return self.think_ns + self.share * self.alone_ns + (1 - self.share) * self.in_kernel_ns

    @property
    def most_forwarded_hz(self) -> float:
        """Forwarded calls a second at which all threads are busy all the time, however many vCPUs make them."""
        return 1e9 * self.n_thread / self.service_ns

    @property
    def knee_vcpus(self) -> float:
        """vCPUs at which the asymptotes cross; 0 if no call is forwarded, and they never do.

        >>> Demand(100_000, 1.0, 302, 6619, 5000).knee_vcpus
        21.3238
        """
        return self.round_ns * self.n_thread / (self.share * self.service_ns) if self.share else 0.0

    def most_hz(self, n_vcpu: int) -> float:
        """The most calls a second: the fewer of those without any waiting and those of a lock that is never free."""
        light = n_vcpu / self.round_ns * 1e9
        return min(light, self.most_forwarded_hz / self.share) if self.share else light

    def knee_share(self, n_vcpu: int) -> float:
        """Share of forwarded calls at which n vCPUs saturate the VMM; above 1 or 0: no share does.

        >>> demand = Demand(100_000, 0.0, 302, 6619, 5000)
        >>> round(demand.knee_share(64), 3), demand.knee_share(1)
        (0.32, 0.0)
        """
        rest = n_vcpu * self.service_ns / self.n_thread - (self.alone_ns - self.in_kernel_ns)
        return (self.think_ns + self.in_kernel_ns) / rest if rest > 0 else 0.0


def knees_table(by_share: Table, sizes: StudySizes) -> Table:
    """The knee of one lock per VM for each share, in closed form and where the simulation's asymptotes cross.

    The simulation's are drawn through its smallest and its largest VM: its most calls a second over those of the
    smallest VM per vCPU. That takes a VM well beyond the knee.
    """
    few, many = int(by_share["n_vcpu"].min()), int(by_share["n_vcpu"].max())
    rows = []
    for share in np.unique(by_share["share"][by_share["n_forwarded"] > 0]).tolist():
        small, large = (by_share.where(share=share, n_vcpu=n) for n in (few, many))
        closed = float(large["knee_vcpus"][0])
        has_passed = many >= MARGIN * closed and few < closed
        crossing = few * float(large["throughput_hz"][0] / small["throughput_hz"][0])
        rows.append((share, closed, crossing if has_passed else 0.0, share * 1e9 / _round(sizes, large)))
    return table("vCPUs at which one lock per VM collapses; a row per share of forwarded calls.", _KNEES, rows)


def _round(sizes: StudySizes, row: Table) -> float:
    share, alone, kernel = (float(row[name][0]) for name in ("share", "alone_ns", "in_kernel_ns"))
    return Demand(sizes.think_us * 1e3, share, kernel, alone, 1.0).round_ns


_KNEES: tuple[Heading, ...] = (
    ("share", "modelled", "share of calls that are forwarded"),
    ("knee_vcpus", "assumed", "closed form: round without waiting over the lock's time in it"),
    ("simulated_vcpus", "assumed", "where the simulation's asymptotes cross; 0: no VM was far enough beyond the knee"),
    ("vcpu_forwarded_hz", "assumed", "forwarded calls per second of each vCPU while nobody waits"),
)
