"""Compares two results of the harness by ratio.

    python -m bench.compare OLD.json NEW.json [--fail-if PERCENT] [--by ratio|ns]

How fast a case was is read against the C baseline (else the stream, else SimPy) that ran beside it, because
nanoseconds of two runs also compare what else the machines did. Exit codes: 0 fine, 2 usage, 3 not a result file, 4 a
case got slower by more than --fail-if.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.outcome import REQUIRED, SCHEMA
from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.files import strict_json
from fastsmc.files.limits import RESULT

MACHINE = ("cpu", "cpu_family_model", "n_core", "numba_cpu_name")
VERSIONS = ("os", "python", "numpy", "numba", "llvmlite", "cc", "cc_command", "back_end", "fastsmc")
_YARDSTICKS = {"vs_c_kernel_style": "C kernel style", "of_stream": "stream", "vs_simpy": "SimPy"}


@dataclass(frozen=True, slots=True)
class Change:
    """One case in both files.

    Attributes:
        slower: time of the second over the first, both in units of `yardstick`; 1.1 is 10 % slower. None where
            nothing comparable was measured.
        ns: both times per call. core: how much the core was slowed in either run, 1 where unknown.
    """

    case: str
    yardstick: str
    slower: float | None
    ns: tuple[float, float]
    core: tuple[float, float]


def load(path: Path) -> dict[str, Any]:
    """A result of the harness.

    Raises:
        ValueError: missing, not JSON, of another schema, or a case without what every case has.
    """
    try:
        content: Any = strict_json.read(path, RESULT)
    except InputError as error:
        raise ValueError(f"{path}: {error}") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA or type(schema) is not int:
        raise ValueError(f"{path}: schema {shown(schema)}, this version reads {SCHEMA}")
    for part in ("environment", "cases"):
        if not isinstance(content.get(part), dict):
            raise ValueError(f"{path}: damaged: no {part}")
    for word in (*content["cases"], *content["environment"].values()):
        if isinstance(word, str) and not word.isprintable():
            raise ValueError(f"{path}: damaged: {shown(word)} is no name that can be printed")
    for name, case in content["cases"].items():
        missing = [key for key in REQUIRED if key not in case] if isinstance(case, dict) else list(REQUIRED)
        if missing:
            raise ValueError(f"{path}: damaged: case {name} lacks {', '.join(missing)}")
        for key in (*REQUIRED, *_YARDSTICKS, "core_slowdown"):
            if key in case and not _is_figure(case[key], is_needed=key in ("ns_per_call", "core_slowdown")):
                raise ValueError(f"{path}: damaged: case {name}: {key} is {shown(case[key])}: a number above 0")
    return dict(content)


def _is_figure(value: object, *, is_needed: bool) -> bool:
    """A measured number, or null where a case has no such contestant."""
    if value is None:
        return not is_needed
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 1e-15 < value < 1e15 or (value == 0 and not is_needed)


def differences(first: Mapping[str, Any], second: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """The keys of two environments that differ, with both values."""
    pairs = [(key, first.get(key), second.get(key)) for key in keys]
    return [f"{key}: {a} and {b}" for key, a, b in pairs if a != b]


def changes(first: Mapping[str, Any], second: Mapping[str, Any], *, by_ns: bool, same_machine: bool) -> list[Change]:
    """Every case that both results have."""
    return [
        _change(name, case, second["cases"][name], by_ns, same_machine)
        for name, case in first["cases"].items()
        if name in second["cases"]
    ]


def _change(name: str, a: Mapping[str, Any], b: Mapping[str, Any], by_ns: bool, same_machine: bool) -> Change:
    ns = (a["ns_per_call"], b["ns_per_call"])
    core = (a.get("core_slowdown", 1.0), b.get("core_slowdown", 1.0))
    for key, yardstick in _YARDSTICKS.items():
        if a.get(key) and b.get(key) and not by_ns:
            return Change(name, yardstick, a[key] / b[key], ns, core)
    if by_ns or same_machine:
        return Change(name, "ns", ns[1] / ns[0], ns, core)
    return Change(name, "", None, ns, core)


def report(first: Mapping[str, Any], second: Mapping[str, Any], rows: Sequence[Change], percent: float | None) -> str:
    """What to print: notes on the machines, a line per case, what only one file has."""
    environments = first["environment"], second["environment"]
    lines = []
    if machine := differences(*environments, MACHINE):
        lines.append(f"The machines differ ({'; '.join(machine)}): compare the ratios, not the nanoseconds.")
    if versions := differences(*environments, VERSIONS):
        lines.append(f"Versions differ: {'; '.join(versions)}.")
    width = max([len(row.case) for row in rows] + [4])
    lines.append(f"{'case':{width}}  {'A ns':>9}  {'B ns':>9}  {'time B/A':>8}  measured against")
    for row in rows:
        shown = "" if row.slower is None else f"{row.slower:.2f}x"
        note = row.yardstick or "nothing that both runs have"
        if row.slower is not None and is_slower(row, percent):
            note += f"  <- slower by more than {percent:g} %"
        if max(row.core) > 1.2 * min(row.core):
            note += f"  (the core itself was slowed {row.core[0]:.2f}x in A, {row.core[1]:.2f}x in B: run again)"
        lines.append(f"{row.case:{width}}  {row.ns[0]:9.3f}  {row.ns[1]:9.3f}  {shown:>8}  {note}")
    for letter, one, other in (("A", first, second), ("B", second, first)):
        if only := [name for name in one["cases"] if name not in other["cases"]]:
            lines.append(f"only in {letter}: {', '.join(only)}")
    return "\n".join(lines)


def is_slower(row: Change, percent: float | None) -> bool:
    """Whether the case got slower by more than so many percent."""
    return percent is not None and row.slower is not None and row.slower > 1 + percent / 100


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.compare", description="Compare two results of the harness by ratio.")
    parser.add_argument("a", metavar="OLD.json", type=Path)
    parser.add_argument("b", metavar="NEW.json", type=Path)
    parser.add_argument("--fail-if", metavar="PERCENT", type=_percent, help="exit 4 if a case got slower by more")
    parser.add_argument("--by", choices=("ratio", "ns"), default="ratio", help="ns: of both runs as they are")
    given = parser.parse_args(arguments)
    try:
        first, second = load(given.a), load(given.b)
    except ValueError as error:
        print(f"bench-compare: {error}", file=sys.stderr)
        return 3
    same_machine = not differences(first["environment"], second["environment"], MACHINE)
    rows = changes(first, second, by_ns=given.by == "ns", same_machine=same_machine)
    print(report(first, second, rows, given.fail_if))
    failed = [row.case for row in rows if is_slower(row, given.fail_if)]
    if failed:
        print(f"slower by more than {given.fail_if:g} %: {', '.join(failed)}", file=sys.stderr)
    return 4 if failed else 0


def _percent(text: str) -> float:
    """'10' and '10%' are ten percent."""
    value = float(text.strip().removeprefix("+").removesuffix("%"))
    if not value >= 0:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    sys.exit(main())
