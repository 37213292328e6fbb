"""Parts of JSON that others wrote, each with its place: what is missing is unknown, what is of another type is told."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.files.csv_text import MOST_FIELD
from fastsmc.files.json_items import items
from fastsmc.files.limits import CLUSTER
from fastsmc.files.packed import Refused
from fastsmc.files.source import name_of, opened
from fastsmc.plan.inventory.columns import MOST_ROWS, Spec

_SENTENCE = 200
_LARGEST = 1 << 64
"""Above all sizes and counts, in bytes too."""


@dataclass(frozen=True, slots=True)
class Part:
    """A value of a JSON text.

    Attributes:
        value: None where there is none.
        place: the file, the entry and the keys that lead to it.
    """

    value: Any
    place: str

    def __getitem__(self, key: str) -> Part:
        """What stands under a key; nothing where nothing does."""
        if self.value is None:
            return self
        if not isinstance(self.value, dict):
            raise _not(self, "an object")
        return Part(self.value.get(key), f"{self.place}.{key}")

    def at(self, *keys: str) -> Part:
        """What stands under keys of keys."""
        part = self
        for key in keys:
            part = part[key]
        return part

    def entries(self) -> Iterator[Part]:
        """The entries of a list; none where there is none."""
        if self.value is not None and not isinstance(self.value, list):
            raise _not(self, "a list")
        for number, value in enumerate(self.value or ()):
            yield Part(value, f"{self.place}[{number}]")

    def text(self) -> str:
        """A text; "" where there is none."""
        if self.value is None:
            return ""
        if not isinstance(self.value, str) or len(self.value) > MOST_FIELD or "\0" in self.value:
            raise _not(self, f"text of at most {MOST_FIELD} characters")
        return self.value.strip()

    def words(self) -> str:
        """A sentence, cut after some 200 characters; "" where there is none."""
        if isinstance(self.value, str):
            return " ".join(self.value.replace("\0", " ")[:_SENTENCE].split())
        return self.text()

    def number(self) -> float:
        """A number of 0 or more; NaN where there is none."""
        if self.value is None:
            return math.nan
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not is_number or not 0 <= self.value < _LARGEST:
            raise _not(self, "a number of 0 or more")
        return float(self.value)

    def count(self) -> int:
        """A whole number of 0 or more; 0 where there is none."""
        number = self.number()
        if number != number:
            return 0
        if number != math.floor(number) or number > 1 << 53:
            raise _not(self, "a whole number")
        return int(number)

    def is_true(self) -> bool:
        """Whether it is true, or 1."""
        if self.value not in (None, True, False, 0, 1):
            raise _not(self, "true or false")
        return bool(self.value)


def _not(part: Part, expected: str) -> InputError:
    return InputError(f"{part.place} is {shown(part.value)}: it must be {expected}")


def parts_of(json: Any, keys: tuple[str, ...], what: str) -> Iterator[Part]:
    """The entries of a list, from a path or from JSON that was read before.

    Args:
        keys: under which the list may stand. what: what the JSON is called where it has no file.

    Raises:
        InputError: a file that cannot be read; no such list.
    """
    if isinstance(json, str | os.PathLike):
        file = name_of(json)
        try:
            with opened(json, CLUSTER) as source:
                yield from _numbered(items(source, keys), file)
        except Refused as error:
            msg = f"{file}: {error}"
            raise InputError(msg) from error
        return
    if isinstance(json, Mapping):
        json = next((json[key] for key in keys if isinstance(json.get(key), list)), None)
    if not isinstance(json, list):
        msg = f"{what} has no list under {' or '.join(keys)}: give a path, or what its JSON holds"
        raise InputError(msg)
    yield from _numbered(json, what)


def _numbered(values: Iterable[Any], file: str) -> Iterator[Part]:
    for number, value in enumerate(values):
        if number >= MOST_ROWS:
            msg = f"{file}: over {MOST_ROWS:,} entries"
            raise InputError(msg)
        if not isinstance(value, dict):
            msg = f"{file}: entry {number} is {shown(value)}: it must be an object"
            raise InputError(msg)
        yield Part(value, f"{file}: entry {number}")


class Rows:
    """Rows of a table, told one by one; what a row does not tell is unknown."""

    def __init__(self, specs: Mapping[str, Spec]) -> None:
        self._specs = specs
        self.columns: dict[str, list[Any]] = {name: [] for name in specs}

    def add(self, **values: Any) -> None:
        """One more row."""
        for name, column in self.columns.items():
            column.append(values.get(name))

    def __len__(self) -> int:
        return len(self.columns["name"])

    def without(self, rows: set[int]) -> dict[str, list[Any]]:
        """The columns without some rows."""
        if not rows:
            return self.columns
        keep = [row for row in range(len(self)) if row not in rows]
        return {name: [column[row] for row in keep] for name, column in self.columns.items()}


def counted(n: int, what: str, why: str) -> tuple[str, ...]:
    """A note on what was left out, if anything was.

    >>> counted(2, "VM", "stopped"), counted(0, "VM", "stopped")
    (('2 VMs left out: stopped',), ())
    """
    return (f"{n:,} {what}{'s' * (n != 1)} left out: {why}",) if n else ()
