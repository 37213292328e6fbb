"""All vCPUs of a VM: which are judged alike, which goes to which, and one outlook of them all.

vCPUs differ in their state, and KVM takes any. So those with one list and equal values of all other registers, such as
ID and firmware registers, are judged once: a real VM has one group, whatever its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fastsmc.facts.registers import PSTATE
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.result import Caution, Direction, Outlook, RegisterFate, Remedy, shown_name
from fastsmc.migrate.compat.side import Side
from fastsmc.migrate.read.listing import ranges
from fastsmc.migrate.read.result import Bank, Format, RegisterFile
from fastsmc.reference.core_registers import MODE
from fastsmc.reference.restore import takes_any_value

_OF_A_VM = (Format.QEMU_STREAM, Format.ANALYZE_MIGRATION, Format.CLOUD_HYPERVISOR, Format.SNAPSHOT_EDITOR)
"""Formats that tell all vCPUs of a VM; others tell one that stands for all of a host."""
_OTHER_COUNT = tuple(
    f"qemu-system-aarch64: {line}"
    for line in ("Missing section footer for arm_gicv3", "load of migration failed: Invalid argument")
)
_FIRST = "instance 0x0 of device 'cpu'"
"""How QEMU names vCPU 0."""
_SHOWN = 6
_RANK = (Outlook.FAILS, Outlook.UNKNOWN, Outlook.RESTORES)

Group = tuple[int, ...]
"""vCPUs that are judged alike, ascending."""
Way = tuple[Group, Direction]


def vcpu_groups(file: RegisterFile) -> list[Group]:
    """A file's vCPUs by how they are judged, vCPU 0's group first; [()] where it tells no VM's vCPUs."""
    if file.format not in _OF_A_VM:
        return [()]
    groups: dict[tuple[bytes, ...], list[int]] = {}
    for number, bank in enumerate(file.banks):
        for vcpu, key in zip(bank.vcpus.tolist(), _keys(bank), strict=True):
            groups.setdefault((bytes(str(number), "ascii"), *key), []).append(vcpu)
    return sorted(map(tuple, groups.values()))


def _keys(bank: Bank) -> list[tuple[bytes, ...]]:
    """What the verdict on each vCPU of a bank hangs on."""
    ids = bank.registers.ids.tolist()
    judged = [column for column, reg in enumerate(ids) if not takes_any_value(reg)]
    if bank.values is None:
        return [()] * bank.vcpus.size
    values = bank.values[:, judged].copy()
    values[:, [place for place, column in enumerate(judged) if ids[column] == PSTATE]] &= np.uint64(MODE)
    parts = [values, *([bank.known[:, judged]] if bank.known is not None else [])]
    parts += [bank.wide[ids[column]] for column in judged if ids[column] in bank.wide]
    return [tuple(part[row].tobytes() for part in parts) for row in range(bank.vcpus.size)]


def differing(first: Side, others: Sequence[Side]) -> str:
    """The note about vCPUs that are not judged as vCPU 0 is: which they are, and where they differ."""
    vcpus = sorted(vcpu for side in others for vcpu in side.vcpus)
    regs = {
        reg: None
        for side in others
        for reg in (*first.values, *side.values)
        if reg not in first.values or reg not in side.values or not takes_any_value(reg)
        if first.values.get(reg, -1) != side.values.get(reg, -1)
    }
    names = ", ".join(shown_name(reg) or f"{reg:#x}" for reg in list(regs)[:_SHOWN])
    more = f" and {len(regs) - _SHOWN} more" if len(regs) > _SHOWN else ""
    return f"vCPU {as_ranges(vcpus)} differs from vCPU 0 in {names}{more}: each is judged"


def as_ranges(vcpus: Sequence[int]) -> str:
    """vCPUs in few words.

    >>> as_ranges([0, 1, 2, 5])
    '0-2,5'
    """
    return ranges(np.array(vcpus, np.int64))


def pairs(source: Side, dest: Side) -> list[tuple[Group, Side, Side]]:
    """Which vCPUs of `source` go to which of `dest`: each to that of its number, or to vCPU 0 where there is none.

    A side that tells no VM's vCPUs stands for all of the other's.
    """
    if not source.others and not dest.others:
        return [(source.vcpus, source, dest)]
    n = source.n_vcpu or dest.n_vcpu
    kinds = (source, *source.others), (dest, *dest.others)
    places = [{vcpu: k for k, side in enumerate(sides) for vcpu in side.vcpus} for sides in kinds]
    found: dict[tuple[int, int], list[int]] = {}
    for vcpu in range(n):
        found.setdefault((places[0].get(vcpu, 0), places[1].get(vcpu, 0)), []).append(vcpu)
    return [(tuple(group), kinds[0][k], kinds[1][j]) for (k, j), group in found.items()]


