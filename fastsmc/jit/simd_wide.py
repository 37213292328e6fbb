"""Vector instructions of AVX-512 with VBMI and VBMI2.

Ask `jit.compiled.HAS_WIDE` before anything that uses them is compiled, because LLVM ends the process over an
instruction it cannot select.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core.types import uint64
from numba.extending import intrinsic

from fastsmc.jit.simd import BYTES, I1, I16, I32, I64, WORDS, Value, call, const, data, splat, store


def look_up_128(builder: ir.IRBuilder, low: Value, index: Value, high: Value) -> Value:
    """64 look-ups in a table of 128 bytes, by the low 7 bits of each index byte."""
    return call(builder, "llvm.x86.avx512.vpermi2var.qi.512", BYTES, low, index, high)


def look_up_64(builder: ir.IRBuilder, table: Value, index: Value) -> Value:
    """64 look-ups in a table of 64 bytes, by the low 6 bits of each index byte."""
    return call(builder, "llvm.x86.avx512.permvar.qi.512", BYTES, table, index)


A, B, C = 0xF0, 0xCC, 0xAA
"""Truth tables of the operands of `logic`: `A ^ B & C` is that of a ^ (b & c)."""


def logic(builder: ir.IRBuilder, table: int, *three: Value) -> Value:
    """A function of three bits each, by its truth table: one instruction."""
    words, kind = ir.VectorType(I64, 8), three[0].type
    values = (*(builder.bitcast(value, words) for value in three), ir.Constant(I32, table & 0xFF))
    return builder.bitcast(call(builder, "llvm.x86.avx512.pternlog.q.512", words, *values), kind)


def gather(builder: ir.IRBuilder, base: Value, offset: Value) -> Value:
    """16 words, each from a byte offset."""
    name = "llvm.x86.avx512.mask.gather.dpi.512"
    return call(builder, name, WORDS, const(0, 16, I32), base, offset, const(1, 16, I1), ir.Constant(I32, 1))


def compress(builder: ir.IRBuilder, numbers: Value, mask: Value) -> Value:
    """Of 32 numbers those whose bit in a 32-bit mask is set, moved to the front.

    A register comes back, as a compressing store is microcode on Zen 4.
    """
    chosen, name = builder.bitcast(mask, ir.VectorType(I1, 32)), "llvm.x86.avx512.mask.compress.v32i16"
    return call(builder, name, numbers.type, numbers, const(0, 32, I16), chosen)


@intrinsic
def list_bits(_typing: Any, bits: Any, first: Any, out: Any, at: Any) -> Any:
    """Writes `first` + the number of each set bit to uint16 `out` from `at` on; returns how many. Touches 64 words."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        word, start, _, place = arguments
        base, kind = data(context, builder, signature.args[2], arguments[2]), ir.VectorType(I16, 32)
        for part in range(2):
            mask = builder.trunc(builder.lshr(word, ir.Constant(I64, 32 * part)), I32)
            number = splat(builder, builder.trunc(start, I16), 32)
            numbers = builder.add(number, ir.Constant(kind, list(range(32 * part, 32 * part + 32))))
            store(builder, compress(builder, numbers, mask), base, builder.mul(place, ir.Constant(I64, 2)))
            place = builder.add(place, builder.zext(builder.ctpop(mask), I64))
        return place

    return uint64(uint64, uint64, out, uint64), generate
