"""Words beside the entries of a table that they choose, as this process' back end spells it, beside NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from numba.core.types import void
from numba.extending import intrinsic

from fastsmc.jit import entries
from fastsmc.jit.compiled import kernel
from fastsmc.jit.level import HAS_VECTORS
from fastsmc.jit.simd import BYTES, I8, I64, Entries, Value, data, load, store

if not HAS_VECTORS:
    pytest.skip("no vectors that kernels use, or Numba was told not to", allow_module_level=True)

RNG = np.random.default_rng(5)
KEEP, TOP, FLAG = 0x3F, 0x80, 0x40
TOPS_AT, WORDS_AT, TABLE_BYTES = 384, 512, 1024


def _table(builder: ir.IRBuilder, base: Value) -> Entries:
    tops, words = (builder.gep(base, [ir.Constant(I64, first)]) for first in (TOPS_AT, WORDS_AT))
    return Entries(base, tops, words, keep=KEEP, top=TOP, flag=FLAG)


@intrinsic
def _beside(_typing: Any, words: Any, table: Any, out: Any) -> Any:
    """What two steps of words keep, then which of them differ, then whether any does."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        base, tables, outs = (data(context, builder, signature.args[k], arguments[k]) for k in range(3))
        its = _table(builder, tables)
        steps = [entries.words_64(builder, base, ir.Constant(I64, first), lambda words: words) for first in (0, 256)]
        kept, different = entries.matched(builder, its, steps)
        for k in range(2):
            store(builder, kept[k], outs, ir.Constant(I64, 64 * k))
            store(builder, entries.different_64(builder, its, different[k]), outs, ir.Constant(I64, 128 + 8 * k))
        any_one = builder.zext(entries.any_different(builder, its, different), I8)
        store(builder, any_one, outs, ir.Constant(I64, 144))
        return context.get_dummy_value()

    return void(words, table, out), generate


@intrinsic
def _with_tops(_typing: Any, table: Any, tops: Any, out: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        tables, base, outs = (data(context, builder, signature.args[k], arguments[k]) for k in range(3))
        halves = [load(builder, base, first, BYTES) for first in (0, 64)]
        entries.put_tops(builder, _table(builder, tables), halves, _table(builder, outs))
        return context.get_dummy_value()

    return void(table, tops, out), generate


@kernel
def beside(words, table, out):  # type: ignore[no-untyped-def]
    _beside(words, table, out)


@kernel
def with_tops(table, tops, out):  # type: ignore[no-untyped-def]
    _with_tops(table, tops, out)


def table_of(words: np.ndarray) -> np.ndarray:
    """Planes of bytes, then the words with their top bytes lowest."""
    planes = words.view(np.uint8).reshape(128, 4).T
    return np.concatenate([planes.reshape(-1), (words << np.uint32(8) | words >> np.uint32(24)).view(np.uint8)])


def some_entries() -> np.ndarray:
    """Of each entry the low bytes and the top bit are a word's that chooses it; its other bits are the entry's own."""
    return RNG.integers(0, 1 << 32, 128, np.uint32) & np.uint32(0xBFFF_FFFF)


def words_of(found: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The words that equal these entries."""
    return found[chosen] & np.uint32(0x80FF_FFFF) | chosen.astype(np.uint32) << np.uint32(24)


@pytest.mark.parametrize("n_other", [0, 1, 20, 128])
def test_what_entries_keep_and_which_words_differ(n_other: int) -> None:
    table, chosen, out = some_entries(), RNG.permutation(128), np.zeros(145, np.uint8)
    words = words_of(table, chosen)
    others = RNG.permutation(128)[:n_other]
    words[others] ^= np.uint32(1) << RNG.choice(np.array([*range(24), 31], np.uint32), n_other)
    beside(words, table_of(table), out)
    different = np.unpackbits(out[128:144], bitorder="little").astype(bool)
    assert sorted(np.flatnonzero(different)) == sorted(others)
    assert np.array_equal(out[:128][~different], (table[chosen] >> np.uint32(24) & np.uint32(KEEP))[~different])
    assert (out[:128] <= KEEP).all()
    assert out[144] == (n_other > 0)


def test_no_word_equals_an_entry_with_the_flag() -> None:
    table, chosen, out = some_entries(), np.arange(128), np.zeros(145, np.uint8)
    words = words_of(table, chosen)
    table[::3] |= np.uint32(FLAG << 24)
    beside(words, table_of(table), out)
    different = np.unpackbits(out[128:144], bitorder="little")
    assert np.array_equal(np.flatnonzero(different), chosen[::3])


def test_entries_with_other_top_bytes() -> None:
    table, chosen, out = some_entries(), RNG.permutation(128), np.zeros(145, np.uint8)
    words, tops = words_of(table, chosen), RNG.integers(0, 1 << 6, 128, np.uint8)
    tops |= (table >> np.uint32(24)).astype(np.uint8) & np.uint8(TOP)
    folded = table_of(table)
    with_tops(table_of(table), tops, folded)
    beside(words, folded, out)
    assert np.array_equal(out[:128], tops[chosen] & np.uint8(KEEP))
    assert not out[128:].any()
