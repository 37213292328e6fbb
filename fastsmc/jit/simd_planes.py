"""A table of 128 entries as planes of bytes, which registers look bytes up in: 64 keys are taken apart into planes too."""

from __future__ import annotations

from llvmlite import ir

from fastsmc.jit.simd import BYTES, I8, I64, Change, Entries, Value, const, load, store
from fastsmc.jit.vectors import byte_planes, logic, look_up_128


def words_64(builder: ir.IRBuilder, base: Value, offset: Value, change: Change) -> list[Value]:
    """64 words that `change` was made to, as planes of bytes, the lowest first."""
    return byte_planes(builder, base, offset, change)


def matched(
    builder: ir.IRBuilder, entries: Entries, steps: list[list[Value]], *, keep: int, top: int, flag: int
) -> list[tuple[Value, list[Value]]]:
    """Of 64 words each the bits `keep` of the top byte of their entries; and what is 0 where a word is its entry.

    The low 7 bits of a word's top byte choose its entry. Compared are the other bytes and the bits `top` of the top
    byte; an entry whose top byte has the bit `flag` differs from any word. Each plane is compared as it is looked up, so
    that few values wait at a time. The entries may change between calls of this, so no copy of their top bytes stays in
    registers.
    """
    choosing = [planes[3] for planes in steps]

    def of_words(base: Value, first: int, *, is_table: bool) -> list[Value]:
        low, high = (load(builder, base, first + half, BYTES, is_table=is_table) for half in (0, 64))
        return [look_up_128(builder, low, index, high) for index in choosing]

    answers, compared, key = [], const(top | flag, 64, I8), const(top, 64, I8)
    for entry, index in zip(of_words(entries.tops, 0, is_table=False), choosing, strict=True):
        # Spelled as what it is in the end: LLVM makes comparisons of it, which wait for few ports.
        different = builder.and_(logic(builder, lambda a, b, c: a ^ b & c, entry, index, key), compared)
        answers.append((builder.and_(entry, const(keep, 64, I8)), different))
    for byte in range(3):
        found = of_words(entries.planes, 128 * byte, is_table=True)
        answers = [
            (kept, logic(builder, lambda a, b, c: a | b ^ c, different, entry, planes[byte]))
            for (kept, different), entry, planes in zip(answers, found, steps, strict=True)
        ]
    return [(kept, [different]) for kept, different in answers]


def different_64(builder: ir.IRBuilder, different: list[Value]) -> Value:
    """A bit for each of 64 words that differs from its entry."""
    return builder.bitcast(builder.icmp_unsigned("!=", different[0], const(0, 64, I8)), I64)


def put_tops(builder: ir.IRBuilder, _entries: Entries, tops: list[Value], out: Entries) -> None:
    """Gives a copy of some entries other top bytes, of which two registers hold 64 each."""
    for half, values in enumerate(tops):
        store(builder, values, out.tops, ir.Constant(I64, 64 * half))
