"""Everything that is wrong with an input file, found before anything is refused: one error that lists it all."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fastsmc.checks import must_be_whole
from fastsmc.checks import shown as shown_value
from fastsmc.errors import InputError
from fastsmc.files.limits import TOML
from fastsmc.files.packed import Refused
from fastsmc.files.source import opened
from fastsmc.files.text import text_of
from fastsmc.scenario.toml_lines import Path as KeyPath
from fastsmc.scenario.toml_lines import key_lines

_MOST_LISTED = 100
"""Problems that one message tells."""
_LONGEST_KEY = 80
_MOST_DOTS = 32
_DEEP_KEY = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){{{_MOST_DOTS},}}[\w\"'-]", re.ASCII)
"""A key of so many parts, of which tomllib makes as many tables, in a time that grows with their square."""
_LONG_NUMBER = re.compile(r"[0-9][0-9_]{1000}", re.ASCII)


class Problems:
    """Collects what is wrong with one file; `raise_any` at the end.

    Args:
        where: the file's name as messages show it.
        text: its TOML text, for line numbers; "" when there is none.
    """

    def __init__(self, where: str, text: str = "") -> None:
        self.where = where
        self.found: list[tuple[int, str]] = []
        try:
            self._lines = key_lines(text) if text else {}
        except RecursionError:  # lists within lists, as deep as tomllib reads them
            self._lines = {}

    def line(self, path: KeyPath) -> int:
        """Line of a key, or of the nearest table around it that has one; 0: not known."""
        return next((self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines), 0)

    def add(self, path: KeyPath, what: object, remedy: str = "") -> None:
        """Notes that the value at a path is wrong, and what would be right, unless `what` says that too."""
        line = self.line(path)
        place = f"{self.where}:{line}" if line else self.where
        self.found.append((line, f"{place}: {shown(path)}: {what}" + (f": {remedy}" if remedy else "")))

    @property
    def is_full(self) -> bool:
        """Whether more of them would be counted and not told."""
        return len(self.found) > _MOST_LISTED

    def raise_any(self) -> None:
        """Raises one InputError of all problems, in the order of their lines, if there are any."""
        if not self.found:
            return
        texts = list(dict.fromkeys(text for _, text in sorted(self.found, key=lambda problem: problem[0])))
        head = f"{len(texts)} problems in {self.where}:\n" if len(texts) > 1 else ""
        more = [f"and {len(texts) - _MOST_LISTED} more"] if texts[_MOST_LISTED:] else []
        raise InputError(head + "\n".join(texts[:_MOST_LISTED] + more))

    # -- values ------------------------------------------------------------------------------------------------

    def unknown_keys(self, table: Mapping[str, Any], path: KeyPath, known: Iterable[str]) -> None:
        """Notes every key a table should not have, with the name that was perhaps meant."""
        names = list(known)
        unknown = [key for key in table if key not in names]
        for key in unknown[:_MOST_LISTED]:
            self.add((*path, key), "no such key", meant(key, names))
        if unknown[_MOST_LISTED:]:
            self.add(path, f"{len(unknown) - _MOST_LISTED} more keys that are none of its own", "leave them out")

    def table(self, value: object, path: KeyPath) -> dict[str, Any]:
        """A table, or an empty one and a note."""
        if isinstance(value, Mapping):
            return dict(value)
        self.add(path, f"it is {brief(value)}", "it must be a table")
        return {}

    def whole(self, value: object, path: KeyPath, *, first: int, last: int, default: int) -> int:
        """A whole number in first..last, or the default and a note."""
        if isinstance(value, int) and not isinstance(value, bool) and first <= value <= last:
            return value
        self.add(path, f"it is {brief(value)}", must_be_whole(first, last))
        return default

    def number(
        self, value: object, path: KeyPath, *, above_zero: bool = False, unit: str = "", default: float = 1.0
    ) -> float:
        """A finite number, 0 or more, or the default and a note."""
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else -1
        # Nan fails every comparison; a larger int would be no float.
        if 0 <= number < 1 << 1023 and (number or not above_zero):
            return float(number)
        of_unit = f" of {unit}" if unit else ""
        limit = "above 0" if above_zero else "0 or more"
        self.add(path, f"it is {brief(value)}", f"it must be a finite number{of_unit}, {limit}")
        return default

    def no_more_than(self, value: Sequence[object] | Mapping[str, Any], most: int, path: KeyPath, remedy: str) -> bool:
        """Whether a list or a table is not too long to be read one by one; a note if it is."""
        if len(value) > most:
            self.add(path, f"it has {len(value)} entries", f"at most {most} are read; {remedy}")
        return len(value) <= most

    def choice(self, value: object, path: KeyPath, known: Iterable[str], *, default: str) -> str:
        """One of some words, or the default and a note."""
        names = list(known)
        if isinstance(value, str) and value in names:
            return value
        self.add(path, f"it is {brief(value)}", meant(value, names))
        return default

    def text(self, value: object, path: KeyPath, *, default: str = "") -> str:
        """Text that is not empty, or the default and a note."""
        if isinstance(value, str) and value.strip():
            return value
        self.add(path, f"it is {brief(value)}", "it must be text")
        return default

    def one_line(self, value: object, path: KeyPath) -> str:
        """Text that is one line, as what is printed of it stands among lines of ours; or "" and a note."""
        text = self.text(value, path)
        if text and text.splitlines() != [text]:
            self.add(path, f"it is {brief(text)}", "it must be one line")
        return text


def shown(path: KeyPath) -> str:
    """A path as it is read: vms[0].filter[1].base."""
    keys = (part if isinstance(part, int) else part[:_LONGEST_KEY] for part in path)
    text = "".join(
        f"[{key}]" if isinstance(key, int) else f".{key if key.isprintable() else ascii(key)}" for key in keys
    )
    return text.removeprefix(".") or "the file"


def brief(value: object) -> str:
    """A value in a sentence, short; None is a key that is not there."""
    return "missing" if value is None else shown_value(value)


def meant(given: object, names: list[str]) -> str:
    """The remedy for a word that is none of some names: close ones, or all."""
    close = get_close_matches(given, names, n=3, cutoff=0.7) if isinstance(given, str) else []
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"it must be one of {', '.join(names)}" if names else "leave it out"


def read_toml(path: Path, what: str) -> tuple[str, dict[str, Any]]:
    """Text and tables of a TOML file.

    Raises:
        InputError: it cannot be read, is no UTF-8 or no TOML.
    """
    try:
        with opened(path, TOML) as source:
            text = text_of(source.all()).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except Refused as error:
        message = f"{path}: {error}: give the path of {what}, a TOML file"
        raise InputError(message) from error
    if (deep := _DEEP_KEY.search(text)) is not None:
        message = (
            f"{path}:{text.count(chr(10), 0, deep.start()) + 1}: a key of over {_MOST_DOTS} parts: {what} has none"
        )
        raise InputError(message)
    try:
        return text, tomllib.loads(text)
    except RecursionError:
        message = f"{path}: nested too deeply: {what} has a few levels"
        raise InputError(message) from None
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).partition(" (at line ")
        line = place.partition(",")[0]
        message = f"{path}:{line or len(text.splitlines())}: {reason}: {what} must be TOML"
        raise InputError(message) from error
    except ValueError as error:  # of int(): a number of thousands of digits
        found = _LONG_NUMBER.search(text)
        at = text.count("\n", 0, found.start()) + 1 if found else 1
        message = f"{path}:{at}: a number of thousands of digits: {what} has numbers of up to 20"
        raise InputError(message) from error
