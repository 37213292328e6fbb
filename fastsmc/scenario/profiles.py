"""Cost profiles: what each kind of call costs on some machine, every figure with its kind and its source.

A profile is a TOML file; those of named machines are in `fastsmc/data/profiles`. docs/profiles.md describes the form.
A call's time in the kernel and on the way to the VMM is made of these figures by `Profile.kernel_ns`. It is modelled.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

from fastsmc.errors import InputError
from fastsmc.facts.costs import NESTED_HVC_NS, Figure, FigureKind
from fastsmc.facts.packaged import packaged
from fastsmc.facts.smccc import Verdict
from fastsmc.scenario.problems import Problems, meant, read_toml

_FOLDER = packaged("profiles")
MAPLE_SLOTS = 16
"""Slots of a node of the filter's tree. Source: include/linux/maple_tree.h, MAPLE_RANGE64_SLOTS, 64-bit."""
_RESERVED = 2
"""Ranges KVM itself puts into the tree with the first insert. Source: arch/arm64/kvm/hypercalls.c."""
_TRUST: tuple[FigureKind, ...] = ("assumed", "derived", "read", "recorded", "measured")
"""Kinds from the weakest on."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What calls cost on one machine, in ns.

    Attributes:
        trap_ns: guest to KVM and back; the whole of a call that KVM answers with "not supported".
        denied_ns: added to trap_ns for a call that is denied, not supported or refused as SMC.
        handled_ns: added to trap_ns for a call that a service in the kernel answers.
        fast_path_ns: the whole of a call that is answered at EL2 (SMCCC_ARCH_WORKAROUND_n); trap_ns is not added.
        filter_ns: added per level of the filter's tree, if the VM has a filter, for a call that meets it.
        round_trip_ns: the whole of a forwarded call or a system exit but the VMM's own work: guest to KVM to VMM and
            back; trap_ns is not added.
        vmm_service_ns: the VMM's own work for a forwarded call, its lock held. Not part of `kernel_ns`.
        nested_hvc_ns: the whole of a call that goes to the guest's own EL2, but for what that then does; trap_ns is not
            added. A profile need not have it: `facts.costs.NESTED_HVC_NS`, which is assumed.
    """

    name: str
    title: str
    source: str
    trap_ns: Figure
    denied_ns: Figure
    handled_ns: Figure
    fast_path_ns: Figure
    filter_ns: Figure
    round_trip_ns: Figure
    vmm_service_ns: Figure
    nested_hvc_ns: Figure = NESTED_HVC_NS

    def __repr__(self) -> str:
        return f"<Profile {self.name[:40]}: {self.title[:100]}>"

    def figures(self) -> dict[str, Figure]:
        """All figures by name."""
        return {name: getattr(self, name) for name in FIGURES}

    @property
    def weakest(self) -> tuple[str, Figure]:
        """The figure that limits trust, and its name: of the weakest kind; among those, the largest."""
        return self.weakest_of(FIGURES)

    def weakest_of(self, names: Iterable[str]) -> tuple[str, Figure]:
        """The weakest of the named figures, and its name."""
        chosen = [(name, getattr(self, name)) for name in names]
        return min(chosen, key=lambda pair: (_TRUST.index(pair[1].kind), -pair[1].value))

    def kernel_ns(self, verdict: Verdict | int, *, n_range: int = 0) -> float:
        """ns of one call without the VMM's own work and without any waiting.

        Args:
            n_range: ranges in the VM's filter, 0: it has none.
        """
        figures, whole = self.figures(), 0.0
        for name in figures_of(verdict, n_range=n_range):
            whole += figures[name].value * (filter_levels(n_range) if name == "filter_ns" else 1)
        return whole

    def with_overrides(self, values: Mapping[str, float], *, source: str) -> Profile:
        """The profile with some figures, in ns, replaced; these count as assumed.

        Raises:
            InputError: no such figure, or a value that is negative or not finite.
        """
        problems = Problems(source)
        problems.unknown_keys(values, (), FIGURES)
        new = {
            name: Figure(problems.number(value, (name,), unit="ns"), "ns", "assumed", source)
            for name, value in values.items()
        }
        problems.raise_any()
        return replace(self, **new)  # type: ignore[arg-type]

    def __str__(self) -> str:
        name, figure = self.weakest
        return f"profile {self.name} ({self.title}); weakest figure: {name} {figure}: {figure.source}"


