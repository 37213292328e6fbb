"""What KVM says to each register of a payload.

Where values are known `restore.predict` says it; elsewhere ids and rules do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from errno import EINVAL, ENOENT, EPERM

from fastsmc.facts.registers import (
    CLASS_CORE,
    CLASS_SVE,
    CLASS_SYSREG,
    FIRMWARE_CLASSES,
    FW_BY_ID,
    SVE_VLS,
    FwKind,
    reg_class,
    register,
    sysreg,
)
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import PSCI_0_1
from fastsmc.migrate.compat.lists import why_missing
from fastsmc.migrate.compat.result import RegisterFate
from fastsmc.migrate.compat.side import WORKAROUNDS, Side, kernel_host
from fastsmc.reference.id_registers import Fate
from fastsmc.reference.restore import RegisterDump, predict, takes_any_value, unlisted
from fastsmc.reference.state import OK

MISSING = "missing there"
WORKAROUND_2 = register("SMCCC_ARCH_WORKAROUND_2")
_ASSUMED_LEVEL = "a workaround level is the machine's and the kernel's, and one of them is assumed"
_SSBS_LAST = (
    "SOURCE's vCPU hides SSBS, and KVM reports a higher level for it; any host with SSBS, its own too, refuses that "
    "level before ID_AA64PFR1_EL1 has hidden SSBS there"
)
_SSBS_FIRST = "the level follows from SSBS, which SOURCE's vCPU hides, and from the host's mitigation, not known"
_PFR1, _SSBS = sysreg(3, 0, 0, 4, 1), 0xF0
_NO_VALUE = "its value is not known on both sides"
_SAME_MACHINE: Fate = (OK, "one machine: its own value")
_LEFT_OUT: Fate = (None, "SOURCE's file does not hold it, and such a vCPU has it")
_LEFT_OUT_THERE: Fate = (None, "DEST's file does not hold it, and such a vCPU has it")


def fates(
    source: Side, dest: Side, apart: Collection[int], *, is_vls_early: bool, are_ids_first: bool = False
) -> list[RegisterFate]:
    """One fate per carried register, in the payload's order; errno 0 when accepted.

    Registers that the source may have besides follow: those its file leaves out or may have lost, and those of which
    it is not certain that its kernel lists them. Their errno is None, or 0 where any value of theirs is accepted.

    Args:
        apart: classes of registers that the VMM does not write one by one.
        is_vls_early: the VMM writes the SVE vector lengths before KVM_ARM_VCPU_FINALIZE.
        are_ids_first: the VMM writes ID registers before firmware registers, as ascending ids do; a list has them last.
    """
    host, is_same = kernel_host(dest), source.is_same_machine(dest)
    carried = {reg for reg in source.values if reg_class(reg) not in apart}
    told = {} if host is None else _predicted(source, dest, carried, host)
    found = []
    for reg, value in source.values.items():
        if reg not in carried:
            continue
        errno, why = fate_of(reg, source, dest, told, is_vls_early=is_vls_early)
        if is_same and errno is None:
            errno, why = _SAME_MACHINE
        if errno and host is not None and reg in dest.values and reg in FW_BY_ID:
            why = firmware_reason(reg, value, dest, host)
            if reg == WORKAROUND_2 and hides_ssbs(source, dest):
                errno, why = (None, _SSBS_FIRST) if are_ids_first else (errno, _SSBS_LAST)
        found.append(RegisterFate(reg, value, errno, why))
    unsure = set() if source.release == dest.release else set(source.doubtful)
    more = [] if is_same else sorted((source.left_out | source.perhaps_lost.keys() | unsure) - source.values.keys())
    more = [reg for reg in more if reg_class(reg) not in apart]
    return found + [RegisterFate(reg, None, *besides(reg, source, dest)) for reg in more]


def fate_of(reg: int, source: Side, dest: Side, told: Mapping[int, Fate], *, is_vls_early: bool) -> Fate:
    """The fate of one register of the source.

    Of the source it looks at nothing but the register's value, whether it is doubtful there, the release, and whether
    workaround levels are assumed: `prepared` keeps fates by these.

    Args:
        told: what the restore rules say of it.
    """
    value = source.values[reg]
    is_same_kernel = source.release == dest.release
    if reg in dest.doubtful and not (is_same_kernel and reg in source.doubtful):
        return None, dest.doubtful[reg]
    if reg in source.doubtful and reg not in dest.values and not is_same_kernel:
        return None, source.doubtful[reg]
    if reg in dest.left_out and not dest.is_apart(reg):
        return _LEFT_OUT_THERE
    if reg in dest.perhaps_lost and reg not in dest.values and not dest.is_apart(reg):
        return None, dest.perhaps_lost[reg]
    if reg_class(reg) in FIRMWARE_CLASSES and reg not in dest.values and dest.may_list_more:
        return None, "DEST's file does not tell its kernel, and is a part of a list"
    if reg == SVE_VLS and is_vls_early and reg in dest.values:
        return _vector_lengths(value, dest.values[reg])
    if reg in dest.values and reg in told:
        return told[reg] if reg not in WORKAROUNDS else _level(told[reg], value, source, dest)
    return _without_values(reg, value, dest)


def hides_ssbs(source: Side, dest: Side) -> bool:
    """Whether SSBS was taken from the source's vCPU and not from a fresh one here, and the kernel heeds that.

    Source: Linux arch/arm64/kvm/hypercalls.c, get_kernel_wa_level, 'Use kvm_has_feat() to check if FEAT_SSBS is
    advertised to the guest', in 6.12 with the writable ID_AA64PFR1_EL1. Measured: 6.12.118 to 7.3.4.
    """
    ours, theirs = source.values.get(_PFR1), dest.values.get(_PFR1)
    heeds = dest.release is not None and "ID_AA64PFR1_EL1" in dest.release.writable_id_fields
    return heeds and ours is not None and theirs is not None and not ours & _SSBS and bool(theirs & _SSBS)


def besides(reg: int, source: Side, dest: Side) -> Fate:
    """The fate of a register that is not in the payload and might be."""
    is_taken = reg in dest.values and reg_class(reg) not in FIRMWARE_CLASSES and takes_any_value(reg)
    if is_taken and reg not in dest.doubtful:
        return OK, "state: any value"
    if reg in source.left_out:
        return _LEFT_OUT
    return None, source.perhaps_lost[reg] if reg in source.perhaps_lost else source.doubtful[reg]


def _predicted(source: Side, dest: Side, carried: Collection[int], host: Host) -> dict[int, Fate]:
    """What the restore rules say of registers whose values are known wherever the rule looks at them."""
    fresh = {reg: value for reg, value in dest.values.items() if value is not None}
    known = {
        reg: value
        for reg, value in source.values.items()
        if value is not None
        and reg in carried
        and (has_rule(reg, host) if reg_class(reg) in FIRMWARE_CLASSES else reg in fresh)
    }
    told = predict(RegisterDump(source.features, known), host, RegisterDump(dest.features, fresh))
    return {p.reg: (p.errno, p.why) for p in told}


def has_rule(reg: int, host: Host) -> bool:
    """Whether a firmware register is one that this release is known to have: a file may list newer ones."""
    return reg in FW_BY_ID and FW_BY_ID[reg].name in host.release.fw_registers


def _without_values(reg: int, value: int | None, dest: Side) -> Fate:
    """The fate of a register that the destination lacks, or whose value is not known on both sides."""
    kind = reg_class(reg)
    if reg not in dest.values:
        is_partial = not dest.has_class(CLASS_CORE)  # a stream's array: neither core nor SVE registers are in it
        if kind == CLASS_CORE or (kind == CLASS_SVE and is_partial):
            return unlisted(reg, dest.features)
        return ENOENT, f"{MISSING}: {why_missing(reg, dest.release, dest.features)}"
    if reg == SVE_VLS:
        return EPERM, "vector lengths are settled by KVM_ARM_VCPU_FINALIZE"
    if kind not in FIRMWARE_CLASSES and takes_any_value(reg):
        return OK, "state: any value"
    if value is not None and value == dest.values[reg]:
        return OK, "the value it has already"
    if dest.is_emulated and value is not None and kind == CLASS_SYSREG:
        return EPERM, f"QEMU's own value, {dest.values[reg] or 0:#x}, cannot be changed to {value:#x}"
    return None, _NO_VALUE if dest.release else f"{_NO_VALUE}, or no kernel's rules apply"


def firmware_reason(reg: int, value: int | None, dest: Side, host: Host) -> str:
    """Why a firmware register's value is refused."""
    row, release = FW_BY_ID[reg], host.release
    if row.name not in release.fw_registers:
        return f"{MISSING}: {release.name} has no such register"
    shown = f"{value:#x}" if value is not None else "its value"
    if row.kind is FwKind.PSCI_VERSION:
        return _psci_reason(value or 0, dest, host)
    if row.kind is FwKind.BITMAP:
        limit = release.bitmap_limit[row.index]
        return f"value above limit: {shown} has bits outside {limit:#x}, all that {release.name} knows"
    level = host.workaround[row.index - 1]
    return f"workaround level: {shown} of the source's host is above the {level} of this one"


