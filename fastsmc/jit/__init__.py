"""How Numba is called, which vector instructions there are, and how threads share a batch."""

from fastsmc.jit.byte_order import require_little_endian

require_little_endian()  # here, as whatever computes comes through this room
