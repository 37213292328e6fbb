"""What loops over lanes ask of LLVM: registers as wide as there are, and a maximum that is one instruction.

Both are for any CPU. Functions with a plain body run without Numba as well.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core.types import float64, void

from fastsmc.jit.spelled import spelled

Value = Any


def prefer_wide() -> None:
    """Has the loops of the function that calls it vectorized for registers of 64 bytes where the CPU has them.

    LLVM takes 32 bytes on Intel's servers unless told otherwise, for the sake of clock rates of 2017. Where the CPU has
    no registers of 64 bytes, this changes nothing.
    """


@spelled(prefer_wide, void)
def _(builder: ir.IRBuilder, _arguments: Any) -> None:
    # Past llvmlite's own list of attributes, which has only those without a value.
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')


def larger(a: float, b: float) -> float:
    """The larger of two numbers, neither of them NaN.

    LLVM makes a store under a mask of `total[i] = max(total[i], x)`, which AMD's CPUs do in microcode. This it leaves a
    maximum.
    """
    return max(a, b)


def smaller(a: float, b: float) -> float:
    """The smaller of two numbers, neither of them NaN; see `larger`."""
    return min(a, b)


def _spell(function: Any, name: str) -> None:
    @spelled(function, float64, float64, float64)
    def _(builder: ir.IRBuilder, arguments: Any) -> Value:
        kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType()] * 2)
        called = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(called, arguments, fastmath=("nnan", "nsz"))


_spell(larger, "llvm.maxnum.f64")
_spell(smaller, "llvm.minnum.f64")
