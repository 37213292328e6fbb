"""One cell computed: the same bytes in whichever process, on whichever machine. No process opens a file for it."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from fastsmc.checks import shown
from fastsmc.errors import FastsmcError
from fastsmc.latency import simulate
from fastsmc.scenario import Scenario
from fastsmc.scenario.overrides import put
from fastsmc.sweeping.design import Design, named_files, unpacked
from fastsmc.sweeping.measures import measured
from fastsmc.sweeping.record import Outcome, packed

_MOST_TOLD = 2000
"""Characters of a failed cell's message that are kept."""


class Prepared:
    """A design made ready to compute cells of. What its cells have in common is read and remembered once."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self._places: dict[str, str] = {}
        self._held: list[int] = []
        for name, content in design.files.items():
            # A file without a name, which the kernel drops however the process ends.
            held = os.memfd_create("fastsmc")
            self._held.append(held)
            with os.fdopen(os.dup(held), "wb") as file:
                file.write(unpacked(content))
            self._places[name] = f"/proc/self/fd/{held}"

    def __del__(self) -> None:
        for held in self._held:
            os.close(held)

    def outcome(self, cell: int) -> Outcome:
        """What comes of a cell; one that fails says why, and nothing else fails with it."""
        try:
            done = simulate(self._scenario(cell))
            return Outcome(cell, True, packed(*measured(done, self.design.measures)))
        except FastsmcError as error:
            return failed(cell, self._named(str(error)))
        except MemoryError as error:
            return failed(cell, f"not enough memory: {str(error) or 'ask for less'}")
        except Exception as error:  # one bad cell must not cost the others
            return failed(cell, f"internal error: {type(error).__name__}: {shown(str(error))}")

    def warm_up(self, cell: int) -> None:
        """Compiles what a cell needs, or finds it compiled: its kernels run for one call of each vCPU."""
        try:
            simulate(replace(self._scenario(cell), calls=1, warmup=0))
        except (FastsmcError, MemoryError):
            return  # the cell itself will say so

    def _scenario(self, cell: int) -> Scenario:
        table = self.design.cell_table(cell)
        for path, name in list(named_files(table)) if self._places else ():
            table = put(table, path, self._places.get(name, name))
        return Scenario.of(table, name=self.design.name, folder=Path(), text="")

    def _named(self, text: str) -> str:
        for name, place in self._places.items():
            text = text.replace(place, name)
        return text


def failed(cell: int, message: str) -> Outcome:
    """The outcome of a cell that failed."""
    return Outcome(cell, False, message[:_MOST_TOLD].encode())


@lru_cache(4)
def prepared(parts: tuple[tuple[str, str], ...]) -> Prepared:
    """A design of parts made ready, once per process for the last few designs."""
    return Prepared(Design.from_parts(dict(parts)))
