"""How each VMM restores: which registers it carries, where it gives up, and what it says then.

Sources: QEMU target/arm/{kvm,machine}.c and the texts of QEMU 7.2, run; Firecracker src/vmm/src/arch/aarch64/vcpu.rs;
Cloud Hypervisor hypervisor/src/cpu.rs; crosvm hypervisor/src/aarch64.rs and kvm/aarch64.rs; all read, 2026.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from fastsmc.facts.registers import (
    CLASS_CORE,
    CLASS_DEMUX,
    CLASS_FW,
    CLASS_FW_FEAT_BMAP,
    CLASS_SVE,
    CLASS_SYSREG,
    reg_class,
    reg_size,
)
from fastsmc.facts.vcpu import FEATURE_PMU, feature_bits
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.result import RegisterFate, shown_name
from fastsmc.migrate.compat.side import Side
from fastsmc.migrate.compat.unsure import may_lack, may_list

_QEMU = "qemu-system-aarch64: "
_INSTANCE = f"{_QEMU}error while loading state for instance 0x0 of device 'cpu'"


@dataclass(frozen=True, slots=True)
class Rules:
    """Which registers a VMM carries, and how.

    Attributes:
        by_hand: classes it carries in fields of its own, not by id; what is in neither is written one by one.
        dropped: classes it does not save at all.
        has_early_vls: writes the SVE vector lengths before FINALIZE.
    """

    by_hand: frozenset[int] = frozenset()
    dropped: frozenset[int] = frozenset()
    has_early_vls: bool = True


RULES = {
    Vmm.QEMU: Rules(by_hand=frozenset({CLASS_CORE, CLASS_SVE})),
    Vmm.FIRECRACKER: Rules(),
    Vmm.CLOUD_HYPERVISOR: Rules(),
    Vmm.CROSVM: Rules(dropped=frozenset({CLASS_SVE, CLASS_FW_FEAT_BMAP})),
    Vmm.KVM: Rules(has_early_vls=False),
}


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a VMM gives up, and its own text; both empty if it does not."""

    where: str = ""
    error: tuple[str, ...] = ()
    lengths: tuple[int, int] | None = None


def carried(side: Side, vmm: Vmm) -> frozenset[int]:
    """Ids that a VMM writes one by one."""
    others = RULES[vmm].by_hand | RULES[vmm].dropped
    return frozenset(reg for reg in side.values if reg_class(reg) not in others)


def dropped(side: Side, vmm: Vmm) -> tuple[int, ...]:
    """Ids that a VMM does not save."""
    return tuple(reg for reg in side.values if reg_class(reg) in RULES[vmm].dropped)


def stop(source: Side, dest: Side, vmm: Vmm, failing: Sequence[RegisterFate]) -> Stop:
    """Where the VMM gives up, if it does.

    Args:
        failing: registers that are missing or refused, in the payload's order.
    """
    if vmm is Vmm.QEMU:
        return _qemu(source, dest, failing)
    if vmm is Vmm.FIRECRACKER and feature_bits(source.features) & FEATURE_PMU:
        text = "Found unsupported KVM_ARM_VCPU_PMU_V3 bit set in vcpu features."
        return Stop("Firecracker, which refuses a vCPU with the PMU before it writes a register", (text,))
    if not failing:
        return Stop()
    return {Vmm.FIRECRACKER: _firecracker, Vmm.CLOUD_HYPERVISOR: _cloud_hypervisor, Vmm.CROSVM: _crosvm, Vmm.KVM: _kvm}[
        vmm
    ](failing)


def _qemu(source: Side, dest: Side, failing: Sequence[RegisterFate]) -> Stop:
    """QEMU checks the length, merges two ascending lists, and makes all SETs; an error names no register."""
    incoming, own = carried(source, Vmm.QEMU), carried(dest, Vmm.QEMU)
    lengths = len(incoming), len(own)
    odd = [reg for reg in sorted(incoming | own) if reg_size(reg) not in (4, 8)]
    if odd:
        return Stop(f"QEMU knows registers of 32 and 64 bits only and does not start: {odd[0]:#x}", (), lengths)
    fewest = len(incoming) - sum(bool(may_lack(reg, source)) for reg in incoming)
    most = len(own) + sum(bool(may_list(reg, dest)) for reg in incoming - own)
    if not incoming or fewest > most:
        text: tuple[str, ...] = (
            f"{_QEMU}Invalid value {len(incoming)} expecting positive value <= {len(own)}",
            f"{_QEMU}Failed to load cpu:cpreg_vmstate_array_len",
            _INSTANCE,
            f"{_QEMU}load of migration failed: Invalid argument",
        )
        return Stop("the length check of the register array", text, lengths)
    if not failing:
        return Stop(lengths=lengths)
    text = (_INSTANCE, f"{_QEMU}load of migration failed: Operation not permitted")
    if incoming - own:
        return Stop("the merge of the register lists, which names no register", text, lengths)
    return Stop("the values of the merged list, written one by one; the error names no register", text, lengths)


def _firecracker(failing: Sequence[RegisterFate]) -> Stop:
    first = failing[0]
    text = f"Failed to set register {first.reg:#x} to value {first.value or 0:#x}: {_os_error(first.errno)}"
    return Stop("the first register refused", (f"Failed to restore the state of the vcpu: {text}",))


def _cloud_hypervisor(failing: Sequence[RegisterFate]) -> Stop:
    what = f"Failed to set system register: {_os_error(failing[0].errno)}"
    return Stop("the first register refused, which is not named", (what,))


def _crosvm(failing: Sequence[RegisterFate]) -> Stop:
    """crosvm writes core, system registers, caches, then what it calls hypervisor specific: firmware registers."""
    order = {CLASS_CORE: 0, CLASS_SYSREG: 1, CLASS_DEMUX: 2, CLASS_FW: 3}
    first = min(failing, key=lambda fate: order.get(reg_class(fate.reg), 4))
    names = {
        CLASS_SYSREG: f"Failed to restore system register {shown_name(first.reg)}",
        CLASS_DEMUX: "Failed to restore cache info",
        CLASS_FW: "Failed to restore hypervisor specific data",
    }
    text = names.get(reg_class(first.reg), f"Failed to restore {shown_name(first.reg)}")
    return Stop("the first register refused, of its own order", (text,))


def _kvm(failing: Sequence[RegisterFate]) -> Stop:
    s = "s" * (len(failing) > 1)
    return Stop(f"SET_ONE_REG, for {len(failing)} register{s}", (f"KVM_SET_ONE_REG: {_os_error(failing[0].errno)}",))


def _os_error(errno: int | None) -> str:
    """An errno as Rust's standard library prints it."""
    return f"{os.strerror(errno or 0)} (os error {errno})"
