"""The dispatch instrument: a verdict for every call of a batch, counted.

Verdicts are what the guests' calls get under the fleet's policies; dispatching changes no VM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastsmc import kernels
from fastsmc.calls.grouped import GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.choose import AnyCalls, decide, decide_columns
from fastsmc.errors import InputError
from fastsmc.facts.smccc import N_SERVICE, N_VERDICT, Service, Verdict
from fastsmc.jit.cache_lines import LINE
from fastsmc.jit.threads import in_parts, thread_count
from fastsmc.kernels import N_CODE
from fastsmc.vm import Fleet

_NO_COUNTS, _NO_TOTALS = np.zeros((0, N_CODE), np.uint32), np.zeros((0, N_CODE), np.int64)
_ALL_HVC, _ALL_ZERO = np.zeros(0, np.uint8), np.zeros(0, np.uint64)
STREAMED = 1 << 24
"""Verdicts from which on several threads write around the caches, which could not hold them: 1.02x to 1.05x on two
threads, whose limit is the memory they share; 0.97x to 1x on one."""
By = Literal["service", "vm", "both"]


@dataclass(frozen=True, slots=True)
class Dispatched:
    """Verdicts of a batch and their counts; a counter nobody asked for is empty.

    Attributes:
        verdict: uint8[n_call], smccc.Verdict.
        by_service: int64[n_service, n_verdict]. by_vm: int64[n_vm, n_verdict].
        by_vm_service: int64[n_vm, n_service, n_verdict], with `by="both"`.
    """

    verdict: NDArray[np.uint8]
    by_service: NDArray[np.int64]
    by_vm: NDArray[np.int64]
    by_vm_service: NDArray[np.int64]

    def counts(self) -> dict[tuple[str, str], int]:
        """Calls per (service, verdict), where there were any, most first."""
        rows = {
            (Service(s).name, Verdict(v).name): int(self.by_service[s, v])
            for s, v in zip(*np.nonzero(self.by_service), strict=True)
        }
        return dict(sorted(rows.items(), key=lambda row: -row[1]))


def dispatch(
    fleet: Fleet,
    calls: AnyCalls,
    *,
    by: By = "both",
    out: NDArray[np.uint8] | None = None,
    threads: int | None = None,
) -> Dispatched:
    """The verdict of every call, and counters.

    Args:
        by: count per service, per VM, or per VM and service ("both"), from which the other two are added up.
        out: filled with the verdicts when given, as `verdicts` has it; saves large batches the cost of fresh memory.
        threads: at most so many; None: every core for a batch of four million calls or more. Results are the same.

    Raises:
        InputError: a call by a vCPU the fleet does not have; another `by`; 2**32 calls or more; fewer than one thread;
            an `out` that `verdicts` would refuse.

    Cost: O(n_call), counted while the verdicts are at hand; O(log n_range) more for an id KVM has no name for. 256
    bytes per VM, unless by service alone.
    """
    if by not in get_args(By):
        msg = f"by is {by!r}: it must be one of {', '.join(get_args(By))}"
        raise InputError(msg)
    if len(calls) >> 32:
        msg = f"{len(calls)} calls are too many to count at once: the limit is {2**32 - 1}; give them in parts"
        raise InputError(msg)
    is_callers, out = out is not None, _prepared(calls, out)
    counts = _run(fleet, calls, out, threads, is_callers=is_callers, n_counter=1 if by == "service" else fleet.n_vm)
    cells = counts.reshape(-1, N_CODE // 8, 8)[:, :N_SERVICE, :N_VERDICT]
    return Dispatched(
        out,
        cells.sum(axis=0) if by != "vm" else cells[:0, 0],
        cells.sum(axis=1) if by != "service" else cells[:0, 0],
        cells if by == "both" else cells[:0],
    )


def verdicts(
    fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint8] | None = None, *, threads: int | None = None
) -> NDArray[np.uint8]:
    """The verdict of every call, nothing counted: uint8[n_call], smccc.Verdict.

    Args:
        out: filled and returned when given; uint8[n_call], C-contiguous, apart from the columns of `calls`.
        threads: at most so many; None: every core for a batch of four million calls or more. Results are the same.

    Raises:
        InputError: a call by a vCPU the fleet does not have; an `out` of another shape or dtype, or one that shares
            memory with a column; fewer than one thread. `out` is as it was.
    """
    is_callers, out = out is not None, _prepared(calls, out)
    _run(fleet, calls, out, threads, is_callers=is_callers)
    return out


def verdict_filler(fleet: Fleet, calls: Calls) -> Callable[[slice, NDArray[np.uint8]], None]:
    """A function that writes the verdicts of a slice of the batch, for instruments that go on with them slice by slice.

    It may run on several threads at once; its second argument is uint8[n_call of the slice].

    Raises:
        InputError: a call by a vCPU the fleet does not have.
    """
    _check_vcpus(fleet, calls)
    arguments = (*fleet.rows().arguments, fleet.vm_of_vcpu, _NO_COUNTS)
    has_arguments = calls.x1 is not None or calls.x2 is not None
    conduit = _ALL_HVC if calls.conduit is None else calls.conduit
    x1, x2 = (_ALL_ZERO if column is None else column for column in (calls.x1, calls.x2))

    def fill(part: slice, out: NDArray[np.uint8]) -> None:
        func_id = calls.func_id[part]
        decide_columns((func_id, calls.vcpu[part], conduit[part], *arguments), False, out)
        if has_arguments:
            kernels.check_arguments(func_id, x1[part], x2[part], out)

    return fill


def _prepared(calls: AnyCalls, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """An array for verdicts: the caller's, if it will do, or a new one."""
    if out is None:
        return np.empty(len(calls), np.uint8)
    _check_out(calls, out)
    return out


