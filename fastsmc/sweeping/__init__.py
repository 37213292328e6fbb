"""Grids of scenarios on as many cores or machines as there are: cells in, a journal that survives kills, cubes out.

A cell is a scenario with values put in by path, and a repeat. It is data: its number and the sweep's design say all of
it, so any process that has both computes the same bytes. Only the caller's process writes the journal.
"""
