"""Short names in kernels: of numbers, so that a constant is spelled with its width, as `u64(8)`, and of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

u8, u16, u32, u64 = np.uint8, np.uint16, np.uint32, np.uint64

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]
Index = NDArray[np.unsignedinteger[Any]]
"""Numbers in whatever width holds them."""
