"""What engines have in common: which cells are to be computed, and how many at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

from fastsmc.sweeping.cell import Prepared
from fastsmc.sweeping.design import Design
from fastsmc.sweeping.record import Outcome

_MOST_BATCH = 1000
MOST_DEATHS = 3
"""Workers that may end while they compute one cell before it counts as failed."""


def here(design: Design, cells: list[int]) -> Iterator[list[Outcome]]:
    """Computes cells in this process, one after another."""
    ready = Prepared(design)
    for cell in cells:
        yield [ready.outcome(cell)]


def some_of(cells: list[int]) -> list[int]:
    """The first, the middle and the last cell. Kernels are compiled for these before any is computed: were it left to
    workers, each would compile the same for as long."""
    return list(dict.fromkeys((cells[0], cells[len(cells) // 2], cells[-1])))


class Queue:
    """Cells that wait, and how many make a batch: as many as are computed in a given time.

    Args:
        batch_s: seconds that a batch should take. n_worker: workers that compute at once.
    """

    def __init__(self, cells: Iterable[int], *, batch_s: float, n_worker: int) -> None:
        self._waiting = deque(cells)
        self._batch_s, self._n_worker = batch_s, n_worker
        self._n_done, self._begun = 0, 0.0
        self._deaths: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def note_done(self, n: int) -> None:
        """So many cells were computed."""
        self._n_done += n

    @property
    def size(self) -> int:
        """How many cells make a batch now: few at first and at the end, so that no worker waits for another."""
        size = 1
        if self._n_done:
            cell_s = (time.monotonic() - self._begun) * self._n_worker / self._n_done
            size = int(self._batch_s / max(cell_s, 1e-6))
        return max(min(size, len(self._waiting) // (2 * self._n_worker), _MOST_BATCH), 1)

    def batch(self) -> list[int]:
        """The next cells."""
        self._begun = self._begun or time.monotonic()
        return [self._waiting.popleft() for _ in range(min(self.size, len(self._waiting)))]

    def died(self, cells: list[int]) -> list[int]:
        """Takes back what a worker had when it ended; gives the cell that may have ended it, if that is its third."""
        back, lost = list(cells), []
        if back:
            self._deaths[back[0]] = self._deaths.get(back[0], 0) + 1
            if self._deaths[back[0]] >= MOST_DEATHS:
                lost = [back.pop(0)]
        self._waiting.extendleft(reversed(back))
        return lost
