"""Workloads of a scenario: what is called and when. A script is made for the vCPUs of a VM group later."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, cast

from fastsmc.calls.trace import Trace
from fastsmc.errors import FastsmcError
from fastsmc.facts.smccc import Conduit, Level
from fastsmc.scenario.laws import arrivals, law, span_ns
from fastsmc.scenario.model import MixEntry, Workload, WorkloadKind
from fastsmc.scenario.names import function_id, function_name
from fastsmc.scenario.problems import Problems, brief, meant
from fastsmc.scenario.scripts import Script
from fastsmc.scenario.shapes import SHAPES, Options, shape
from fastsmc.scenario.toml_lines import Path
from fastsmc.scenario.trace_scripts import check_order, script_of_trace
from fastsmc.traces.text import timed_trace as read_trace

_TOLERANCE = 1e-9
_ARRIVALS = ("poisson", "deterministic", "onoff", "trace")
_KEYS = {"closed": ("think", "mix"), "open": ("arrivals", "mix"), "script": ("shape", "trace", "scale")}
_PERIODS = ("period_us", "period_ms", "period_s")
_SHAPE_KEYS = {"ptp-poll": ("callers", "polls", *_PERIODS), "trng-reseed": ("callers",)}
_MAX_POLLS = 1_000_000
_MAX_MIX = 4096
MAX_WORKLOADS = 1024


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked workload, before it is known how many vCPUs a VM has.

    Attributes:
        workload: as it is without a script.
        shape, options, trace: where the script comes from, if there is one; `where` is the trace file's path.
    """

    workload: Workload
    shape: str = ""
    options: Options | None = None
    trace: Trace | None = None
    where: str = ""
    scale: float = 1.0

    def of(self, n_vcpu: int) -> Workload:
        """The workload of a VM of n vCPUs.

        Raises:
            TraceError: the trace has more threads than the VM vCPUs.
        """
        if self.trace is not None:
            script = script_of_trace(self.trace, n_vcpu=n_vcpu, where=self.where)
        elif self.shape:
            script = shape(self.shape, n_vcpu, self.options)
        else:
            return self.workload
        return scripted(self.workload, script.scaled(self.scale))


def scripted(workload: Workload, script: Script) -> Workload:
    """A workload with a script: its mix is what the script calls."""
    calls = list(zip(script.func_id.tolist(), script.conduit.tolist(), strict=True))
    counts = Counter(calls)
    number = {call: index for index, call in enumerate(counts)}
    mix = tuple(
        MixEntry(function_name(func_id), func_id, Conduit(conduit), share=count / len(calls))
        for (func_id, conduit), count in counts.items()
    )
    return replace(workload, mix=mix, script=script, step_entry=tuple(number[call] for call in calls))


def read_workload(name: str, value: object, problems: Problems, folder: FilePath) -> Draft:
    """One table of [workloads]."""
    path: Path = ("workloads", name)
    table = problems.table(value, path)
    chosen = problems.choice(table.get("kind"), (*path, "kind"), _KEYS, default="")
    if not chosen:
        return Draft(Workload(name, "closed", ()))
    kind = cast(WorkloadKind, chosen)
    if kind == "script":
        return _script(name, table, path, problems, folder)
    problems.unknown_keys(table, path, ("kind", *_KEYS[kind]))
    if kind == "closed":
        gap = law(table.get("think"), (*path, "think"), problems)
        return Draft(Workload(name, kind, read_mix(table.get("mix"), (*path, "mix"), problems), gap))
    return _open(name, table, path, problems, folder)


def _open(name: str, table: dict[str, Any], path: Path, problems: Problems, folder: FilePath) -> Draft:
    where = (*path, "arrivals")
    comes = problems.table(table.get("arrivals"), where)
    if comes and problems.choice(comes.get("law"), (*where, "law"), _ARRIVALS, default="") == "trace":
        problems.unknown_keys(comes, where, ("law", "file", "scale"))
        if "mix" in table:
            problems.add((*path, "mix"), "the trace says what is called", "leave it out")
        plan = Draft(Workload(name, "open", ()), scale=_scale(comes, where, problems))
        return _with_trace(plan, comes.get("file"), (*where, "file"), problems, folder)
    gap, onoff = arrivals(comes, where, problems) if comes.get("law") in _ARRIVALS else (None, None)
    return Draft(Workload(name, "open", read_mix(table.get("mix"), (*path, "mix"), problems), gap, onoff))


