"""What the tables of moves, downtime and upgrade say twice: names are counted, waves are summed, ioctls are timed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastsmc.checks import shown
from fastsmc.reporting.rows import ROUNDING, unlike
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table

OUTLOOKS = ("restores", "fails", "unknown")
_SUMMED = ("hosts", "moved", "stopped", "unknown")


def wrong_answers(run: Run) -> Iterator[str]:
    """Sentences on what contradicts what; none for a run that agrees with itself."""
    for name in ("moves", "failures"):
        for wrong in _outlooks(run[name]):
            yield f"table {name}, {wrong}"
    for wrong in _downtime(run):
        yield f"table downtime, {wrong}"
    yield from _upgrade(run)


def _outlooks(table: Table) -> Iterator[str]:
    for number, row in enumerate(table.rows(), 1):
        n_name = len([name for name in row["failing"].split(";") if name])
        if row["outlook"] not in OUTLOOKS:
            yield f"row {number}: outlook {shown(row['outlook'])} is none of {', '.join(OUTLOOKS)}"
        elif row["n_failing"] and row["outlook"] != "fails":
            yield f"row {number}: n_failing is {row['n_failing']}, and the outlook is {shown(row['outlook'])}"
        elif row["n_failing"] != n_name and row["failing"]:
            yield f"row {number}: n_failing is {row['n_failing']}, column failing has {n_name} names"
        elif row["n_failing"] and not row["failing"]:
            yield f"row {number}: n_failing is {row['n_failing']}, column failing has 0 names"


def _downtime(run: Run) -> Iterator[str]:
    """A step's ioctls take as long as table limits says of one; all vCPUs and registers are those of one VM."""
    steps, limits = run["downtime"], run["limits"]
    yield from unlike(steps, "n_vcpu", steps["n_vcpu"][0], "row 1")
    yield from unlike(steps, "n_reg", steps["n_reg"][0], "row 1")
    for end in ("low", "mid", "high"):
        each = limits["value"][limits["limit"] == f"one register ioctl, {end}"]
        if each.size:
            right = steps["ioctls"] * each[0] / 1e6
            by = "ioctls and what table limits says of one"
            yield from unlike(steps, f"{end}_ms", right, by, only=steps["ioctls"] > 0, slack=1e3 * ROUNDING)
    read = np.char.startswith(steps["step"].astype(str), "GETs, registers")
    yield from unlike(steps, "ioctls", steps["n_reg"] * steps["n_vcpu"], "n_reg and n_vcpu", only=read)


def _upgrade(run: Run) -> Iterator[str]:
    totals, waves = run["upgrade"], run["upgrade_waves"]
    for number, row in enumerate(totals.rows(), 1):
        own = waves.where(vmm=row["vmm"])
        for name in _SUMMED:
            found = int(own[name].sum())
            if found != row[name]:
                where = f"{name} is {row[name]}, in table upgrade_waves it adds up to {found}"
                yield f"table upgrade, row {number}: {where}"
        if own.n_row != row["waves"]:
            yield f"table upgrade, row {number}: waves is {row['waves']}, table upgrade_waves has {own.n_row}"
        if row["stopped"] + row["unknown"] > row["n_vm"]:
            yield f"table upgrade, row {number}: more VMs stop than the {row['n_vm']} that there are"
    n_before = int(np.count_nonzero(totals["is_as_before"]))
    if n_before != 1:
        yield f"table upgrade: {n_before} rows have the VMM that the fleet has, 1 must"
    if lacking := set(waves["vmm"].tolist()) - set(totals["vmm"].tolist()):
        yield f"table upgrade_waves: vmm {shown(min(lacking))}, which table upgrade lacks"
    yield from (f"table upgrade, {wrong}" for wrong in unlike(totals, "n_vm", totals["n_vm"][0], "row 1"))
