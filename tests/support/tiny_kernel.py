"""A kernel that compiles in no time, for tests of the cache, in which any kernel will do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import kernel


@kernel
def fill(out: NDArray[Any]) -> None:
    """0, 1, 2..."""
    for i in range(out.size):
        out[i] = np.uint64(i)
