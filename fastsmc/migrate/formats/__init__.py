"""Library: the registers of a VM as the bytes that VMMs send, every format built for real and read back.

No command reaches these formats; they are imported from here.

docs/payload-formats.md has them in a table, with their sizes in closed form.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import numpy as np

from fastsmc.checks import U8Array, word_of
from fastsmc.errors import InputError
from fastsmc.jit.cache_lines import empty_on_lines
from fastsmc.migrate._checks import checked_out
from fastsmc.migrate.formats.arrays import ArrayFormat, IdsOnce
from fastsmc.migrate.formats.base import PayloadFormat
from fastsmc.migrate.formats.cloud_hypervisor import CloudHypervisorLike
from fastsmc.migrate.formats.compressed import compressed, decompressed
from fastsmc.migrate.formats.delta import Delta
from fastsmc.migrate.formats.firecracker import FirecrackerLike
from fastsmc.migrate.formats.qemu_section import QemuSection
from fastsmc.migrate.formats.state import Expected, RegisterState
from fastsmc.migrate.payload import Codec

_ALL: tuple[PayloadFormat, ...] = (
    *map(ArrayFormat, Codec),
    IdsOnce(),
    Delta(),
    QemuSection(),
    FirecrackerLike(),
    CloudHypervisorLike(),
)
FORMATS: Mapping[str, PayloadFormat] = MappingProxyType({one.name: one for one in _ALL})
"""Every format by its name."""

MAX_BYTES = 1 << 34
"""Largest buffer built or read in one piece; larger fleets stream (`chunks`)."""


def encoded_bytes(state: RegisterState, form: PayloadFormat | str) -> int:
    """Length of what `encode_state` writes without zstd, in closed form.

    Raises:
        InputError: no such format, or a register it does not carry.
    """
    return _format(form).n_bytes(state)


def encode_state(
    state: RegisterState, form: PayloadFormat | str, *, zstd_level: int | None = None, out: U8Array | None = None
) -> U8Array:
    """The registers of a VM in a format of `FORMATS`, packed with zstd if a level is given.

    Args:
        out: uint8[encoded_bytes] to write into (not with zstd); at a multiple of 8 bytes where that is the size's.

    Raises:
        InputError: no such format, a register or value it does not carry, no such level, an `out` that does not fit.
    """
    form = _format(form)
    size = form.n_bytes(state)
    if size > MAX_BYTES:
        msg = f"{size} bytes in one piece: at most {MAX_BYTES}"
        raise InputError(msg)
    buffer = (
        empty_on_lines(size, np.uint8)
        if out is None or zstd_level is not None
        else checked_out(out, size, state.values)
    )
    form.encode(state, buffer)
    return buffer if zstd_level is None else compressed(buffer, zstd_level)


def decode_state(
    buffer: bytes | bytearray | memoryview | U8Array,
    form: PayloadFormat | str,
    expected: Expected,
    *,
    is_zstd: bool = False,
) -> RegisterState:
    """Reads back what `encode_state` wrote, bit for bit.

    Args:
        expected: the registers and vCPUs this end has; others are refused.
        is_zstd: whether it is packed.

    Raises:
        InputError: damaged, cut off, longer, or of other registers or vCPUs than expected; with the byte.
    """
    form = _format(form)
    try:
        data = np.frombuffer(memoryview(cast("bytes", buffer)).cast("B"), np.uint8)
    except (TypeError, ValueError):
        msg = "buffer: contiguous bytes needed"
        raise InputError(msg) from None
    if is_zstd:
        data = decompressed(data, _most(expected))
    if data.ctypes.data % 8:
        data = data.copy()
    return form.decode(data, expected)


def _most(expected: Expected) -> int:
    """Bytes no format exceeds: 64 per register and byte of value, and a section's fixed part."""
    n_value = expected.ids.size * expected.n_vcpu
    return min(MAX_BYTES, 64 * n_value + 256 * expected.n_vcpu * expected.ids.size + 8192 * (expected.n_vcpu + 1))


def _format(form: PayloadFormat | str) -> PayloadFormat:
    if not isinstance(form, str):
        return form
    return FORMATS[word_of("format", form, FORMATS)]


__all__ = [
    "FORMATS",
    "Expected",
    "PayloadFormat",
    "RegisterState",
    "decode_state",
    "encode_state",
    "encoded_bytes",
]
