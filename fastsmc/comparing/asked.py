"""`compare`: which kind of result each file is, and the comparison of that kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastsmc.checks import shown
from fastsmc.comparing import benchmarks, plans, registers, simulations
from fastsmc.comparing.compared import Compared
from fastsmc.errors import InputError, ResultFileError
from fastsmc.files import strict_json
from fastsmc.files.limits import PLAN, STREAM
from fastsmc.files.packed import Refused
from fastsmc.files.source import opened
from fastsmc.latency import Simulation
from fastsmc.migrate.read.result import RegisterFile
from fastsmc.plan.result import Plan
from fastsmc.results.files import load
from fastsmc.results.runs import Run

Given = str | os.PathLike[str] | Run | Simulation | Plan | RegisterFile
"""What can be compared: a file by its path, or what was read or found."""

_KINDS: dict[str, Callable[[Any], Compared]] = {
    "simulation": simulations.compare,
    "benchmark": benchmarks.compare,
    "plan": plans.compare,
    "registers": registers.compare,
}
_READ = (
    "compare reads simulations (fastsmc simulate --out), plans (fastsmc plan … --out), benchmarks (fastsmc bench "
    "--out, pytest-benchmark) and files of registers"
)
_NO_FIGURES = {
    "what `fastsmc simulate --json` prints has no histograms, so nothing says how far its figures are off: save the "
    "run with --out": ("scenario", "groups", "fleet"),
    "what a plan prints as JSON has no kinds of columns: save the plan with --out": ("question", "answer", "rows"),
}


def compare(a: Given, b: Given, *more: Given) -> Compared:
    """Saved results side by side: each against the first, figure by figure, with what else is different.

    Ratios of simulations and benchmarks have intervals for a probability of 95 %: quantiles and medians by order
    statistics, means by the central limit theorem. A figure whose spread is not saved has a ratio and no interval, and
    its verdict is unknown. Plans and register values are exact.

    Args:
        a, b, more: files or results of one kind: saved simulations, benchmarks (of `fastsmc bench`, bench/ or
            pytest-benchmark), saved plans of one question, or files of registers, of which vCPU 0 is compared.

    Raises:
        InputError: files of two kinds, or of none.
        ResultFileError, RegisterFileError: a file that cannot be read, or that contradicts itself.
    """
    given = [_given(one, at) for at, one in enumerate((a, b, *more))]
    kinds = list(dict.fromkeys(kind for kind, _, _ in given))
    if len(kinds) > 1:
        first, other = (next((name, k) for k, name, _ in given if k == kind) for kind in kinds[:2])
        msg = f"{first[0]} is of kind {first[1]}, {other[0]} of kind {other[1]}: give files of one kind"
        raise InputError(msg)
    return _KINDS[kinds[0]]([(name, content) for _, name, content in given])


def _given(one: Given, at: int) -> tuple[str, str, Any]:
    """Kind, name and content."""
    called = f"result {at + 1}"
    match one:
        case Simulation():
            return "simulation", called, one.run()
        case Run():
            return _run(called, one)
        case Plan():
            return "plan", called, one
        case RegisterFile():
            return "registers", one.provenance.path or called, one
    return _read(os.fspath(one))


def _read(path: str) -> tuple[str, str, Any]:
    """Kind, name and content of a file, told by its content."""
    if path in ("-", "/dev/stdin"):
        msg = "compare reads each file twice: give files and not standard input"
        raise InputError(msg)
    try:
        with opened(path, STREAM) as source:
            is_object = source.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"
        content = strict_json.read(path, PLAN) if is_object else None
    except Refused as error:
        msg = f"{path}: {error}"
        raise ResultFileError(msg) from error
    if isinstance(content, dict):
        if "plan" in content and "table" in content:
            return "plan", path, Plan.load(path)
        if "provenance" in content and "tables" in content:
            return _run(path, load(path))
        try:
            if (found := _benchmark(content)) is not None:
                return "benchmark", path, found
        except ResultFileError as error:
            msg = f"{path}: {error}"
            raise ResultFileError(msg) from error
    return "registers", path, path


def _benchmark(content: dict[str, Any]) -> benchmarks.Benchmark | None:
    """The measurement that a JSON object is; None for what may be a file of registers.

    Raises:
        ResultFileError: a measurement that is damaged, or what a command printed and has no spread.
    """
    if "environment" in content and "cases" in content:
        return benchmarks.of_harness(content)
    if "benchmarks" in content and "machine_info" in content:
        return benchmarks.of_pytest(content)
    for sentence, keys in _NO_FIGURES.items():
        if all(key in content for key in keys):
            raise ResultFileError(sentence)
    return None


def _run(name: str, run: Run) -> tuple[str, str, Any]:
    if not {"groups", "calls"} <= run.tables.keys():
        msg = f"{name}: a run of {', '.join(map(shown, list(run.tables)[:3]))} and no simulation; {_READ}"
        raise InputError(msg)
    return "simulation", name, run
