"""Which byte order the kernels are written for: tables are bytes that kernels read as words, the lowest byte first."""

from __future__ import annotations

import sys

from fastsmc.errors import MachineError


def require_little_endian(byteorder: str = sys.byteorder) -> None:
    """Refuses a big-endian machine, where kernels would give wrong verdicts and wrong bytes.

    Args:
        byteorder: "little" or "big", as sys.byteorder says.

    Raises:
        MachineError: big-endian.

    >>> require_little_endian("little")
    """
    if byteorder != "little":
        msg = (
            f"this machine is {byteorder}-endian, and fastsmc computes on little-endian machines only "
            "(x86-64, arm64): on this one its verdicts and bytes would be wrong"
        )
        raise MachineError(msg)
