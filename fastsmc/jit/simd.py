"""Vector instructions for kernels: LLVM's own vectors, and the few operations Numba has no spelling for.

Functions with a plain body run without Numba as well.

Every function here is for any CPU; `simd_wide` has those that are not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core.types import float64, uint32, uint64, void
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from fastsmc.jit.spelled import spelled

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
DOUBLE = ir.DoubleType()
BYTES, WORDS = ir.VectorType(I8, 64), ir.VectorType(I32, 16)
"""What a wide register holds."""
Value = Any
Logic = Callable[[Any, Any, Any], Any]
Change = Callable[[Any], Any]
"""A function of three bits, spelled with `&`, `|`, `^` and `~`; what is made of a vector of words."""


class Entries(NamedTuple):
    """A table of 128 words, and what the bits of their top bytes are.

    Attributes:
        planes, tops: where it lies as planes of bytes, the lowest first, of which `tops` is the fourth.
        words: where it lies as words whose top bytes are their lowest.
        keep: bits that an entry tells of a word that it equals. top: the bits that are compared. flag: the bit of an
            entry that no word equals. Together they are all eight.
    """

    planes: Value
    tops: Value
    words: Value
    keep: int
    top: int
    flag: int


# -- building blocks of intrinsics ---------------------------------------------------------------------------------


def const(value: int, n: int, kind: ir.IntType) -> Value:
    return ir.Constant(ir.VectorType(kind, n), [value] * n)


def lanes(numbers: list[int]) -> Value:
    """The mask of a shuffle."""
    return ir.Constant(ir.VectorType(I32, len(numbers)), numbers)


def data(context: Any, builder: ir.IRBuilder, kind: Any, array: Value) -> Value:
    """The address of an array's first byte."""
    return builder.bitcast(context.make_array(kind)(context, builder, array).data, I8.as_pointer())


def load(builder: ir.IRBuilder, base: Value, offset: Value | int, kind: Any, *, is_table: bool = False) -> Value:
    """Loads a `kind` from byte `offset`. LLVM may keep a table's value in a register, whatever is stored in between."""
    at = builder.gep(base, [ir.Constant(I64, offset) if isinstance(offset, int) else offset])
    value = builder.load(builder.bitcast(at, kind.as_pointer()))
    value.align = 1
    if is_table:
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def store(builder: ir.IRBuilder, value: Value, base: Value, offset: Value) -> None:
    at = builder.gep(base, [offset])
    builder.store(value, builder.bitcast(at, value.type.as_pointer())).align = 1


def stream(builder: ir.IRBuilder, value: Value, base: Value, offset: Value) -> None:
    """Stores around the caches, to where a cache line begins. Call `finish_streams` after the last."""
    at = builder.gep(base, [offset])
    stored = builder.store(value, builder.bitcast(at, value.type.as_pointer()))
    stored.align = 64
    stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(I32, 1)]))


def splat(builder: ir.IRBuilder, value: Value, n: int) -> Value:
    kind = ir.VectorType(value.type, n)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), lanes([0] * n))


def call(builder: ir.IRBuilder, name: str, kind: Any, *arguments: Value) -> Value:
    """A call of LLVM's intrinsic `name`, which returns `kind`."""
    function = ir.FunctionType(kind, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)


def joined(builder: ir.IRBuilder, parts: list[Value]) -> Value:
    """Vectors of one length end to end; a power of two of them."""
    while len(parts) > 1:
        every = lanes(list(range(2 * parts[0].type.count)))
        parts = [builder.shuffle_vector(*parts[k : k + 2], every) for k in range(0, len(parts), 2)]
    return parts[0]


def split(builder: ir.IRBuilder, whole: Value, n: int) -> list[Value]:
    """A vector in parts of n elements."""
    return [
        builder.shuffle_vector(whole, whole, lanes(list(range(first, first + n))))
        for first in range(0, whole.type.count, n)
    ]


def any_bit(builder: ir.IRBuilder, registers: list[Value]) -> Value:
    """Whether any bit of some wide registers is set."""
    whole, *others = (builder.bitcast(register, ir.VectorType(I64, 8)) for register in registers)
    for other in others:
        whole = builder.or_(whole, other)
    whole = call(builder, "llvm.vector.reduce.or.v8i64", I64, whole)
    return builder.icmp_unsigned("!=", whole, ir.Constant(I64, 0))


class _Bits:
    """A vector that understands `&`, `|`, `^` and `~`."""

    def __init__(self, builder: ir.IRBuilder, value: Value) -> None:
        self.builder, self.value = builder, value

    def __and__(self, other: _Bits) -> _Bits:
        return _Bits(self.builder, self.builder.and_(self.value, other.value))

    def __or__(self, other: _Bits) -> _Bits:
        return _Bits(self.builder, self.builder.or_(self.value, other.value))

    def __xor__(self, other: _Bits) -> _Bits:
        return _Bits(self.builder, self.builder.xor(self.value, other.value))

    def __invert__(self) -> _Bits:
        return _Bits(self.builder, self.builder.not_(self.value))


def logic(builder: ir.IRBuilder, function: Logic, *three: Value) -> Value:
    """A function of three bits each, by as many instructions as it has operators."""
    a, b, c = (_Bits(builder, value) for value in three)
    return function(a, b, c).value


