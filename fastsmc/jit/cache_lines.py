"""Tables on cache lines: a wide register that is loaded from one line costs less than from two."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
LINE = 64
"""Bytes of a cache line, and of a wide register."""


def on_lines(rows: NDArray[Number]) -> NDArray[Number]:
    """The same from the start of a cache line on, so that a row of a line's bytes or less lies in one."""
    memory = np.empty(rows.nbytes + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    aligned = memory[start : start + rows.nbytes].view(rows.dtype).reshape(rows.shape)
    aligned[:] = rows
    return aligned
