"""Vector instructions of AVX2 and of AVX-512 without VBMI: tables of 16 bytes are looked up in each lane of a register.

Nothing here may be compiled unless `jit.level.BACK_END` is AVX2 or AVX512.
"""

from __future__ import annotations

from llvmlite import ir

from fastsmc.jit.level import AVX512, BACK_END
from fastsmc.jit.simd import I8, I32, I64, Change, Value, call, const, joined, lanes, load, split

LANE = 16
N_LANE = 4 if BACK_END == AVX512 else 2
WIDTH = LANE * N_LANE
"""Bytes of a lane and of a register."""
_SHUFFLE = "llvm.x86.avx512.pshuf.b.512" if N_LANE == 4 else "llvm.x86.avx2.pshuf.b"
_REGISTER = ir.VectorType(I8, WIDTH)


def look_up_128(builder: ir.IRBuilder, low: Value, index: Value, high: Value) -> Value:
    """64 look-ups in a table of 128 bytes, by the low 7 bits of each index byte."""
    return _look_up(builder, [*split(builder, low, LANE), *split(builder, high, LANE)], index)


def look_up_64(builder: ir.IRBuilder, table: Value, index: Value) -> Value:
    """64 look-ups in a table of 64 bytes, by the low 6 bits of each index byte."""
    return _look_up(builder, split(builder, table, LANE), index)


def _look_up(builder: ir.IRBuilder, blocks: list[Value], index: Value) -> Value:
    """64 look-ups in blocks of 16 bytes.

    A shuffle gives 0 for a negative index. So block k is asked for index - 16 k, and holds what its bytes differ in
    from those of the block before: the answers of the blocks up to the right one add up to it.
    """
    different = [blocks[0], *(builder.xor(*pair) for pair in zip(blocks[1:], blocks, strict=False))]
    tables = [builder.shuffle_vector(one, one, lanes(list(range(LANE)) * N_LANE)) for one in different]
    found = []
    for part in split(builder, builder.and_(index, const(LANE * len(blocks) - 1, 64, I8)), WIDTH):
        own = call(builder, _SHUFFLE, _REGISTER, tables[0], part)
        for k, table in enumerate(tables[1:], 1):
            beyond = builder.sub(part, const(LANE * k, WIDTH, I8))
            own = builder.xor(own, call(builder, _SHUFFLE, _REGISTER, table, beyond))
        found.append(own)
    return joined(builder, found)


def byte_planes(builder: ir.IRBuilder, base: Value, offset: Value, change: Change) -> list[Value]:
    """The lowest bytes of 64 words in order, the next ones, and so on, of words that `change` was made to.

    Lane j of register k holds words 16 j + 4 k to 16 j + 4 k + 3, so that no byte has to change its lane later.
    """
    words, n_word = ir.VectorType(I32, 4), WIDTH // 4
    by_byte = lanes([16 * lane + 4 * word + byte for lane in range(N_LANE) for byte in range(4) for word in range(4)])
    planes: list[list[Value]] = [[], [], [], []]
    for first in range(0, 256, 64 * N_LANE):
        four = []
        for k in range(4):
            places = [first + 64 * lane + 16 * k for lane in range(N_LANE)]
            parts = [load(builder, base, builder.add(offset, ir.Constant(I64, place)), words) for place in places]
            changed = builder.bitcast(change(joined(builder, parts)), _REGISTER)
            ordered = builder.shuffle_vector(changed, changed, by_byte)
            four.append(builder.bitcast(ordered, ir.VectorType(I32, n_word)))
        for half in range(2):  # words 0 and 1, then 2 and 3 of each lane, which hold a plane each
            pairs = [_interleaved(builder, four[k], four[k + 1], 4, 2 * half) for k in (0, 2)]
            twos = [builder.bitcast(pair, ir.VectorType(I64, n_word // 2)) for pair in pairs]
            for which in range(2):
                plane = _interleaved(builder, twos[0], twos[1], 2, which)
                planes[2 * half + which].append(builder.bitcast(plane, _REGISTER))
    return [joined(builder, parts) for parts in planes]


def _interleaved(builder: ir.IRBuilder, one: Value, two: Value, n: int, first: int) -> Value:
    """Of each lane of n elements those from `first` on, by turns with the other's, until the lane is full."""
    total = one.type.count
    picks = [lane + first + j // 2 + (total if j % 2 else 0) for lane in range(0, total, n) for j in range(n)]
    return builder.shuffle_vector(one, two, lanes(picks))
