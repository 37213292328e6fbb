"""Register values as the bytes that cross the wire.

Four ways to write a matrix of values, 64-bit slots, big-endian:

- values: vCPU after vCPU. Both ends know the ids. The counting of the origin: 1024 x 1024 x 8 B = 8 MiB.
- id+value: per vCPU all ids, then all values, as QEMU's cpreg arrays; 16 B per register, 32-bit ones too.
- the same two with VM-global registers sent once: vCPU 0's row is complete, later rows leave those columns out.

Only the arrays are counted here: no section framing, no core or SVE state, no stream description.
Source: QEMU target/arm/machine.c (vmstate_arm_cpu), kvm.c (write_kvmstate_to_list).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from fastsmc.errors import InputError
from fastsmc.migration._checks import (
    BoolArray,
    I64Array,
    U8Array,
    U64Array,
    checked_counts,
    checked_ids,
    checked_matrix,
    checked_scope,
    member,
    require_equal,
)


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


def payload_bytes(n_reg: ArrayLike, n_vcpu: ArrayLike, codec: Codec | str, *, n_global: ArrayLike = 0) -> I64Array:
    """Length of what `encode` writes, in closed form. Broadcasts.

    Args:
        n_reg, n_vcpu: 1 to 2**20.
        n_global: VM-global among n_reg; counts only for the codecs that send them once.

    Raises:
        InputError: a count that is no integer or out of range.

    >>> int(payload_bytes(1024, 1024, Codec.VALUES)), int(payload_bytes(1024, 1024, "id+value"))
    (8388608, 16777216)
    """
    codec = member(Codec, codec, "codec")
    reg, vcpu, shared = checked_counts(n_reg, n_vcpu, n_global)
    slot_bytes = 16 if codec.has_ids else 8
    if not codec.is_global_once:
        return slot_bytes * reg * vcpu
    return slot_bytes * (shared + (reg - shared) * vcpu)


def encode(ids: ArrayLike, values: ArrayLike, codec: Codec | str, *, is_global: ArrayLike | None = None) -> U8Array:
    """Write the values of all vCPUs of a VM into a new buffer of `payload_bytes` bytes.

    Args:
        ids: uint64[n_reg], ascending, of 32- and 64-bit registers (QEMU refuses others).
        values: uint64[n_vcpu, n_reg]; those of 32-bit registers below 2**32.
        is_global: bool[n_reg], needed by the codecs that send VM-global registers once and not looked at by others.

    Raises:
        InputError: wrong shapes, ids or values; a VM-global register that differs between vCPUs (its state would be
            lost), named with the first vCPU that differs.

    >>> encode([0x6030000000140000], [[0x10003]], Codec.VALUES).tobytes().hex()
    '0000000000010003'
    """
    from fastsmc.kernels_payload import encode_rows

    codec = member(Codec, codec, "codec")
    names = checked_ids(ids)
    matrix = checked_matrix(values, names)
    n_vcpu, n_reg = matrix.shape
    shared = checked_scope(is_global, n_reg, is_needed=codec.is_global_once)
    if codec.is_global_once:
        require_equal(names, matrix, shared, equal_columns(matrix))
    size = payload_bytes(n_reg, n_vcpu, codec, n_global=np.count_nonzero(shared))
    buffer = np.empty(int(size), np.uint8)
    for part in _parts(names, n_vcpu, codec, shared):
        rows = buffer.view(np.uint64)[part.words].reshape(part.shape)
        encode_rows(part.ids_be, matrix[part.vcpus], part.starts, part.stops, rows)
    return buffer


def decode(
    buffer: bytes | bytearray | memoryview | U8Array,
    ids: ArrayLike,
    codec: Codec | str,
    *,
    n_vcpu: int,
    is_global: ArrayLike | None = None,
) -> U64Array:
    """Read back what `encode` wrote: uint64[n_vcpu, n_reg], bit for bit, VM-global columns on every vCPU.

    Args:
        ids: the ids this end expects. For codecs with ids every vCPU's are compared with them.

    Raises:
        InputError: a length other than the expected one, or an id other than the expected one.
    """
    from fastsmc.kernels_payload import decode_rows

    codec = member(Codec, codec, "codec")
    names = checked_ids(ids)
    shared = checked_scope(is_global, names.size, is_needed=codec.is_global_once)
    size = int(payload_bytes(names.size, n_vcpu, codec, n_global=np.count_nonzero(shared)))
    words = _words(buffer, size, f"{names.size} registers x {n_vcpu} vCPUs as {codec.value!r}")
    out = np.empty((n_vcpu, names.size), np.uint64)
    differs = np.zeros(n_vcpu, np.uint64)
    for part in _parts(names, n_vcpu, codec, shared):
        rows = words[part.words].reshape(part.shape)
        decode_rows(rows, part.ids_be, part.starts, part.stops, out[0], differs[part.vcpus], out[part.vcpus])
        if differs[part.vcpus].any():
            row = int(np.argmax(differs[part.vcpus] != 0))
            column = int(np.argmax(rows[row, : part.ids_be.size] != part.ids_be))
            found, expected = (int(x.byteswap()) for x in (rows[row, column], part.ids_be[column]))
            where = f"vCPU {part.vcpus.start + row}, register {column} of {part.ids_be.size}"
            msg = f"{where}: id {found:#x} in the stream, {expected:#x} expected"
            raise InputError(msg)
    return out


def equal_columns(values: ArrayLike) -> BoolArray:
    """Which registers have the same value on all vCPUs. uint64[n_vcpu, n_reg] -> bool[n_reg].

    Equal is not VM-global: most registers are equal on vCPUs that never ran.

    Raises:
        InputError: not a matrix of unsigned 64-bit values.
    """
    from fastsmc.kernels_payload import column_differences

    matrix = checked_matrix(values)
    bits = np.empty(matrix.shape[1], np.uint64)
    column_differences(matrix, bits)
    equal: BoolArray = bits == 0
    return equal


@dataclass(frozen=True, slots=True)
class _Part:
    """vCPUs whose rows look alike: where they lie in the stream, which ids and which columns they carry."""

    vcpus: slice
    words: slice
    shape: tuple[int, int]
    ids_be: U64Array
    starts: I64Array
    stops: I64Array


def _parts(ids: U64Array, n_vcpu: int, codec: Codec, shared: BoolArray) -> Iterator[_Part]:
    """The stream from its beginning: all vCPUs alike, or vCPU 0 complete and the others without shared columns."""
    at = 0
    split = 1 if codec.is_global_once else n_vcpu
    for vcpus, sent in ((slice(0, split), np.ones(ids.size, np.bool_)), (slice(split, n_vcpu), ~shared)):
        ids_be = ids[sent].byteswap() if codec.has_ids else ids[:0]
        edges = np.diff(np.concatenate(([0], sent.astype(np.int8), [0])))
        shape = (vcpus.stop - vcpus.start, int(np.count_nonzero(sent)) + ids_be.size)
        words = slice(at, at + shape[0] * shape[1])
        if shape[0]:
            yield _Part(vcpus, words, shape, ids_be, np.flatnonzero(edges == 1), np.flatnonzero(edges == -1))
        at = words.stop


def _words(buffer: bytes | bytearray | memoryview | U8Array, size: int, what: str) -> U64Array:
    """The buffer as 64-bit words, copied only if they are not aligned."""
    try:
        view = memoryview(cast("bytes", buffer)).cast("B")
    except (TypeError, ValueError):
        msg = "buffer: contiguous bytes needed"
        raise InputError(msg) from None
    if view.nbytes != size:
        msg = f"buffer has {view.nbytes} bytes; {what} take {size}"
        raise InputError(msg)
    return np.require(np.frombuffer(view, np.uint64), requirements="A")
