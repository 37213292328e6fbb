"""What the wide kernel does with 64 calls at a time, as LLVM's vectors: classes, verdicts of one row or of few, codes.

Ids are split into byte planes; the bucket of an id, its key and its class are then look-ups of bytes in registers.
Every function takes arrays and the place of the first of 64 calls. Nothing here may be compiled unless
`jit.level.HAS_VECTORS`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core.types import boolean, uint32, uint64, void
from numba.core.types.containers import UniTuple
from numba.extending import intrinsic

from fastsmc.jit import simd as _simd
from fastsmc.jit.entries import any_different, different_64, matched, put_tops, words_64
from fastsmc.jit.simd import BYTES, I1, I8, I32, I64, WORDS, Entries, Value, const, data, lanes, load
from fastsmc.jit.simd_wide import gather
from fastsmc.jit.vectors import N_TOGETHER, byte_planes, look_up_64, look_up_128
from fastsmc.kernels import (
    BIT_ROWS,
    BITS_AT,
    CLASS,
    CODE_AT,
    HIT_AT,
    IS_EMPTY,
    KEY_TOP,
    N_BIT_CLASS,
    N_BIT_PLANE,
    ONE_AT,
    OTHER_AT,
    PLANE_AT,
    UNKNOWN_AT,
    VALUE_AT,
    VCPU_AT,
    WHICH_AT,
    WORD_AT,
)

AHEAD, SOON = 3072, 2048
"""Prefetch distances in elements: AHEAD is a chunk and a half, SOON is a chunk. What the hardware prefetches is
forgotten while other loops run in between."""


def ids_at(builder: ir.IRBuilder, func_id: Value, at: Value) -> list[Value]:
    """64 ids in four registers."""
    offset = builder.mul(at, ir.Constant(I64, 4))
    return [load(builder, func_id, builder.add(offset, ir.Constant(I64, 64 * k)), WORDS) for k in range(4)]


def product_planes(builder: ir.IRBuilder, func_id: Value, at: Value, multiplier: Value) -> list[Value]:
    """The bytes of 64 ids' products with half the multiplier, which is odd."""
    return _products(builder, byte_planes, func_id, at, multiplier)


def _products(builder: ir.IRBuilder, form: Any, func_id: Value, at: Value, multiplier: Value) -> list[Value]:
    half = builder.lshr(multiplier, ir.Constant(I32, 1))

    def product(words: Value) -> Value:
        return builder.mul(words, _simd.splat(builder, half, words.type.count))

    return form(builder, func_id, builder.mul(at, ir.Constant(I64, 4)), product)  # type: ignore[no-any-return]


def _ask(elements: int, locality: int) -> Any:
    @intrinsic
    def ask(_typing: Any, column: Any, at: Any) -> Any:
        """Asks for the 64 elements that lie so many elements after `at`, past the end of the column as well."""

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
            size = signature.args[0].dtype.bitwidth // 8
            base = data(context, builder, signature.args[0], arguments[0])
            first = builder.add(builder.mul(arguments[1], ir.Constant(I64, size)), ir.Constant(I64, elements * size))
            for line in range(size):
                at = builder.add(first, ir.Constant(I64, 64 * line))
                _simd.prefetch(builder, base, at, locality=locality)
            return context.get_dummy_value()

        return void(column, uint64), generate

    return ask


ask_ahead, ask_soon = _ask(AHEAD, 2), _ask(SOON, 3)
"""`ask_ahead` prefetches to L2, so that nothing that the loops of this chunk leave each other in L1 is pushed out;
`ask_soon` prefetches to L1."""


