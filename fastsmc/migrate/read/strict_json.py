"""JSON read strictly: what the standard allows to be read in two ways is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from fastsmc import checks
from fastsmc.checks import cut, shown
from fastsmc.errors import RegisterFileError
from fastsmc.migrate.read.limits import MAX_JSON_ENTRIES, MAX_JSON_KEYS, MAX_JSON_LISTS

_MAX_INT = 1 << 128
"""Numbers must be below it: the widest that a file has as a number are V registers, of 128 bits."""
_LONG = re.compile(r"\d{39}", re.ASCII)
"""Digits that a number of 128 bits may have and one beyond must have."""


def parse(text: bytes | str, what: str, offset: int = 0) -> Any:
    """The value of a JSON text.

    Args:
        what: named in errors. offset: of the text in its file, added to the positions that errors name.

    Raises:
        RegisterFileError: not UTF-8, not JSON, a key given twice in one object, NaN, a number beyond 128 bits, nested
            too deeply, or more keys, lists or entries than any real file has.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        _check_counts(text)
        parse_int = _integer if _LONG.search(text) else None  # a call per number, of which snapshots have millions
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=parse_int
        )
    except UnicodeDecodeError as error:
        msg = f"byte {offset + error.start}, {what}: not UTF-8"
    except json.JSONDecodeError as error:
        msg = f"byte {offset + error.pos}, {what}: not JSON ({error.msg})"
    except RecursionError:
        msg = f"byte {offset}, {what}: nested too deeply"
    except _Refused as error:
        msg = f"byte {offset}, {what}: {error}"
    raise RegisterFileError(msg)


class _Refused(ValueError):
    pass


def _check_counts(text: str) -> None:
    """Raises _Refused for a text that would take far more memory than its length."""
    for sign, most, what in (
        (":", MAX_JSON_KEYS, "keys"),
        ("[", MAX_JSON_LISTS, "lists"),
        ("{", MAX_JSON_LISTS, "objects"),
        (",", MAX_JSON_ENTRIES, "entries"),
    ):
        if (count := text.count(sign)) > most:
            msg = f"{count} {what}; at most {most} are read"
            raise _Refused(msg)


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    table = dict(pairs)
    if len(table) != len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        msg = f"the key {shown(twice)} stands twice in one object"
        raise _Refused(msg)
    return table


def _constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise _Refused(msg)


def _float(text: str) -> float:
    value = float(text)
    if value - value != 0:
        msg = f"the number {cut(text)} is not finite"
        raise _Refused(msg)
    return value


def _integer(text: str) -> int:
    if len(text) > 40 or not -_MAX_INT < (value := int(text)) < _MAX_INT:
        msg = f"the number {cut(text)} does not fit 128 bits"
        raise _Refused(msg)
    return value


def whole(what: str, value: object, *, last: int) -> int:
    """The value as a whole number of 0..last.

    Raises:
        RegisterFileError: something else; a bool is no number.
    """
    return checks.whole(what, value, last=last, error=RegisterFileError)


def member(table: object, key: str, kind: type | tuple[type, ...], what: str) -> Any:
    """The entry of an object under a key, which is of that type.

    Raises:
        RegisterFileError: no object, no such key, or another type.
    """
    if not isinstance(table, dict):
        msg = f"{what} is {shown(table)}: it must be an object"
        raise RegisterFileError(msg)
    if key not in table or not isinstance(table[key], kind):
        found = f"is {shown(table[key])}" if key in table else "is missing"
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = {dict: "an object", list: "a list", str: "text", int: "a whole number"}
        msg = f'{what}: "{key}" {found}; it must be {" or ".join(names[k] for k in kinds)}'
        raise RegisterFileError(msg)
    return table[key]


def hexadecimal(value: object, what: str) -> int:
    """A number written "0x…".

    Raises:
        RegisterFileError: written otherwise, or longer than the widest register.
    """
    if not isinstance(value, str) or not value.startswith("0x") or not 2 < len(value) <= 2 + 512:
        msg = f'{what} is {shown(value)}: it must be text such as "0x6030000000140000"'
        raise RegisterFileError(msg)
    digits = value[2:]
    if not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        msg = f"{what} is {shown(value)}: not a hexadecimal number"
        raise RegisterFileError(msg)
    return int(digits, 16)
