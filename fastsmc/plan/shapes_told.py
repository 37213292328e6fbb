"""What the largest shapes of a grid come to: a sentence, a table, why none fits, what takes the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastsmc.checks import BoolArray, F64Array, I64Array
from fastsmc.facts import costs
from fastsmc.migrate.profiled import IOCTL_ASSUMED
from fastsmc.migrate.switchover.arrays import Vms, modelled_steps, total_ms
from fastsmc.migrate.switchover.most import most_vcpus
from fastsmc.migrate.switchover.names import DESCRIPTION, LOAD, PAUSE, RESUME, SAVE, WIRE
from fastsmc.plan.grid import Grid
from fastsmc.plan.result import Cube, Excuse, Plan, Weakest
from fastsmc.results.tables import Column, Table
from fastsmc.results.units import count, significant

MOST_ROWS = 100_000
"""Cells up to which a table has a row of each; beyond, it has one of each register list."""
LOW, MID, HIGH = range(3)
_PARTS = ("ioctls", "encoding and decoding", "pausing and resuming", "bytes on the wire", "the round trip")
_PART_OF = {SAVE: 1, LOAD: 1, PAUSE: 2, RESUME: 2, WIRE: 3, DESCRIPTION: 3}
"""The part that a step belongs to, by its name; all others are ioctls."""
_KVM_STOPS = int(costs.VGIC_V3_MAX_CPUS.value)
ASSUMED = (
    IOCTL_ASSUMED,
    "the time to stop or start a vCPU: nobody has published QEMU's",
    "QEMU writes each register twice at load: the second write is unverified",
    "all steps one after another, an upper side: QEMU saves, sends and loads section by section, so these may overlap",
    "no guest memory: QEMU may fill its downtime limit with it, and what is budgeted here comes on top",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a grid: its place on the four axes, and its answers."""

    grid: Grid
    place: tuple[int, ...]
    n_vcpu: I64Array

    @property
    def vms(self) -> Vms:
        """The VM of the cell."""
        i, k, _, cost = self.place
        return replace(
            self.grid,
            registers=[self.grid.registers[i]],
            links=[self.grid.links[k]],
            ioctl_ns=self.grid.ioctl_ns[[cost]],
        ).vms

    @property
    def downtime_ms(self) -> float:
        """The budget."""
        return float(self.grid.downtime_ms[self.place[2]])

    def as_row(self) -> dict[str, Any]:
        """What the cell is, by names."""
        i, k, _, cost = self.place
        row: dict[str, Any] = {"registers": self.grid.names[i], "link": str(self.grid.links[k])}
        row["downtime_ms"] = self.downtime_ms
        return row | ({"ioctl_ns": self.grid.ioctl_ns[cost].tolist()} if self.grid.has_costs else {})

    def __str__(self) -> str:
        return f"{self.grid.names[self.place[0]]} within {self.downtime_ms:g} ms over {self.grid.links[self.place[1]]}"

    @property
    def aside(self) -> str:
        """Which cell of the grid it is, in brackets; nothing where there is only one."""
        grid = self.grid
        n_cell = len(grid.registers) * len(grid.links) * len(grid.downtime_ms) * len(grid.ioctl_ns)
        return f" ({self})" if n_cell > 1 else ""


def told(grid: Grid, n_vcpu: I64Array, cube: Cube) -> Plan:
    """The plan of answers of a grid, int64[n_list, n_link, n_budget, n_cost, 3]."""
    missed, unsure = n_vcpu[..., LOW] == 0, (n_vcpu[..., HIGH] == 0) & (n_vcpu[..., LOW] > 0)
    middle = _middle(grid, n_vcpu)
    return Plan(
        "largest_shape",
        _answer(grid, n_vcpu, middle),
        _table(grid, n_vcpu),
        is_met=False if missed.any() else None if unsure.any() else True,
        cube=cube,
        excuses=tuple(_excuses(grid, n_vcpu, missed, unsure)),
        bottleneck=_bottleneck(middle),
        weakest=_weakest(middle),
        inputs={
            "registers": grid.names,
            "registers_per_vcpu": [one.n_reg for one in grid.registers],
            "sve": [one.has_sve for one in grid.registers],
            "link": [str(one) for one in grid.links],
            "downtime_ms": grid.downtime_ms.tolist(),
            "ioctl_ns": grid.ioctl_ns.tolist(),
            "vmm": "qemu",
            "limit": grid.limit,
        },
        assumptions=grid.told_by.before(ASSUMED),
    )


