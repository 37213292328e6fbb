"""What the wide kernel does with 64 vCPUs at a time: their groups, and a copy of them that is within the fleet.

Nothing here may be compiled unless `jit.level.HAS_VECTORS`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core.types import uint32, uint64, void
from numba.extending import intrinsic

from fastsmc.jit import simd as _simd
from fastsmc.jit.simd import I64, WORDS, Value, const, data, load


@intrinsic
def group_step(_typing: Any, vcpu: Any, at: Any, magic: Any, magic_shift: Any, last: Any, out: Any) -> Any:
    """Stores the group of each of 64 vCPUs at the start of `out`: two products of 32 bits a word (rows.Rows.magic).

    None is above `last`, whatever the vCPUs are.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        vcpus, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 5))
        most = _simd.splat(builder, arguments[4], 16)
        bits, pairs = signature.args[0].dtype.bitwidth, ir.VectorType(I64, 8)
        factor, shift = (_simd.splat(builder, arguments[k], 8) for k in (2, 3))
        upper = const(32, 8, I64)
        for part in range(4):
            offset = builder.add(
                builder.mul(arguments[1], ir.Constant(I64, bits // 8)), ir.Constant(I64, 2 * bits * part)
            )
            words = load(builder, vcpus, offset, ir.VectorType(ir.IntType(bits), 16))
            two = builder.bitcast(builder.zext(words, WORDS) if bits < 32 else words, pairs)
            low = builder.and_(two, const(0xFFFF_FFFF, 8, I64))
            low, high = (builder.lshr(builder.mul(half, factor), shift) for half in (low, builder.lshr(two, upper)))
            group = builder.bitcast(builder.or_(low, builder.shl(high, upper)), WORDS)
            group = builder.select(builder.icmp_unsigned("<", group, most), group, most)
            _simd.store(builder, group, outs, ir.Constant(I64, 64 * part))
        return context.get_dummy_value()

    return void(vcpu, uint64, uint64, uint64, uint32, out), generate


@intrinsic
def within_step(_typing: Any, vcpu: Any, at: Any, last: Any, out: Any, to: Any) -> Any:
    """Copies 64 vCPUs from place `at` to place `to` of `out`; one above `last` becomes `last`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        vcpus, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 3))
        kind = ir.IntType(signature.args[0].dtype.bitwidth)
        source, place = (builder.mul(arguments[k], ir.Constant(I64, kind.width // 8)) for k in (1, 4))
        ceiling = ir.Constant(I64, (1 << kind.width) - 1)
        least = builder.select(builder.icmp_unsigned("<", arguments[2], ceiling), arguments[2], ceiling)
        most = _simd.splat(builder, builder.trunc(least, kind) if kind.width < 64 else least, 64)
        these = load(builder, vcpus, source, ir.VectorType(kind, 64))
        within = builder.select(builder.icmp_unsigned("<", these, most), these, most)
        _simd.store(builder, within, outs, place)
        return context.get_dummy_value()

    return void(vcpu, uint64, uint64, out, uint64), generate
