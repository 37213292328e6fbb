"""Values put into a scenario's table by their path, as messages about scenarios show it: vms[0].filter[1].base."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from fastsmc.checks import shown as shown_value
from fastsmc.errors import InputError
from fastsmc.scenario.problems import shown
from fastsmc.scenario.toml_lines import Path

_INDEX = re.compile(r"(.*?)\[(\d{1,9})\]$", re.ASCII | re.DOTALL)
_MOST_LETTERS = 400
_MOST_PATHS = 10_000
"""Paths of a table that are compared with one that is not in it."""


def path_of(text: object, table: Mapping[str, Any]) -> Path:
    """The path that a text means in a scenario's table. Its last key need not be there yet, and may be in a new table.

    Raises:
        InputError: no path, an entry that its list does not have, or a key under what is no table; names a near path.

    >>> path_of("vms[0].vmm.lock", {"vms": [{"vcpus": 4}]})
    ('vms', 0, 'vmm', 'lock')
    """
    if not isinstance(text, str) or not text or len(text) > _MOST_LETTERS:
        msg = f"override path {shown_value(text)}: give a path such as vms[0].vcpus"
        raise InputError(msg)
    parts = text.split(".")
    path: Path = ()
    here: Any = table
    while parts:
        if here is not None and not isinstance(here, Mapping):
            raise _unknown(text, table, f"{shown(path)} is no table")
        name, indices, n_part = _next(parts, here)
        if not name:
            raise _unknown(text, table, "a part of it is empty")
        parts, path = parts[n_part:], (*path, name)
        here = None if here is None else here.get(name)
        for index in indices:
            if not isinstance(here, list) or index >= len(here):
                n_entry = f"has {len(here)} entries" if isinstance(here, list) else "is no list"
                raise _unknown(text, table, f"{shown(path)} {n_entry}")
            path, here = (*path, index), here[index]
    return path


def _next(parts: list[str], here: Mapping[str, Any] | None) -> tuple[str, list[int], int]:
    """The next key of a path, the indices after it, and how many parts it takes: a key may have dots in it."""
    for n_part in range(len(parts), 0, -1):
        name, indices = ".".join(parts[:n_part]), list[int]()
        if here is not None and name in here:
            return name, indices, n_part
        while (found := _INDEX.match(name)) is not None:
            name, indices = found[1], [int(found[2]), *indices]
        if n_part == 1 or (here is not None and name in here):
            return name, indices, n_part
    return "", [], 1


def _unknown(text: str, table: Mapping[str, Any], why: str) -> InputError:
    msg = f"override path {shown_value(text)}: {why}{near(text, table)}"
    return InputError(msg)


def near(text: str, table: Mapping[str, Any]) -> str:
    """The question for the path of a table that is spelled most like a text; "" for none."""
    known = list(dict.fromkeys(_paths(table, ())))[:_MOST_PATHS]
    close = get_close_matches(text, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _paths(value: Any, path: Path) -> Iterator[str]:
    """The paths of all values in a table, those of a list's entries and of tables included."""
    if path:
        yield shown(path)
    entries = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from _paths(entry, (*path, key))


def put(table: Any, path: Path, value: Any) -> Any:
    """A copy of a table with a value at a path; what the path does not touch is shared.

    >>> put({"vms": [{"vcpus": 4}], "seed": 1}, ("vms", 0, "vcpus"), 8)
    {'vms': [{'vcpus': 8}], 'seed': 1}
    """
    if not path:
        return value
    copy: Any = list(table) if isinstance(table, list) else dict(table or {})
    first: Any = path[0]
    rest = path[1:]
    old = copy.get(first) if isinstance(copy, dict) else copy[first]
    copy[first] = put(old, rest, value)
    return copy
