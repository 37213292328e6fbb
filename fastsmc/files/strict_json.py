"""JSON read strictly: what the standard allows to be read in two ways is refused."""

from __future__ import annotations

import gc
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NoReturn

from fastsmc.checks import cut, shown
from fastsmc.files.limits import JSON_BYTES, JSON_NUMBER, JSON_STRING, JSON_WEIGHTS, MIB, Kind
from fastsmc.files.packed import Refused
from fastsmc.files.source import opened
from fastsmc.files.text import text_of

_MAX_INT = 1 << 128
"""Numbers must be below it: the widest that a file has as a number are V registers, of 128 bits."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_N_DIGIT = 39
"""Digits that a number of 128 bits may have and one beyond must have."""
_DIGITS = "0123456789"
_RUN = re.compile(r"\d+", re.ASCII)


_LONG_TEXT = 1 << 12
"""Letters from which on it pays to hold back the search for cycles."""
MOST_DEEP = 64
"""Lists and objects within each other in a file of ours, so that whoever walks through one need not fear its depth."""


def read(path: str | os.PathLike[str], kind: Kind, *, is_named: bool = True) -> Any:
    """The value of a JSON file, which may be packed; `is_named` as `files.source.opened` has it.

    Raises:
        Refused: as `files.source.opened` and `parse`; or over MOST_DEEP lists and objects lie in each other.
    """
    with opened(path, kind, is_named=is_named) as source:
        text = text_of(source.all())
    value = parse(text.removeprefix("\ufeff"), "the file")
    level, depth = [value], 0
    while level := [part for one in level if isinstance(one, dict | list) for part in _parts(one)]:
        depth += 1
        if depth > MOST_DEEP:
            msg = f"lists and objects lie more than {MOST_DEEP} deep in each other: {kind.what} has a few levels"
            raise Refused(msg)
    return value


def _parts(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def parse(text: bytes | memoryview | str, what: str, offset: int = 0) -> Any:
    """The value of a JSON text.

    Args:
        what: named in errors. offset: of the text in its file, added to the positions that errors name.

    Raises:
        Refused: not UTF-8, not JSON, a key given twice in one object, NaN, a number beyond 128 bits, half of a
            surrogate pair, nested too deeply, or more values than any real file has.
    """
    try:
        if not isinstance(text, str):
            text = str(text, "utf-8")
        room = _room_for_numbers(text)
        is_plain = room >= text.count(",") and not has_long_number(text)
        parse_int = None if is_plain else _numbers(room)  # a call per number, of which snapshots have millions
        with uncollected() if len(text) > _LONG_TEXT else nullcontext():
            value = json.loads(
                text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=parse_int
            )
        if ("\\u" in text or not text.isascii()) and _SURROGATE.search(text):
            _check_strings(value)
        return value
    except UnicodeDecodeError as error:
        msg = f"byte {offset + error.start}, {what}: not UTF-8"
    except json.JSONDecodeError as error:
        msg = f"byte {offset + error.pos}, {what}: not JSON, or cut short ({error.msg})"
    except RecursionError:
        msg = f"byte {offset}, {what}: nested too deeply"
    except _Wrong as error:
        msg = f"byte {offset}, {what}: {error}"
    raise Refused(msg)


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for cycles meanwhile: new lists have none, and looking at a million of them takes most of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Wrong(ValueError):
    pass


def _check_strings(value: object) -> None:
    """Raises _Wrong for text with half of a surrogate pair, which stands for no character and cannot be printed."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list):
            left += one
        elif isinstance(one, str) and _HALF.search(one):
            msg = f"{ascii(one)[:60]} holds half of a surrogate pair, which is no character"
            raise _Wrong(msg)


def has_long_number(text: str) -> bool:
    """Whether 39 digits stand in a row: one then has a 39th place, and to look at these takes a third of a search.

    >>> has_long_number("x" + "1" * 39), has_long_number(f"x{'1' * 38},{'1' * 38}")
    (True, False)
    """
    for at in range(_N_DIGIT - 1, len(text), _N_DIGIT):
        if text[at] in _DIGITS and (run := _RUN.match(text, at)) is not None:
            before = text[at - _N_DIGIT + 1 : at]
            if run.end() - at + len(before) - len(before.rstrip(_DIGITS)) >= _N_DIGIT:
                return True
    return False


def _room_for_numbers(text: str) -> int:
    """How many numbers over 256 may be in a text beside all else that it has; a file of many takes far more memory
    than its length.

    Raises:
        _Wrong: all else takes too much.
    """
    counts = {sign: text.count(sign) for sign in JSON_WEIGHTS}
    n_quotes = text.count('"')
    if "\\\\" not in text:  # JSON inside a string, as Cloud Hypervisor has it: its signs are told by their quotes
        n_quotes -= text.count('\\"')
        counts[":"] -= text.count('\\":')
        counts["{"] -= text.count('{\\"')
    taken = sum(weight * counts[sign] for sign, weight in JSON_WEIGHTS.items())
    taken += JSON_STRING * max(0, n_quotes // 2 - counts[":"])
    if "\\u" in text:  # which may stand for letters that take two bytes or four, and so do all others of their string
        taken += (3 if _SURROGATE.search(text) else 1) * len(text)
    if taken > JSON_BYTES:
        told = f"{counts[':']} keys, {counts['[']} lists, {counts['{']} objects and {counts[',']} entries"
        msg = f"{told} take {taken // MIB} MiB; at most {JSON_BYTES // MIB} are read"
        raise _Wrong(msg)
    return (JSON_BYTES - taken) // JSON_NUMBER


def _numbers(room: int) -> Callable[[str], int]:
    """What reads whole numbers, so many over 256."""

    def integer(text: str) -> int:
        nonlocal room
        value = _integer(text)
        if not -6 < value < 257:  # CPython has the others once
            room -= 1
            if room < 0:
                msg = f"more numbers than {JSON_BYTES // MIB} MiB have room for"
                raise _Wrong(msg)
        return value

    return integer


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        msg = f"the key {shown(twice)} stands twice in one object"
        raise _Wrong(msg)
    return table


def _constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise _Wrong(msg)


def _float(text: str) -> float:
    value = float(text)
    if value - value != 0:
        msg = f"the number {cut(text)} is not finite"
        raise _Wrong(msg)
    return value


def _integer(text: str) -> int:
    if len(text) > 40 or not -_MAX_INT < (value := int(text)) < _MAX_INT:
        msg = f"the number {cut(text)} does not fit 128 bits"
        raise _Wrong(msg)
    return value
