"""Library only: the bug that was feared, firmware registers that are truly per vCPU, so that vCPUs can differ.

No kernel does this; it is modelled by giving every vCPU a VM of its own, so that rules, errnos, tables and kernels
are those of `vm.Fleet`, unchanged. What has an accessor on the VM stays the VM's: host, vCPU features, filter,
capability, and the freeze (one KVM_RUN of one vCPU freezes all of them).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.calls.workload import Calls
from fastsmc.errors import RegisterError
from fastsmc.facts.registers import FW_BY_ID
from fastsmc.fleet.filters import FilterRange
from fastsmc.fleet.firmware import refusal, register_words
from fastsmc.fleet.refusals import run_refused
from fastsmc.fleet.selection import Selection
from fastsmc.vm import Fleet

STATE = ("PSCI_VERSION", "STD_BMAP", "STD_HYP_BMAP", "VENDOR_HYP_BMAP", "VENDOR_HYP_BMAP_2")
"""The firmware registers that hold state of a guest, in the columns of `PerVcpuFleet.values`; the workaround registers
only show the host."""


class PerVcpuFleet:
    """A fleet whose vCPUs hold the firmware registers; starts as a copy of a VM-global fleet, `fleet`.

    Attributes:
        fleet: where it started; only its shape is still read.
        holders: one VM of one vCPU for each vCPU, by fleet-wide vCPU index. Verdicts are good on it; power state is
            not, as CPU_ON looks for its target among the vCPUs of the caller's VM.
    """

    def __init__(self, fleet: Fleet) -> None:
        owner = fleet.vm_of_vcpu.astype(np.int64)
        self.fleet = fleet
        self.holders = Fleet(
            np.ones(fleet.n_vcpu, np.int64),
            hosts=fleet.hosts,
            host_of_vm=fleet.host_of_vm[owner],
            features=fleet.features[owner],
            is_protected=fleet.is_protected[owner],
            has_gic=fleet.has_gic[owner],
        )
        for index, installed in enumerate(fleet.filters):
            sharing = fleet.filter_of_vm[owner] == index
            if installed.ranges and sharing.any():
                ranges = [FilterRange(first, last - first + 1, action) for first, last, action in installed.ranges]
                self.holders.install_filter(ranges, vms=sharing)
        for name in ("fw_bmap", "psci_version", "has_system_suspend", "has_run_once"):
            setattr(self.holders, name, getattr(fleet, name)[owner])
        self.holders.mp_state, self.holders.is_initialised = fleet.mp_state.copy(), fleet.is_initialised.copy()

    def __repr__(self) -> str:
        return f"{self.fleet!r}, firmware registers per vCPU"

    @property
    def is_hypothetical(self) -> bool:
        """Whether some VM has more vCPUs than arm64 KVM allows today; the scope is hypothetical in any case."""
        return self.fleet.is_hypothetical

    def vcpus(self, vms: Selection = slice(None), vcpu: int | None = None) -> NDArray[np.int64]:
        """Fleet-wide indices of vCPU number `vcpu` of each selected VM, or of all their vCPUs, VM after VM.

        Raises:
            InputError: a VM outside the fleet, or a vCPU number that some selected VM does not have.
        """
        chosen = self.fleet.vms(vms)
        count = np.diff(self.fleet.first_vcpu)[chosen]
        first = self.fleet.first_vcpu[chosen]
        if vcpu is None:
            offset = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
            every: NDArray[np.int64] = np.repeat(first, count) + offset
            return every
        return self.fleet.vcpus_numbered(vcpu, chosen)

    def get_one_reg(self, reg: int, *, vms: Selection = slice(None), vcpu: int | None = None) -> NDArray[np.uint64]:
        """KVM_GET_ONE_REG on each vCPU selected: uint64[n_selected].

        Args:
            vcpu: number of the vCPU in each VM; None for every vCPU.

        Raises:
            RegisterError: with the errno of the first vCPU that refuses.
        """
        chosen = self.vcpus(vms, vcpu)
        try:
            return self.holders.get_one_reg(reg, vms=chosen)
        except RegisterError as error:
            raise self._renamed(error, reg, 0, is_set=False) from None

    def try_set_one_reg(
        self, reg: int, value: ArrayLike, *, vms: Selection = slice(None), vcpu: int | None = None
    ) -> NDArray[np.int16]:
        """KVM_SET_ONE_REG on each vCPU selected, each on its own: errnos, int16[n_selected], 0 where it took effect.

        Args:
            value: one word, or uint64[n_selected].
            vcpu: number of the vCPU in each VM, which alone is affected; None for every vCPU.
        """
        chosen = self.vcpus(vms, vcpu)
        return self.holders.try_set_one_reg(reg, value, vms=chosen)

    def set_one_reg(self, reg: int, value: ArrayLike, *, vms: Selection = slice(None), vcpu: int | None = None) -> None:
        """KVM_SET_ONE_REG on every vCPU selected, or on none.

        Raises:
            RegisterError: with the errno of the first vCPU that refuses; nothing was changed.
        """
        chosen = self.vcpus(vms, vcpu)
        words = register_words(value, chosen.size)
        try:
            self.holders.set_one_reg(reg, words, vms=chosen)
        except RegisterError as error:
            refused = int(words[chosen == error.vms[0]][0])
            raise self._renamed(error, reg, refused, is_set=True) from None

    def _renamed(self, error: RegisterError, reg: int, value: int, *, is_set: bool) -> RegisterError:
        """A holder's refusal, told of the vCPU and VM it stands for."""
        refusing = np.array(error.vms, np.int64)
        vcpu, owners = int(refusing[0]), self.fleet.vm_of_vcpu[refusing]
        row, host = FW_BY_ID.get(reg), self.holders.hosts[self.holders.host_of_vm[vcpu]]
        current = self.holders.fw_bmap[vcpu]
        reason = refusal(row, host.release, error.errno, value=value, level=host.workaround, current=current)
        number = vcpu - int(self.fleet.first_vcpu[owners[0]])
        what = f"{'SET' if is_set else 'GET'}_ONE_REG {row.name if row else f'{reg:#018x}'}"
        msg = f"{what} on vCPU {number} of VM {owners[0]}: {reason}"
        return RegisterError(msg, error.errno, vms=owners.tolist(), errnos=error.errnos)

    def run_once(self, *, vms: Selection = slice(None), vcpu: int = 0) -> None:
        """The first KVM_RUN of vCPU number `vcpu` of every VM selected, or of none: bitmaps freeze on all its vCPUs.

        Raises:
            KvmError: with the VMs that refuse and their errnos (`Fleet.try_run_once`); no VM was frozen.
        """
        chosen = self.fleet.vms(vms)
        errnos = self.holders.run_errnos(self.vcpus(chosen, vcpu), 0)
        if errnos.any():
            raise run_refused(vcpu, chosen, errnos)
        self.holders.has_run_once[self.vcpus(chosen)] = True

    def values(self) -> NDArray[np.uint64]:
        """What GET_ONE_REG gives for STATE on every vCPU: uint64[n_vcpu, 5]; 0 for a bitmap the release lacks."""
        return np.column_stack([self.holders.effective_psci_version().astype(np.uint64), self.holders.fw_bmap])

    def verdicts(self, calls: Calls) -> NDArray[np.uint8]:
        """The verdict of every call, each under the registers of the vCPU that makes it: uint8[n_call], smccc.Verdict.

        Raises:
            InputError: a call by a vCPU the fleet does not have.
        """
        from fastsmc.dispatcher.batch import verdicts

        return verdicts(self.holders, calls)


def split(fleet: Fleet) -> PerVcpuFleet:
    """The fleet as it would be if every vCPU had firmware registers of its own, all as they are now.

    Cost: O(n_vcpu), one copy of each column.
    """
    return PerVcpuFleet(fleet)
