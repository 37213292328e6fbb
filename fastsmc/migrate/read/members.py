"""Members of JSON objects, with the type that they must have."""

from __future__ import annotations

from typing import Any

from fastsmc import checks
from fastsmc.checks import shown
from fastsmc.errors import RegisterFileError


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
