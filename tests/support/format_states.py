"""States for tests of payload formats: what each format carries, from recordings and at random."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.facts.register_sets import bitmap_ids, register_set, vm_global_mask
from fastsmc.migrate.formats import FORMATS, RegisterState
from tests.support.read_samples import payload_values

VLS = 0x606000000015FFFF
FPCR = 0x60200000001000D5
"""Its lowest bits are reserved."""
NARROW = 0x6020000000110000
"""CCSIDR, a register of 32 bits."""
SLOT_FORMATS = [name for name in FORMATS if name not in ("qemu cpu section", "firecracker-like")]
"""Formats of 32- and 64-bit registers outside the core."""


def plain(n_vcpu: int = 3, n_reg: int = 70, seed: int = 1) -> RegisterState:
    """Firmware registers and one of 32 bits; every third is VM-global, and some others are equal too."""
    rng = np.random.default_rng(seed)
    ids = np.concatenate((np.array([NARROW], np.uint64), bitmap_ids(n_reg - 1))) if n_reg > 1 else bitmap_ids(1)
    values = rng.integers(0, 1 << 64, (n_vcpu, n_reg), np.uint64) >> rng.integers(0, 64, (n_vcpu, n_reg), np.uint64)
    is_global = np.arange(n_reg) % 3 == 0
    values[:, is_global | (np.arange(n_reg) % 5 == 0)] = values[0, is_global | (np.arange(n_reg) % 5 == 0)]
    if n_reg > 1:
        values[:, 0] &= np.uint64(0xFFFF_FFFF)
    return RegisterState.of(ids, values, is_global=is_global)


def recorded_cpregs(n_vcpu: int = 4) -> RegisterState:
    """Linux 6.12's system registers, random values."""
    ids = register_set("6.12").cpreg_ids
    values = np.random.default_rng(2).integers(0, 1 << 32, (n_vcpu, ids.size), np.uint64)
    is_global = vm_global_mask(ids)
    values[:, is_global] = values[0, is_global]
    return RegisterState.of(ids, values, is_global=is_global)


def recorded(features: str = "psci02+sve", n_vcpu: int = 3, **left_out: Any) -> RegisterState:
    """A recorded vCPU's registers of every width; later vCPUs have each value's lowest bit turned where v and i say so.

    `without` leaves registers out.
    """
    found = {reg: data for reg, data in payload_values(features).items() if reg not in left_out.get("without", ())}
    ids = sorted(found)
    wide: dict[int, NDArray[np.uint8]] = {}
    values = np.zeros((n_vcpu, len(ids)), np.uint64)
    for column, reg in enumerate(ids):
        rows = np.tile(np.frombuffer(found[reg], np.uint8), (n_vcpu, 1))
        for vcpu in range(n_vcpu):
            rows[vcpu, 0] ^= (vcpu >> column % 2) & (reg != FPCR)
        if len(found[reg]) > 8:
            wide[reg] = rows
        values[:, column] = [int.from_bytes(row[:8].tobytes(), "little") for row in rows]
    return RegisterState.of(ids, values, wide=wide)
