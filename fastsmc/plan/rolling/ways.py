"""Which VM may go to which host: directed, by distinct (vCPU features, VMM) of VMs and (kernel, CPU, VMM) of hosts.

A VM carries what each kernel wrote that it has run on: it goes only where VMs begun on any of these would restore. So
a VM's kind, which says where it may go, changes as it moves, and only ever allows less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray, I64Array
from fastsmc.migrate.compat.outlooks import FAILS, RESTORES, UNKNOWN, Cause
from fastsmc.migrate.compat.result import Outlook
from fastsmc.plan.ways import Guest, Place, way

MOST_KINDS = 2048
"""Kinds that are told apart; VMs that would be of another one move to upgraded hosts only."""


class Ways(NamedTuple):
    """Outlooks between places.

    Attributes:
        code: int8[n_guest, n_place, n_place], RESTORES, FAILS or UNKNOWN, from the first place to the second.
        cause: int64[n_guest, n_place, n_place], index into `causes`.
    """

    code: NDArray[np.int8]
    cause: I64Array
    causes: tuple[Cause, ...]


_ELSEWHERE = Cause(Outlook.FAILS, (), "no pool has hosts of both")


def ways(guests: Sequence[Guest], places: Sequence[Place], needed: BoolArray) -> Ways:
    """The outlooks of each guest between two places.

    Args:
        needed: bool[n_place, n_place], pairs that a pool has; of others nothing is asked, and none goes there.
    """
    shape = len(guests), len(places), len(places)
    code, cause, numbers = np.full(shape, FAILS, np.int8), np.zeros(shape, np.int64), {_ELSEWHERE: 0}
    words = {Outlook.RESTORES: RESTORES, Outlook.FAILS: FAILS, Outlook.UNKNOWN: UNKNOWN}
    pairs = np.argwhere(needed).tolist()
    for g, guest in enumerate(guests):
        for i, j in pairs:
            found = way(guest, places[i], places[j])
            code[g, i, j] = words[found.outlook]
            cause[g, i, j] = numbers.setdefault(found, len(numbers))
    return Ways(code, cause, tuple(numbers))


class Kinds(NamedTuple):
    """Kinds of VMs: where a VM of each may go, and of which kind it is there.

    Attributes:
        may: bool[n_kind, n_place]. then: int64[n_kind, n_place].
        first: int64[n_guest, n_place], the kind of a guest that began at a place; -1 where none was asked for.
    """

    may: BoolArray
    then: I64Array
    first: I64Array


def kinds(ok: BoolArray, begun: Sequence[tuple[int, int]], last: BoolArray) -> Kinds:
    """The kinds of the guests that begin at places, and of all that they may become.

    Args:
        ok: bool[n_guest, n_place, n_place], a guest that began at the first restores at the second.
        begun: (guest, place) of each sort of VM.
        last: bool[n_place], places of hosts that need no upgrade any more. Elsewhere a VM goes only if it can go on
            to one of these.
    """
    n_guest, n_place, _ = ok.shape
    numbers: dict[tuple[int, bytes], int] = {}
    rows: list[tuple[int, BoolArray]] = []

    def number(guest: int, row: BoolArray) -> int:
        key = guest, row.tobytes()
        if key not in numbers:
            numbers[key] = len(rows)
            rows.append((guest, row))
        return numbers[key]

    first = np.full((n_guest, n_place), -1, np.int64)
    for guest, place in begun:
        first[guest, place] = number(guest, ok[guest, place].copy())
    may, then, at = [], [], 0
    while at < len(rows):
        allowed, nexts = _from(rows[at], ok, last, number if len(rows) < MOST_KINDS else None, at)
        may.append(allowed)
        then.append(nexts)
        at += 1
    if not rows:
        return Kinds(np.zeros((1, n_place), np.bool_), np.zeros((1, n_place), np.int64), first)
    return Kinds(np.array(may), np.array(then), first)


def _from(
    kind: tuple[int, BoolArray],
    ok: BoolArray,
    last: BoolArray,
    number: Callable[[int, BoolArray], int] | None,
    own: int,
) -> tuple[BoolArray, I64Array]:
    """Where a VM of one kind may go, and what it is there."""
    guest, row = kind
    allowed, nexts = row & last, np.full(len(last), own, np.int64)
    for place in np.flatnonzero(row & ~last).tolist():
        left = row & ok[guest, place]
        if (left & last).any() and number is not None:
            allowed[place], nexts[place] = True, number(guest, left)
    return allowed, nexts
