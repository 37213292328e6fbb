"""The downtime of a live migration, step by step: modelled, and replaced by what a user has measured."""

from __future__ import annotations

from fastsmc.migrate.switchover.measured import with_logs, with_query
from fastsmc.migrate.switchover.model import qemu_downtime
from fastsmc.migrate.switchover.query_migrate import QueryMigrate, read_query_migrate
from fastsmc.migrate.switchover.steps import Stage, Step, Waterfall
from fastsmc.migrate.switchover.trace_log import DowntimeLog, read_downtime_log

__all__ = [
    "DowntimeLog",
    "QueryMigrate",
    "Stage",
    "Step",
    "Waterfall",
    "qemu_downtime",
    "read_downtime_log",
    "read_query_migrate",
    "with_logs",
    "with_query",
]
