"""How four VMMs carry a register from host to host, as far as one more of them is concerned.

Source: QEMU target/arm/kvm.c at 03380dd99, Firecracker 81b38b9da, Cloud Hypervisor ae44c2971, crosvm f1e797a68. None of
them was traced; sizes of Cloud Hypervisor are derived, of crosvm from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fastsmc.facts import costs
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.facts.registers import CLASS_FW_FEAT_BMAP, CLASS_SVE, reg_class
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.counts import ioctls
from fastsmc.migrate.span import Span


class Family(StrEnum):
    """Class of the new registers: bitmaps of services, or single values such as PSCI_VERSION."""

    BITMAP = "bitmap"
    FIRMWARE = "fw"


_ID_BYTES = 8
"""Bytes of a register's id beside its value."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """How one VMM carries registers.

    Attributes:
        max_vcpus: the VMM's own limit; None where nobody has looked it up.
        has_list_limit: whether it keeps registers in rust-vmm's lists.
        array_bytes: bytes of one vCPU's registers today.
        added_bytes: bytes of one more register, whose value has so many.
        ioctls: ioctls for one vCPU, at both ends.
        added_ioctls: ioctls for one more register of one vCPU, at both ends.
        max_bytes: the largest register it carries.
        too_wide: what happens to a wider one.
        keeps: the families it carries.
        new_to_old: what becomes of a VM that moves from a kernel with the new registers to one without them.
        old_to_new: what becomes of a VM that moves the other way.
    """

    vmm: Vmm
    max_vcpus: costs.Figure | None
    has_list_limit: bool
    array_bytes: Callable[[RegisterSet], Span]
    added_bytes: Callable[[int], Span]
    ioctls: Callable[[RegisterSet], int]
    added_ioctls: int
    max_bytes: int
    too_wide: str
    keeps: tuple[Family, ...]
    new_to_old: str
    old_to_new: str


def _qemu_ioctls(registers: RegisterSet) -> int:
    count = ioctls(n_reg=registers.qemu_cpregs, n_vcpu=1, has_sve=registers.has_sve)
    return int(count.save_ioctls) + int(count.load_ioctls)


def _left_out_by_crosvm(registers: RegisterSet, *classes: int) -> int:
    return int(np.count_nonzero([reg_class(reg) in classes for reg in registers.ids.tolist()]))


def _crosvm_bytes(registers: RegisterSet) -> Span:
    n_reg = registers.qemu_cpregs - _left_out_by_crosvm(registers, CLASS_FW_FEAT_BMAP)
    return Span.of(costs.CROSVM_REGISTER_BYTES, n_reg)


_ALL = tuple(Family)
_GAINS = "restores; the register keeps the new host's default, so the guest may gain services"
_STRICT = "fails: the old kernel refuses the id (ENOENT)"
CARRIERS = (
    Carrier(
        Vmm.QEMU,
        costs.QEMU_VIRT_MAX_CPUS,
        False,
        lambda registers: Span.exactly(16 * registers.qemu_cpregs),
        lambda n_byte: Span.exactly(_ID_BYTES + 8),
        _qemu_ioctls,
        int(costs.QEMU_CPREG_GETS.value + costs.QEMU_CPREG_SETS.value),
        8,
        "QEMU ends at vCPU init: it knows 32- and 64-bit registers only",
        _ALL,
        "fails: the stream has more registers than the old host's list takes (cpreg_vmstate_array_len), unless the "
        "register is hidden from the guest's machine type",
        _GAINS,
    ),
    Carrier(
        Vmm.FIRECRACKER,
        costs.FIRECRACKER_MAX_CPUS,
        True,
        lambda registers: Span.exactly(_ID_BYTES * registers.n_reg + registers.value_bytes),
        lambda n_byte: Span.exactly(_ID_BYTES + n_byte),
        lambda registers: 2 * registers.n_reg,
        2,
        256,
        "",
        _ALL,
        f"{_STRICT}; snapshot-editor edit-vmstate remove-regs takes it out of the snapshot",
        _GAINS,
    ),
    Carrier(
        Vmm.CLOUD_HYPERVISOR,
        costs.CLOUD_HYPERVISOR_MAX_CPUS,
        True,
        lambda registers: Span.of(costs.CLOUD_HYPERVISOR_REGISTER_BYTES, registers.qemu_cpregs),
        lambda n_byte: Span.of(costs.CLOUD_HYPERVISOR_REGISTER_BYTES),
        lambda registers: 2 * registers.n_reg,
        2,
        8,
        "Cloud Hypervisor carries registers other than core and SVE as 32 or 64 bits only",
        _ALL,
        _STRICT,
        _GAINS,
    ),
    Carrier(
        Vmm.CROSVM,
        None,
        False,
        _crosvm_bytes,
        lambda n_byte: Span.of(costs.CROSVM_REGISTER_BYTES),
        lambda registers: 2 * (registers.n_reg - _left_out_by_crosvm(registers, CLASS_FW_FEAT_BMAP, CLASS_SVE)),
        2,
        8,
        "not known: crosvm's firmware registers are read as 64 bits",
        (Family.FIRMWARE,),
        _STRICT,
        _GAINS,
    ),
)
"""The VMMs of arm64 that move VMs."""

NOT_KEPT = "restores, but the value is lost: crosvm saves no bitmap registers, so the guest gets the host's default"
