"""The operations on 64 bytes of this process' back end, beside NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from numba.core.types import uint32, void
from numba.extending import intrinsic

from fastsmc.jit import vectors
from fastsmc.jit.compiled import kernel
from fastsmc.jit.level import HAS_VECTORS
from fastsmc.jit.simd import BYTES, I64, Value, data, load, splat, store

if not HAS_VECTORS:
    pytest.skip("no vectors that kernels use, or Numba was told not to", allow_module_level=True)

RNG = np.random.default_rng(3)


@intrinsic
def _looked_up(_typing: Any, table: Any, index: Any, out: Any) -> Any:
    """Look-ups of 64 indices in 128 bytes, then in the first 64 of them."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, indices, outs = (data(context, builder, signature.args[k], arguments[k]) for k in range(3))
        low, high = (load(builder, base, first, BYTES) for first in (0, 64))
        these = load(builder, indices, 0, BYTES)
        store(builder, vectors.look_up_128(builder, low, these, high), outs, ir.Constant(I64, 0))
        store(builder, vectors.look_up_64(builder, low, these), outs, ir.Constant(I64, 64))
        return context.get_dummy_value()

    return void(table, index, out), generate


@intrinsic
def _planes(_typing: Any, words: Any, factor: Any, out: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, outs = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 2))

        def product(words: Value) -> Value:
            return builder.mul(words, splat(builder, arguments[1], words.type.count))

        for k, plane in enumerate(vectors.byte_planes(builder, base, ir.Constant(I64, 0), product)):
            store(builder, plane, outs, ir.Constant(I64, 64 * k))
        return context.get_dummy_value()

    return void(words, uint32, out), generate


@intrinsic
def _mixed(_typing: Any, three: Any, out: Any) -> Any:
    """The functions of three bits that the passes use."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, outs = (data(context, builder, signature.args[k], arguments[k]) for k in range(2))
        values = [load(builder, base, 64 * k, BYTES) for k in range(3)]
        for k, function in enumerate(FUNCTIONS):
            store(builder, vectors.logic(builder, function, *values), outs, ir.Constant(I64, 64 * k))
        return context.get_dummy_value()

    return void(three, out), generate


FUNCTIONS = (lambda a, b, c: a ^ b & c, lambda a, b, c: a | b ^ c, lambda a, b, c: a & b | ~a & c)


@kernel
def looked_up(table, index, out):  # type: ignore[no-untyped-def]
    _looked_up(table, index, out)


@kernel
def planes(words, factor, out):  # type: ignore[no-untyped-def]
    _planes(words, factor, out)


@kernel
def mixed(three, out):  # type: ignore[no-untyped-def]
    _mixed(three, out)


@kernel
def listed(bits, first, out, at):  # type: ignore[no-untyped-def]
    return vectors.list_bits(np.uint64(bits), np.uint64(first), out, np.uint64(at))


@pytest.mark.parametrize("high_bits", [0, 0x80, 0xC0])
def test_look_ups_by_the_low_bits_of_an_index(high_bits: int) -> None:
    table, out = RNG.integers(0, 256, 128, np.uint8), np.zeros(128, np.uint8)
    for first in (0, 64):
        index = np.arange(first, first + 64, dtype=np.uint8)
        RNG.shuffle(index)
        index |= np.uint8(high_bits)
        looked_up(table, index, out)
        assert np.array_equal(out[:64], table[index & 127])
        assert np.array_equal(out[64:], table[index & 63])


def test_words_taken_apart_keep_their_order() -> None:
    words, factor, out = RNG.integers(0, 1 << 32, 64, np.uint32), np.uint32(0x2615_65F7), np.zeros(256, np.uint8)
    planes(words, factor, out)
    assert np.array_equal(out.reshape(4, 64).T.reshape(-1), (words * factor).view(np.uint8))


def test_functions_of_three_bits() -> None:
    three, out = RNG.integers(0, 256, (3, 64), np.uint8), np.zeros((3, 64), np.uint8)
    mixed(three, out)
    for k, function in enumerate(FUNCTIONS):
        assert np.array_equal(out[k], function(*three)), k


@pytest.mark.parametrize("bits", [0, 1, 1 << 63, (1 << 64) - 1, 0x8000_0001_8000_0001, 0x5555_0000_FFFF_0001])
def test_places_of_set_bits(bits: int) -> None:
    out = np.zeros(160, np.uint16)
    expected = [100 + k for k in range(64) if bits >> k & 1]
    assert listed(np.uint64(bits), 100, out, 7) == 7 + len(expected)
    assert out[7 : 7 + len(expected)].tolist() == expected
