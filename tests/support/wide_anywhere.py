"""The wide kernels on CPUs without AVX-512: what only such CPUs have is spelled with LLVM's general instructions.

    pytest -p tests.support.wide_anywhere tests/dispatcher

The wide kernels use five instructions of AVX-512 (fastsmc/jit/simd_wide.py); the rest is LLVM's vectors, which it can
break down for any CPU. This plugin replaces the five by loops, before any kernel is imported, so that the algorithm is
tested where its instructions are missing. It is slow, and says nothing of the instructions themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Code that was compiled with these loops must not be found where the CPU has the instructions, nor the other way round.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wide-anywhere"
os.environ["XDG_CACHE_HOME"] = str(_CACHE)

import numba  # noqa: E402
from llvmlite import ir  # noqa: E402
from numba.core import cgutils  # noqa: E402

from fastsmc.jit import level, simd, simd_wide  # noqa: E402
from fastsmc.jit.simd import BYTES, I1, I16, I32, I64, WORDS, Value  # noqa: E402

NUMBERS = ir.VectorType(I16, 32)
Fill = Callable[[ir.IRBuilder, list[Value], Value, Value], None]


def _memory(builder: ir.IRBuilder, value: Value) -> Value:
    """The address of a copy of a vector in memory, as an array of its elements."""
    place = builder.alloca(value.type)
    place.align = 64
    builder.store(value, place)
    return builder.bitcast(place, value.type.element.as_pointer())


def _at(builder: ir.IRBuilder, memory: Value, lane: Value) -> Value:
    return builder.gep(memory, [lane])


def _looped(builder: ir.IRBuilder, name: str, kind: Any, fill: Fill, *arguments: Value) -> Value:
    """A call of a function that fills a vector lane by lane; it is made once per module."""
    signature = ir.FunctionType(kind, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, signature, f"fastsmc_anywhere_{name}")
    if function.is_declaration:
        function.linkage = "internal"
        inner = ir.IRBuilder(function.append_basic_block("entry"))
        out = inner.alloca(kind)
        out.align = 64
        inner.store(ir.Constant(kind, [0] * kind.count), out)
        memories = [
            _memory(inner, argument) if isinstance(argument.type, ir.VectorType) else argument
            for argument in function.args
        ]
        element = inner.bitcast(out, kind.element.as_pointer())
        with cgutils.for_range(inner, ir.Constant(I64, kind.count)) as loop:
            fill(inner, memories, element, loop.index)
        inner.ret(inner.load(out))
    return builder.call(function, arguments)


def look_up_128(builder: ir.IRBuilder, low: Value, index: Value, high: Value) -> Value:
    """As simd_wide has it."""

    def fill(inner: ir.IRBuilder, memories: list[Value], out: Value, lane: Value) -> None:
        first, numbers, second = memories
        number = inner.zext(inner.load(_at(inner, numbers, lane)), I64)
        here = inner.and_(number, ir.Constant(I64, 63))
        from_second = inner.icmp_unsigned("!=", inner.and_(number, ir.Constant(I64, 64)), ir.Constant(I64, 0))
        values = [inner.load(_at(inner, table, here)) for table in (second, first)]
        inner.store(inner.select(from_second, *values), _at(inner, out, lane))

    return _looped(builder, "look_up_128", BYTES, fill, low, index, high)


def look_up_64(builder: ir.IRBuilder, table: Value, index: Value) -> Value:
    """As simd_wide has it."""

    def fill(inner: ir.IRBuilder, memories: list[Value], out: Value, lane: Value) -> None:
        number = inner.zext(inner.load(_at(inner, memories[1], lane)), I64)
        here = inner.and_(number, ir.Constant(I64, 63))
        inner.store(inner.load(_at(inner, memories[0], here)), _at(inner, out, lane))

    return _looped(builder, "look_up_64", BYTES, fill, table, index)


def gather(builder: ir.IRBuilder, base: Value, offset: Value) -> Value:
    """As simd_wide has it."""

    def fill(inner: ir.IRBuilder, memories: list[Value], out: Value, lane: Value) -> None:
        here = inner.sext(inner.load(_at(inner, memories[1], lane)), I64)
        word = inner.bitcast(inner.gep(memories[0], [here]), I32.as_pointer())
        value = inner.load(word)
        value.align = 1
        inner.store(value, _at(inner, out, lane))

    return _looped(builder, "gather", WORDS, fill, base, offset)


def compress(builder: ir.IRBuilder, numbers: Value, mask: Value) -> Value:
    """As simd_wide has it: an element goes where as many are set before it."""

    def fill(inner: ir.IRBuilder, memories: list[Value], out: Value, lane: Value) -> None:
        bits = inner.trunc(lane, I32)
        is_set = inner.trunc(inner.lshr(memories[1], bits), I1)
        before = inner.and_(memories[1], inner.sub(inner.shl(ir.Constant(I32, 1), bits), ir.Constant(I32, 1)))
        with inner.if_then(is_set):
            place = inner.zext(inner.ctpop(before), I64)
            inner.store(inner.load(_at(inner, memories[0], lane)), _at(inner, out, place))

    return _looped(builder, "compress", NUMBERS, fill, numbers, mask)


if not level.HAS_WIDE and not numba.config.DISABLE_JIT:
    level.BACK_END, level.HAS_VECTORS, level.HAS_WIDE = level.WIDE, True, True
    simd_wide.logic = simd.logic
    for _function in (look_up_128, look_up_64, gather, compress):
        setattr(simd_wide, _function.__name__, _function)
