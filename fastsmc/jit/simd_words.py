"""A table of 128 entries as words in eight registers, for AVX-512 without VBMI: the words of 64 keys stay words.

A word is turned until its top byte, which chooses the entry, is its lowest. Nothing here may be compiled unless the CPU
has AVX-512 F and BW.
"""

from __future__ import annotations

from llvmlite import ir

from fastsmc.jit.simd import (
    BYTES,
    I8,
    I16,
    I32,
    I64,
    WORDS,
    Change,
    Entries,
    Value,
    any_bit,
    call,
    const,
    joined,
    lanes,
    load,
    store,
)
from fastsmc.jit.simd_wide import logic

N_PART, LANES = 8, 16
"""Registers of a table, and words of a register."""
_HALVES = ir.VectorType(I16, 32)
_ALL_BUT_TOP = 0xFFFF_FF00
Differences = list[list[Value]]
"""Of 64 words each: what is left of them in four registers."""


def words_64(builder: ir.IRBuilder, base: Value, offset: Value, change: Change) -> list[Value]:
    """64 words that `change` was made to, a register each 16, their top bytes lowest."""
    places = [builder.add(offset, ir.Constant(I64, 64 * part)) for part in range(4)]
    eight = const(8, LANES, I32)
    changed = [change(load(builder, base, place, WORDS)) for place in places]
    return [call(builder, "llvm.fshl.v16i32", WORDS, words, words, eight) for words in changed]


def matched(builder: ir.IRBuilder, entries: Entries, steps: list[list[Value]]) -> tuple[list[Value], Differences]:
    """What `simd_planes.matched` says, by look-ups of words."""
    table = [load(builder, entries.words, 64 * part, WORDS) for part in range(N_PART)]
    compared, keep = const(_ALL_BUT_TOP | entries.top, LANES, I32), const(entries.keep, 64, I8)
    kept, different = [], []
    for words in steps:
        found = [_entry_of(builder, table, word) for word in words]
        # Of an equal word only what its entry keeps is left.
        pairs = zip(found, words, strict=True)
        left = [logic(builder, lambda a, b, c: a ^ b & c, entry, word, compared) for entry, word in pairs]
        kept.append(builder.and_(_low_bytes(builder, left), keep))
        different.append(left)
    return kept, different


def _entry_of(builder: ir.IRBuilder, table: list[Value], word: Value) -> Value:
    """16 look-ups by the low 7 bits of each word."""
    name = "llvm.x86.avx512.vpermi2var.d.512"
    found = [call(builder, name, WORDS, table[k], word, table[k + 1]) for k in range(0, N_PART, 2)]
    for bit in (5, 6):
        is_set = builder.icmp_unsigned("!=", builder.and_(word, const(1 << bit, LANES, I32)), const(0, LANES, I32))
        found = [builder.select(is_set, found[k + 1], found[k]) for k in range(0, len(found), 2)]
    return found[0]


def _low_bytes(builder: ir.IRBuilder, four: list[Value]) -> Value:
    """64 words below 256 as bytes, and anything of others: packed in each lane of 16 bytes, then put in order."""
    pairs = [call(builder, "llvm.x86.avx512.packusdw.512", _HALVES, *four[k : k + 2]) for k in (0, 2)]
    packed = builder.bitcast(call(builder, "llvm.x86.avx512.packuswb.512", BYTES, *pairs), WORDS)
    order = lanes([4 * lane + word for word in range(4) for lane in range(4)])
    return builder.bitcast(builder.shuffle_vector(packed, packed, order), BYTES)


def any_different(builder: ir.IRBuilder, entries: Entries, different: Differences, /) -> Value:
    """Whether any word differs from its entry."""
    whole, *others = (part for left in different for part in left)
    for other in others:
        whole = builder.or_(whole, other)
    return any_bit(builder, [builder.and_(whole, _beyond(entries))])


def different_64(builder: ir.IRBuilder, entries: Entries, different: Value, /) -> Value:
    """A bit for each of 64 words that differs from its entry."""
    none, beyond = const(0, LANES, I32), _beyond(entries)
    bits = [builder.icmp_unsigned("!=", builder.and_(left, beyond), none) for left in different]
    return builder.bitcast(joined(builder, bits), I64)


def _beyond(entries: Entries) -> Value:
    """The bits that are left of a word only where it differs from its entry."""
    return const(_ALL_BUT_TOP | entries.top | entries.flag, LANES, I32)


def put_tops(builder: ir.IRBuilder, entries: Entries, tops: list[Value], out: Entries, /) -> None:
    """What `simd_planes.put_tops` does."""
    for part in range(N_PART):
        half, first = tops[part // 4], LANES * (part % 4)
        own = builder.shuffle_vector(half, half, lanes(list(range(first, first + LANES))))
        rest = builder.and_(load(builder, entries.words, 64 * part, WORDS), const(_ALL_BUT_TOP, LANES, I32))
        store(builder, builder.or_(rest, builder.zext(own, WORDS)), out.words, ir.Constant(I64, 64 * part))
