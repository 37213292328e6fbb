"""What a destination ends up with when VM-global registers are sent once: it depends on how it loads (modelled).

QEMU's load side writes every register of its list back to KVM, vCPU after vCPU. A register that was not in a vCPU's
stream keeps its reset value in that list. If the register is VM-global, KVM has one copy of it, so each later vCPU's
write replaces what vCPU 0's restored: the last writer wins, and the last writer has the reset value. A map of VM-global
registers therefore saves bytes only together with a load side that leaves those writes out as well.
Source: QEMU target/arm/machine.c (cpu_post_load), kvm.c (write_list_to_kvmstate); derived, no VMM does this today.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastsmc.checks import BoolArray, U64Array
from fastsmc.errors import InputError


class SharedStorage:
    """Registers of a VM where KVM keeps one copy of some: a write through any vCPU is seen by all.

    Args:
        reset: uint64[n_reg], what every register is at first. is_global: bool[n_reg].
    """

    def __init__(self, reset: U64Array, is_global: BoolArray, n_vcpu: int) -> None:
        self.is_global = is_global
        self.own = np.tile(reset, (n_vcpu, 1))
        self.shared = reset.copy()
        self.n_write = 0

    def set_one_reg(self, vcpu: int, column: int, value: int) -> None:
        """As SET_ONE_REG on that vCPU."""
        self.n_write += 1
        if self.is_global[column]:
            self.shared[column] = value
        else:
            self.own[vcpu, column] = value

    def seen(self) -> U64Array:
        """What GET_ONE_REG tells on every vCPU: uint64[n_vcpu, n_reg]."""
        return np.where(self.is_global, self.shared, self.own)


def load_once(sent: U64Array, reset: U64Array, is_global: BoolArray, *, skips: bool) -> SharedStorage:
    """A VM after loading a stream that carries VM-global registers for vCPU 0 only.

    Args:
        sent: uint64[n_vcpu, n_reg], the source's values. reset: uint64[n_reg], the destination's before.
        skips: whether the load leaves out what a vCPU's stream left out; False: it writes its whole list.

    Raises:
        InputError: shapes that do not fit.
    """
    if sent.ndim != 2 or reset.shape != sent.shape[1:] or is_global.shape != reset.shape:
        msg = f"values {sent.shape}, reset {reset.shape}, scope {is_global.shape}: one column per register is needed"
        raise InputError(msg)
    vm = SharedStorage(reset, is_global, sent.shape[0])
    for vcpu, column, value in writes(sent, reset, is_global, skips=skips):
        vm.set_one_reg(vcpu, column, value)
    return vm


def writes(sent: U64Array, reset: U64Array, is_global: BoolArray, *, skips: bool) -> Iterator[tuple[int, int, int]]:
    """(vCPU, column, value) of every SET_ONE_REG of the load, in its order."""
    for vcpu in range(sent.shape[0]):
        for column in range(sent.shape[1]):
            is_absent = bool(vcpu and is_global[column])
            if not (is_absent and skips):
                yield vcpu, column, int(reset[column] if is_absent else sent[vcpu, column])
