"""The policies of a fleet at one moment, and what is made of them for dispatch.

A fleet that changes starts a new snapshot and writes to columns of its own, so whoever dispatches by a snapshot sees
one state from the first call to the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastsmc.bitmaps import Policies, Steps, Tables, build_tables, interned
from fastsmc.checks import BoolArray, I64Array, U32Array, U64Array
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import PSCI_0_1
from fastsmc.facts.vcpu import FEATURE_EL2, FEATURE_PSCI_0_2
from fastsmc.fleet.filters import Filter
from fastsmc.fleet.rows import Rows, build_rows
from fastsmc.jit.locks import ForkedOpen

T = TypeVar("T")


def effective_psci_version(
    hosts: tuple[Host, ...], host_of_vm: I64Array, features: U32Array, psci_version: U32Array
) -> U32Array:
    """uint32[n_vm]: what PSCI_VERSION answers, of columns by VM."""
    default = np.array([h.release.psci_versions[-1] for h in hosts], np.uint32)[host_of_vm]
    chosen = np.where(psci_version > 0, psci_version, default)
    return np.where(features & FEATURE_PSCI_0_2, chosen, np.uint32(PSCI_0_1)).astype(np.uint32)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Columns by VM that nobody writes to any more, as `columns.FLEET` has them.

    Attributes:
        filters: what filter_of_vm indexes, used or not.
        vm_of_vcpu: uint32[n_vcpu].
    """

    hosts: tuple[Host, ...]
    host_of_vm: I64Array
    features: U32Array
    is_protected: BoolArray
    fw_bmap: U64Array
    psci_version: U32Array
    has_system_suspend: BoolArray
    filter_of_vm: I64Array
    filters: tuple[Filter, ...]
    vm_of_vcpu: U32Array
    _kept: dict[Callable[[Snapshot], Any], Any] = field(default_factory=dict, repr=False)
    _building: ForkedOpen = field(default_factory=ForkedOpen, repr=False)

    def kept(self, make: Callable[[Snapshot], T]) -> T:
        """What `make` makes of the policies, made once: of threads that ask at once, one works and the others wait."""
        made: T | None = self._kept.get(make)
        if made is None:
            with self._building:
                made = self._kept.get(make)
                if made is None:
                    made = self._kept[make] = make(self)
        return made

    def effective_psci_version(self) -> U32Array:
        """uint32[n_vm]: what PSCI_VERSION answers."""
        return self.kept(_effective_psci_version)

    def without_el2(self) -> tuple[NDArray[np.uint8], int]:
        """0xff where a vCPU has no EL2 itself, else 0: uint8[n_vcpu]; and how many have none."""
        return self.kept(_without_el2)

    def tables(self) -> tuple[Tables, U32Array]:
        """Dispatch tables of the distinct policies, and each vCPU's policy: uint32[n_vcpu]."""
        tables, policy_of_vcpu, _ = self.kept(_tables_of)
        return tables, policy_of_vcpu

    def rows(self) -> Rows:
        """The tables in the form the dispatch kernels read."""
        return self.kept(_rows_of)


def _effective_psci_version(now: Snapshot) -> U32Array:
    return effective_psci_version(now.hosts, now.host_of_vm, now.features, now.psci_version)


def _without_el2(now: Snapshot) -> tuple[NDArray[np.uint8], int]:
    lacks = np.where(now.features & FEATURE_EL2, 0, 0xFF).astype(np.uint8)[now.vm_of_vcpu]
    return lacks, int(np.count_nonzero(lacks))


def _tables_of(now: Snapshot) -> tuple[Tables, U32Array, list[Steps]]:
    """Tables, each vCPU's policy, and the filters in use as step functions."""
    used, filter_of_vm = np.unique(now.filter_of_vm, return_inverse=True)
    of_vms = Policies(
        now.host_of_vm,
        now.features,
        now.is_protected,
        now.fw_bmap,
        now.effective_psci_version(),
        now.has_system_suspend,
        filter_of_vm.reshape(-1).astype(np.int64),
    )
    policies, policy_of_vm = interned(of_vms)
    steps = [now.filters[index].steps() for index in used]
    return build_tables(policies, now.hosts, steps), policy_of_vm[now.vm_of_vcpu], steps


def _rows_of(now: Snapshot) -> Rows:
    return build_rows(*now.kept(_tables_of))
