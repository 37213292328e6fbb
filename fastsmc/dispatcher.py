"""The dispatch instrument: a verdict for every call of a batch, counted and timed.

Verdicts are what the guests' calls get under the fleet's policies; dispatching changes no VM. Times are measured: the
wall clock of this process on this machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastsmc import kernels
from fastsmc._jit import HAS_WIDE
from fastsmc.cache_lines import on_lines
from fastsmc.errors import InputError
from fastsmc.kernels import N_CODE
from fastsmc.kernels_wide import CHUNK, ROOM
from fastsmc.kernels_wide import decide as wide_decide
from fastsmc.parts import in_parts, thread_count
from fastsmc.smccc import N_SERVICE, N_VERDICT, Service, Verdict
from fastsmc.vm import Fleet
from fastsmc.workload import Calls

_NO_COUNTS, _NO_TOTALS = np.zeros((0, N_CODE), np.uint32), np.zeros((0, N_CODE), np.int64)
_ALL_HVC, _ALL_ZERO = np.zeros(0, np.uint8), np.zeros(0, np.uint64)
N_WIDE = 64
"""From so many calls on the wide kernel is used, where the CPU has what it needs; it takes no fewer."""


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
    calls: Calls,
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
    fleet: Fleet, calls: Calls, out: NDArray[np.uint8] | None = None, *, threads: int | None = None
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
    arguments = (*fleet.rows().arguments, fleet.vm_of_vcpu)
    has_arguments = calls.x1 is not None or calls.x2 is not None
    conduit = _ALL_HVC if calls.conduit is None else calls.conduit
    x1, x2 = (_ALL_ZERO if column is None else column for column in (calls.x1, calls.x2))

    def fill(part: slice, out: NDArray[np.uint8]) -> None:
        func_id = calls.func_id[part]
        _decide((func_id, calls.vcpu[part], conduit[part], *arguments, _NO_COUNTS), False, out)
        if has_arguments:
            kernels.check_arguments(func_id, x1[part], x2[part], out)

    return fill


def _prepared(calls: Calls, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """An array for verdicts: the caller's, if it will do, or a new one."""
    if out is None:
        return np.empty(len(calls), np.uint8)
    _check_out(calls, out)
    return out


def _check_vcpus(fleet: Fleet, calls: Calls, n_thread: int = 1) -> None:
    def work(parts: Iterator[slice]) -> bool:
        return all(int(calls.vcpu[part].max()) < fleet.n_vcpu for part in parts)

    cannot_lack = fleet.n_vcpu > np.iinfo(calls.vcpu.dtype).max
    if len(calls) and not cannot_lack and not all(in_parts(work, len(calls), n_thread)):
        raise _no_such_vcpu(fleet, calls)


def _run(
    fleet: Fleet, calls: Calls, out: NDArray[np.uint8], threads: int | None, *, is_callers: bool, n_counter: int = 0
) -> NDArray[np.int64]:
    """Fills `out`; int64[n_counter, N_CODE]. A caller's array is filled whole or left as it was."""
    arguments = (*fleet.rows().arguments, fleet.vm_of_vcpu)
    n_thread = thread_count(threads, len(calls))
    if n_thread == 1:
        counts, is_good = _decide_part(calls, arguments, n_counter, is_callers, out)
    else:
        if is_callers:
            _check_vcpus(fleet, calls, n_thread)

        def work(parts: Iterator[slice]) -> tuple[NDArray[np.uint32], bool]:
            return _decide_parts(calls, arguments, n_counter, out, parts)

        done = in_parts(work, len(calls), n_thread)
        counts, is_good = done[0][0], all(good for _, good in done)
        for more, _ in done[1:]:
            counts += more
    if not is_good:
        raise _no_such_vcpu(fleet, calls)
    total = counts.astype(np.int64) if n_counter else _NO_TOTALS
    if calls.x1 is not None or calls.x2 is not None:
        _refuse_arguments(fleet, calls, out, total)
    return total


