"""Which VMs or vCPUs of a fleet are meant: a number, a slice, a list of numbers or a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray, I64Array, whole_array
from fastsmc.errors import InputError

Selection = int | slice | NDArray[Any] | Sequence[int]
"""A number, a slice, numbers each given once, or a boolean mask; slice(None) for all, as None is refused."""


def selected(name: str, selection: object, n: int) -> I64Array:
    """Numbers out of 0..n-1 that a selection stands for; what a slice names beyond the end is not there.

    Raises:
        InputError: None, a number that is not there, negative or given twice, a mask of another length, or no
            selection at all.
    """
    if selection is None:
        msg = f"{name} is None: give slice(None) for all {n}"
        raise InputError(msg)
    if isinstance(selection, slice):
        try:
            return np.arange(*selection.indices(n), dtype=np.int64)
        except (TypeError, ValueError) as error:
            msg = f"{name} is {selection!r}: {error}"
            raise InputError(msg) from error
    if _is_mask(selection):
        mask: BoolArray = np.asarray(selection)
        if mask.shape != (n,):
            msg = f"{name} is a mask of shape {mask.shape}: give one boolean for each of the {n}"
            raise InputError(msg)
        return np.flatnonzero(mask)
    numbers = whole_array(name, selection, last=n - 1)
    if numbers.ndim > 1:
        msg = f"{name} has shape {numbers.shape}: give one list of numbers"
        raise InputError(msg)
    chosen: I64Array = np.atleast_1d(numbers).astype(np.int64)
    if (chosen[1:] <= chosen[:-1]).any():
        ordered = np.sort(chosen)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if twice.size:
            msg = f"{name} has {twice[0]} more than once: give each number once"
            raise InputError(msg)
    return chosen


def _is_mask(selection: object) -> bool:
    if isinstance(selection, np.ndarray):
        return selection.dtype == np.bool_ and selection.ndim > 0
    is_list = isinstance(selection, list | tuple) and len(selection) > 0
    return is_list and all(isinstance(one, bool | np.bool_) for one in cast(Sequence[object], selection))
