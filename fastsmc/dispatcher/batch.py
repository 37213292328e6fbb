"""The dispatch instrument: a verdict for every call of a batch, counted.

Verdicts are what the guests' calls get under the fleet's policies; dispatching changes no VM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastsmc import kernels
from fastsmc.calls.grouped import AnyCalls, GroupedCalls
from fastsmc.calls.workload import Calls
from fastsmc.dispatcher import columnwise
from fastsmc.dispatcher.decide import columns, decide, decide_columns
from fastsmc.dispatcher.given import check_vcpus, filled_array, no_such_vcpu
from fastsmc.dispatcher.levels import conduits_taken, trap, trapped
from fastsmc.errors import InputError
from fastsmc.facts.smccc import N_SERVICE, N_VERDICT, Service, Verdict
from fastsmc.fleet.snapshot import Snapshot
from fastsmc.jit.cache_lines import LINE
from fastsmc.jit.first import Awaited
from fastsmc.jit.threads import in_parts, thread_count
from fastsmc.kernels import N_CODE
from fastsmc.reference.doubts import Touched
from fastsmc.results.layout import drawn, number, words
from fastsmc.vm import Fleet

_NO_COUNTS, _NO_TOTALS = np.zeros((0, N_CODE), np.uint32), np.zeros((0, N_CODE), np.int64)
_ALL_ZERO = np.zeros(0, np.uint64)
_CHECKED = Awaited(kernels.check_arguments)
STREAMED = 1 << 24
"""From so many verdicts on, several threads write them around the caches, which could not hold them. That is 1.02x to
1.05x as fast on two threads, whose limit is the memory they share, and 0.97x to 1x on one."""
By = Literal["service", "vm", "both"]


@dataclass(frozen=True, slots=True)
class Dispatched:
    """Verdicts of a batch and their counts; a counter nobody asked for is empty.

    Attributes:
        verdict: uint8[n_call], smccc.Verdict.
        by_service: int64[n_service, n_verdict]. by_vm: int64[n_vm, n_verdict].
        by_vm_service: int64[n_vm, n_service, n_verdict], with `by="both"`.
        doubts: what is not known of the fleet's releases, with the functions that it touches.
    """

    verdict: NDArray[np.uint8]
    by_service: NDArray[np.int64]
    by_vm: NDArray[np.int64]
    by_vm_service: NDArray[np.int64]
    doubts: tuple[Touched, ...] = ()

    def counts(self) -> dict[tuple[str, str], int]:
        """Calls per (service, verdict), where there were any, most first."""
        rows = {
            (Service(s).name, Verdict(v).name): int(self.by_service[s, v])
            for s, v in zip(*np.nonzero(self.by_service), strict=True)
        }
        return dict(sorted(rows.items(), key=lambda row: -row[1]))

    def __repr__(self) -> str:
        note = f", doubts: {len(self.doubts)}" if self.doubts else ""
        return f"Dispatched({self.verdict.size} calls{note})"

    def __str__(self) -> str:
        verdicts = np.bincount(self.verdict, minlength=N_VERDICT)
        rows = (
            self.counts()
            if self.by_service.size
            else {("all", Verdict(v).name): int(verdicts[v]) for v in range(N_VERDICT)}
        )
        heads = [number("calls"), words("service"), words("verdict")]
        lines = drawn(heads, [(n, service, name) for (service, name), n in rows.items() if n])
        return "\n".join([f"{self.verdict.size:,} calls", *lines, *(f"not certain: {doubt}" for doubt in self.doubts)])


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
        out: filled with the verdicts when given, by the rules of `verdicts`; saves large batches the cost of fresh
            memory.
        threads: at most so many; None: every core for a batch of four million calls or more. Results are the same.

    Raises:
        InputError: a call by a vCPU the fleet does not have; another `by`; 2**32 calls or more; fewer than one thread;
            an `out` that `verdicts` would refuse.

    Cost: O(n_call), counted while the verdicts are at hand; O(log n_range) more for an id KVM has no name for. 256
    bytes per VM, unless by service alone. The first calls of a process take ten times as long each, as NumPy decides
    them, where to load or compile kernels would take longer still.
    """
    if by not in get_args(By):
        msg = f"by is {by!r}: it must be one of {', '.join(get_args(By))}"
        raise InputError(msg)
    if len(calls) >> 32:
        msg = f"{len(calls)} calls are too many to count at once: the limit is {2**32 - 1}; give them in parts"
        raise InputError(msg)
    verdict, counts = _decided(fleet, calls, out, threads, 1 if by == "service" else fleet.n_vm)
    cells = counts.reshape(-1, N_CODE // 8, 8)[:, :N_SERVICE, :N_VERDICT]
    return Dispatched(
        verdict,
        cells.sum(axis=0) if by != "vm" else cells[:0, 0],
        cells.sum(axis=1) if by != "service" else cells[:0, 0],
        cells if by == "both" else cells[:0],
        fleet.doubts,
    )


def verdicts(
    fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint8] | None = None, *, threads: int | None = None
) -> NDArray[np.uint8]:
    """The verdict of every call, nothing counted: uint8[n_call], smccc.Verdict (`fleet.doubts`: what is not certain).

    Args:
        out: filled and returned when given; uint8[n_call], C-contiguous, apart from the columns of `calls`.
        threads: at most so many; None: every core for a batch of four million calls or more. Results are the same.

    Raises:
        InputError: a call by a vCPU the fleet does not have; an `out` of another shape or dtype, or one that shares
            memory with a column; fewer than one thread. `out` is as it was.
    """
    return _decided(fleet, calls, out, threads)[0]


