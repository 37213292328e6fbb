"""Text that names registers and has no vCPU's list: a log of QEMU's, a report of a selftest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from fastsmc.facts.register_names import name_of
from fastsmc.migrate.read.result import Format


@dataclass(frozen=True, slots=True)
class NamedRegister:
    """A register that a line of text names, and what the line says of it.

    Attributes:
        reg: its id; None where the text's own word for it says not which it is.
        spelled: the text's own word for it.
        said: what the text says of it, in our words.
        line: where, from 1.
        group: the vCPU configuration of a test, "" where there is none.
        given, own: the value that was written and the one the destination has, as far as the text tells them.
    """

    reg: int | None
    spelled: str
    said: str
    line: int
    group: str = ""
    given: int | None = None
    own: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, ids and values as hexadecimal text."""
        return {
            "id": None if self.reg is None else f"{self.reg:#018x}",
            "name": None if self.reg is None else name_of(self.reg),
            "spelled": self.spelled,
            "said": self.said,
            "line": self.line,
            "group": self.group or None,
            "given": None if self.given is None else hex(self.given),
            "own": None if self.own is None else hex(self.own),
        }

    def __str__(self) -> str:
        shown = "id not told" if self.reg is None else f"{self.reg:#018x} {name_of(self.reg) or ''}".rstrip()
        values = "" if self.given is None else f": {self.given:#x} was written"
        return f"{shown} ({self.spelled}){values}" + (f", {self.own:#x} is there" if self.own is not None else "")


@dataclass(frozen=True, slots=True, eq=False)
class NamedRegisters:
    """The registers that a text names. It has no vCPU's list, so it is shown and never judged.

    Attributes:
        path: the file, as given.
        format: what wrote it.
        what: what the text is, in words.
        registers: in the order of the text.
        told: what the text says beside them, one sentence each.
    """

    path: str
    format: Format
    what: str
    registers: tuple[NamedRegister, ...]
    told: tuple[str, ...] = field(default=())

    @property
    def no_host(self) -> str:
        """Why no side of a migration can be made of it."""
        return f"is {self.what}: it names registers and has no vCPU's list, so nothing can be judged by it"

    def as_dict(self) -> dict[str, Any]:
        """All registers and sentences as plain values."""
        return {
            "file": self.path,
            "format": self.format,
            "what": self.what,
            "registers": [one.as_dict() for one in self.registers],
            "told": list(self.told),
            "no_host": self.no_host,
        }

    def __repr__(self) -> str:
        return f"NamedRegisters({self.path[:80]!r}, {self.format}, {len(self.registers)} registers)"

    def __str__(self) -> str:
        count = f"{len(self.registers)} register{'s' * (len(self.registers) != 1)} named"
        return "\n".join([f"{self.path}: {self.format}: {self.what}, {count}", *_lines(self.registers), *self.told])


def _lines(registers: Iterable[NamedRegister]) -> list[str]:
    """The registers, those of which the same is said together."""
    lines = []
    for (group, said), members in groupby(registers, lambda one: (one.group, one.said)):
        lines += [f"{group}: {said}" if group else said, *(f"  {one}" for one in members)]
    return lines
