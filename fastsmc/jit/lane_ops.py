"""What loops over lanes ask of LLVM: registers as wide as there are, and a maximum that is one instruction.

Both are for any CPU. Functions with a plain body run without Numba as well.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core.types import float64, void
from numba.extending import intrinsic, overload

Value = Any


def prefer_wide() -> None:
    """Has the loops of the function that calls it vectorized for registers of 64 bytes where the CPU has them.

    LLVM takes 32 bytes on Intel's servers unless told otherwise, for the sake of clock rates of 2017. Where the CPU has
    no registers of 64 bytes, this changes nothing.
    """


@intrinsic
def _prefer_wide(_typing: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Value:
        # Past llvmlite's own list of attributes, which has only those without a value.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return void(), generate


@overload(prefer_wide, strict=False, inline="always")  # into the caller, whose attribute it is
def _() -> Any:
    return lambda: _prefer_wide()


def larger(a: float, b: float) -> float:
    """The larger of two numbers, neither of them NaN.

    LLVM makes a store under a mask of `total[i] = max(total[i], x)`, which AMD's CPUs do in microcode. This it leaves a
    maximum.
    """
    return max(a, b)


def smaller(a: float, b: float) -> float:
    """The smaller of two numbers, neither of them NaN; see `larger`."""
    return min(a, b)


def _of_two(name: str) -> Any:
    @intrinsic
    def of_two(_typing: Any, a: Any, b: Any) -> Any:
        def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Value:
            kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType()] * 2)
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            return builder.call(function, arguments, fastmath=("nnan", "nsz"))

        return float64(float64, float64), generate

    return of_two


_larger, _smaller = _of_two("llvm.maxnum.f64"), _of_two("llvm.minnum.f64")


@overload(larger, strict=False)
def _(a: Any, b: Any) -> Any:
    return lambda a, b: _larger(a, b)


@overload(smaller, strict=False)
def _(a: Any, b: Any) -> Any:
    return lambda a, b: _smaller(a, b)
