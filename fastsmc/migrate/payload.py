"""Register values as the bytes that cross the wire.

Four ways to write a matrix of values, 64-bit slots, big-endian:

- values: vCPU after vCPU. Both ends know the ids. The counting of the origin: 1024 x 1024 x 8 B = 8 MiB.
- id+value: per vCPU all ids, then all values, as QEMU's cpreg arrays; 16 B per register, 32-bit ones too.
- the same two with VM-global registers sent once: vCPU 0's row is complete, later rows leave those columns out.

Only the arrays are counted here: no section framing, no core or SVE state, no stream description.
Source: QEMU target/arm/machine.c (vmstate_arm_cpu), kvm.c (write_kvmstate_to_list).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.checks import BoolArray, I64Array, U8Array, U64Array, one_of, whole
from fastsmc.errors import InputError
from fastsmc.jit.cache_lines import empty_on_lines
from fastsmc.migrate._checks import (
    MAX_COUNT,
    checked_counts,
    checked_ids,
    checked_matrix,
    checked_out,
    checked_scope,
    checked_target,
    is_narrow,
    require_equal,
)
from fastsmc.migrate.arrays import Arrays
from fastsmc.migrate.moves import loops

_WORD, _BYTE = np.dtype(np.uint64), np.dtype(np.uint8)


class Codec(StrEnum):
    """How register values are written."""

    VALUES = "values"
    QEMU = "id+value"
    VALUES_GLOBAL_ONCE = "values, VM-global once"
    QEMU_GLOBAL_ONCE = "id+value, VM-global once"

    @property
    def has_ids(self) -> bool:
        """Whether ids are in the stream."""
        return self in (Codec.QEMU, Codec.QEMU_GLOBAL_ONCE)

    @property
    def is_global_once(self) -> bool:
        """Whether VM-global registers are sent for vCPU 0 only."""
        return self in (Codec.VALUES_GLOBAL_ONCE, Codec.QEMU_GLOBAL_ONCE)


def payload_bytes(codec: Codec | str, *, n_reg: ArrayLike, n_vcpu: ArrayLike, n_global: ArrayLike = 0) -> I64Array:
    """Length of what `encode` writes, in closed form. Broadcasts.

    Args:
        n_reg, n_vcpu: 1 to 2**20.
        n_global: VM-global among n_reg; counts only for the codecs that send them once.

    Raises:
        InputError: a count that is no integer or out of range.

    >>> int(payload_bytes("values", n_reg=1024, n_vcpu=1024)), int(payload_bytes("id+value", n_reg=1024, n_vcpu=1024))
    (8388608, 16777216)
    """
    codec = one_of("codec", codec, Codec)
    reg, vcpu, shared = checked_counts(n_reg=n_reg, n_vcpu=n_vcpu, n_global=n_global)
    slot_bytes = 16 if codec.has_ids else 8
    if not codec.is_global_once:
        return slot_bytes * reg * vcpu
    return slot_bytes * (shared + (reg - shared) * vcpu)


def encode(
    ids: ArrayLike,
    values: ArrayLike,
    codec: Codec | str,
    *,
    is_global: ArrayLike | None = None,
    out: U8Array | None = None,
) -> U8Array:
    """Write the values of all vCPUs of a VM into a buffer of `payload_bytes` bytes.

    Args:
        ids: uint64[n_reg], ascending, of 32- and 64-bit registers (QEMU refuses others).
        values: uint64[n_vcpu, n_reg]; those of 32-bit registers below 2**32.
        is_global: bool[n_reg], needed by the codecs that send VM-global registers once and not looked at by others.
        out: uint8[payload_bytes] to write into and return, contiguous and at a multiple of 8 bytes; a new one if not
            given.

    Raises:
        InputError: wrong shapes, ids or values; a VM-global register that differs between vCPUs (its state would be
            lost), named with the first vCPU that differs; an `out` of another size, or one that overlaps the values.

    >>> encode([0x6030000000140000], [[0x10003]], Codec.VALUES).tobytes().hex()
    '0000000000010003'
    """
    return layout_of(ids, codec, is_global=is_global).encode(values, out=out)


def decode(
    buffer: bytes | bytearray | memoryview | U8Array,
    ids: ArrayLike,
    codec: Codec | str,
    *,
    n_vcpu: int,
    is_global: ArrayLike | None = None,
    out: U64Array | None = None,
) -> U64Array:
    """Read back what `encode` wrote: uint64[n_vcpu, n_reg], bit for bit, VM-global columns on every vCPU.

    Args:
        ids: the ids this end expects. For codecs with ids every vCPU's are compared with them.
        out: uint64[n_vcpu, n_reg], C-contiguous, to write into and return; a new one if not given.

    Raises:
        InputError: a length other than the expected one, an id other than the expected one, or a value too wide for a
            32-bit register, with its offset.
    """
    return layout_of(ids, codec, is_global=is_global).decode(buffer, n_vcpu=n_vcpu, out=out)


def layout_of(ids: ArrayLike, codec: Codec | str, *, is_global: ArrayLike | None = None) -> PayloadLayout:
    """The layout of a VM's registers, kept for the next VM with the same: a small one takes less than working it out.

    Raises:
        InputError: as `encode` does.
    """
    codec = one_of("codec", codec, Codec)
    scope = is_global if isinstance(is_global, np.ndarray) and is_global.dtype == np.bool_ else None
    if (
        isinstance(ids, np.ndarray)
        and ids.dtype == np.uint64
        and ids.ndim == 1
        and 0 < ids.size <= _MOST_KEPT
        and (is_global is None or (scope is not None and scope.shape == ids.shape))
    ):
        return _kept_layout(ids.tobytes(), codec, None if scope is None else scope.tobytes())
    return PayloadLayout(ids, codec, is_global=is_global)


_MOST_KEPT = 4096
"""Registers of a layout that is kept."""


@lru_cache(maxsize=8)
def _kept_layout(ids: bytes, codec: Codec, is_global: bytes | None) -> PayloadLayout:
    scope = None if is_global is None else np.frombuffer(is_global, np.bool_)
    return PayloadLayout(np.frombuffer(ids, np.uint64), codec, is_global=scope)


class PayloadLayout:
    """A codec on one set of registers, worked out once for many VMs or blocks.

    Args:
        ids, codec, is_global: as for `encode`.

    Raises:
        InputError: as `encode` does.
    """

    def __init__(self, ids: ArrayLike, codec: Codec | str, *, is_global: ArrayLike | None = None) -> None:
        self.codec = one_of("codec", codec, Codec)
        self.ids = checked_ids(ids)
        self.shared = checked_scope(is_global, self.ids.size, is_needed=self.codec.is_global_once)
        once = self.shared if self.codec.is_global_once else None
        self.arrays = Arrays(self.ids, has_ids=self.codec.has_ids, once=once)
        self._needs_width_check = bool(is_narrow(self.ids).any())
        self._is_plain = self.codec is Codec.VALUES and not self._needs_width_check

    def checked_values(self, values: ArrayLike) -> U64Array:
        """uint64[n_vcpu, n_reg] that can be sent.

        Raises:
            InputError: another shape, a value too wide, or a VM-global register that differs between these vCPUs.
        """
        matrix = checked_matrix(values, self.ids if self._needs_width_check else None)
        if matrix.shape[1] != self.ids.size:
            msg = f"values have {matrix.shape[1]} columns for {self.ids.size} ids"
            raise InputError(msg)
        if self.codec.is_global_once:
            require_equal(self.ids, matrix, self.shared, equal_columns(matrix))
        return matrix

    def n_bytes(self, n_vcpu: int, first: int = 0) -> int:
        """Bytes of so many vCPUs, from number `first` on."""
        return 8 * self.arrays.n_word(n_vcpu, first)

    def encode(self, values: ArrayLike, *, out: U8Array | None = None) -> U8Array:
        """As `fastsmc.migrate.encode`."""
        # For speed alone: what follows does the same in a dozen functions, and where a copy of the values has just gone
        # through the caches, running those takes a tenth of the copy.
        if (
            self._is_plain
            and type(values) is np.ndarray
            and type(out) is np.ndarray
            and values.dtype is _WORD
            and out.dtype is _BYTE
            and values.ndim == 2
            and out.ndim == 1
            and values.flags.carray
            and out.flags.carray
            and loops().swap_matrix(values, out, self.ids.size)
        ):
            return out
        matrix = self.checked_values(values)
        size = self.n_bytes(matrix.shape[0])
        buffer = empty_on_lines(size, np.uint8) if out is None else checked_out(out, size, matrix)
        self.arrays.write(matrix, buffer.view(np.uint64))
        return buffer

    def decode(
        self, buffer: bytes | bytearray | memoryview | U8Array, *, n_vcpu: int, out: U64Array | None = None
    ) -> U64Array:
        """As `fastsmc.migrate.decode`."""
        n_vcpu = whole("n_vcpu", n_vcpu, first=1, last=MAX_COUNT)
        n_reg = self.ids.size
        words = words_of(
            buffer, self.n_bytes(n_vcpu), lambda: f"{n_reg} registers x {n_vcpu} vCPUs as {self.codec.value!r}"
        )
        shape = (n_vcpu, n_reg)
        matrix = np.empty(shape, np.uint64) if out is None else checked_target(out, shape, words)
        self.arrays.read(words, matrix)
        return matrix


def equal_columns(values: ArrayLike) -> BoolArray:
    """Which registers have the same value on all vCPUs. uint64[n_vcpu, n_reg] -> bool[n_reg].

    Equal is not VM-global: most registers are equal on vCPUs that never ran.

    Raises:
        InputError: not a matrix of unsigned 64-bit values.
    """
    from fastsmc.migrate.kernels.arrays import column_differences

    matrix = checked_matrix(values)
    bits = np.empty(matrix.shape[1], np.uint64)
    column_differences(matrix, bits)
    equal: BoolArray = bits == 0
    return equal


def words_of(buffer: bytes | bytearray | memoryview | U8Array, size: int, what: Callable[[], str]) -> U64Array:
    """The buffer as 64-bit words, copied only if they are not aligned.

    Raises:
        InputError: no contiguous bytes, or not `size` of them.
    """
    try:
        view = memoryview(cast("bytes", buffer)).cast("B")
    except (TypeError, ValueError):
        msg = "buffer: contiguous bytes needed"
        raise InputError(msg) from None
    if view.nbytes != size:
        msg = f"buffer has {view.nbytes} bytes; {what()} take {size}"
        raise InputError(msg)
    words = np.frombuffer(view, np.uint64)
    return words if words.flags.aligned else words.copy()
