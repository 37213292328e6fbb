"""How fast fastsmc itself is on this machine, measured in a few seconds."""

from __future__ import annotations

from fastsmc.measuring.measured import Measured, MeasuredCase, bench

__all__ = ["Measured", "MeasuredCase", "bench"]
