"""What a table of migrations comes to: a sentence, its rows, why a cell has none, what it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fastsmc.facts import costs
from fastsmc.plan.moving import MIB, Found, Moving, moved
from fastsmc.plan.result import Excuse, Weakest
from fastsmc.results.tables import Column, Table
from fastsmc.results.units import significant

LOW, MID, HIGH = range(3)
_NOT_ALWAYS = "* not with all figures high"
_MARK = " *"
"""Behind a time that holds at the middle figures and not at all."""


def table_of(moving: Moving, found: Found) -> Table:
    columns = {"link": Column.of([str(link) for link in moving.links])}
    for k, limit in enumerate(moving.downtime_ms.tolist()):
        cells = [
            "-" if np.isnan(one[MID]) else f"{significant(one[MID])} s{_MARK * bool(np.isnan(one).any())}"
            for one in found.total_s[:, k]
        ]
        columns[f"within_{limit:g}_ms"] = Column.of(cells, meaning=f"at the middle figures; - is never, {_NOT_ALWAYS}")
    note = f"; {_NOT_ALWAYS}" if any(_MARK in cell for column in columns.values() for cell in column.plain()) else ""
    return Table(f"a link, with how long precopy takes within each downtime limit: {moving.subject}{note}", columns)


def answer(moving: Moving, found: Found) -> str:
    total_s = found.total_s[..., MID]
    n_some, n_cell = int(np.count_nonzero(~np.isnan(total_s))), total_s.size
    if not n_some:
        return f"{moving.subject}: within no limit over any link at the middle figures ({n_cell} asked about)"
    i, k = map(int, np.unravel_index(np.nanargmin(total_s), total_s.shape))
    seconds, taken_ms = found.total_s[i, k], found.registers_ms[i, 0]
    ends = [significant(seconds[figure]) for figure in (LOW, HIGH)]
    always = f" ({ends[0]} to {ends[1]} s)" if ends[0] != ends[1] and not np.isnan(seconds).any() else ""
    return (
        f"{moving.subject}: {n_some} of {n_cell} cells converge at the middle figures, the fastest in "
        f"{significant(seconds[MID])} s{always} within {moving.downtime_ms[k]:g} ms over {moving.links[i]}; registers "
        f"take {significant(taken_ms[MID])} ms of the downtime ({significant(taken_ms[LOW])} to "
        f"{significant(taken_ms[HIGH])})"
    )


def bottleneck(moving: Moving, found: Found) -> str:
    """What keeps the most cells from converging, or what takes the time where all do."""
    never = np.isnan(found.total_s[..., MID])
    alone = found.left_ms[..., MID] < 0
    if not never.any():
        return "the line rate: all memory is sent once and more"
    if 2 * np.count_nonzero(alone) >= np.count_nonzero(never):
        return f"registers and their ioctls: alone longer than the limit in {np.count_nonzero(alone)} cells"
    return f"memory: written faster than it sinks below the limit in {np.count_nonzero(never & ~alone)} cells"


def excuses(moving: Moving, found: Found) -> Iterator[Excuse]:
    """Why cells are "-" at the middle figures; most first."""
    never, alone = np.isnan(found.total_s[..., MID]), found.left_ms[..., MID] < 0
    written = (moving.dirty_mib_per_s * MIB) >= np.array([link.gbit_per_s for link in moving.links])[:, None] * 1e9 / 8
    kinds = (
        (alone, "the registers alone take longer than the limit"),
        (never & ~alone & written, "the guest writes as fast as the link sends, or faster"),
        (never & ~alone & ~written, "what the guest writes during a round never fits what the registers leave"),
    )
    some = [(cells, why) for cells, why in kinds if cells.any()]
    for cells, why in sorted(some, key=lambda one: -np.count_nonzero(one[0])):
        i, k = map(int, np.argwhere(cells)[0])
        row: dict[str, float | str] = {
            "link": str(moving.links[i]),
            "downtime_ms": float(moving.downtime_ms[k]),
            "registers_ms": round(float(found.registers_ms[i, 0, MID]), 3),
        }
        if cells is not alone:
            row["memory_that_stays_ms"] = round(float(found.memory.downtime_ms[i, k, MID]), 3)
        yield Excuse(why, int(np.count_nonzero(cells)), row)


def weakest(moving: Moving) -> Weakest:
    """The cost of an ioctl; where it was given as one number, the time to stop and start a vCPU."""
    low, _, high = moving.ioctl_ns.tolist()

    def cells(asked: Moving, figure: int) -> str:
        total_s = moved(asked).total_s[..., figure]
        some = total_s[~np.isnan(total_s)]
        fastest = f", the fastest in {significant(float(some.min()))} s" if some.size else ""
        return f"{some.size} of {total_s.size} cells converge{fastest}"

    if low < high:
        at = [cells(replace(moving, ioctl_ns=np.full(3, ns)), MID) for ns in (low, high)]
        of_gic = " of the interrupt controller" * bool(moving.told_by.by_step)
        return Weakest(f"ns of one ioctl{of_gic}, assumed", low, high, *at)
    us = costs.VCPU_PAUSE_US
    name = f"{us.low.unit} to stop or start it, assumed; encoding and decoding low and high with it"
    return Weakest(name, us.low.value, us.high.value, cells(moving, LOW), cells(moving, HIGH))
