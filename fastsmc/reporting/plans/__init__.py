"""Figures of plans: one each of a planner's questions, drawn from the plan's table, cube and inputs alone."""

from __future__ import annotations

from fastsmc.reporting.plans.drawing import picture

__all__ = ["picture"]
