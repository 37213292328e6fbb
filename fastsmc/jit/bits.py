"""Set bits of a word, listed one by one: for CPUs that have no instruction for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core.types import uint64
from numba.extending import intrinsic
from numpy.typing import NDArray

from fastsmc.jit.compiled import inner_kernel
from fastsmc.jit.simd import I1, Value


@intrinsic
def _lowest(_typing: Any, word: Any) -> Any:
    """The number of the lowest set bit of a word."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Value:
        return builder.cttz(arguments[0], ir.Constant(I1, 1))

    return uint64(uint64), generate


@inner_kernel
def list_bits(bits: np.uint64, first: np.uint64, out: NDArray[np.uint16], at: np.uint64) -> np.uint64:
    """Writes `first` + the number of each set bit to `out` from `at` on; returns how many are written in all."""
    while bits:
        out[at] = first + _lowest(bits)
        at += np.uint64(1)
        bits &= bits - np.uint64(1)
    return at
