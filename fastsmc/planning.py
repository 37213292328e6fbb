"""Planners' questions about register state: how many vCPUs fit a downtime, and what one more register adds.

Everything here is modelled: bytes and ioctl counts in closed form, times from a link and an assumed cost per ioctl.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc import costs
from fastsmc.errors import InputError
from fastsmc.migration._checks import MAX_COUNT
from fastsmc.migration.counts import PayloadCost, Vmm, payload_cost
from fastsmc.migration.payload import Codec, payload_bytes
from fastsmc.register_sets import RegisterSet, register_sets
from fastsmc.registers import whole

F64Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Link:
    """A network path: nominal line rate and round-trip time, nothing else on it.

    Raises:
        InputError: a rate that is not above 0, or a negative round trip.
    """

    gbit_per_s: float
    rtt_us: float = 0.0

    def __post_init__(self) -> None:
        _require(self.gbit_per_s, "gbit_per_s", above=0)
        _require(self.rtt_us, "rtt_us", least=0)

    def transfer_ms(self, size: ArrayLike) -> F64Array:
        """Time until `size` bytes are acknowledged: one round trip plus the bytes at line rate. Broadcasts.

        >>> float(Link(10).transfer_ms(8 << 20).round(2))
        6.71
        """
        return self.rtt_us / 1e3 + np.asarray(size, np.float64) * (8 / (self.gbit_per_s * 1e6))

    def __str__(self) -> str:
        return f"{self.gbit_per_s:g} Gbit/s" + (f", {self.rtt_us:g} us round trip" if self.rtt_us else "")


@dataclass(frozen=True, slots=True)
class Fit:
    """The largest vCPU count that fits at one ioctl cost, with what it takes. Times are modelled.

    Attributes:
        n_vcpu: 0 if not even one vCPU fits; then bytes, ioctls and times are 0 too.
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

    def __str__(self) -> str:
        if not self.n_vcpu:
            return f"{self.ioctl}: not even 1 vCPU, bound by {self.bound_by}"
        what = f"{self.ioctl}: {self.n_vcpu} vCPU{'s' * (self.n_vcpu > 1)}, bound by {self.bound_by}"
        note = f"; hypothetical, KVM stops at {costs.VGIC_V3_MAX_CPUS.value:g}" if self.is_hypothetical else ""
        return (
            f"{what} ({self.payload_bytes:,} B in {self.transfer_ms:.3g} ms, "
            f"{self.save_ioctls + self.load_ioctls:,} ioctls in {self.ioctl_ms:.3g} ms{note})"
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
        """Whether any of the fits is."""
        return any(fit.is_hypothetical for fit in self.fits)

    def __str__(self) -> str:
        what = f"{self.n_reg} registers as {self.codec.value!r}"
        head = f"{self.subject}: {what} within {self.downtime_ms:g} ms, {self.link} (modelled)"
        return "\n".join(
            [head, *(f"  {fit}" for fit in self.fits), *(f"  assumes {text}" for text in self.assumptions)]
        )


def max_vcpus(
    registers: RegisterSet | int,
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
        registers: a set, of which QEMU's cpregs are moved, or a number of registers.
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
    _require(downtime_ms, "downtime_ms", above=0)
    if isinstance(registers, RegisterSet):
        subject, n_reg, has_sve = registers.name, registers.qemu_cpregs, registers.has_sve
        shared = registers.n_global if n_global is None else n_global
    else:
        subject, n_reg, has_sve, shared = "any host", registers, False, n_global or 0
    limit = whole("limit", limit, first=1, last=MAX_COUNT)
    n_vcpu = np.arange(1, limit + 1)
    cost = payload_cost(n_reg, n_vcpu, codec, n_global=shared, vmm=vmm, has_sve=has_sve)
    if ioctl_ns is None:
        figures: tuple[costs.Figure, ...] = tuple(costs.IOCTL_NS)
    else:
        _require(ioctl_ns, "ioctl_ns", least=0)
        figures = (costs.Figure(ioctl_ns, "ns", "assumed", "given by the caller"),)
    fits = tuple(_fit(figure, n_vcpu, cost, link, downtime_ms, with_load=with_load) for figure in figures)
    return Plan(subject, n_reg, Codec(codec), link, downtime_ms, fits, _assumptions(Codec(codec), Vmm(vmm), with_load))


def _fit(
    ioctl: costs.Figure,
    n_vcpu: NDArray[np.int64],
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


@dataclass(frozen=True, slots=True)
class AddedRegister:
    """What one more firmware register adds to one VM (arrays if n_vcpu was one).

    Attributes:
        per_vcpu: as today, carried by every vCPU.
        once: if VM-global registers were read, sent and written once.
        share: of the payload as it was before, as today's bytes grow.
        list_room: registers left, after this one, below the 500 that rust-vmm's lists hold; negative: too many.
    """

    subject: str
    n_vcpu: NDArray[np.int64]
    per_vcpu: PayloadCost
    once: PayloadCost
    share: F64Array
    list_room: int


def added_register(
    registers: RegisterSet, *, n_vcpu: ArrayLike, codec: Codec | str = Codec.QEMU, vmm: Vmm | str = Vmm.QEMU
) -> AddedRegister:
    """What one more 64-bit, VM-global firmware register adds to a VM: bytes, ioctls, room in lists. Broadcasts.

    Args:
        codec: "values" or "id+value", as carried today; its once-only form is reported beside it.

    Raises:
        InputError: a count out of range, or a codec that sends VM-global registers once already.

    >>> from fastsmc.register_sets import register_set
    >>> int(added_register(register_set("7.3"), n_vcpu=512).per_vcpu.payload_bytes)
    8192
    """
    now = Codec.QEMU if codec == Codec.QEMU else Codec.VALUES
    if codec != now:
        msg = (
            f"codec {codec!r}: give {Codec.VALUES.value!r} or {Codec.QEMU.value!r}; sending once is reported beside it"
        )
        raise InputError(msg)
    once = Codec.QEMU_GLOBAL_ONCE if now is Codec.QEMU else Codec.VALUES_GLOBAL_ONCE
    n_reg, n_global = registers.qemu_cpregs, registers.n_global

    def cost(codec: Codec, more: int) -> PayloadCost:
        return payload_cost(n_reg + more, n_vcpu, codec, n_global=n_global + more, vmm=vmm, has_sve=registers.has_sve)

    before, per_vcpu = cost(now, 0), _difference(cost(now, 1), cost(now, 0))
    return AddedRegister(
        registers.name,
        np.asarray(n_vcpu, np.int64),
        per_vcpu,
        _difference(cost(once, 1), cost(once, 0)),
        per_vcpu.payload_bytes / before.payload_bytes,
        int(costs.RUST_VMM_MAX_REGS.value) - registers.n_reg - 1,
    )


def _difference(after: PayloadCost, before: PayloadCost) -> PayloadCost:
    return PayloadCost(
        after.payload_bytes - before.payload_bytes,
        after.save_ioctls - before.save_ioctls,
        after.load_ioctls - before.load_ioctls,
    )


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """Registers and bytes of one vCPU under one release, CPU and feature set; recorded, scope derived."""

    release: str
    cpu: str
    features: str
    n_reg: int
    value_bytes: int
    n_global: int
    qemu_cpregs: int
    qemu_bytes: int


def register_table() -> list[RegisterRow]:
    """One row per recorded set, oldest release first. `qemu_bytes`: id+value of the cpreg array."""
    return [
        RegisterRow(
            row.release,
            row.cpu,
            "+".join(row.features) or "none",
            row.n_reg,
            row.value_bytes,
            row.n_global,
            row.qemu_cpregs,
            int(payload_bytes(row.qemu_cpregs, 1, Codec.QEMU)),
        )
        for row in register_sets()
    ]


def _require(value: object, what: str, *, above: float = -math.inf, least: float = -math.inf) -> None:
    number = math.nan
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    with suppress(OverflowError):
        number = float(value) if is_number else number  # type: ignore[arg-type]
    if not (math.isfinite(number) and number > above and number >= least):
        bound = f"above {above:g}" if above > -math.inf else f"of {least:g} or more"
        msg = f"{what} {value!r}: give a number {bound}"
        raise InputError(msg)
