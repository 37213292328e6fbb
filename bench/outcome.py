"""What was measured, as a dictionary, a JSON file and a table; and what the issue asks for."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from bench.baseline import COMMAND
from bench.cases import Setup
from bench.levels import features, here, own_name
from bench.targets import NO_SLOWER, Target, judged
from bench.timing import Times, ratio, spread
from fastsmc.jit import compiled
from fastsmc.results.runs import provenance

SCHEMA = 1
REQUIRED = ("ns_per_call", "of_stream", "vs_c_kernel_style", "vs_numpy", "spread")
"""Keys every case has; null where a case has no such contestant."""
_OTHERS = {
    "vs_c_table": "c_table", "vs_c_vector": "c_vector", "vs_numpy_search": "numpy_search", "vs_python": "python",
    "vs_simpy": "simpy", "vs_ciw": "ciw",
}  # fmt: skip

_RATIOS = {
    "core_slowdown": "core",
    "of_stream": "of stream",
    "vs_c_kernel_style": "vs C kernel style",
    "vs_c_table": "vs C table",
    "vs_c_vector": "vs C vector",
    "vs_numpy": "vs NumPy",
    "vs_python": "vs Python",
}
_BATCH = {
    "prepared_p50_ns": "p50 prepared",
    "prepared_out_p50_ns": "p50 prepared, `out` given",
    "p50_ns": "p50",
    "p99_ns": "p99",
    "p99.9_ns": "p99.9",
    "max_ns": "max",
    "python_ns": "Python",
    "call_ns": "call of a no-op kernel",
    "kernel_ns": "kernel",
    "calls_object_ns": "making `Calls`",
}


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
        **({"notes": setup.notes} if setup.notes else {}),
        **({"spin_best_ns": float(times["spin"].min())} if "spin" in times else {}),
        "ns": {name: float(np.median(values)) for name, values in times.items()},
    }


def environment() -> dict[str, Any]:
    """Machine and versions; no host name, no paths."""
    of_run = provenance(seed=0, inputs={})
    compiler = subprocess.run([COMMAND[0], "--version"], capture_output=True, text=True, check=False).stdout
    return {
        "cpu": of_run.cpu,
        "cpu_vendor": cpu_vendor(),
        "cpu_family_model": _cpu_family_model(),
        "cpu_level": own_name(platform.machine(), features()),
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
        "level": here().name,
        "back_end": back_end(),
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


def back_end() -> str:
    """Which vector instructions our kernels use, by their own word, such as "avx2"; "scalar": none."""
    try:
        level = import_module("fastsmc.jit.level")
    except ModuleNotFoundError:  # versions that have one back end beside the scalar loop
        return "avx512-vbmi2" if getattr(compiled, "HAS_WIDE", False) else "scalar"
    return str(level.BACK_END)


def cpu_vendor() -> str:
    """Who makes the CPU, in a word: intel, amd; arm64 elsewhere than on x86-64."""
    spoken = {"GenuineIntel": "intel", "AuthenticAMD": "amd"}
    if "vendor_id" in (found := _cpu_facts()):
        return spoken.get(found["vendor_id"], found["vendor_id"].lower())
    return platform.machine().lower().replace("aarch64", "arm64")


def _cpu_family_model() -> str:
    """Family, model and stepping on x86, implementer and part on arm64: model names such as "AMD EPYC" say little."""
    found = _cpu_facts()
    names = ("cpu family", "model", "stepping") if "cpu family" in found else ("CPU implementer", "CPU part")
    return "/".join(found[name] for name in names if name in found)


def _cpu_facts() -> dict[str, str]:
    """What Linux says of the first core."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123
            pairs = [line.partition(":")[::2] for line in lines.read().split("\n\n")[0].splitlines()]
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, value in pairs}


def kind(environment: Mapping[str, Any]) -> str:
    """What kind of machine a result is of, as a file's name: maker, family, model, and the best level it has.

    Results from before there were levels do not say the last, and their maker is the first word of the CPU's name.

    >>> kind({"cpu_vendor": "intel", "cpu_family_model": "6/106/6", "cpu_level": "avx512-vbmi2"})
    'intel-6-106-avx512-vbmi2'
    >>> kind({"cpu": "AMD EPYC", "cpu_family_model": "25/17/1"})
    'amd-25-17'
    """
    vendor = environment.get("cpu_vendor") or str(environment.get("cpu", "")).partition(" ")[0].lower()
    model = str(environment.get("cpu_family_model", "")).split("/")[:2]
    told = environment.get("numba_cpu_name", "") and not environment.get("level")
    parts = [vendor, *model, environment.get("cpu_level", ""), f"as-{environment['numba_cpu_name']}" if told else ""]
    return "-".join(part for part in (re.sub(r"[^a-z0-9]+", "-", str(p).lower()).strip("-") for p in parts) if part)


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
    lines += _levels(env)
    lines += _dispatch_table({name: case for name, case in cases.items() if "vs_simpy" not in case})
    lines += _simulation_table({name: case for name, case in cases.items() if "vs_simpy" in case})
    lines += ["", "| asked for | measured | must | aim | reached |", "|---|--:|--:|--:|---|"]
    lines += [_target_row(*row) for row in judged(cases)]
    for name, why in env.get("left_out", {}).items():
        lines.append(f"| `{name}` | left out: {why} | | | |")
    lines += ["", NO_SLOWER]
    batches = {n: c for n, c in cases.items() if n.startswith("latency-")}
    if batches:
        keys = {key: name for key, name in _BATCH.items() if any(key in case for case in batches.values())}
        lines += [
            "",
            f"| one call by each vCPU, us (wall) | {' | '.join(keys.values())} |",
            "|---|" + "--:|" * len(keys),
        ]
        for name, case in batches.items():
            shown = " | ".join(_number(case[key] / 1000) if key in case else "" for key in keys)
            lines.append(f"| `{name}` | {shown} |")
        lines += ["", "Python, call and kernel add up to p50; making the `Calls` object comes before it."]
    return "\n".join(lines) + "\n"


def _levels(env: Mapping[str, Any]) -> list[str]:
    """What stands behind @ in the names of cases; nothing in results from before there were levels."""
    words = [
        f"`@{name}` is `NUMBA_CPU_NAME={its['numba_cpu_name']}` ({its['back_end']}) beside `{its['cc_command']}`"
        for name, its in env.get("levels", {}).items()
    ]
    return [f"Without @: {env['back_end']}. {'; '.join(words)}.", ""] if words else []


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
