"""A dispatcher that is prepared once for many small batches: what a call costs is deciding it.

`verdicts` hands a kernel some 25 arguments, and each batch pays for what Numba makes of them. Here they are words in a
block, made once for a state of the fleet, and the columns of a batch are read where Python holds them. The kernels are
those of `verdicts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc import kernels
from fastsmc.calls.grouped import AnyCalls
from fastsmc.calls.workload import VCPU_DTYPES, Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.dispatcher.decide import N_WIDE, _Scratch, takes_wide
from fastsmc.dispatcher.kernels import prepared as held_kernels
from fastsmc.dispatcher.kernels.wide import CHUNK
from fastsmc.dispatcher.kernels.wide import decide as wide_decide
from fastsmc.fleet.rows import Rows
from fastsmc.fleet.snapshot import Snapshot
from fastsmc.jit.cache_lines import empty_on_lines
from fastsmc.jit.held import address_of, is_readable, kinds_of, words_of
from fastsmc.kernels import N_CODE
from fastsmc.vm import Fleet

N_HELD = 1 << 14
"""Most calls that are decided in one go, other threads of Python waiting: 10 us, where a thread's turn is 5,000."""
_NO_COUNTS, _SPANS = np.zeros((0, N_CODE), np.uint32), np.empty((-(-N_HELD // CHUNK), 2), np.uint64)
_BYTE = np.dtype(np.uint8)
Used = tuple[np.dtype[Any], bool]
_COLUMNS = {"func_id": np.zeros(0, np.uint32), "conduit": np.zeros(0, np.uint8), "out": np.zeros(0, np.uint8)}
"""The types of the columns that every batch brings; that of its vCPUs varies."""
_scratch = _Scratch()
_room = _scratch.arrays, _scratch.vcpu
"""Memory that the kernels work in, one for all threads: whoever decides has Python's lock."""


def _portable(rows: Rows, vm_of_vcpu: NDArray[np.uint32]) -> tuple[Any, ...]:
    """The arguments of `kernels.decide`, those that a call brings by name."""
    return "func_id", "vcpu", "conduit", *rows.portable, vm_of_vcpu, _NO_COUNTS, True, "out"


def _wide(rows: Rows, vm_of_vcpu: NDArray[np.uint32], dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """The arguments of the `decide` for wide registers, in the same way."""
    scratch, own = _room
    tables = *rows.wide, vm_of_vcpu, _NO_COUNTS, False, _SPANS
    return "func_id", "vcpu", "conduit", *tables, *scratch, own.view(dtype), "out"


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A fleet's tables as a block of words, and the entry that takes it.

    Attributes:
        now: whose tables these are, which keeps them alive.
        used: which kernels have been asked for: of vCPUs of which dtype, and whether it is the one for wide registers.
    """

    now: Snapshot | None
    used: frozenset[Used]
    block: NDArray[np.uint64]
    entry: Callable[..., int]


def _elsewhere(*_: object) -> int:
    """The entry where arrays cannot be read as kernels here read them."""
    return held_kernels.ELSEWHERE


_NOTHING = _Prepared(None, frozenset(), np.zeros(1, np.uint64), _elsewhere)


def _prepare(now: Snapshot, used: frozenset[Used]) -> _Prepared:
    """The block of a state of a fleet, its kernels compiled for vCPUs of these dtypes."""
    if not is_readable():
        return _Prepared(now, used, _NOTHING.block, _elsewhere)
    rows, has_wide = now.rows(), takes_wide(N_HELD)
    parts = []
    for dtype in VCPU_DTYPES:
        portable, columns = _portable(rows, now.vm_of_vcpu), _COLUMNS | {"vcpu": np.zeros(0, dtype)}
        wide = _wide(rows, now.vm_of_vcpu, dtype) if has_wide else portable
        first = [address_of(kernels.decide, portable, columns) if (dtype, False) in used else 0, *words_of(portable)]
        second = [address_of(wide_decide, wide, columns) if (dtype, True) in used else 0, *words_of(wide)]
        parts.append([*first, *second])
    head = [id(np.ndarray), id(None), *(id(np.dtype(kind)) for kind in (np.uint8, np.uint16, np.uint32, np.uint64))]
    head += [N_HELD, N_WIDE if has_wide else N_HELD + 1, 8 * len(first), 8 * len(parts[0])]
    words = [*head, *(word for part in parts for word in part)]
    block = empty_on_lines(len(words), np.uint64)
    block[:] = words
    return _Prepared(now, used, block, held_kernels.entry_of(kinds_of(portable), kinds_of(wide)))


class Dispatcher:
    """Decides many small batches of calls, one after another, by a fleet: `verdicts`, prepared.

    The verdicts are those of `verdicts`, by the same kernels; what each batch costs beside them is a tenth. It follows
    its fleet: a batch that begins after a change of the fleet sees the change, and the tables are made anew then.
    Threads may share a dispatcher. It can be copied and pickled, with its fleet.

    It pays for batches of up to 16,384 calls by `Calls`. It takes larger ones and grouped calls as well, and decides
    them as `verdicts` does.

    >>> from fastsmc import Calls, Fleet, Verdict
    >>> dispatcher = Dispatcher(Fleet.uniform(n_vm=2, n_vcpu=4))
    >>> batches = [Calls.one_each(func_id, n_vcpu=8) for func_id in (0x8400_0000, 0x8400_7FFF)]
    >>> [Verdict(verdict[0]).name for verdict in map(dispatcher.verdicts, batches)]
    ['HANDLED', 'NOT_SUPPORTED']
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._prepared = _NOTHING

    @property
    def fleet(self) -> Fleet:
        """The fleet that it follows."""
        return self._fleet

    def __repr__(self) -> str:
        return f"Dispatcher({self._fleet!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Dispatcher, (self._fleet,)

    def verdicts(self, calls: AnyCalls, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """The verdict of every call: uint8[n_call], smccc.Verdict.

        Args:
            out: filled and returned when given, by the rules of `verdicts`. A new array otherwise, which is yours; to
                make one is a third of what a small batch costs.

        Raises:
            InputError: as `verdicts`: a call by a vCPU the fleet does not have, an `out` of another shape or dtype or
                that shares memory with a column. `out` is as it was.
        """
        ready = self._prepared
        if ready.now is not self._fleet.snapshot():
            ready = self._anew(ready.used)
        if calls.__class__ is Calls and calls.x3 is None:
            verdict = np.empty(len(calls.vcpu), _BYTE) if out is None else out
            done = ready.entry(ready.block, calls.func_id, calls.vcpu, calls.conduit, calls.x1, calls.x2, verdict)
            if not done:
                return verdict
            if done == held_kernels.UNPREPARED:
                self._anew(ready.used | {(calls.vcpu.dtype, takes_wide(len(calls)))})
                return self.verdicts(calls, out)
        return verdicts(self._fleet, calls, out)

    def _anew(self, used: frozenset[Used]) -> _Prepared:
        """Prepares it for the fleet as it is now."""
        self._prepared = prepared = _prepare(self._fleet.snapshot(), used)
        return prepared
