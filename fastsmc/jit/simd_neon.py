"""Vector instructions of arm64: tables of 64 bytes are looked up in four registers.

Nothing here may be compiled unless `jit.level.BACK_END` is NEON.
"""

from __future__ import annotations

from llvmlite import ir

from fastsmc.jit.simd import I8, I32, I64, Change, Value, call, const, joined, lanes, load, split

_BYTES, _WORDS = ir.VectorType(I8, 16), ir.VectorType(I32, 4)
"""What a register holds."""


def look_up_64(builder: ir.IRBuilder, table: Value, index: Value) -> Value:
    """64 look-ups in a table of 64 bytes, by the low 6 bits of each index byte."""
    four = split(builder, table, 16)
    within = split(builder, builder.and_(index, const(63, 64, I8)), 16)
    return joined(builder, [call(builder, "llvm.aarch64.neon.tbl4.v16i8", _BYTES, *four, part) for part in within])


def look_up_128(builder: ir.IRBuilder, low: Value, index: Value, high: Value) -> Value:
    """64 look-ups in a table of 128 bytes, by the low 7 bits of each index byte.

    An index that is not in the table gives 0 in the first look-up, and leaves what there is in the second.
    """
    lower, upper = split(builder, low, 16), split(builder, high, 16)
    found = []
    for part in split(builder, builder.and_(index, const(127, 64, I8)), 16):
        first = call(builder, "llvm.aarch64.neon.tbl4.v16i8", _BYTES, *lower, part)
        beyond = builder.sub(part, const(64, 16, I8))
        found.append(call(builder, "llvm.aarch64.neon.tbx4.v16i8", _BYTES, first, *upper, beyond))
    return joined(builder, found)


def byte_planes(builder: ir.IRBuilder, base: Value, offset: Value, change: Change) -> list[Value]:
    """The lowest bytes of 64 words in order, the next ones, and so on, of words that `change` was made to."""
    even, odd = (lanes(list(range(first, 32, 2))) for first in (0, 1))
    planes: list[list[Value]] = [[], [], [], []]
    for first in range(0, 256, 64):
        places = [builder.add(offset, ir.Constant(I64, first + part)) for part in range(0, 64, 16)]
        four = [builder.bitcast(change(load(builder, base, place, _WORDS)), _BYTES) for place in places]
        for byte, which in enumerate((even, odd)):
            halves = [builder.shuffle_vector(*four[k : k + 2], which) for k in (0, 2)]
            planes[byte].append(builder.shuffle_vector(*halves, even))
            planes[byte + 2].append(builder.shuffle_vector(*halves, odd))
    return [joined(builder, parts) for parts in planes]
