"""What was measured, as a dictionary, a JSON file and a table; and what the issue asks for."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from bench.baseline import COMMAND
from bench.cases import Setup
from bench.timing import Times, ratio, spread
from fastsmc.results.runs import provenance

SCHEMA = 1
REQUIRED = ("ns_per_call", "of_stream", "vs_c_kernel_style", "vs_numpy", "spread")
"""Keys every case has; null where a case has no such contestant."""
_OTHERS = {
    "vs_c_table": "c_table", "vs_numpy_search": "numpy_search", "vs_python": "python", "vs_simpy": "simpy",
    "vs_ciw": "ciw",
}  # fmt: skip

_RATIOS = {
    "core_slowdown": "core",
    "of_stream": "of stream",
    "vs_c_kernel_style": "vs C kernel style",
    "vs_c_table": "vs C table",
    "vs_numpy": "vs NumPy",
    "vs_python": "vs Python",
}
_BATCH = {
    "p50_ns": "p50",
    "p99_ns": "p99",
    "p99.9_ns": "p99.9",
    "max_ns": "max",
    "python_ns": "Python",
    "call_ns": "call of a no-op kernel",
    "kernel_ns": "kernel",
    "calls_object_ns": "making `Calls`",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A number the issue asks for: of `key` in a case, at least that much, or at most."""

    case: str
    key: str
    must: float | None
    aim: float
    at_most: bool = False
    sizes: tuple[str, ...] = ()

    def names(self, cases: Mapping[str, Any]) -> list[str]:
        """The measured cases it is about."""
        wanted = [f"{self.case}-{size}" for size in self.sizes] if self.sizes else list(cases)
        return [n for n in wanted if n in cases and (n == self.case or n.rpartition("-")[0] == self.case)]

    def reached(self, value: float, limit: float) -> bool:
        return value <= limit if self.at_most else value >= limit


TARGETS = (
    Target("mixed-known", "vs_c_kernel_style", 20, 30),
    Target("mixed-known", "of_stream", 0.20, 0.45, sizes=("64M",)),
    Target("mixed-known-16policies", "of_stream", 0.40, 0.80, sizes=("64M",)),
    Target("mixed-filter", "vs_c_kernel_style", 50, 80),
    Target("mixed-filter", "unknown_ns", None, 8, at_most=True),
    Target("grouped-known", "vs_c_kernel_style", 80, 115),
    Target("grouped-known", "of_stream", 0.60, 0.80, sizes=("2M",)),
    Target("counted", "times_verdicts", 2.5, 1.5, at_most=True),
    Target("answers", "of_stream", 0.5, 0.8),
    Target("trace", "vs_c_kernel_style", 5, 10),
    Target("batch-1024", "p50_ns", 8000, 3000, at_most=True),
    Target("threads-2", "vs_one_thread", 1.5, 1.9, sizes=("64M",)),
    Target("million", "times_1024_vms", 1.3, 1.1, at_most=True),
    Target("simulate-closed", "vs_simpy", 300, 450),
    Target("simulate-mm1", "vs_simpy", 2000, 3000),
    Target("migration-values", "times_copy", 1.0, 0.9, at_most=True),
    Target("migration-id-value", "times_copy", 1.0, 0.6, at_most=True),
    Target("migration-global-columns", "times_copy", 1.0, 0.5, at_most=True),
    Target("migration-restore", "times_copy", 1.2, 1.0, at_most=True),
)
"""The tables of issues 4, 5 and 6."""


def figures(setup: Setup, times: Times, wall_over_cpu: float) -> dict[str, Any]:
    """One case of the file, from the times of its rounds."""

    def against(name: str) -> float | None:
        return ratio(times, name) if name in times else None

    return {
        "ns_per_call": float(np.median(times["ours"])),
        "of_stream": against("stream"),
        "vs_c_kernel_style": against("c_kernel_style"),
        "vs_numpy": against("numpy"),
        "spread": spread(times["ours"]),
        **{key: ratio(times, name) for key, name in _OTHERS.items() if name in times},
        **{key: of_times(times) for key, of_times in setup.more.items()},
        "n_call": setup.contestants["ours"].n_call,
        "n_round": int(times["ours"].size),
        "stream": setup.stream,
        "pattern": setup.pattern,
        "clock": "cpu" if wall_over_cpu else "wall",
        "wall_over_cpu": wall_over_cpu,
        **({"spin_best_ns": float(times["spin"].min())} if "spin" in times else {}),
        "ns": {name: float(np.median(values)) for name, values in times.items()},
    }