def joined(ways: Sequence[Way]) -> Direction:
    """One outlook of all vCPUs: the worst, with what stands in the way of each.

    The VMM's text and where it stops are those of the first vCPU that fares worst.
    """
    if len(ways) == 1:
        return ways[0][1]
    group, worst = min(ways, key=lambda way: (_RANK.index(way[1].outlook), way[0][0]))
    n = sum(len(members) for members, _ in ways)
    failing = _gathered([(members, way.failing) for members, way in ways], n)
    refused = {fate.reg for fate in failing}
    unjudged = _gathered([(members, way.unjudged) for members, way in ways], n)
    first = group[0] if group else 0
    return replace(
        worst,
        failing=failing,
        unjudged=tuple(fate for fate in unjudged if fate.reg not in refused),
        to_know=() if failing else tuple(dict.fromkeys(text for _, way in ways for text in way.to_know)),
        open_question=next((way.open_question for _, way in ways if way.open_question), ""),
        stopped_by=f"{worst.stopped_by} (vCPU {first})" if worst.stopped_by and first else worst.stopped_by,
        error=tuple(line.replace(_FIRST, _FIRST.replace("0x0", f"{first:#x}")) for line in worst.error),
        cautions=tuple(dict.fromkeys(caution for _, way in ways for caution in way.cautions)),
        remedies=_remedies([way for _, way in ways]),
    )


def with_count(found: Direction, source: Side, dest: Side) -> Direction:
    """The outlook once the numbers of vCPUs are compared, where both sides tell them, and the scope names them.

    QEMU loads a stream into the vCPUs that the destination was started with, and the interrupt controller's state comes
    first. Firecracker and Cloud Hypervisor make the vCPUs that the snapshot has. Run: QEMU 7.2.22, one more and one
    fewer, with a GICv3; with a GICv2 it failed in other words. The two other VMMs: from memory.
    """
    n, own = source.n_vcpu, dest.n_vcpu
    found = replace(found, scope=_scope(found.scope, n, own))
    if not n or not own or n == own:
        return found
    if found.vmm is Vmm.QEMU and source.is_stream and dest.is_stream:
        why = f"{_vcpus(n)} in the stream and {own} at the destination: QEMU must be started with as many"
        if found.reason:
            return found
        remedy = Remedy(f"start QEMU at the destination with {_vcpus(n)}", (), f"-smp {n}")
        is_gicv3 = source.has_gicv3 and dest.has_gicv3
        where = "the interrupt controller's state, which comes before the vCPUs'" if is_gicv3 else "the load"
        error = _OTHER_COUNT if is_gicv3 else ()
        return replace(found, reason=why, stopped_by=where, error=error, remedies=(remedy, *found.remedies))
    makes = {
        Vmm.FIRECRACKER: "Firecracker makes as many as the snapshot has",
        Vmm.CLOUD_HYPERVISOR: "Cloud Hypervisor makes as many as the snapshot has",
    }
    text = f"{_vcpus(n)} in SOURCE, {own} in DEST: {makes.get(found.vmm, f'the restoring VM must be made with {n}')}"
    return replace(found, cautions=(*found.cautions, Caution("vCPUs", text)))


def _vcpus(n: int) -> str:
    return f"{n} vCPU{'s' * (n > 1)}"


def _scope(text: str, n: int, own: int) -> str:
    """The scope of one vCPU's outlook as that of `n`."""
    text = text.replace("registers of one vCPU", f"registers of each of {n} vCPUs") if n > 1 else text
    return text.replace(", number of vCPUs", "") if n and own else text


def of_vcpus(sides: Sequence[Side], fates: Sequence[tuple[RegisterFate, ...]]) -> tuple[RegisterFate, ...]:
    """What becomes of the registers of a VM's vCPUs, each once, with its vCPUs where not all are concerned.

    What is refused comes before what is not known.

    Args:
        fates: those of each side.
    """
    n = sum(len(side.vcpus) for side in sides)
    pairs = list(zip(sides, fates, strict=True))
    refused = _gathered([(side.vcpus, tuple(fate for fate in found if fate.errno)) for side, found in pairs], n)
    unsure = _gathered([(side.vcpus, tuple(fate for fate in found if not fate.errno)) for side, found in pairs], n)
    ids = {fate.reg for fate in refused}
    return (*refused, *(fate for fate in unsure if fate.reg not in ids))


def _gathered(fates: Sequence[tuple[Group, tuple[RegisterFate, ...]]], n: int) -> tuple[RegisterFate, ...]:
    """Each register once, with the vCPUs that it concerns where not all of the `n` are."""
    first: dict[int, RegisterFate] = {}
    vcpus: dict[int, list[int]] = {}
    for members, found in fates:
        for fate in found:
            first.setdefault(fate.reg, fate)
            vcpus.setdefault(fate.reg, []).extend(members)
    return tuple(
        replace(fate, vcpus="" if len(vcpus[reg]) == n else as_ranges(sorted(vcpus[reg])))
        for reg, fate in first.items()
    )


def _remedies(ways: Sequence[Direction]) -> tuple[Remedy, ...]:
    """All remedies, one that helps several vCPUs once."""
    found: dict[tuple[str, str], list[int]] = {}
    for remedy in (remedy for way in ways for remedy in way.remedies):
        found.setdefault((remedy.text, remedy.command), []).extend(remedy.registers)
    return tuple(Remedy(text, tuple(dict.fromkeys(ids)), command) for (text, command), ids in found.items())
