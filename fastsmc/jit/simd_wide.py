"""Vector instructions of AVX-512 with VBMI and VBMI2.

Nothing here may be compiled unless `jit.level.HAS_WIDE`, because LLVM ends the process over an instruction it cannot
select.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core.types import uint64
from numba.extending import intrinsic

from fastsmc.jit.simd import (
    BYTES,
    I1,
    I16,
    I32,
    I64,
    WORDS,
    Change,
    Logic,
    Value,
    call,
    const,
    data,
    lanes,
    load,
    splat,
    store,
)


def look_up_128(builder: ir.IRBuilder, low: Value, index: Value, high: Value) -> Value:
    """64 look-ups in a table of 128 bytes, by the low 7 bits of each index byte."""
    return call(builder, "llvm.x86.avx512.vpermi2var.qi.512", BYTES, low, index, high)


def look_up_64(builder: ir.IRBuilder, table: Value, index: Value) -> Value:
    """64 look-ups in a table of 64 bytes, by the low 6 bits of each index byte."""
    return call(builder, "llvm.x86.avx512.permvar.qi.512", BYTES, table, index)


def logic(builder: ir.IRBuilder, function: Logic, *three: Value) -> Value:
    """A function of three bits each, such as `lambda a, b, c: a ^ b & c`: one instruction, by its truth table."""
    words, kind = ir.VectorType(I64, 8), three[0].type
    table = function(0xF0, 0xCC, 0xAA) & 0xFF
    values = (*(builder.bitcast(value, words) for value in three), ir.Constant(I32, table))
    return builder.bitcast(call(builder, "llvm.x86.avx512.pternlog.q.512", words, *values), kind)


def byte_planes(builder: ir.IRBuilder, base: Value, offset: Value, change: Change) -> list[Value]:
    """The lowest bytes of 64 words in order, the next ones, and so on, of words that `change` was made to."""
    words = [change(load(builder, base, builder.add(offset, ir.Constant(I64, 64 * k)), WORDS)) for k in range(4)]
    whole = [builder.bitcast(word, BYTES) for word in words]
    quarters = ir.VectorType(I64, 8)
    lower = ir.Constant(BYTES, [0xFF] * 32 + [0] * 32)
    planes: list[Value] = [None] * 4
    for byte in range(2):
        # Of two registers at once: this byte of each word and the next but one. The halves change places in the second
        # pair, so that one plane is a blend, which has more ports than a shuffle.
        pick = [lane % 32 * 4 + byte + lane // 32 * 2 for lane in range(64)]
        low = look_up_128(builder, whole[0], ir.Constant(BYTES, pick), whole[1])
        high = look_up_128(builder, whole[2], ir.Constant(BYTES, pick[32:] + pick[:32]), whole[3])
        planes[byte] = logic(builder, lambda a, b, c: a & b | ~a & c, lower, low, high)
        low, high = builder.bitcast(low, quarters), builder.bitcast(high, quarters)
        planes[byte + 2] = builder.bitcast(builder.shuffle_vector(low, high, lanes([4, 5, 6, 7, 8, 9, 10, 11])), BYTES)
    return planes


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
