"""The state of a fleet as columns: what KVM keeps for each VM and vCPU, and how VMs are selected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.errors import InputError
from fastsmc.filters import Filter
from fastsmc.releases import Host, release
from fastsmc.smccc import PSCI_0_1
from fastsmc.vcpu import FEATURE_PSCI_0_2, MAX_VCPU_PER_VM, RUNNABLE

Selection = int | slice | NDArray[Any] | Sequence[int]


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


class FleetState:
    """Many VMs and their vCPUs as columns (see FLEET); equal policies are stored once, when tables are built.

    Args:
        n_vcpu: vCPUs of each VM, an array-like of n_vm counts from 1 up.
        hosts: one Host for all VMs, or a list that `host_of_vm` indexes.
        features: word 0 of KVM_ARM_VCPU_INIT, for all VMs or per VM. Default: PSCI 0.2 and later.

    Raises:
        InputError: no VM, a VM without vCPUs, an index outside `hosts`.
    """

    def __init__(
        self,
        n_vcpu: ArrayLike,
        *,
        hosts: Host | Sequence[Host],
        host_of_vm: ArrayLike | None = None,
        features: ArrayLike = FEATURE_PSCI_0_2,
    ) -> None:
        count = np.atleast_1d(np.asarray(n_vcpu))
        if count.ndim != 1 or count.size == 0 or count.dtype.kind not in "iu" or int(count.min()) < 1:
            msg = f"n_vcpu must be a list of vCPU counts, one VM each, all at least 1; got {n_vcpu!r}"
            raise InputError(msg)
        if int(count.astype(np.uint64).sum()) > 0xFFFF_FFFF:
            msg = f"{int(count.sum())} vCPUs do not fit uint32 indices: 4294967295 is the limit"
            raise InputError(msg)
        self.hosts: tuple[Host, ...] = (hosts,) if isinstance(hosts, Host) else tuple(hosts)
        self.n_vm = int(count.size)
        self.n_vcpu = int(count.sum())
        self.first_vcpu = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        self.vm_of_vcpu = np.repeat(np.arange(self.n_vm, dtype=np.uint32), count.astype(np.int64))
        self.mp_state = np.full(self.n_vcpu, RUNNABLE, np.uint8)
        self.is_initialised = np.ones(self.n_vcpu, np.bool_)
        self.host_of_vm: NDArray[np.int64] = self._column("host_of_vm", 0 if host_of_vm is None else host_of_vm)
        if int(self.host_of_vm.min()) < 0 or int(self.host_of_vm.max()) >= len(self.hosts):
            msg = (
                f"host_of_vm holds {int(self.host_of_vm.max())}, but there are {len(self.hosts)} hosts (0 is the first)"
            )
            raise InputError(msg)
        self.features = self._column("features", features)
        self.fw_bmap: NDArray[np.uint64] = np.array([h.release.bitmap_reset for h in self.hosts], np.uint64)[
            self.host_of_vm
        ]
        self.psci_version = self._column("psci_version", 0)
        self.has_run_once = self._column("has_run_once", False)
        self.has_system_suspend = self._column("has_system_suspend", False)
        self.filters: list[Filter] = [Filter()]
        self._filter_index = {Filter(): 0}
        self.filter_of_vm = self._column("filter_of_vm", 0)

    @classmethod
    def uniform(
        cls, *, n_vm: int, n_vcpu: int, host: Host | str = "7.3", features: ArrayLike = FEATURE_PSCI_0_2
    ) -> Self:
        """`n_vm` equal VMs of `n_vcpu` vCPUs on a host, or on a release's default host.

        >>> from fastsmc.vm import Fleet
        >>> Fleet.uniform(n_vm=16, n_vcpu=64)
        Fleet of 16 VMs, 1024 vCPUs, 1 host
        """
        if n_vm < 1 or n_vcpu < 1:
            msg = f"a fleet needs at least one VM and one vCPU per VM; got n_vm={n_vm}, n_vcpu={n_vcpu}"
            raise InputError(msg)
        chosen = Host(release(host), name=host) if isinstance(host, str) else host
        return cls(np.full(n_vm, n_vcpu), hosts=chosen, features=features)

    def __repr__(self) -> str:
        hosts = f"{len(self.hosts)} host" + ("s" if len(self.hosts) > 1 else "")
        note = ", hypothetical (more than 512 vCPUs in a VM)" if self.is_hypothetical else ""
        return f"Fleet of {self.n_vm} VMs, {self.n_vcpu} vCPUs, {hosts}{note}"

    def _column(self, name: str, value: ArrayLike) -> NDArray[Any]:
        given = np.asarray(value)
        if given.ndim > 1 or (given.ndim == 1 and given.size != self.n_vm):
            msg = f"{name} must be one value or {self.n_vm}, one per VM; got shape {given.shape}"
            raise InputError(msg)
        if given.dtype.kind not in "iub" or (given.dtype.kind == "i" and int(given.min()) < 0):
            msg = f"{name} must hold non-negative integers; got {value!r}"
            raise InputError(msg)
        return np.broadcast_to(given, self.n_vm).astype(FLEET[name].dtype)

    @property
    def is_hypothetical(self) -> bool:
        """Whether some VM has more vCPUs than arm64 KVM allows today."""
        return int(np.diff(self.first_vcpu).max()) > MAX_VCPU_PER_VM

    def vms(self, selection: Selection) -> NDArray[np.int64]:
        """VM numbers of an int, a slice, a list of numbers or a boolean mask.

        Raises:
            InputError: a number outside the fleet, or something that selects no VM numbers.
        """
        every = np.arange(self.n_vm)
        try:
            chosen = every[selection]
        except (IndexError, TypeError) as error:
            msg = f"VM selection {selection!r} does not fit a fleet of {self.n_vm} VMs (0 is the first)"
            raise InputError(msg) from error
        return np.atleast_1d(chosen).astype(np.int64)

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

    def effective_psci_version(self) -> NDArray[np.uint32]:
        """uint32[n_vm]: what PSCI_VERSION answers."""
        default = np.array([h.release.psci_versions[-1] for h in self.hosts], np.uint32)[self.host_of_vm]
        chosen = np.where(self.psci_version > 0, self.psci_version, default)
        return np.where(self.features & FEATURE_PSCI_0_2, chosen, np.uint32(PSCI_0_1)).astype(np.uint32)
