"""A fleet: many VMs and their vCPUs as arrays, and the only owner of mutable VM state.

GET/SET_ONE_REG, the filter attribute, capabilities and the first run go through `Fleet`, for one VM or a slice of
them, with KVM's errnos. Firmware registers are VM-global: an accessor names a vCPU and reaches the VM.
"""

from __future__ import annotations

from collections.abc import Iterable
from errno import EBUSY, EINVAL, ENOENT, ENOEXEC
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.bitmaps import Policies, Tables, build_tables, interned
from fastsmc.checks import whole
from fastsmc.errors import FilterError, InputError, KvmError, RegisterError
from fastsmc.facts.registers import FwKind, FwRegister
from fastsmc.facts.releases import Release
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2, RUNNABLE, STOPPED
from fastsmc.fleet.filters import Filter, FilterRange, inserted, listed, malformed
from fastsmc.fleet.filters import refusal as filter_refusal
from fastsmc.fleet.firmware import bitmap_errno, find, psci_version_errno, refusal, workaround_errno
from fastsmc.fleet.rows import Rows, build_rows
from fastsmc.fleet.state import FLEET, FleetState, Selection, selected, whole_numbers

__all__ = ["FLEET", "Fleet"]

Words = NDArray[np.uint64]
Errnos = NDArray[np.int16]
_U32, _U64 = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
_SPARE_FILTERS = 64
"""Filters beyond twice those in use that are kept before the unused ones are looked for."""


