"""Fields of records, read strictly: what is no register word or no conduit is an error that says so.

Whoever reads a record names its file and its line: `Recording.malformed`.
"""

from __future__ import annotations

import re
from typing import Any

from fastsmc.checks import LAST_U64, shown, whole, word_of
from fastsmc.errors import InputError, RegisterError
from fastsmc.facts.smccc import Conduit
from fastsmc.recordings.folder import CONDUIT
from fastsmc.reference.state import OK
from fastsmc.vm import Fleet

_WORD = re.compile("0x[0-9a-fA-F]+")


def word(name: str, text: Any, *, last: int = LAST_U64) -> int:
    """A number written "0x…".

    Raises:
        InputError: something else, or out of range.
    """
    if not isinstance(text, str) or not _WORD.fullmatch(text):
        msg = f'{name} is {shown(text)}: it must be written "0x..."'
        raise InputError(msg)
    return whole(name, int(text, 16), last=last)


def words(name: str, values: Any, *, n: int, last: int = LAST_U64) -> list[int]:
    """A list of register words, as whole numbers.

    Raises:
        InputError: of another length, or holding something else.
    """
    if not isinstance(values, list) or len(values) != n:
        msg = f"{name} is {shown(values)}: it must hold {n} register words"
        raise InputError(msg)
    return [whole(f"a word of {name}", value, last=last) for value in values]


def conduit_of(text: Any) -> Conduit:
    """A conduit as recordings spell it.

    Raises:
        InputError: no conduit.
    """
    return CONDUIT[word_of("conduit c", text, CONDUIT)]


def fleet_get(fleet: Fleet, reg: int, vms: int | list[int] = 0, *, vcpu: int = 0) -> tuple[int, int]:
    """GET_ONE_REG on one VM of a fleet, or the first of some equal ones: (errno, value), as the reference tells it."""
    try:
        return OK, int(fleet.get_one_reg(reg, vms=vms, vcpu=vcpu)[0])
    except RegisterError as error:
        return error.errno, 0
