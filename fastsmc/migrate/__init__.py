"""Register state on the move: what files of it hold, whether it restores, how many bytes, ioctls and ms it takes.

Each command `fastsmc migrate …` is a function of the same words here. Names are loaded when first used:

>>> import fastsmc as smc
>>> smc.migrate.check("6.18", "6.12").forward.ok
False
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsmc.lazy import lazily

if TYPE_CHECKING:
    from fastsmc.migrate.compat.check import check
    from fastsmc.migrate.compat.matrix import matrix
    from fastsmc.migrate.compat.outlooks import outlooks
    from fastsmc.migrate.counts import ioctls
    from fastsmc.migrate.encoded import encode
    from fastsmc.migrate.growth.by_vmm import add_registers
    from fastsmc.migrate.payload import Codec, decode, payload_bytes
    from fastsmc.migrate.qemu.machine import QemuMachine
    from fastsmc.migrate.qemu.size import size
    from fastsmc.migrate.read.detect import inspect
    from fastsmc.migrate.read.differences import diff
    from fastsmc.migrate.switchover.many import downtimes
    from fastsmc.migrate.switchover.measured import with_logs, with_query
    from fastsmc.migrate.switchover.modelled import downtime
    from fastsmc.migrate.switchover.query_migrate import read_query_migrate
    from fastsmc.migrate.switchover.trace_log import read_downtime_log

_HOME = {
    "Codec": "migrate.payload",
    "QemuMachine": "migrate.qemu.machine",
    "add_registers": "migrate.growth.by_vmm",
    "check": "migrate.compat.check",
    "decode": "migrate.payload",
    "diff": "migrate.read.differences",
    "downtime": "migrate.switchover.modelled",
    "downtimes": "migrate.switchover.many",
    "encode": "migrate.encoded",
    "inspect": "migrate.read.detect",
    "ioctls": "migrate.counts",
    "matrix": "migrate.compat.matrix",
    "outlooks": "migrate.compat.outlooks",
    "payload_bytes": "migrate.payload",
    "read_downtime_log": "migrate.switchover.trace_log",
    "read_query_migrate": "migrate.switchover.query_migrate",
    "size": "migrate.qemu.size",
    "with_logs": "migrate.switchover.measured",
    "with_query": "migrate.switchover.measured",
}

__all__ = [
    "Codec",
    "QemuMachine",
    "add_registers",
    "check",
    "decode",
    "diff",
    "downtime",
    "downtimes",
    "encode",
    "inspect",
    "ioctls",
    "matrix",
    "outlooks",
    "payload_bytes",
    "read_downtime_log",
    "read_query_migrate",
    "size",
    "with_logs",
    "with_query",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
