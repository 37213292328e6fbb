"""What the readers of registers refuse to go beyond, besides the sizes of `files.limits`.

All are sanity bounds of ours, far above real systems: 512 vCPUs, 421 registers, streams of 9 MB beside guest memory.
"""

from fastsmc.facts.registers import CLASS_ROOM
from fastsmc.files.limits import REGISTERS

MAX_VCPUS = 1 << 14
MAX_REGISTERS = CLASS_ROOM
"""Registers per vCPU: as many as one class has room for."""
MAX_VALUES = 1 << 24
"""Registers of all vCPUs together: 128 MiB of values."""
MAX_TEXT_BYTES = REGISTERS.most_bytes
"""Bytes of a stream's description."""
MAX_SESSION_BYTES = 1 << 20
"""Bytes of a QMP session, of which every line is parsed."""
MAX_LINE = 2000
"""Characters in a line of text; the widest register takes 600."""
MAX_DEVICE_BYTES = 128 << 20
"""Bytes of a QEMU stream from the first section that is no guest memory to the end; that much is held at once."""
MAX_PARTS = 1 << 20
HASHED_BYTES = 64 << 20
"""Bytes of the longest file that is hashed."""