def _middle(grid: Grid, n_vcpu: I64Array) -> Cell:
    """The cell whose answer is in the middle."""
    mids = n_vcpu[..., MID].ravel()
    at = int(np.argpartition(mids, mids.size // 2)[mids.size // 2])
    place = tuple(map(int, np.unravel_index(at, n_vcpu.shape[:-1])))
    return Cell(grid, place, n_vcpu[place])


def _answer(grid: Grid, n_vcpu: I64Array, middle: Cell) -> str:
    above = f"; more than {_KVM_STOPS} are hypothetical, as KVM stops there" * bool(n_vcpu.max() > _KVM_STOPS)
    if n_vcpu[..., 0].size == 1:
        low, mid, high = (f"{one:,}" for one in middle.n_vcpu)
        rest = f"{high} with all figures high, {low} with all low{above}"
        return f"{mid} vCPU{'s' * (mid != '1')} of {middle} at the middle figures; {rest}"
    mids, n_cell = n_vcpu[..., MID], n_vcpu[..., 0].size
    n_missed, n_none = (int(np.count_nonzero(n_vcpu[..., figure] == 0)) for figure in (LOW, HIGH))
    none = f"; with all figures high not even one fits in {count(n_none)} cells, with all low in {count(n_missed)}"
    return (
        f"{mids.min():,} to {mids.max():,} vCPUs over {count(n_cell)} cells at the middle figures, "
        f"{middle.n_vcpu[MID]:,} in the middle one{none * bool(n_none)}{above}"
    )


def _bottleneck(cell: Cell) -> str:
    """What takes most of the time that one vCPU more would need."""
    n = int(cell.n_vcpu[MID])
    if n == cell.grid.limit:
        return f"the limit of {n:,} vCPUs that was asked about{cell.aside}"
    parts = _parts(replace(cell.vms, n_vcpu=np.full((1,) * 4, n + 1)), MID)
    times = [float(part.item()) for part in parts]
    most = int(np.argmax(times))
    return (
        f"{_PARTS[most]}: {times[most] / sum(times):.0%} of the {significant(sum(times), 4)} ms that "
        f"{n + 1:,} vCPU{'s' * (n > 0)} would take{cell.aside}"
    )


def _parts(vms: Vms, figure: int) -> list[F64Array]:
    """Milliseconds of each of `_PARTS`."""
    parts: list[F64Array] = [np.zeros(()) for _ in _PARTS]
    for step in modelled_steps(vms):
        part = _PART_OF.get(step.name, 0)
        parts[part] = parts[part] + step.ms[..., figure]
    round_trip = vms.rtt_us / 1e3
    parts[3], parts[4] = parts[3] - round_trip, parts[4] + round_trip
    return parts


def _weakest(cell: Cell) -> Weakest:
    """The figure that the answer rests on most: an ioctl's cost, or where that was given as one number, the others."""
    low, _, high = cell.vms.ioctl_ns.ravel().tolist()
    budget = np.full((1,) * 4, cell.downtime_ms)

    def most(vms: Vms, figure: int) -> str:
        n = int(most_vcpus(vms, budget, cell.grid.limit)[..., figure].item())
        return f"{n:,} vCPU{'s' * (n != 1)}"

    if low < high:
        at = [most(replace(cell.vms, ioctl_ns=np.full((1,) * 4 + (3,), ns)), MID) for ns in (low, high)]
        of_gic = " of the interrupt controller" * bool(cell.vms.by_step)
        return Weakest(f"ns of one ioctl{of_gic}, assumed{cell.aside}", low, high, *at)
    figures = costs.VCPU_PAUSE_US
    name = f"{figures.low.unit} to stop or start it, assumed; encoding and decoding low and high with it{cell.aside}"
    return Weakest(name, figures.low.value, figures.high.value, most(cell.vms, LOW), most(cell.vms, HIGH))


def _excuses(grid: Grid, n_vcpu: I64Array, missed: BoolArray, unsure: BoolArray) -> Iterator[Excuse]:
    """Why not even one vCPU fits: the part that takes most of one vCPU's downtime; most cells first."""
    found = []
    for cells, figure, head in (
        (missed, LOW, "not even one vCPU fits, whatever the figures"),
        (unsure, HIGH, "not even one vCPU fits with all figures high, and some do with all low"),
    ):
        if not cells.any():
            continue
        parts = np.broadcast_arrays(*_parts(grid.vms, figure))
        largest = np.broadcast_to(np.argmax(parts, axis=0), cells.shape)
        for part in np.unique(largest[cells]):
            some = cells & (largest == part)
            place = tuple(map(int, np.argwhere(some)[0]))
            cell = Cell(grid, place, n_vcpu[place])
            one = float(total_ms(cell.vms)[..., figure].item())
            row = cell.as_row() | {"one_vcpu_ms": round(one, 3)}
            found.append(Excuse(f"{head}; most of its time is {_PARTS[part]}", int(np.count_nonzero(some)), row))
    yield from sorted(found, key=lambda excuse: -excuse.n_row)


def _table(grid: Grid, n_vcpu: I64Array) -> Table:
    n_cell = n_vcpu[..., 0].size
    if n_cell > MOST_ROWS:
        return _summary(grid, n_vcpu)
    places = np.indices(n_vcpu.shape[:-1]).reshape(4, n_cell)
    lists, links, budgets, each = places
    columns = {
        "registers": Column.of([grid.names[i] for i in lists.tolist()]),
        "registers_per_vcpu": Column.of(np.array([one.n_reg for one in grid.registers])[lists], "input"),
        "gbit_per_s": Column.of(np.array([one.gbit_per_s for one in grid.links])[links], "input"),
        "rtt_us": Column.of(np.array([one.rtt_us for one in grid.links])[links], "input"),
        "downtime_ms": Column.of(grid.downtime_ms[budgets], "input", "the budget"),
    }
    if grid.has_costs:
        ns = grid.ioctl_ns[each]
        columns |= {f"ioctl_{name}_ns": Column.of(ns[:, i], "input") for i, name in enumerate(("low", "mid", "high"))}
    flat = n_vcpu.reshape(n_cell, 3)
    for i, name in enumerate(("low", "mid", "high")):
        columns[f"n_vcpu_{name}"] = Column.of(flat[:, i], "assumed", f"the most that fit with all figures {name}")
    return Table("a register list, link and budget, with the most vCPUs that fit", columns)


def _summary(grid: Grid, n_vcpu: I64Array) -> Table:
    """One row of each register list: the least, the median and the most over all else, at the middle figures."""
    mids = n_vcpu[..., MID].reshape(len(grid.registers), -1)
    columns = {
        "registers": Column.of(grid.names),
        "registers_per_vcpu": Column.of([one.n_reg for one in grid.registers], "input"),
        "n_cell": Column.of(np.full(len(mids), mids.shape[1]), "input", "links, budgets and costs of an ioctl"),
        "n_vcpu_least": Column.of(mids.min(axis=1), "assumed", "of its cells, at the middle figures"),
        "n_vcpu_median": Column.of(np.median(mids, axis=1), "assumed"),
        "n_vcpu_most": Column.of(mids.max(axis=1), "assumed"),
    }
    return Table("a register list, with the most vCPUs that fit over all links and budgets", columns)
