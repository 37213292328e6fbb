"""`Problems`: everything that is wrong with an inventory or unknown in it, each with its place and a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from fastsmc.checks import shown
from fastsmc.errors import CheckError, UnknownError
from fastsmc.plan.inventory.tables import Told
from fastsmc.plan.inventory.words import Severity
from fastsmc.results.layout import drawn, number, words
from fastsmc.results.tables import Column, Table

_SHOWN = 20
"""Kinds of problems that are printed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One value that is wrong, or unknown.

    Attributes:
        severity: "wrong" has to be mended; "unknown" may be right, and nothing can be said about it.
        file: the name of the file, or "hosts" or "vms" where there is none.
        row: of the table, from 0.
        line: of the file, from 1; None where it has none.
        value: as it is there.
        what: what is not right about it.
        remedy: what would be right.
    """

    severity: Severity
    file: str
    row: int
    line: int | None
    column: str
    value: str
    what: str
    remedy: str

    def __str__(self) -> str:
        place = f"row {self.row}" if self.line is None else f"line {self.line}"
        return f"{self.file} {place}, {self.column} {shown(self.value)}: {self.what}; {self.remedy}"


class Group(NamedTuple):
    """Problems of one kind.

    Attributes:
        table: "hosts" or "vms".
        rows: int64[n].
        texts: the value of each; () where it is what the column holds.
    """

    severity: Severity
    table: str
    column: str
    what: str
    remedy: str
    rows: NDArray[np.int64]
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Problems(Sequence[Problem]):
    """All problems of an inventory, in the order of its tables, their kinds and rows.

    Attributes:
        tables: the hosts and the VMs.
        groups: the problems of one kind each, most first, those that are wrong before those that are unknown.
        untold: of how many rows a column says nothing, by "hosts.kernel"; none of those that are told everywhere.
        overcommitted: hosts with more vCPUs than cores, and the most vCPUs per core, of those that tell their cores.
    """

    tables: Mapping[str, Told]
    groups: tuple[Group, ...]
    untold: Mapping[str, int]
    overcommitted: tuple[int, float]

    def __len__(self) -> int:
        return sum(len(group.rows) for group in self.groups)

    @overload
    def __getitem__(self, at: int) -> Problem: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Problem, ...]: ...

    def __getitem__(self, at: int | slice) -> Problem | tuple[Problem, ...]:
        return self._all[at]

    def __iter__(self) -> Iterator[Problem]:
        for group in self.groups:
            yield from (self._problem(group, number) for number in range(len(group.rows)))

    @cached_property
    def _all(self) -> tuple[Problem, ...]:
        return tuple(self)

    def _problem(self, group: Group, number: int) -> Problem:
        table = self.tables[group.table]
        row = int(group.rows[number])
        line = None if table.lines is None else int(table.lines[row])
        value = group.texts[number] if group.texts else str(table.columns[group.column][row])
        severity, _, column, what, remedy, *_ = group
        return Problem(severity, table.file, row, line, column, value, what, remedy)

    @property
    def n_wrong(self) -> int:
        """Values that are wrong."""
        return sum(len(group.rows) for group in self.groups if group.severity == "wrong")

    @property
    def n_unknown(self) -> int:
        """Values of which nothing is known."""
        return len(self) - self.n_wrong

    @property
    def exit_code(self) -> int:
        """4 where something is wrong, 5 where something is unknown and nothing wrong, 0 otherwise."""
        return CheckError.exit_code if self.n_wrong else UnknownError.exit_code if self.groups else 0

    @property
    def answer(self) -> str:
        """One sentence: how many values are wrong, and how many unknown."""
        return self._head

    def numbers(self) -> dict[str, list[float | None]]:
        """Counts of values, for thresholds."""
        return {"wrong": [self.n_wrong], "unknown": [self.n_unknown]}

    @property
    def table(self) -> Table:
        """One row per problem. Rows count from 0, and a line is 0 where a file has none."""
        columns = {
            name: Column.of([getattr(one, name) or 0 for one in self._all], "input")
            if name in ("row", "line")
            else Column.of([getattr(one, name) for one in self._all])
            for name in Problem.__slots__
        }
        return Table("a value of an inventory that is wrong, or unknown", columns)

    def as_dict(self) -> dict[str, Any]:
        """The problems as plain values."""
        return {
            "hosts": len(self.tables["hosts"].columns["name"]),
            "vms": len(self.tables["vms"].columns["name"]),
            "wrong": self.n_wrong,
            "unknown": self.n_unknown,
            "untold": dict(self.untold),
            "overcommitted": {"hosts": self.overcommitted[0], "vcpus_per_core": self.overcommitted[1]},
            "problems": [{name: getattr(one, name) for name in Problem.__slots__} for one in self],
        }

    @property
    def _head(self) -> str:
        hosts, vms = (
            f"{len(self.tables[name].columns['name']):,} {word}{'s' * (len(self.tables[name].columns['name']) != 1)}"
            for name, word in (("hosts", "host"), ("vms", "VM"))
        )
        found = "nothing wrong" if not self.n_wrong else f"{self.n_wrong:,} wrong"
        return f"{found}, {self.n_unknown:,} unknown in {hosts} and {vms}"

    def __repr__(self) -> str:
        return f"<Problems: {self._head}>"

    def __str__(self) -> str:
        lines = [self._head]
        if self.groups:
            heads = (words("severity"), number("rows"), words("the first of them"))
            told = [(group.severity, len(group.rows), self._problem(group, 0)) for group in self.groups[:_SHOWN]]
            lines += drawn(heads, told, indent="  ")
        if len(self.groups) > _SHOWN:
            n_more = sum(len(group.rows) for group in self.groups[_SHOWN:])
            lines.append(f"  and {n_more:,} more of {len(self.groups) - _SHOWN:,} kinds: --json tells all of them")
        if self.untold:
            lines.append(f"not told: {', '.join(f'{name} of {n:,}' for name, n in self.untold.items())}")
        n_host, most = self.overcommitted
        if n_host:
            lines.append(f"more vCPUs than cores: {n_host:,} host{'s' * (n_host != 1)}, up to {most:.1f} a core")
        return "\n".join(lines)
