"""What a sweep computes a cell of, a scenario or a planner's question: all that grid and engines know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from fastsmc.files.limits import Kind
from fastsmc.scenario.toml_lines import Path as KeyPath
from fastsmc.sweeping.record import Record

Word = Literal["scenario", "question"]


class NamedFile(NamedTuple):
    """A file that a subject's table names.

    Attributes:
        path: where the table names it. name: as it is written there.
        kind: what it is, which says how much of it is taken.
    """

    path: KeyPath
    name: str
    kind: Kind


class Subject(Protocol):
    """What a cell is computed of. It holds no cell, and nothing that a cell's table does not say.

    Attributes:
        word: what a design and its JSON call it.
        has_seed: whether a cell draws random numbers, so that repeats differ.
        has_histograms: whether a cell keeps histograms of times.
        fixed: keys of its table that no axis varies.
        most_bytes: of one of its files, unpacked.
        default: names of measures that are kept where none are asked for.
    """

    word: Word
    has_seed: bool
    has_histograms: bool
    fixed: tuple[str, ...]
    most_bytes: int
    default: tuple[str, ...]

    def named_files(self, table: Mapping[str, Any]) -> Iterator[NamedFile]:
        """The files that a table reads."""

    def measures(self, asked: object) -> tuple[str, ...]:
        """The measures, each known, none given twice.

        Raises:
            InputError: one is not, or there is none.
        """

    def attributes(self, measure: str) -> Mapping[str, str]:
        """What a measure says of itself: its kind, and its unit and meaning if it has some."""

    def check(self, table: dict[str, Any], name: str, places: Mapping[str, str]) -> None:
        """Reads a cell's table without computing it.

        Args:
            places: the path of each file by the name that the table has for it.

        Raises:
            InputError: what is wrong with it.
        """

    def computed(
        self, table: dict[str, Any], name: str, places: Mapping[str, str], measures: tuple[str, ...]
    ) -> Record:
        """A cell of that table; `places` as for `check`.

        Raises:
            FastsmcError: why there is no answer.
        """

    def warm_up(self, table: dict[str, Any], name: str, places: Mapping[str, str]) -> None:
        """Compiles what a cell of that table needs.

        Raises:
            FastsmcError: as `computed`.
        """

    def told(self, table: Mapping[str, Any], name: str) -> dict[str, Any]:
        """What is swept, as a sweep's JSON begins."""


class Base(NamedTuple):
    """What is swept, without any value of the grid.

    Attributes:
        seed: of the first repeat, where the sweep is given none.
        folder: of its file; what it names is there.
        held: content of files that it has without a folder, by name.
    """

    subject: Subject
    name: str
    table: dict[str, Any]
    seed: int
    folder: Path
    held: Mapping[str, bytes]
