"""What callers give, as columns of calls: whole numbers in range or one sentence that says which is not."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastsmc.checks import must_be_whole
from fastsmc.errors import InputError
from fastsmc.facts.smccc import Level

T = TypeVar("T", bound=np.unsignedinteger[Any])
N = TypeVar("N", bound=np.integer[Any])


def column(
    name: str,
    value: ArrayLike,
    dtype: type[T],
    *,
    n_call: int | None = None,
    last: int | None = None,
    each: str = "call",
    counted_by: str = "vcpu has",
) -> NDArray[T]:
    """One column of whole numbers: dtype[n_call], the given array itself where it already is that.

    Args:
        each, counted_by: what there is one number of, and what says how many there must be, for messages.

    Raises:
        InputError: not one-dimensional, not `n_call` numbers, or a value that is not a whole number in 0..last.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        message = f"{name} is not one column of numbers ({error}): it must be one-dimensional, one number per {each}"
        raise InputError(message) from error
    if array.ndim != 1:
        message = f"{name} has shape {array.shape}: it must be one-dimensional, one number per {each}"
        raise InputError(message)
    if n_call is not None and len(array) != n_call:
        message = (
            f"{name} has {len(array)} {each}s and {counted_by} {n_call}: every column must have one number per {each}"
        )
        raise InputError(message)
    limit = int(np.iinfo(dtype).max) if last is None else last
    if array.dtype.kind not in "iu":
        # NumPy makes floats of a list like [0, 2**63], so the list itself is read.
        return np.array(_whole_list(name, value, array, limit), dtype)
    if array.dtype != dtype or limit < np.iinfo(dtype).max:
        bad = np.flatnonzero((array < 0) | (array > limit))
        if bad.size:
            raise InputError(_bad_element(name, int(bad[0]), array[bad[0]].item(), limit))
    return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"])


def is_laid_out(array: NDArray[Any]) -> bool:
    """Whether the numbers of an array lie one after another, each where it may be loaded at once."""
    flags = array.flags
    return bool(flags.carray or (flags.c_contiguous and flags.aligned))  # most arrays may be written to as well


def check_array(name: str, array: object, dtype: Any, shape: tuple[int, ...], made_by: str) -> None:
    """Refuses an array that a kernel could not trust: kernels check nothing.

    Raises:
        InputError: not an array, of another dtype or shape, not contiguous or not aligned.
    """
    is_array = isinstance(array, np.ndarray) and array.dtype == dtype and array.shape == shape
    if not is_array or not is_laid_out(array):  # type: ignore[arg-type]
        msg = f"{name} must be a contiguous {np.dtype(dtype)}{list(shape)}: {made_by} makes one of what you have"
        raise InputError(msg)


_NO_LEVELS = sorted(set(range(max(Level))) - set(Level))
_LEVELS = ", ".join(f"{level.value} ({level.name})" for level in Level)


def check_levels(level: NDArray[np.uint8]) -> None:
    """Refuses numbers that are no smccc.Level. uint8[n_call].

    Raises:
        InputError: one is not; which one, and what it may be.
    """
    is_none = level > max(Level)
    for number in _NO_LEVELS:
        is_none |= level == number
    if is_none.any():
        bad = np.flatnonzero(is_none)
        msg = f"level[{int(bad[0])}] is {int(level[bad[0]])}: it must be one of {_LEVELS}"
        raise InputError(msg)


def whole_slice(part: slice, n_call: int) -> slice:
    """The same slice with its start and stop in 0..n_call, the stop not before the start.

    Raises:
        InputError: a step other than 1.
    """
    start, stop, step = part.indices(n_call)
    if step != 1:
        msg = f"part is {part}: it must be a slice of step 1, as a part is calls in a row"
        raise InputError(msg)
    return slice(start, max(start, stop))


def part_of(values: NDArray[T] | None, part: slice) -> NDArray[T] | None:
    """A part of a column that may be absent, not copied."""
    return None if values is None else values[part]


def frozen(values: NDArray[N]) -> NDArray[N]:
    """A copy that stays as it was checked.

    The copy is a read-only view, because an array that owns its memory may be made writeable again. A read-only array
    is copied too, because another array may write to its memory.
    """
    owner = np.array(values)
    owner.flags.writeable = False
    return owner[:]


def _whole_list(name: str, value: ArrayLike, array: NDArray[Any], limit: int) -> list[int]:
    values = value if isinstance(value, Sequence) else array.tolist()
    for index, found in enumerate(values):
        if isinstance(found, bool) or not isinstance(found, Integral) or not 0 <= int(found) <= limit:
            raise InputError(_bad_element(name, index, found, limit))
    return [int(found) for found in values]


def _bad_element(name: str, index: int, found: object, limit: int) -> str:
    shown = hex(found) if isinstance(found, int) and found > 0xFFFF else repr(found)
    return f"{name}[{index}] is {shown}: {must_be_whole(0, limit)}"
