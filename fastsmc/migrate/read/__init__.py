"""Register files of real systems, read into one type: `read_registers`."""

from __future__ import annotations

from fastsmc.migrate.read.detect import read_registers
from fastsmc.migrate.read.result import Bank, Format, Part, Provenance, RegisterFile, Scopes, scopes

__all__ = ["Bank", "Format", "Part", "Provenance", "RegisterFile", "Scopes", "read_registers", "scopes"]
