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
    checked_out,
    checked_scope,
    checked_target,
    is_narrow,
    member,
    require_equal,
)
from fastsmc.migration.moves import aligned, reading, writing


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
    codec = member(Codec, codec, "codec")
    names = checked_ids(ids)
    matrix = checked_matrix(values, names)
    n_vcpu, n_reg = matrix.shape
    shared = checked_scope(is_global, n_reg, is_needed=codec.is_global_once)
    if codec.is_global_once:
        require_equal(names, matrix, shared, equal_columns(matrix))
    size = int(payload_bytes(n_reg, n_vcpu, codec, n_global=np.count_nonzero(shared)))
    buffer = aligned(size) if out is None else checked_out(out, size, matrix)
    for part in parts(names, n_vcpu, codec, shared):
        part.write(names, matrix, buffer)
    return buffer


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
    codec = member(Codec, codec, "codec")
    names = checked_ids(ids)
    shared = checked_scope(is_global, names.size, is_needed=codec.is_global_once)
    size = int(payload_bytes(names.size, n_vcpu, codec, n_global=np.count_nonzero(shared)))
    words = _words(buffer, size, f"{names.size} registers x {n_vcpu} vCPUs as {codec.value!r}")
    shape = (n_vcpu, names.size)
    matrix = np.empty(shape, np.uint64) if out is None else checked_target(out, shape, words)
    for part in parts(names, n_vcpu, codec, shared):
        part.read(names, words, matrix)
    return matrix


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
class Rows:
    """vCPUs whose rows look alike: where they lie in the stream, which ids and which columns they carry.

    Attributes:
        vcpus: which rows of the matrix. at: first word in the stream. n_word: words of a row.
        sent: bool[n_reg], columns in the row. n_id: ids before them.
    """

    vcpus: slice
    at: int
    n_word: int
    sent: BoolArray
    n_id: int

    def _stream(self, words: U64Array) -> U64Array:
        n_row = self.vcpus.stop - self.vcpus.start
        return words[self.at : self.at + n_row * self.n_word].reshape(n_row, self.n_word)

    def write(self, ids: U64Array, matrix: U64Array, buffer: U8Array) -> None:
        """Writes these vCPUs' rows into the stream's buffer."""
        rows = self._stream(buffer.view(np.uint64))
        writing(self.sent, self.n_id).run(matrix[self.vcpus], ids[self.sent], rows)

    def read(self, ids: U64Array, words: U64Array, matrix: U64Array) -> None:
        """Reads these vCPUs' rows; columns not sent come from the matrix's row 0.

        Raises:
            InputError: an id other than the expected one, or a value too wide.
        """
        from fastsmc.kernels_payload import row_differences

        rows, target = self._stream(words), matrix[self.vcpus]
        if self.n_id:
            expected, differs = ids[self.sent].byteswap(), np.empty(len(rows), np.uint64)
            row_differences(rows, expected, differs)
            if differs.any():
                raise self._wrong_id(rows, expected, int(np.argmax(differs != 0)))
        reading(self.sent, self.n_id).run(rows, matrix[0].byteswap(), target)
        narrow = is_narrow(ids) & self.sent
        if narrow.any() and int(target[:, narrow].max()) >> 32:
            row, column = (int(place[0]) for place in np.nonzero(narrow & (target >> _U32_BITS != 0)))
            at = 8 * (self.at + row * self.n_word + self.n_id + int(np.count_nonzero(self.sent[:column])))
            where = f"byte {at}: vCPU {self.vcpus.start + row}, register {int(ids[column]):#x}"
            msg = f"{where}: {int(target[row, column]):#x} does not fit its 32 bits"
            raise InputError(msg)

    def _wrong_id(self, rows: U64Array, expected: U64Array, row: int) -> InputError:
        column = int(np.argmax(rows[row, : expected.size] != expected))
        found, right = (int(x.byteswap()) for x in (rows[row, column], expected[column]))
        where = f"vCPU {self.vcpus.start + row}, register {column} of {expected.size}"
        at = 8 * (self.at + row * self.n_word + column)
        return InputError(f"byte {at}: {where}: id {found:#x} in the stream, {right:#x} expected")


_U32_BITS = np.uint64(32)


def parts(ids: U64Array, n_vcpu: int, codec: Codec, shared: BoolArray) -> Iterator[Rows]:
    """The stream from its beginning: all vCPUs alike, or vCPU 0 complete and the others without shared columns."""
    at = 0
    split = 1 if codec.is_global_once else n_vcpu
    for vcpus, sent in ((slice(0, split), np.ones(ids.size, np.bool_)), (slice(split, n_vcpu), ~shared)):
        n_sent = int(np.count_nonzero(sent))
        n_id = n_sent if codec.has_ids else 0
        if vcpus.stop > vcpus.start:
            yield Rows(vcpus, at, n_id + n_sent, sent, n_id)
        at += (vcpus.stop - vcpus.start) * (n_id + n_sent)


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