@intrinsic
def ask_node(_typing: Any, nodes: Any, node: Any) -> Any:
    """Prefetches one node of rows.FilterTrees."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base = data(context, builder, signature.args[0], arguments[0])
        _simd.prefetch(builder, base, builder.mul(builder.zext(arguments[1], I64), ir.Constant(I64, 64)))
        return context.get_dummy_value()

    return void(nodes, uint32), generate


def _entries(builder: ir.IRBuilder, lookups: Value, tables: Value) -> Entries:
    """The keys of `lookups`, by bucket, with the classes of `tables`."""
    of = ((lookups, PLANE_AT), (tables, HIT_AT), (tables, WORD_AT))
    planes, tops, words = (builder.gep(base, [ir.Constant(I64, first)]) for base, first in of)
    return Entries(planes, tops, words, keep=CLASS, top=KEY_TOP, flag=IS_EMPTY)


def _classes(
    builder: ir.IRBuilder, entries: Entries, bases: list[Value], places: list[Value], multiplier: Value
) -> Any:
    """Stores the class of each known id of some steps; returns which ids differ from the keys of their buckets.

    The key is compared as a product: an odd multiplier gives different ids different products. The bucket is the low 7
    bits of the product's top byte, which no look-up has to be told; the bit above them is compared with the entry's.
    """
    ids, outs = bases
    products = [_products(builder, words_64, ids, place, multiplier) for place in places]
    classes, different = matched(builder, entries, products)
    for its_classes, place in zip(classes, places, strict=True):
        _simd.store(builder, its_classes, outs, place)
    return different


def _class_step(n: int, *, is_allowed: bool) -> Any:
    @intrinsic
    def class_step(_typing: Any, func_id: Any, at: Any, lookup: Any, table: Any, multiplier: Any, out: Any) -> Any:
        """Stores the class of each known id of n steps.

        `is_allowed`: and of unknown ids the class of those that the PSCI allow rule passes or refuses. Else their class
        is arbitrary, and a bit mask of them is returned for each step.
        """

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
            ids, lookups, tables, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 3, 5))
            places = [builder.add(arguments[1], ir.Constant(I64, 64 * k)) for k in range(n)]
            entries = _entries(builder, lookups, tables)
            different = _classes(builder, entries, [ids, outs], places, arguments[4])
            if not is_allowed:
                unknown = [different_64(builder, entries, one) for one in different]
                return context.make_tuple(builder, signature.return_type, unknown)
            with builder.if_then(any_different(builder, entries, different), likely=False):
                for one, place in zip(different, places, strict=True):
                    is_unknown = builder.bitcast(different_64(builder, entries, one), ir.VectorType(I1, 64))
                    _allow(builder, [ids, tables, outs], place, is_unknown)
            return context.get_dummy_value()

        result = void if is_allowed else UniTuple(uint64, n)
        return result(func_id, at, lookup, table, multiplier, out), generate

    return class_step


def _allow(builder: ir.IRBuilder, bases: list[Value], at: Value, is_unknown: Value) -> None:
    """Gives unknown ids the class of those that the PSCI allow rule passes or refuses."""
    ids, tables, outs = bases
    refused, passed = (_simd.splat(builder, load(builder, tables, UNKNOWN_AT + k, I8), 16) for k in (0, 1))
    parts = []
    for words in ids_at(builder, ids, at):
        masked = builder.and_(words, const(0x3F00_FFE0, 16, I32))
        is_psci = builder.icmp_unsigned("==", masked, const(0x0400_0000, 16, I32))
        parts.append(builder.select(is_psci, passed, refused))
    known = load(builder, outs, at, BYTES)
    _simd.store(builder, builder.select(is_unknown, _simd.joined(builder, parts), known), outs, at)


allow_step, allow_steps = (_class_step(n, is_allowed=True) for n in (1, N_TOGETHER))
class_step, class_steps = (_class_step(n, is_allowed=False) for n in (1, N_TOGETHER))
"""Of one step, and of those whose instructions are interleaved."""


@intrinsic
def fold_row(_typing: Any, table: Any, verdict: Any, row: Any, out: Any) -> Any:
    """Puts the verdicts of one row in place of classes, so that a step of classes is one of verdicts."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        tables, rows, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 1, 3))
        offset = builder.mul(builder.zext(arguments[2], I64), ir.Constant(I64, 64))
        row_bytes = load(builder, rows, offset, BYTES, is_table=True)
        folded = []
        for first in (HIT_AT, HIT_AT + 64, UNKNOWN_AT):
            classes = load(builder, tables, first, BYTES, is_table=True)
            found = look_up_64(builder, row_bytes, classes)
            flags = builder.and_(classes, const(KEY_TOP | IS_EMPTY, 64, I8))
            folded.append(builder.or_(found, flags))
        *tops, of_unknown = folded
        put_tops(builder, _entries(builder, tables, tables), tops, _entries(builder, tables, outs))
        _simd.store(builder, of_unknown, outs, ir.Constant(I64, UNKNOWN_AT))
        return context.get_dummy_value()

    return void(table, verdict, uint32, out), generate


