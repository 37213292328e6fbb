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
from fastsmc.migrate.counts import PayloadCost, payload_cost
from fastsmc.migrate.payload import Codec, payload_bytes


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
    n_vcpu: I64Array
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

    >>> from fastsmc.facts.register_sets import register_set
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
            int(payload_bytes(Codec.QEMU, n_reg=row.qemu_cpregs, n_vcpu=1)),
        )
        for row in register_sets()
    ]
