"""How each VMM restores: which registers it carries, and which differences between lists it tolerates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fastsmc.facts.registers import CLASS_CORE, CLASS_FW_FEAT_BMAP, CLASS_SVE, reg_class, register
from fastsmc.facts.vmm_features import How, given
from fastsmc.facts.vmm_versions import Ability, VmmVersion
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.lists import TCR2_PIR
from fastsmc.migrate.compat.result import RegisterFate
from fastsmc.migrate.compat.side import Side
from fastsmc.reference.state import OK


@dataclass(frozen=True, slots=True)
class Rules:
    """Which registers a VMM carries, and how.

    Attributes:
        by_hand: classes it carries in fields of its own, not by id; what is in neither is written one by one.
        dropped: classes it does not save at all.
        has_early_vls: writes the SVE vector lengths before FINALIZE.
        writes_ids_first: writes by ascending id, ID registers before firmware registers, and not in list order.
    """

    by_hand: frozenset[int] = frozenset()
    dropped: frozenset[int] = frozenset()
    has_early_vls: bool = True
    writes_ids_first: bool = False

    @property
    def apart(self) -> frozenset[int]:
        """Classes of registers that are not written one by one."""
        return self.by_hand | self.dropped


RULES = {
    Vmm.QEMU: Rules(by_hand=frozenset({CLASS_CORE, CLASS_SVE}), writes_ids_first=True),
    Vmm.FIRECRACKER: Rules(),
    Vmm.CLOUD_HYPERVISOR: Rules(),
    Vmm.CROSVM: Rules(dropped=frozenset({CLASS_SVE, CLASS_FW_FEAT_BMAP})),
    Vmm.KVM: Rules(has_early_vls=False),
}

_NOT_JUDGED = "Not judged: GIC, ITS, timers, memory, devices, machine type, number of vCPUs"
BMAP_2 = register("VENDOR_HYP_BMAP_2")
DBGDTRTX = 0x40200000200E0298
"""AArch32's DBGDTRTXint as QEMU's TCG listed it up to 10.0. Source: QEMU commit 4f2b82f60431."""


def assumed(by: VmmVersion) -> tuple[str, str]:
    """The vCPU features of which a VM of a VMM's version is assumed to be where nobody names any, and why."""
    rows = given(by)
    usual = [name for name in ("pmu", "sve", "pauth") if name in rows and rows[name].how is not How.ASKED]
    if "pmu" not in usual:
        return "psci02", "as none are named"
    who = "QEMU's -cpu host" if by.vmm is Vmm.QEMU else by.vmm.full_name
    others, them = usual[1:], "them" if len(usual) > 2 else "it"
    if not others:
        return "psci02+pmu", f"{who} adds pmu where the host has it"
    named = f"name {them} then (6.12+{'+'.join(usual)})"
    return "psci02+pmu", f"{who} adds {' and '.join(others)} where the CPU has {them}, {named}"


def has_choice(by: VmmVersion) -> bool:
    """Whether a VM may have other vCPU features than its VMM gives by itself; with Cloud Hypervisor none may."""
    return any(row.how is not How.ALWAYS for row in given(by).values()) or not given(by)


def carried(side: Side, vmm: Vmm) -> frozenset[int]:
    """Ids that a VMM writes one by one."""
    apart = RULES[vmm].apart
    return frozenset(reg for reg in side.values if reg_class(reg) not in apart)


def dropped(side: Side, vmm: Vmm) -> tuple[int, ...]:
    """Ids that a VMM does not save."""
    return tuple(reg for reg in side.values if reg_class(reg) in RULES[vmm].dropped)


def scope(source: Side, vmm: Vmm) -> str:
    """What a verdict is about, and what it leaves open, in one line."""
    n = len(carried(source, vmm))
    kept = {
        Vmm.QEMU: "; core and SVE registers, which QEMU carries apart, are taken as restored",
        Vmm.CROSVM: "; crosvm does not save bitmaps and SVE registers",
    }
    return f"judged: {n} registers of one vCPU{kept.get(vmm, '')}. {_NOT_JUDGED}"


def with_tolerance(fates: Sequence[RegisterFate], dest: Side, by: VmmVersion) -> list[RegisterFate]:
    """The fates of registers once the VMM's version has tolerated those that the destination lacks.

    QEMU does so for `-cpu host`: TCR2_EL1, PIRE0_EL1 and PIR_EL1 may be on one end only, and VENDOR_HYP_BMAP_2 may be
    in the stream only, if its value is 0. For TCG, DBGDTRTX may.

    Source: QEMU 11.1, target/arm/kvm.c and machine.c, commits 113ed8e53c08, 6dd8be31f8fb and 234b3eaddd4f.
    """
    if not by.can(Ability.TOLERATES):
        return list(fates)
    return [_tolerated(fate, dest, by) if _may_be_missing(fate, dest) else fate for fate in fates]


def _may_be_missing(fate: RegisterFate, dest: Side) -> bool:
    if fate.errno == OK or (fate.reg in dest.values and fate.reg not in dest.doubtful):
        return False
    return fate.reg == DBGDTRTX if dest.is_emulated else fate.reg in TCR2_PIR or fate.reg == BMAP_2


def _tolerated(fate: RegisterFate, dest: Side, by: VmmVersion) -> RegisterFate:
    if fate.reg == BMAP_2 and fate.value is None:
        return replace(fate, errno=None, reason=f"{fate.reason}; {by} tolerates that if its value is 0")
    if fate.reg == BMAP_2 and fate.value != 0:
        return replace(fate, reason=f"{fate.reason}; {by} tolerates that only if its value is 0")
    return replace(fate, errno=OK, reason=f"{fate.reason}; tolerated by {by}")
