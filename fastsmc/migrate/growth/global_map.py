"""What a map of VM-global registers would save, and the origin's claim that it would not be worth having.

A map lets a VMM read, send and write a VM-global register for one vCPU only. What it saves grows with the vCPUs
beyond the first times the VM-global registers: their ioctls at both ends, and 16 bytes each, as QEMU sends them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsmc.checks import whole
from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate._checks import MAX_COUNT
from fastsmc.migrate.counts import COUNTED
from fastsmc.migrate.link import Link, require_number
from fastsmc.migrate.payload import Codec, payload_bytes
from fastsmc.migrate.span import IoctlNs, Span, ioctl_span
from fastsmc.results.units import significant

ORIGIN = ((1024, 1024, "noticeable but no real problem"), (10, 100, "8 kB, the most there is in practice"))
"""Registers, vCPUs and what was said of them. Source: answer of 15 April 2022, <8735iebu48.wl-maz@kernel.org>."""

_SENT = 16
"""Bytes of a register in QEMU's stream: its id and its value."""
_REMARK = "the origin speaks of 10 to 1024"


def calls_per_register(vmm: Vmm | str) -> int:
    """Ioctls per register and vCPU at both ends: QEMU reads and writes twice, the second write being assumed."""
    if Vmm.among(vmm, COUNTED) is Vmm.MINIMAL:
        return 2
    return int(costs.QEMU_CPREG_GETS.value + costs.QEMU_CPREG_SETS.value)


def saved_ms(repeats: float, *, link: Link, ioctl_ns: float, vmm: Vmm | str = Vmm.QEMU) -> float:
    """Milliseconds that are saved where so many repeats of a register's read, send and write are left out."""
    return repeats * (calls_per_register(vmm) * ioctl_ns / 1e6 + _SENT * 8 / (link.gbit_per_s * 1e6))


@dataclass(frozen=True, slots=True)
class MapSavings:
    """What a map saves one VM (modelled).

    Attributes:
        n_byte: bytes that are not sent.
        ioctls: ioctls that are not made, at both ends together.
        share: `ms` as a share of the downtime limit.
    """

    n_global: int
    n_vcpu: int
    vmm: Vmm
    n_byte: int
    ioctls: int
    ms: Span
    share: Span

    @property
    def repeats(self) -> int:
        """VM-global registers times vCPUs beyond the first."""
        return self.n_global * (self.n_vcpu - 1)

    def __repr__(self) -> str:
        saved = f"n_byte={self.n_byte}, ioctls={self.ioctls}, ms={significant(self.ms.mid)}"
        return f"MapSavings(n_global={self.n_global}, n_vcpu={self.n_vcpu}, vmm={self.vmm}, {saved})"

    def __str__(self) -> str:
        return (
            f"a map of {self.n_global} VM-global registers saves {self.vmm.full_name} with {self.n_vcpu} vCPUs "
            f"{self.n_byte:,} B and {self.ioctls:,} ioctls, "
            f"{significant(self.ms.low)} to {significant(self.ms.high)} ms (modelled)"
        )


def map_savings(
    *,
    n_global: int,
    n_vcpu: int,
    link: Link,
    ioctl_ns: IoctlNs = None,
    vmm: Vmm | str = Vmm.QEMU,
    limit_ms: float = costs.QEMU_DOWNTIME_LIMIT_MS.value,
) -> MapSavings:
    """Bytes, ioctls and ms that a map saves, and their share of a downtime limit.

    Raises:
        InputError: a number out of range.

    >>> saved = map_savings(n_global=71, n_vcpu=512, link=Link(10))
    >>> saved.n_byte, saved.ioctls, round(saved.ms.mid, 1)
    (580496, 145124, 73.0)
    """
    n_global = whole("n_global", n_global, first=1, last=MAX_COUNT, remark=_REMARK)
    n_vcpu = whole("n_vcpu", n_vcpu, first=1, last=MAX_COUNT, remark=_REMARK)
    require_number(limit_ms, "limit_ms", least=1e-3)
    repeats = n_global * (n_vcpu - 1)
    ms = Span(*(saved_ms(repeats, link=link, ioctl_ns=ns, vmm=vmm) for ns in ioctl_span(ioctl_ns)))
    calls = repeats * calls_per_register(vmm)
    return MapSavings(n_global, n_vcpu, Vmm(vmm), repeats * _SENT, calls, ms, ms.times(1 / limit_ms))