def verdict_filler(now: Snapshot, calls: Calls) -> Callable[[slice, NDArray[np.uint8]], None]:
    """A function that writes the verdicts of a slice of the batch, for instruments that go on with them slice by slice.

    It may run on several threads at once; its second argument is uint8[n_call of the slice].

    Raises:
        InputError: a call by a vCPU the fleet does not have, or at a level by a vCPU without EL2.
    """
    taken = conduits_taken(now, calls)
    rows, vm_of_vcpu = now.rows(), now.vm_of_vcpu
    check_vcpus(calls, rows.n_vcpu)
    has_arguments = calls.x1 is not None or calls.x2 is not None
    func_id, vcpu, given = columns(calls)
    conduit = given if taken is None else taken
    x1, x2 = (_ALL_ZERO if column is None else column for column in (calls.x1, calls.x2))

    def fill(part: slice, out: NDArray[np.uint8]) -> None:
        decide_columns((func_id[part], vcpu[part], conduit[part]), rows, vm_of_vcpu, _NO_COUNTS, out)
        if has_arguments and _has_exits(out):
            _check_arguments(func_id[part], x1[part], x2[part], out)
        if conduit is not given:
            trap(given[part], conduit[part], out)

    return fill


def _decided(
    fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint8] | None, threads: int | None, n_counter: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decides any batch: verdicts, in `out` if the caller gave one, and counts, int64[n_counter, N_CODE].

    A caller's array is filled whole or left as it was, so all vCPUs are looked at before the first verdict is written.
    An array of our own is thrown away where a vCPU does not exist, so the kernels look at vCPUs as they come to them.
    """
    if calls.level is not None:
        return _decided_at_levels(fleet, calls, out, threads, n_counter)
    verdict: NDArray[np.uint8] = filled_array(calls, out, np.uint8)
    n_thread, looks_first = thread_count(threads, len(verdict)), out is not None
    if n_thread > 1:
        counts, all_exist = _on_threads(fleet, calls, verdict, n_thread, n_counter, looks_first=looks_first)
    else:
        counts = np.zeros((n_counter, N_CODE), np.uint32) if n_counter else _NO_COUNTS
        all_exist = decide(calls, fleet.rows(), fleet.vm_of_vcpu, counts, verdict, looks_first=looks_first)
    if not all_exist:
        raise no_such_vcpu(calls, fleet.n_vcpu)
    total = counts.astype(np.int64) if n_counter else _NO_TOTALS
    if calls.x1 is not None or calls.x2 is not None:
        _refuse_arguments(fleet, calls, verdict, total)
    return verdict, total


def _decided_at_levels(
    fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint8] | None, threads: int | None, n_counter: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """As `_decided`, of calls that have levels: decided without them, and put right where a trap comes first.

    Raises:
        InputError: a level that a vCPU lacks, or an `out` in the memory of the levels; else as `_decided`.
    """
    verdict: NDArray[np.uint8] = filled_array(calls, out, np.uint8)
    if calls.level is not None and np.may_share_memory(verdict, calls.level):
        msg = "out shares memory with level: give an array of its own"
        raise InputError(msg)
    taken = conduits_taken(fleet.snapshot(), calls, thread_count(threads, len(calls)))
    plain = replace(calls, conduit=taken, level=None)
    verdict, total = _decided(fleet, plain, verdict, threads, n_counter)
    if n_counter:
        before, after = (Service.ARCH * 8 + which for which in (Verdict.FAST_PATH, Verdict.TO_VEL2))
        _recount(fleet, calls, trapped(calls.conduit, taken, verdict), total, before, after)
    if calls.conduit is not None and taken is not None:
        trap(calls.conduit, taken, verdict)
    return verdict, total


def _on_threads(
    fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint8], n_thread: int, n_counter: int, *, looks_first: bool
) -> tuple[NDArray[np.uint32], bool]:
    """Decides a batch in parts on several threads: its counts, and whether every vCPU exists."""
    if looks_first or isinstance(calls, GroupedCalls):  # a part lacks the blocks of no calls at its ends
        check_vcpus(calls, fleet.n_vcpu, n_thread)
    rows, vm_of_vcpu = fleet.rows(), fleet.vm_of_vcpu
    streams = len(out) >= STREAMED and out.ctypes.data % LINE == 0  # or no step would fill a line

    def work(parts: Iterator[slice]) -> tuple[NDArray[np.uint32], bool]:
        counts, all_exist = np.zeros((n_counter, N_CODE), np.uint32), True
        for part in parts:
            all_exist &= decide(calls.part(part), rows, vm_of_vcpu, counts, out[part], streams=streams)
        return counts, all_exist

    done = in_parts(work, len(calls), n_thread)
    counts = done[0][0]
    for more, _ in done[1:]:
        counts += more
    return counts, all(exist for _, exist in done)


def _refuse_arguments(fleet: Fleet, calls: AnyCalls, out: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Turns exits that refuse their arguments into answers, in `out` and in the counters."""
    if not _has_exits(out):
        return
    x1, x2 = (_ALL_ZERO if column is None else column for column in (calls.x1, calls.x2))
    exits = np.flatnonzero(out == Verdict.EXIT) if len(counts) else np.zeros(0, np.int64)
    _check_arguments(calls.func_id, x1, x2, out)
    if len(counts):
        refused = exits[out[exits] != Verdict.EXIT]
        _recount(fleet, calls, refused, counts, Service.PSCI * 8 + Verdict.EXIT, Service.PSCI * 8 + Verdict.HANDLED)