@intrinsic
def row_step(_typing: Any, classes: Any, at: Any, verdict: Any, row: Any, out: Any) -> Any:
    """Verdicts of calls that are all of one row."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, rows, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 4))
        offset = builder.mul(builder.zext(arguments[3], I64), ir.Constant(I64, 64))
        row_bytes = load(builder, rows, offset, BYTES, is_table=True)
        found = look_up_64(builder, row_bytes, load(builder, base, arguments[1], BYTES))
        _simd.store(builder, found, outs, arguments[1])
        return context.get_dummy_value()

    return void(classes, uint64, verdict, row, out), generate


@intrinsic
def mixed_step(_typing: Any, classes: Any, at: Any, packed: Any, byte_bits: Any, index: Any, out: Any) -> Any:
    """Verdicts of calls of any rows: `index` counts rows of `1 << byte_bits` bytes in `packed`.

    A gather loads words, of which the first byte counts: three bytes past the end of `packed` are read.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, rows, indices, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 4, 5))
        these = load(builder, base, arguments[1], BYTES)
        half = builder.lshr(these, const(1, 64, I8))
        bits = signature.args[4].dtype.bitwidth
        shift = _simd.splat(builder, arguments[3], 16)
        first = builder.mul(arguments[1], ir.Constant(I64, bits // 8))
        parts = []
        for part in range(4):
            offset = builder.add(first, ir.Constant(I64, 2 * bits * part))
            row = load(builder, indices, offset, ir.VectorType(ir.IntType(bits), 16))
            row = builder.zext(row, WORDS) if bits < 32 else row
            more = builder.shuffle_vector(half, half, lanes(list(range(16 * part, 16 * part + 16))))
            place = builder.or_(builder.shl(row, shift), builder.zext(more, WORDS))
            parts.append(builder.trunc(gather(builder, rows, place), ir.VectorType(I8, 16)))
        pair = _simd.joined(builder, parts)
        _simd.store(builder, field(builder, these, pair), outs, arguments[1])
        return context.get_dummy_value()

    return void(classes, uint64, packed, byte_bits, index, out), generate


@intrinsic
def code_step(_typing: Any, classes: Any, at: Any, table: Any, verdict: Any, out: Any) -> Any:
    """Codes of calls, by class and verdict."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, tables, verdicts, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 3, 4))
        codes = load(builder, tables, CODE_AT, BYTES, is_table=True)
        code = look_up_64(builder, codes, load(builder, base, arguments[1], BYTES))
        code = builder.or_(code, load(builder, verdicts, arguments[1], BYTES))
        _simd.store(builder, code, outs, arguments[1])
        return context.get_dummy_value()

    return void(classes, uint64, table, verdict, out), generate


def _even_and_odd(builder: ir.IRBuilder, whole: list[Value]) -> list[Value]:
    """The low bytes of 64 words of two bytes, and the high ones; of single bytes, themselves."""
    if len(whole) == 1:
        return whole
    picks = (ir.Constant(BYTES, [2 * lane + odd for lane in range(64)]) for odd in (0, 1))
    return [look_up_128(builder, whole[0], pick, whole[1]) for pick in picks]


@intrinsic
def small_step(_typing: Any, classes: Any, vcpu: Any, at: Any, table: Any, streams: Any, out: Any) -> Any:
    """Verdicts of calls in a fleet of up to N_BIT_VCPU vCPUs: rows and verdicts looked up in registers.

    `streams`: written around the caches where they fill a line. Call `finish_streams` after the last.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, vcpus, tables, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 1, 3, 5))
        at, size = arguments[2], signature.args[1].dtype.bitwidth // 8
        offset = builder.mul(at, ir.Constant(I64, size))
        if size > 2:
            low, *high = byte_planes(builder, vcpus, offset, lambda words: words)[:2]
        else:
            places = [builder.add(offset, ir.Constant(I64, 64 * k)) for k in range(size)]
            low, *high = _even_and_odd(builder, [load(builder, vcpus, place, BYTES) for place in places])
        block = [_is_set(builder, low, 7)]
        for plane in high:
            block += [_is_set(builder, plane, 0), _is_set(builder, plane, 1)]
        its_row = _look_up(builder, tables, VCPU_AT, low, block)
        found = _verdict_by_bits(builder, tables, load(builder, base, at, BYTES), its_row)
        with builder.if_else(_fills_line(builder, outs, at, arguments[4])) as (past, kept):
            with past:
                _simd.stream(builder, found, outs, at)
            with kept:
                _simd.store(builder, found, outs, at)
        return context.get_dummy_value()

    return void(classes, vcpu, uint64, table, boolean, out), generate


