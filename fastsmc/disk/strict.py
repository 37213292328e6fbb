"""JSON of ours, judged while it is read: what could be taken in two ways, or for another number, is refused.

Ours is flat, so little depth is enough: whoever walks through a value afterwards need not fear how deep it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from fastsmc.errors import InputError

MOST_DEEP = 64
"""Lists and objects within each other that are read."""

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_HALF = re.compile("[\ud800-\udfff]")
_MOST_DIGITS = 39
"""Of a whole number: those of 128 bits."""


def parse(text: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        InputError: not UTF-8, not JSON, a key given twice, a number that is none or too large, nested too deeply, or
            half a surrogate pair; the message says which and where.

    >>> parse(b'{"seed": 1}')
    {'seed': 1}
    """
    try:
        decoded = text.decode("utf-8-sig")
        _require_shallow(text)
        value = json.loads(
            decoded, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_integer
        )
    except UnicodeDecodeError as error:
        msg = f"not UTF-8 text (byte {error.start})"
        raise InputError(msg) from error
    except json.JSONDecodeError as error:
        msg = f"not JSON, or cut short ({error.msg}: line {error.lineno} column {error.colno})"
        raise InputError(msg) from error
    if b"\\u" in text:
        for where, part in _texts(value, ""):
            if found := _HALF.search(part):
                msg = f"{where or 'the text'} holds \\u{ord(found[0]):04x}, half of a surrogate pair: no character"
                raise InputError(msg)
    return value


def _require_shallow(text: bytes) -> None:
    depth = 0
    for sign in re.finditer(rb"[\[\]{}]", _TEXT.sub(b"", text)):
        depth += 1 if sign[0] in b"[{" else -1
        if depth > MOST_DEEP:
            msg = f"not JSON of ours: lists and objects lie more than {MOST_DEEP} deep in each other"
            raise InputError(msg)


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text within a value, keys among them, and the way to it."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _texts(part, f"{where}[{number}]")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield f"a key of {where or 'the file'}", key
            yield from _texts(part, f"{where}.{key}".removeprefix("."))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        msg = f"the key {twice[:40]!r} stands twice in one object"
        raise InputError(msg)
    return table


def _constant(name: str) -> NoReturn:
    msg = f"{name} is no number that JSON has"
    raise InputError(msg)


def _float(text: str) -> float:
    value = float(text)
    if value - value != 0:
        msg = f"the number {text[:40]} is not finite"
        raise InputError(msg)
    return value


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        msg = f"the number {text[:40]}… has {len(text)} digits: no number of ours does"
        raise InputError(msg)
    return int(text)
