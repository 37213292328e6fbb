"""What the readers of registers refuse to go beyond, besides the sizes of `files.limits`.

All are sanity bounds of ours. Real systems have at most 512 vCPUs of 421 registers, 215,552 values, a few thousand
sections of devices, some 100,000 of guest memory. Together the bounds keep any file below 256 MiB and some 10 s, which
docs/files.md has measured.
"""

from fastsmc.files.limits import REGISTERS

MAX_VCPUS = 1 << 14
MAX_REGISTERS = 1 << 13
"""Registers per vCPU, and different ones in a file: each is listed with its values, 3 kB of JSON at most."""
MAX_VALUES = 1 << 19
"""Registers of all vCPUs together: 512 vCPUs of 421 have 215,552."""
MAX_WIDE_BYTES = 8 << 20
"""Bytes of all values over 64 bits: 512 vCPUs with SVE vectors of 2048 bits have 4.5 MB."""
MAX_LISTED = 1 << 15
"""Registers of all the ways together in which vCPUs list theirs: real VMs have one way of 421, hybrid ones two."""
MAX_FORCED = 1 << 11
"""Registers that a CPU template forces bits of: real ones have some 20."""
MAX_TEXT_BYTES = REGISTERS.most_bytes
"""Bytes of a text."""
MAX_DESCRIPTION_BYTES = 8 << 20
"""Bytes of a stream's description: 512 vCPUs have 4.5 MB."""
MAX_SESSION_BYTES = 1 << 20
"""Bytes of a QMP session, of which every line is parsed."""
MAX_LINE = 2000
"""Characters in a line of text; the widest register takes 600."""
MAX_LINES = 1 << 20
"""Lines of a text: 512 vCPUs in snapshot-editor's have 217,088."""
MAX_FEATURE_SETS = 1 << 10
"""Lines of a recorded list: a host has some 30."""
MAX_LIST_BYTES = 8 << 20
"""Bytes of a recorded list, every line of which is parsed: those of a host have 0.6 MB. The 32 MiB that another text
may have take 10 s where all of it is lists that hold nothing."""
MAX_DEVICE_BYTES = 48 << 20
"""Bytes of a QEMU stream from the first section that is no guest memory to the end, held at once: 512 vCPUs have 9 MB,
and 38 MB while all of them use SME."""
MAX_DEVICES = 1 << 16
"""Sections of devices: two per vCPU and some hundred."""
MAX_PARTS = 1 << 18
"""Sections of any kind; one of guest memory is sent some ten times a second."""
MAX_SMALL_RECORDS = 1 << 20
"""Records of guest memory and disks, subsections and names that carry no page: a few per section."""
MAX_PAGES, ALONE = 1 << 28, 128
"""Pages of guest memory, zero ones among them: 1 TiB of 4 KiB. One that is looked at alone, as its record is of another
kind than those around it, takes the time of so many; 16 GiB of pages that are not zero come to 38,000,000."""
HASHED_BYTES = 64 << 20
"""Bytes of the longest file that is hashed."""
