"""Like Firecracker's snapshot: per vCPU its ids, then its values at their true size; header in front, CRC behind.

Real files differ: serde's bitcode packs the same content further, and holds more than registers. Here numbers are
little-endian and 8 bytes: magic, version (three), number of vCPUs; per vCPU number of ids, ids, bytes of data, data;
CRC64. 48 + V * (16 + 8R + bytes of the values). Source: Firecracker src/vmm/src/snapshot, arch/aarch64/regs.rs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from fastsmc.checks import U8Array, U64Array
from fastsmc.errors import InputError
from fastsmc.facts.registers import reg_size
from fastsmc.migrate.formats.base import check_length, damage
from fastsmc.migrate.formats.records import Field, Record, WideField
from fastsmc.migrate.formats.state import Expected, RegisterState, reg_sizes

MAGIC = 0x0710_1984_AAAA_0000
VERSION = (11, 0, 0)
_POLYNOMIAL = 0x95AC_9329_AC4B_C9B5
"""CRC-64 of Jones, bits reversed, as the crate crc64 has it; check of "123456789": e9c6d914c4b8d9ca."""
_HEAD_BYTES, _CRC_BYTES = 40, 8


@dataclass(frozen=True, slots=True)
class FirecrackerLike:
    """Registers as Firecracker's snapshot has them, of any width."""

    name: str = "firecracker-like"

    def n_bytes(self, state: RegisterState) -> int:
        """48 + V * (16 + 8R + bytes of the values)."""
        return _HEAD_BYTES + _CRC_BYTES + state.n_vcpu * (16 + int((8 + reg_sizes(state.ids)).sum()))

    def encode(self, state: RegisterState, out: U8Array) -> None:
        """Header, records, CRC."""
        out[:_HEAD_BYTES] = _head(state.n_vcpu).view(np.uint8)
        rows = out[_HEAD_BYTES:-_CRC_BYTES].reshape(state.n_vcpu, -1)
        _record(state.ids).write(state.values, dict(state.wide), rows)
        out[-_CRC_BYTES:] = np.array([checksum(out[:-_CRC_BYTES])], "<u8").view(np.uint8)

    def decode(self, data: U8Array, expected: Expected) -> RegisterState:
        """Header, counts, ids and CRC have to be right."""
        record, n_vcpu = _record(expected.ids), expected.n_vcpu
        head = _head(n_vcpu).view(np.uint8)
        for at, what in ((0, "magic"), (8, "version"), (16, "version"), (24, "version"), (32, "vCPUs")):
            found, right = data[at : at + 8], head[at : at + 8]
            if found.size == 8 and (found != right).any():
                numbers = (int.from_bytes(word.tobytes(), "little") for word in (found, right))
                found_number, right_number = numbers
                raise damage(at, f"{what} {found_number:#x}, {right_number:#x} expected")
        size = _HEAD_BYTES + n_vcpu * record.template.size + _CRC_BYTES
        check_length(data, size, f"{expected.ids.size} registers x {n_vcpu} vCPUs as {self.name!r}")
        rows = data[_HEAD_BYTES:-_CRC_BYTES].reshape(n_vcpu, -1)
        record.check(rows, _HEAD_BYTES, "vCPU")
        found_crc, right_crc = int(data[-_CRC_BYTES:].view("<u8")[0]), checksum(data[:-_CRC_BYTES])
        if found_crc != right_crc:
            raise damage(size - _CRC_BYTES, f"CRC64 {found_crc:#018x}; the bytes before it have {right_crc:#018x}")
        values = np.zeros((n_vcpu, expected.ids.size), np.uint64)
        wide = {reg: np.empty((n_vcpu, reg_size(reg)), np.uint8) for reg in expected.ids.tolist() if reg_size(reg) > 8}
        record.read(rows, values, wide)
        for column, reg in enumerate(expected.ids.tolist()):
            if reg in wide:
                values[:, column] = np.ascontiguousarray(wide[reg][:, :8]).view("<u8")[:, 0]
        return RegisterState(expected.ids, values, wide, expected.is_global)


def _head(n_vcpu: int) -> U64Array:
    return np.array([MAGIC, *VERSION, n_vcpu], "<u8")


def _record(ids: U64Array) -> Record:
    sizes = reg_sizes(ids)
    if sizes.min() < 4:
        reg = int(ids[np.argmin(sizes)])
        msg = f"register {reg:#x} has {8 * reg_size(reg)} bits: arm64 has none below 32"
        raise InputError(msg)
    parts = (np.array([ids.size], "<u8"), ids.astype("<u8"), np.array([sizes.sum()], "<u8"))
    head = np.concatenate(parts).view(np.uint8)
    template = np.concatenate((head, np.zeros(int(sizes.sum()), np.uint8)))
    is_fixed = np.arange(template.size) < head.size
    offsets = head.size + np.cumsum(sizes) - sizes
    fields, wide = [], []
    for column, (reg, offset, size) in enumerate(zip(ids.tolist(), offsets.tolist(), sizes.tolist(), strict=True)):
        if size > 8:
            wide.append(WideField(reg, 0, offset, size))
        else:
            fields.append(Field(column, offset, size))
    return Record(template, is_fixed, tuple(fields), tuple(wide), is_big=False)


def checksum(data: U8Array) -> int:
    """CRC64 of the bytes.

    >>> f"{checksum(np.frombuffer(b'123456789', np.uint8)):016x}"
    'e9c6d914c4b8d9ca'
    """
    from fastsmc.migrate.kernels.records import crc64

    return int(crc64(np.ascontiguousarray(data), _table(), np.uint64(0)))


@cache
def _table() -> U64Array:
    """uint64[8, 256]: row k is what a byte does to the CRC k bytes later."""
    rows = [[0] * 256 for _ in range(8)]
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        rows[0][byte] = crc
    for k in range(1, 8):
        rows[k] = [rows[0][crc & 0xFF] ^ crc >> 8 for crc in rows[k - 1]]
    return np.array(rows, np.uint64)
