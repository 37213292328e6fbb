"""Every known release against every other: which directions pass, and what stands in the way where they do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsmc.facts.versions import LAST_MINOR, NEWEST, OLDEST
from fastsmc.facts.vmm_versions import VmmVersion
from fastsmc.facts.vmms import Vmm
from fastsmc.migrate.compat.check import direction
from fastsmc.migrate.compat.named import by_release, normal_features
from fastsmc.migrate.compat.result import Direction, Outlook, SideBasis
from fastsmc.migrate.compat.side import paired
from fastsmc.migrate.compat.vmms import RULES, assumed
from fastsmc.progress import Progress, silent
from fastsmc.results.layout import drawn, number, words
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFUSED = "no"
"""How a direction is marked where the VMM, or a kernel, refuses such a vCPU before a register is written."""

UNKNOWN = "?"
"""How a direction is marked of which it cannot be known whether it restores."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One direction of the matrix.

    Attributes:
        failing: names of the registers in the way.
        gains, loses: names of the functions that the guest gains and loses.
    """

    source: str
    dest: str
    source_basis: SideBasis
    dest_basis: SideBasis
    outlook: Outlook
    n_failing: int
    n_unjudged: int
    failing: tuple[str, ...]
    gains: tuple[str, ...]
    loses: tuple[str, ...]

    @property
    def mark(self) -> str:
        """The direction in one word: "ok" restores, "?" unknown, or how many registers are in the way."""
        if self.outlook is Outlook.FAILS:
            return str(self.n_failing) if self.n_failing else REFUSED
        return UNKNOWN if self.outlook is Outlook.UNKNOWN else "ok"

    def __repr__(self) -> str:
        return f"Cell({self.source!r} to {self.dest!r}, {self.mark!r})"


@dataclass(frozen=True, slots=True)
class Matrix:
    """All directions between releases.

    Attributes:
        releases: names, oldest first.
        version: the VMM's version; "" where its versions are not told apart.
        cells: row by row, from each release to every one.
        vmm_notes: what must be known of a VMM that is a vendor's build, one sentence each.
    """

    releases: tuple[str, ...]
    features: str
    vmm: Vmm
    version: str
    cells: tuple[Cell, ...]
    vmm_notes: tuple[str, ...] = ()

    @property
    def by(self) -> str:
        """The VMM and its version: "qemu 11.1"."""
        return f"{self.vmm} {self.version}".rstrip()

    @property
    def n_fails(self) -> int:
        """Directions that fail."""
        return sum(cell.outlook is Outlook.FAILS for cell in self.cells)

    @property
    def n_unknown(self) -> int:
        """Directions of which it cannot be known whether they restore."""
        return sum(cell.outlook is Outlook.UNKNOWN for cell in self.cells)

    def rows(self) -> Iterator[tuple[Cell, ...]]:
        """The cells of each source, one tuple per source."""
        n = len(self.releases)
        return (self.cells[first : first + n] for first in range(0, n * n, n))

    @property
    def answer(self) -> str:
        """One sentence: how many directions fail, and of how many it cannot be known."""
        unknown = f", {self.n_unknown} cannot be known" if self.n_unknown else ""
        return f"{self.by}: {self.n_fails} of {len(self.cells)} directions between kernels fail{unknown} (modelled)"

    def table(self) -> Table:
        """A row per direction."""
        return table_of_rows("A row per direction.", self._told(), "modelled")

    def numbers(self) -> dict[str, list[float | None]]:
        """Counts of directions, for thresholds."""
        n = len(self.cells)
        return {"failing": [self.n_fails], "unknown": [self.n_unknown], "directions": [n]}

    def _told(self) -> list[dict[str, Any]]:
        return [
            {
                "source": cell.source,
                "dest": cell.dest,
                "vmm": self.vmm.value,
                "features": self.features,
                "source_basis": cell.source_basis.value,
                "dest_basis": cell.dest_basis.value,
                "verdict": cell.outlook.value,
                "n_failing": cell.n_failing,
                "n_unjudged": cell.n_unjudged,
                "failing": ";".join(cell.failing),
                "guest_gains": ";".join(cell.gains),
                "guest_loses": ";".join(cell.loses),
            }
            for cell in self.cells
        ]

    def as_dict(self) -> dict[str, Any]:
        """All directions as plain values."""
        head = {"kind": "modelled", "vmm": self.vmm, "vmm_version": self.version or None, "features": self.features}
        return {**head, "vmm_notes": list(self.vmm_notes), "releases": list(self.releases), "directions": self._told()}

    def grouped(self) -> tuple[list[str], list[list[Cell]]]:
        """Names of groups of like releases, and a cell for each pair: of a group with itself, the worst one."""
        like = groups(self)
        names = [group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}" for group in like]
        by_name = {(cell.source, cell.dest): cell for cell in self.cells}

        def cell(one: tuple[str, ...], other: tuple[str, ...]) -> Cell:
            if one is not other:
                return by_name[one[0], other[0]]
            return max((by_name[pair] for pair in product(one, one)), key=lambda each: _WORSE[each.outlook])

        return names, [[cell(one, other) for other in like] for one in like]

    def figure(self) -> Figure:
        """A map of the directions between groups of releases: which restore, and how many registers are in the way."""
        from fastsmc.reporting.directions import picture

        names, cells = self.grouped()
        unknown = f", {self.n_unknown} cannot be known" if self.n_unknown else ""
        what = f"{self.n_fails} of {len(self.cells)} directions between kernels fail{unknown}"
        return picture(
            names,
            np.array([[cell.mark for cell in row] for row in cells], np.str_),
            np.array([[cell.n_failing for cell in row] for row in cells], np.int64),
            title=f"{self.by}: {what} (vCPUs with {self.features})",
        )

    def __repr__(self) -> str:
        counts = f"{self.n_fails} directions fail, {self.n_unknown} unknown"
        return f"Matrix({len(self.releases)} releases, {self.by}, {self.features}, {counts})"

    def __str__(self) -> str:
        names, cells = self.grouped()
        what = "registers in the way, source down, destination across (modelled)"
        lines = [self.answer, f"{self.by}, vCPUs with {self.features}: {what}"]
        lines += drawn(
            [words("source"), *(number(name.partition(" ")[0]) for name in names)],
            [(name, *(cell.mark for cell in row)) for name, row in zip(names, cells, strict=True)],
        )
        lines += [f"ok: restores; {UNKNOWN}: cannot be known; releases that behave alike share a line"]
        if any(cell.mark == REFUSED for row in cells for cell in row):
            lines += [f"{REFUSED}: {self.by}, or a kernel, refuses such a vCPU at its start"]
        lines += [f"note: {note}" for note in self.vmm_notes]
        return "\n".join(lines)


def known_releases() -> tuple[str, ...]:
    """Every series about whose kernel something is known, oldest first.

    >>> known_releases()[:2], known_releases()[-1], len(known_releases())
    (('5.10', '5.11'), '7.3', 34)
    """
    found = []
    for major in range(OLDEST[0], NEWEST[0] + 1):
        first = OLDEST[1] if major == OLDEST[0] else 0
        last = NEWEST[1] if major == NEWEST[0] else LAST_MINOR[major]
        found += [f"{major}.{minor}" for minor in range(first, last + 1)]
    return tuple(found)


def matrix(
    releases: Sequence[str] | None = None,
    *,
    features: str | None = None,
    vmm: Vmm | str = Vmm.QEMU,
    progress: Progress = silent,
) -> Matrix:
    """Every release checked against every other, as `check` does it (modelled).

    Args:
        releases: names; all known ones by default.
        features: of the vCPUs on both sides; those that `check` assumes by default.

    Raises:
        InputError: an unknown release, feature or VMM.
    """
    by = VmmVersion.of(vmm, tuple(RULES))
    names = tuple(releases) if releases is not None else known_releases()
    wanted = normal_features(features or assumed(by)[0])
    sides = {name: by_release(name, wanted) for name in names}
    cells = []
    for done, (one, other) in enumerate(product(names, names)):
        if done % len(names) == 0:
            progress(f"from {one}", done, len(names) ** 2)
        source, dest = paired(sides[one], sides[other])
        cells.append(_cell(one, other, source.basis, dest.basis, direction(source, dest, by)))
    return Matrix(names, wanted, by.vmm, by.version, tuple(cells), by.notes)


def _cell(one: str, other: str, source_basis: SideBasis, dest_basis: SideBasis, found: Direction) -> Cell:
    changes = {caution.kind: caution.names for caution in found.cautions}
    return Cell(
        one,
        other,
        source_basis,
        dest_basis,
        found.outlook,
        len(found.failing),
        len(found.unjudged),
        tuple(fate.name for fate in found.failing),
        changes.get("gains", ()),
        changes.get("loses", ()),
    )


def groups(matrix: Matrix) -> tuple[tuple[str, ...], ...]:
    """Neighbouring releases that behave alike towards all others, so that one line of a table tells all of them."""
    n = len(matrix.releases)
    looks = [[(cell.outlook, cell.n_failing) for cell in row] for row in matrix.rows()]
    found: list[list[int]] = []
    for k in range(n):
        group = found[-1] if found else []
        others = [m for m in range(n) if m not in group and m != k]
        if group and all(
            looks[k][m] == looks[group[0]][m] and looks[m][k] == looks[m][group[0]] and _is_alike(looks, group, k)
            for m in others
        ):
            group.append(k)
        else:
            found.append([k])
    return tuple(tuple(matrix.releases[k] for k in group) for group in found)


_Looks = list[list[tuple[Outlook, int]]]


def _is_alike(looks: _Looks, group: Sequence[int], k: int) -> bool:
    """Whether no direction between a release and those of a group fails."""
    return not any(looks[one][other][0] is Outlook.FAILS for m in group for one, other in ((k, m), (m, k)))


_WORSE = {Outlook.RESTORES: 0, Outlook.UNKNOWN: 1, Outlook.FAILS: 2}
