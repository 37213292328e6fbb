"""The scaling report: a saved run in, figures and one page out. Knows no kernel and no simulator."""

from __future__ import annotations

from fastsmc.reporting.page import write

__all__ = ["write"]