def _script(name: str, table: dict[str, Any], path: Path, problems: Problems, folder: FilePath) -> Draft:
    chosen = table.get("shape")
    options = _SHAPE_KEYS.get(chosen, ()) if isinstance(chosen, str) else ()
    problems.unknown_keys(table, path, ("kind", *_KEYS["script"], *options))
    plan = Draft(Workload(name, "script", ()), scale=_scale(table, path, problems))
    if ("shape" in table) == ("trace" in table):
        both = "shape and trace are both given" if "shape" in table else "what it calls is missing"
        problems.add(path, both, f"give shape ({', '.join(SHAPES)}) or trace, a file")
        return plan
    if "trace" in table:
        return _with_trace(plan, table["trace"], (*path, "trace"), problems, folder)
    if not isinstance(chosen, str) or chosen not in SHAPES:
        problems.add((*path, "shape"), f"no shape is called {brief(chosen)}", meant(chosen, list(SHAPES)))
        return plan
    return replace(plan, shape=chosen, options=_options(table, path, problems))


def _options(table: dict[str, Any], path: Path, problems: Problems) -> Options:
    options = Options()
    if "callers" in table:
        callers = problems.choice(table["callers"], (*path, "callers"), ("one", "every-vcpu"), default="one")
        options = replace(options, every_vcpu=callers == "every-vcpu")
    if "polls" in table:
        polls = problems.whole(table["polls"], (*path, "polls"), first=1, last=_MAX_POLLS, default=1)
        options = replace(options, polls=polls)
    if any(key in table for key in _PERIODS):
        options = replace(options, period_ms=span_ns(table, "period", path, problems, above_zero=True) / 1e6)
    return options


def _scale(table: dict[str, Any], path: Path, problems: Problems) -> float:
    return problems.number(table.get("scale", 1.0), (*path, "scale"), above_zero=True)


def _with_trace(plan: Draft, value: object, path: Path, problems: Problems, folder: FilePath) -> Draft:
    name = problems.text(value, path)
    if not name:
        return plan
    file = folder / name
    try:
        trace = read_trace(file)
        check_order(trace, str(file))
    except FastsmcError as error:
        problems.add(path, error)
        return plan
    return replace(plan, trace=trace, where=str(file))


def read_mix(value: object, path: Path, problems: Problems) -> tuple[MixEntry, ...]:
    """`{ TRNG_RND64 = 0.2, PTP = 0.8 }`, or a list of tables: call, share, conduit, level, x1, x2, x3, service."""
    n_problem = len(problems.found)
    if isinstance(value, Mapping):
        rows = [({"call": key, "share": share}, (*path, key)) for key, share in value.items()]
    elif isinstance(value, list):
        rows = [(problems.table(row, (*path, i)), (*path, i)) for i, row in enumerate(value)]
    else:
        problems.add(path, f"it is {brief(value)}", "it must be a table of shares by function, or a list of tables")
        return ()
    is_list = isinstance(value, list)
    if not problems.no_more_than(rows, _MAX_MIX, path, "KVM knows 62 functions"):
        return ()
    found = [(_entry(row, where, problems, is_list), where) for row, where in rows if row and not problems.is_full]
    seen: dict[tuple[int, ...], str] = {}
    entries = []
    for entry, where in found:
        if entry is None:
            continue
        key = (entry.func_id, entry.conduit, entry.level, entry.x1, entry.x2, entry.x3)
        if key in seen:
            problems.add(where, f"0x{entry.func_id:08x} is there already, as {seen[key]}", "give it once")
        seen[key] = entry.name
        entries.append(entry)
    total = math.fsum(entry.share for entry in entries)
    if len(problems.found) == n_problem and abs(total - 1) > _TOLERANCE:
        problems.add(path, f"shares add up to {total:.12g}", "they must add up to 1")
    return tuple(entry for entry in entries if entry.share > 0)


def _entry(row: dict[str, Any], path: Path, problems: Problems, is_table: bool) -> MixEntry | None:
    problems.unknown_keys(row, path, ("call", "share", "conduit", "level", "x1", "x2", "x3", "service"))
    at = (lambda key: (*path, key)) if is_table else (lambda _key: path)
    share = problems.number(row.get("share"), at("share"), default=0.0)
    func_id = function_id(row.get("call"), at("call"), problems)
    words = [f"{conduit.name.lower()}" for conduit in Conduit]
    conduit = problems.choice(row.get("conduit", "hvc"), at("conduit"), words, default="hvc")
    levels = [level.name.lower() for level in Level]
    level = problems.choice(row.get("level", "el1"), at("level"), levels, default="el1")
    x1, x2, x3 = (
        problems.whole(row.get(x, 0), at(x), first=0, last=(1 << 64) - 1, default=0) for x in ("x1", "x2", "x3")
    )
    service = law(row["service"], at("service"), problems) if "service" in row else None
    if func_id is None:
        return None
    where = Conduit[conduit.upper()], x1, x2, x3
    return MixEntry(function_name(func_id), func_id, *where, share, service, Level[level.upper()])