def environment() -> dict[str, Any]:
    """Machine and versions; no host name, no paths."""
    of_run = provenance(seed=0, inputs={})
    compiler = subprocess.run([COMMAND[0], "--version"], capture_output=True, text=True, check=False).stdout
    return {
        "cpu": of_run.cpu,
        "cpu_family_model": _cpu_family_model(),
        "n_core": len(os.sched_getaffinity(0)),
        "os": f"{platform.system()} {platform.release()}",
        "python": of_run.python,
        "numpy": of_run.numpy,
        "numba": of_run.numba,
        "llvmlite": _version("llvmlite"),
        "fastsmc": of_run.fastsmc,
        "cc": compiler.partition("\n")[0],
        "cc_command": " ".join(COMMAND),
        "numba_cpu_name": os.environ.get("NUMBA_CPU_NAME", ""),
        "date_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def load_average() -> list[float]:
    """Processes that wanted to run, over 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu_family_model() -> str:
    """Family and model numbers on x86: model names such as "AMD EPYC" say little."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123
            pairs = [line.partition(":")[::2] for line in lines.read().split("\n\n")[0].splitlines()]
    except OSError:
        return ""
    found = {name.strip(): value.strip() for name, value in pairs}
    return "/".join(found[name] for name in ("cpu family", "model", "stepping") if name in found)


def to_json(environment: dict[str, Any], cases: Mapping[str, Any]) -> str:
    """The file's text: a line per case, four significant digits."""
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(_rounded(case))}" for name, case in cases.items())
    return f'{{"schema": {SCHEMA},\n"environment": {json.dumps(environment)},\n"cases": {{\n{rows}}}}}\n'


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def to_markdown(environment: dict[str, Any], cases: Mapping[str, Any]) -> str:
    """Tables: dispatch, simulation, the numbers the issues ask for, batches."""
    env = environment
    lines = [
        "# Dispatch, measured",
        "",
        f"{env['cpu']} ({env['cpu_family_model']}), {env['n_core']} cores; Python {env['python']}, "
        f"NumPy {env['numpy']}, Numba {env['numba']}, {env['cc']}; "
        f"load {env['load_before'][0]} before, {env['load_after'][0]} after; {env['date_utc']}.",
        "",
        "Contestants of a case took turns in one process. A ratio is the median over rounds; above 1 we are faster. "
        "`of stream` is the share reached of the rate of a loop that moves the same bytes. Nanoseconds are CPU time of "
        "one core, but wall time where marked, and good for this machine and minute only. `core` is how much slower "
        "than at its best the core itself was during the case: neighbours outside this machine slow it, table look-ups "
        "more than mispredicted branches, so above 1.2 the ratio to C kernel style is too low.",
        "",
    ]
    lines += _dispatch_table({name: case for name, case in cases.items() if "vs_simpy" not in case})
    lines += _simulation_table({name: case for name, case in cases.items() if "vs_simpy" in case})
    lines += ["", "| asked for | measured | must | aim | reached |", "|---|--:|--:|--:|---|"]
    lines += [_target_row(*row) for row in judged(cases)]
    for name, why in env.get("left_out", {}).items():
        lines.append(f"| `{name}` | left out: {why} | | | |")
    batches = {n: c for n, c in cases.items() if n.startswith("latency-")}
    if batches:
        lines += ["", f"| one call by each vCPU, us (wall) | {' | '.join(_BATCH.values())} |"]
        lines += ["|---|" + "--:|" * len(_BATCH)]
        for name, case in batches.items():
            shown = " | ".join(_number(case[key] / 1000) if key in case else "" for key in _BATCH)
            lines.append(f"| `{name}` | {shown} |")
        lines += ["", "Python, call and kernel add up to p50; making the `Calls` object comes before it."]
    return "\n".join(lines) + "\n"


def _dispatch_table(cases: Mapping[str, Any]) -> list[str]:
    lines = [
        f"| case | calls are | ns/call | spread | {' | '.join(_RATIOS.values())} |",
        "|---|---|--:|--:|" + "--:|" * len(_RATIOS),
    ]
    for name, case in cases.items():
        wall = " (wall)" if case.get("clock") == "wall" else ""
        shown = " | ".join(_number(case.get(key)) for key in _RATIOS)
        lines.append(
            f"| `{name}` | {case.get('pattern', '')} | {_number(case['ns_per_call'])}{wall} | "
            f"{_number(case['spread'])} | {shown} |"
        )
    return lines if cases else []


def _simulation_table(cases: Mapping[str, Any]) -> list[str]:
    lines = ["", "| simulated | queue | ns/call | spread | core | vs SimPy | vs ciw |", "|---|---|--:|--:|--:|--:|--:|"]
    keys = ("ns_per_call", "spread", "core_slowdown", "vs_simpy", "vs_ciw")
    for name, case in cases.items():
        lines.append(f"| `{name}` | {case['pattern']} | {' | '.join(_number(case.get(key)) for key in keys)} |")
    return lines if cases else []


def judged(cases: Mapping[str, Any]) -> list[tuple[str, Target, float]]:
    """(case, target, measured value) of everything the issue asks for and this run measured."""
    rows = [(name, target) for target in TARGETS for name in target.names(cases)]
    return [(name, t, cases[name][t.key]) for name, t in rows if cases[name].get(t.key) is not None]


def _target_row(name: str, target: Target, value: float) -> str:
    sign = "at most " if target.at_most else ""
    if target.reached(value, target.aim):
        verdict = "aim"
    elif target.must is None:
        verdict = "no (an aim only)"
    else:
        verdict = "must" if target.reached(value, target.must) else "no"
    must = "" if target.must is None else f"{sign}{target.must:g}"
    return f"| `{name}`: {target.key} | {_number(value)} | {must} | {sign}{target.aim:g} | {verdict} |"


def _number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
