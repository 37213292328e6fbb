"""Where each VMM gives up, and what it says then.

Sources: QEMU target/arm/{kvm,machine}.c, and the texts of QEMU 7.2 and 10.0, run, and of 10.2.2 and 11.1.3, read;
Firecracker src/vmm/src/arch/aarch64/vcpu.rs; Cloud Hypervisor hypervisor/src/cpu.rs of v20 to v53; crosvm
hypervisor/src/aarch64.rs and kvm/aarch64.rs; all read, 2026.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from errno import ENOENT

from fastsmc.facts.registers import (
    CLASS_CORE,
    CLASS_DEMUX,
    CLASS_FW,
    CLASS_FW_FEAT_BMAP,
    CLASS_SVE,
    CLASS_SYSREG,
    Encoding,
    reg_class,
    reg_size,
)
from fastsmc.facts.vcpu import FEATURE_PMU, FEATURE_SVE, feature_bits
from fastsmc.facts.vmm_features import never_given
from fastsmc.facts.vmm_versions import Ability, VmmVersion, first_with
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.likely import shown_features
from fastsmc.migrate.compat.result import RegisterFate, SideBasis, shown_name
from fastsmc.migrate.compat.side import Side
from fastsmc.migrate.compat.vmms import carried

_QEMU = "qemu-system-aarch64: "
_INSTANCE = "error while loading state for instance 0x0 of device 'cpu'"
TCG = "one side is QEMU's TCG, which emulates the CPU, and the other KVM: no VM moves between them"


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a VMM gives up, and its own text; both empty if it does not."""

    where: str = ""
    error: tuple[str, ...] = ()
    lengths: tuple[int, int] | None = None


def stop(source: Side, dest: Side, by: VmmVersion, failing: Sequence[RegisterFate]) -> Stop:
    """Where the VMM gives up, if it does.

    Args:
        failing: registers that are missing or refused, in the payload's order.
    """
    lacking = Stop() if source.is_emulated or dest.is_emulated else cannot_have(source, dest, by)
    if lacking.where:
        return lacking
    if by.vmm is Vmm.QEMU:
        return _qemu(source, dest, by, failing)
    if not failing:
        return Stop()
    if by.vmm is Vmm.FIRECRACKER:
        return _firecracker(failing, by)
    if by.vmm is Vmm.CLOUD_HYPERVISOR:
        return _cloud_hypervisor(failing, by)
    return (_crosvm if by.vmm is Vmm.CROSVM else _kvm)(failing)


def features_of(side: Side) -> tuple[str, ...]:
    """The features of a vCPU as they were asked for, and as a file's registers show them: no vCPU without has those.

    Kernels before 5.12 list the PMU's registers of every vCPU. So a file shows no PMU that may be from one of them.
    """
    if side.basis is not SideBasis.FILE:
        return (side.features,)
    shown = shown_features(dict(side.values), side.release)
    is_told = side.release is not None and side.tells_kernel
    if not (is_told or side.has_class(CLASS_FW_FEAT_BMAP)):  # all of them are newer
        shown = shown.replace("+pmu", "")
    return side.features, shown


def cannot_have(source: Side, dest: Side, by: VmmVersion) -> Stop:
    """Which vCPUs a VMM's version does not have, or cannot save, whatever the registers."""
    features = (*features_of(source), *features_of(dest))
    if by.vmm is Vmm.FIRECRACKER and any(feature_bits(each) & FEATURE_PMU for each in features):
        text = "Found unsupported KVM_ARM_VCPU_PMU_V3 bit set in vcpu features."
        if by.can(Ability.REFUSES_PMU):
            return Stop("Firecracker, which refuses a vCPU with the PMU before it writes a register", (text,))
        return Stop("Firecracker, which does not initialise a PMU: such a vCPU never ran")
    lacking = next(filter(None, (never_given(by, each) for each in features)), "")
    if lacking:
        return Stop(f"{by}, which has {lacking}")
    if by.vmm is Vmm.FIRECRACKER and not by.can(Ability.SAVES_WHOLE_VECTORS):
        return Stop("the snapshot: Firecracker up to 1.1.3 saves half of each vector register, and calls them invalid")
    has_sve = any(feature_bits(each) & FEATURE_SVE for each in features_of(source))
    return _unsaved_sve(by) if has_sve and not by.can(Ability.SAVES_SVE) else Stop()


def _unsaved_sve(by: VmmVersion) -> Stop:
    """What becomes of a VM with SVE under a version that does not save it right."""
    since = f"from {first_with(by.vmm, Ability.SAVES_SVE)} on"
    reads = "reads V registers, which a vCPU with SVE does not have"
    if by.vmm is Vmm.FIRECRACKER:
        return Stop(f"the SVE vector lengths, which {by} writes after KVM_ARM_VCPU_FINALIZE ({since} before it)")
    if by.vmm is Vmm.CLOUD_HYPERVISOR:
        text = "Could not get vCPU state: GetAarchCoreRegister(Invalid argument (os error 22))"
        return Stop(f"the save: {by} {reads} ({since} Z registers)", (text,))
    return Stop(f"the save: crosvm {reads}", ("Failed to get V0",)) if by.vmm is Vmm.CROSVM else Stop()


