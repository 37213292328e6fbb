"""A fleet: many VMs and their vCPUs as arrays, and the only owner of mutable VM state.

GET/SET_ONE_REG, the filter attribute, capabilities and the first run go through `Fleet`, for one VM or a slice of
them, with KVM's errnos. Firmware registers are VM-global: an accessor names a vCPU and reaches the VM.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.bitmaps import Policies, Tables, build_tables, interned
from fastsmc.errors import FilterError, InputError, RegisterError
from fastsmc.filters import EBUSY, EINVAL, Filter, FilterRange, inserted, malformed
from fastsmc.firmware import ENOENT, ENOEXEC, bitmap_errno, find, psci_version_errno, refusal, workaround_errno
from fastsmc.fleet_state import FEATURE_PSCI_0_2, FLEET, RUNNABLE, STOPPED, FleetState, Selection
from fastsmc.registers import FwKind, FwRegister
from fastsmc.rows import Rows, build_rows

__all__ = ["FLEET", "Fleet"]

Words = NDArray[np.uint64]


class Fleet(FleetState):
    """Many VMs, and the ioctls that configure them; equal policies are stored once, when tables are built.

    `Fleet(n_vcpu, hosts=..., host_of_vm=..., features=...)` or `Fleet.uniform(n_vm=..., n_vcpu=..., host=...)`;
    the columns are described in FLEET.
    """

    _tables: tuple[Tables, NDArray[np.uint32]] | None = None
    _rows: tuple[Rows, tuple[Tables, NDArray[np.uint32]]] | None = None

    # -- firmware registers ------------------------------------------------------------------------------------

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
            RegisterError: ENOEXEC, EINVAL or ENOENT, on some VM.
            InputError: a register of another class, which this package does not model.
        """
        chosen = self.vms(vms)
        row, errnos = self._found(reg, vcpu, chosen)
        if row is None or errnos.any():
            raise self._refused(reg, None, chosen, errnos)
        if row.kind is FwKind.PSCI_VERSION:
            return self.effective_psci_version()[chosen].astype(np.uint64)
        if row.kind is FwKind.BITMAP:
            bitmap: Words = self.fw_bmap[chosen, row.index]
            return bitmap
        return self._workaround(row, chosen)

    def _found(self, reg: int, vcpu: int, vms: NDArray[np.int64]) -> tuple[FwRegister | None, NDArray[np.int16]]:
        """The register, and what KVM says before it looks at a value: ENOEXEC, EINVAL, ENOENT."""
        self._vcpu_exists(vcpu, vms)
        row, errno = find(reg)
        is_known = np.full(vms.size, row is not None) if row is None else self._has_register(row, vms)
        errnos = np.where(is_known, 0, errno or ENOENT)
        return row, np.where(self.is_initialised[self.first_vcpu[vms] + vcpu], errnos, ENOEXEC).astype(np.int16)

    def _refused(
        self, reg: int, value: Words | None, vms: NDArray[np.int64], errnos: NDArray[np.int16]
    ) -> RegisterError:
        """The error for the VMs whose errno is not 0: which they are, and why the first one refuses."""
        refusing = np.flatnonzero(errnos)
        first = int(refusing[0])
        vm, errno = int(vms[first]), int(errnos[first])
        row, _ = find(reg)
        host = self.hosts[self.host_of_vm[vm]]
        reason = refusal(row, host.release, errno, level=host.workaround, current=self.fw_bmap[vm])
        name = row.name if row else f"{reg:#018x}"
        asked = f"GET_ONE_REG {name}" if value is None else f"SET_ONE_REG {name} = {int(value[first]):#x}"
        msg = f"{asked} on {_vm_list(vms[refusing])}: {reason}"
        return RegisterError(msg, errno, vms=vms[refusing].tolist(), errnos=errnos[refusing].tolist())

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
        words = _words(value, chosen.size)
        row, bad = self._found(reg, vcpu, chosen)
        if row is None:
            return bad
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
            RegisterError: with the VMs that refuse and their errnos; nothing was changed.
        """
        chosen = self.vms(vms)
        words = _words(value, chosen.size)
        before = self.psci_version.copy(), self.fw_bmap.copy()
        errnos = self.try_set_one_reg(reg, words, vms=chosen, vcpu=vcpu)
        if not errnos.any():
            return
        self.psci_version, self.fw_bmap = before
        raise self._refused(reg, words, chosen, errnos)

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
            FilterError: with the VMs that refuse and their errnos; nothing was changed.
        """
        wanted = [ranges] if isinstance(ranges, FilterRange) else list(ranges)
        chosen = self.vms(vms)
        before = self.filter_of_vm.copy()
        errnos = self.try_install_filter(wanted, vms=chosen)
        if not errnos.any():
            return
        self.filter_of_vm = before
        refusing = np.flatnonzero(errnos.any(axis=1))
        r = int(np.flatnonzero(errnos[refusing[0]])[0])
        errno = int(errnos[refusing[0], r])
        reasons = {
            EINVAL: "nr_functions must be 1 or more, the range must end by 0xffffffff, the action be HANDLE, DENY or "
            "FWD_TO_USER, and the release have a filter (6.4 on)",
            EBUSY: "the VM has run: install filters before the first KVM_RUN",
        }
        overlap = "it overlaps another range, or the reserved Arm architecture calls; ranges must be disjoint"
        first_errnos = [int(row[row != 0][0]) for row in errnos[refusing]]
        msg = f"range {wanted[r]} of {_vm_list(chosen[refusing])}: {reasons.get(errno, overlap)}"
        raise FilterError(msg, errno, vms=chosen[refusing].tolist(), errnos=first_errnos)

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

    def vcpu_init(self, vcpus: Selection = slice(None), *, power_off: bool = False) -> None:
        """KVM_ARM_VCPU_INIT of vCPUs by fleet-wide index: resets their power state, thaws and resets no VM state."""
        self.is_initialised[vcpus] = True
        self.mp_state[vcpus] = STOPPED if power_off else RUNNABLE

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

    def rows(self) -> Rows:
        """The tables in the form the dispatch kernels read. Kept until a change."""
        tables = self.tables()
        if self._rows is None or self._rows[1] is not tables:
            self._rows = build_rows(*tables, [installed.steps() for installed in self.filters]), tables
        return self._rows[0]


def _vm_list(vms: NDArray[Any]) -> str:
    """VM numbers for a sentence: the first few, and how many more."""
    shown = ", ".join(str(vm) for vm in vms[:5])
    more = f" and {vms.size - 5} more" if vms.size > 5 else ""
    return f"VM{'s' if vms.size > 1 else ''} {shown}{more}"


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
