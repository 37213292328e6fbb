"""What `explain` returns: labelled lines about an id, as text and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from fastsmc.results.layout import width as columns
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table

Line = tuple[str, str]
Near = tuple[int, str, str]
"""Id, name, and in which way it is near: "the SMC32 form"."""

_EQUALS = "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"


def hex_id(value: int) -> str:
    """A function id with 8 digits, a register id with 16, as kernel documents write them.

    >>> hex_id(0xC6000001), hex_id(0x603000000013C020)
    ('0xC6000001', '0x603000000013C020')
    """
    return f"0x{value:0{8 if value <= 0xFFFF_FFFF else 16}X}"


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """Everything known about one function id or register id.

    Attributes:
        kind: what the id was taken for.
        id: the function id (low 32 bits of x0) or the register id.
        name: None where neither KVM nor the architecture has one that is known here.
        summary: one line; for an unknown id, which known one is nearest.
        lines: (label, text) in reading order; no label twice.
        near: known ids that may have been meant, nearest first.
        sources: where it can be looked up: files of Linux, documents of Arm, recordings.
        guests: of a function, what becomes of a call in each kind of guest: rows of release, guest, level, conduit,
            verdict and x0, which is None where it is no fixed value.
    """

    kind: Literal["function", "register"]
    id: int
    name: str | None
    summary: str
    lines: tuple[Line, ...]
    near: tuple[Near, ...]
    sources: tuple[str, ...]
    guests: tuple[dict[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Ids are hexadecimal text, as 64 bits do not survive every JSON reader."""
        return {
            "kind": self.kind,
            "id": hex_id(self.id),
            "name": self.name,
            "summary": self.summary,
            "lines": dict(self.lines),
            "near": [{"id": hex_id(other), "name": name, "why": why} for other, name, why in self.near],
            "guests": list(self.guests),
            "sources": list(self.sources),
        }

    def __str__(self) -> str:
        near = [f"{hex_id(other)} {name}: {why}" for other, name, why in self.near]
        rows = [
            *self.lines,
            *(("" if index else "near", text) for index, text in enumerate(near)),
            *(("" if index else "source", text) for index, text in enumerate(self.sources)),
        ]
        width = max(len(label) for label, _ in rows)
        text = [f"{hex_id(self.id)}: {self.summary}"]
        for label, words in rows:
            text += textwrap.wrap(
                words.replace(" = ", _EQUALS),
                columns(),
                initial_indent=f"  {label:{width}}  ",
                subsequent_indent=" " * (width + 4),
                break_long_words=False,
                break_on_hyphens=False,
            )
        return "\n".join(text).replace(_EQUALS, " = ")

    def __repr__(self) -> str:
        return f"Explanation({hex_id(self.id)}: {textwrap.shorten(self.summary, 150)})"


@dataclass(frozen=True, slots=True, repr=False)
class Explanations:
    """Several explanations, in the order in which they were asked for."""

    each: tuple[Explanation, ...]

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.each)

    def __len__(self) -> int:
        return len(self.each)

    def __getitem__(self, number: int) -> Explanation:
        return self.each[number]

    @property
    def answer(self) -> str:
        """What each id is, on one line."""
        return "; ".join(f"{hex_id(one.id)}: {one.summary}" for one in self.each)

    def table(self) -> Table:
        """A row per labelled line of each id."""
        rows = [
            {"id": hex_id(one.id), "name": one.name, "label": label, "text": text}
            for one in self.each
            for label, text in (("summary", one.summary), *one.lines)
        ]
        return table_of_rows("A row per line that is told of an id.", rows, "")

    def as_dict(self) -> list[dict[str, Any]]:
        """For JSON: a list, an entry an explanation."""
        return [one.as_dict() for one in self.each]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.each))

    def __repr__(self) -> str:
        return f"Explanations({textwrap.shorten(', '.join(hex_id(one.id) for one in self.each), 150)})"


def summary_of_unknown(near: tuple[Near, ...], what: str, form: str = "") -> str:
    """One line for an id without a name: the nearest known one, or what it is not.

    Args:
        what: said when nothing is near.
        form: convention of the id, for a near miss that differs in nothing else.
    """
    if not near:
        return what
    other, name, why = near[0]
    subject = f"{form} form is unknown" if why.endswith("form") else "unknown"
    return f"{subject}; {why} {hex_id(other)} is {name.removeprefix('VENDOR_HYP_')}"
