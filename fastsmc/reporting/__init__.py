"""The scaling report: a saved run in, figures and pages out. Knows no kernel and no simulator."""

from __future__ import annotations

from fastsmc.reporting.noise import told as noise_told
from fastsmc.reporting.page import markdown, write
from fastsmc.reporting.verdict import Sentence, verdict

__all__ = ["Sentence", "markdown", "noise_told", "verdict", "write"]
