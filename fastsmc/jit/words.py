"""Words of memory: from and to places that no array of words begins at, and with their bytes reversed.

Functions with a plain body run without Numba as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core.types import uint32, uint64, void
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from fastsmc.jit.simd import I32, I64, Value, call, data, load, store, stream


def swapped(word: np.uint64) -> np.uint64:
    """A word with its bytes reversed."""
    return np.uint64(word).byteswap()


@intrinsic
def _swapped(_typing: Any, word: Any) -> Any:
    return uint64(uint64), lambda _context, builder, _signature, arguments: builder.bswap(arguments[0])


@overload(swapped, strict=False)
def _(word: Any) -> Any:
    return lambda word: _swapped(word)


def swap_8(source: NDArray[np.uint64], at: np.uint64, out: NDArray[np.uint64], to: np.uint64) -> None:
    """Copies eight words from `at` to `to`, the bytes of each reversed."""
    out[to : to + np.uint64(8)] = source[at : at + np.uint64(8)].byteswap()


def swap_8_past(source: NDArray[np.uint64], at: np.uint64, out: NDArray[np.uint64], to: np.uint64) -> None:
    """Does what `swap_8` does, past the caches; out[to] must lie at a multiple of 64 bytes."""
    swap_8(source, at, out, to)


def _swap_8(*, is_past: bool) -> Any:
    @intrinsic
    def swap(_typing: Any, source: Any, at: Any, out: Any, to: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
            words = ir.VectorType(I64, 8)
            base, target = (data(context, builder, signature.args[k], arguments[k]) for k in (0, 2))
            first, second = (builder.mul(arguments[k], ir.Constant(I64, 8)) for k in (1, 3))
            swapped = call(builder, "llvm.bswap.v8i64", words, load(builder, base, first, words))
            (stream if is_past else store)(builder, swapped, target, second)
            return context.get_dummy_value()

        return void(source, uint64, out, uint64), generate

    return swap


_swap_8_kept, _swap_8_past = _swap_8(is_past=False), _swap_8(is_past=True)


@overload(swap_8, strict=False)
def _(source: Any, at: Any, out: Any, to: Any) -> Any:
    return lambda source, at, out, to: _swap_8_kept(source, at, out, to)


@overload(swap_8_past, strict=False)
def _(source: Any, at: Any, out: Any, to: Any) -> Any:
    return lambda source, at, out, to: _swap_8_past(source, at, out, to)


def store_word(out: NDArray[np.uint8], at: np.uint64, word: np.uint64) -> None:
    """Eight bytes, the lowest first, wherever they fall."""
    out[at : at + np.uint64(8)] = np.array([word], np.uint64).view(np.uint8)


def load_word(source: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Eight bytes, the lowest first, from wherever they are."""
    return np.uint64(int.from_bytes(source[at : at + np.uint64(8)].tobytes(), "little"))


def load_u32(source: NDArray[np.uint8], at: np.uint64) -> np.uint32:
    """Four bytes, the lowest first, from wherever they are."""
    return np.uint32(int.from_bytes(source[at : at + np.uint64(4)].tobytes(), "little"))


@intrinsic
def _load_u32(_typing: Any, source: Any, at: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return load(builder, data(context, builder, signature.args[0], arguments[0]), arguments[1], I32)

    return uint32(source, uint64), generate


@overload(load_u32, strict=False, inline="always")
def _(source: Any, at: Any) -> Any:
    return lambda source, at: _load_u32(source, at)


@intrinsic
def _store_word(_typing: Any, out: Any, at: Any, word: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        store(builder, arguments[2], data(context, builder, signature.args[0], arguments[0]), arguments[1])
        return context.get_dummy_value()

    return void(out, uint64, uint64), generate


@intrinsic
def _load_word(_typing: Any, source: Any, at: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        return load(builder, data(context, builder, signature.args[0], arguments[0]), arguments[1], I64)

    return uint64(source, uint64), generate


@overload(store_word, strict=False)
def _(out: Any, at: Any, word: Any) -> Any:
    return lambda out, at, word: _store_word(out, at, word)


@overload(load_word, strict=False)
def _(source: Any, at: Any) -> Any:
    return lambda source, at: _load_word(source, at)
