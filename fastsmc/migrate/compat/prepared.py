"""Sides that are judged many times: what of a side's registers no other side can change, found once.

Of the 260 registers of a vCPU most take any value, or have the value already. What is left of a pair of sides, some
five to thirty registers, is judged by the same rules as in `judge`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from fastsmc.errors import FastsmcError, InputError
from fastsmc.facts.registers import FIRMWARE_CLASSES, SVE_VLS, reg_class
from fastsmc.facts.releases import Host, Release
from fastsmc.facts.versions import bare
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.migrate.compat.check import not_there, other_guest
from fastsmc.migrate.compat.judge import besides, fate_of, has_rule
from fastsmc.migrate.compat.named import by_host, by_release, looks_like_release
from fastsmc.migrate.compat.probed import is_word, side_of
from fastsmc.migrate.compat.result import Outlook, RegisterFate
from fastsmc.migrate.compat.side import MIDR, Levels, Side, kernel_host, paired
from fastsmc.migrate.compat.stops import cannot_have
from fastsmc.migrate.compat.vmms import RULES, with_tolerance
from fastsmc.reference.id_registers import Fate
from fastsmc.reference.restore import RegisterDump, predict, takes_any_value
from fastsmc.reference.state import OK

_SIDES = 4096
"""Sides that are kept, of some 40 kB each."""
_VERDICTS = 1 << 16
_FATES = 8192
"""Fates that a side keeps."""
Item = tuple[int, int | None]
"""A register and its value."""


class Met(NamedTuple):
    """All that a side learns of the one it is paired with: MIDR_EL1, workaround levels, and whether it is a machine."""

    midr: int | None
    levels: Levels | None
    is_named_by_release: bool


class Verdict(NamedTuple):
    """One direction in short: what `check` says of it, without texts.

    Attributes:
        failing, unjudged: register ids, in the order of the payload.
        why: why it fails or cannot be known if no register tells; "" otherwise.
    """

    outlook: Outlook
    failing: tuple[int, ...] = ()
    unjudged: tuple[int, ...] = ()
    why: str = ""


@dataclass(slots=True, eq=False)
class Prepared:
    """A side that was paired, and what is known of its registers whatever the other side; it stands for all alike.

    Attributes:
        fixed: its registers with a value that a destination may refuse, by the classes that the VMM carries apart.
        state: the others.
        settled: register and value that this destination takes because it has it already.
        free: registers of which this destination takes any value.
        fresh: its known values.
        fates: what became of registers here that were judged before.
    """

    side: Side
    host: Host | None
    fixed: frozenset[Item]
    state: frozenset[int]
    settled: frozenset[Item]
    free: frozenset[int]
    fresh: dict[int, int]
    place: dict[int, int]
    fates: dict[tuple[object, ...], Fate] = field(default_factory=dict)

    @classmethod
    def of(cls, side: Side) -> Prepared:
        """A side that was paired already."""
        fixed = frozenset(item for item in side.values.items() if not _is_state(item[0]))
        state = frozenset(reg for reg in side.values if _is_state(reg))
        unsure = side.doubtful.keys() | side.left_out
        settled = frozenset(
            (reg, value)
            for reg, value in fixed
            if value is not None and reg not in unsure and reg != SVE_VLS and reg_class(reg) not in FIRMWARE_CLASSES
        )
        return cls(
            side,
            kernel_host(side),
            fixed,
            state,
            settled,
            frozenset(state - unsure),
            {reg: value for reg, value in side.values.items() if value is not None},
            {reg: place for place, reg in enumerate(side.values)},
        )

    def in_order(self, regs: Iterable[int]) -> tuple[int, ...]:
        """Registers in the order of its payload, those that it does not list last."""
        last = len(self.place)
        return tuple(sorted(regs, key=lambda reg: (self.place.get(reg, last), reg)))


@lru_cache(maxsize=_SIDES)
def _is_state(reg: int) -> bool:
    """Whether a register takes any value wherever it is listed."""
    return reg_class(reg) not in FIRMWARE_CLASSES and takes_any_value(reg)


class Named(NamedTuple):
    """A side by name, or why there is none; `kernel` is the name by which one machine is told from another."""

    side: Side | None
    met: Met = Met(None, None, False)
    kernel: str = ""
    refused: str = ""


@lru_cache(maxsize=_SIDES)
def named(kernel: str, features: str) -> Named:
    """The side of a kernel, a recorded host or the word of a host profile, never of a file."""
    text = kernel.strip()
    is_host = text.lower().startswith("linux-") and not looks_like_release(text)
    try:
        if is_word(text):
            side = side_of(text, features)
        else:
            side = by_host(text.lower(), features) if is_host else by_release(text, features)
    except FastsmcError as error:
        return Named(None, refused=str(error))
    met = Met(side.values.get(MIDR), side.levels, side.is_named_by_release)
    return Named(side, met, bare(side.release.name) if side.release else "")


@dataclass(frozen=True, slots=True)
class _Beside:
    """A side, and what it learns of another: of all others of which it learns the same, one stands for them.

    Attributes:
        is_first: of two sides whose MIDR_EL1 differ, the first gives up its values.
    """

    kernel: str
    features: str
    met: Met
    is_first: bool
    other: str = field(compare=False)


@lru_cache(maxsize=_SIDES)
def _prepared(case: _Beside) -> tuple[Side, Prepared]:
    one, other = named(case.kernel, case.features).side, named(case.other, case.features).side
    if one is None or other is None:
        msg = f"{case.kernel} and {case.other} were not both named"
        raise InputError(msg)
    side = paired(one, other)[0] if case.is_first else paired(other, one)[1]
    rules = None if side.release is None else _rules(side.release)
    key = side.features, tuple(side.values.items()), tuple(side.doubtful), side.has_assumed_levels, rules
    return side, _alike(_Content(key, side))


@dataclass(frozen=True, slots=True)
class _Content:
    """All of a side that a verdict hangs on, and one side that has it."""

    key: tuple[object, ...]
    side: Side = field(compare=False)


@lru_cache(maxsize=_SIDES)
def _alike(content: _Content) -> Prepared:
    return Prepared.of(content.side)


def _rules(release: Release) -> tuple[object, ...]:
    """A release's rules without its name, and those it would have otherwise."""
    others = tuple((doubt.fields, tuple(map(_nameless, doubt.others))) for doubt in release.doubts)
    return _nameless(release), others


