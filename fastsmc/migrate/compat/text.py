"""A check as text: both sides, and both directions with every register in the way."""

from __future__ import annotations

from fastsmc.migrate.compat.result import Direction, MigrationCheck, Outlook, RegisterFate

_SHOWN = 24
"""Registers of one reason that are named."""


def both_ways(found: MigrationCheck) -> str:
    """Both sides, then both directions."""
    lines = [found.answer]
    for what, side in (("source", found.source), ("dest", found.dest)):
        lines += [f"{what:6}  {side}", *(f"        note: {note}" for note in side.notes)]
    if found.vmm_notes:
        lines += [f"vmm     {found.forward.by}", *(f"        note: {note}" for note in found.vmm_notes)]
    ways = [direction("forward", found.forward), direction("backward", found.backward)]
    return "\n\n".join(["\n".join(lines), *ways])


def direction(name: str, found: Direction) -> str:
    """One direction: its outlook, the registers, the VMM's own error, cautions and remedies."""
    accepted = " (accepted)" if found.outlook is Outlook.UNKNOWN and found.is_unknown_accepted else ""
    why = f": {found.reason}" if found.reason else ""
    lines = [f"{name}: {found.source} -> {found.dest} with {found.by}: {found.outlook.upper()}{accepted}{why}"]
    if found.lengths is not None:
        lines += [f"  {found.lengths[0]} registers in the stream, {found.lengths[1]} at the destination"]
    lines += _fates("failing", found.failing)
    if found.stopped_by:
        lines += [f"  stopped by {found.stopped_by}" + ":" * bool(found.error)]
    lines += [f"    | {line}" for line in found.error]
    lines += _fates("cannot be judged", found.unjudged)
    lines += [f"  not known: {found.open_question}"] if found.open_question else []
    lines += [f"  to know: {sentence}" for sentence in found.to_know]
    lines += [f"  warning: {caution}" for caution in found.cautions]
    for remedy in found.remedies:
        count = len(remedy.registers)
        of = f" ({count} register{'s' * (count != 1)})" if count else ""
        lines += [f"  remedy{of}: {remedy}"]
        lines += [f"    {remedy.command}"] if remedy.command else []
    lines += _without_remedy(found)
    lines += [f"  scope: {found.scope}"] if found.scope else []
    return "\n".join(lines)


def _without_remedy(found: Direction) -> list[str]:
    """What is left in the way once every remedy was taken: a reader must not take a part for the whole."""
    helped = {reg for remedy in found.remedies for reg in remedy.registers}
    left = [fate for fate in found.failing if fate.reg not in helped]
    if not left or any(not remedy.registers for remedy in found.remedies):
        return []
    which = f"the other {len(left)}" if len(left) < len(found.failing) else "any"
    return [f"  no remedy is known for {which}: start the VM at the destination, or give that the source's kernel"]


def _fates(head: str, fates: tuple[RegisterFate, ...]) -> list[str]:
    """Registers, those with one reason together when they are many."""
    if not fates:
        return []
    lines = [f"  {head}, {len(fates)} register{'s' * (len(fates) > 1)}:"]
    by_reason: dict[str, list[RegisterFate]] = {}
    for fate in fates:
        by_reason.setdefault(f"{fate.reason}{fate.where}", []).append(fate)
    for reason, group in by_reason.items():
        if len(group) < 4:
            lines += [f"    {fate}" for fate in group]
            continue
        names = ", ".join(fate.name or f"{fate.reg:#x}" for fate in group[:_SHOWN])
        more = f" and {len(group) - _SHOWN} more" if len(group) > _SHOWN else ""
        lines += [f"    {len(group)} registers: {reason}:", f"      {names}{more}"]
    return lines
