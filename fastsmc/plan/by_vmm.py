"""A kernel developer's question: "I add n firmware registers". Before and after, VMM by VMM (modelled)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.migrate._checks import MAX_COUNT, checked_whole, member
from fastsmc.migrate.link import Link
from fastsmc.migrate.span import IoctlNs, Span, ioctl_span
from fastsmc.plan.vmms import CARRIERS, NOT_KEPT, Carrier, Family

SIZES = (32, 64, 128)


@dataclass(frozen=True, slots=True)
class VmmRow:
    """One VM under one VMM. Bytes are of the register arrays; ioctls and ms of both ends.

    Attributes:
        n_byte, ioctls, ms: before; with the new registers: after. None if the VMM cannot carry them.
        max_vcpus: the VMM's own limit; None: not looked up.
        refused: why it cannot.
    """

    vmm: str
    n_vcpu: int
    max_vcpus: int | None
    n_byte: Span
    n_byte_after: Span | None
    ioctls: int
    ioctls_after: int | None
    ms: Span
    ms_after: Span | None
    refused: str

    @property
    def is_hypothetical(self) -> bool:
        """More vCPUs than the VMM, or KVM, runs today."""
        return self.n_vcpu > (self.max_vcpus or costs.VGIC_V3_MAX_CPUS.value)


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that stops growing. room: new registers that fit at most; None: any number."""

    vmm: str
    what: str
    most: int
    before: int
    after: int
    room: int | None

    @property
    def is_crossed(self) -> bool:
        """Whether the new registers go beyond it."""
        return self.after > self.most


@dataclass(frozen=True, slots=True)
class Direction:
    """What becomes of a migration between a kernel with the registers and one without."""

    vmm: str
    new_to_old: str
    old_to_new: str


@dataclass(frozen=True, slots=True)
class MoreRegisters:
    """The answer of `more_registers`."""

    subject: str
    n_new: int
    size_bits: int
    family: Family
    link: Link
    ioctl_ns: Span
    rows: tuple[VmmRow, ...]
    limits: tuple[Limit, ...]
    directions: tuple[Direction, ...]


def more_registers(
    registers: RegisterSet,
    n_new: int,
    *,
    n_vcpu: Iterable[int],
    link: Link,
    size_bits: int = 64,
    family: Family | str = Family.BITMAP,
    ioctl_ns: IoctlNs = None,
) -> MoreRegisters:
    """What n more firmware registers change: bytes, ioctls and ms per VMM, limits crossed, directions broken.

    Raises:
        InputError: a count out of range, a size that no firmware register can have, no vCPU count.

    >>> from fastsmc.facts.register_sets import register_set
    >>> row = more_registers(register_set("6.18"), 1, n_vcpu=[512], link=Link(10)).rows[0]
    >>> row.vmm, row.n_byte_after.mid - row.n_byte.mid, row.ioctls_after - row.ioctls
    ('QEMU', 8192.0, 2048)
    """
    n_new = checked_whole(n_new, "n_new", 1 << 16, "a class has room for 65536 registers")
    family = member(Family, family, "family")
    if size_bits not in SIZES:
        msg = f"size_bits {size_bits!r}: give {', '.join(map(str, SIZES[:-1]))} or {SIZES[-1]}"
        raise InputError(msg)
    counts = [checked_whole(count, "n_vcpu", MAX_COUNT, "KVM runs up to 512") for count in dict.fromkeys(n_vcpu)]
    if not counts:
        msg = "n_vcpu is empty: give at least one vCPU count"
        raise InputError(msg)
    each = ioctl_span(ioctl_ns)
    n_byte = size_bits // 8
    return MoreRegisters(
        registers.name,
        n_new,
        size_bits,
        family,
        link,
        each,
        tuple(_row(carrier, registers, n_new, n_byte, family, v, link, each) for v in counts for carrier in CARRIERS),
        tuple(_limits(registers, n_new, n_byte)),
        tuple(_direction(carrier, n_byte, family) for carrier in CARRIERS),
    )


def _row(
    carrier: Carrier,
    registers: RegisterSet,
    n_new: int,
    n_byte: int,
    family: Family,
    n_vcpu: int,
    link: Link,
    each: Span,
) -> VmmRow:
    def ms(size: Span, calls: int) -> Span:
        return each.times(calls / 1e6) + Span(*(float(link.transfer_ms(end)) for end in size))

    limit = None if carrier.max_vcpus is None else int(carrier.max_vcpus.value)
    size, calls = carrier.array_bytes(registers).times(n_vcpu), carrier.ioctls(registers) * n_vcpu
    refused = _refusal(carrier, registers, n_new, n_byte, family)
    kept = family in carrier.keeps
    after = size + carrier.added_bytes(n_byte).times(n_new * n_vcpu * kept)
    calls_after = calls + carrier.added_ioctls * n_new * n_vcpu * kept
    before = (carrier.name, n_vcpu, limit, size)
    if refused:
        return VmmRow(*before, None, calls, None, ms(size, calls), None, refused)
    return VmmRow(*before, after, calls, calls_after, ms(size, calls), ms(after, calls_after), "")


def _refusal(carrier: Carrier, registers: RegisterSet, n_new: int, n_byte: int, family: Family) -> str:
    """Why the VMM cannot carry the new registers, or nothing."""
    if family in carrier.keeps and n_byte > carrier.max_bytes:
        return carrier.too_wide
    most = int(costs.RUST_VMM_MAX_REGS.value)
    if carrier.has_list_limit and registers.n_reg + n_new > most:
        return f"rust-vmm's list takes {most} registers, and there would be {registers.n_reg + n_new}"
    return ""


def _limits(registers: RegisterSet, n_new: int, n_byte: int) -> Iterable[Limit]:
    most, n_reg = int(costs.RUST_VMM_MAX_REGS.value), registers.n_reg
    yield Limit(
        "Firecracker, Cloud Hypervisor", "registers in rust-vmm's list", most, n_reg, n_reg + n_new, most - n_reg
    )
    most, n_vcpu = int(costs.FIRECRACKER_MAX_STATE_BYTES.value), int(costs.FIRECRACKER_MAX_CPUS.value)
    before = (8 * n_reg + registers.value_bytes) * n_vcpu
    each = (8 + n_byte) * n_vcpu
    yield Limit(
        "Firecracker",
        f"bytes of registers in the state file, {n_vcpu} vCPUs",
        most,
        before,
        before + n_new * each,
        (most - before) // each,
    )
    fits = n_byte <= 8
    yield Limit("QEMU", "bits of a register", 64, 64, 64 if fits else n_byte * 8, None if fits else 0)


def _direction(carrier: Carrier, n_byte: int, family: Family) -> Direction:
    if family not in carrier.keeps:
        return Direction(carrier.name, NOT_KEPT, carrier.old_to_new)
    if n_byte > carrier.max_bytes:
        return Direction(carrier.name, carrier.too_wide, carrier.too_wide)
    return Direction(carrier.name, carrier.new_to_old, carrier.old_to_new)
