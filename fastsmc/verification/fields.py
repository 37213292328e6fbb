"""Fields of records, read strictly: what is no register word or no whole number is an error that says so."""

from __future__ import annotations

from typing import Any

from fastsmc.errors import RegisterError
from fastsmc.facts.smccc import Conduit
from fastsmc.recordings.folder import CONDUIT
from fastsmc.reference.state import MASK64, OK
from fastsmc.vm import Fleet


def whole(value: Any, name: str, *, first: int = 0, last: int = MASK64) -> int:
    """A whole number of a record.

    Raises:
        ValueError: something else, or out of range.
    """
    if type(value) is not int or not first <= value <= last:
        msg = f"{name} is {value!r}: it must be a whole number from {first} to {last:#x}"
        raise ValueError(msg)
    return value


def word(text: Any, name: str, *, last: int = MASK64) -> int:
    """A number written "0x…".

    Raises:
        ValueError: something else, or out of range.
    """
    if not isinstance(text, str) or not text.startswith("0x"):
        msg = f'{name} is {text!r}: it must be written "0x..."'
        raise ValueError(msg)
    return whole(int(text, 16), name, last=last)


def words(values: Any, name: str, n: int, *, last: int = MASK64) -> list[int]:
    """A list of register words, as whole numbers.

    Raises:
        ValueError: of another length, or holding something else.
    """
    if not isinstance(values, list) or len(values) != n:
        msg = f"{name} is {values!r}: it must hold {n} register words"
        raise ValueError(msg)
    return [whole(value, f"a word of {name}", last=last) for value in values]


def conduit_of(text: Any) -> Conduit:
    """A conduit as recordings spell it.

    Raises:
        ValueError: no conduit.
    """
    if text not in CONDUIT:
        msg = f"c is {text!r}: a conduit is one of {', '.join(CONDUIT)}"
        raise ValueError(msg)
    return CONDUIT[text]


def fleet_get(fleet: Fleet, reg: int, vm: int = 0, *, vcpu: int = 0) -> tuple[int, int]:
    """GET_ONE_REG on one VM of a fleet: (errno, value), as the reference tells it."""
    try:
        return OK, int(fleet.get_one_reg(reg, vms=vm, vcpu=vcpu)[0])
    except RegisterError as error:
        return error.errno, 0
