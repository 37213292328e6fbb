"""What each scope costs when a VM moves: bytes, and ioctls to save and to load. Everything here is modelled.

Counted are the registers of QEMU's cpreg array (every class but core and SVE) for either VMM, so that one line
compares with the next; KVM_ENABLE_CAP and KVM_GET_REG_LIST are calls of a VM's creation and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.checks import I64Array, one_of, whole, whole_array
from fastsmc.errors import InputError
from fastsmc.facts import costs
from fastsmc.facts.register_sets import RegisterSet
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate._checks import MAX_COUNT
from fastsmc.migrate.counts import COUNTED, payload_cost
from fastsmc.migrate.payload import Codec
from fastsmc.scopes.vm_scoped import Marked, Scope, marked_mask

NOTES = {
    Scope.VM_GLOBAL: (
        "KVM today. Each ioctl takes its vCPU's mutex; a bitmap's SET the VM's config_lock too (kvm->lock before 6.4). "
        "What vCPUs past the first read is a repeat, what they write changes nothing: it may be left out, at both ends"
    ),
    Scope.PER_VCPU: (
        "the same counts with another meaning: every value is state of its own, so nothing may be left out. The VM's "
        "lock stays (assumed), as one vCPU's first run freezes all of them"
    ),
    Scope.VM_SCOPED: (
        "series v4, never merged. Marked registers are touched once per VM, on the fd and under the mutex of any one "
        "vCPU; both ends must heed the bit. Ids with bit 28 are ENOENT to a kernel without the capability, so the "
        "VMM must strip them from the stream (derived)"
    ),
}
"""Locks and meaning of each scope. Sources: Linux hypercalls.c and kvm_main.c; series v4."""

ASSUMED = "QEMU's second write of each register at load is unverified: without it, its loads are smaller"
"""What the counts rest on. Source: `costs.QEMU_CPREG_SETS`."""


@dataclass(frozen=True, slots=True, eq=False)
class ScopeCost:
    """What one VM's registers cost under one scope, int64 (arrays if n_vcpu was one).

    Attributes:
        n_reg: registers per vCPU that are carried. n_marked: of them, VM-scoped.
        may_elide: whether all vCPUs' values of a VM-global register are known to be one.
        note: locks, meaning, and what is assumed.
    """

    scope: Scope
    vmm: Vmm
    codec: Codec
    n_reg: int
    n_marked: int
    n_vcpu: I64Array
    save_ioctls: I64Array
    load_ioctls: I64Array
    payload_bytes: I64Array
    may_elide: bool
    note: str

    @property
    def is_hypothetical(self) -> NDArray[np.bool_]:
        """bool, shaped as n_vcpu: more vCPUs than KVM allows per VM today."""
        return np.asarray(self.n_vcpu > costs.VGIC_V3_MAX_CPUS.value)


def scope_cost(
    registers: RegisterSet | int,
    n_vcpu: ArrayLike,
    scope: Scope | str,
    *,
    marked: Marked | str | int = Marked.DECLARED,
    vmm: Vmm | str = Vmm.QEMU,
    codec: Codec | str = Codec.QEMU,
) -> ScopeCost:
    """Ioctls and bytes of one VM's registers under one scope. Broadcasts over n_vcpu.

    Args:
        registers: a set, or how many registers the VMM carries per vCPU.
        marked: under VM_SCOPED, which registers carry the scope bit, or how many; looked at under no other scope.
        codec: "values" or "id+value", as carried today; marked registers are sent once.

    Raises:
        InputError: a count out of range, more marked than there are, a number of registers without a number of marked
            ones, or a codec that sends VM-global registers once in any case.

    >>> from fastsmc.facts.register_sets import register_set
    >>> today = scope_cost(register_set("7.3"), 512, Scope.VM_GLOBAL)
    >>> int(today.save_ioctls), int(scope_cost(register_set("7.3"), 512, Scope.VM_SCOPED).save_ioctls)
    (225792, 154252)
    """
    scope, vmm, codec = one_of("scope", scope, Scope), Vmm.among(vmm, COUNTED), one_of("codec", codec, Codec)
    if codec.is_global_once:
        msg = (
            f"codec {codec.value!r}: give {Codec.VALUES.value!r} or {Codec.QEMU.value!r}; scope says what is sent once"
        )
        raise InputError(msg)
    n_reg, has_sve = (
        (registers.qemu_cpregs, registers.has_sve) if isinstance(registers, RegisterSet) else (registers, False)
    )
    n_vcpu = whole_array("vCPU count", n_vcpu, first=1, last=MAX_COUNT)
    n_marked = _n_marked(registers, marked) if scope is Scope.VM_SCOPED else 0
    once = Codec.QEMU_GLOBAL_ONCE if codec is Codec.QEMU else Codec.VALUES_GLOBAL_ONCE
    cost = payload_cost(once, n_reg=n_reg, n_vcpu=n_vcpu, n_global=n_marked, vmm=vmm, has_sve=has_sve)
    return ScopeCost(
        scope,
        vmm,
        codec,
        n_reg,
        n_marked,
        np.asarray(n_vcpu, np.int64),
        cost.save_ioctls,
        cost.load_ioctls,
        cost.payload_bytes,
        scope is not Scope.PER_VCPU,
        NOTES[scope],
    )


def _n_marked(registers: RegisterSet | int, marked: Marked | str | int) -> int:
    if isinstance(marked, int):
        return marked
    which = one_of("marked", marked, Marked)
    if not isinstance(registers, RegisterSet):
        msg = f"marked {which.value!r} of {registers} unnamed registers: give their number, or a register set"
        raise InputError(msg)
    return int(np.count_nonzero(marked_mask(registers.cpreg_ids, which)))


@dataclass(frozen=True, slots=True)
class ScopeRow:
    """One line of `compare_scopes`, plain numbers.

    Attributes:
        marked: which registers carry the scope bit, "" under the scopes that have none.
        of_today: save and load ioctls over those of KVM today.
    """

    n_vcpu: int
    vmm: str
    scope: str
    marked: str
    n_reg: int
    n_marked: int
    save_ioctls: int
    load_ioctls: int
    payload_bytes: int
    of_today: float
    may_elide: bool
    is_hypothetical: bool


def compare_scopes(
    registers: RegisterSet, n_vcpu: Iterable[int] = (1, 64, 512), *, vmms: Iterable[Vmm | str] = COUNTED
) -> tuple[ScopeRow, ...]:
    """Every scope side by side, as id+value: per vCPU count and VMM the two without a scope bit, then three markings.

    Args:
        n_vcpu: counts; one that is given again is dropped.

    Raises:
        InputError: no vCPU count, or one out of range.
    """
    given = (whole("a vCPU count", count, first=1, last=MAX_COUNT) for count in n_vcpu)
    counts = np.array(list(dict.fromkeys(given)), np.int64)
    if not counts.size:
        msg = "n_vcpu is empty: give at least one vCPU count"
        raise InputError(msg)
    rows = []
    for vmm in vmms:
        today = scope_cost(registers, counts, Scope.VM_GLOBAL, vmm=vmm)
        total = today.save_ioctls + today.load_ioctls
        for scope, marked in (
            (Scope.VM_GLOBAL, None),
            (Scope.PER_VCPU, None),
            *((Scope.VM_SCOPED, marked) for marked in Marked),
        ):
            cost = scope_cost(registers, counts, scope, marked=marked or Marked.DECLARED, vmm=vmm)
            rows += [
                ScopeRow(
                    int(counts[i]),
                    cost.vmm.value,
                    scope.value,
                    marked.value if marked else "",
                    cost.n_reg,
                    cost.n_marked,
                    int(cost.save_ioctls[i]),
                    int(cost.load_ioctls[i]),
                    int(cost.payload_bytes[i]),
                    float((cost.save_ioctls + cost.load_ioctls)[i] / total[i]),
                    cost.may_elide,
                    bool(cost.is_hypothetical[i]),
                )
                for i in range(counts.size)
            ]
    place = {int(count): i for i, count in reversed(list(enumerate(counts)))}
    return tuple(sorted(rows, key=lambda row: place[row.n_vcpu]))
