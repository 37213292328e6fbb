"""What an unknown outlook lacks, as sentences: whose values, which kernel, or a rule that nobody has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastsmc.migrate.compat.result import RegisterFate, SideBasis
from fastsmc.migrate.compat.side import WORKAROUNDS, Side

_PROFILE = "the profile of that very host (fastsmc new probe)"
_DUMP = "a fingerprint, a stream or a state file of a VM"


def to_know(source: Side, dest: Side, unjudged: Sequence[RegisterFate]) -> tuple[str, ...]:
    """What would have to be brought to judge these registers, a sentence each; none where all are judged."""
    return tuple(dict.fromkeys(_needed(source, dest, unjudged)))


def _needed(source: Side, dest: Side, unjudged: Sequence[RegisterFate]) -> Iterator[str]:
    ids = [fate.reg for fate in unjudged]
    if not ids:
        return
    for word, side in (("SOURCE", source), ("DEST", dest)):
        if any(reg in side.left_out for reg in ids):
            yield f"give a whole list or dump for {word}: {side.name} leaves registers out"
        if any(reg in side.perhaps_lost for reg in ids):
            yield f"name the kernel of {word} (--{word.lower()}-release)"
    for word, side in (("SOURCE", source), ("DEST", dest)):
        has_unknown = any(side.values.get(reg, 0) is None for reg in ids)
        is_assumed = side.has_assumed_levels and any(reg in WORKAROUNDS for reg in ids)
        if has_unknown or is_assumed:
            yield f"give {_PROFILE}, or {_DUMP} on it, for {word}{_instead_of(side)}"
        elif any(reg in side.doubtful for reg in ids):
            yield f"give the register list of that very kernel for {word} (get-reg-list --list){_instead_of(side)}"
    if dest.release is None and not dest.is_emulated:
        yield "name the kernel of DEST (--dest-release)"
    if any(_is_known(reg, source, dest) for reg in ids):
        yield "no rule is known for the registers whose values are known on both sides: only a trial restore tells"


def _is_known(reg: int, source: Side, dest: Side) -> bool:
    """Whether a register is unjudged although both values and the destination's kernel are known."""
    is_level = reg in WORKAROUNDS and (source.has_assumed_levels or dest.has_assumed_levels)
    is_listed = not any(
        reg in ids for side in (source, dest) for ids in (side.doubtful, side.left_out, side.perhaps_lost)
    )
    has_values = source.values.get(reg) is not None and dest.values.get(reg, 0) is not None
    return has_values and is_listed and not is_level and dest.release is not None


def _instead_of(side: Side) -> str:
    return "" if side.basis is SideBasis.FILE else f" in place of {side.name!r}"
