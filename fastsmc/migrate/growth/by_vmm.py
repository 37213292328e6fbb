"""A kernel developer's question: "I add n firmware registers". Before and after, VMM by VMM (modelled)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from fastsmc.checks import one_of, shown, whole
from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.facts.registers import CLASS_ROOM
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate._checks import MAX_COUNT
from fastsmc.migrate.carried import register_set_of
from fastsmc.migrate.growth.carriers import CARRIERS, NOT_KEPT, Carrier, Family
from fastsmc.migrate.growth.global_map import claim, map_savings, registers_to_reach
from fastsmc.migrate.growth.result import BothWays, Limit, MoreRegisters, VmmRow
from fastsmc.migrate.link import Link, require_number
from fastsmc.migrate.span import IoctlNs, Span, ioctl_span

SIZES = (32, 64, 128)
"""Bits that a firmware register can have."""


def add_registers(
    registers: RegisterSet | str,
    *,
    n_new: int,
    n_vcpu: Iterable[int],
    link: Link,
    size_bits: int = 64,
    family: Family | str = Family.BITMAP,
    ioctl_ns: IoctlNs = None,
    limit_ms: float = costs.QEMU_DOWNTIME_LIMIT_MS.value,
    share_percent: float = 10,
) -> MoreRegisters:
    """What n more firmware registers change when a VM moves, VMM by VMM (modelled).

    Bytes, ioctls and ms; limits that are crossed; directions that break; what a map of VM-global registers would then
    save, and a verdict on what was said of such a map in 2022.

    Args:
        registers: the base: a register set, or a release such as "6.18+pmu".
        n_vcpu: of the VM; a number that is given again is dropped.
        size_bits: of a new register.
        family: bitmap, or fw for a single value such as PSCI_VERSION.
        limit_ms: QEMU's downtime-limit.
        share_percent: of the limit, from which on a saving counts.

    Raises:
        InputError: a count out of range, a size that no firmware register can have, no vCPU count, or a release or
            features that fastsmc does not know.

    >>> row = add_registers("6.18", n_new=1, n_vcpu=[512], link=Link(10)).rows[0]
    >>> row.vmm, row.n_byte_after.mid - row.n_byte.mid, row.ioctls_after - row.ioctls
    ('QEMU', 8192.0, 2048)
    """
    share_percent = require_number(share_percent, "share_percent", above=0)
    limit_ms = require_number(limit_ms, "limit_ms", least=1e-3)
    base = register_set_of(registers)
    new, counts = _new(n_new, size_bits, family), _counts(n_vcpu)
    each = ioctl_span(ioctl_ns)
    n_global = base.n_global + new.n_new
    given: dict[str, Any] = {"link": link, "ioctl_ns": tuple(each), "limit_ms": limit_ms}
    return MoreRegisters(
        base.name,
        base.qemu_cpregs,
        new.n_new,
        size_bits,
        new.family,
        link,
        each,
        limit_ms,
        share_percent,
        tuple(_row(carrier, base, new, count, link, each) for count in counts for carrier in CARRIERS),
        tuple(_limits(base, new)),
        tuple(_both_ways(carrier, new) for carrier in CARRIERS),
        tuple(map_savings(n_global=n_global, n_vcpu=count, **given) for count in counts),
        tuple(registers_to_reach(share_percent / 100, n_vcpu=count, **given) for count in counts),
        claim(**given),
    )


class New(NamedTuple):
    """The registers that are added: how many, bytes of each one's value, their family."""

    n_new: int
    n_byte: int
    family: Family


def _new(n_new: int, size_bits: int, family: Family | str) -> New:
    if size_bits not in SIZES:
        msg = f"size_bits is {shown(size_bits)}: it must be {', '.join(map(str, SIZES[:-1]))} or {SIZES[-1]}"
        raise InputError(msg)
    n_new = whole("n_new", n_new, first=1, last=CLASS_ROOM, remark="a class has room for 65536 registers")
    return New(n_new, size_bits // 8, one_of("family", family, Family))


def _counts(n_vcpu: Iterable[int]) -> list[int]:
    """The vCPU counts, each once."""
    counts = [
        whole("n_vcpu", one, first=1, last=MAX_COUNT, remark="KVM runs up to 512") for one in dict.fromkeys(n_vcpu)
    ]
    if not counts:
        msg = "n_vcpu is empty: give at least one vCPU count"
        raise InputError(msg)
    return counts


def _row(carrier: Carrier, base: RegisterSet, new: New, n_vcpu: int, link: Link, each: Span) -> VmmRow:
    def ms(size: Span, calls: int) -> Span:
        return each.times(calls / 1e6) + Span(*(float(link.transfer_ms(end)) for end in size))

    limit = None if carrier.max_vcpus is None else int(carrier.max_vcpus.value)
    size, calls = carrier.array_bytes(base).times(n_vcpu), carrier.ioctls(base) * n_vcpu
    refused = _refusal(carrier, base, new)
    kept = new.family in carrier.keeps
    after = size + carrier.added_bytes(new.n_byte).times(new.n_new * n_vcpu * kept)
    calls_after = calls + carrier.added_ioctls * new.n_new * n_vcpu * kept
    before = (carrier.vmm.full_name, n_vcpu, limit, size)
    if refused:
        return VmmRow(*before, None, calls, None, ms(size, calls), None, refused)
    return VmmRow(*before, after, calls, calls_after, ms(size, calls), ms(after, calls_after), "")


def _refusal(carrier: Carrier, base: RegisterSet, new: New) -> str:
    """Why the VMM cannot carry the new registers, or nothing."""
    if new.family in carrier.keeps and new.n_byte > carrier.max_bytes:
        return carrier.too_wide
    most = int(costs.RUST_VMM_MAX_REGS.value)
    if carrier.has_list_limit and base.n_reg + new.n_new > most:
        return f"rust-vmm's list takes {most} registers, and there would be {base.n_reg + new.n_new}"
    return ""


def _limits(base: RegisterSet, new: New) -> Iterable[Limit]:
    most, n_reg = int(costs.RUST_VMM_MAX_REGS.value), base.n_reg
    lists = f"{Vmm.FIRECRACKER.full_name}, {Vmm.CLOUD_HYPERVISOR.full_name}"
    yield Limit(lists, "registers in rust-vmm's list", most, n_reg, n_reg + new.n_new, most - n_reg)
    most, n_vcpu = int(costs.FIRECRACKER_MAX_STATE_BYTES.value), int(costs.FIRECRACKER_MAX_CPUS.value)
    before = (8 * n_reg + base.value_bytes) * n_vcpu
    each = (8 + new.n_byte) * n_vcpu
    what = f"bytes of registers in the state file, {n_vcpu} vCPUs"
    yield Limit(Vmm.FIRECRACKER.full_name, what, most, before, before + new.n_new * each, (most - before) // each)
    fits = new.n_byte <= 8
    yield Limit(Vmm.QEMU.full_name, "bits of a register", 64, 64, 64 if fits else new.n_byte * 8, None if fits else 0)


def _both_ways(carrier: Carrier, new: New) -> BothWays:
    if new.family not in carrier.keeps:
        return BothWays(carrier.vmm.full_name, NOT_KEPT, carrier.old_to_new)
    if new.n_byte > carrier.max_bytes:
        return BothWays(carrier.vmm.full_name, carrier.too_wide, carrier.too_wide)
    return BothWays(carrier.vmm.full_name, carrier.new_to_old, carrier.old_to_new)
