"""Delta against vCPU 0: its row complete, then per vCPU which registers differ and their values.

8R + (V - 1) * 8 * ceil(R / 64) + 8D bytes, with D values that differ from vCPU 0's. Big-endian; the bit of register r
is bit r % 64 of word r // 64. Unlike a map of VM-global registers it needs no declaration and saves what happens to be
equal; nobody does this today.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsmc.checks import U8Array
from fastsmc.migrate._checks import checked_ids
from fastsmc.migrate.formats.base import check_length, damage
from fastsmc.migrate.formats.state import Expected, RegisterState, check_widths


@dataclass(frozen=True, slots=True)
class Delta:
    """vCPU 0's row, then what differs from it; 32- and 64-bit registers only."""

    name: str = "delta against vCPU 0"

    def n_bytes(self, state: RegisterState) -> int:
        """8R + (V - 1) * 8 * ceil(R / 64) + 8D."""
        checked_ids(state.ids)
        n_reg = state.ids.size
        n_different = int(np.count_nonzero(state.values[1:] != state.values[0]))
        return 8 * (n_reg + (state.n_vcpu - 1) * -(-n_reg // 64) + n_different)

    def encode(self, state: RegisterState, out: U8Array) -> None:
        """Row 0, then the others."""
        from fastsmc.migrate.kernels.arrays import swap_all
        from fastsmc.migrate.kernels.records import write_delta

        words, n_reg = out.view(np.uint64), state.ids.size
        swap_all(state.values[0], words[:n_reg])
        write_delta(state.values[1:], state.values[0], words[n_reg:])

    def decode(self, data: U8Array, expected: Expected) -> RegisterState:
        """Refuses what `encode` would not write: a bit of no register, a value that is vCPU 0's after all."""
        from fastsmc.migrate.kernels.arrays import swap_all
        from fastsmc.migrate.kernels.records import read_delta

        ids = checked_ids(expected.ids)
        values = np.empty((expected.n_vcpu, ids.size), np.uint64)
        what = f"{ids.size} registers x {expected.n_vcpu} vCPUs as {self.name!r}"
        words = data[: data.size // 8 * 8].view(np.uint64)
        if words.size < ids.size:
            check_length(data, 8 * ids.size, f"the registers of vCPU 0 of {what}, and those alone,")
        swap_all(words[: ids.size], values[0])
        used = read_delta(words[ids.size :], values[0], values[1:])
        if used < 0:
            at = 8 * (ids.size - 1 - used)
            if at >= 8 * words.size:
                raise damage(data.size, f"the data are cut off here; {what} go on")
            raise damage(at, f"no row of {ids.size} registers: a bit or a value that an encoder does not write")
        check_length(data, 8 * (ids.size + used), what)
        check_widths(ids, values)
        return RegisterState(ids, values, {}, expected.is_global)
