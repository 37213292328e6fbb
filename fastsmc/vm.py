"""A fleet: many VMs and their vCPUs as arrays, and the only owner of mutable VM state.

GET/SET_ONE_REG, the filter attribute, capabilities and the first run go through `Fleet`, for one VM or a slice of
them, with KVM's errnos. Firmware registers are VM-global: an accessor names a vCPU and reaches the VM.

Threads may share a fleet: docs/design.md, "Threads".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import EAGAIN, EINVAL, ENOEXEC
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.bitmaps import Tables
from fastsmc.checks import BoolArray, I64Array, U32Array, U64Array, whole
from fastsmc.errors import InputError
from fastsmc.facts.registers import FwKind, FwRegister
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import FEATURE_EL2, FEATURE_PSCI_0_2, MAX_VCPU_PER_VM, RUNNABLE, STOPPED
from fastsmc.fleet import columns
from fastsmc.fleet.columns import FLEET, MAX_VCPU, as_host, as_hosts
from fastsmc.fleet.filters import Filter, FilterRange, listed
from fastsmc.fleet.firmware import (
    Errnos,
    register_words,
)
from fastsmc.fleet.interned import Inserted, InternedFilters
from fastsmc.fleet.judged import found, inserts_refused, judged, refused, workaround_levels
from fastsmc.fleet.refusals import run_refused
from fastsmc.fleet.rows import Rows
from fastsmc.fleet.selection import Selection, selected
from fastsmc.fleet.snapshot import Snapshot, effective_psci_version
from fastsmc.jit.locks import ForkedOpen
from fastsmc.reference.doubts import Touched, touched_by

__all__ = ["FLEET", "Fleet"]
_U64 = 0xFFFF_FFFF_FFFF_FFFF


class Fleet:
    """Many VMs and their vCPUs as columns (see FLEET), and the ioctls that configure them.

    Equal policies are stored once, when tables are built. Threads may change a fleet and dispatch on it at once: a
    dispatch sees the fleet before a change or after it, and one that begins after a change returned sees the change.

    Args:
        n_vcpu: vCPUs of each VM, an array-like of n_vm counts from 1 up.
        hosts: one Host, or the name of its release, for all VMs; or a list of them that `host_of_vm` indexes.
        features: word 0 of KVM_ARM_VCPU_INIT, for all VMs or per VM. Default: PSCI 0.2 and later. With bit 7
            (HAS_EL2) a VM's vCPUs have EL2 themselves, on hosts of kvm_arm_mode "nested".
        is_protected: created as protected VMs, for all VMs or per VM; on hosts of kvm_arm_mode "protected".
        has_gic: whether a VM has an in-kernel GIC, for all VMs or per VM. Without one no vCPU with EL2 runs.

    Raises:
        InputError: no VM, a VM without vCPUs, an index outside `hosts`, a VM whose host refuses its type or features,
            with KVM's errno.
    """

    def __init__(
        self,
        n_vcpu: ArrayLike,
        *,
        hosts: Host | str | Sequence[Host | str],
        host_of_vm: ArrayLike | None = None,
        features: ArrayLike = FEATURE_PSCI_0_2,
        is_protected: ArrayLike = False,
        has_gic: ArrayLike = True,
    ) -> None:
        count = columns.counts(n_vcpu)
        self.hosts: tuple[Host, ...] = as_hosts(hosts)
        self.n_vm = int(count.size)
        self.n_vcpu = int(count.sum())
        self.first_vcpu = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        self.vm_of_vcpu = np.repeat(np.arange(self.n_vm, dtype=np.uint32), count)
        self.mp_state = np.full(self.n_vcpu, RUNNABLE, np.uint8)
        self.is_initialised = np.ones(self.n_vcpu, np.bool_)
        self.host_of_vm = columns.hosts_of_vms(0 if host_of_vm is None else host_of_vm, self.n_vm, len(self.hosts))
        self.features: U32Array = columns.column("features", features, self.n_vm)
        self.is_protected: BoolArray = columns.flag_column("is_protected", is_protected, self.n_vm)
        self.has_gic: BoolArray = columns.flag_column("has_gic", has_gic, self.n_vm)
        columns.check_features(self.features, self.hosts, self.host_of_vm, self.is_protected)
        reset = np.array([h.release.bitmap_reset for h in self.hosts], np.uint64)
        self.fw_bmap: U64Array = reset[self.host_of_vm]
        self.psci_version = np.zeros(self.n_vm, np.uint32)
        self.has_run_once = np.zeros(self.n_vm, np.bool_)
        self.has_system_suspend = np.zeros(self.n_vm, np.bool_)
        self._filters = InternedFilters(self.n_vm)
        self._snapshot: Snapshot | None = None
        self._changes, self._power = ForkedOpen(), ForkedOpen()

    @classmethod
    def uniform(
        cls,
        *,
        n_vm: int,
        n_vcpu: int,
        host: Host | str = "7.3",
        features: ArrayLike = FEATURE_PSCI_0_2,
        is_protected: ArrayLike = False,
        has_gic: ArrayLike = True,
    ) -> Self:
        """`n_vm` equal VMs of `n_vcpu` vCPUs on a host, or on a release's default host.

        >>> Fleet.uniform(n_vm=16, n_vcpu=64)
        Fleet of 16 VMs, 1024 vCPUs, 1 host
        """
        n_vm, n_vcpu = whole("n_vm", n_vm, first=1, last=MAX_VCPU), whole("n_vcpu", n_vcpu, first=1, last=MAX_VCPU)
        columns.check_total(n_vm * n_vcpu)
        count, hosts = np.full(n_vm, n_vcpu), as_host(host)
        return cls(count, hosts=hosts, features=features, is_protected=is_protected, has_gic=has_gic)

    def __repr__(self) -> str:
        hosts = f"{len(self.hosts)} host" + ("s" if len(self.hosts) > 1 else "")
        note = ", hypothetical (more than 512 vCPUs in a VM)" if self.is_hypothetical else ""
        note += f", doubts: {len(self.doubts)}" if self.doubts else ""
        return f"Fleet of {self.n_vm} VMs, {self.n_vcpu} vCPUs, {hosts}{note}"

    def __getstate__(self) -> dict[str, Any]:
        """One state, also while other threads change the fleet; a copy builds its tables anew, on cache lines."""
        with self._power, self._changes:
            columns = {name: getattr(self, name).copy() for name in FLEET if name in self.__dict__}
            return self.__dict__ | columns | {"_filters": self._filters.copy(), "_snapshot": None}

    # -- what there is -----------------------------------------------------------------------------------------

    @property
    def is_hypothetical(self) -> bool:
        """Whether some VM has more vCPUs than arm64 KVM allows today."""
        return int(np.diff(self.first_vcpu).max()) > MAX_VCPU_PER_VM

    @property
    def doubts(self) -> tuple[Touched, ...]:
        """What is not known of its hosts' releases, with the functions that it touches. Verdicts are as if it were."""
        return touched_by(self.hosts, self.host_of_vm, self.features)

    @property
    def filters(self) -> list[Filter]:
        """The SMCCC filters installed, each once."""
        return self._filters.installed

    @property
    def filter_of_vm(self) -> I64Array:
        """The filter of each VM, an index into `filters`: int64[n_vm]."""
        return self._filters.of_vm

    def vms(self, selection: Selection) -> I64Array:
        """VM numbers of an int, a slice, a list of numbers or a boolean mask.

        Raises:
            InputError: a number that is negative, outside the fleet or given twice, None, or no selection at all.
        """
        return selected("VM selection", selection, self.n_vm)

    def check(self) -> None:
        """Asserts every structural invariant; for tests and after reading a fleet from elsewhere."""
        columns.check_invariants(self)

    def effective_psci_version(self, vms: I64Array | slice = slice(None)) -> U32Array:
        """uint32[n_selected]: what PSCI_VERSION answers."""
        columns = self.host_of_vm[vms], self.features[vms], self.psci_version[vms]
        return effective_psci_version(self.hosts, *columns)

    # -- firmware registers ------------------------------------------------------------------------------------

    def vcpus_numbered(self, vcpu: int, vms: I64Array) -> I64Array:
        """Fleet-wide index of vCPU number `vcpu` of each VM.

        Raises:
            InputError: some of the VMs do not have it.
        """
        number = whole("vcpu", vcpu, last=MAX_VCPU)
        first = self.first_vcpu[vms]
        fewest = int((self.first_vcpu[vms + 1] - first).min(initial=self.n_vcpu))
        if number >= fewest:
            msg = f"vCPU {number} does not exist in every VM selected: the smallest has {fewest} (0 is the first)"
            raise InputError(msg)
        return first + number

    def get_one_reg(self, reg: int, *, vms: Selection = slice(None), vcpu: int = 0) -> U64Array:
        """KVM_GET_ONE_REG of a firmware register through vCPU number `vcpu` of each VM: uint64[n_selected].

        Raises:
            RegisterError: ENOEXEC, EINVAL or ENOENT, on some VM.
            InputError: no register id, or one of another class, which this package does not model.

        Cost: O(n_selected + n_host).
        """
        chosen = self.vms(vms)
        row, errnos = found(self, reg, self.vcpus_numbered(vcpu, chosen), chosen)
        if row is None or errnos.any():
            raise refused(self, reg, row, None, chosen, errnos)
        with self._changes:
            if row.kind is FwKind.PSCI_VERSION:
                return self.effective_psci_version(chosen).astype(np.uint64)
            if row.kind is FwKind.BITMAP:
                bitmap: U64Array = self.fw_bmap[chosen, row.index]
                return bitmap
        return workaround_levels(self, row, chosen)

    def try_set_one_reg(self, reg: int, value: ArrayLike, *, vms: Selection = slice(None), vcpu: int = 0) -> Errnos:
        """KVM_SET_ONE_REG on every selected VM, each on its own: errnos, int16[n_selected], 0 where it took effect.

        Args:
            value: one word, or uint64[n_selected].
            vcpu: number of the vCPU whose accessor is used, in each VM. The effect is the VM's.

        Cost: O(n_selected + n_host), no Python loop over VMs.
        """
        chosen = self.vms(vms)
        words = register_words(value, chosen.size)
        with self._changes:
            row, errnos = judged(self, reg, words, self.vcpus_numbered(vcpu, chosen), chosen)
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
        with self._changes:
            row, errnos = judged(self, reg, words, self.vcpus_numbered(vcpu, chosen), chosen)
            if errnos.any():
                raise refused(self, reg, row, words, chosen, errnos)
            self._store(row, words, chosen)

    def _store(self, row: FwRegister | None, words: U64Array, vms: I64Array) -> None:
        """Takes over words that were judged good. Workaround levels are not kept."""
        if row is None or row.kind not in (FwKind.PSCI_VERSION, FwKind.BITMAP):
            return
        self._part_from_snapshot()
        if row.kind is FwKind.PSCI_VERSION:
            self.psci_version[vms] = words
        else:
            self.fw_bmap[vms, row.index] = words

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
        with self._changes:
            new = self._inserted(wanted, chosen)
            self._install(new, chosen)
        return new.errnos[new.group_of_vm]

    def install_filter(self, ranges: FilterRange | Iterable[FilterRange], *, vms: Selection = slice(None)) -> None:
        """Inserts ranges into the SMCCC filter of every selected VM, all of them or none.

        Raises:
            FilterError: with the VMs that refuse and their errnos; nothing was changed.

        Cost: as `try_install_filter`.
        """
        wanted, chosen = listed(ranges), self.vms(vms)
        with self._changes:
            new = self._inserted(wanted, chosen)
            if new.errnos.any():
                raise inserts_refused(self, wanted, chosen, new.errnos[new.group_of_vm])
            self._install(new, chosen)

    def _inserted(self, wanted: list[FilterRange], vms: I64Array) -> Inserted:
        rules = [h.release for h in self.hosts]
        return self._filters.after(
            wanted, vms, rules, self.host_of_vm, has_run=self.has_run_once, is_protected=self.is_protected
        )

    def _install(self, new: Inserted, vms: I64Array) -> None:
        self._part_from_snapshot()
        self._filters.install(new, vms)

    def enable_system_suspend(self, *, vms: Selection = slice(None)) -> Errnos:
        """KVM_ENABLE_CAP(KVM_CAP_ARM_SYSTEM_SUSPEND): errnos, int16[n_selected].

        EINVAL before 5.19, and for protected VMs, which have no such capability (recorded: 7.3.4).
        """
        chosen = self.vms(vms)
        has = np.array([h.release.has_system_suspend for h in self.hosts])[self.host_of_vm[chosen]]
        has &= ~self.is_protected[chosen]
        with self._changes:
            self._part_from_snapshot()
            self.has_system_suspend[chosen[has]] = True
        return np.where(has, 0, EINVAL).astype(np.int16)

    def try_run_once(self, *, vms: Selection = slice(None), vcpu: int = 0) -> Errnos:
        """The first KVM_RUN of vCPU number `vcpu` of each selected VM: bitmaps and filter freeze, PSCI_VERSION not.

        Returns:
            int16[n_selected]: ENOEXEC where that vCPU has not had KVM_ARM_VCPU_INIT, EAGAIN where it has EL2 and the VM
            no in-kernel GIC, so that nothing freezes; else 0.
        """
        chosen = self.vms(vms)
        with self._changes:
            errnos = self.run_errnos(chosen, vcpu)
            self.has_run_once[chosen[errnos == 0]] = True
        return errnos

    def run_once(self, *, vms: Selection = slice(None), vcpu: int = 0) -> None:
        """The first KVM_RUN of vCPU number `vcpu` of every VM selected, or of none.

        Raises:
            KvmError: with the VMs that refuse and their errnos, by the rules of `try_run_once`; no VM was frozen.
        """
        chosen = self.vms(vms)
        with self._changes:
            errnos = self.run_errnos(chosen, vcpu)
            if errnos.any():
                raise run_refused(vcpu, chosen, errnos)
            self.has_run_once[chosen] = True

    def run_errnos(self, vms: I64Array, vcpu: int) -> Errnos:
        """What KVM_RUN of vCPU number `vcpu` of each VM would return: int16[n_selected]. Changes nothing."""
        lacks_gic = (self.features[vms] & FEATURE_EL2 != 0) & ~self.has_gic[vms]
        is_ready = self.is_initialised[self.vcpus_numbered(vcpu, vms)]
        return np.where(is_ready, np.where(lacks_gic, EAGAIN, 0), ENOEXEC).astype(np.int16)

    def vcpu_init(self, vcpus: Selection = slice(None), *, power_off: bool = False) -> None:
        """KVM_ARM_VCPU_INIT of vCPUs by fleet-wide index: resets their power state, thaws and resets no VM state.

        Raises:
            InputError: a vCPU that the fleet does not have or that is given twice, None, or no selection at all.
        """
        chosen = selected("vCPU selection", vcpus, self.n_vcpu)
        with self.switching() as mp_state, self._changes:
            self.is_initialised[chosen] = True
            mp_state[chosen] = STOPPED if power_off else RUNNABLE

    @contextmanager
    def switching(self) -> Iterator[NDArray[np.uint8]]:
        """Power states to write to, uint8[n_vcpu], which take effect together at the end of the `with`.

        One thread at a time switches; others wait for it.
        """
        with self._power:
            mp_state = self.mp_state.copy()
            yield mp_state
            self.mp_state = mp_state

    # -- tables ------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The policies as they are now, and what dispatch reads of them; the same one until a policy changes.

        Cost: O(n_filter). The tables are built when they are asked for, while the fleet may go on changing.
        """
        now = self._snapshot
        if now is not None:
            return now
        with self._changes:
            if self._snapshot is None:
                self._snapshot = Snapshot(
                    self.hosts,
                    self.host_of_vm,
                    self.features,
                    self.is_protected,
                    self.fw_bmap,
                    self.psci_version,
                    self.has_system_suspend,
                    self.filter_of_vm,
                    tuple(self.filters),
                    self.vm_of_vcpu,
                )
            return self._snapshot

    def _part_from_snapshot(self) -> None:
        """Copies the columns that a snapshot reads, so that a change may write to them. Cost: once per snapshot."""
        if self._snapshot is None:
            return
        self.fw_bmap, self.psci_version = self.fw_bmap.copy(), self.psci_version.copy()
        self.has_system_suspend = self.has_system_suspend.copy()
        self._filters = self._filters.copy()
        self._snapshot = None

    def tables(self) -> tuple[Tables, U32Array]:
        """Dispatch tables of the distinct policies, and each vCPU's policy: uint32[n_vcpu]. Kept until a change."""
        return self.snapshot().tables()

    def rows(self) -> Rows:
        """The tables in the form the dispatch kernels read. Kept until a change."""
        return self.snapshot().rows()
