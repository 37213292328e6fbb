"""The names of the steps of a downtime."""

from __future__ import annotations

PAUSE, GETS, GIC_GETS, GETS_AGAIN, SAVE = "pause", "GETs, all state", "GETs, GIC", "GETs, registers again", "encode"
WIRE, DESCRIPTION = "wire, state", "wire, description"
LOAD, GIC_SETS, SETS, SETS_AGAIN, RESUME = "decode", "SETs, GIC", "SETs, registers", "SETs, all state again", "resume"
MEMORY, SOURCE = "memory, last pass", "source, to the last byte"
"""Steps that only measurements have."""
