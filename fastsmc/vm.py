"""A fleet: many VMs and their vCPUs as arrays, and the only owner of mutable VM state.

GET/SET_ONE_REG, the filter attribute, capabilities and the first run go through `Fleet`, for one VM or a slice of
them, with KVM's errnos. Firmware registers are VM-global: an accessor names a vCPU and reaches the VM.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.bitmaps import Policies, Tables, build_tables, interned
from fastsmc.errors import FilterError, InputError, RegisterError
from fastsmc.filters import EBUSY, EINVAL, Filter, FilterRange, inserted, malformed
from fastsmc.firmware import bitmap_errno, psci_version_errno, refusal, workaround_errno
from fastsmc.registers import ARCH_ARM64, ARCH_MASK, FW_BY_ID, FwKind, FwRegister
from fastsmc.releases import Host, release
from fastsmc.smccc import PSCI_0_1

ENOENT = 2
FEATURE_EL1_32BIT, FEATURE_PSCI_0_2 = 0x2, 0x4

MAX_VCPU_PER_VM = 512
"""VGIC_V3_MAX_CPUS: beyond it a VM is hypothetical on arm64 KVM. Source: include/kvm/arm_vgic.h; QEMU virt: 512."""

Selection = int | slice | NDArray[Any] | Sequence[int]
Words = NDArray[np.uint64]


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
    "host_of_vm": _spec("i8", "n_vm", "index into hosts"),
    "features": _spec("u4", "n_vm", "KVM_ARM_VCPU_INIT features, word 0"),
    "fw_bmap": _spec("u8", "n_vm 4", "feature bits exposed to the guest"),
    "psci_version": _spec("u4", "n_vm", "as set; 0: the release's default"),
    "has_run_once": _spec("?", "n_vm", "bitmaps and filter are frozen"),
    "has_system_suspend": _spec("?", "n_vm", "KVM_CAP_ARM_SYSTEM_SUSPEND enabled"),
    "filter_of_vm": _spec("i8", "n_vm", "index into filters"),
}
"""The columns of a Fleet, by attribute name."""


class Fleet:
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
        self.host_of_vm: NDArray[np.int64] = self._column("host_of_vm", 0 if host_of_vm is None else host_of_vm)
        if int(self.host_of_vm.min()) < 0 or int(self.host_of_vm.max()) >= len(self.hosts):
            msg = (
                f"host_of_vm holds {int(self.host_of_vm.max())}, but there are {len(self.hosts)} hosts (0 is the first)"
            )
            raise InputError(msg)
        self.features = self._column("features", features)
        self.fw_bmap: Words = np.array([h.release.bitmap_reset for h in self.hosts], np.uint64)[self.host_of_vm]
        self.psci_version = self._column("psci_version", 0)
        self.has_run_once = self._column("has_run_once", False)
        self.has_system_suspend = self._column("has_system_suspend", False)
        self.filters: list[Filter] = [Filter()]
        self._filter_index = {Filter(): 0}
        self.filter_of_vm = self._column("filter_of_vm", 0)
        self._tables: tuple[Tables, NDArray[np.uint32]] | None = None

    @classmethod
    def uniform(
        cls, *, n_vm: int, n_vcpu: int, host: Host | str = "7.3", features: ArrayLike = FEATURE_PSCI_0_2
    ) -> Fleet:
        """`n_vm` equal VMs of `n_vcpu` vCPUs on a host, or on a release's default host.

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

    # -- firmware registers ------------------------------------------------------------------------------------

    def effective_psci_version(self) -> NDArray[np.uint32]:
        """uint32[n_vm]: what PSCI_VERSION answers."""
        default = np.array([h.release.psci_versions[-1] for h in self.hosts], np.uint32)[self.host_of_vm]
        chosen = np.where(self.psci_version > 0, self.psci_version, default)
        return np.where(self.features & FEATURE_PSCI_0_2, chosen, np.uint32(PSCI_0_1)).astype(np.uint32)

    def _has_register(self, row: FwRegister, vms: NDArray[np.int64]) -> NDArray[np.bool_]:
        has: NDArray[np.bool_] = np.array([row.name in h.release.fw_registers for h in self.hosts])
        return has[self.host_of_vm[vms]]

    def _vcpu_exists(self, vcpu: int, vms: NDArray[np.int64]) -> None:
        fewest = int(np.diff(self.first_vcpu)[vms].min(initial=self.n_vcpu))
        if not 0 <= vcpu < fewest:
            msg = f"vCPU {vcpu} does not exist in every VM selected: the smallest has {fewest} (0 is the first)"
            raise InputError(msg)

    def get_one_reg(self, reg: int, *, vms: Selection = slice(None), vcpu: int = 0) -> Words:
        """KVM_GET_ONE_REG of a firmware register through vCPU number `vcpu` of each VM: uint64[n_selected].

        Raises:
            RegisterError: ENOENT or EINVAL, on the first VM that has it.
        """
        chosen = self.vms(vms)
        self._vcpu_exists(vcpu, chosen)
        row, errno = _find(reg)
        if row is None:
            msg = f"GET_ONE_REG {reg:#018x}: no firmware register has this id"
            raise RegisterError(msg, errno)
        missing = chosen[~self._has_register(row, chosen)]
        if missing.size:
            rules = self.hosts[self.host_of_vm[missing[0]]].release
            msg = f"GET_ONE_REG {row.name}: VM {missing[0]} (Linux {rules.name}) has no such register"
            raise RegisterError(msg, ENOENT)
        if row.kind is FwKind.PSCI_VERSION:
            return self.effective_psci_version()[chosen].astype(np.uint64)
        if row.kind is FwKind.BITMAP:
            bitmap: Words = self.fw_bmap[chosen, row.index]
            return bitmap
        return self._workaround(row, chosen)

    def _workaround(self, row: FwRegister, vms: NDArray[np.int64]) -> Words:
        level: Words = np.array([h.workaround[row.index - 1] for h in self.hosts], np.uint64)
        return level[self.host_of_vm[vms]]

    def try_set_one_reg(
        self, reg: int, value: ArrayLike, *, vms: Selection = slice(None), vcpu: int = 0
    ) -> NDArray[np.int16]:
        """KVM_SET_ONE_REG on every selected VM, each on its own: errnos, int16[n_selected], 0 where it took effect.

        Args:
            value: one word, or uint64[n_selected].
            vcpu: number of the vCPU whose accessor is used, in each VM. The effect is the VM's.

        Cost: O(n_selected), no Python loop over VMs.
        """
        chosen = self.vms(vms)
        self._vcpu_exists(vcpu, chosen)
        words = _words(value, chosen.size)
        row, errno = _find(reg)
        if row is None:
            return np.full(chosen.size, errno, np.int16)
        bad = np.where(self._has_register(row, chosen), 0, ENOENT).astype(np.int16)
        bad = np.where(bad == 0, self._rule(row, words, chosen), bad).astype(np.int16)
        good = chosen[bad == 0]
        if row.kind is FwKind.PSCI_VERSION:
            self.psci_version[good] = words[bad == 0]
        elif row.kind is FwKind.BITMAP:
            self.fw_bmap[good, row.index] = words[bad == 0]
        self._tables = None
        return bad

    def set_one_reg(self, reg: int, value: ArrayLike, *, vms: Selection = slice(None), vcpu: int = 0) -> None:
        """KVM_SET_ONE_REG on every selected VM, or on none.

        Raises:
            RegisterError: the errno of the first VM that refuses; nothing was changed.
        """
        chosen = self.vms(vms)
        words = _words(value, chosen.size)
        before = self.psci_version.copy(), self.fw_bmap.copy()
        errnos = self.try_set_one_reg(reg, words, vms=chosen, vcpu=vcpu)
        if not errnos.any():
            return
        self.psci_version, self.fw_bmap = before
        first = int(np.flatnonzero(errnos)[0])
        row = FW_BY_ID.get(reg)
        vm, errno = int(chosen[first]), int(errnos[first])
        name = row.name if row else f"{reg:#018x}"
        rules, level = self.hosts[self.host_of_vm[vm]].release, self.hosts[self.host_of_vm[vm]].workaround
        reason = refusal(row, rules, errno, level=level, current=self.fw_bmap[vm])
        msg = f"SET_ONE_REG {name} = {int(words[first]):#x} on VM {vm}: {reason}"
        raise RegisterError(msg, errno)

    def _rule(self, row: FwRegister, value: Words, vms: NDArray[np.int64]) -> NDArray[np.int16]:
        """The errno the register's own SET rule gives: int16[n_selected]."""
        host = self.host_of_vm[vms]
        if row.kind is FwKind.BITMAP:
            limit = np.array([h.release.bitmap_limit[row.index] for h in self.hosts], np.uint64)[host]
            current = self.fw_bmap[vms, row.index]
            return bitmap_errno(value, limit=limit, current=current, has_run=self.has_run_once[vms])
        if row.kind is FwKind.PSCI_VERSION:
            accepted = [h.release.psci_versions for h in self.hosts]
            has_psci_0_2 = self.features[vms] & FEATURE_PSCI_0_2 != 0
            return psci_version_errno(value, accepted=accepted, host=host, has_psci_0_2=has_psci_0_2)
        return workaround_errno(value, kind=row.kind, available=self._workaround(row, vms))

    # -- filter, capability, first run -------------------------------------------------------------------------

    def try_install_filter(
        self, ranges: FilterRange | Iterable[FilterRange], *, vms: Selection = slice(None)
    ) -> NDArray[np.int16]:
        """Inserts ranges into the SMCCC filter of every selected VM, each insert on its own.

        Returns:
            int16[n_selected, n_range], errno of each insert: EINVAL, then EBUSY, then EEXIST; 0 where it took effect.

        Cost: one insert per distinct (filter, release) among the VMs, however many VMs share it.
        """
        wanted = [ranges] if isinstance(ranges, FilterRange) else list(ranges)
        chosen = self.vms(vms)
        errnos = np.zeros((chosen.size, len(wanted)), np.int16)
        state = np.stack([self.host_of_vm[chosen], self.filter_of_vm[chosen], self.has_run_once[chosen]], axis=1)
        groups, group_of_vm = np.unique(state, axis=0, return_inverse=True)
        for g, (host, old, has_run) in enumerate(groups):
            members = group_of_vm.reshape(-1) == g
            new, codes = self._inserted(int(host), self.filters[old], wanted, has_run=bool(has_run))
            errnos[members] = codes
            self.filter_of_vm[chosen[members]] = self._intern(new)
        self._tables = None
        return errnos

    def _inserted(
        self, host: int, old: Filter, wanted: list[FilterRange], *, has_run: bool
    ) -> tuple[Filter, list[int]]:
        rules = self.hosts[host].release
        at_0 = rules.filter_empty_at_0_errno
        if not rules.has_filter:
            return old, [EINVAL] * len(wanted)
        if has_run:
            return old, [EINVAL if malformed(r, empty_at_0_errno=at_0) else EBUSY for r in wanted]
        return inserted(old, wanted, empty_at_0_errno=at_0)

    def _intern(self, new: Filter) -> int:
        index = self._filter_index.setdefault(new, len(self.filters))
        if index == len(self.filters):
            self.filters.append(new)
        return index

    def install_filter(self, ranges: FilterRange | Iterable[FilterRange], *, vms: Selection = slice(None)) -> None:
        """Inserts ranges into the SMCCC filter of every selected VM, all of them or none.

        Raises:
            FilterError: the errno of the first insert that fails; nothing was changed.
        """
        wanted = [ranges] if isinstance(ranges, FilterRange) else list(ranges)
        chosen = self.vms(vms)
        before = self.filter_of_vm.copy()
        errnos = self.try_install_filter(wanted, vms=chosen)
        if not errnos.any():
            return
        self.filter_of_vm = before
        vm, r = (int(index) for index in np.argwhere(errnos)[0])
        reasons = {
            EINVAL: "nr_functions must be 1 or more, the range must end by 0xffffffff, the action be HANDLE, DENY or "
            "FWD_TO_USER, and the release have a filter (6.4 on)",
            EBUSY: "the VM has run: install filters before the first KVM_RUN",
        }
        overlap = "it overlaps another range, or the reserved Arm architecture calls; ranges must be disjoint"
        errno = int(errnos[vm, r])
        msg = f"range {wanted[r]} of VM {chosen[vm]}: {reasons.get(errno, overlap)}"
        raise FilterError(msg, errno)

    def enable_system_suspend(self, *, vms: Selection = slice(None)) -> NDArray[np.int16]:
        """KVM_ENABLE_CAP(KVM_CAP_ARM_SYSTEM_SUSPEND): errnos, int16[n_selected]; EINVAL before 5.19."""
        chosen = self.vms(vms)
        has = np.array([h.release.has_system_suspend for h in self.hosts])[self.host_of_vm[chosen]]
        self.has_system_suspend[chosen[has]] = True
        self._tables = None
        return np.where(has, 0, EINVAL).astype(np.int16)

    def run_once(self, *, vms: Selection = slice(None)) -> None:
        """The first KVM_RUN of some vCPU of each selected VM: bitmaps and filter freeze, PSCI_VERSION does not."""
        self.has_run_once[self.vms(vms)] = True

    # -- tables ------------------------------------------------------------------------------------------------

    def tables(self) -> tuple[Tables, NDArray[np.uint32]]:
        """Dispatch tables of the distinct policies, and each vCPU's policy: uint32[n_vcpu]. Kept until a change."""
        if self._tables is None:
            columns = Policies(
                self.host_of_vm,
                self.features,
                self.fw_bmap,
                self.effective_psci_version(),
                self.has_system_suspend,
                self.filter_of_vm,
            )
            policies, policy_of_vm = interned(columns)
            steps = [installed.steps() for installed in self.filters]
            self._tables = build_tables(policies, self.hosts, steps), policy_of_vm[self.vm_of_vcpu]
        return self._tables


def _find(reg: int) -> tuple[FwRegister | None, int]:
    """The firmware register of an id, or the errno of its absence."""
    row = FW_BY_ID.get(reg)
    return row, 0 if row else (EINVAL if reg & ARCH_MASK != ARCH_ARM64 else ENOENT)


def _words(value: ArrayLike, n: int) -> Words:
    given = np.asarray(value)
    if (
        given.dtype.kind == "O"
        or given.dtype.kind not in "iu"
        or (given.dtype.kind == "i" and given.size and given.min() < 0)
    ):
        msg = f"a register value is a 64-bit word, 0 to 0xffffffffffffffff; got {value!r}"
        raise InputError(msg)
    if given.ndim > 1 or (given.ndim == 1 and given.size != n):
        msg = f"give one value or {n}, one per selected VM; got shape {given.shape}"
        raise InputError(msg)
    return np.broadcast_to(given, n).astype(np.uint64)
