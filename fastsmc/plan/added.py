"""What one more firmware register adds to a VM, and what the recorded sets carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import F64Array, I64Array
from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.facts.register_sets import RegisterSet, register_sets
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate._checks import brief
from fastsmc.migrate.carried import register_set_of
from fastsmc.migrate.counts import PayloadCost, payload_cost
from fastsmc.migrate.payload import Codec, payload_bytes


@dataclass(frozen=True, slots=True)
class AddedRegister:
    """What one more firmware register adds to one VM; arrays if n_vcpu was an array.

    Attributes:
        per_vcpu: what it adds as registers are carried today, by every vCPU.
        once: what it would add if VM-global registers were read, sent and written once.
        share: today's bytes that it adds, as a share of the payload before.
        list_room: registers that still fit rust-vmm's list of 500 after this one; negative if the list overflows.
    """

    subject: str
    n_vcpu: I64Array
    per_vcpu: PayloadCost
    once: PayloadCost
    share: F64Array
    list_room: int

    def __repr__(self) -> str:
        more = f"{brief(self.per_vcpu.payload_bytes)} B more"
        return f"AddedRegister({self.subject[:60]!r}, n_vcpu={brief(self.n_vcpu)}, {more}, list_room={self.list_room})"

    def __str__(self) -> str:
        lines = [f"{self.subject}: one more firmware register (modelled); {self.list_room} still fit rust-vmm's list"]
        columns = (self.n_vcpu, self.per_vcpu.payload_bytes, self.per_vcpu.save_ioctls, self.share)
        for n_vcpu, size, calls, share in zip(*map(np.atleast_1d, np.broadcast_arrays(*columns)), strict=True):
            lines.append(f"{n_vcpu:6d} vCPUs: {size} B ({share:.2%}) and {calls} ioctls to save more")
        return "\n".join(lines)


def added_register(
    registers: RegisterSet | str, *, n_vcpu: ArrayLike, codec: Codec | str = Codec.QEMU, vmm: Vmm | str = Vmm.QEMU
) -> AddedRegister:
    """What one more 64-bit, VM-global firmware register adds to a VM: bytes, ioctls, room in lists. Broadcasts.

    Args:
        registers: a register set, or a release such as "6.18+pmu".
        codec: "values" or "id+value", as carried today; its once-only form is reported beside it.

    Raises:
        InputError: a count out of range, or a codec that sends VM-global registers once already.

    >>> int(added_register("7.3", n_vcpu=512).per_vcpu.payload_bytes)
    8192
    """
    now = Codec.QEMU if codec == Codec.QEMU else Codec.VALUES
    if codec != now:
        msg = (
            f"codec {codec!r}: give {Codec.VALUES.value!r} or {Codec.QEMU.value!r}; sending once is reported beside it"
        )
        raise InputError(msg)
    registers = register_set_of(registers)
    once = Codec.QEMU_GLOBAL_ONCE if now is Codec.QEMU else Codec.VALUES_GLOBAL_ONCE
    n_reg, n_global = registers.qemu_cpregs, registers.n_global

    def cost(codec: Codec, more: int) -> PayloadCost:
        return payload_cost(
            codec, n_reg=n_reg + more, n_vcpu=n_vcpu, n_global=n_global + more, vmm=vmm, has_sve=registers.has_sve
        )

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
    """Registers and bytes of one vCPU under one release, CPU and feature set (recorded; which are VM-global, derived).

    Attributes:
        qemu_bytes: of QEMU's cpreg array, id+value.
    """

    release: str
    cpu: str
    features: str
    n_reg: int
    value_bytes: int
    n_global: int
    qemu_cpregs: int
    qemu_bytes: int

    def __str__(self) -> str:
        what = f"{self.n_reg} registers, {self.value_bytes} B, {self.n_global} VM-global"
        return f"{self.release} on {self.cpu} with {self.features}: {what}; QEMU carries {self.qemu_cpregs}"


def register_table() -> list[RegisterRow]:
    """One row per recorded set, oldest release first."""
    return [
        RegisterRow(
            row.release,
            row.cpu,
            "+".join(row.features) or "none",
            row.n_reg,
            row.value_bytes,
            row.n_global,
            row.qemu_cpregs,
            int(payload_bytes(Codec.QEMU, n_reg=row.qemu_cpregs, n_vcpu=1)),
        )
        for row in register_sets()
    ]
