"""The dispatch instrument: a verdict for every call of a batch, counted and timed.

Verdicts are what the guests' calls get under the fleet's policies; dispatching changes no VM. Times are measured: the
wall clock of this process on this machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsmc import bitmaps, kernels
from fastsmc.errors import InputError
from fastsmc.smccc import N_SERVICE, N_VERDICT, Service, Verdict
from fastsmc.vm import Fleet
from fastsmc.workload import Calls

_SHIFT = np.uint32(32 - bitmaps.N_HASH_BITS)
_MULTIPLIER = np.uint32(bitmaps.MULTIPLIER)
_ALL_HVC = np.zeros(0, np.uint8)


@dataclass(frozen=True, slots=True)
class Dispatched:
    """Verdicts of a batch and their counts.

    Attributes:
        verdict: uint8[n_call], smccc.Verdict.
        by_service: int64[n_service, n_verdict]. by_vm: int64[n_vm, n_verdict].
    """

    verdict: NDArray[np.uint8]
    by_service: NDArray[np.int64]
    by_vm: NDArray[np.int64]

    def counts(self) -> dict[tuple[str, str], int]:
        """Calls per (service, verdict), where there were any, most first."""
        rows = {
            (Service(s).name, Verdict(v).name): int(self.by_service[s, v])
            for s, v in zip(*np.nonzero(self.by_service), strict=True)
        }
        return dict(sorted(rows.items(), key=lambda row: -row[1]))


def dispatch(fleet: Fleet, calls: Calls) -> Dispatched:
    """The verdict of every call, and counters per service and per VM.

    Raises:
        InputError: a call by a vCPU the fleet does not have.

    Cost: O(n_call), one pass for verdicts and one for counters; O(log n_range) more for an id KVM has no name for.
    """
    out = verdicts(fleet, calls)
    by_service = np.zeros((N_SERVICE, N_VERDICT), np.int64)
    by_vm = np.zeros((fleet.n_vm, N_VERDICT), np.int64)
    kernels.tally(
        calls.func_id,
        calls.vcpu,
        out,
        fleet.vm_of_vcpu,
        _MULTIPLIER,
        _SHIFT,
        bitmaps.SLOT_OF_BUCKET,
        bitmaps.SLOT_ID,
        bitmaps.SLOT_SERVICE,
        by_service,
        by_vm,
    )
    return Dispatched(out, by_service, by_vm)


def verdicts(fleet: Fleet, calls: Calls, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """The verdict of every call, nothing counted: uint8[n_call], smccc.Verdict.

    Args:
        out: filled and returned when given; uint8[n_call], C-contiguous, apart from the columns of `calls`.

    Raises:
        InputError: a call by a vCPU the fleet does not have (what `out` then holds means nothing); an `out` of another
            shape or dtype, or one that shares memory with a column.
    """
    if out is None:
        out = np.empty(len(calls), np.uint8)
    else:
        _check_out(calls, out)
    rows = fleet.rows()
    n_decided = kernels.decide(
        calls.func_id,
        calls.vcpu,
        _ALL_HVC if calls.conduit is None else calls.conduit,
        rows.row_of_vcpu,
        np.uint32(rows.n_row),
        _MULTIPLIER,
        _SHIFT,
        bitmaps.KEY_OF_BUCKET,
        rows.class_of_bucket,
        rows.class_of_unknown,
        rows.verdict,
        rows.root_of_row,
        rows.trees.depth,
        rows.trees.key,
        rows.trees.child,
        rows.trees.verdict,
        out,
    )
    if n_decided < len(calls):
        raise _no_such_vcpu(fleet, calls)
    if calls.x1 is not None or calls.x2 is not None:
        zero = np.zeros(len(calls), np.uint64)
        x1, x2 = (zero if column is None else column for column in (calls.x1, calls.x2))
        kernels.check_arguments(calls.func_id, x1, x2, out)
    return out


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
    out = verdicts(fleet, calls)
    times = np.empty(repeats)
    for r in range(repeats):
        start = time.perf_counter_ns()
        verdicts(fleet, calls, out)
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
    out = verdicts(first, calls)
    verdicts(second, calls, out)
    times = np.empty((rounds, 2))
    for r in range(rounds):
        for which in (0, 1) if r % 2 else (1, 0):
            start = time.perf_counter_ns()
            verdicts((first, second)[which], calls, out)
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
