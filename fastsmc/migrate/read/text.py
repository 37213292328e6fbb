"""A register file as text and as plain values: what it is, its parts, and what its vCPUs have in common."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from textwrap import fill
from typing import Any

from fastsmc.facts.register_names import name_of
from fastsmc.facts.registers import COUNTERS
from fastsmc.migrate.read.listing import listing
from fastsmc.migrate.read.result import Part, RegisterFile
from fastsmc.migrate.read.scopes import Scopes, scopes
from fastsmc.results.layout import drawn, number, words

_SHOWN_PARTS, _SHOWN_IDS, _SHOWN_NAMES, _SHOWN_WAYS = 40, 20, 16, 64
_SCOPE_WORDS = {
    "equal_global": "equal on all vCPUs and declared VM-global",
    "equal_undeclared": "equal on all vCPUs, not declared VM-global",
    "conflicts": "CONFLICT: declared VM-global, but different on some vCPU",
    "different": "different on some vCPU, not declared VM-global",
    "untold": "with values that the file does not tell",
    "not_everywhere": "that some vCPU does not have",
}


def told(file: RegisterFile) -> str:
    """The whole file as lines of text."""
    notes = [f"note: {note}" for note in file.notes]
    return "\n".join([*_head(file), *_parts(file), *_scopes(file), *notes])


def _head(file: RegisterFile) -> list[str]:
    lines = [file.headline]
    for bank in file.banks[:_SHOWN_WAYS]:
        n_vcpu, registers = bank.vcpus.size, bank.registers
        s = "s" * (n_vcpu != 1)
        lines += [f"{n_vcpu} vCPU{s} with {registers.n_reg} registers, {registers.n_global} VM-global:"]
        lines += drawn(
            [words("class"), number("registers"), number("bytes per vCPU")],
            [(name, count, size) for name, (count, size) in registers.by_class().items()],
            indent="  ",
        )
        lines += ["  ids only, no values"] if bank.values is None else []
    left = file.banks[_SHOWN_WAYS:]
    if left:
        lines += [f"{sum(bank.vcpus.size for bank in left)} vCPUs that list registers in {len(left)} other ways"]
    return lines


def _parts(file: RegisterFile) -> list[str]:
    rows = _by_name(file.parts)
    cells: list[tuple[object, ...]] = [
        (name, count, smallest if smallest == largest else f"{smallest:,} to {largest:,}", size)
        for name, count, smallest, largest, size in rows[:_SHOWN_PARTS]
    ]
    if rows[_SHOWN_PARTS:]:
        more = rows[_SHOWN_PARTS:]
        cells.append((f"{len(more)} more names", sum(row[1] for row in more), None, sum(row[4] for row in more)))
    if file.description_bytes:
        cells.append(("description (JSON)", 1, file.description_bytes, file.description_bytes))
    cells.append(("total", None, None, file.total_bytes))
    return ["", *drawn([words("part"), *map(number, ("sections", "bytes each", "bytes"))], cells)]


def _by_name(parts: tuple[Part, ...]) -> list[tuple[str, int, int, int, int]]:
    """(name, sections, smallest, largest, all bytes), in the order of their first section."""
    order = {name: number for number, name in enumerate(dict.fromkeys(part.name for part in parts))}
    ordered = sorted(parts, key=lambda part: order[part.name])
    rows = []
    for name, group in groupby(ordered, lambda part: part.name):
        sizes = [part.n_bytes for part in group]
        rows.append((name, len(sizes), min(sizes), max(sizes), sum(sizes)))
    return rows


def _scopes(file: RegisterFile) -> list[str]:
    if not file.has_values:
        return [""]
    if file.n_vcpu == 1:
        return ["", "one vCPU: nothing to compare its values with"]
    lines, found = [""], scopes(file)
    for key, meaning in _SCOPE_WORDS.items():
        ids = getattr(found, key)
        if ids or key in ("equal_global", "conflicts"):
            lines += [f"{len(ids):5d} registers {meaning}"]
        if key in ("equal_global", "equal_undeclared"):
            lines += _names(ids)
        if key in ("conflicts", "different", "not_everywhere"):
            lines += [f"      {reg:#018x} {name_of(reg) or ''}".rstrip() for reg in ids[:_SHOWN_IDS]]
            if key == "conflicts" and set(ids) & COUNTERS:
                lines += ["      (the counters go on from one vCPU's read to the next)"]
            if ids[_SHOWN_IDS:]:
                lines += [f"      and {len(ids) - _SHOWN_IDS} more"]
    return lines


def _names(ids: tuple[int, ...]) -> list[str]:
    """The first of many registers by name, a few to a line."""
    names = [name_of(reg) or f"{reg:#018x}" for reg in ids[:_SHOWN_NAMES]]
    names += [f"and {len(ids) - _SHOWN_NAMES} more (--json has all)"] * (len(ids) > _SHOWN_NAMES)
    if not names:
        return []
    return [fill("; ".join(names), 100, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False)]


def as_dict(file: RegisterFile) -> dict[str, Any]:
    """The whole file as plain values, ids as hexadecimal text."""
    return {
        "file": file.provenance.path,
        "format": file.format,
        "told_by": dict(file.provenance.told_by),
        "emulated": file.emulated or None,
        "part_of": file.part_of or None,
        "sha256": file.provenance.sha256,
        "vcpus": file.n_vcpu,
        "registers_per_vcpu": file.registers_per_vcpu,
        "register_sets": [{"vcpus": bank.vcpus.tolist(), "registers": bank.registers.n_reg} for bank in file.banks],
        "has_values": file.has_values,
        "parts": [{"name": part.name, "instance": part.instance, "bytes": part.n_bytes} for part in file.parts],
        "description_bytes": file.description_bytes,
        "total_bytes": file.total_bytes,
        **_equality(scopes(file), is_told=file.n_vcpu > 1),
        "registers": [one.as_dict() for one in listing(file)],
        "notes": [*file.notes, *([f"It is {file.guest}."] if file.guest else [])],
    }


def _equality(found: Scopes, *, is_told: bool) -> dict[str, Any]:
    keys = ("equal_global", "equal_undeclared", "different", "untold")
    lists = {key: [f"{reg:#018x}" for reg in getattr(found, key)] for key in keys}
    return {
        "declared_global": len(found.equal_global) + len(found.conflicts),
        "equality": {key: len(ids) for key, ids in lists.items()} if is_told else None,
        **(lists if is_told else {}),
        "conflicts": _listed(found.conflicts),
        "not_everywhere": _listed(found.not_everywhere),
    }


def _listed(ids: Iterable[int]) -> list[dict[str, str | None]]:
    return [{"id": f"{reg:#018x}", "name": name_of(reg)} for reg in ids]
