"""The list that is asked for before an upgrade starts: which VMs cannot go live, why not, and what helps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from errno import ENOENT
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import I64Array
from fastsmc.errors import FastsmcError
from fastsmc.migrate.compat.outlooks import RESTORES, UNKNOWN, Cause, explained
from fastsmc.migrate.compat.result import Direction, Outlook, RegisterFate
from fastsmc.plan.rolling import fate as known
from fastsmc.plan.rolling.fate import Fates
from fastsmc.plan.rolling.pools import Fleet
from fastsmc.results.tables import Column, Table

REMEDIES = {
    known.UNSIZED: "tell vcpus and memory_gib of the VM",
    known.ROOMLESS: "tell cores and memory_gib of hosts, and the sizes of all their VMs",
    known.PERHAPS: "tell what is not known of the pool's other hosts",
    known.NOBODY: "put a host of the pool into service",
    known.FULL: "give the pool a spare host (spare_hosts=1)",
    known.APART: "give the pool a spare host (spare_hosts=1)",
}
_WORDS = {
    "the VMM is not told": "tell the VMM of hosts, or name it: vmm='qemu:10.1'",
    "no kernel is told": "tell the kernel of hosts",
}
_SHOWN, _FEW = 4, 3
"""Registers, and remedies or kernels, that are named in a text."""


@dataclass(frozen=True, slots=True)
class Block:
    """VMs that cannot go live for one reason.

    Attributes:
        vms: rows of the fleet.
        is_unknown: it cannot be known whether they can.
        source, dest: kernels; dest is "" where it is not about one.
    """

    vms: I64Array
    is_unknown: bool
    source: str
    dest: str
    features: str
    vmm: str
    cause: Cause
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        """Why, with the first registers and the number of the others: "in the way: A, B on 6.18"."""
        return f"{'not known: ' * self.is_unknown}{self.cause}{f' on {self.dest}' if self.dest else ''}"


class Reason(NamedTuple):
    """One register in the way, or a sentence."""

    register: str
    value: str
    why: str
    remedy: str = ""
    command: str = ""


def blocks(fleet: Fleet, fates: Fates, *, has_pins: bool) -> list[Block]:
    """The VMs of hosts to upgrade that do not go live, most first."""
    held = np.flatnonzero((fates.code != RESTORES) & fleet.is_due[fleet.at])
    if not len(held):
        return []
    key = np.stack([fleet.guest[held], fleet.now[fleet.at[held]], fates.cause[held], fates.dest[held]], 1)
    rows, of_vm = np.unique(key, axis=0, return_inverse=True)
    order = np.argsort(of_vm.reshape(-1), kind="stable")
    groups = np.split(held[order], np.cumsum(np.bincount(of_vm.reshape(-1), minlength=len(rows)))[:-1])
    found = []
    for (guest, here, cause, dest), vms in zip(rows.tolist(), groups, strict=True):
        own, place = fleet.guests[guest], fleet.places[here]
        there = fleet.places[dest] if dest >= 0 else None
        vmm = own.vmm or (there or place).vmm
        why = fates.causes[cause]
        told = None if there is None else _explained(place.kernel, there.kernel, own.features, vmm)
        reasons = tuple(_reasons(why, told, has_pins=has_pins))
        to = "" if there is None else there.kernel
        is_unknown = bool(fates.code[vms[0]] == UNKNOWN)
        found.append(Block(vms, is_unknown, place.kernel, to, own.features, vmm, why, reasons))
    return sorted(found, key=lambda block: (-len(block.vms), block.source, block.features))


def causes_of(why: Sequence[Block], names: NDArray[np.str_]) -> Table:
    """A row per distinct cause, with its remedies once each: what a person reads of `blocks`.

    Args:
        names: text[n_vm], of the fleet's VMs.
    """
    grouped: dict[str, list[Block]] = {}
    for block in why:
        grouped.setdefault(str(block), []).append(block)
    rows = sorted(grouped.items(), key=lambda row: -sum(len(block.vms) for block in row[1]))
    n = [sum(len(block.vms) for block in found) for _, found in rows]
    words = ["unknown" if found[0].is_unknown else "stops" for _, found in rows]
    remedies = [
        _first(dict.fromkeys(reason.remedy for block in found for reason in block.reasons if reason.remedy), "; ")
        for _, found in rows
    ]
    kernels = [_first(dict.fromkeys(block.source for block in found), ", ") for _, found in rows]
    columns = {
        "example": Column.of(np.array([names[found[0].vms[0]] for _, found in rows], np.str_), "", "one of the VMs"),
        "vms": Column.of(np.array(n, np.int64), "modelled", "VMs that it holds for"),
        "what": Column.of(np.array(words, np.str_), "", ""),
        "kernel": Column.of(np.array(kernels, np.str_), "", "that they run on"),
        "why": Column.of(np.array([text for text, _ in rows], np.str_), "", "the first registers, and how many more"),
        "remedy": Column.of(np.array(remedies, np.str_), "", "the first ones, and how many more"),
    }
    return Table("why VMs cannot go live, a row per cause", columns)


def _first(told: Iterable[str], between: str) -> str:
    """The first of some texts, and how many more there are."""
    texts = list(told)
    more = len(texts) - _FEW
    return between.join(texts[:_FEW]) + (f"{between.rstrip()} and {more} more" if more > 0 else "")


def _explained(source: str, dest: str, features: str, vmm: str) -> Direction | None:
    try:
        return explained(source, dest, features, vmm)
    except FastsmcError:
        return None


def _reasons(cause: Cause, told: Direction | None, *, has_pins: bool) -> Iterator[Reason]:
    """A reason per register that fails, or one for all that is not known."""
    remedy = (REMEDIES.get(cause) or _WORDS.get(cause.why, "")) if has_pins else ""
    if told is None or told.outlook is not cause.outlook:
        yield Reason("", "", str(cause), remedy)
        return
    if cause.outlook is Outlook.UNKNOWN:
        names = ", ".join(cause.names[:_SHOWN]) + (
            f" and {len(cause.names) - _SHOWN} more" if cause.names[_SHOWN:] else ""
        )
        why = told.open_question or (told.unjudged[0].reason if told.unjudged else str(cause))
        yield Reason(names, "", why, next(iter(told.to_know), "") if has_pins else "")
        return
    for fate in told.failing:
        yield _of_register(fate, told, has_pins=has_pins)
    if not told.failing:
        first = told.remedies[0] if told.remedies and has_pins else None
        yield Reason("", "", cause.why or told.summary, first.text if first else "", first.command if first else "")


def _of_register(fate: RegisterFate, told: Direction, *, has_pins: bool) -> Reason:
    is_refused = fate.value is not None and fate.errno != ENOENT  # of a register that is missing no value would do
    value = f"{fate.value:#x}" if is_refused else ""
    helps = next((each for each in told.remedies if fate.reg in each.registers), None) if has_pins else None
    name = fate.name or f"{fate.reg:#x}"
    return Reason(name, value, fate.reason, helps.text if helps else "", helps.command if helps else "")
