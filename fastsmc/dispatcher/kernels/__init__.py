"""Loops over calls: verdicts in passes of 64, answers, and power state."""