def registers_to_reach(
    share: float,
    *,
    n_vcpu: int,
    link: Link,
    ioctl_ns: IoctlNs = None,
    vmm: Vmm | str = Vmm.QEMU,
    limit_ms: float = costs.QEMU_DOWNTIME_LIMIT_MS.value,
) -> Span:
    """How many VM-global registers a VM needs before a map saves that share of the downtime limit: break-even.

    Low is at the high cost of an ioctl. Infinite for one vCPU, which has no repeats.

    Raises:
        InputError: a number out of range.

    >>> round(registers_to_reach(0.1, n_vcpu=512, link=Link(10)).mid, 1)
    29.2
    """
    require_number(share, "share", above=0)
    require_number(limit_ms, "limit_ms", least=1e-3)
    others = whole("n_vcpu", n_vcpu, first=1, last=MAX_COUNT, remark=_REMARK) - 1
    if not others:
        return Span.exactly(np.inf)
    each = [saved_ms(others, link=link, ioctl_ns=ns, vmm=vmm) for ns in ioctl_span(ioctl_ns)]
    return Span(*(share * limit_ms / one for one in reversed(each)))


@dataclass(frozen=True, slots=True)
class ClaimPoint:
    """One point of the origin's claim, for all registers of all vCPUs: bytes are exact, times modelled.

    Attributes:
        said: what was said of it in 2022.
        ioctls: those of QEMU, at both ends together.
        bytes_share, ioctl_share: `bytes_ms` and `ioctl_ms` as shares of the downtime limit.
    """

    n_reg: int
    n_vcpu: int
    said: str
    value_bytes: int
    qemu_bytes: int
    ioctls: int
    bytes_ms: float
    ioctl_ms: Span
    bytes_share: float
    ioctl_share: Span

    def __repr__(self) -> str:
        return (
            f"ClaimPoint(n_reg={self.n_reg}, n_vcpu={self.n_vcpu}, qemu_bytes={self.qemu_bytes}, ioctls={self.ioctls})"
        )

    def __str__(self) -> str:
        return (
            f"{self.n_reg} registers x {self.n_vcpu} vCPUs, said to be {self.said}: {self.value_bytes:,} B of values, "
            f"{self.qemu_bytes:,} B in QEMU's stream, {significant(self.bytes_ms)} ms or "
            f"{_percent(self.bytes_share)} of the limit; {self.ioctls:,} ioctls, {self.ioctl_ms.low:,.1f} to "
            f"{self.ioctl_ms.high:,.1f} ms or {_percent(self.ioctl_share.low)} to {_percent(self.ioctl_share.high)}"
        )


def _percent(share: float) -> str:
    percent = share * 100
    return f"{percent:,.0f} %" if percent >= 100 else f"{percent:.2g} %"


def claim(
    *,
    link: Link,
    ioctl_ns: IoctlNs = None,
    limit_ms: float = costs.QEMU_DOWNTIME_LIMIT_MS.value,
) -> tuple[ClaimPoint, ...]:
    """The origin's two points in bytes, ioctls and ms.

    >>> [point.value_bytes for point in claim(link=Link(10))]
    [8388608, 8000]
    """
    require_number(limit_ms, "limit_ms", least=1e-3)
    return tuple(_point(*point, link, ioctl_span(ioctl_ns), limit_ms) for point in ORIGIN)


def _point(n_reg: int, n_vcpu: int, said: str, link: Link, ioctl_ns: Span, limit_ms: float) -> ClaimPoint:
    sent = int(payload_bytes(Codec.QEMU, n_reg=n_reg, n_vcpu=n_vcpu))
    bytes_ms = float(Link(link.gbit_per_s).transfer_ms(sent))
    calls = n_reg * n_vcpu * calls_per_register(Vmm.QEMU)
    ms = ioctl_ns.times(calls / 1e6)
    values = int(payload_bytes(Codec.VALUES, n_reg=n_reg, n_vcpu=n_vcpu))
    return ClaimPoint(
        n_reg, n_vcpu, said, values, sent, calls, bytes_ms, ms, bytes_ms / limit_ms, ms.times(1 / limit_ms)
    )


def conclusion(points: tuple[ClaimPoint, ...], *, share: float) -> str:
    """One sentence on the claim: whether each axis, bytes and ioctls, stays below a share of the limit.

    Raises:
        InputError: not the two points of `claim`.
    """
    if len(points) != len(ORIGIN):
        msg = f"{len(points)} points given: the conclusion is on the {len(ORIGIN)} of claim()"
        raise InputError(msg)
    extreme, realistic = points
    texts = []
    for point in (realistic, extreme):
        calls = point.ioctl_share
        reach = "stay below" if calls.high < share else "exceed" if calls.low >= share else "may or may not exceed"
        below = "stay below" if point.bytes_share < share else "exceed"
        texts.append(
            f"at {point.n_reg} x {point.n_vcpu} the bytes {below} {share * 100:g} % of the limit, the ioctls {reach} it"
        )
    return (
        f"{'; '.join(texts)}. The bytes are exact; the ioctls' time rests on an assumed cost, from low to high "
        f"{_ratio(extreme)}, and on a second write at load that nobody has checked"
    )


def _ratio(point: ClaimPoint) -> str:
    low, high = point.ioctl_ms.low, point.ioctl_ms.high
    return "a single number" if low == high or not low else f"a factor of {significant(high / low)}"
