"""Files to begin with: a scenario, an inventory, a cost profile and a question, that work as they are.

And small files to try things on."""

from __future__ import annotations

from fastsmc.templates.written import KINDS, Begun, new

__all__ = ["KINDS", "Begun", "new"]
