"""The ioctls that read and write register state: what moving it costs besides bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import BoolArray, I64Array, one_of
from fastsmc.facts import costs
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate._checks import brief, checked_counts
from fastsmc.migrate.payload import Codec, payload_bytes

COUNTED = (Vmm.QEMU, Vmm.MINIMAL)
"""The VMMs whose ioctls are counted."""


@dataclass(frozen=True, slots=True)
class IoctlCount:
    """Ioctls of one VM at each end: int64, arrays if a count was an array."""

    save_ioctls: I64Array
    load_ioctls: I64Array

    def __repr__(self) -> str:
        return f"IoctlCount(save_ioctls={brief(self.save_ioctls)}, load_ioctls={brief(self.load_ioctls)})"

    def __str__(self) -> str:
        return f"{brief(self.save_ioctls)} ioctls to save, {brief(self.load_ioctls)} to load (modelled)"


@dataclass(frozen=True, slots=True)
class PayloadCost:
    """Bytes and ioctls of one VM: int64, arrays if a count was an array."""

    payload_bytes: I64Array
    save_ioctls: I64Array
    load_ioctls: I64Array

    def __repr__(self) -> str:
        counts = f"save_ioctls={brief(self.save_ioctls)}, load_ioctls={brief(self.load_ioctls)}"
        return f"PayloadCost(payload_bytes={brief(self.payload_bytes)}, {counts})"

    def __str__(self) -> str:
        calls = f"{brief(self.save_ioctls)} ioctls to save, {brief(self.load_ioctls)} to load"
        return f"{brief(self.payload_bytes)} B, {calls} (modelled)"


def ioctls(
    *,
    n_reg: ArrayLike,
    n_vcpu: ArrayLike,
    n_global: ArrayLike = 0,
    vmm: Vmm | str = Vmm.QEMU,
    has_sve: bool | BoolArray = False,
) -> IoctlCount:
    """Ioctls that saving and loading a VM's registers take. Counts broadcast.

    QEMU, per vCPU: 75 core GETs (92 with SVE) + 2 + 2 per register at save, read in its source; KVM was never traced.
    At load as many SETs: one per register is read, the second and the core's are unverified (`costs.QEMU_CPREG_SETS`).
    Minimal: one GET per register at save, one SET at load, no core state: the least any VMM can do, derived.

    Args:
        n_reg: registers in QEMU's cpreg array (`RegisterSet.qemu_cpregs`); for the minimal VMM all it moves.
        n_global: VM-global registers among them that are touched on vCPU 0 only. No VMM does that today; QEMU has 0.
        vmm: qemu or minimal.
        has_sve: whether the vCPUs have SVE; an array broadcasts too.

    Raises:
        InputError: a count that is no integer or out of range, or a VMM whose ioctls are not counted.

    >>> int(ioctls(n_reg=182, n_vcpu=512).save_ioctls)
    225792
    """
    vmm = Vmm.among(vmm, COUNTED)
    reg, vcpu, shared = checked_counts(n_reg=n_reg, n_vcpu=n_vcpu, n_global=n_global)
    touched = shared + (reg - shared) * vcpu
    if vmm is Vmm.MINIMAL:
        return IoctlCount(touched, touched)
    core = np.where(has_sve, int(costs.QEMU_CORE_GETS_SVE.value), int(costs.QEMU_CORE_GETS.value))
    fixed = (core + int(costs.QEMU_STATE_GETS.value)) * vcpu
    return IoctlCount(
        fixed + int(costs.QEMU_CPREG_GETS.value) * touched, fixed + int(costs.QEMU_CPREG_SETS.value) * touched
    )


def payload_cost(
    codec: Codec | str,
    *,
    n_reg: ArrayLike,
    n_vcpu: ArrayLike,
    n_global: ArrayLike = 0,
    vmm: Vmm | str = Vmm.QEMU,
    has_sve: bool = False,
) -> PayloadCost:
    """`payload_bytes` and `ioctls` together. A register that is not sent is not read or written. Counts broadcast."""
    codec = one_of("codec", codec, Codec)
    size = payload_bytes(codec, n_reg=n_reg, n_vcpu=n_vcpu, n_global=n_global)
    once = n_global if codec.is_global_once else 0
    calls = ioctls(n_reg=n_reg, n_vcpu=n_vcpu, n_global=once, vmm=vmm, has_sve=has_sve)
    return PayloadCost(size, calls.save_ioctls, calls.load_ioctls)