def _recount(
    fleet: Fleet, calls: AnyCalls, place: NDArray[np.int64], counts: NDArray[np.int64], before: int, after: int
) -> None:
    """Counts some calls in another cell than the one that the kernels counted them in."""
    if not len(counts) or not place.size:
        return
    vcpu = _vcpu_of(calls, place)
    if int(vcpu.max()) >= fleet.n_vcpu:
        raise no_such_vcpu(calls, fleet.n_vcpu)
    vm = fleet.vm_of_vcpu[vcpu] if len(counts) > 1 else np.zeros(place.size, np.uint32)
    by_vm = np.bincount(vm, minlength=len(counts))
    counts[:, before] -= by_vm
    counts[:, after] += by_vm


def _check_arguments(
    func_id: NDArray[np.uint32], x1: NDArray[np.uint64], x2: NDArray[np.uint64], out: NDArray[np.uint8]
) -> None:
    arguments = func_id, x1, x2, out
    if _CHECKED.is_due(out.itemsize, 0, arguments):
        kernels.check_arguments(*arguments)
    else:
        columnwise.check_arguments(*arguments)


def _has_exits(verdict: NDArray[np.uint8]) -> bool:
    """Whether any call exits to userspace; most batches have none, and need no loop that looks at their arguments."""
    return bool((verdict == Verdict.EXIT).any())


def _vcpu_of(calls: AnyCalls, place: NDArray[np.int64]) -> NDArray[np.unsignedinteger[Any]]:
    return calls.vcpu_of(place) if isinstance(calls, GroupedCalls) else calls.vcpu[place]
