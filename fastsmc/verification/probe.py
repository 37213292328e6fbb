"""Replays `trace_probe_hvc_only`: the tracepoint's own record of a host's first calls."""

from __future__ import annotations

import numpy as np

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.errors import RecordingError, TraceError
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import Conduit, Verdict
from fastsmc.recordings.folder import PROBE, Recording
from fastsmc.reference.vm import Vm
from fastsmc.traces.text import traced_calls as read_trace
from fastsmc.verification.tally import Tally
from fastsmc.vm import Fleet


def replay_probe(recording: Recording, host: Host) -> Tally:
    """Replays the probe, of which a record is one event.

    KVM traced the call, so that call was not answered on the fast path, which lies before the tracepoint: neither
    the reference nor the fleet may answer it there.
    """
    tally = Tally(recording.name, "trace_probe")
    try:
        trace = read_trace(recording.folder / PROBE)
    except TraceError as error:
        raise RecordingError(str(error)) from error
    vm, fleet = Vm(host), Fleet([1], hosts=host)
    conduit = np.where(trace.imm != 0, np.uint8(Conduit.HVC_IMM), np.uint8(Conduit.HVC))
    calls = Calls.of(np.zeros(len(trace), np.uint32), trace.func_id, conduit=conduit)
    for x0, how, mine in zip(trace.r0.tolist(), conduit.tolist(), verdicts(fleet, calls), strict=True):
        reference = vm.call(0, x0, conduit=Conduit(how)).verdict
        is_fast = Verdict.FAST_PATH in (reference, mine)
        tally.add(
            f"{x0:#x} was traced; reference {reference.name}, vectorized {Verdict(mine).name}" if is_fast else None
        )
    return tally
