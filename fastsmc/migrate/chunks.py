"""Library: the arrays of `encode` for fleets larger than memory, block of vCPUs by block.

Bytes come in pieces of any size, and one block is held at a time. With VM-global registers sent once, vCPU 0's row is
kept, and every block is compared with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import U8Array, U64Array, whole
from fastsmc.errors import InputError
from fastsmc.jit.cache_lines import empty_on_lines
from fastsmc.migrate._checks import MAX_COUNT, require_equal
from fastsmc.migrate.payload import Codec, PayloadLayout, equal_columns

BLOCK_BYTES = 8 << 20
"""Bytes of values in a block that `decode_chunks` gives out, about."""


def encode_chunks(
    ids: ArrayLike, blocks: Iterable[ArrayLike], codec: Codec | str, *, is_global: ArrayLike | None = None
) -> Iterator[U8Array]:
    """The bytes that `encode` would write, a piece per block of vCPUs.

    Args:
        blocks: uint64[n, n_reg] each, vCPU after vCPU.

    Raises:
        InputError: as `encode`; a VM-global register that differs from vCPU 0's, in whatever block.
    """
    layout = PayloadLayout(ids, codec, is_global=is_global)
    first, base = 0, None
    for block in blocks:
        values = layout.checked_values(block)
        if base is None:
            base = values[0].copy()
        elif layout.codec.is_global_once:
            _require_as_first(layout, values, base, first)
        chunk = empty_on_lines(layout.n_bytes(values.shape[0], first), np.uint8)
        layout.arrays.write(values, chunk.view(np.uint64), first)
        first += values.shape[0]
        if first > MAX_COUNT:
            msg = f"more than {MAX_COUNT} vCPUs"
            raise InputError(msg)
        yield chunk


def decode_chunks(
    chunks: Iterable[bytes | bytearray | memoryview | U8Array],
    ids: ArrayLike,
    codec: Codec | str,
    *,
    n_vcpu: int,
    is_global: ArrayLike | None = None,
) -> Iterator[U64Array]:
    """Undo `encode_chunks`: matrices of some vCPUs each, uint64[n, n_reg], about BLOCK_BYTES large.

    Args:
        chunks: the stream in pieces of any size, as a socket or a file gives them.

    Raises:
        InputError: as `decode`, when the damage is reached; cut off, or longer than n_vcpu vCPUs.
    """
    layout = PayloadLayout(ids, codec, is_global=is_global)
    n_vcpu = whole("n_vcpu", n_vcpu, first=1, last=MAX_COUNT)
    n_block = max(1, BLOCK_BYTES // (8 * layout.ids.size))
    pieces = _Pieces(chunks)
    first, base = 0, None
    while first < n_vcpu:
        n = min(n_block, n_vcpu - first)
        at, size = pieces.offset, layout.n_bytes(n, first)
        words = pieces.take(size)
        if words is None:
            msg = f"byte {pieces.offset}: the stream ends in vCPUs {first} to {first + n - 1} of {n_vcpu}"
            raise InputError(msg)
        values = np.empty((n, layout.ids.size), np.uint64)
        layout.arrays.read(words, values, first, base, at)
        if base is None:
            base = values[0].copy()
        first += n
        yield values
    if pieces.take(1) is not None:
        msg = f"byte {pieces.offset - 1}: the stream goes on beyond its {n_vcpu} vCPUs"
        raise InputError(msg)


def _require_as_first(layout: PayloadLayout, values: U64Array, base: U64Array, first: int) -> None:
    """Raises InputError for a VM-global register that is not as on vCPU 0. Within the block all vCPUs are alike."""
    differs = np.flatnonzero(layout.shared & (values[0] != base))
    if differs.size:
        pair = np.stack((base, values[0]))
        try:
            require_equal(layout.ids, pair, layout.shared, equal_columns(pair))
        except InputError as error:
            msg = f"vCPUs from {first} on: {error}"
            raise InputError(msg) from None


class _Pieces:
    """A stream that comes in pieces of any size and is taken in pieces of other sizes."""

    def __init__(self, chunks: Iterable[bytes | bytearray | memoryview | U8Array]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self.offset = 0

    def take(self, size: int) -> U64Array | None:
        """The next bytes as 64-bit words (one byte: as one); None if there are fewer."""
        out = empty_on_lines(-(-size // 8) * 8, np.uint8)
        done = 0
        while done < size:
            if not len(self._rest):
                chunk = next(self._chunks, None)
                if chunk is None:
                    return None
                try:
                    self._rest = memoryview(cast("bytes", chunk)).cast("B")
                except (TypeError, ValueError):
                    msg = f"byte {self.offset}: a chunk is no contiguous bytes"
                    raise InputError(msg) from None
                continue
            n = min(size - done, len(self._rest))
            out[done : done + n] = np.frombuffer(self._rest[:n], np.uint8)
            self._rest = self._rest[n:]
            done += n
            self.offset += n
        return out.view(np.uint64)
