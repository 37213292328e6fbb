"""How many vCPUs a VM may have so that their registers are moved within a downtime.

Everything here is modelled: bytes and ioctl counts in closed form, times from a link and an assumed cost per ioctl.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsmc.checks import I64Array, one_of, whole
from fastsmc.facts import costs
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate._checks import MAX_COUNT
from fastsmc.migrate.carried import Registers, carried
from fastsmc.migrate.counts import PayloadCost, payload_cost
from fastsmc.migrate.link import Link, require_number
from fastsmc.migrate.payload import Codec
from fastsmc.results.units import significant


@dataclass(frozen=True, slots=True)
class Fit:
    """The largest vCPU count that fits at one ioctl cost, with what it takes. Times are modelled.

    Attributes:
        n_vcpu: vCPUs that fit; 0 if not even one does, and then bytes, ioctls and times are 0 too.
        bound_by: what takes most of the time one vCPU more would need ("ioctls", "bytes", "round trip"), or "limit".
        is_hypothetical: more vCPUs than KVM allows per VM (`costs.VGIC_V3_MAX_CPUS`).
    """

    ioctl: costs.Figure
    n_vcpu: int
    payload_bytes: int
    save_ioctls: int
    load_ioctls: int
    transfer_ms: float
    ioctl_ms: float
    bound_by: str

    @property
    def is_hypothetical(self) -> bool:
        """More vCPUs than KVM allows per VM today."""
        return self.n_vcpu > costs.VGIC_V3_MAX_CPUS.value

    def __repr__(self) -> str:
        return f"Fit({self.ioctl}, n_vcpu={self.n_vcpu}, bound_by={self.bound_by!r})"

    def __str__(self) -> str:
        if not self.n_vcpu:
            return f"{self.ioctl}: not even 1 vCPU, bound by {self.bound_by}"
        what = f"{self.ioctl}: {self.n_vcpu} vCPU{'s' * (self.n_vcpu > 1)}, bound by {self.bound_by}"
        note = f"; hypothetical, KVM stops at {costs.VGIC_V3_MAX_CPUS.value:g}" if self.is_hypothetical else ""
        return (
            f"{what} ({self.payload_bytes:,} B in {significant(self.transfer_ms)} ms, "
            f"{self.save_ioctls + self.load_ioctls:,} ioctls in {significant(self.ioctl_ms)} ms{note})"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Answer of `max_vcpus`: one fit per ioctl cost, cheapest first, and what it rests on."""

    subject: str
    n_reg: int
    codec: Codec
    link: Link
    downtime_ms: float
    fits: tuple[Fit, ...]
    assumptions: tuple[str, ...]

    @property
    def is_hypothetical(self) -> bool:
        """Whether any fit has more vCPUs than KVM allows per VM today."""
        return any(fit.is_hypothetical for fit in self.fits)

    def __repr__(self) -> str:
        fits = ", ".join(str(fit.n_vcpu) for fit in self.fits)
        return f"Plan({self.subject[:60]!r}, n_reg={self.n_reg}, {self.codec.value!r}, n_vcpu={fits})"

    def __str__(self) -> str:
        what = f"{self.n_reg} registers as {self.codec.value!r}"
        head = f"{self.subject}: {what} within {self.downtime_ms:g} ms, {self.link} (modelled)"
        return "\n".join(
            [head, *(f"  {fit}" for fit in self.fits), *(f"  assumes {text}" for text in self.assumptions)]
        )


def max_vcpus(
    registers: Registers,
    *,
    link: Link,
    downtime_ms: float = costs.QEMU_DOWNTIME_LIMIT_MS.value,
    ioctl_ns: float | None = None,
    codec: Codec | str = Codec.QEMU,
    n_global: int | None = None,
    vmm: Vmm | str = Vmm.QEMU,
    with_load: bool = True,
    limit: int = 1024,
) -> Plan:
    """The most vCPUs whose register arrays are read, sent and written within a downtime.

    Args:
        registers: what QEMU carries per vCPU: a register set, a release such as "6.18+pmu", or a number.
        ioctl_ns: cost of one ioctl; without it the low, mid and high of `costs.IOCTL_NS`.
        n_global: VM-global registers, for the codecs that send them once; default: the set's own, 0 for a number.
        with_load: count the SETs of the destination too, not only the GETs of the source.
        limit: largest count to consider.

    Raises:
        InputError: a number out of range.

    >>> plan = max_vcpus(182, link=Link(gbit_per_s=10), with_load=False)
    >>> [fit.n_vcpu for fit in plan.fits]
    [1024, 1024, 676]
    """
    require_number(downtime_ms, "downtime_ms", above=0)
    sent, codec = carried(registers), one_of("codec", codec, Codec)
    shared = sent.n_global if n_global is None else n_global
    limit = whole("limit", limit, first=1, last=MAX_COUNT)
    n_vcpu = np.arange(1, limit + 1)
    cost = payload_cost(codec, n_reg=sent.n_reg, n_vcpu=n_vcpu, n_global=shared, vmm=vmm, has_sve=sent.has_sve)
    if ioctl_ns is None:
        figures: tuple[costs.Figure, ...] = tuple(costs.IOCTL_NS)
    else:
        require_number(ioctl_ns, "ioctl_ns", least=0)
        figures = (costs.Figure(ioctl_ns, "ns", "assumed", "given by the caller"),)
    fits = tuple(_fit(figure, n_vcpu, cost, link, downtime_ms, with_load=with_load) for figure in figures)
    texts = _assumptions(codec, Vmm(vmm), with_load)
    return Plan(sent.subject, sent.n_reg, codec, link, downtime_ms, fits, texts)


def _fit(
    ioctl: costs.Figure,
    n_vcpu: I64Array,
    cost: PayloadCost,
    link: Link,
    downtime_ms: float,
    *,
    with_load: bool,
) -> Fit:
    load = cost.load_ioctls * with_load
    transfer = link.transfer_ms(cost.payload_bytes)
    ioctl_ms = (cost.save_ioctls + load) * (ioctl.value / 1e6)
    # Both grow with every vCPU, so those that fit come first.
    most = int(np.count_nonzero(transfer + ioctl_ms <= downtime_ms))
    bound_by = "limit"
    if most < n_vcpu.size:
        round_trip = link.rtt_us / 1e3
        shares = {"ioctls": ioctl_ms[most], "bytes": transfer[most] - round_trip, "round trip": round_trip}
        bound_by = max(shares, key=lambda share: float(shares[share]))
    if not most:
        return Fit(ioctl, 0, 0, 0, 0, 0.0, 0.0, bound_by)
    size, save, loaded = (int(column[most - 1]) for column in (cost.payload_bytes, cost.save_ioctls, load))
    return Fit(ioctl, most, size, save, loaded, float(transfer[most - 1]), float(ioctl_ms[most - 1]), bound_by)


def _assumptions(codec: Codec, vmm: Vmm, with_load: bool) -> tuple[str, ...]:
    """What a plan rests on, weakest first."""
    texts = [
        "the cost of one ioctl: nobody has published it for arm64",
        "ioctls one after another, then the bytes at line rate"
        + (", then the ioctls of the other end" if with_load else ""),
        "register arrays only: no RAM, device state, core and SVE values, section framing or stream description",
    ]
    if vmm is Vmm.QEMU and with_load:
        texts.append("QEMU writes each register twice at load: the second write is unverified")
    if codec.is_global_once:
        texts.append("a VMM that reads, sends and writes VM-global registers once: none does today")
    return tuple(texts)
