"""What can become of each VM before any order is thought of: it may go live, it must stop, or it cannot be known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import BoolArray, I64Array
from fastsmc.migrate.compat.outlooks import FAILS, RESTORES, UNKNOWN, Cause
from fastsmc.migrate.compat.result import Outlook
from fastsmc.plan.rolling.pools import Fleet
from fastsmc.plan.rolling.ways import Kinds, Ways, kinds, ways

PINNED = Cause(Outlook.FAILS, (), "it cannot be migrated (moves: no)")
UNSIZED = Cause(Outlook.UNKNOWN, (), "its vCPUs or memory are not told")
ROOMLESS = Cause(
    Outlook.UNKNOWN, (), "the hosts that it restores on do not tell cores and memory, or what their VMs use"
)
NOBODY = Cause(Outlook.FAILS, (), "no host of its pool takes VMs")
FULL = Cause(Outlook.FAILS, (), "no host of its pool has room for it in any wave that was found")
PERHAPS = Cause(Outlook.UNKNOWN, (), "no host that it is known to restore on has room, and of others it is not known")
APART = Cause(Outlook.FAILS, (), "no host is left that has no VM of its group (apart)")


@dataclass(frozen=True, slots=True, eq=False)
class Fates:
    """What can become of each VM of a fleet.

    Attributes:
        code: int8[n_vm], RESTORES where it may go live to some upgraded host, FAILS where not, UNKNOWN.
        cause: int64[n_vm], index into `causes`. dest: int64[n_vm], the place that the cause is about, -1 for none.
        kind: int64[n_vm], index into `kinds`. goes: bool[n_vm], code is RESTORES.
    """

    ways: Ways
    kinds: Kinds
    code: NDArray[np.int8]
    cause: I64Array
    causes: tuple[Cause, ...]
    dest: I64Array
    kind: I64Array
    goes: BoolArray


def judged(fleet: Fleet) -> Fates:
    """What can become of each VM of a fleet."""
    n_place = len(fleet.places)
    needed, last = np.zeros((n_place, n_place), np.bool_), np.zeros(n_place, np.bool_)
    last[fleet.new] = True
    both = [np.unique(np.stack([fleet.pool, each], 1), axis=0) for each in (fleet.now, fleet.new)]
    for pool in range(len(fleet.pools)):
        mine = np.unique(np.concatenate([each[each[:, 0] == pool, 1] for each in both]))
        needed[np.ix_(mine, mine)] = True
    found = ways(fleet.guests, fleet.places, needed)
    here = fleet.now[fleet.at]
    begun = np.unique(np.stack([fleet.guest, here], 1), axis=0).tolist()
    sorts = kinds(found.code == RESTORES, [(g, a) for g, a in begun], last)
    causes = {each: k for k, each in enumerate(found.causes)}
    for extra in (PINNED, UNSIZED, ROOMLESS, NOBODY, FULL, PERHAPS, APART):
        causes.setdefault(extra, len(causes))
    code, cause, dest = _by_class(fleet, found, causes, here)
    unsized = ~fleet.is_sized & (code != FAILS)
    code[unsized], cause[unsized], dest[unsized] = UNKNOWN, causes[UNSIZED], -1
    code[~fleet.may_move], cause[~fleet.may_move], dest[~fleet.may_move] = FAILS, causes[PINNED], -1
    goes = code == RESTORES
    return Fates(found, sorts, code, cause, tuple(causes), dest, sorts.first[fleet.guest, here], goes)


def _by_class(
    fleet: Fleet, found: Ways, causes: dict[Cause, int], here: I64Array
) -> tuple[NDArray[np.int8], I64Array, I64Array]:
    """Code, cause and the cause's place of each VM, judged once per guest, place and pool."""
    classes, of_vm = np.unique(np.stack([fleet.guest, here, fleet.pool[fleet.at]], 1), axis=0, return_inverse=True)
    takes = fleet.is_open & fleet.is_known
    ends = [
        {pool: np.unique(rows[:, 1]) for pool, rows in _by_pool(np.stack([fleet.pool, fleet.new], 1)[mask])}
        for mask in (takes, fleet.is_open & ~takes)
    ]
    none = np.zeros(0, np.int64)
    told = [
        _of_class(g, a, [end.get(pool, none) for end in ends], fleet, found, causes) for g, a, pool in classes.tolist()
    ]
    table = np.array(told, np.int64).reshape(-1, 3)[of_vm.reshape(-1)]
    return table[:, 0].astype(np.int8), table[:, 1].copy(), table[:, 2].copy()


def _by_pool(rows: I64Array) -> list[tuple[int, I64Array]]:
    """Rows by the pool in their first column."""
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    cuts = np.flatnonzero(np.diff(rows[:, 0])) + 1
    return [(int(part[0, 0]), part) for part in np.split(rows, cuts) if len(part)]


def _of_class(
    guest: int, here: int, ends: list[I64Array], fleet: Fleet, found: Ways, causes: dict[Cause, int]
) -> tuple[int, int, int]:
    """(code, cause, place) of the VMs of one guest at one place of a pool.

    Args:
        ends: upgraded places whose hosts take VMs, and those of which the room is not known.
    """
    sure, unsure = (found.code[guest, here, each] for each in ends)
    if (sure == RESTORES).any():
        place = int(ends[0][np.argmax(sure == RESTORES)])
        return RESTORES, int(found.cause[guest, here, place]), place
    if (unsure == RESTORES).any():
        return UNKNOWN, causes[ROOMLESS], -1
    places, codes = np.concatenate(ends), np.concatenate([sure, unsure])
    if not len(places):
        return FAILS, causes[NOBODY], -1
    word = UNKNOWN if (codes == UNKNOWN).any() else FAILS
    chosen = places[codes == word]
    own = [place for place in chosen.tolist() if fleet.places[place].cpu == fleet.places[here].cpu]
    place = (own or chosen.tolist())[0]
    return word, int(found.cause[guest, here, place]), place


def crowded_out(fleet: Fleet, fates: Fates, stopped: I64Array) -> Fates:
    """The fates once it is known which VMs that could go live found no place.

    Args:
        stopped: rows of these VMs.
    """
    code, cause, dest = fates.code.copy(), fates.cause.copy(), fates.dest.copy()
    number = {each: k for k, each in enumerate(fates.causes)}
    takes = fleet.is_open & fleet.is_known
    n_open = np.bincount(fleet.pool[takes], minlength=len(fleet.pools))
    unsure = np.bincount(fleet.pool[fleet.is_open & ~takes], minlength=len(fleet.pools)) > 0
    maybe = np.zeros((len(fleet.pools), len(fleet.guests), len(fleet.places)), np.bool_)
    for pool, rows in _by_pool(np.stack([fleet.pool, fleet.new], 1)[takes]):
        maybe[pool] = (fates.ways.code[:, :, np.unique(rows[:, 1])] == UNKNOWN).any(axis=2)
    for vm in stopped.tolist():
        pool = fleet.pool[fleet.at[vm]]
        is_unsure = unsure[pool] or maybe[pool, fleet.guest[vm], fleet.now[fleet.at[vm]]]
        group = fleet.apart[vm]
        n_group = 0 if group < 0 else int((fleet.pool[fleet.at[fleet.apart == group]] == pool).sum())
        why = PERHAPS if is_unsure else APART if n_group >= n_open[pool] else FULL
        code[vm], cause[vm], dest[vm] = UNKNOWN if is_unsure else FAILS, number[why], -1
    return Fates(fates.ways, fates.kinds, code, cause, fates.causes, dest, fates.kind, fates.goes)
