"""A real guest's trace: what it called, and what it takes to dispatch it on every vCPU of a fleet.

Every time here is what this simulator takes on this machine. KVM's own path was not timed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastsmc.calls.trace import Trace
from fastsmc.calls.workload import batch, replay
from fastsmc.dispatcher.batch import dispatch
from fastsmc.dispatcher.timing import BatchLatency, measure_batches, measure_dispatch
from fastsmc.facts.other_calls import service_and_name
from fastsmc.facts.smccc import Verdict
from fastsmc.progress import Progress, silent
from fastsmc.results.tables import Table
from fastsmc.scaling._rows import IS_HYPOTHETICAL, SPREAD, TIMINGS_PER_TURN, Heading, spread, table
from fastsmc.vm import Fleet

_SHAPE: Heading = ("shape", "input", "VMs x vCPUs per VM")


def trace_by_function(trace: Trace, *, host: str = "7.3") -> Table:
    """The trace's calls by service and function, as recorded, and the verdict each gets under the default policy."""
    one = replay(trace, n_vcpu=1)
    verdict = dispatch(Fleet.uniform(n_vm=1, n_vcpu=1, host=host), one).verdict
    of_function = {}
    for func_id, v in zip(one.func_id.tolist(), verdict, strict=True):
        of_function[service_and_name(func_id)[1]] = (f"0x{func_id:08x}", Verdict(v).name)
    headings: tuple[Heading, ...] = (
        ("service", "recorded", "group the function belongs to"),
        ("function", "recorded", "name KVM has for the id, or the id"),
        ("func_id", "recorded", "function id, low half of x0"),
        ("calls", "recorded", "how often the guest called it"),
        ("verdict", "modelled", f"what Linux {host} does with the call under its default policy"),
    )
    rows = [
        (service, name, of_function[name][0], n_call, of_function[name][1])
        for (service, name), n_call in trace.by_service().items()
    ]
    return table("The trace's calls by function, most frequent first.", headings, rows)


def replayed(
    trace: Trace,
    *,
    shapes: Sequence[tuple[int, int]],
    host: str = "7.3",
    n_batch: int = 10_000,
    repeats: int = 15,
    progress: Progress = silent,
) -> tuple[Table, Table]:
    """The trace replayed on every vCPU of each fleet: times of calls and of single batches; verdicts by service.

    Args:
        shapes: (VMs, vCPUs per VM).
        n_batch: batches timed, in turn through the trace's calls: in one batch every vCPU makes one call.
        repeats: timings of the whole replay; shapes take turns, three timings each.

    Raises:
        InputError: a shape without VMs or vCPUs.
    """
    fleets = [Fleet.uniform(n_vm=n_vm, n_vcpu=per_vm, host=host) for n_vm, per_vm in shapes]
    replays = [replay(trace, n_vcpu=fleet.n_vcpu) for fleet in fleets]
    batches = [[batch(trace, k, n_vcpu=fleet.n_vcpu) for k in range(len(trace))] for fleet in fleets]
    call_ns: list[list[float]] = [[] for _ in fleets]
    batch_ns: list[list[float]] = [[] for _ in fleets]
    turns = max(1, repeats // TIMINGS_PER_TURN)
    for turn in range(turns):
        some = n_batch * (turn + 1) // turns - n_batch * turn // turns
        for f, fleet in enumerate(fleets):
            call_ns[f].extend(measure_dispatch(fleet, replays[f], repeats=TIMINGS_PER_TURN).ns_per_call)
            batch_ns[f].extend(measure_batches(fleet, batches[f], n_batch=some).ns)
        progress("replay", turn + 1, turns)
    times, verdicts = [], []
    for f, fleet in enumerate(fleets):
        n_vm, per_vm = shapes[f]
        shape = f"{n_vm} x {per_vm}"
        ns = spread(np.array(call_ns[f]))
        latency = BatchLatency(fleet.n_vcpu, np.array(batch_ns[f])).summary()
        head = (shape, n_vm, per_vm, fleet.n_vcpu, fleet.is_hypothetical)
        tail = (1e9 / ns[0], n_batch, *(latency[key] for key in _LATENCY))
        times.append((*head, len(replays[f]), *ns, *tail))
        counts = dispatch(fleet, replays[f]).counts()
        verdicts += [(shape, fleet.is_hypothetical, *names, n_call) for names, n_call in counts.items()]
    return (
        table("The trace replayed on every vCPU of a fleet; a row per shape.", _REPLAY, times),
        table("Verdicts of the replay; a row per shape, service and verdict.", _VERDICTS, verdicts),
    )


_LATENCY = ("p50_ns", "p99_ns", "p99.9_ns", "max_ns")
_REPLAY: tuple[Heading, ...] = (
    _SHAPE,
    ("n_vm", "input", "VMs"),
    ("n_vcpu_per_vm", "input", "vCPUs of each VM"),
    ("n_vcpu", "input", "vCPUs in all"),
    IS_HYPOTHETICAL,
    ("n_call", "input", "calls of the whole replay: the trace's, by every vCPU"),
    *SPREAD,
    ("calls_per_s", "measured", "calls per second, from the median"),
    ("n_batch", "input", "batches timed one by one; in each, every vCPU makes one call"),
    ("batch_p50_ns", "measured", "median time of one batch"),
    ("batch_p99_ns", "measured", "99th percentile of the time of one batch"),
    ("batch_p99_9_ns", "measured", "99.9th percentile of the time of one batch"),
    ("batch_max_ns", "measured", "longest time of one batch"),
)
_VERDICTS: tuple[Heading, ...] = (
    _SHAPE,
    IS_HYPOTHETICAL,
    ("service", "", "group the functions belong to"),
    ("verdict", "modelled", "what becomes of the calls"),
    ("calls", "modelled", "calls of the whole replay"),
)