FIGURES = tuple(field.name for field in fields(Profile) if field.name.endswith("_ns"))
"""Names of the figures of a profile."""


def figures_of(verdict: Verdict | int, *, n_range: int = 0) -> tuple[str, ...]:
    """Names of the figures `Profile.kernel_ns` adds up for a call."""
    in_filter = ("filter_ns",) if n_range else ()
    match Verdict(verdict):
        case Verdict.FAST_PATH:
            return ("fast_path_ns",)
        case Verdict.TO_VEL2:  # before any filter
            return ("nested_hvc_ns",)
        case Verdict.SMC_REFUSED:  # before any filter
            return ("trap_ns", "denied_ns")
        case Verdict.FORWARDED | Verdict.EXIT:
            return ("round_trip_ns", *in_filter)
        case Verdict.HANDLED:
            return ("trap_ns", "handled_ns", *in_filter)
        case _:
            return ("trap_ns", "denied_ns", *in_filter)


def filter_levels(n_range: int) -> int:
    """Levels of the tree a look-up in a filter of n ranges goes through; 0 without a filter.

    A range and the gap before it take a slot each, the ranges KVM reserves too. Nodes are taken as full, which they are
    not after random inserts: a lower side.
    """
    if n_range == 0:
        return 0
    slots, levels = 2 * (n_range + _RESERVED) + 1, 1
    while slots > MAPLE_SLOTS:
        slots, levels = -(-slots // MAPLE_SLOTS), levels + 1
    return levels


@cache
def profiles() -> tuple[str, ...]:
    """Names of the packaged profiles."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_profile(name_or_path: str | os.PathLike[str]) -> Profile:
    """A packaged profile by name, or one's own by path.

    Raises:
        InputError: no such name, no such file, or a file with problems: all of them, with key, line and remedy.

    >>> profile = load_profile("neoverse-n1")
    >>> str(profile.trap_ns), profile.kernel_ns(Verdict.DENIED)
    ('292 ns (read)', 292.0)
    """
    text = os.fspath(name_or_path)
    if text in profiles():
        return _packaged(text)
    path = Path(text)
    if path.suffix != ".toml" and not os.path.isfile(path):  # noqa: PTH113 - a name too long is no file
        message = f"no profile is called {text!r}: {meant(text, list(profiles()))} (or give a path that ends in .toml)"
        raise InputError(message)
    return _read(path, path.stem, text)


@cache
def _packaged(name: str) -> Profile:
    """A packaged profile, read once: reading takes longer than many a simulation."""
    return _read(_FOLDER / f"{name}.toml", name, name)


def _read(path: Path, name: str, where: str) -> Profile:
    text, table = read_toml(path, "a profile")
    problems = Problems(where, text)
    problems.unknown_keys(table, (), ("title", "source", *FIGURES))
    title, source = (problems.text(table.get(key), (key,)) for key in ("title", "source"))
    optional = {"nested_hvc_ns": NESTED_HVC_NS}
    given = [key for key in FIGURES if key in table or key not in optional]
    found = optional | {key: _figure(table.get(key), key, problems) for key in given}
    problems.raise_any()
    return Profile(name=name, title=title, source=source, **found)


def _figure(value: Any, key: str, problems: Problems) -> Figure:
    keys = ("value", "unit", "kind", "source")
    if value is None:
        problems.add((key,), "it is missing", f"add [{key}] with {', '.join(keys)}")
        value = {"value": 0, "unit": "ns", "kind": "assumed", "source": "?"}
    table = problems.table(value, (key,))
    if not table:
        return Figure(0, "ns", "assumed", "")
    problems.unknown_keys(table, (key,), keys)
    kind: Any = problems.choice(table.get("kind"), (key, "kind"), get_args(FigureKind), default="assumed")
    number = problems.number(table.get("value"), (key, "value"), unit="ns")
    unit = problems.choice(table.get("unit"), (key, "unit"), ["ns"], default="ns")
    return Figure(number, unit, kind, problems.text(table.get("source"), (key, "source")))