class Fleet(FleetState):
    """Many VMs, and the ioctls that configure them; equal policies are stored once, when tables are built.

    `Fleet(n_vcpu, hosts=..., host_of_vm=..., features=...)` or `Fleet.uniform(n_vm=..., n_vcpu=..., host=...)`;
    the columns are described in FLEET.
    """

    _tables: tuple[Tables, NDArray[np.uint32]] | None = None
    _n_filter_used: int = 1
    _rows: tuple[Rows, tuple[Tables, NDArray[np.uint32]]] | None = None

    # -- firmware registers ------------------------------------------------------------------------------------

    def _has_register(self, row: FwRegister, vms: NDArray[np.int64]) -> NDArray[np.bool_]:
        has: NDArray[np.bool_] = np.array([row.name in h.release.fw_registers for h in self.hosts])
        return has[self.host_of_vm[vms]]

    def vcpus_numbered(self, vcpu: int, vms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Fleet-wide index of vCPU number `vcpu` of each VM.

        Raises:
            InputError: some of the VMs do not have it.
        """
        number = whole("vcpu", vcpu, last=_U32)
        first = self.first_vcpu[vms]
        fewest = int((self.first_vcpu[vms + 1] - first).min(initial=self.n_vcpu))
        if number >= fewest:
            msg = f"vCPU {number} does not exist in every VM selected: the smallest has {fewest} (0 is the first)"
            raise InputError(msg)
        return first + number

    def get_one_reg(self, reg: int, *, vms: Selection = slice(None), vcpu: int = 0) -> Words:
        """KVM_GET_ONE_REG of a firmware register through vCPU number `vcpu` of each VM: uint64[n_selected].

        Raises:
            RegisterError: ENOEXEC, EINVAL or ENOENT, on some VM.
            InputError: no register id, or one of another class, which this package does not model.

        Cost: O(n_selected + n_host).
        """
        chosen = self.vms(vms)
        row, errnos = self._found(reg, vcpu, chosen)
        if row is None or errnos.any():
            raise self._refused(reg, None, chosen, errnos)
        if row.kind is FwKind.PSCI_VERSION:
            return self.effective_psci_version(chosen).astype(np.uint64)
        if row.kind is FwKind.BITMAP:
            bitmap: Words = self.fw_bmap[chosen, row.index]
            return bitmap
        return self._workaround(row, chosen)

    def _found(self, reg: int, vcpu: int, vms: NDArray[np.int64]) -> tuple[FwRegister | None, Errnos]:
        """The register, and what KVM says before it looks at a value: ENOEXEC, EINVAL, ENOENT."""
        indices = self.vcpus_numbered(vcpu, vms)
        row, errno = find(reg)
        is_known = np.full(vms.size, row is not None) if row is None else self._has_register(row, vms)
        errnos = np.where(is_known, 0, errno or ENOENT)
        return row, np.where(self.is_initialised[indices], errnos, ENOEXEC).astype(np.int16)

    def _refused(self, reg: int, value: Words | None, vms: NDArray[np.int64], errnos: Errnos) -> RegisterError:
        """The error for the VMs whose errno is not 0: which they are, and why the first one refuses."""
        refusing = np.flatnonzero(errnos)
        first = int(refusing[0])
        vm, errno = int(vms[first]), int(errnos[first])
        row, _ = find(reg)
        host = self.hosts[self.host_of_vm[vm]]
        word = 0 if value is None else int(value[first])
        reason = refusal(row, host.release, errno, value=word, level=host.workaround, current=self.fw_bmap[vm])
        name = row.name if row else f"{reg:#018x}"
        asked = f"GET_ONE_REG {name}" if value is None else f"SET_ONE_REG {name} = {word:#x}"
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

        Cost: O(n_selected + n_host), no Python loop over VMs.
        """
        chosen = self.vms(vms)
        words = register_words(value, chosen.size)
        row, errnos = self._judged(reg, words, vcpu, chosen)
        good = errnos == 0
        self._store(row, words[good], chosen[good])
        return errnos

    def set_one_reg(self, reg: int, value: ArrayLike, *, vms: Selection = slice(None), vcpu: int = 0) -> None:
        """KVM_SET_ONE_REG on every selected VM, or on none.

        Raises:
            RegisterError: with the VMs that refuse and their errnos; nothing was changed.

        Cost: as `try_set_one_reg`.
        """
        chosen = self.vms(vms)
        words = register_words(value, chosen.size)
        row, errnos = self._judged(reg, words, vcpu, chosen)
        if errnos.any():
            raise self._refused(reg, words, chosen, errnos)
        self._store(row, words, chosen)

    def _judged(self, reg: int, words: Words, vcpu: int, vms: NDArray[np.int64]) -> tuple[FwRegister | None, Errnos]:
        """The register, and what KVM_SET_ONE_REG would return on each VM. Changes nothing."""
        row, errnos = self._found(reg, vcpu, vms)
        if row is None:
            return None, errnos
        return row, np.where(errnos == 0, self._rule(row, words, vms), errnos).astype(np.int16)

    def _store(self, row: FwRegister | None, words: Words, vms: NDArray[np.int64]) -> None:
        """Takes over words that were judged good. Workaround levels are not kept."""
        if row is None or row.kind not in (FwKind.PSCI_VERSION, FwKind.BITMAP):
            return
        if row.kind is FwKind.PSCI_VERSION:
            self.psci_version[vms] = words
        else:
            self.fw_bmap[vms, row.index] = words
        self._tables = None

    def _rule(self, row: FwRegister, value: Words, vms: NDArray[np.int64]) -> Errnos:
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
    ) -> Errnos:
        """Inserts ranges into the SMCCC filter of every selected VM, each insert on its own.

        Returns:
            int16[n_selected, n_range], errno of each insert: EINVAL, then EBUSY, then EEXIST; 0 where it took effect.

        Cost: one insert per distinct (filter, release) among the VMs, however many VMs share it.
        """
        wanted, chosen = listed(ranges), self.vms(vms)
        new_filters, errnos, group_of_vm = self._inserted(wanted, chosen)
        self._install(new_filters, group_of_vm, chosen)
        return errnos[group_of_vm]

    def install_filter(self, ranges: FilterRange | Iterable[FilterRange], *, vms: Selection = slice(None)) -> None:
        """Inserts ranges into the SMCCC filter of every selected VM, all of them or none.

        Raises:
            FilterError: with the VMs that refuse and their errnos; nothing was changed.

        Cost: as `try_install_filter`.
        """
        wanted, chosen = listed(ranges), self.vms(vms)
        new_filters, errnos, group_of_vm = self._inserted(wanted, chosen)
        if errnos.any():
            raise self._filter_refused(wanted, chosen, errnos[group_of_vm])
        self._install(new_filters, group_of_vm, chosen)

    def _inserted(
        self, wanted: list[FilterRange], vms: NDArray[np.int64]
    ) -> tuple[list[Filter], Errnos, NDArray[np.int64]]:
        """Filters after the inserts and errnos of the inserts, by group of VMs alike; each VM's group.

        Changes nothing. The errnos are int16[n_group, n_range].
        """
        state = np.stack([self.host_of_vm[vms], self.filter_of_vm[vms], self.has_run_once[vms]], axis=1)
        groups, group_of_vm = np.unique(state, axis=0, return_inverse=True)
        errnos = np.zeros((len(groups), len(wanted)), np.int16)
        new_filters = []
        for g, (host, old, has_run) in enumerate(groups.tolist()):
            new, errnos[g] = _after(self.hosts[host].release, self.filters[old], wanted, has_run=bool(has_run))
            new_filters.append(new)
        return new_filters, errnos, group_of_vm.reshape(-1)

    def _install(self, new_filters: list[Filter], group_of_vm: NDArray[np.int64], vms: NDArray[np.int64]) -> None:
        numbers = np.array([self._intern(new) for new in new_filters], np.int64)
        self.filter_of_vm[vms] = numbers[group_of_vm]
        if len(self.filters) > 2 * self._n_filter_used + _SPARE_FILTERS:
            self._drop_unused_filters()
        self._tables = None

    def _intern(self, new: Filter) -> int:
        index = self._filter_index.setdefault(new, len(self.filters))
        if index == len(self.filters):
            self.filters.append(new)
        return index

    def _drop_unused_filters(self) -> None:
        """Keeps the filters that some VM uses, in their order. Cost: a sort of n_vm numbers."""
        used, filter_of_vm = np.unique(self.filter_of_vm, return_inverse=True)
        self.filters = [self.filters[index] for index in used]
        self._filter_index = {kept: index for index, kept in enumerate(self.filters)}
        self.filter_of_vm = filter_of_vm.reshape(-1).astype(np.int64)
        self._n_filter_used = len(self.filters)

    def _filter_refused(self, wanted: list[FilterRange], vms: NDArray[np.int64], errnos: Errnos) -> FilterError:
        """The error for the VMs that refuse some range: which they are, and why the first one refuses."""
        refusing = np.flatnonzero(errnos.any(axis=1))
        first_errnos = [int(row[row != 0][0]) for row in errnos[refusing]]
        vm, r = vms[refusing[0]], int(np.flatnonzero(errnos[refusing[0]])[0])
        rules, old = self.hosts[self.host_of_vm[vm]].release, self.filters[self.filter_of_vm[vm]]
        before, _ = _after(rules, old, wanted[:r], has_run=bool(self.has_run_once[vm]))
        reason = filter_refusal(wanted[r], first_errnos[0], old=before, rules=rules)
        msg = f"range {wanted[r]} of {_vm_list(vms[refusing])}: {reason}"
        return FilterError(msg, first_errnos[0], vms=vms[refusing].tolist(), errnos=first_errnos)

    def enable_system_suspend(self, *, vms: Selection = slice(None)) -> Errnos:
        """KVM_ENABLE_CAP(KVM_CAP_ARM_SYSTEM_SUSPEND): errnos, int16[n_selected]; EINVAL before 5.19."""
        chosen = self.vms(vms)
        has = np.array([h.release.has_system_suspend for h in self.hosts])[self.host_of_vm[chosen]]
        self.has_system_suspend[chosen[has]] = True
        self._tables = None
        return np.where(has, 0, EINVAL).astype(np.int16)

    def try_run_once(self, *, vms: Selection = slice(None), vcpu: int = 0) -> Errnos:
        """The first KVM_RUN of vCPU number `vcpu` of each selected VM: bitmaps and filter freeze, PSCI_VERSION not.

        Returns:
            int16[n_selected]: ENOEXEC where that vCPU has not had KVM_ARM_VCPU_INIT, so that nothing freezes; else 0.
        """
        chosen = self.vms(vms)
        is_ready = self.is_initialised[self.vcpus_numbered(vcpu, chosen)]
        self.has_run_once[chosen[is_ready]] = True
        return np.where(is_ready, 0, ENOEXEC).astype(np.int16)

    def run_once(self, *, vms: Selection = slice(None), vcpu: int = 0) -> None:
        """The first KVM_RUN of vCPU number `vcpu` of every VM selected, or of none.

        Raises:
            KvmError: ENOEXEC, with the VMs whose vCPU has not had KVM_ARM_VCPU_INIT; no VM was frozen.
        """
        chosen = self.vms(vms)
        is_ready = self.is_initialised[self.vcpus_numbered(vcpu, chosen)]
        if not is_ready.all():
            raise run_refused(vcpu, chosen[~is_ready])
        self.has_run_once[chosen] = True

    def vcpu_init(self, vcpus: Selection = slice(None), *, power_off: bool = False) -> None:
        """KVM_ARM_VCPU_INIT of vCPUs by fleet-wide index: resets their power state, thaws and resets no VM state.

        Raises:
            InputError: a vCPU that the fleet does not have or that is given twice, None, or no selection at all.
        """
        chosen = selected("vCPU selection", vcpus, self.n_vcpu)
        self.is_initialised[chosen] = True
        self.mp_state[chosen] = STOPPED if power_off else RUNNABLE

    # -- tables ------------------------------------------------------------------------------------------------

    def tables(self) -> tuple[Tables, NDArray[np.uint32]]:
        """Dispatch tables of the distinct policies, and each vCPU's policy: uint32[n_vcpu]. Kept until a change."""
        if self._tables is None:
            self._drop_unused_filters()
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