def prefetch(builder: ir.IRBuilder, base: Value, offset: Value, *, locality: int = 3) -> None:
    """Asks for the cache line at a byte offset, which need not exist; to L1, or with `locality` 2 to L2 only."""
    at = builder.gep(base, [offset])
    kind = ir.FunctionType(ir.VoidType(), [at.type, I32, I32, I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [at, ir.Constant(I32, 0), ir.Constant(I32, locality), ir.Constant(I32, 1)])


# -- intrinsics ------------------------------------------------------------------------------------------------------


def keys_below(key: NDArray[np.uint32], node: np.uint32, func_id: np.uint32) -> np.uint32:
    """How many of the 15 keys of a node are below an id: one comparison of 64 bytes, the word after them left out."""
    return np.uint32(np.count_nonzero(key[node, :15] < func_id))


@intrinsic
def _keys_below(_typing: Any, key: Any, node: Any, func_id: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base = data(context, builder, signature.args[0], arguments[0])
        offset = builder.mul(builder.zext(arguments[1], I64), ir.Constant(I64, 64))
        is_below = builder.icmp_unsigned("<", load(builder, base, offset, WORDS), splat(builder, arguments[2], 16))
        of_keys = builder.and_(builder.bitcast(is_below, I16), ir.Constant(I16, 0x7FFF))
        return builder.zext(builder.ctpop(of_keys), I32)

    return uint32(key, uint32, uint32), generate


@overload(keys_below, strict=False, inline="always")
def _(key: Any, node: Any, func_id: Any) -> Any:
    return lambda key, node, func_id: _keys_below(key, node, func_id)


def bits_of(number: float) -> np.uint64:
    """The 64 bits of a float."""
    return np.float64(number).view(np.uint64)


@spelled(bits_of, uint64, float64)
def _(builder: ir.IRBuilder, arguments: Any) -> Value:
    return builder.bitcast(arguments[0], I64)


def float_of(bits: np.uint64) -> float:
    """The float that 64 bits are."""
    return float(np.uint64(bits).view(np.float64))


@spelled(float_of, float64, uint64)
def _(builder: ir.IRBuilder, arguments: Any) -> Value:
    return builder.bitcast(arguments[0], DOUBLE)


def fma(a: float, b: float, c: float) -> float:
    """a * b + c, rounded once on every CPU. (Rounded twice without Numba.)"""
    return a * b + c


@spelled(fma, float64, float64, float64, float64)
def _(builder: ir.IRBuilder, arguments: Any) -> Value:
    return call(builder, "llvm.fma.f64", DOUBLE, *arguments)


def copy_row(table: NDArray[np.uint64], row: np.uint64, out: NDArray[np.uint64], at: np.uint64) -> None:
    """Copies one row of four words: one load and one store."""
    out[at] = table[row]


@intrinsic
def _copy_row(_typing: Any, table: Any, row: Any, out: Any, at: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        source, target = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 2))
        first, second = (builder.mul(arguments[k], ir.Constant(I64, 32)) for k in (1, 3))
        words = load(builder, source, first, ir.VectorType(I64, 4), is_table=True)
        store(builder, words, target, second)
        return context.get_dummy_value()

    return void(table, uint64, out, uint64), generate


@overload(copy_row, strict=False)
def _(table: Any, row: Any, out: Any, at: Any) -> Any:
    return lambda table, row, out, at: _copy_row(table, row, out, at)


def copy_two(table: NDArray[np.uint64], one: np.uint64, two: np.uint64, out: NDArray[np.uint64], at: np.uint64) -> None:
    """Copies two rows of four words to a cache line, around the caches. Call `finish_streams` after the last."""
    out[at], out[at + 1] = table[one], table[two]


@intrinsic
def _copy_two(_typing: Any, table: Any, one: Any, two: Any, out: Any, at: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        source, target = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 3))
        offsets = [builder.mul(arguments[k], ir.Constant(I64, 32)) for k in (1, 2, 4)]
        rows = [load(builder, source, offset, ir.VectorType(I64, 4), is_table=True) for offset in offsets[:2]]
        line = builder.shuffle_vector(*rows, lanes(list(range(8))))
        stream(builder, line, target, offsets[2])
        return context.get_dummy_value()

    return void(table, uint64, uint64, out, uint64), generate


@overload(copy_two, strict=False)
def _(table: Any, one: Any, two: Any, out: Any, at: Any) -> Any:
    return lambda table, one, two, out, at: _copy_two(table, one, two, out, at)


def finish_streams() -> None:
    """Makes other threads see what was streamed."""


@intrinsic
def _fence(_typing: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Value:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return void(), generate


@overload(finish_streams, strict=False)
def _() -> Any:
    return lambda: _fence()


@intrinsic
def extremes_64(_typing: Any, index: Any, at: Any) -> Any:
    """One word of two halves: the least of 64 indices from `at` on in the low half, the greatest in the high one."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        bits = signature.args[0].dtype.bitwidth
        kind = ir.IntType(bits)
        base = data(context, builder, signature.args[0], arguments[0])
        offset = builder.mul(arguments[1], ir.Constant(I64, bits // 8))
        these = load(builder, base, offset, ir.VectorType(kind, 64))
        low, high = (
            builder.zext(call(builder, f"llvm.vector.reduce.{name}.v64i{bits}", kind, these), I64)
            for name in ("umin", "umax")
        )
        return builder.or_(low, builder.shl(high, ir.Constant(I64, 32)))

    return uint64(index, uint64), generate


def stand_alone() -> None:
    """Keeps the function that calls it out of its callers, which would take registers from its loop."""


@intrinsic
def _stand_alone(_typing: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Value:
        if "alwaysinline" not in builder.function.attributes:  # Numba compiles this line by itself, too, for a step
            builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return void(), generate


@overload(stand_alone, strict=False, inline="always")
def _() -> Any:
    return lambda: _stand_alone()