def _check_vcpus(fleet: Fleet, calls: AnyCalls, n_thread: int = 1) -> None:
    vcpu = _vcpu_column(calls)
    if isinstance(calls, Calls) and calls.n_vcpu is not None:
        if calls.n_vcpu > fleet.n_vcpu:
            raise _no_such_vcpu(fleet, calls)
        return

    def work(parts: Iterator[slice]) -> bool:
        return all(int(vcpu[part].max()) < fleet.n_vcpu for part in parts)

    cannot_lack = fleet.n_vcpu > np.iinfo(vcpu.dtype).max
    if len(vcpu) and not cannot_lack and not all(in_parts(work, len(vcpu), n_thread)):
        raise _no_such_vcpu(fleet, calls)


def _run(
    fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint8], threads: int | None, *, is_callers: bool, n_counter: int = 0
) -> NDArray[np.int64]:
    """Fills `out`; int64[n_counter, N_CODE]. A caller's array is filled whole or left as it was."""
    n_thread = thread_count(threads, len(calls))
    if n_thread > 1:
        counts, is_good = _on_threads(fleet, calls, out, n_thread, is_callers, n_counter)
    else:
        counts = np.zeros((n_counter, N_CODE), np.uint32) if n_counter else _NO_COUNTS
        is_good = decide(calls, fleet.rows(), fleet.vm_of_vcpu, counts, is_callers, out)
    if not is_good:
        raise _no_such_vcpu(fleet, calls)
    total = counts.astype(np.int64) if n_counter else _NO_TOTALS
    if calls.x1 is not None or calls.x2 is not None:
        _refuse_arguments(fleet, calls, out, total)
    return total


def _on_threads(
    fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint8], n_thread: int, is_whole: bool, n_counter: int
) -> tuple[NDArray[np.uint32], bool]:
    """A batch in parts: its counts, and whether every vCPU exists."""
    if is_whole or isinstance(calls, GroupedCalls):  # a part lacks the blocks of no calls at its ends
        _check_vcpus(fleet, calls, n_thread)
    rows, vm_of_vcpu = fleet.rows(), fleet.vm_of_vcpu
    streams = len(out) >= STREAMED and out.ctypes.data % LINE == 0  # or no step would fill a line

    def work(parts: Iterator[slice]) -> tuple[NDArray[np.uint32], bool]:
        counts, is_good = np.zeros((n_counter, N_CODE), np.uint32), True
        for part in parts:
            some = calls.part(part)
            is_good = decide(some, rows, vm_of_vcpu, counts, False, out[part], streams=streams) and is_good
        return counts, is_good

    done = in_parts(work, len(calls), n_thread)
    counts = done[0][0]
    for more, _ in done[1:]:
        counts += more
    return counts, all(good for _, good in done)


def _refuse_arguments(fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Turns exits that refuse their arguments into answers, in `out` and in the counters."""
    x1, x2 = (_ALL_ZERO if column is None else column for column in (calls.x1, calls.x2))
    exits = np.flatnonzero(out == Verdict.EXIT) if len(counts) else np.zeros(0, np.int64)
    kernels.check_arguments(calls.func_id, x1, x2, out)
    if len(counts):
        refused = exits[out[exits] != Verdict.EXIT]
        vm = fleet.vm_of_vcpu[_vcpu_of(calls, refused)] if len(counts) > 1 else np.zeros(refused.size, np.uint32)
        by_vm = np.bincount(vm, minlength=len(counts))
        counts[:, Service.PSCI * 8 + Verdict.EXIT] -= by_vm
        counts[:, Service.PSCI * 8 + Verdict.HANDLED] += by_vm


def _vcpu_column(calls: AnyCalls) -> NDArray[np.unsignedinteger[Any]]:
    return calls.block_vcpu if isinstance(calls, GroupedCalls) else calls.vcpu


def _vcpu_of(calls: AnyCalls, place: NDArray[np.int64]) -> NDArray[np.unsignedinteger[Any]]:
    return calls.vcpu_of(place) if isinstance(calls, GroupedCalls) else calls.vcpu[place]


def _check_out(calls: AnyCalls, out: object) -> None:
    if not isinstance(out, np.ndarray):
        msg = f"out must be a NumPy array, uint8[{len(calls)}]; got {type(out).__name__}"
        raise InputError(msg)
    if out.shape != (len(calls),) or out.dtype != np.uint8 or not out.flags.c_contiguous or not out.flags.writeable:
        msg = f"out must be a writeable contiguous uint8[{len(calls)}]; got {out.dtype}{list(out.shape)}"
        raise InputError(msg)
    for name in ("vcpu", "func_id", "conduit", "x1", "x2", "x3"):  # columns of blocks are the batch's own
        column = getattr(calls, name, None)
        if column is not None and np.may_share_memory(out, column):
            msg = f"out shares memory with {name}: give an array of its own"
            raise InputError(msg)


def _no_such_vcpu(fleet: Fleet, calls: AnyCalls) -> InputError:
    what, vcpu = "block" if isinstance(calls, GroupedCalls) else "call", _vcpu_column(calls)
    c = int(np.argmax(vcpu >= fleet.n_vcpu))
    return InputError(
        f"{what} {c} is made by vCPU {int(vcpu[c])}, but the fleet has {fleet.n_vcpu} vCPUs (0 is the first)"
    )