def _after(rules: Release, old: Filter, wanted: list[FilterRange], *, has_run: bool) -> tuple[Filter, list[int]]:
    """A VM's filter after a list of inserts, and each insert's errno."""
    at_0 = rules.filter_empty_at_0_errno
    if not rules.has_filter:
        return old, [EINVAL] * len(wanted)
    if has_run:
        return old, [EINVAL if malformed(r, empty_at_0_errno=at_0) else EBUSY for r in wanted]
    return inserted(old, wanted, empty_at_0_errno=at_0)


def run_refused(vcpu: int, vms: NDArray[Any]) -> KvmError:
    """The error for VMs whose vCPU of that number cannot run."""
    msg = f"KVM_RUN of vCPU {vcpu} of {_vm_list(vms)}: it has not had KVM_ARM_VCPU_INIT"
    return KvmError(msg, ENOEXEC, vms=vms.tolist(), errnos=[ENOEXEC] * vms.size)


def register_words(value: object, n: int) -> Words:
    """One word for all, or one for each of n VMs or vCPUs selected, as uint64[n].

    Raises:
        InputError: something that is no 64-bit word, or another number of them.
    """
    given = whole_numbers("a register value", value, last=_U64)
    if given.ndim > 1 or (given.ndim == 1 and given.size != n):
        msg = f"give one register value or {n}, one for each selected; got shape {given.shape}"
        raise InputError(msg)
    return np.broadcast_to(given, n).astype(np.uint64)
