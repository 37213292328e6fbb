"""A dispatcher that is prepared once for many small batches: what a batch costs is little more than deciding it.

`verdicts` hands a kernel some 25 arguments, and Numba makes something of each for every batch. Here they are words in
a block, made once for a state of the fleet, and the columns of a batch are read where Python holds them. The kernels
are those of `verdicts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc import kernels
from fastsmc.calls.grouped import AnyCalls
from fastsmc.calls.workload import VCPU_DTYPES, Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.dispatcher.decide import N_VECTORS, _Scratch, takes_vectors
from fastsmc.dispatcher.kernels import narrow, wide
from fastsmc.dispatcher.kernels.passes import CHUNK
from fastsmc.dispatcher.kernels.prepared import ELSEWHERE, UNPREPARED, entry_of
from fastsmc.fleet.snapshot import Snapshot
from fastsmc.jit.cache_lines import empty_on_lines
from fastsmc.jit.held import address_of, is_readable, kinds_of, n_word, words_of
from fastsmc.jit.level import HAS_WIDE
from fastsmc.kernels import N_CODE
from fastsmc.vm import Fleet

N_HELD = 1 << 14
"""Most calls that are decided while other threads of Python wait: some 10 µs, where the turn of a thread is 5,000."""
_BYTE = np.dtype(np.uint8)
_NO_COUNTS, _SPANS = np.zeros((0, N_CODE), np.uint32), np.empty((-(-N_HELD // CHUNK), 2), np.uint64)
_SCRATCH = vars(_Scratch())
"""Memory that kernels work in. One is enough for all threads, because one at a time has Python's lock."""
_COLUMNS = {"func_id": np.zeros(0, np.uint32), "conduit": np.zeros(0, np.uint8), "out": np.zeros(0, np.uint8)}
"""Of which types the columns of a batch are; that of its vCPUs varies."""


class _Kernel(NamedTuple):
    """A kernel that decides, and its arguments: tables, and by name what each batch brings."""

    function: Any
    arguments: tuple[Any, ...]


def _kernels(now: Snapshot, dtype: np.dtype[Any]) -> tuple[_Kernel, _Kernel]:
    """What decides fewer than N_VECTORS calls by vCPUs of a dtype, and what decides more (`decide.decide_columns`).

    Both look at all vCPUs before they write, so that an `out` is filled whole or not at all.
    """
    rows, columns = now.rows(), ("func_id", "vcpu", "conduit")
    few = _Kernel(
        kernels.decide, (*columns, *rows.portable, now.vm_of_vcpu, _NO_COUNTS, True, _SCRATCH["arrays"][1], "out")
    )
    if not takes_vectors(N_HELD):
        return few, few
    work = (_SPANS, *_SCRATCH["arrays"], _SCRATCH["vcpu"].view(dtype), "out")
    if not HAS_WIDE:
        return few, _Kernel(narrow.decide, (*columns, *rows.narrow, now.vm_of_vcpu, _NO_COUNTS, *work))
    streams = False
    return few, _Kernel(wide.decide, (*columns, *rows.wide, now.vm_of_vcpu, _NO_COUNTS, streams, *work))


Used = frozenset[tuple[np.dtype[Any], bool]]
"""Which kernels have been asked for: by vCPUs of which dtype, and whether it is the second one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A state of a fleet as a block of words, and the entry that takes it.

    Attributes:
        kept: the arrays whose addresses are in the block.
    """

    now: Snapshot | None
    used: Used
    kept: list[_Kernel]
    block: NDArray[np.uint64]
    entry: Callable[..., int]


def _elsewhere(*_: object) -> int:
    """The entry where arrays cannot be read in place."""
    return ELSEWHERE


_NOTHING = _Prepared(None, frozenset(), [], np.zeros(1, np.uint64), _elsewhere)


def _prepare(now: Snapshot, used: Used) -> _Prepared:
    """The block of a state of a fleet, with the kernels that are used, compiled if they were not."""
    if not is_readable():
        return _Prepared(now, used, [], _NOTHING.block, _elsewhere)
    kept: list[_Kernel] = []
    words: list[int] = []
    for dtype in VCPU_DTYPES:
        both, columns = _kernels(now, dtype), _COLUMNS | {"vcpu": np.zeros(0, dtype)}
        for is_second, (function, arguments) in enumerate(both):
            if (dtype, bool(is_second)) in used:
                words += [address_of(function, arguments, columns), *words_of(arguments)]
            else:
                words += [0] * (1 + n_word(arguments))
        kept += both
    few, many = kept[-2:]
    dtypes = [id(np.dtype(kind)) for kind in (np.uint8, np.uint16, np.uint32, np.uint64)]
    n_few, n_part = 1 + n_word(few.arguments), len(words) // len(VCPU_DTYPES)
    n_second = N_VECTORS if takes_vectors(N_HELD) else N_HELD + 1
    head = [id(np.ndarray), id(None), *dtypes, N_HELD, n_second, 8 * n_few, 8 * n_part]
    block = empty_on_lines(len(head) + len(words), np.uint64)
    block[:] = head + words
    return _Prepared(now, used, kept, block, entry_of(kinds_of(few.arguments), kinds_of(many.arguments)))


class Dispatcher:
    """Decides many small batches of calls, one after another, by a fleet: `verdicts`, prepared.

    The verdicts are those of `verdicts`, by the same kernels; what a batch costs beside them is a tenth. It follows its
    fleet: a batch that begins after a change of the fleet sees the change. Threads may share a dispatcher. It can be
    copied and pickled, with its fleet.

    It pays for `Calls` of up to 16,384 calls. Larger ones, grouped calls and calls with an x3 or levels are decided as
    `verdicts` does. `map(dispatcher.verdicts, batches)` decides a stream of batches.

    Args:
        fleet: whose policies decide.

    >>> from fastsmc import Calls, Fleet, Verdict, register
    >>> fleet = Fleet.uniform(n_vm=2, n_vcpu=4)
    >>> dispatcher, calls = Dispatcher(fleet), Calls.one_each(0x8400_0053, n_vcpu=8)
    >>> Verdict(dispatcher.verdicts(calls)[0]).name
    'HANDLED'
    >>> fleet.set_one_reg(register("STD_BMAP"), 0)
    >>> Verdict(dispatcher.verdicts(calls)[0]).name
    'DENIED'
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
            out: filled and returned when given, by the rules of `verdicts`: uint8[n_call], C-contiguous, apart from the
                columns of `calls`. It saves a third of what a call costs. Without one, each batch gets an array of its
                own.

        Raises:
            InputError: what `verdicts` raises: a call by a vCPU the fleet does not have, or an `out` of another shape
                or dtype, or one that shares memory with a column. `out` is as it was.
        """
        ready = self._prepared
        if ready.now is not self._fleet.snapshot():
            ready = self._anew(ready.used)
        if calls.__class__ is Calls and calls.is_plain:
            verdict = np.empty(calls.func_id.size, _BYTE) if out is None else out
            done = ready.entry(ready.block, calls.func_id, calls.vcpu, calls.conduit, calls.x1, calls.x2, verdict)
            if done == UNPREPARED:
                ready = self._anew(ready.used | {(calls.vcpu.dtype, takes_vectors(len(calls)))})
                done = ready.entry(ready.block, calls.func_id, calls.vcpu, calls.conduit, calls.x1, calls.x2, verdict)
            if not done:
                return verdict
        return verdicts(self._fleet, calls, out)

    def _anew(self, used: Used) -> _Prepared:
        """Prepares it for the fleet as it is now."""
        self._prepared = prepared = _prepare(self._fleet.snapshot(), used)
        return prepared
