"""Tables on cache lines: a wide register that is loaded from one line costs less than from two."""

from __future__ import annotations

from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
LINE = 64
"""Bytes of a cache line, and of a wide register."""


def empty_on_lines(shape: int | tuple[int, ...], dtype: type[Number]) -> NDArray[Number]:
    """An array that begins at a cache line, its elements not set."""
    n_byte = prod(shape if isinstance(shape, tuple) else (shape,)) * np.dtype(dtype).itemsize
    memory = np.empty(n_byte + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + n_byte].view(dtype).reshape(shape)


def on_lines(rows: NDArray[Number]) -> NDArray[Number]:
    """A copy that begins at a cache line, so that a row of no more bytes than a line lies in one line."""
    aligned = empty_on_lines(rows.shape, rows.dtype.type)
    aligned[:] = rows
    return aligned
