"""Every known release against every other: which directions pass, and what stands in the way where they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from fastsmc.facts.releases import NEWEST, OLDEST
from fastsmc.migrate.compat.check import direction, vmm_of
from fastsmc.migrate.compat.named import by_release, normal_features
from fastsmc.migrate.compat.result import Basis, Direction, Verdict, Vmm
from fastsmc.migrate.compat.side import paired

_LAST_OF_MAJOR = {5: 19, 6: 19}
"""Last minor number of each major version that is over. Source: kernel.org."""

COLUMNS = (
    *("source", "dest", "vmm", "features", "source_basis", "dest_basis", "verdict", "n_failing", "n_unjudged"),
    *("failing", "guest_gains", "guest_loses"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One direction of the matrix.

    Attributes:
        failing, gains, loses: names of registers, and of functions that the guest gains and loses.
    """

    source: str
    dest: str
    source_basis: Basis
    dest_basis: Basis
    verdict: Verdict
    n_failing: int
    n_unjudged: int
    failing: tuple[str, ...]
    gains: tuple[str, ...]
    loses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """All directions between releases.

    Attributes:
        releases: oldest first. cells: row by row, from each release to every one.
    """

    releases: tuple[str, ...]
    features: str
    vmm: Vmm
    cells: tuple[Cell, ...]

    def rows(self) -> Iterator[tuple[Cell, ...]]:
        """The cells of each source."""
        n = len(self.releases)
        return (self.cells[first : first + n] for first in range(0, n * n, n))

    def table(self) -> Iterator[tuple[object, ...]]:
        """One tuple per direction, as COLUMNS names them."""
        for cell in self.cells:
            yield (
                *(cell.source, cell.dest, self.vmm.value, self.features),
                *(cell.source_basis.value, cell.dest_basis.value, cell.verdict.value, cell.n_failing, cell.n_unjudged),
                *(";".join(names) for names in (cell.failing, cell.gains, cell.loses)),
            )


def known_releases() -> tuple[str, ...]:
    """Every series about whose kernel something is known, oldest first.

    >>> known_releases()[:2], known_releases()[-1], len(known_releases())
    (('5.10', '5.11'), '7.3', 34)
    """
    found = []
    for major in range(OLDEST[0], NEWEST[0] + 1):
        first = OLDEST[1] if major == OLDEST[0] else 0
        last = NEWEST[1] if major == NEWEST[0] else _LAST_OF_MAJOR[major]
        found += [f"{major}.{minor}" for minor in range(first, last + 1)]
    return tuple(found)


def migration_matrix(
    releases: Sequence[str] | None = None,
    *,
    features: str = "psci02",
    vmm: Vmm | str = Vmm.QEMU,
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Matrix:
    """Checks every release against every other, as `check_migration` does. Modelled.

    Args:
        releases: names; all known ones by default.
        features: of the vCPUs on both sides.

    Raises:
        InputError: an unknown release, feature or VMM.
    """
    vmm = vmm_of(vmm)
    names = tuple(releases) if releases is not None else known_releases()
    wanted = normal_features(features)
    sides = {name: by_release(name, wanted) for name in names}
    cells = []
    for done, (one, other) in enumerate(product(names, names)):
        if done % len(names) == 0:
            progress(f"from {one}", done, len(names) ** 2)
        source, dest = paired(sides[one], sides[other])
        cells.append(_cell(one, other, source.basis, dest.basis, direction(source, dest, vmm)))
    return Matrix(names, wanted, vmm, tuple(cells))


def _cell(one: str, other: str, source_basis: Basis, dest_basis: Basis, found: Direction) -> Cell:
    changes = {warning.kind: warning.names for warning in found.warnings}
    return Cell(
        one,
        other,
        source_basis,
        dest_basis,
        found.verdict,
        len(found.failing),
        len(found.unjudged),
        tuple(fate.name for fate in found.failing),
        changes.get("gains", ()),
        changes.get("loses", ()),
    )


def groups(matrix: Matrix) -> tuple[tuple[str, ...], ...]:
    """Neighbouring releases whose rows and columns are alike, so that one line of a table tells all of them."""
    n = len(matrix.releases)
    looks = [[(cell.verdict, cell.n_failing) for cell in row] for row in matrix.rows()]
    found: list[list[int]] = []
    for k in range(n):
        last = found[-1][0] if found else None
        if last is not None and looks[k] == looks[last] and all(row[k] == row[last] for row in looks):
            found[-1].append(k)
        else:
            found.append([k])
    return tuple(tuple(matrix.releases[k] for k in group) for group in found)
