"""A small run of the main job, which tests of the report draw, and runs in which something is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fastsmc import scaling
from fastsmc.facts.packaged import GUEST_BOOT_TRACE
from fastsmc.results.files import save
from fastsmc.results.runs import Run
from fastsmc.results.tables import Column, Table
from fastsmc.traces.text import traced_calls as read_trace
from tests.support.study_sizes import STUDY

SIZES = scaling.Sizes(
    shapes=((2, 4), (1, 1024)),
    n_batch=40,
    replays=6,
    repeats=3,
    n_call=500,
    vcpus=(1, 16, 64, 128),
    vms=(1, 2, 8),
    vms_vcpus=16,
    grid=(1, 8, 64, 1024),
    encodes=1,
    fleet=scaling.FleetSizes(n_host=10, hosts_at_once=2),
    study=STUDY,
)
"""A small run of everything."""


def measured(folder: Path) -> None:
    """Saves a run of these sizes."""
    save(scaling.run(read_trace(GUEST_BOOT_TRACE), sizes=SIZES), folder / "data.json")


def changed(run: Run, table: str, column: str, rows: object, value: object) -> Run:
    """The run with some values of a column replaced."""
    old = run[table].columns[column]
    values = old.values.copy()
    values[rows] = value
    columns = {**run[table].columns, column: Column.of(values, old.kind, old.meaning)}
    return replace(run, tables={**run.tables, table: Table(run[table].meaning, columns)})
