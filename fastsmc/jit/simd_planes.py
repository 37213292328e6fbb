"""A table of 128 entries as planes of bytes, which registers look bytes up in: 64 keys are taken apart into planes."""

from __future__ import annotations

from llvmlite import ir

from fastsmc.jit.simd import BYTES, I8, I64, Change, Entries, Value, any_bit, const, load, store
from fastsmc.jit.vectors import byte_planes, logic, look_up_128

Differences = list[Value]
"""Of 64 words each: one register, whose byte is 0 where a word equals its entry."""


def words_64(builder: ir.IRBuilder, base: Value, offset: Value, change: Change) -> list[Value]:
    """64 words that `change` was made to, as planes of bytes, the lowest first."""
    return byte_planes(builder, base, offset, change)


def matched(builder: ir.IRBuilder, entries: Entries, steps: list[list[Value]]) -> tuple[list[Value], Differences]:
    """Of 64 words each what their entries keep, a byte, where they are equal, and where they are not.

    The low 7 bits of a word's top byte choose its entry. What a word that differs keeps is one of the entries' bits
    `keep`, or any. Each plane is compared as it is looked up, so that few values wait at a time. The entries may change
    between calls of this, so no copy of their top bytes stays in registers.
    """
    choosing = [planes[3] for planes in steps]

    def of_words(base: Value, first: int, *, is_table: bool) -> list[Value]:
        low, high = (load(builder, base, first + half, BYTES, is_table=is_table) for half in (0, 64))
        return [look_up_128(builder, low, index, high) for index in choosing]

    kept, different = [], []
    compared, top = const(entries.top | entries.flag, 64, I8), const(entries.top, 64, I8)
    for entry, index in zip(of_words(entries.tops, 0, is_table=False), choosing, strict=True):
        # Spelled as what it is in the end: LLVM makes comparisons of it, which wait for few ports.
        different.append(builder.and_(logic(builder, lambda a, b, c: a ^ b & c, entry, index, top), compared))
        kept.append(builder.and_(entry, const(entries.keep, 64, I8)))
    for byte in range(3):
        for k, entry in enumerate(of_words(entries.planes, 128 * byte, is_table=True)):
            different[k] = logic(builder, lambda a, b, c: a | b ^ c, different[k], entry, steps[k][byte])
    return kept, different


def any_different(builder: ir.IRBuilder, _entries: Entries, different: Differences, /) -> Value:
    """Whether any word differs from its entry."""
    return any_bit(builder, different)


def different_64(builder: ir.IRBuilder, _entries: Entries, different: Value, /) -> Value:
    """A bit for each of 64 words that differs from its entry."""
    return builder.bitcast(builder.icmp_unsigned("!=", different, const(0, 64, I8)), I64)


def put_tops(builder: ir.IRBuilder, _entries: Entries, tops: list[Value], out: Entries, /) -> None:
    """Gives a copy of some entries other top bytes, of which two registers hold 64 each."""
    for half, values in enumerate(tops):
        store(builder, values, out.tops, ir.Constant(I64, 64 * half))
