"""How results were made, and what of it differs: machines, versions, seeds, inputs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from fastsmc.checks import shown
from fastsmc.results.runs import Provenance
from fastsmc.results.units import number_of

MACHINE = ("cpu", "n_core", "kernel")
VERSIONS = ("fastsmc", "python", "numpy", "numba")
_MOST = 6
"""Inputs that a sentence names."""


def differences(first: Mapping[str, Any], second: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """The keys of two machines or versions that differ, with both values; "" where none does.

    >>> differences({"cpu": "EPYC", "n_core": 2}, {"cpu": "EPYC", "n_core": 16}, MACHINE)
    'n_core 2 and 16'
    """
    pairs = [(key, first.get(key), second.get(key)) for key in keys]
    return ", ".join(f"{key} {_plain(a)} and {_plain(b)}" for key, a, b in pairs if a != b)


def _plain(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 80 else shown(value)


def of_runs(file: str, first: Provenance, second: Provenance, *, is_modelled: bool) -> Iterator[str]:
    """What is different of two runs of fastsmc, a sentence each.

    Args:
        is_modelled: the figures do not depend on the machine.
    """
    a, b = asdict(first), asdict(second)
    if machine := differences(a, b, MACHINE):
        yield f"{file}: another machine ({machine})" + ", which modelled figures do not depend on" * is_modelled
    if versions := differences(a, b, VERSIONS):
        yield f"{file}: other versions ({versions})"
    if first.seed != second.seed:
        yield f"{file}: another seed, {second.seed} and not {first.seed}"


def of_inputs(file: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """Which inputs differ, in one sentence."""
    ours, theirs = flat(first), flat(second)
    names = [name for name in dict.fromkeys((*ours, *theirs)) if ours.get(name) != theirs.get(name)]
    if names:
        told = [f"{name} {shown(ours.get(name))} -> {shown(theirs.get(name))}" for name in names[:_MOST]]
        more = f" and {number_of(len(names) - _MOST, 'more input')}" if len(names) > _MOST else ""
        yield f"{file}: other inputs: {'; '.join(told)}{more}"


def flat(values: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Values within values by the path that leads to them.

    >>> flat({"vms": [{"count": 2}], "seed": 1})
    {'vms[0].count': 2, 'seed': 1}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{name}.{key}" if name else key
        parts = value if isinstance(value, Mapping) else None
        if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            for at, one in enumerate(value):
                found |= flat(one, f"{path}[{at}]") if isinstance(one, Mapping) else {f"{path}[{at}]": one}
        elif parts is not None:
            found |= flat(parts, path)
        else:
            found[path] = value
    return found


def scenario_of(text: object) -> dict[str, Any] | None:
    """A scenario's text as values; None where it cannot be read."""
    try:
        return tomllib.loads(str(text))
    except tomllib.TOMLDecodeError:
        return None
