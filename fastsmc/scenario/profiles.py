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

from fastsmc.checks import escaped
from fastsmc.errors import InputError
from fastsmc.facts.costs import EMULATED, NESTED_HVC_NS, Figure, FigureKind, Range
from fastsmc.facts.packaged import packaged
from fastsmc.facts.smccc import Verdict
from fastsmc.scenario.problems import Problems, brief, meant, read_toml

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
        get_one_reg_ns, set_one_reg_ns: one KVM_GET_ONE_REG or KVM_SET_ONE_REG, with quartiles; None: it does not say.
        emulated_by: signs that the host on which it was measured is emulated, so that its figures mean nothing.
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
    get_one_reg_ns: Range | None = None
    set_one_reg_ns: Range | None = None
    emulated_by: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Profile {self.name[:40]}: {self.title[:100]}>"

    def figures(self) -> dict[str, Figure]:
        """All figures by name, of registers the middle ones."""
        registers = {name: getattr(self, name) for name in REGISTER_FIGURES}
        found = {name: figure.mid for name, figure in registers.items() if figure is not None}
        return {name: getattr(self, name) for name in FIGURES} | found

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


REGISTER_FIGURES = ("get_one_reg_ns", "set_one_reg_ns")
"""Names of the figures that a downtime rests on; a profile need not have them."""
FIGURES = tuple(
    field.name for field in fields(Profile) if field.name.endswith("_ns") and field.name not in REGISTER_FIGURES
)
"""Names of the figures of a profile that the time of a call is made of."""


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


def load_profile(name_or_path: str | os.PathLike[str], *, force: bool = False) -> Profile:
    """A packaged profile by name, or one's own by path.

    Args:
        force: take one that was measured on an emulated host too. Its figures count as assumed, and say so.

    Raises:
        InputError: no such name, no such file, or a file with problems: all of them, with key, line and remedy; or it
            was measured on an emulated host.

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
    found = _read(path, path.stem, text)
    if not found.emulated_by:
        return found
    if not force:
        message = (
            f"{escaped(text)}: {EMULATED} ({escaped(found.emulated_by[0])}): measure a real host, or force it "
            "(--force, force=True) to try things out"
        )
        raise InputError(message)
    return _meaningless(found)


@cache
def _packaged(name: str) -> Profile:
    """A packaged profile, read once: reading takes longer than many a simulation."""
    return _read(_FOLDER / f"{name}.toml", name, name)


def _meaningless(profile: Profile) -> Profile:
    """A profile of an emulated host: what was measured counts as assumed, and says that it means nothing."""

    def told(figure: Figure) -> Figure:
        if figure.kind == "assumed":
            return figure
        return replace(figure, kind="assumed", source=f"{EMULATED}; {figure.source}")

    new: dict[str, Any] = {name: told(getattr(profile, name)) for name in FIGURES}
    for name in REGISTER_FIGURES:
        figures = getattr(profile, name)
        new[name] = figures and Range(*map(told, figures))
    return replace(profile, title=f"{profile.title} ({EMULATED})", **new)


def _read(path: Path, name: str, where: str) -> Profile:
    try:
        text, table = read_toml(path, "a profile")
    except InputError as error:
        if path.suffix != ".json":
            raise
        message = (
            f"{error}; of a host profile `fastsmc probe {path} --cost-profile FILE.toml` makes one, if it measured"
        )
        raise InputError(message) from error
    problems = Problems(where, text)
    problems.unknown_keys(table, (), ("title", "source", "emulated_by", *FIGURES, *REGISTER_FIGURES))
    title, source = (problems.text(table.get(key), (key,)) for key in ("title", "source"))
    signs = table.get("emulated_by", [])
    if not isinstance(signs, list) or not all(isinstance(sign, str) and sign.strip() for sign in signs):
        problems.add(("emulated_by",), f"it is {brief(signs)}", "it must be a list of texts, empty for a real host")
        signs = []
    optional = {"nested_hvc_ns": NESTED_HVC_NS}
    given = [key for key in FIGURES if key in table or key not in optional]
    found: dict[str, Any] = optional | {key: _figure(table.get(key), key, problems).mid for key in given}
    found |= {key: _figure(table[key], key, problems) for key in REGISTER_FIGURES if key in table}
    problems.raise_any()
    return Profile(name=name, title=title, source=source, emulated_by=tuple(signs), **found)


def _figure(value: Any, key: str, problems: Problems) -> Range:
    """A figure with its quartiles; where there are none these are the figure itself."""
    keys = ("value", "unit", "kind", "source", "low", "high", "samples")
    if value is None:
        problems.add((key,), "it is missing", f"add [{key}] with {', '.join(keys[:4])}")
        value = {"value": 0, "unit": "ns", "kind": "assumed", "source": "?"}
    table = problems.table(value, (key,))
    if not table:
        return Range(*(Figure(0, "ns", "assumed", ""),) * 3)
    problems.unknown_keys(table, (key,), keys)
    kind: Any = problems.choice(table.get("kind"), (key, "kind"), get_args(FigureKind), default="assumed")
    n_before = len(problems.found)
    number = problems.number(table.get("value"), (key, "value"), unit="ns")
    unit = problems.choice(table.get("unit"), (key, "unit"), ["ns"], default="ns")
    low, high = (problems.number(table.get(end, number), (key, end), unit="ns") for end in ("low", "high"))
    source = problems.text(table.get("source"), (key, "source"))
    if len(problems.found) == n_before and not low <= number <= high:
        problems.add((key,), f"low, value and high are {low:g}, {number:g} and {high:g}", "they must ascend")
    if "samples" in table:
        count = problems.whole(table["samples"], (key, "samples"), first=1, last=1 << 40, default=1)
        source += f"; {low:g} to {high:g} ns in the middle half of {count} samples"
    return Range(*(Figure(ns, unit, kind, source) for ns in (low, number, high)))
