"""The ioctls that read and write register state: what moving it costs besides bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from numpy.typing import ArrayLike

from fastsmc.facts import costs
from fastsmc.migrate._checks import I64Array, checked_counts, member
from fastsmc.migrate.payload import Codec, payload_bytes


class Vmm(StrEnum):
    """Whose ioctls are counted."""

    QEMU = "qemu"
    MINIMAL = "minimal"


@dataclass(frozen=True, slots=True)
class IoctlCount:
    """Ioctls of one VM at each end, int64 (arrays if the question was one)."""

    save_ioctls: I64Array
    load_ioctls: I64Array


@dataclass(frozen=True, slots=True)
class PayloadCost:
    """Bytes and ioctls of one VM, int64 (arrays if the question was one)."""

    payload_bytes: I64Array
    save_ioctls: I64Array
    load_ioctls: I64Array


def ioctls(
    n_reg: ArrayLike,
    n_vcpu: ArrayLike,
    *,
    n_global: ArrayLike = 0,
    vmm: Vmm | str = Vmm.QEMU,
    has_sve: bool = False,
) -> IoctlCount:
    """Ioctls that saving and loading take, VM-global registers touched on vCPU 0 only. Broadcasts.

    QEMU, per vCPU: 75 core GETs (92 with SVE) + 2 + 2 per register at save, read in its source; KVM was never traced.
    At load as many SETs: one per register is read, the second and the core's are unverified (`costs.QEMU_CPREG_SETS`).
    Minimal: one GET per register at save, one SET at load, no core state: the least any VMM can do, derived.

    Args:
        n_reg: registers in QEMU's cpreg array (`RegisterSet.qemu_cpregs`); for the minimal VMM all it moves.
        n_global: VM-global among them. No VMM does this today; 0 is what QEMU does.

    Raises:
        InputError: a count that is no integer or out of range.

    >>> int(ioctls(182, 512).save_ioctls)
    225792
    """
    vmm = member(Vmm, vmm, "vmm")
    reg, vcpu, shared = checked_counts(n_reg, n_vcpu, n_global)
    touched = shared + (reg - shared) * vcpu
    if vmm is Vmm.MINIMAL:
        return IoctlCount(touched, touched)
    core = costs.QEMU_CORE_GETS_SVE if has_sve else costs.QEMU_CORE_GETS
    fixed = int(core.value + costs.QEMU_STATE_GETS.value) * vcpu
    return IoctlCount(
        fixed + int(costs.QEMU_CPREG_GETS.value) * touched, fixed + int(costs.QEMU_CPREG_SETS.value) * touched
    )


def payload_cost(
    n_reg: ArrayLike,
    n_vcpu: ArrayLike,
    codec: Codec | str,
    *,
    n_global: ArrayLike = 0,
    vmm: Vmm | str = Vmm.QEMU,
    has_sve: bool = False,
) -> PayloadCost:
    """`payload_bytes` and `ioctls` in one: a register that is not sent is not read or written either. Broadcasts."""
    codec = member(Codec, codec, "codec")
    size = payload_bytes(n_reg, n_vcpu, codec, n_global=n_global)
    calls = ioctls(n_reg, n_vcpu, n_global=n_global if codec.is_global_once else 0, vmm=vmm, has_sve=has_sve)
    return PayloadCost(size, calls.save_ioctls, calls.load_ioctls)
