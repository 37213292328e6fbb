"""One cell computed: the same bytes in whichever process, on whichever machine. No process opens a file for it."""

from __future__ import annotations

from functools import lru_cache

from fastsmc.checks import shown
from fastsmc.errors import FastsmcError
from fastsmc.sweeping.design import Design
from fastsmc.sweeping.held import Held
from fastsmc.sweeping.record import Outcome, packed

_MOST_TOLD = 2000
"""Characters of a failed cell's message that are kept."""


class Prepared:
    """A design made ready to compute cells of. What its cells have in common is read and remembered once."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self._held = Held(design.files, design.subject.most_bytes)

    def outcome(self, cell: int) -> Outcome:
        """What comes of a cell; one that fails says why, and nothing else fails with it."""
        design = self.design
        try:
            table = design.cell_table(cell)
            return Outcome(
                cell, True, packed(design.subject.computed(table, design.name, self._held.places, design.measures))
            )
        except FastsmcError as error:
            return failed(cell, self._held.named(str(error)))
        except MemoryError as error:
            return failed(cell, f"not enough memory: {str(error) or 'ask for less'}")
        except Exception as error:  # one bad cell must not cost the others
            return failed(cell, f"internal error: {type(error).__name__}: {shown(str(error))}")

    def warm_up(self, cell: int) -> None:
        """Compiles what a cell needs, or finds it compiled."""
        design = self.design
        try:
            design.subject.warm_up(design.cell_table(cell), design.name, self._held.places)
        except (FastsmcError, MemoryError):
            return  # the cell itself will say so


def failed(cell: int, message: str) -> Outcome:
    """The outcome of a cell that failed."""
    return Outcome(cell, False, message[:_MOST_TOLD].encode())


@lru_cache(4)
def prepared(parts: tuple[tuple[str, str], ...]) -> Prepared:
    """A design of parts made ready, once per process for the last few designs."""
    return Prepared(Design.from_parts(dict(parts)))
