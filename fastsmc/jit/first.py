"""The first work of a process, which is done without kernels: to compile one, or to load it, would take longer.

To compile the kernels of dispatch takes seconds, and to load what an earlier process compiled tenths of one. NumPy
decides a hundred thousand calls in some milliseconds. So a process begins without kernels. It takes the kept ones as
soon as it has done so much that it could have loaded them, and compiles when it has done so much more that it is in
earnest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastsmc.jit.compiled import load_kept

LOADING, COMPILING = 1 << 18, 1 << 22
"""So many calls are decided before kernels are looked for on disk, and before they are compiled. NumPy takes some 10 to
25 ns a call, so that is a few ms and some 0.1 s; to load takes 0.2 to 0.3 s of CPU, and to compile 3 to 10."""
BATCH = 1 << 11
"""What a batch costs NumPy, whatever its size, as a number of calls."""


@dataclass(slots=True)
class FirstWork:
    """What has been done without kernels.

    Threads may share one: the worst that may come of a race is that a batch is counted once instead of twice.

    Attributes:
        at_once: kernels are loaded, or compiled, for the first call already.
        done: calls, and BATCH for each batch.
    """

    at_once: bool
    done: int = 0


first_work = FirstWork(at_once=os.environ.get("FASTSMC_JIT_AT_ONCE", "0") == "1")
"""That of this process. FASTSMC_JIT_AT_ONCE=1 in its environment has it take kernels for the first call."""


def take_kernels_at_once() -> None:
    """From here on kernels work from the first call on: for whoever times them, or tests them."""
    first_work.at_once = True


class Awaited:
    """A kernel that first work does without.

    Attributes:
        ready: bytes of an index of a vCPU, or of whatever else the kernel is compiled anew for, for which it is there.
            A caller looks here first, because a call of the method takes a tenth of what the smallest batch does.
    """

    __slots__ = ("_absent", "kernel", "ready")

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.ready: set[int] = set()
        self._absent: set[int] = set()

    def is_due(self, itemsize: int, n_call: int, arguments: Sequence[Any]) -> bool:
        """Whether the kernel is to do so many calls; if not, they count as work that was done without it.

        Args:
            arguments: what the kernel would be called with.
        """
        if itemsize not in self.ready and not self._is_wanted(itemsize, n_call, arguments):
            return False
        self.ready.add(itemsize)
        return True

    def _is_wanted(self, itemsize: int, n_call: int, arguments: Sequence[Any]) -> bool:
        if first_work.at_once:
            return True
        done = first_work.done + n_call + BATCH
        if done > LOADING and itemsize not in self._absent:
            if load_kept(self.kernel, arguments):
                return True
            self._absent.add(itemsize)
        if done > COMPILING:
            return True
        first_work.done = done
        return False
