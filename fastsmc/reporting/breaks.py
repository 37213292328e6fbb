"""What breaks: the long-term kernels against each other for each VMM, and the failures that people reported."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastsmc.reporting import directions
from fastsmc.reporting.style import Note, Picture, new_figure, short, styled
from fastsmc.results.runs import Run
from fastsmc.results.tables import Table
from fastsmc.results.units import number_of

TAG = "modelled from recorded kernels"
MARKS = {"restores": "ok", "unknown": "?"}


class Moves(NamedTuple):
    """Moves between different kernels, counted: all, those that fail, those that cannot be known."""

    n_move: int
    n_fail: int
    n_unknown: int


def kernels(run: Run) -> list[str]:
    """The releases of the matrix, oldest first: sources are in that order."""
    return list(dict.fromkeys(run["moves"]["source"].tolist()))


def first_vmm(run: Run) -> str:
    """The VMM that is told of first, with its version."""
    return str(run["moves"]["by"][0])


def counted(run: Run, by: str, *, is_back: bool = False) -> Moves:
    """The moves of a VMM; only those to an older kernel where `is_back`."""
    order = {name: at for at, name in enumerate(kernels(run))}
    rows = [row for row in run["moves"].where(by=by).rows() if row["source"] != row["dest"]]
    if is_back:
        rows = [row for row in rows if order[row["dest"]] < order[row["source"]]]
    outlooks = [row["outlook"] for row in rows]
    return Moves(len(rows), outlooks.count("fails"), outlooks.count("unknown"))


def picture(run: Run) -> Picture:
    """A map per VMM: a row per source, a column per destination."""
    by = first_vmm(run)
    every, back = counted(run, by), counted(run, by, is_back=True)
    title = (
        f"{vmm_name(by)}: {every.n_fail} of {every.n_move} moves between these kernels fail, {back.n_fail} of the "
        f"{back.n_move} that go back to an older one"
    )
    names = list(dict.fromkeys(run["moves"]["by"].tolist()))
    with styled():
        figure, axes = new_figure(
            title, TAG, height_in=3.2, n_panel=len(names), small_in=6.3, small_columns=min(2, len(names))
        )
        for at, (ax, name) in enumerate(zip(axes, names, strict=False)):
            _panel(ax, run, name)
            ax.set_ylabel("from Linux" if at == 0 else "")
            ax.set_xlabel("to Linux")
        figure.legend(handles=directions.legend(), loc="outside lower center", ncols=3, columnspacing=1.0)
    return Picture("moves", "Which moves fail", title, TAG, _caption(run), figure, *_table(run))


def vmm_name(by: str) -> str:
    """A VMM and its version as people write it.

    >>> vmm_name("qemu 11.1"), vmm_name("cloud-hypervisor v53")
    ('QEMU 11.1', 'Cloud Hypervisor v53')
    """
    vmm, _, version = by.partition(" ")
    known = {"qemu": "QEMU", "cloud-hypervisor": "Cloud Hypervisor", "firecracker": "Firecracker"}
    return f"{known.get(vmm, vmm)} {version}".rstrip()


def mark(row: dict[str, Any]) -> str:
    """A move in one word: ok, ? or the number of registers in the way; no where the VMM refuses the vCPU."""
    return MARKS.get(row["outlook"]) or (str(row["n_failing"]) if row["n_failing"] else "no")


def _panel(ax: Any, run: Run, by: str) -> None:
    names, rows = kernels(run), run["moves"].where(by=by)
    at = {name: place for place, name in enumerate(names)}
    marks = np.full((len(names), len(names)), "?", "<U8")
    failing = np.zeros(marks.shape, np.int64)
    for row in rows.rows():
        if row["dest"] in at:
            marks[at[row["source"]], at[row["dest"]]] = mark(row)
            failing[at[row["source"]], at[row["dest"]]] = row["n_failing"]
    directions.draw(ax, names, marks, failing, most=int(run["moves"]["n_failing"].max(initial=1)))
    ax.set_title(short(vmm_name(by), 24), fontsize=9)
    ax.set_aspect("equal")


def _caption(run: Run) -> str:
    moves = run["moves"]
    recorded = sorted(
        {row["source"] for row in moves.rows() if row["source_basis"] == "recorded"}, key=kernels(run).index
    )
    features = "; ".join(
        f"{row['features']} with {vmm_name(row['by'])}" for row in _first_rows(moves) if row["features"]
    )
    return (
        "A row per kernel that a VM leaves, a column per kernel that it moves to. A number is how many of its "
        "registers the destination lacks or refuses; one is enough for the whole migration to fail. A question mark is "
        "no yes: nothing is known to fail, and not every register's value is known. Register lists and values of "
        f"{', '.join(recorded) or 'no kernel'} are recorded, on QEMU's max CPU; between them rules are folded from "
        f"dated changes. vCPU features: {features}."
    )


def _first_rows(moves: Table) -> list[dict[str, Any]]:
    names = dict.fromkeys(moves["by"].tolist())
    return [next(moves.where(by=name).rows()) for name in names]


def _table(run: Run) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    names = kernels(run)
    header = ("from, with", *(f"to {name} (modelled)" for name in names))
    rows = []
    for by in dict.fromkeys(run["moves"]["by"].tolist()):
        cells = {(row["source"], row["dest"]): mark(row) for row in run["moves"].where(by=by).rows()}
        rows += [(f"{one}, {vmm_name(by)}", *(cells.get((one, other), "") for other in names)) for one in names]
    return header, rows


def note(run: Run) -> Note:
    """The failures that people reported, asked again."""
    failures = run["failures"]
    n_fail = int((failures["outlook"] == "fails").sum())
    which = f"All {n_fail}" if n_fail == failures.n_row else f"{n_fail} of the {failures.n_row}"
    title = f"{which} failures that people hit are told before the move"
    text = (
        "Each was reported in public and is asked of migrate check here. Two hosts of one kernel can differ as well: "
        "in the CPU (MIDR_EL1, github.com/yunionio/cloudpods, issue 21203) or in the firmware's workarounds "
        "(SMCCC_ARCH_WORKAROUND_3, github.com/firecracker-microvm/firecracker, commit 2551a1e4a). docs/field-log.md "
        "has 53 such reports."
    )
    header = ("failure", "move", "in the way (modelled)", "the VMM prints (modelled)", "what helps", "reported")
    return Note("failures", title, text, header, [_failure(row) for row in failures.rows()])


def _failure(row: dict[str, Any]) -> tuple[str, ...]:
    names = [name for name in row["failing"].split(";") if name]
    way = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
    return (
        row["failure"],
        f"{row['source']} to {row['dest']}, {vmm_name(row['by'])}: {row['outlook']}",
        f"{number_of(len(names), 'register')}: {way}" if names else row["stopped_by"],
        row["error"],
        row["remedy"],
        row["reported"],
    )
