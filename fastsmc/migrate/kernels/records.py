"""Registers into records and texts, and back: the loops of formats whose values do not stand in plain arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import kernel
from fastsmc.jit.words import load_word, store_word, swapped

U8Array = NDArray[np.uint8]
U64Array = NDArray[np.uint64]
I64Array = NDArray[np.int64]

_1, _8, _9, _10 = (np.uint64(k) for k in (1, 8, 9, 10))
_ZERO = np.uint64(ord("0"))
_U64 = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_COMMA, _BRACE = np.uint8(ord(",")), np.uint8(ord("}"))
_MOST_DIGITS = 20


@kernel
def put_fields(
    values: U64Array, column: I64Array, offset: I64Array, is_narrow: NDArray[np.bool_], is_big: bool, out: U8Array
) -> None:
    """Values into records of fixed layout, 8 or 4 bytes each, big-endian or little.

    uint64[n_row, n_reg], 2 x int64[n_field], bool[n_field] -> uint8[n_row * n_byte].
    """
    n_row = values.shape[0]
    n_byte = out.size // n_row
    for v in range(n_row):
        for k in range(column.size):
            word = values[v, column[k]]
            at = v * n_byte + offset[k]
            if is_narrow[k]:
                for i in range(4):
                    shift = np.uint64(8 * (3 - i) if is_big else 8 * i)
                    out[at + i] = np.uint8(word >> shift & np.uint64(0xFF))
            else:
                store_word(out, np.uint64(at), swapped(word) if is_big else word)


@kernel
def take_fields(
    data: U8Array, column: I64Array, offset: I64Array, is_narrow: NDArray[np.bool_], is_big: bool, out: U64Array
) -> None:
    """Undo `put_fields`. uint8[n_row * n_byte], 2 x int64[n_field], bool[n_field] -> uint64[n_row, n_reg]."""
    n_row = out.shape[0]
    n_byte = data.size // n_row
    for v in range(n_row):
        for k in range(column.size):
            at = v * n_byte + offset[k]
            if is_narrow[k]:
                word = np.uint64(0)
                for i in range(4):
                    shift = np.uint64(8 * (3 - i) if is_big else 8 * i)
                    word |= np.uint64(data[at + i]) << shift
            else:
                word = load_word(data, np.uint64(at))
                if is_big:
                    word = swapped(word)
            out[v, column[k]] = word


@kernel
def write_delta(values: U64Array, base: U64Array, out: U64Array) -> int:
    """Per row a bit for each column that differs from `base`, 64 a word, then those values; all big-endian.

    uint64[n_row, n_reg], uint64[n_reg] -> uint64[n_word]; how many words.
    """
    n_reg = base.size
    n_group = (n_reg + 63) // 64
    at = 0
    for v in range(values.shape[0]):
        place = at + n_group
        for group in range(n_group):
            bits = np.uint64(0)
            for r in range(64 * group, min(n_reg, 64 * group + 64)):
                if values[v, r] != base[r]:
                    bits |= _1 << np.uint64(r - 64 * group)
                    out[place] = swapped(values[v, r])
                    place += 1
            out[at + group] = swapped(bits)
        at = place
    return at


@kernel
def read_delta(words: U64Array, base: U64Array, out: U64Array) -> int:
    """Undo `write_delta`: how many words; or if it makes no sense -1 - the word where that shows.

    It does not: a row that is cut off, a bit beyond the last column, a value that is the base's after all.
    """
    n_reg = base.size
    n_group = (n_reg + 63) // 64
    at = 0
    for v in range(out.shape[0]):
        place = at + n_group
        if place > words.size:
            return -1 - words.size
        for group in range(n_group):
            bits = swapped(words[at + group])
            n_bit = min(64, n_reg - 64 * group)
            if n_bit < 64 and bits >> np.uint64(n_bit):
                return -1 - (at + group)
            for i in range(n_bit):
                r = 64 * group + i
                out[v, r] = base[r]
                if bits >> np.uint64(i) & _1:
                    if place >= words.size:
                        return -1 - words.size
                    out[v, r] = swapped(words[place])
                    if out[v, r] == base[r]:
                        return -1 - place
                    place += 1
        at = place
    return at


@kernel
def count_digits(values: U64Array) -> int:
    """Decimal digits of all values together. uint64[n]."""
    total = 0
    for i in range(values.size):
        word = values[i]
        total += 1
        while word > _9:
            word //= _10
            total += 1
    return total


@kernel
def write_json(values: U64Array, text: U8Array, start: I64Array, out: U8Array) -> int:
    """A row as text: before each value its piece of `text`, after it a brace, and a comma unless it is the last.

    uint64[n_reg], uint8[n_byte], int64[n_reg + 1] -> uint8[...]; how many bytes.
    """
    at = 0
    for r in range(values.size):
        for i in range(start[r], start[r + 1]):
            out[at] = text[i]
            at += 1
        word = values[r]
        end = at + 1
        rest = word
        while rest > _9:
            rest //= _10
            end += 1
        for i in range(end - 1, at - 1, -1):
            out[i] = np.uint8(word % _10 + _ZERO)
            word //= _10
        out[end] = _BRACE
        at = end + 1
        if r + 1 < values.size:
            out[at] = _COMMA
            at += 1
    return at


@kernel
def read_json(data: U8Array, text: U8Array, start: I64Array, out: U64Array) -> int:
    """Undo `write_json`: how many bytes; or where it is something else, -1 - the byte where that shows.

    A number has no leading zero and fits 64 bits.
    """
    at = 0
    for r in range(out.size):
        for i in range(start[r], start[r + 1]):
            if at >= data.size or data[at] != text[i]:
                return -1 - at
            at += 1
        first = at
        word = np.uint64(0)
        while at < data.size and data[at] >= 48 and data[at] <= 57:
            digit = np.uint64(data[at]) - _ZERO
            if at - first == _MOST_DIGITS or word > (_U64 - digit) // _10:
                return -1 - at
            word = word * _10 + digit
            at += 1
        if at == first or (data[first] == 48 and at > first + 1):
            return -1 - first
        out[r] = word
        if at >= data.size or data[at] != _BRACE:
            return -1 - at
        at += 1
        if r + 1 < out.size:
            if at >= data.size or data[at] != _COMMA:
                return -1 - at
            at += 1
    return at


@kernel
def crc64(data: U8Array, table: U64Array, seed: np.uint64) -> np.uint64:
    """CRC with a reflected polynomial, eight bytes a turn. uint8[n], uint64[8, 256]."""
    crc = seed
    n = data.size // 8 * 8
    byte = np.uint64(0xFF)
    for at in range(0, n, 8):
        word = load_word(data, np.uint64(at)) ^ crc
        crc = np.uint64(0)
        for k in range(8):
            crc ^= table[7 - k, word >> np.uint64(8 * k) & byte]
    for at in range(n, data.size):
        crc = table[0, (crc ^ np.uint64(data[at])) & byte] ^ crc >> _8
    return crc
