"""The columns of a fleet: what each holds, how callers give them, and what is always true of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray, I64Array, U32Array, whole_array
from fastsmc.errors import InputError
from fastsmc.facts.guests import why_refused
from fastsmc.facts.releases import Host
from fastsmc.fleet.filters import Filter

MAX_VCPU = 0xFFFF_FFFF
"""vCPUs of a fleet: their indices are uint32."""


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """What one column of a Fleet must look like."""

    dtype: np.dtype[Any]
    axes: tuple[str, ...]
    meaning: str


def _spec(dtype: str, axes: str, meaning: str) -> ArraySpec:
    return ArraySpec(np.dtype(dtype), tuple(axes.split()), meaning)


FLEET = {
    "vm_of_vcpu": _spec("u4", "n_vcpu", "owning VM, ascending"),
    "first_vcpu": _spec("i8", "n_vm+1", "first vCPU of each VM, and the end"),
    "mp_state": _spec("u1", "n_vcpu", "KVM_MP_STATE: 0 RUNNABLE, 5 STOPPED"),
    "is_initialised": _spec("?", "n_vcpu", "KVM_ARM_VCPU_INIT done"),
    "host_of_vm": _spec("i8", "n_vm", "index into hosts"),
    "features": _spec("u4", "n_vm", "KVM_ARM_VCPU_INIT features, word 0"),
    "is_protected": _spec("?", "n_vm", "created as KVM_VM_TYPE_ARM_PROTECTED"),
    "has_gic": _spec("?", "n_vm", "has an in-kernel GIC, without which no vCPU with EL2 runs"),
    "fw_bmap": _spec("u8", "n_vm 4", "feature bits exposed to the guest"),
    "psci_version": _spec("u4", "n_vm", "as set; 0: the release's default"),
    "has_run_once": _spec("?", "n_vm", "bitmaps and filter are frozen"),
    "has_system_suspend": _spec("?", "n_vm", "KVM_CAP_ARM_SYSTEM_SUSPEND enabled"),
    "filter_of_vm": _spec("i8", "n_vm", "index into filters"),
}
"""The columns of a Fleet, by attribute name."""


def as_hosts(hosts: object) -> tuple[Host, ...]:
    """A list of hosts, of which each was given as a Host or as the name of its release."""
    if isinstance(hosts, Host | str):
        hosts = (hosts,)
    if not isinstance(hosts, Sequence) or not hosts:
        msg = f"hosts is {hosts!r}: give a Host or a release name such as '6.12', or a list of them"
        raise InputError(msg)
    return tuple(map(as_host, hosts))


def as_host(host: object) -> Host:
    if isinstance(host, str):
        return Host.of(host)
    if not isinstance(host, Host):
        msg = f"host {host!r} is neither a Host nor a release name as text, such as '6.12'"
        raise InputError(msg)
    return host


class Shape(Protocol):
    """The part of a fleet that the checks of this file read."""

    hosts: tuple[Host, ...]
    n_vm: int
    n_vcpu: int
    host_of_vm: I64Array

    @property
    def filters(self) -> list[Filter]:
        """The filters installed, which `filter_of_vm` indexes."""


def counts(n_vcpu: object) -> I64Array:
    """vCPUs of each VM: int64[n_vm].

    Raises:
        InputError: no VM, a VM without vCPUs, no list of whole numbers, or more vCPUs than uint32 can index.
    """
    count = np.atleast_1d(whole_array("n_vcpu", n_vcpu, first=1, last=MAX_VCPU)).astype(np.int64)
    if count.ndim != 1 or count.size == 0:
        msg = f"n_vcpu has shape {count.shape}: give a list of vCPU counts, one VM each"
        raise InputError(msg)
    check_total(int(count.sum()))
    return count


def check_total(n_vcpu: int) -> None:
    """Checks that uint32 indices reach every vCPU.

    Raises:
        InputError: they do not.
    """
    if n_vcpu > MAX_VCPU:
        msg = f"{n_vcpu} vCPUs do not fit uint32 indices: {MAX_VCPU} is the limit"
        raise InputError(msg)


def column(name: str, value: object, n_vm: int) -> NDArray[Any]:
    """A column by VM, of one value for all of them or one for each.

    Raises:
        InputError: a value that the column cannot hold, or another number of them.
    """
    given = whole_array(name, value, last=int(np.iinfo(FLEET[name].dtype).max))
    if given.ndim > 1 or (given.ndim == 1 and given.size != n_vm):
        msg = f"{name} must be one value or {n_vm}, one per VM; got shape {given.shape}"
        raise InputError(msg)
    return np.broadcast_to(given, n_vm).astype(FLEET[name].dtype)


def flag_column(name: str, value: object, n_vm: int) -> BoolArray:
    """A column of flags by VM, of one for all of them or one for each.

    Raises:
        InputError: no flags, or another number of them.
    """
    try:
        given = np.asarray(value)
    except ValueError as error:
        msg = f"{name} is not an array of True and False: {error}"
        raise InputError(msg) from error
    if given.dtype != np.bool_ or given.ndim > 1 or (given.ndim == 1 and given.size != n_vm):
        msg = f"{name} must be True or False, or {n_vm} of them, one per VM; got {given.dtype}{list(given.shape)}"
        raise InputError(msg)
    return np.broadcast_to(given, n_vm).copy()


def hosts_of_vms(host_of_vm: object, n_vm: int, n_host: int) -> I64Array:
    """The host of each VM: int64[n_vm].

    Raises:
        InputError: a host that is not there.
    """
    chosen: I64Array = column("host_of_vm", host_of_vm, n_vm)
    if int(chosen.max()) >= n_host:
        msg = f"host_of_vm holds {int(chosen.max())}, but there are {n_host} hosts (0 is the first)"
        raise InputError(msg)
    return chosen


def check_features(features: U32Array, hosts: tuple[Host, ...], host_of_vm: I64Array, is_protected: BoolArray) -> None:
    """Checks that each VM's host has such VMs, with vCPUs of such features.

    Raises:
        InputError: one has not; the first VM for which that is so, and KVM's errno.
    """
    kind = host_of_vm.astype(np.uint64) << np.uint64(33) | is_protected.astype(np.uint64) << np.uint64(32) | features
    changes = np.flatnonzero(np.diff(kind, prepend=~kind[:1]))  # equal neighbours are looked at once
    for vm in np.sort(changes[np.unique(kind[changes], return_index=True)[1]]).tolist():
        word = int(features[vm])
        reason = why_refused(hosts[host_of_vm[vm]], word, is_protected=bool(is_protected[vm]))
        if reason:
            msg = f"features {word:#x} of VM {vm}: {reason}"
            raise InputError(msg)


def check_invariants(fleet: Shape) -> None:
    """Asserts what is true of the columns of every fleet."""
    sizes = {"n_vm": fleet.n_vm, "n_vm+1": fleet.n_vm + 1, "n_vcpu": fleet.n_vcpu, "4": 4}
    columns = {name: getattr(fleet, name) for name in FLEET}
    for name, spec in FLEET.items():
        assert columns[name].dtype == spec.dtype, f"{name} is {columns[name].dtype}, not {spec.dtype}"
        assert columns[name].shape == tuple(sizes[axis] for axis in spec.axes), f"{name}: {columns[name].shape}"
    # Every vCPU lies in the span its VM claims.
    assert np.array_equal(np.repeat(np.arange(fleet.n_vm), np.diff(columns["first_vcpu"])), columns["vm_of_vcpu"])
    # No VM holds a bit its release has no limit for.
    limit = np.array([h.release.bitmap_limit for h in fleet.hosts], np.uint64)[fleet.host_of_vm]
    assert not np.any(columns["fw_bmap"] & ~limit)
    # Ranges are disjoint and ascending.
    for installed in fleet.filters:
        assert all(a[1] < b[0] for a, b in zip(installed.ranges, installed.ranges[1:], strict=False))
