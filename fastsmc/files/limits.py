"""How much of a file is taken, by what it is, so that a damaged or hostile one costs bounded memory and time.

All are sanity bounds of ours, far above what real systems write. What a reader keeps of a file is some times its size,
so the bounds hold whatever is read below 256 MiB and some 10 s; a reader that knows more about its files has further
limits beside itself. An inventory is larger: its rows stay, a million in some 700 MiB, and a cluster's objects, one of
which is held at a time, are read at 10 MB a second.
"""

from __future__ import annotations

from typing import NamedTuple

MIB = 1 << 20


class Kind(NamedTuple):
    """What a file is said to be.

    Attributes:
        what: its name in messages.
        most_bytes: that are taken of it, once unpacked.
        why: the largest real one, or what is to be done with a larger one.
    """

    what: str
    most_bytes: int
    why: str


STREAM = Kind("a migration stream", 16 << 30, "guest memory is skipped at 1 to 2 GB a second")
PACKED_STREAM = Kind("a packed stream", 1 << 30, "unpack it first: xz and gzip unpack 0.1 to 0.3 GB a second")
REGISTERS = Kind("a file of registers", 32 * MIB, "512 vCPUs of Cloud Hypervisor take 20 MB")
TRACE = Kind("a trace", 64 * MIB, "some 600,000 calls, read in 12 s; cut it (head, --cpu), or count in the kernel")
LOG = Kind("a log of QEMU", 64 * MIB, "a migration writes some 100 lines of trace events")
MONITOR = Kind("an answer of the monitor", 1 * MIB, "an answer to query-migrate has less than 2000 bytes")
TOML = Kind("a TOML file", 1 * MIB, "a filter of 3,000 ranges has 200 kB")
RESULT = Kind("a saved result", 32 * MIB, "the largest report saves 0.3 MB")
INVENTORY = Kind("a table of hosts or VMs", 512 * MIB, "1,000,000 VMs take 80 MB as CSV, read some megabytes at a time")
CLUSTER = Kind("a cluster's objects", 2 << 30, "100,000 VMs of KubeVirt take 1 GB, read one at a time")
DOMAIN = Kind("a domain's XML", 1 * MIB, "`virsh dumpxml` writes 5 to 30 kB")
DOMSTATS = Kind("an answer of virsh", 16 * MIB, "`virsh domstats --dirtyrate` writes 300 bytes a domain")
PLAN = Kind("a saved plan", 64 * MIB, "a cube of a million cells takes up to 20 MB a variable")
HOST_PROFILE = Kind("a host profile", 4 * MIB, "the probe writes 120 kB, and 300 kB of a host with EL2 guests")
META = Kind("a recording's meta.json", 1 * MIB, "the recorder writes 2 kB")
RECORDS = Kind("a recording's records", 512 * MIB, "the largest recorded host has 30 MB of one kind")
MAX_RECORD = MIB
"""Bytes of a record's line; those of a whole register list have 20 kB."""
AS_PACKED = Kind("a packed file of a recording", 16 * MIB, "the largest that is copied as it is has 7 kB")
COPY = Kind("a compact copy", 64 * MIB, "ten hosts have 1 MB; copy fewer of them at once")
"""All its files together, packed: they are held until the last of them is made, and written at once."""
PAYLOAD = Kind("a recorded payload", 16 * MIB, "421 registers take 7 kB")

XZ_MEMORY_BYTES = 128 * MIB
"""Bytes that an .xz or .zst file may ask for; xz's presets need up to 65 MiB, zstd's up to 128."""
JSON_BYTES = 112 * MIB
"""Bytes that the values of one JSON text may take in memory, as its signs tell: empty lists take 25 times their text.
512 vCPUs take 42 MiB in a stream's description, 67 MiB in Cloud Hypervisor's state.json."""
JSON_WEIGHTS = {":": 160, "{": 144, "[": 96, ",": 9}
"""Bytes for each sign; measured with CPython 3.11. A comma ends a number up to 256."""
JSON_STRING, JSON_NUMBER = 60, 32
"""Bytes for a string that is no key, and for a number over 256."""
TEXT_BYTES = 48 * MIB
"""Bytes that a text may take in memory, where one letter beyond Latin doubles all others."""
