"""The state of a fleet as columns: what KVM keeps for each VM and vCPU, and how VMs are selected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.checks import whole
from fastsmc.errors import InputError
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import PSCI_0_1
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2, MAX_VCPU_PER_VM, RUNNABLE
from fastsmc.fleet.filters import Filter

Selection = int | slice | NDArray[Any] | Sequence[int]
"""A number, a slice, numbers each given once, or a boolean mask; slice(None) for all, as None is refused."""

_U32 = 0xFFFF_FFFF


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
    "fw_bmap": _spec("u8", "n_vm 4", "feature bits exposed to the guest"),
    "psci_version": _spec("u4", "n_vm", "as set; 0: the release's default"),
    "has_run_once": _spec("?", "n_vm", "bitmaps and filter are frozen"),
    "has_system_suspend": _spec("?", "n_vm", "KVM_CAP_ARM_SYSTEM_SUSPEND enabled"),
    "filter_of_vm": _spec("i8", "n_vm", "index into filters"),
}
"""The columns of a Fleet, by attribute name."""


def whole_numbers(name: str, value: object, *, first: int = 0, last: int) -> NDArray[Any]:
    """One number or an array-like of them as an array; nothing is rounded or wrapped.

    Raises:
        InputError: a value that is not a whole number in first..last.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        msg = f"{name} is not an array of whole numbers: {error}"
        raise InputError(msg) from error
    is_list = isinstance(value, list | tuple)
    if is_list and (array.dtype.kind not in "iu" or any(isinstance(v, bool | np.bool_) for v in cast(Any, value))):
        # NumPy makes floats of [0, 2**63] and integers of [True, 2], so the values themselves are read.
        return np.array(
            [whole(f"{name}[{i}]", v, first=first, last=last) for i, v in enumerate(cast(Any, value))], np.uint64
        )
    if array.dtype.kind not in "iu":
        return np.array(whole(name, value, first=first, last=last), np.uint64)
    bad = np.flatnonzero((array < first) | (array > last))
    if bad.size:
        place = f"[{bad[0]}]" if array.ndim else ""
        whole(f"{name}{place}", array.flat[bad[0]].item(), first=first, last=last)
    return array


def selected(name: str, selection: object, n: int) -> NDArray[np.int64]:
    """Numbers out of 0..n-1 that a selection stands for; what a slice names beyond the end is not there.

    Raises:
        InputError: None, a number that is not there, negative or given twice, a mask of another length, or no
            selection at all.
    """
    if selection is None:
        msg = f"{name} is None: give slice(None) for all {n}"
        raise InputError(msg)
    if isinstance(selection, slice):
        try:
            return np.arange(*selection.indices(n), dtype=np.int64)
        except (TypeError, ValueError) as error:
            msg = f"{name} is {selection!r}: {error}"
            raise InputError(msg) from error
    if _is_mask(selection):
        mask = np.asarray(selection)
        if mask.shape != (n,):
            msg = f"{name} is a mask of shape {mask.shape}: give one boolean for each of the {n}"
            raise InputError(msg)
        return np.flatnonzero(mask)
    numbers = whole_numbers(name, selection, last=n - 1)
    if numbers.ndim > 1:
        msg = f"{name} has shape {numbers.shape}: give one list of numbers"
        raise InputError(msg)
    chosen: NDArray[np.int64] = np.atleast_1d(numbers).astype(np.int64)
    if (chosen[1:] <= chosen[:-1]).any():
        ordered = np.sort(chosen)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if twice.size:
            msg = f"{name} has {twice[0]} more than once: give each number once"
            raise InputError(msg)
    return chosen


def _is_mask(selection: object) -> bool:
    if isinstance(selection, np.ndarray):
        return selection.dtype == np.bool_ and selection.ndim > 0
    is_list = isinstance(selection, list | tuple) and len(selection) > 0
    return is_list and all(isinstance(one, bool | np.bool_) for one in cast(Sequence[object], selection))


