"""Loops over register values: packing and unpacking them, and writing them as text."""
