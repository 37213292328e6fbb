"""What KVM says of a register or filter of each VM of a fleet: errnos by VM, and the error that tells why."""

from __future__ import annotations

from errno import ENOENT, ENOEXEC
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray, I64Array, U32Array, U64Array
from fastsmc.errors import FilterError, RegisterError
from fastsmc.facts.registers import FwKind, FwRegister
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.fleet.filters import Filter, FilterRange
from fastsmc.fleet.filters import refusal as filter_refusal
from fastsmc.fleet.firmware import Errnos, bitmap_errno, find, psci_version_errno, refusal, workaround_errno
from fastsmc.fleet.interned import after_inserts
from fastsmc.fleet.refusals import filter_refused, register_refused


class Vms(Protocol):
    """The columns of a fleet that its answers to ioctls depend on."""

    hosts: tuple[Host, ...]
    host_of_vm: I64Array
    features: U32Array
    is_protected: BoolArray
    fw_bmap: U64Array
    has_run_once: BoolArray
    is_initialised: BoolArray

    @property
    def filters(self) -> list[Filter]:
        """What filter_of_vm indexes."""

    @property
    def filter_of_vm(self) -> I64Array:
        """The filter of each VM."""


def found(fleet: Vms, reg: int, vcpus: I64Array, vms: I64Array) -> tuple[FwRegister | None, Errnos]:
    """The register, and what KVM says before it looks at a value: ENOEXEC, EINVAL, ENOENT.

    Args:
        vcpus: fleet-wide index of the vCPU whose accessor is used, per VM selected.
    """
    row, errno = find(reg)
    is_known = np.full(vms.size, row is not None) if row is None else _has_register(fleet, row, vms)
    errnos = np.where(is_known, 0, errno or ENOENT)
    return row, np.where(fleet.is_initialised[vcpus], errnos, ENOEXEC).astype(np.int16)


def _has_register(fleet: Vms, row: FwRegister, vms: I64Array) -> NDArray[np.bool_]:
    has: NDArray[np.bool_] = np.array([row.name in h.release.fw_registers for h in fleet.hosts])
    return has[fleet.host_of_vm[vms]]


def judged(fleet: Vms, reg: int, words: U64Array, vcpus: I64Array, vms: I64Array) -> tuple[FwRegister | None, Errnos]:
    """The register, and what KVM_SET_ONE_REG would return on each VM. Changes nothing."""
    row, errnos = found(fleet, reg, vcpus, vms)
    if row is None:
        return None, errnos
    return row, np.where(errnos == 0, _rule(fleet, row, words, vms), errnos).astype(np.int16)


def _rule(fleet: Vms, row: FwRegister, value: U64Array, vms: I64Array) -> Errnos:
    """The errno the register's own SET rule gives: int16[n_selected]."""
    host = fleet.host_of_vm[vms]
    if row.kind is FwKind.BITMAP:
        limit = np.array([h.release.bitmap_limit[row.index] for h in fleet.hosts], np.uint64)[host]
        current = fleet.fw_bmap[vms, row.index]
        return bitmap_errno(value, limit=limit, current=current, has_run=fleet.has_run_once[vms])
    if row.kind is FwKind.PSCI_VERSION:
        accepted = [h.release.psci_versions for h in fleet.hosts]
        has_psci_0_2 = fleet.features[vms] & FEATURE_PSCI_0_2 != 0
        return psci_version_errno(value, accepted=accepted, host=host, has_psci_0_2=has_psci_0_2)
    return workaround_errno(value, kind=row.kind, available=workaround_levels(fleet, row, vms))


def workaround_levels(fleet: Vms, row: FwRegister, vms: I64Array) -> U64Array:
    """The host's level of a workaround, per VM selected."""
    level: U64Array = np.array([h.workaround[row.index - 1] for h in fleet.hosts], np.uint64)
    return level[fleet.host_of_vm[vms]]


def refused(
    fleet: Vms, reg: int, row: FwRegister | None, words: U64Array | None, vms: I64Array, errnos: Errnos
) -> RegisterError:
    """The error for the VMs whose errno is not 0: which they are, and why the first one refuses."""
    first = int(np.flatnonzero(errnos)[0])
    vm, host = int(vms[first]), fleet.hosts[fleet.host_of_vm[vms[first]]]
    value = None if words is None else int(words[first])
    given = 0 if value is None else value
    level, current = host.workaround, fleet.fw_bmap[vm]
    reason = refusal(row, host.release, int(errnos[first]), value=given, level=level, current=current)
    return register_refused(reg, row, value, vms, errnos, reason)


def inserts_refused(fleet: Vms, wanted: list[FilterRange], vms: I64Array, errnos: Errnos) -> FilterError:
    """The error for the VMs that refuse some range: which they are, and why the first one refuses."""
    refusing = np.flatnonzero(errnos.any(axis=1))
    first_errnos = [int(row[row != 0][0]) for row in errnos[refusing]]
    vm, r = vms[refusing[0]], int(np.flatnonzero(errnos[refusing[0]])[0])
    rules, old = fleet.hosts[fleet.host_of_vm[vm]].release, fleet.filters[fleet.filter_of_vm[vm]]
    if fleet.is_protected[vm]:
        reason = "a protected VM has no SMCCC filter"
    else:
        before, _ = after_inserts(old, wanted[:r], rules=rules, has_run=bool(fleet.has_run_once[vm]))
        reason = filter_refusal(wanted[r], first_errnos[0], old=before, rules=rules)
    return filter_refused(wanted[r], vms[refusing], first_errnos, reason)
