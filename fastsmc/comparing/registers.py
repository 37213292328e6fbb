"""Files of registers compared, register by register: `fastsmc.migrate.diff` of the first with each other."""

from __future__ import annotations

from collections.abc import Iterator

from fastsmc.comparing.compared import GONE, NEW, OTHER, SAME, UNKNOWN, Compared, Row
from fastsmc.migrate.read.differences import RegisterChange, RegisterDiff, diff
from fastsmc.migrate.read.listing import label, shown
from fastsmc.migrate.read.result import RegisterFile


def compare(named: list[tuple[str, str | RegisterFile]]) -> Compared:
    """The first file against each other, vCPU 0 of each.

    Raises:
        RegisterFileError: a file that cannot be read.
        InputError: a file that tells no vCPU's registers.
    """
    (_, base), *others = named
    rows: list[Row] = []
    notes: list[str] = []
    for name, file in others:
        found = diff(base, file)
        rows += _rows(name, found)
        notes.append(f"{name}: {found.summary}")
        notes += [f"{name}: {note}" for note in found.notes]
    return Compared("registers", tuple(name for name, _ in named), tuple(rows), (), tuple(notes))


def _rows(file: str, found: RegisterDiff) -> Iterator[Row]:
    for reg, value in found.only_a.items():
        yield Row(_named(reg), "value", file, shown(value), None, None, GONE)
    for reg, value in found.only_b.items():
        yield Row(_named(reg), "value", file, None, shown(value), None, NEW)
    for reg in found.equal:
        yield Row(_named(reg), "value", file, None, None, None, SAME)
    for changes, verdict in ((found.differing, OTHER), (found.untold, UNKNOWN)):
        for change in changes:
            yield Row(_named(change.reg), _fields(change), file, shown(change.a), shown(change.b), None, verdict)


def _named(reg: int) -> str:
    return label(reg) or f"{reg:#018x}"


def _fields(change: RegisterChange) -> str:
    return ", ".join(map(str, change.fields)) or "value"