def _as_hosts(hosts: object) -> tuple[Host, ...]:
    """Hosts of hosts and release names."""
    if isinstance(hosts, Host | str):
        hosts = (hosts,)
    if not isinstance(hosts, Sequence) or not hosts:
        msg = f"hosts is {hosts!r}: give a Host or a release name such as '6.12', or a list of them"
        raise InputError(msg)
    return tuple(map(_as_host, hosts))


def _as_host(host: object) -> Host:
    if isinstance(host, str):
        return Host.of(host)
    if not isinstance(host, Host):
        msg = f"host {host!r} is neither a Host nor a release name as text, such as '6.12'"
        raise InputError(msg)
    return host


class FleetState:
    """Many VMs and their vCPUs as columns (see FLEET); equal policies are stored once, when tables are built.

    Args:
        n_vcpu: vCPUs of each VM, an array-like of n_vm counts from 1 up.
        hosts: one Host, or the name of its release, for all VMs; or a list of them that `host_of_vm` indexes.
        features: word 0 of KVM_ARM_VCPU_INIT, for all VMs or per VM. Default: PSCI 0.2 and later.

    Raises:
        InputError: no VM, a VM without vCPUs, an index outside `hosts`, a feature the VM's release does not know.
    """

    def __init__(
        self,
        n_vcpu: ArrayLike,
        *,
        hosts: Host | str | Sequence[Host | str],
        host_of_vm: ArrayLike | None = None,
        features: ArrayLike = FEATURE_PSCI_0_2,
    ) -> None:
        count = np.atleast_1d(whole_numbers("n_vcpu", n_vcpu, first=1, last=_U32)).astype(np.int64)
        if count.ndim != 1 or count.size == 0:
            msg = f"n_vcpu has shape {count.shape}: give a list of vCPU counts, one VM each"
            raise InputError(msg)
        _check_total(int(count.sum()))
        self.hosts: tuple[Host, ...] = _as_hosts(hosts)
        self.n_vm = int(count.size)
        self.n_vcpu = int(count.sum())
        self.first_vcpu = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        self.vm_of_vcpu = np.repeat(np.arange(self.n_vm, dtype=np.uint32), count)
        self.mp_state = np.full(self.n_vcpu, RUNNABLE, np.uint8)
        self.is_initialised = np.ones(self.n_vcpu, np.bool_)
        self.host_of_vm: NDArray[np.int64] = self._column("host_of_vm", 0 if host_of_vm is None else host_of_vm)
        if int(self.host_of_vm.max()) >= len(self.hosts):
            msg = (
                f"host_of_vm holds {int(self.host_of_vm.max())}, but there are {len(self.hosts)} hosts (0 is the first)"
            )
            raise InputError(msg)
        self.features = self._column("features", features)
        self._check_features()
        self.fw_bmap: NDArray[np.uint64] = np.array([h.release.bitmap_reset for h in self.hosts], np.uint64)[
            self.host_of_vm
        ]
        self.psci_version = np.zeros(self.n_vm, np.uint32)
        self.has_run_once = np.zeros(self.n_vm, np.bool_)
        self.has_system_suspend = np.zeros(self.n_vm, np.bool_)
        self.filters: list[Filter] = [Filter()]
        self._filter_index = {Filter(): 0}
        self.filter_of_vm = np.zeros(self.n_vm, np.int64)

    @classmethod
    def uniform(
        cls, *, n_vm: int, n_vcpu: int, host: Host | str = "7.3", features: ArrayLike = FEATURE_PSCI_0_2
    ) -> Self:
        """`n_vm` equal VMs of `n_vcpu` vCPUs on a host, or on a release's default host.

        >>> from fastsmc.vm import Fleet
        >>> Fleet.uniform(n_vm=16, n_vcpu=64)
        Fleet of 16 VMs, 1024 vCPUs, 1 host
        """
        n_vm, n_vcpu = whole("n_vm", n_vm, first=1, last=_U32), whole("n_vcpu", n_vcpu, first=1, last=_U32)
        _check_total(n_vm * n_vcpu)
        return cls(np.full(n_vm, n_vcpu), hosts=_as_host(host), features=features)

    def __repr__(self) -> str:
        hosts = f"{len(self.hosts)} host" + ("s" if len(self.hosts) > 1 else "")
        note = ", hypothetical (more than 512 vCPUs in a VM)" if self.is_hypothetical else ""
        return f"Fleet of {self.n_vm} VMs, {self.n_vcpu} vCPUs, {hosts}{note}"

    def _column(self, name: str, value: ArrayLike) -> NDArray[Any]:
        given = whole_numbers(name, value, last=int(np.iinfo(FLEET[name].dtype).max))
        if given.ndim > 1 or (given.ndim == 1 and given.size != self.n_vm):
            msg = f"{name} must be one value or {self.n_vm}, one per VM; got shape {given.shape}"
            raise InputError(msg)
        return np.broadcast_to(given, self.n_vm).astype(FLEET[name].dtype)

    def _check_features(self) -> None:
        known = np.array([(1 << h.release.n_vcpu_feature) - 1 for h in self.hosts], np.uint32)[self.host_of_vm]
        refused = np.flatnonzero(self.features & ~known)
        if refused.size:
            vm = int(refused[0])
            rules, word = self.hosts[self.host_of_vm[vm]].release, int(self.features[vm])
            msg = f"features {word:#x} of VM {vm}: KVM_ARM_VCPU_INIT of Linux {rules.name} knows bits in {known[vm]:#x}"
            raise InputError(msg)

    @property
    def is_hypothetical(self) -> bool:
        """Whether some VM has more vCPUs than arm64 KVM allows today."""
        return int(np.diff(self.first_vcpu).max()) > MAX_VCPU_PER_VM

    def vms(self, selection: Selection) -> NDArray[np.int64]:
        """VM numbers of an int, a slice, a list of numbers or a boolean mask.

        Raises:
            InputError: a number that is negative, outside the fleet or given twice, None, or no selection at all.
        """
        return selected("VM selection", selection, self.n_vm)

    def check(self) -> None:
        """Asserts every structural invariant; for tests and after reading a fleet from elsewhere."""
        sizes = {"n_vm": self.n_vm, "n_vm+1": self.n_vm + 1, "n_vcpu": self.n_vcpu, "4": 4}
        for name, spec in FLEET.items():
            column = getattr(self, name)
            assert column.dtype == spec.dtype, f"{name} is {column.dtype}, not {spec.dtype}"
            assert column.shape == tuple(sizes[axis] for axis in spec.axes), f"{name} has shape {column.shape}"
        # Every vCPU lies in the span its VM claims.
        assert np.array_equal(np.repeat(np.arange(self.n_vm), np.diff(self.first_vcpu)), self.vm_of_vcpu)
        # No VM holds a bit its release has no limit for.
        limit = np.array([h.release.bitmap_limit for h in self.hosts], np.uint64)[self.host_of_vm]
        assert not np.any(self.fw_bmap & ~limit)
        # Ranges are disjoint and ascending.
        for installed in self.filters:
            assert all(a[1] < b[0] for a, b in zip(installed.ranges, installed.ranges[1:], strict=False))

    def effective_psci_version(self, vms: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.uint32]:
        """uint32[n_selected]: what PSCI_VERSION answers."""
        default = np.array([h.release.psci_versions[-1] for h in self.hosts], np.uint32)[self.host_of_vm[vms]]
        chosen = np.where(self.psci_version[vms] > 0, self.psci_version[vms], default)
        return np.where(self.features[vms] & FEATURE_PSCI_0_2, chosen, np.uint32(PSCI_0_1)).astype(np.uint32)


def _check_total(n_vcpu: int) -> None:
    if n_vcpu > _U32:
        msg = f"{n_vcpu} vCPUs do not fit uint32 indices: {_U32} is the limit"
        raise InputError(msg)
