"""The filters of a fleet's VMs, equal ones stored once, and what inserts make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from errno import EBUSY, EINVAL

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray, I64Array
from fastsmc.facts.releases import Release
from fastsmc.fleet.filters import Filter, FilterRange, inserted, malformed

_SPARE = 64
"""Filters beyond twice those in use that are kept before the unused ones are looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Inserted:
    """What a list of inserts would do to some VMs, by group of VMs alike.

    Attributes:
        filters: the filter of each group after the inserts. errnos: int16[n_group, n_range].
        group_of_vm: int64[n_selected].
    """

    filters: list[Filter]
    errnos: NDArray[np.int16]
    group_of_vm: I64Array


class InternedFilters:
    """The SMCCC filter of each VM.

    Attributes:
        installed: the filters, each once. of_vm: int64[n_vm], an index into them.
    """

    def __init__(self, n_vm: int) -> None:
        self.installed = [Filter()]
        self.of_vm: I64Array = np.zeros(n_vm, np.int64)
        self._index = {Filter(): 0}
        self._n_used = 1

    def after(
        self,
        wanted: Sequence[FilterRange],
        vms: I64Array,
        rules: Sequence[Release],
        host_of_vm: I64Array,
        *,
        has_run: BoolArray,
        is_protected: BoolArray,
    ) -> Inserted:
        """What the inserts would do to the selected VMs. Changes nothing.

        Args:
            rules: of every host, which `host_of_vm` indexes. has_run, is_protected: bool[n_vm].

        Cost: one insert per distinct (filter, release) among the VMs, however many VMs share it.
        """
        state = np.stack([host_of_vm[vms], self.of_vm[vms], has_run[vms], is_protected[vms]], axis=1)
        groups, group_of_vm = np.unique(state, axis=0, return_inverse=True)
        errnos = np.zeros((len(groups), len(wanted)), np.int16)
        filters = []
        for g, (host, old, ran, sealed) in enumerate(groups.tolist()):
            new, errnos[g] = after_inserts(
                self.installed[old], wanted, rules=rules[host], has_run=bool(ran), is_protected=bool(sealed)
            )
            filters.append(new)
        return Inserted(filters, errnos, group_of_vm.reshape(-1))

    def install(self, new: Inserted, vms: I64Array) -> None:
        """Gives the selected VMs the filters they have after the inserts."""
        numbers = np.array([self._number(one) for one in new.filters], np.int64)
        self.of_vm[vms] = numbers[new.group_of_vm]
        if len(self.installed) > 2 * self._n_used + _SPARE:
            self.drop_unused()

    def copy(self) -> InternedFilters:
        """The same filters, which changes to these leave as they are."""
        other = InternedFilters(0)
        other.installed, other.of_vm = self.installed.copy(), self.of_vm.copy()
        other._index, other._n_used = self._index.copy(), self._n_used
        return other

    def drop_unused(self) -> None:
        """Keeps the filters that some VM uses, in their order. Cost: a sort of n_vm numbers."""
        used, of_vm = np.unique(self.of_vm, return_inverse=True)
        self.installed = [self.installed[index] for index in used]
        self.of_vm = of_vm.reshape(-1).astype(np.int64)
        self._index = {kept: index for index, kept in enumerate(self.installed)}
        self._n_used = len(self.installed)

    def _number(self, new: Filter) -> int:
        index = self._index.setdefault(new, len(self.installed))
        if index == len(self.installed):
            self.installed.append(new)
        return index


def after_inserts(
    old: Filter, wanted: Sequence[FilterRange], *, rules: Release, has_run: bool, is_protected: bool = False
) -> tuple[Filter, list[int]]:
    """A VM's filter after a list of inserts, and each insert's errno: EINVAL, then EBUSY, then EEXIST.

    A protected VM has no filter (recorded: 7.3.4).
    """
    at_0 = rules.filter_empty_at_0_errno
    if is_protected or not rules.has_filter:
        return old, [EINVAL] * len(wanted)
    if has_run:
        return old, [EINVAL if malformed(r, empty_at_0_errno=at_0) else EBUSY for r in wanted]
    return inserted(old, wanted, empty_at_0_errno=at_0)