def _psci_reason(value: int, dest: Side, host: Host) -> str:
    known = host.release.psci_versions
    if value not in known:
        return f"PSCI version unknown: {psci_text(value)} there, where {psci_text(known[-1])} is the newest"
    wanted = "without" if value == PSCI_0_1 else "with"
    return f"PSCI version {psci_text(value)} needs a vCPU {wanted} feature psci02; this one has {dest.features}"


def psci_text(word: int) -> str:
    """A PSCI version as written: "1.3"; 0.1 and 0.2 are the words 1 and 2.

    >>> psci_text(0x10003), psci_text(2)
    ('1.3', '0.2')
    """
    return f"{word >> 16}.{word & 0xFFFF}"


def _level(fate: Fate, value: int | None, source: Side, dest: Side) -> Fate:
    """The fate of a workaround level: judged if both machines' levels are known, or if no level could be refused."""
    is_assumed = source.has_assumed_levels or dest.has_assumed_levels
    is_none = value == 0 and not source.has_assumed_levels
    return (None, _ASSUMED_LEVEL) if is_assumed and not is_none else fate


def _vector_lengths(value: int | None, own: int | None) -> Fate:
    """The fate of the SVE vector lengths, set before FINALIZE. Nobody recorded it.

    Up to the longest length that is wanted, the lengths must be exactly those that the host has.

    Source: Linux arch/arm64/kvm/guest.c, set_sve_vls.
    """
    if value is None or own is None:
        return None, _NO_VALUE
    longest = value.bit_length()
    if value and own & ((1 << longest) - 1) == value:
        return OK, "vector lengths the host has"
    return EINVAL, f"vector lengths {value:#x}: up to the longest they must be the host's, {own:#x}"
