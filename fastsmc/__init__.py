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

from typing import TYPE_CHECKING

from fastsmc.lazy import lazily

if TYPE_CHECKING:
    from fastsmc import migrate, plan
    from fastsmc.calls.grouped import GroupedCalls
    from fastsmc.calls.workload import Calls, mix, replay
    from fastsmc.comparing import compare
    from fastsmc.dispatcher.answers import answers
    from fastsmc.dispatcher.batch import verdicts
    from fastsmc.dispatcher.power import switch
    from fastsmc.dispatcher.prepared import Dispatcher
    from fastsmc.errors import FastsmcError
    from fastsmc.explanation import explain, releases
    from fastsmc.facts.register_sets import register_sets
    from fastsmc.facts.registers import register
    from fastsmc.facts.releases import Host, release
    from fastsmc.facts.smccc import FilterAction, Level, Verdict
    from fastsmc.fleet.filters import FilterRange
    from fastsmc.latency import saved_times, simulate
    from fastsmc.measuring import bench
    from fastsmc.migrate.carried import register_set
    from fastsmc.migrate.link import Link
    from fastsmc.probing import probe
    from fastsmc.scaling.report import report
    from fastsmc.scenario import Scenario
    from fastsmc.scenario.profiles import load_profile
    from fastsmc.schemas import schema
    from fastsmc.scopes.compare import scope
    from fastsmc.sweeping.run import open_sweep, sweep
    from fastsmc.templates import new
    from fastsmc.templates.samples import samples
    from fastsmc.traces.text import trace
    from fastsmc.usage import dispatch, services
    from fastsmc.verification import verify
    from fastsmc.vm import Fleet

_HOME = {
    "Calls": "calls.workload",
    "Dispatcher": "dispatcher.prepared",
    "FastsmcError": "errors",
    "FilterAction": "facts.smccc",
    "FilterRange": "fleet.filters",
    "Fleet": "vm",
    "GroupedCalls": "calls.grouped",
    "Host": "facts.releases",
    "Level": "facts.smccc",
    "Link": "migrate.link",
    "Scenario": "scenario",
    "Verdict": "facts.smccc",
    "answers": "dispatcher.answers",
    "bench": "measuring",
    "compare": "comparing",
    "dispatch": "usage",
    "explain": "explanation",
    "load_profile": "scenario.profiles",
    "mix": "calls.workload",
    "new": "templates",
    "open_sweep": "sweeping.run",
    "probe": "probing",
    "register": "facts.registers",
    "register_set": "migrate.carried",
    "register_sets": "facts.register_sets",
    "release": "facts.releases",
    "releases": "explanation",
    "replay": "calls.workload",
    "report": "scaling.report",
    "samples": "templates.samples",
    "saved_times": "latency",
    "schema": "schemas",
    "scope": "scopes.compare",
    "services": "usage",
    "simulate": "latency",
    "sweep": "sweeping.run",
    "switch": "dispatcher.power",
    "trace": "traces.text",
    "verdicts": "dispatcher.batch",
    "verify": "verification",
}

__all__ = [
    "Calls",
    "Dispatcher",
    "FastsmcError",
    "FilterAction",
    "FilterRange",
    "Fleet",
    "GroupedCalls",
    "Host",
    "Level",
    "Link",
    "Scenario",
    "Verdict",
    "answers",
    "bench",
    "compare",
    "dispatch",
    "explain",
    "load_profile",
    "migrate",
    "mix",
    "new",
    "open_sweep",
    "plan",
    "probe",
    "register",
    "register_set",
    "register_sets",
    "release",
    "releases",
    "replay",
    "report",
    "samples",
    "saved_times",
    "schema",
    "scope",
    "services",
    "simulate",
    "sweep",
    "switch",
    "trace",
    "verdicts",
    "verify",
]

__getattr__, __dir__ = lazily(__name__, _HOME, folders=("migrate", "plan"))
