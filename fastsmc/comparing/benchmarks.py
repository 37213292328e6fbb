"""Saved measurements compared: of `fastsmc bench`, of the harness in bench/, and of pytest-benchmark.

A figure is the median of a run's rounds. Its interval says how far the rounds of that run let it be off; another run of
the same code on the same machine may be further away, as what disturbs a machine lasts longer than a round.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastsmc.checks import shown
from fastsmc.comparing import making
from fastsmc.comparing.compared import BY_CHANCE, GONE, NEW, Compared, Row
from fastsmc.errors import ResultFileError
from fastsmc.results.intervals import Estimate, of_mean_and_deviation, of_median, of_median_and_iqr

SCHEMA = 1
_YARDSTICKS = ("vs_c_kernel_style", "of_stream", "vs_simpy")
_MACHINE = (*making.MACHINE, "cpu_family_model", "numba_cpu_name", "system", "machine")
_VERSIONS = (*making.VERSIONS, "os", "llvmlite", "cc")
_NOTE = "intervals are of the rounds of one run: another run of the same code may differ by more"


class Benchmark(NamedTuple):
    """A saved measurement: by case its figures, and the machine and versions it was made on."""

    cases: dict[str, dict[str, Estimate]]
    made_on: dict[str, Any]


def compare(named: list[tuple[str, Benchmark]]) -> Compared:
    """The first measurement against each other."""
    (_, base), *others = named
    rows: list[Row] = []
    differs: list[str] = []
    for name, other in others:
        for case in dict.fromkeys((*base.cases, *other.cases)):
            rows += _rows(case, name, base.cases.get(case), other.cases.get(case))
        if machine := making.differences(base.made_on, other.made_on, _MACHINE):
            differs.append(f"{name}: another machine ({machine}): compare ratios to a yardstick, not times")
        if versions := making.differences(base.made_on, other.made_on, _VERSIONS):
            differs.append(f"{name}: other versions ({versions})")
    return Compared("benchmark", tuple(name for name, _ in named), tuple(rows), tuple(differs), (_NOTE, BY_CHANCE))


def _rows(
    case: str, file: str, ours: Mapping[str, Estimate] | None, theirs: Mapping[str, Estimate] | None
) -> Iterator[Row]:
    if ours is None or theirs is None:
        yield Row(case, "", file, None, None, None, NEW if ours is None else GONE)
        return
    for metric, first in ours.items():
        if metric in theirs:
            yield Row.measured(case, metric, file, first, theirs[metric])


def of_harness(content: Mapping[str, Any]) -> Benchmark:
    """What `fastsmc bench` or the harness saved.

    Raises:
        ResultFileError: another schema, or a case that is none.
    """
    if content.get("schema") != SCHEMA or type(content["schema"]) is not int:
        msg = f"schema {shown(content.get('schema'))}, this version of fastsmc reads {SCHEMA}"
        raise ResultFileError(msg)
    return Benchmark(
        {_name(name): _figures(name, case) for name, case in _object(content, "cases").items()},
        _object(content, "environment"),
    )


def _figures(name: str, case: object) -> dict[str, Estimate]:
    where = f"case {shown(name)}"
    ns = _number(case, "ns_per_call", where)
    assert isinstance(case, dict)
    rounds = case.get("rounds_ns")
    if rounds is not None:
        told = of_median(_numbers(rounds, f"{where}: rounds_ns"))
        if abs(told.value - ns) > 1e-3 * ns:
            msg = f"{where}: ns_per_call is {ns:g}, its rounds' median {told.value:g}: damaged"
            raise ResultFileError(msg)
        figures = {"call_ns": told}
    elif case.get("spread") is not None and type(case.get("n_round")) is int:
        iqr = _number(case, "spread", where) * ns
        figures = {"call_ns": of_median_and_iqr(ns, iqr, case["n_round"])}
    else:
        figures = {"call_ns": Estimate(ns)}
    present = [key for key in _YARDSTICKS if case.get(key) is not None]
    return figures | {key: Estimate(_number(case, key, where)) for key in present}


def of_pytest(content: Mapping[str, Any]) -> Benchmark:
    """What pytest-benchmark saved; `--benchmark-save-data` has the rounds themselves.

    Raises:
        ResultFileError: a benchmark that is none.
    """
    cases = {}
    benchmarks = content["benchmarks"]
    if not isinstance(benchmarks, list):
        msg = "benchmarks is no list: damaged"
        raise ResultFileError(msg)
    for at, one in enumerate(benchmarks):
        where = f"benchmarks[{at}]"
        stats = _object(one, "stats", where)
        name = one.get("fullname") or one.get("name")
        n, mean, median = (_number(stats, key, where) for key in ("rounds", "mean", "median"))
        if "data" in stats:
            middle = of_median(_numbers(stats["data"], f"{where}: data"))
        else:
            middle = of_median_and_iqr(median, _number(stats, "iqr", where), int(n))
        average = of_mean_and_deviation(mean, _number(stats, "stddev", where), int(n))
        cases[_name(name)] = {"median_s": middle, "mean_s": average}
    machine = _object(content, "machine_info")
    cpu = machine.get("cpu") if isinstance(machine.get("cpu"), dict) else {}
    made_on = {
        "cpu": cpu.get("brand_raw", "") if isinstance(cpu, dict) else "",
        "n_core": cpu.get("count") if isinstance(cpu, dict) else None,
        "python": machine.get("python_version"),
        "system": machine.get("system"),
        "machine": machine.get("machine"),
        "kernel": machine.get("release"),
    }
    return Benchmark(cases, made_on)


def _object(parent: object, key: str, where: str = "the file") -> dict[str, Any]:
    value = parent.get(key) if isinstance(parent, dict) else None
    if not isinstance(value, dict):
        msg = f"{where}: {key} is no object: damaged"
        raise ResultFileError(msg)
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value:
        msg = f"{shown(value)} is no name of a case that can be printed: damaged"
        raise ResultFileError(msg)
    return value


def _number(parent: object, key: str, where: str) -> float:
    value = parent.get(key) if isinstance(parent, dict) else None
    return _numbers([value], f"{where}: {key}")[0]


def _numbers(values: object, where: str) -> list[float]:
    if not isinstance(values, list) or not values:
        msg = f"{where} is no list of numbers: damaged"
        raise ResultFileError(msg)
    for value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value < 1e15 or math.isnan(value):
            msg = f"{where} is {shown(value)}, where a number from 0 up is needed"
            raise ResultFileError(msg)
    return [float(value) for value in values]
