"""Which row holds each call's answer, 64 calls a step, for CPUs with AVX-512, VBMI and VBMI2.

Nothing here may be compiled unless `jit.level.HAS_VECTORS`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core.types import uint64
from numba.extending import intrinsic

from fastsmc.dispatcher.kernels.answers import BUCKET_AT, KEEPS_AT, KIND_AT, VERDICT_AT
from fastsmc.dispatcher.kernels.steps import product_planes
from fastsmc.jit import simd as _simd
from fastsmc.jit.compiled import kernel
from fastsmc.jit.simd import BYTES, I8, I16, I64, Value, const, data, load
from fastsmc.jit.types import U8, U16, U32
from fastsmc.jit.vectors import list_bits, look_up_64, look_up_128

STEP = 64


@intrinsic
def _row_step(_typing: Any, func_id: Any, verdict: Any, at: Any, multiplier: Any, lookup: Any, row: Any) -> Any:
    """Stores the row of each of 64 calls; returns the bits of those whose answer is more than the row."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        ids, whats, tables, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 1, 4, 5))
        at = arguments[2]

        def table(first: int) -> Value:
            return load(builder, tables, first, BYTES, is_table=True)

        bucket = product_planes(builder, ids, at, arguments[3])[3]
        slot = look_up_128(builder, table(BUCKET_AT), bucket, table(BUCKET_AT + 64))
        what = load(builder, whats, at, BYTES)
        kept = builder.and_(slot, look_up_64(builder, table(KEEPS_AT), what))
        its_row = builder.or_(kept, look_up_64(builder, table(VERDICT_AT), what))
        wide = builder.zext(its_row, ir.VectorType(I16, 64))
        _simd.store(builder, wide, outs, builder.mul(at, ir.Constant(I64, 2)))
        kind = look_up_128(builder, table(KIND_AT), its_row, table(KIND_AT + 64))
        return builder.bitcast(builder.icmp_unsigned("!=", kind, const(0, 64, I8)), I64)

    return uint64(func_id, verdict, uint64, multiplier, lookup, row), generate


@kernel
def list_block(func_id: U32, verdict: U8, multiplier: np.uint32, lookup: U8, row: U16, listed: U16) -> int:
    """What `answers.list_block` does, for 64 calls and more.

    A last step of fewer than 64 calls is moved back over calls listed before, whose bits are shifted out.
    """
    n = np.uint64(0)
    for step in range(0, func_id.size, STEP):
        at = np.uint64(min(step, func_id.size - STEP))
        bits = _row_step(func_id, verdict, at, multiplier, lookup, row) >> (np.uint64(step) - at)
        n = list_bits(bits, np.uint64(step), listed, n)
    return int(n)
