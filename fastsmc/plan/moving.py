"""A VM that moves by precopy over links and within limits, and what is found of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsmc.checks import F64Array
from fastsmc.migrate.carried import Carried
from fastsmc.migrate.link import Link
from fastsmc.migrate.precopy import Precopy, precopy
from fastsmc.migrate.profiled import Profiled
from fastsmc.migrate.switchover.arrays import Vms, total_ms

GIB, MIB = 1 << 30, 1 << 20


@dataclass(frozen=True, slots=True)
class Moving:
    """The VM that moves, and how: the two axes of the table."""

    registers: Carried
    n_vcpu: int
    memory_gib: float
    dirty_mib_per_s: float
    hot_set_mib: float
    hot_set_s: float
    links: list[Link]
    downtime_ms: F64Array
    ioctl_ns: F64Array
    told_by: Profiled

    @property
    def subject(self) -> str:
        """The VM in words."""
        name = self.registers.subject if self.registers.is_of_kvm else str(self.registers)
        hot = f" and a hot set of {self.hot_set_mib:g} MiB" if self.hot_set_mib else ""
        return f"{self.n_vcpu:,} vCPUs ({name}), {self.memory_gib:g} GiB, {self.dirty_mib_per_s:g} MiB/s written{hot}"

    def registers_ms(self) -> F64Array:
        """What the registers take: float64[n_link, 1, 3]."""
        rates = np.array([[link.gbit_per_s, link.rtt_us] for link in self.links])
        vms = Vms(
            n_reg=np.asarray(self.registers.n_reg),
            n_vcpu=np.asarray(self.n_vcpu),
            has_sve=np.asarray(self.registers.has_sve),
            gbit_per_s=rates[:, 0, None],
            rtt_us=rates[:, 1, None],
            ioctl_ns=self.ioctl_ns,
            by_step=self.told_by.by_step,
        )
        return total_ms(vms)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of each cell; arrays [n_link, n_limit, 3].

    Attributes:
        left_ms: what the registers leave of the limit for memory; negative where they take more than all of it.
        memory: its precopy within that, where there is some.
    """

    registers_ms: F64Array
    left_ms: F64Array
    memory: Precopy

    @property
    def total_s(self) -> F64Array:
        """Precopy and the registers; NaN where it does not converge or the registers take the limit alone."""
        converges = self.memory.converges & (self.left_ms >= 0)
        return np.where(converges, self.memory.total_s + self.registers_ms / 1e3, np.nan)

    @property
    def stopped_ms(self) -> F64Array:
        """How long the guest is stopped; NaN likewise."""
        return np.where(np.isnan(self.total_s), np.nan, self.memory.downtime_ms + self.registers_ms)


def moved(moving: Moving) -> Found:
    """The precopy of each cell, in what the registers leave of its limit."""
    registers_ms = moving.registers_ms()
    left_ms = moving.downtime_ms[:, None] - registers_ms
    memory = precopy(
        memory_bytes=moving.memory_gib * GIB,
        bandwidth_bytes_per_s=np.array([link.gbit_per_s for link in moving.links])[:, None, None] * 1e9 / 8,
        dirty_bytes_per_s=moving.dirty_mib_per_s * MIB,
        hot_set_bytes=moving.hot_set_mib * MIB,
        hot_set_s=moving.hot_set_s,
        downtime_ms=np.maximum(left_ms, 0),
    )
    return Found(registers_ms, left_ms, memory)