def _nameless(release: Release) -> Release:
    return replace(release, name="", version=(0, 0, None), vendor="", notes=(), may_be_later=False, doubts=())


def verdict(kernel: str, other: str, features: str, by: VmmVersion) -> Verdict:
    """What `check` says of one direction between two kernels, for a VM with these features, in short.

    Raises:
        InputError: no kernel or recorded host by that name, or not with these vCPU features.
    """
    one, two = named(kernel, features), named(other, features)
    if refused := one.refused or two.refused:
        raise InputError(refused)
    mine, theirs = one.met, two.met
    is_ordered = mine.midr is not None and theirs.midr is not None and mine.midr != theirs.midr
    source, seen = _prepared(_Beside(kernel, features, theirs, True, other))
    dest, there = _prepared(_Beside(other, features, mine, not is_ordered, kernel))
    is_same = one.kernel == two.kernel and source.is_same_machine(dest)
    return _verdict(_Meeting(seen, there, by, is_same, source.release == dest.release))


class _Meeting(NamedTuple):
    """Two sides and what is to be known of them as a pair: one machine, one kernel."""

    source: Prepared
    dest: Prepared
    by: VmmVersion
    is_same: bool
    is_same_kernel: bool


@lru_cache(maxsize=_VERDICTS)
def _verdict(meeting: _Meeting) -> Verdict:
    source, dest, by, is_same, is_same_kernel = meeting
    one, other, rules = source.side, dest.side, RULES[by.vmm]
    if refused := not_there(one, other):
        return Verdict(Outlook.FAILS, why=refused)
    apart = rules.apart
    items = [(reg, value) for reg, value in source.fixed - dest.settled if reg_class(reg) not in apart]
    items += [(reg, one.values[reg]) for reg in source.state - dest.free if reg_class(reg) not in apart]
    left = _judged(source, dest, items, is_same_kernel=is_same_kernel, is_vls_early=rules.has_early_vls)
    fates = [RegisterFate(reg, value, *fate) for (reg, value), fate in zip(items, left, strict=True) if fate[0] != OK]
    if is_same:
        fates = [fate for fate in fates if fate.errno]
    else:
        fates += _besides(one, other, apart, is_same_kernel=is_same_kernel)
    fates = with_tolerance(fates, other, by)
    failing = source.in_order(fate.reg for fate in fates if fate.errno)
    unjudged = source.in_order(fate.reg for fate in fates if fate.errno is None)
    why = other_guest(one, other) or cannot_have(one, other, by).where
    if failing or why:
        return Verdict(Outlook.FAILS, failing, unjudged, "" if failing else why)
    is_open = "" if unjudged or is_same or one.is_whole else f"no register list with {one.features} was recorded"
    return Verdict(Outlook.UNKNOWN if unjudged or is_open else Outlook.RESTORES, (), unjudged, is_open)


def _besides(one: Side, other: Side, apart: Iterable[int], *, is_same_kernel: bool) -> list[RegisterFate]:
    """What the source may have beside its list and is not known to be taken."""
    regs = () if is_same_kernel else (reg for reg in one.doubtful if reg not in one.values)
    found = [RegisterFate(reg, None, *besides(reg, one, other)) for reg in regs if reg_class(reg) not in apart]
    return [fate for fate in found if fate.errno != OK]


def _judged(
    source: Prepared, dest: Prepared, items: list[Item], *, is_same_kernel: bool, is_vls_early: bool
) -> list[Fate]:
    """The fates of registers, each judged once per destination and all that its fate hangs on."""
    one, other = source.side, dest.side
    midr = one.values.get(MIDR) if MIDR in dest.fresh else None
    shared = is_same_kernel, is_vls_early, one.has_assumed_levels, midr
    keys = [(reg, value, reg in one.doubtful, shared) for reg, value in items]
    kept = [dest.fates.get(key) for key in keys]
    new = [item for item, fate in zip(items, kept, strict=True) if fate is None]
    if not new:
        return [fate for fate in kept if fate is not None]
    told = _told(source, dest, new, midr)
    if len(dest.fates) > _FATES:
        dest.fates.clear()
    for number, (reg, _) in enumerate(items):
        if kept[number] is None:
            fate = fate_of(reg, one, other, told, is_vls_early=is_vls_early)
            kept[number] = dest.fates[keys[number]] = fate
    return [fate for fate in kept if fate is not None]


def _told(source: Prepared, dest: Prepared, items: list[Item], midr: int | None) -> dict[int, Fate]:
    """What the restore rules say of these registers; as in `judge`, where their values are known."""
    host = dest.host
    if host is None:
        return {}
    known = {
        reg: value
        for reg, value in (*items, *([] if midr is None else [(MIDR, midr)]))  # MIDR_EL1: some rules compare it
        if value is not None and (has_rule(reg, host) if reg_class(reg) in FIRMWARE_CLASSES else reg in dest.fresh)
    }
    told = predict(RegisterDump(source.side.features, known), host, RegisterDump(dest.side.features, dest.fresh))
    return {each.reg: (each.errno, each.why) for each in told}
