"""What register state costs when a VM moves: bytes, the ioctls beside them, and whole QEMU streams."""

from __future__ import annotations

from fastsmc.migrate.chunks import decode_chunks, encode_chunks
from fastsmc.migrate.counts import IoctlCount, PayloadCost, Vmm, ioctls, payload_cost
from fastsmc.migrate.payload import Codec, PayloadLayout, decode, encode, equal_columns, payload_bytes
from fastsmc.migrate.qemu.machine import QemuMachine
from fastsmc.migrate.qemu.size import StreamSize, qemu_stream_size

__all__ = [
    "Codec",
    "IoctlCount",
    "PayloadCost",
    "PayloadLayout",
    "QemuMachine",
    "StreamSize",
    "Vmm",
    "decode",
    "decode_chunks",
    "encode",
    "encode_chunks",
    "equal_columns",
    "ioctls",
    "payload_bytes",
    "payload_cost",
    "qemu_stream_size",
]