def _fills_line(builder: ir.IRBuilder, base: Value, offset: Value, wanted: Value) -> Value:
    """Whether a store around the caches is wanted and a cache line begins where it would go."""
    address = builder.add(builder.ptrtoint(base, I64), offset)
    begins = builder.icmp_unsigned("==", builder.and_(address, ir.Constant(I64, 63)), ir.Constant(I64, 0))
    return builder.and_(begins, wanted)


@intrinsic
def bits_step(_typing: Any, classes: Any, at: Any, table: Any, row: Any, out: Any) -> Any:
    """Verdicts of calls of any rows of bit_rows.BitRows, looked up in registers; `out` may be `row`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, tables, rows, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 3, 4))
        these, its_row = (load(builder, column, arguments[1], BYTES) for column in (base, rows))
        _simd.store(builder, _verdict_by_bits(builder, tables, these, its_row), outs, arguments[1])
        return context.get_dummy_value()

    return void(classes, uint64, table, row, out), generate


def _verdict_by_bits(builder: ir.IRBuilder, tables: Value, these: Value, its_row: Value) -> Value:
    """By class and row: which byte of the row's bits, which bit or two of it, and what they stand for."""

    def by_class(first: int) -> Value:
        return look_up_64(builder, load(builder, tables, first, BYTES, is_table=True), these)

    high_row = [_is_set(builder, its_row, 7)]
    planes = [_look_up(builder, tables, BITS_AT + BIT_ROWS * p, its_row, high_row) for p in range(N_BIT_PLANE)]
    which = by_class(WHICH_AT)
    its_bits = builder.select(_is_set(builder, which, 0), planes[1], planes[0])
    its_bits = builder.select(_is_set(builder, which, 1), planes[2], its_bits)
    index = these
    for mask, place in ((ONE_AT, N_BIT_CLASS), (OTHER_AT, 2 * N_BIT_CLASS)):
        is_set = builder.icmp_unsigned("!=", builder.and_(its_bits, by_class(mask)), const(0, 64, I8))
        index = builder.select(is_set, builder.or_(index, const(place, 64, I8)), index)
    return _look_up(builder, tables, VALUE_AT, index, [])


def field(builder: ir.IRBuilder, classes: Value, pair: Value) -> Value:
    """The half of each byte that the class asks for: odd ones stand in the high half."""
    high = builder.lshr(pair, const(4, 64, I8))
    return builder.select(_is_set(builder, classes, 0), high, builder.and_(pair, const(15, 64, I8)))


def _is_set(builder: ir.IRBuilder, value: Value, bit: int) -> Value:
    return builder.icmp_unsigned("!=", builder.and_(value, const(1 << bit, 64, I8)), const(0, 64, I8))


def _look_up(builder: ir.IRBuilder, table: Value, first: int, index: Value, block: list[Value]) -> Value:
    """64 look-ups in `1 << len(block)` blocks of 128 bytes from byte `first` on; `block` has the bits of the block."""
    found = []
    for k in range(1 << len(block)):
        low, high = (load(builder, table, first + 128 * k + half, BYTES, is_table=True) for half in (0, 64))
        found.append(look_up_128(builder, low, index, high))
    for bit in block:
        found = [builder.select(bit, found[k + 1], found[k]) for k in range(0, len(found), 2)]
    return found[0]
