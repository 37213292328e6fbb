"""Register scopes, and a fleet (library only) under each: today's ids, and series v4's, where bit 28 marks a VM's.

What v4 says (read in patches 2, 3, 5, 6 and 7 of the series): KVM_ENABLE_CAP(KVM_CAP_ARM_REG_SCOPE) succeeds at any
time; from then on KVM_GET_REG_LIST sets bit 28 on the ids in one table, while GET and SET clear the bit from any
firmware id before they compare it. So a marked register answers to both of its ids, on every vCPU's fd as before, and
so does PSCI_VERSION, which is not in the table. The bit saves ioctls only to a VMM that heeds it.
Assumed: that the class which v5 gave the bitmaps is treated as v4's own (0x0014, indices from 0xff00), and what
became of registers that are younger than v4 (`Marked`). Never merged.

Source: "KVM: arm64: Add support for hypercall services selection" v4, 24 Feb 2022,
<20220224172559.4170192-1-rananta@google.com>.
"""

from __future__ import annotations

from enum import StrEnum
from errno import EINVAL, ENOENT

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.calls.workload import Calls
from fastsmc.checks import one_of
from fastsmc.errors import InputError, RegisterError
from fastsmc.facts.register_sets import vm_global_mask
from fastsmc.facts.registers import (
    ARCH_ARM64,
    ARCH_MASK,
    CLASS_FW,
    CLASS_FW_FEAT_BMAP,
    FW_BY_NAME,
    reg_class,
    register_id,
)
from fastsmc.fleet.firmware import register_words
from fastsmc.fleet.selection import Selection
from fastsmc.scopes.per_vcpu import PerVcpuFleet, split
from fastsmc.vm import Fleet

KVM_CAP_ARM_REG_SCOPE = 210
SCOPE_VM = 0x1000_0000
"""KVM_REG_ARM_SCOPE_MASK, bit 28: 1 for a VM-scoped register, 0 for a vCPU's. Source: series v4, patch 2."""

_V4_TABLE = (
    "SMCCC_ARCH_WORKAROUND_1",
    "SMCCC_ARCH_WORKAROUND_2",
    "STD_BMAP",
    "STD_HYP_BMAP",
    "VENDOR_HYP_BMAP",
)
"""kvm_arm_vm_scope_fw_regs. Source: series v4, patches 3, 5, 6 and 7."""


class Scope(StrEnum):
    """Whose the firmware registers are, and how their ids say so."""

    VM_GLOBAL = "VM-global, per-vCPU accessors"
    PER_VCPU = "per vCPU"
    VM_SCOPED = "VM-scoped register ids"


class Marked(StrEnum):
    """Which registers carry bit 28.

    V4: its table of five; PSCI_VERSION was left out, which the review questioned, and WORKAROUND_3 and
    VENDOR_HYP_BMAP_2 are younger. FIRMWARE: all firmware registers. DECLARED: all that `is_vm_global` declares. The
    last two are ours (assumed).
    """

    V4 = "v4's table"
    FIRMWARE = "firmware registers"
    DECLARED = "all declared VM-global"


def scoped_id(reg: int) -> int:
    """The id with bit 28 set: how v4 lists a VM-scoped register.

    >>> hex(scoped_id(0x6030000000160000))
    '0x6030000010160000'
    """
    return reg | SCOPE_VM


def plain_id(reg: int) -> int:
    """The id with bit 28 clear: what KVM compares."""
    return reg & ~SCOPE_VM


def marked_mask(ids: NDArray[np.uint64], marked: Marked | str) -> NDArray[np.bool_]:
    """Which registers carry bit 28: uint64[n_reg] -> bool[n_reg]."""
    marked = one_of("marked", marked, Marked)
    if marked is Marked.DECLARED:
        return vm_global_mask(ids)
    names = _V4_TABLE if marked is Marked.V4 else tuple(FW_BY_NAME)
    return np.isin(ids, np.array([FW_BY_NAME[name].reg for name in names], np.uint64))