def _decide_part(
    calls: Calls, arguments: tuple[Any, ...], n_counter: int, is_whole: bool, out: NDArray[np.uint8]
) -> tuple[NDArray[np.uint32], bool]:
    """A batch on this thread: its counts, and whether every vCPU exists."""
    counts = np.zeros((n_counter, N_CODE), np.uint32) if n_counter else _NO_COUNTS
    conduit = _ALL_HVC if calls.conduit is None else calls.conduit
    n_decided = _decide((calls.func_id, calls.vcpu, conduit, *arguments, counts), is_whole, out)
    return counts, n_decided == len(out)


class _Scratch(threading.local):
    """What the wide kernel works in, of each thread."""

    def __init__(self) -> None:
        self.arrays = (
            on_lines(np.empty((5, ROOM), np.uint8)),
            on_lines(np.empty(ROOM, np.uint16)),
            on_lines(np.empty((3, ROOM), np.uint32)),
        )
        self.span = np.empty((1, 2), np.uint64)


_scratch = _Scratch()


def _decide(arguments: tuple[Any, ...], is_whole: bool, out: NDArray[np.uint8]) -> int:
    """How many calls were decided before one by a vCPU the fleet lacks; with `is_whole` none, if there is one."""
    n_call = len(out)
    if not HAS_WIDE or n_call < N_WIDE:
        portable: Callable[..., int] = kernels.decide
        return portable(*arguments, is_whole, out)
    is_one_chunk = n_call <= CHUNK  # whose vCPUs are looked at first as it is
    spans = np.empty((-(-n_call // CHUNK), 2), np.uint64) if is_whole and not is_one_chunk else _scratch.span
    wide: Callable[..., int] = wide_decide
    return wide(*arguments, spans, *_scratch.arrays, out)


def _decide_parts(
    calls: Calls, arguments: tuple[Any, ...], n_counter: int, out: NDArray[np.uint8], parts: Iterator[slice]
) -> tuple[NDArray[np.uint32], bool]:
    """Some parts of a batch on this thread: their counts, and whether every vCPU exists."""
    counts, is_good = np.zeros((n_counter, N_CODE), np.uint32), True
    for part in parts:
        conduit = None if calls.conduit is None else calls.conduit[part]
        some = Calls(calls.vcpu[part], calls.func_id[part], conduit)
        more, good = _decide_part(some, arguments, n_counter, False, out[part])
        counts += more
        is_good = is_good and good
    return counts, is_good


def _refuse_arguments(fleet: Fleet, calls: Calls, out: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Turns exits that refuse their arguments into answers, in `out` and in the counters."""
    x1, x2 = (_ALL_ZERO if column is None else column for column in (calls.x1, calls.x2))
    exits = np.flatnonzero(out == Verdict.EXIT) if len(counts) else np.zeros(0, np.int64)
    kernels.check_arguments(calls.func_id, x1, x2, out)
    if len(counts):
        refused = exits[out[exits] != Verdict.EXIT]
        vm = fleet.vm_of_vcpu[calls.vcpu[refused]] if len(counts) > 1 else np.zeros(refused.size, np.uint32)
        by_vm = np.bincount(vm, minlength=len(counts))
        counts[:, Service.PSCI * 8 + Verdict.EXIT] -= by_vm
        counts[:, Service.PSCI * 8 + Verdict.HANDLED] += by_vm


def _check_out(calls: Calls, out: object) -> None:
    if not isinstance(out, np.ndarray):
        msg = f"out must be a NumPy array, uint8[{len(calls)}]; got {type(out).__name__}"
        raise InputError(msg)
    if out.shape != (len(calls),) or out.dtype != np.uint8 or not out.flags.c_contiguous or not out.flags.writeable:
        msg = f"out must be a writeable contiguous uint8[{len(calls)}]; got {out.dtype}{list(out.shape)}"
        raise InputError(msg)
    for name in ("vcpu", "func_id", "conduit", "x1", "x2"):
        column = getattr(calls, name)
        if column is not None and np.may_share_memory(out, column):
            msg = f"out shares memory with {name}: give an array of its own"
            raise InputError(msg)


def _no_such_vcpu(fleet: Fleet, calls: Calls) -> InputError:
    c = int(np.argmax(calls.vcpu >= fleet.n_vcpu))
    return InputError(
        f"call {c} is made by vCPU {int(calls.vcpu[c])}, but the fleet has {fleet.n_vcpu} vCPUs (0 is the first)"
    )


@dataclass(frozen=True, slots=True)
class DispatchTime:
    """Measured time of verdicts, one core, this machine.

    Attributes:
        ns_per_call: float64[n_repeat], each repeat's mean over its calls.
    """

    n_call: int
    ns_per_call: NDArray[np.float64]

    @property
    def median_ns_per_call(self) -> float:
        return float(np.median(self.ns_per_call))

    @property
    def calls_per_s(self) -> float:
        return 1e9 / self.median_ns_per_call


def measure_dispatch(fleet: Fleet, calls: Calls, *, repeats: int = 7) -> DispatchTime:
    """Times `verdicts` of a whole batch, after one untimed call that compiles and warms.

    A batch replayed unchanged flatters the branch predictor; give a long or a random one, and say which.
    """
    out = verdicts(fleet, calls, threads=1)
    times = np.empty(repeats)
    for r in range(repeats):
        start = time.perf_counter_ns()
        verdicts(fleet, calls, out, threads=1)
        times[r] = (time.perf_counter_ns() - start) / max(len(calls), 1)
    return DispatchTime(len(calls), times)


@dataclass(frozen=True, slots=True)
class DispatchRatio:
    """Measured time per call of one fleet over another's, round by round in one run.

    Attributes:
        ratio: float64[n_round]; above 1 the second fleet is slower.
        first, second: the times themselves, good for this machine and minute only.
    """

    ratio: NDArray[np.float64]
    first: DispatchTime
    second: DispatchTime

    def __str__(self) -> str:
        low, middle, high = np.quantile(self.ratio, [0.25, 0.5, 0.75])
        return f"{middle:.2f}x (middle half of rounds {low:.2f} to {high:.2f}, measured)"


def compare_dispatch(first: Fleet, second: Fleet, calls: Calls, *, rounds: int = 21) -> DispatchRatio:
    """Times the same calls on two fleets by turns, so that a noisy machine disturbs both alike."""
    out = verdicts(first, calls, threads=1)
    verdicts(second, calls, out, threads=1)
    times = np.empty((rounds, 2))
    for r in range(rounds):
        for which in (0, 1) if r % 2 else (1, 0):
            start = time.perf_counter_ns()
            verdicts((first, second)[which], calls, out, threads=1)
            times[r, which] = (time.perf_counter_ns() - start) / max(len(calls), 1)
    return DispatchRatio(
        times[:, 1] / times[:, 0], DispatchTime(len(calls), times[:, 0]), DispatchTime(len(calls), times[:, 1])
    )


@dataclass(frozen=True, slots=True)
class BatchLatency:
    """Measured time of one batch in which every vCPU makes one call, through the public function.

    Attributes:
        ns: float64[n_batch], each batch's wall time.
    """

    n_vcpu: int
    ns: NDArray[np.float64]

    def quantile_ns(self, q: float) -> float:
        return float(np.quantile(self.ns, q, method="higher"))

    def summary(self) -> dict[str, float]:
        """p50, p99, p99.9 and max in ns, of single batches; nothing is averaged."""
        return {
            "p50_ns": self.quantile_ns(0.5),
            "p99_ns": self.quantile_ns(0.99),
            "p99.9_ns": self.quantile_ns(0.999),
            "max_ns": float(self.ns.max()),
        }


def measure_batches(fleet: Fleet, batches: list[Calls], *, n_batch: int = 5000) -> BatchLatency:
    """Times batches one by one, taking turns through the list so that no branch predictor learns one of them."""
    for batch in batches:
        verdicts(fleet, batch)
    times = np.empty(n_batch)
    for i in range(n_batch):
        batch = batches[i % len(batches)]
        start = time.perf_counter_ns()
        verdicts(fleet, batch)
        times[i] = time.perf_counter_ns() - start
    return BatchLatency(fleet.n_vcpu, times)
