"""Spans of time and rates in scenarios: laws, arrivals, bursts."""

from __future__ import annotations

from typing import Any, cast

from fastsmc.scenario.model import Law, LawKind, OnOff
from fastsmc.scenario.problems import Problems
from fastsmc.scenario.toml_lines import Path

_UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_LAWS = ("deterministic", "exponential")
_MAX_NS = 1e15
"""Eleven days: far beyond what a scenario means, and times of a long run still add up to a fraction of a ns."""


def span_ns(table: dict[str, Any], stem: str, path: Path, problems: Problems, *, above_zero: bool = False) -> float:
    """The ns of a span that is given under one of the keys STEM_ns, STEM_us, STEM_ms and STEM_s."""
    given = [unit for unit in _UNITS if f"{stem}_{unit}" in table]
    if len(given) != 1:
        what = f"{stem}_{given[0]} and {stem}_{given[1]} are both given" if given else f"{stem}_us is missing"
        problems.add(path, what, f"give one of {', '.join(f'{stem}_{unit}' for unit in _UNITS)}")
        return 1.0
    key = f"{stem}_{given[0]}"
    value = problems.number(table[key], (*path, key), above_zero=above_zero, unit=given[0]) * _UNITS[given[0]]
    if value > _MAX_NS:
        problems.add((*path, key), f"it is {value / 1e9:g} s", f"it must be {_MAX_NS / 1e9:g} s or less")
        return 1.0
    return value


def law(value: object, path: Path, problems: Problems) -> Law:
    """`{ law = "exponential", mean_us = 20.0 }`."""
    table = problems.table(value, path)
    if not table:
        return Law("deterministic", 1.0)
    problems.unknown_keys(table, path, ("law", *(f"mean_{unit}" for unit in _UNITS)))
    kind = cast(LawKind, problems.choice(table.get("law"), (*path, "law"), _LAWS, default="deterministic"))
    return Law(kind, span_ns(table, "mean", path, problems))


def arrivals(table: dict[str, Any], path: Path, problems: Problems) -> tuple[Law, OnOff | None]:
    """`{ law = "poisson" | "deterministic" | "onoff", rate_hz = 1000.0 }`, of one vCPU in the long run."""
    spans = [f"{stem}_{unit}" for stem in ("on", "off") for unit in _UNITS]
    is_burst = table.get("law") == "onoff"
    problems.unknown_keys(table, path, ("law", "rate_hz", *(spans if is_burst else ())))
    rate_hz = problems.number(table.get("rate_hz"), (*path, "rate_hz"), above_zero=True, unit="calls per second")
    gap_ns = 1e9 / rate_hz
    if gap_ns > _MAX_NS:
        problems.add((*path, "rate_hz"), f"it is {rate_hz:g}", f"it must be {1e9 / _MAX_NS:g} or more")
    if not is_burst:
        return Law("deterministic" if table.get("law") == "deterministic" else "exponential", gap_ns), None
    onoff = OnOff(*(span_ns(table, stem, path, problems, above_zero=True) for stem in ("on", "off")))
    return Law("exponential", gap_ns * onoff.share_on), onoff
