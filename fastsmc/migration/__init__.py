"""What register state costs when a VM moves: bytes, and the ioctls beside them."""

from __future__ import annotations

from fastsmc.migration.counts import IoctlCount, PayloadCost, Vmm, ioctls, payload_cost
from fastsmc.migration.payload import Codec, decode, encode, equal_columns, payload_bytes

__all__ = [
    "Codec",
    "IoctlCount",
    "PayloadCost",
    "Vmm",
    "decode",
    "encode",
    "equal_columns",
    "ioctls",
    "payload_bytes",
    "payload_cost",
]
