"""One pool's baseline: what its hosts have in common, which kernel lowers it, and what its VMs would lose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray
from fastsmc.facts.registers import BIT_NAMES, FW_REGISTERS, FwKind
from fastsmc.plan.common.items import IS_FEATURE, IS_REGISTER, IS_SEEN, ITEMS, MAYBE, NO, PSCI_WORDS, YES, States
from fastsmc.plan.common.tally import Tally

AT = {(item.what, item.name): i for i, item in enumerate(ITEMS)}
_PSCI_AT = [i for i, item in enumerate(ITEMS) if item.what == "psci"]


@dataclass(frozen=True, eq=False)
class Pool:
    """A pool, by its number in a tally."""

    tally: Tally
    number: int

    @property
    def name(self) -> str:
        """Its name; "" where the inventory has no pools."""
        return self.tally.pools[self.number]

    @cached_property
    def hosts(self) -> NDArray[np.int64]:
        """Its groups of hosts."""
        return self.tally.hosts.of_pool(self.number)

    @cached_property
    def vms(self) -> NDArray[np.int64]:
        """Its groups of VMs."""
        return self.tally.vms.of_pool(self.number)

    @cached_property
    def n_host(self) -> int:
        """Hosts in service."""
        return int(self.tally.hosts.n[self.hosts].sum())

    @cached_property
    def n_vm(self) -> int:
        """VMs on its hosts."""
        return int(self.tally.vms.n[self.vms].sum())

    @cached_property
    def kernels(self) -> dict[int, int]:
        """Hosts in service by the number of their kernel, most first."""
        found: dict[int, int] = {}
        for group in self.hosts.tolist():
            kernel = int(self.tally.hosts.keys[group, 1])
            found[kernel] = found.get(kernel, 0) + int(self.tally.hosts.n[group])
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    @cached_property
    def unknown(self) -> dict[int, int]:
        """Hosts by the number of their kernel, of kernels that fastsmc does not know."""
        return {k: n for k, n in self.kernels.items() if self.tally.inventory.releases[k] is None}

    @cached_property
    def common(self) -> States:
        """int8[n_item]: what all hosts have."""
        least: States = self.tally.of_hosts[self.hosts].min(axis=0)
        return least

    def n_host_of(self, state: int) -> NDArray[np.int64]:
        """int64[n_item]: hosts that have each item (YES), lack it (NO), or may have it (MAYBE)."""
        is_so = self.tally.of_hosts[self.hosts] == state
        return np.asarray((is_so * self.tally.hosts.n[self.hosts][:, None]).sum(axis=0), np.int64)

    @cached_property
    def lose(self) -> BoolArray:
        """bool[n_group_of_vms, n_item]: what the VMs of each group have today and some host lacks."""
        lost: BoolArray = (self.tally.of_vms[self.vms] == YES) & (self.common == NO)
        return lost

    @cached_property
    def may_lose(self) -> BoolArray:
        """bool[n_group_of_vms, n_item]: what they may have, and some host may lack. Hosts of one kernel are alike."""
        of_vms = self.tally.of_vms[self.vms]
        may = (of_vms >= MAYBE) & (self.common <= MAYBE) & ~self.lose
        return may & (IS_FEATURE | (len(self.kernels) > 1 or bool(self.unknown)))

    @property
    def n_vm_losing(self) -> int:
        """VMs whose guests lose anything."""
        return int(self.tally.vms.n[self.vms][self.lose[:, IS_SEEN].any(axis=1)].sum())

    @property
    def n_vm_refused(self) -> int:
        """VMs that carry a firmware register that some host has not, so that its KVM refuses it."""
        return int(self.tally.vms.n[self.vms][self.lose[:, IS_REGISTER].any(axis=1)].sum())

    @property
    def is_met(self) -> bool | None:
        """Whether its VMs keep the features they use; None where what is unknown decides what is common."""
        if self.lose[:, IS_FEATURE].any():
            return False
        is_open = len(self.kernels) > 1 and bool((self.common[~IS_FEATURE] == MAYBE).any())
        return None if self.unknown or is_open or self.may_lose[:, IS_FEATURE].any() else True

    def lowered_by(self, item: int) -> int | None:
        """The number of the kernel that lacks an item, of several the one on most hosts; None if all have it."""
        lacking = [kernel for kernel in self.kernels if self.tally.has[kernel, item] == NO]
        return lacking[0] if lacking else None

    def only_lowered_by(self, kernel: int) -> list[int]:
        """Items that a pool would have in common if hosts of one kernel were not in it, and lacks with them."""
        others = [k for k in self.kernels if k != kernel]
        if not others:
            return []
        gained = (self.tally.has[others].min(axis=0) == YES) & (self.tally.has[kernel] == NO)
        found: list[int] = np.flatnonzero(gained).tolist()
        return found

    def registers(self) -> dict[str, int]:
        """Values of firmware registers that make a VM restore on every host, for those that can be set on all.

        A bit is set where every host gives it to a new VM; the PSCI version is the newest that all accept. What is not
        known to be so on all is left out.
        """
        found = {}
        kernels = list(self.kernels)
        for row in FW_REGISTERS:
            if self.common[AT["register", row.name]] != YES:
                continue
            if row.kind is FwKind.PSCI_VERSION:
                shared = [w for w, i in zip(PSCI_WORDS, _PSCI_AT, strict=True) if self.common[i] == YES]
                if shared:
                    found[row.name] = max(shared)
            elif row.kind is FwKind.BITMAP:
                given = self.tally.gives[kernels].min(axis=0)
                found[row.name] = sum(1 << bit for bit, item in _bits_of(row.name) if given[item] == YES)
        return found


def _bits_of(register: str) -> list[tuple[int, int]]:
    """The bits of a bitmap register, each with the number of its item."""
    return [(bit, AT["bit", f"{of}.{name}"]) for (of, bit), name in BIT_NAMES.items() if of == register]
