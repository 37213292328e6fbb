"""What register state costs when a VM moves: bytes, the ioctls beside them, and whole QEMU streams."""

from __future__ import annotations

from fastsmc.migration.counts import IoctlCount, PayloadCost, Vmm, ioctls, payload_cost
from fastsmc.migration.payload import Codec, decode, encode, equal_columns, payload_bytes
from fastsmc.migration.qemu_machine import QemuMachine
from fastsmc.migration.qemu_size import StreamSize, qemu_stream_size

__all__ = [
    "Codec",
    "IoctlCount",
    "PayloadCost",
    "QemuMachine",
    "StreamSize",
    "Vmm",
    "decode",
    "encode",
    "equal_columns",
    "ioctls",
    "payload_bytes",
    "payload_cost",
    "qemu_stream_size",
]