class ScopedFleet:
    """A fleet of VM-global registers, with or without v4's capability. Acts on `fleet` itself.

    Args:
        scope: VM_GLOBAL is KVM today, to which the capability is unknown; VM_SCOPED is v4.
        marked: what KVM_GET_REG_LIST marks once the capability is enabled.

    Attributes:
        has_reg_scope: bool[n_vm], the capability is enabled.
    """

    def __init__(self, fleet: Fleet, scope: Scope | str = Scope.VM_SCOPED, *, marked: Marked | str = Marked.V4) -> None:
        self.scope, self.marked = one_of("scope", scope, Scope), one_of("marked", marked, Marked)
        if self.scope is Scope.PER_VCPU:
            msg = f"scope {self.scope.value!r} has no VM-global registers: use split(fleet)"
            raise InputError(msg)
        self.fleet = fleet
        self.has_reg_scope = np.zeros(fleet.n_vm, np.bool_)

    def __repr__(self) -> str:
        return f"{self.fleet!r}, {self.scope.value}"

    def enable_reg_scope(self, *, vms: Selection = slice(None)) -> NDArray[np.int16]:
        """KVM_ENABLE_CAP(KVM_CAP_ARM_REG_SCOPE): errnos, int16[n_selected]; EINVAL from KVM as it is."""
        chosen = self.fleet.vms(vms)
        is_known = self.scope is Scope.VM_SCOPED
        self.has_reg_scope[chosen] |= is_known
        return np.full(chosen.size, 0 if is_known else EINVAL, np.int16)

    def reg_list(self, vm: int) -> NDArray[np.uint64]:
        """The firmware registers in one VM's KVM_GET_REG_LIST, the same for all its vCPUs: uint64[n_fw_reg]."""
        number = int(self.fleet.vms([vm])[0])
        names = self.fleet.hosts[self.fleet.host_of_vm[number]].release.fw_registers
        ids = np.array([FW_BY_NAME[name].reg for name in names], np.uint64)
        shows = marked_mask(ids, self.marked) & self.has_reg_scope[number]
        return np.where(shows, ids | np.uint64(SCOPE_VM), ids)

    def get_one_reg(self, reg: int, *, vms: Selection = slice(None), vcpu: int = 0) -> NDArray[np.uint64]:
        """KVM_GET_ONE_REG through vCPU number `vcpu` of each VM: uint64[n_selected].

        Raises:
            RegisterError: ENOENT for an id with bit 28 where the capability is off, or as `Fleet.get_one_reg`.
        """
        chosen = self.fleet.vms(vms)
        return self.fleet.get_one_reg(self._compared("GET_ONE_REG", reg, chosen, vcpu), vms=chosen, vcpu=vcpu)

    def try_set_one_reg(
        self, reg: int, value: ArrayLike, *, vms: Selection = slice(None), vcpu: int = 0
    ) -> NDArray[np.int16]:
        """KVM_SET_ONE_REG through vCPU number `vcpu` of each VM, each on its own: errnos, int16[n_selected].

        Args:
            value: one word, or uint64[n_selected].
        """
        chosen = self.fleet.vms(vms)
        unknown = self._unknown(reg, chosen)
        if not unknown.any():
            return self.fleet.try_set_one_reg(_cleared(reg), value, vms=chosen, vcpu=vcpu)
        words = register_words(value, chosen.size)
        errnos = np.empty(chosen.size, np.int16)
        for compared, part in ((reg, unknown), (_cleared(reg), ~unknown)):
            errnos[part] = self.fleet.try_set_one_reg(compared, words[part], vms=chosen[part], vcpu=vcpu)
        return errnos

    def set_one_reg(self, reg: int, value: ArrayLike, *, vms: Selection = slice(None), vcpu: int = 0) -> None:
        """KVM_SET_ONE_REG through vCPU number `vcpu` of every VM selected, or of none.

        Raises:
            RegisterError: ENOENT for an id with bit 28 where the capability is off, or as `Fleet.set_one_reg`.
        """
        chosen = self.fleet.vms(vms)
        self.fleet.set_one_reg(self._compared("SET_ONE_REG", reg, chosen, vcpu), value, vms=chosen, vcpu=vcpu)

    def _unknown(self, reg: int, vms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Where bit 28 makes the id unknown: KVM compares the whole id, and nothing clears the bit there."""
        return ~self.has_reg_scope[vms] & (reg != _cleared(reg))

    def _compared(self, what: str, reg: int, vms: NDArray[np.int64], vcpu: int) -> int:
        """The id KVM compares on all these VMs.

        Raises:
            RegisterError: some of them do not know it.
        """
        refusing = vms[self._unknown(reg, vms)]
        if refusing.size:
            errnos = self.fleet.try_set_one_reg(reg, 0, vms=refusing, vcpu=vcpu)  # no register: changes nothing
            known = f"KVM_CAP_ARM_REG_SCOPE ({KVM_CAP_ARM_REG_SCOPE}) is not enabled, so no id has bit 28"
            reason = known if errnos[0] == ENOENT else "its vCPU has not had KVM_ARM_VCPU_INIT"
            msg = f"{what} {reg:#018x} on VM {refusing[0]}: {reason}"
            raise RegisterError(msg, int(errnos[0]), vms=refusing.tolist(), errnos=errnos.tolist())
        return _cleared(reg)

    def run_once(self, *, vms: Selection = slice(None), vcpu: int = 0) -> None:
        """The first KVM_RUN of vCPU number `vcpu` of every VM selected, or of none; as `Fleet.run_once`."""
        self.fleet.run_once(vms=vms, vcpu=vcpu)

    def verdicts(self, calls: Calls) -> NDArray[np.uint8]:
        """The verdict of every call, under its VM's registers: uint8[n_call], smccc.Verdict."""
        from fastsmc.dispatcher.batch import verdicts

        return verdicts(self.fleet, calls)


def model(fleet: Fleet, scope: Scope | str) -> ScopedFleet | PerVcpuFleet:
    """The fleet under one scope: a copy where registers are per vCPU, else a view that acts on it.

    Raises:
        InputError: no such scope.
    """
    scope = one_of("scope", scope, Scope)
    return split(fleet) if scope is Scope.PER_VCPU else ScopedFleet(fleet, scope)


def _cleared(reg: int) -> int:
    """A firmware id without bit 28; any other id as it is, as v4's other register classes do not know the bit."""
    reg = register_id(reg)
    is_firmware = reg & ARCH_MASK == ARCH_ARM64 and reg_class(reg) in (CLASS_FW, CLASS_FW_FEAT_BMAP)
    return plain_id(reg) if is_firmware else reg
