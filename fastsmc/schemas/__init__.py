"""What results look like as JSON: a typed definition of each kind, and the JSON Schema that is made of it."""

from __future__ import annotations

from fastsmc.schemas.kinds import KINDS, Schemas, schema

__all__ = ["KINDS", "Schemas", "schema"]