# -- QEMU ------------------------------------------------------------------------------------------------------


def _qemu(source: Side, dest: Side, by: VmmVersion, failing: Sequence[RegisterFate]) -> Stop:
    """QEMU checks the length, merges two ascending lists, and makes all SETs; from 11.1 on it only merges and SETs."""
    incoming, own = carried(source, Vmm.QEMU), carried(dest, Vmm.QEMU)
    lengths = len(incoming), len(own)
    odd = [reg for reg in sorted(incoming | own) if reg_size(reg) not in (4, 8)]
    if odd:
        return Stop(f"QEMU knows registers of 32 and 64 bits only and does not start: {odd[0]:#x}", (), lengths)
    if not failing and incoming:
        return Stop(lengths=lengths)
    failing = sorted(failing, key=lambda fate: fate.reg)  # QEMU merges and writes in the order of ids
    missing = [fate for fate in failing if fate.reg in incoming - own]
    if by.can(Ability.TOLERATES):
        where = "the merge of the register lists" if missing else "the values of the merged list, written one by one"
        why = " in the incoming stream but unknown on the destination: fail migration"
        named = [f"handle_cpreg_only_in_incoming_stream: {qemu_name(fate.reg)}{why}" for fate in missing]
        return Stop(where, _in_one_line(named or _refused(failing, dest)), lengths)
    if not incoming or (missing and len(incoming) > len(own)):
        text = (
            f"Invalid value {len(incoming)} expecting positive value <= {len(own)}",
            "Failed to load cpu:cpreg_vmstate_array_len",
        )
        ends = (_INSTANCE, "load of migration failed: Invalid argument")
        return Stop("the length check of the register array", tuple(_QEMU + line for line in (*text, *ends)), lengths)
    ends = (_INSTANCE, "load of migration failed: Operation not permitted")
    if missing:
        where = "the merge of the register lists, which names no register"
        return Stop(where, tuple(_QEMU + line for line in ends), lengths)
    if by.can(Ability.NAMES_REFUSED):
        where = "the values of the merged list, written one by one"
        return Stop(where, _in_one_line(_refused(failing, dest)), lengths)
    where = "the values of the merged list, written one by one; the error names no register"
    return Stop(where, tuple(_QEMU + line for line in ends), lengths)


def _in_one_line(named: Sequence[str]) -> tuple[str, ...]:
    """What QEMU says of registers, and the load error, which it puts into one line from 10.2 on."""
    return (*(_QEMU + line for line in named), f"{_QEMU}load of migration failed: Operation not permitted: {_INSTANCE}")


def _refused(failing: Sequence[RegisterFate], dest: Side) -> list[str]:
    lines = []
    for fate in failing:
        own = dest.values.get(fate.reg)
        if fate.errno == ENOENT:
            lines += [f"Could not set register {qemu_name(fate.reg)}: unknown to KVM"]
        elif fate.value is not None and own is not None:
            lines += [f"Could not set register {qemu_name(fate.reg)} to {fate.value:x} (is {own:x})"]
    return lines


def qemu_name(reg: int) -> str:
    """A register as QEMU's messages name it from 10.2 on.

    >>> qemu_name(0x6030000000140003), qemu_name(0x603000000013c103)
    ('fw reg 3', 'system register op0:3 op1:0 crn:2 crm:0 op2:3')
    """
    kind, number = reg_class(reg), reg & 0xFFFF
    if kind == CLASS_SYSREG:
        op0, op1, crn, crm, op2 = Encoding.of(reg)
        return f"system register op0:{op0} op1:{op1} crn:{crn} crm:{crm} op2:{op2}"
    words = {CLASS_FW: f"fw reg {number}", CLASS_FW_FEAT_BMAP: f"fw feat reg {number}"}
    return words.get(kind, f"{'demuxed' if kind == CLASS_DEMUX else 'core'} reg {number:x}")


# -- the others ------------------------------------------------------------------------------------------------


def _firecracker(failing: Sequence[RegisterFate], by: VmmVersion) -> Stop:
    first, named = failing[0], ""
    if by.can(Ability.SHOWS_VALUE):
        named = f" {first.reg:#x} to value 0x{first.value or 0:0{2 * reg_size(first.reg)}x}"
    elif by.can(Ability.NAMES_REFUSED):
        named = f" {first.reg}"
    text = f"Failed to restore the state of the vcpu: Failed to set register{named}: {_os_error(first.errno)}"
    return Stop("the first register refused" + ", which is not named" * (not named), (text,))


def _cloud_hypervisor(failing: Sequence[RegisterFate], by: VmmVersion) -> Stop:
    """Cloud Hypervisor writes core registers, then SVE's, then all others."""
    order = {CLASS_CORE: 0, CLASS_SVE: 1}
    first = min(failing, key=lambda fate: order.get(reg_class(fate.reg), 2))
    what = "system register"
    if reg_class(first.reg) == CLASS_CORE and by.can(Ability.NAMES_CORE):
        what = "aarch64 core register"
    elif reg_class(first.reg) == CLASS_SVE and by.can(Ability.SAVES_SVE):
        what = "extended register"
    text = f"Failed to set {what}: {_os_error(first.errno)}"
    return Stop("the first register refused, which is not named", (text,))


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
