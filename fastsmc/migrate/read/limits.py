"""What the readers refuse to go beyond, so that a damaged or hostile file costs bounded memory and time.

All are sanity bounds of ours, far above real systems: 512 vCPUs, 421 registers, streams of 9 MB beside guest memory.
"""

from fastsmc.facts.registers import CLASS_ROOM

MAX_VCPUS = 1 << 14
MAX_REGISTERS = CLASS_ROOM
"""Registers per vCPU: as many as one class has room for."""
MAX_VALUES = 1 << 24
"""Registers of all vCPUs together: 128 MiB of values."""
MAX_TEXT_BYTES = 32 << 20
"""Bytes of a JSON text, of any other text, of a payload, and of a stream's description."""
MAX_SESSION_BYTES = 1 << 20
"""Bytes of a QMP session, of which every line is parsed."""
MAX_JSON_KEYS, MAX_JSON_LISTS, MAX_JSON_ENTRIES = 1 << 20, 1 << 20, 1 << 22
"""Keys, lists and entries of one JSON text, counted by its signs, those in strings included. In memory empty lists take
25 times their text; 512 vCPUs have 3e5 keys."""
MAX_LINE = 2000
"""Characters in a line of text; the widest register takes 600."""
MAX_DEVICE_BYTES = 128 << 20
"""Bytes of a QEMU stream from the first section that is no guest memory to the end; that much is held at once."""
MAX_PARTS = 1 << 20
MAX_XZ_BYTES = 4 << 30
"""Bytes that an xz file may unpack to."""
XZ_MEMORY_BYTES = 128 << 20
"""Bytes of xz's own tables; its presets need up to 65 MiB."""
HASHED_BYTES = 64 << 20
"""Bytes of the longest file that is hashed."""
