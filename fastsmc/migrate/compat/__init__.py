"""Will it restore? Register lists, values and rules of two kernels joined, per VMM and in both directions."""

from __future__ import annotations

from fastsmc.migrate.compat.check import check_migration
from fastsmc.migrate.compat.result import (
    Basis,
    Direction,
    MigrationCheck,
    RegisterFate,
    Remedy,
    SideInfo,
    Verdict,
    Vmm,
    Warning,
)

__all__ = [
    "Basis",
    "Direction",
    "MigrationCheck",
    "RegisterFate",
    "Remedy",
    "SideInfo",
    "Verdict",
    "Vmm",
    "Warning",
    "check_migration",
]
