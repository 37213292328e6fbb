"""Saved results side by side: ratios with intervals, and what was different when they were made."""

from __future__ import annotations

from fastsmc.comparing.asked import compare
from fastsmc.comparing.compared import Compared, Row

__all__ = ["Compared", "Row", "compare"]
