"""fastsmc: how KVM on arm64 answers its guests' hypercalls, simulated for thousands of vCPUs at once.

Names are loaded when first used, so `import fastsmc` starts neither Numba nor Matplotlib:

>>> import fastsmc as smc
>>> fleet = smc.Fleet.uniform(n_vm=2, n_vcpu=4, host="6.12")
>>> fleet.set_one_reg(smc.register("STD_BMAP"), 0, vms=0)
>>> calls = smc.Calls.one_each(0x84000053, n_vcpu=8)
>>> [smc.Verdict(v).name for v in smc.dispatch(fleet, calls).verdict[[0, 4]]]
['DENIED', 'HANDLED']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsmc.calls.grouped import GroupedCalls
    from fastsmc.calls.workload import Calls, mix, replay
    from fastsmc.dispatcher.answers import answers
    from fastsmc.dispatcher.batch import dispatch, verdicts
    from fastsmc.dispatcher.power import switch
    from fastsmc.dispatcher.timing import compare_dispatch, measure_batches, measure_dispatch
    from fastsmc.errors import FastsmcError
    from fastsmc.explanation import explain
    from fastsmc.facts.register_sets import register_set, register_sets
    from fastsmc.facts.registers import register
    from fastsmc.facts.releases import Host, release
    from fastsmc.facts.smccc import FilterAction, Verdict
    from fastsmc.fleet.filters import FilterRange
    from fastsmc.latency import saved_times, simulate
    from fastsmc.migrate import Codec, QemuMachine, decode, encode, ioctls, payload_bytes, qemu_stream_size
    from fastsmc.migrate.compat import check_migration
    from fastsmc.migrate.read import read_registers
    from fastsmc.migrate.switchover import qemu_downtime, read_downtime_log, read_query_migrate, with_logs, with_query
    from fastsmc.plan import Link, added_register, map_savings, max_vcpus, more_registers, register_table
    from fastsmc.results.histogram import Histogram
    from fastsmc.scaling.report import report
    from fastsmc.scenario import Scenario
    from fastsmc.scenario.profiles import load_profile
    from fastsmc.scopes.compare import scope
    from fastsmc.traces.text import trace
    from fastsmc.verification import verify
    from fastsmc.vm import Fleet

_HOME = {
    "Calls": "calls.workload",
    "Codec": "migrate",
    "FastsmcError": "errors",
    "FilterAction": "facts.smccc",
    "FilterRange": "fleet.filters",
    "Fleet": "vm",
    "GroupedCalls": "calls.grouped",
    "Histogram": "results.histogram",
    "Host": "facts.releases",
    "Link": "plan",
    "QemuMachine": "migrate",
    "Scenario": "scenario",
    "Verdict": "facts.smccc",
    "added_register": "plan",
    "answers": "dispatcher.answers",
    "check_migration": "migrate.compat",
    "compare_dispatch": "dispatcher.timing",
    "decode": "migrate",
    "dispatch": "dispatcher.batch",
    "encode": "migrate",
    "explain": "explanation",
    "ioctls": "migrate",
    "load_profile": "scenario.profiles",
    "map_savings": "plan",
    "max_vcpus": "plan",
    "measure_batches": "dispatcher.timing",
    "measure_dispatch": "dispatcher.timing",
    "mix": "calls.workload",
    "more_registers": "plan",
    "payload_bytes": "migrate",
    "qemu_downtime": "migrate.switchover",
    "qemu_stream_size": "migrate",
    "read_downtime_log": "migrate.switchover",
    "read_query_migrate": "migrate.switchover",
    "read_registers": "migrate.read",
    "register": "facts.registers",
    "register_set": "facts.register_sets",
    "register_sets": "facts.register_sets",
    "register_table": "plan",
    "release": "facts.releases",
    "replay": "calls.workload",
    "report": "scaling.report",
    "saved_times": "latency",
    "scope": "scopes.compare",
    "simulate": "latency",
    "switch": "dispatcher.power",
    "trace": "traces.text",
    "verdicts": "dispatcher.batch",
    "verify": "verification",
    "with_logs": "migrate.switchover",
    "with_query": "migrate.switchover",
}

__all__ = [
    "Calls",
    "Codec",
    "FastsmcError",
    "FilterAction",
    "FilterRange",
    "Fleet",
    "GroupedCalls",
    "Histogram",
    "Host",
    "Link",
    "QemuMachine",
    "Scenario",
    "Verdict",
    "added_register",
    "answers",
    "check_migration",
    "compare_dispatch",
    "decode",
    "dispatch",
    "encode",
    "explain",
    "ioctls",
    "load_profile",
    "map_savings",
    "max_vcpus",
    "measure_batches",
    "measure_dispatch",
    "mix",
    "more_registers",
    "payload_bytes",
    "qemu_downtime",
    "qemu_stream_size",
    "read_downtime_log",
    "read_query_migrate",
    "read_registers",
    "register",
    "register_set",
    "register_sets",
    "register_table",
    "release",
    "replay",
    "report",
    "saved_times",
    "scope",
    "simulate",
    "switch",
    "trace",
    "verdicts",
    "verify",
    "with_logs",
    "with_query",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        msg = f"module 'fastsmc' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"fastsmc.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
