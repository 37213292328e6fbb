"""Verdicts of 64 calls of any rows by a load each: where each is, what is there, and which half of it counts.

Nothing here may be compiled unless `jit.level.HAS_VECTORS`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core.types import uint32, uint64, void
from numba.extending import intrinsic

from fastsmc.dispatcher.kernels.steps import field
from fastsmc.jit import simd as _simd
from fastsmc.jit.simd import BYTES, I8, I16, I32, I64, WORDS, Value, const, data, load, store


@intrinsic
def place_step(_typing: Any, classes: Any, vcpu: Any, at: Any, last: Any, byte_bits: Any, out: Any, to: Any) -> Any:
    """Stores where the verdict of each call is, from `to` on: each vCPU has a row of `1 << byte_bits` bytes.

    A vCPU above `last` counts as the last one.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, vcpus, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 1, 5))
        bits = signature.args[1].dtype.bitwidth
        first = builder.mul(arguments[2], ir.Constant(I64, bits // 8))
        to = builder.mul(arguments[6], ir.Constant(I64, 4))
        most, shift = (_simd.splat(builder, arguments[k], 16) for k in (3, 4))
        for part in range(4):
            offset = builder.add(first, ir.Constant(I64, 2 * bits * part))
            words = load(builder, vcpus, offset, ir.VectorType(ir.IntType(bits), 16))
            words = builder.zext(words, WORDS) if bits < 32 else words
            words = builder.select(builder.icmp_unsigned("<", words, most), words, most)
            own = load(builder, base, builder.add(arguments[2], ir.Constant(I64, 16 * part)), ir.VectorType(I8, 16))
            half = builder.lshr(builder.zext(own, WORDS), const(1, 16, I32))
            store(
                builder,
                builder.or_(builder.shl(words, shift), half),
                outs,
                builder.add(to, ir.Constant(I64, 64 * part)),
            )
        return context.get_dummy_value()

    return void(classes, vcpu, uint64, uint32, uint32, out, uint64), generate


@intrinsic
def load_step(_typing: Any, place: Any, first: Any, table: Any, out: Any, at: Any) -> Any:
    """Copies 64 bytes, each from where `place` tells from `first` on. Two are loaded and two stored at once."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        places, tables, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 3))
        offset = builder.mul(arguments[1], ir.Constant(I64, 4))
        for pair in range(0, 64, 2):
            two = load(builder, places, builder.add(offset, ir.Constant(I64, 4 * pair)), I64)
            halves = builder.and_(two, ir.Constant(I64, 0xFFFF_FFFF)), builder.lshr(two, ir.Constant(I64, 32))
            low, high = (builder.zext(load(builder, tables, half, I8, is_table=True), I16) for half in halves)
            both = builder.or_(low, builder.shl(high, ir.Constant(I16, 8)))
            store(builder, both, outs, builder.add(arguments[4], ir.Constant(I64, pair)))
        return context.get_dummy_value()

    return void(place, uint64, table, out, uint64), generate


@intrinsic
def field_step(_typing: Any, classes: Any, pair: Any, at: Any, out: Any) -> Any:
    """Of 64 bytes that hold two verdicts each, that of the call's class."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, pairs, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 1, 3))
        these, two = (load(builder, column, arguments[2], BYTES) for column in (base, pairs))
        store(builder, field(builder, these, two), outs, arguments[2])
        return context.get_dummy_value()

    return void(classes, pair, uint64, out), generate
