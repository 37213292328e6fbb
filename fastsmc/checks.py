"""What callers give, checked: whole numbers in range, alone or in arrays, one of a few words, numbers written as text.

Each check returns the value in the type that the caller of the check wants, or raises one sentence that says what
was given, where, and what would be right. `error` is the class of that exception, an `InputError` unless the value
came from a file that has an error class of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from enum import Enum
from itertools import islice, takewhile
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastsmc.errors import FastsmcError, InputError

E = TypeVar("E", bound=Enum)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    U8Array = NDArray[np.uint8]
    U16Array = NDArray[np.uint16]
    U32Array = NDArray[np.uint32]
    U64Array = NDArray[np.uint64]
    I64Array = NDArray[np.int64]
    F64Array = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]

_ARRAYS = {
    **{f"U{bits}Array": f"uint{bits}" for bits in (8, 16, 32, 64)},
    **{"I64Array": "int64", "F64Array": "float64", "BoolArray": "bool_"},
}
"""Types of arrays by name, made when they are first asked for: the command line shows its help without NumPy."""

LAST_U32, LAST_U64 = 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
_SHOWN = 60
"""Characters of a wrong value that a message shows."""
_LOOKED_AT = 4096
"""Characters of a wrong text that are looked at for these."""
_LONGEST = 80
"""Characters of a wrong word that are compared with others."""
_MOST_FILES = 1000
"""Files of a folder that are compared with a missing one."""
_UNSHOWN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_RANGE = re.compile(r"(\d{1,999})(?:\s*(?:-|\.\.)\s*(\d{1,999})(?:\s*\.\.\s*(x?)(\d{1,999}))?)?", re.ASCII)
_LAST_NUMBER, _MOST_NUMBERS = 1 << 20, 1 << 16
"""The largest number in a text, and how many it may stand for; more is a slip of the pen such as 1-10000000000."""


def __getattr__(name: str) -> Any:
    if name not in _ARRAYS:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import numpy as np
    from numpy.typing import NDArray

    made = globals()[name] = NDArray[getattr(np, _ARRAYS[name])]  # type: ignore[misc]  # known only here
    return made


def shown(value: object) -> str:
    """A value as a message shows it: on one line, cut after 60 characters.

    >>> shown([10] * 1_000_000)
    '[10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,…'
    """
    try:
        text = " ".join(repr(_beginning(value, [_SHOWN])).split())
    except (ValueError, RecursionError):  # Python writes no number of thousands of digits, and no list in so many lists
        if isinstance(value, int):
            return f"a number of {value.bit_length()} bits"
        return f"a {type(value).__name__} too large to show"
    return cut(text)


def _beginning(value: object, left: list[int]) -> object:
    """What a long value begins with, as far as it can be shown: a file may hold millions of entries, or deep ones."""
    left[0] -= 1
    if type(value) in (str, bytes):
        return cast(str, value)[:_LOOKED_AT]
    if type(value) is list:
        return [_beginning(entry, left) for entry in takewhile(lambda _: left[0] >= 0, value)]
    if type(value) is dict:
        return {
            _beginning(key, left): _beginning(entry, left)
            for key, entry in takewhile(lambda _: left[0] >= 0, value.items())
        }
    return value


def cut(text: str) -> str:
    """A text as a message shows it: cut after 60 characters, with a mark.

    >>> cut("6.12"), len(cut("6" * 100))
    ('6.12', 61)
    """
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def escaped(text: str) -> str:
    """A text that may be printed: what a terminal would obey or not show is written as Python writes it.

    These are control characters but for line ends and tabs, bidi overrides, characters of no width, and lone
    surrogates, which stand for bytes that are no text.

    >>> escaped("\\x1b[31mred")
    '\\\\x1b[31mred'
    """
    return _UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def whole(
    name: str, value: object, *, first: int = 0, last: int, remark: str = "", error: type[FastsmcError] = InputError
) -> int:
    """The value as an int; a boolean is no number, and nothing is rounded.

    Args:
        name: what the message calls the value.
        remark: ends the message, after a semicolon.

    Raises:
        InputError, or `error`: not a whole number in first..last.

    >>> whole("n_vcpu", 4, first=1, last=512)
    4
    """
    if type(value) is int:  # nearly always, and the questions below take longer than all the rest
        number: int | None = value
    else:
        number = None if isinstance(value, bool) or not isinstance(value, Integral) else int(value)
    if number is None or not first <= number <= last:
        msg = f"{name} is {shown(value)}: {must_be_whole(first, last)}{'; ' * bool(remark)}{remark}"
        raise error(msg)
    return number


def must_be_whole(first: int, last: int) -> str:
    """The sentence about a value that is no whole number in first..last."""
    return f"it must be a whole number in {first}..{last if last < LAST_U32 else hex(last)}"


def whole_array(name: str, value: object, *, first: int = 0, last: int) -> NDArray[Any]:
    """One number or an array-like of them as an array; nothing is rounded or wrapped.

    Raises:
        InputError: a value that is not a whole number in first..last.
    """
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError as error:
        msg = f"{name} is not an array of whole numbers: {error}"
        raise InputError(msg) from error
    is_list = isinstance(value, list | tuple)
    if is_list and (array.dtype.kind not in "iu" or any(isinstance(v, bool | np.bool_) for v in cast(Any, value))):
        # NumPy makes floats of [0, 2**63] and integers of [True, 2], so the values themselves are read.
        return np.array(
            [whole(f"{name}[{i}]", v, first=first, last=last) for i, v in enumerate(cast(Any, value))], np.uint64
        )
    if array.dtype.kind not in "iu":
        return np.array(whole(name, value, first=first, last=last), np.uint64)
    bad = np.flatnonzero((array < first) | (array > last))
    if bad.size:
        place = f"[{bad[0]}]" if array.ndim else ""
        whole(f"{name}{place}", array.flat[bad[0]].item(), first=first, last=last)
    return array


def one_of(name: str, value: object, kind: type[E], *, error: type[FastsmcError] = InputError) -> E:
    """The member of an enum whose value is given; the message names the one that is spelled most alike.

    Raises:
        InputError, or `error`: no member has that value.
    """
    try:
        return kind(value)
    except ValueError:
        allowed = [str(member.value) for member in kind]
        raise error(not_among(name, value, allowed)) from None


def word_of(name: str, value: object, allowed: Iterable[str], *, error: type[FastsmcError] = InputError) -> str:
    """The value, which is one of the allowed words.

    Raises:
        InputError, or `error`: it is not.
    """
    words = list(allowed)
    if isinstance(value, str) and value in words:
        return value
    raise error(not_among(name, value, words))


def not_among(name: str, value: object, allowed: list[str]) -> str:
    """The sentence about a word that is not one of those allowed."""
    by_key = {word.lower(): word for word in reversed(allowed)}
    close = get_close_matches(value.strip().lower()[:_LONGEST], by_key, n=1) if isinstance(value, str) else []
    meant = f"; did you mean {by_key[close[0]]}?" if close else ""
    listed = ", ".join(repr(word) if "," in word else word for word in allowed)
    return f"{name} is {shown(value)}: it must be one of {listed}{meant}"


def near_file(path: str | os.PathLike[str]) -> str:
    """The question for a file beside one that is missing, whose name is spelled alike; "" for none.

    >>> near_file("no/such/folder/file.json")
    ''
    """
    missing = Path(path)
    try:
        if missing.exists():
            return ""
        entries = islice(os.scandir(missing.parent), _MOST_FILES)
        names = [entry.name for entry in entries if entry.name != missing.name]  # a link to nothing, or to itself
    except (OSError, ValueError):
        return ""
    close = get_close_matches(missing.name[:_LONGEST], names, n=1, cutoff=0.75)
    return f"; did you mean {missing.parent / close[0]}?" if close else ""


def whole_numbers(name: str, text: str, *, first: int = 1, last: int = _LAST_NUMBER) -> list[int]:
    """The numbers that a text such as "1,2,4-8" or "1..4" stands for, in the order in which they are written.

    A range may have a step, "64..1024..64", or a factor, "1..1024..x2"; it then ends with the last number within it.

    Raises:
        InputError: written otherwise, a range that falls, a step that leads nowhere, or a number outside first..last.

    >>> whole_numbers("--vcpus", "64,1-3"), whole_numbers("--vcpus", "1..9..4,1..9..x2")
    ([64, 1, 2, 3], [1, 5, 9, 1, 2, 4, 8])
    """
    numbers: list[int] = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            msg = f"{name} {shown(text)}: give whole numbers joined by commas, or ranges, such as 1,64,512 or 1-8"
            raise InputError(msg)
        low = whole(name, int(found[1]), first=first, last=last)
        high = whole(name, int(found[2] or found[1]), first=first, last=last)
        if high < low:
            msg = f"{name} {shown(text)}: the range {part.strip()} falls; write the smaller number first"
            raise InputError(msg)
        is_factor, step = bool(found[3]), int(found[4] or 1)
        if step < 1 + is_factor or (is_factor and not low):
            msg = f"{name} {shown(text)}: {part.strip()} leads nowhere; give steps such as 64..1024..64 or 1..1024..x2"
            raise InputError(msg)
        if not is_factor and len(numbers) + (high - low) // step >= _MOST_NUMBERS:
            msg = f"{name} {shown(text)} stands for more than {_MOST_NUMBERS} numbers"
            raise InputError(msg)
        numbers += _doubled(low, high, step) if is_factor else range(low, high + 1, step)
    return numbers


def _doubled(low: int, high: int, factor: int) -> Iterator[int]:
    """A number, that number times the factor, and so on, up to another number."""
    while low <= high:
        yield low
        low *= factor
