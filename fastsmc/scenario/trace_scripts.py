"""A recorded trace as a script: the thread of each vCPU with its own times, and what its calls wait for."""

from __future__ import annotations

import numpy as np

from fastsmc.calls.missing import of_what
from fastsmc.calls.trace import Trace
from fastsmc.errors import TraceError
from fastsmc.facts.smccc import FUNCTION_BY_NAME, Conduit
from fastsmc.scenario.scripts import Script, ScriptStep, script_of

CPU_ON = frozenset(FUNCTION_BY_NAME[f"PSCI_{name}"].func_id for name in ("CPU_ON", "CPU_ON64", "0_1_CPU_ON"))
CPU_OFF = frozenset(FUNCTION_BY_NAME[f"PSCI_{name}"].func_id for name in ("CPU_OFF", "0_1_CPU_OFF"))
CLOCK = "times are those of the tracer's host; under emulation, as all recordings here, they run slow"


def check_order(trace: Trace, where: str) -> None:
    """Raises if a thread's calls are not in the order of time.

    Raises:
        TraceError: with file, line, both times, and what to do.
    """
    for pid in dict.fromkeys(trace.pid.tolist()):
        rows = np.flatnonzero(trace.pid == pid)
        back = np.flatnonzero(np.diff(trace.time_ns[rows]) < 0)
        if back.size:
            before, now = rows[back[0]], rows[back[0] + 1]
            message = (
                f"{where}:{int(trace.line[now])}: thread {pid} calls at {trace.time_ns[now] / 1e9:.6f} s, but on line "
                f"{int(trace.line[before])} it called at {trace.time_ns[before] / 1e9:.6f} s: sort the lines by time, "
                "or record with one clock for all CPUs (trace-cmd record -C mono)"
            )
            raise TraceError(message)


def script_of_trace(trace: Trace, *, n_vcpu: int, where: str = "") -> Script:
    """What the vCPUs of a VM call if they call as the recorded threads did.

    Threads become vCPUs in the order of their first calls. A vCPU's first call, and the one after it turned itself off,
    waits for the last CPU_ON before it. vCPUs beyond the recorded threads repeat those of the secondaries in turn.

    Args:
        where: path of the file, for messages.

    Raises:
        TraceError: times out of order, or more threads than vCPUs.
    """
    where = where or trace.name
    check_order(trace, where)
    pids = list(dict.fromkeys(trace.pid[np.argsort(trace.time_ns, kind="stable")].tolist()))
    if len(pids) > n_vcpu:
        message = (
            f"{where}: {len(pids)} threads call in it, and a VM of the scenario has {n_vcpu} vCPUs: give it as many"
        )
        raise TraceError(message)
    thread_of_vcpu = [*range(len(pids)), *(_repeated(v, len(pids)) for v in range(len(pids), n_vcpu))]
    assumed = [CLOCK]
    if len(pids) > 2:
        assumed.append("a vCPU that starts was started by the last CPU_ON before")
    if len(pids) < n_vcpu:
        assumed.append(f"vCPUs from {len(pids)} on call as the recorded ones do")
    if missing := of_what(trace.n_lost + trace.n_skipped_call, "event", is_least=trace.is_lost_least):
        assumed.append(f"the guest called nothing else, though the trace lacks {missing}")
    steps = _steps(trace, pids)
    source = f"recorded: {trace.name}, {len(pids)} thread{'s' if len(pids) > 1 else ''}"
    return script_of([steps[t] for t in thread_of_vcpu], name=trace.name, source=source, assumed=assumed)


def _repeated(vcpu: int, n_thread: int) -> int:
    return 1 + (vcpu - 1) % (n_thread - 1) if n_thread > 1 else 0


def _steps(trace: Trace, pids: list[int]) -> list[list[ScriptStep]]:
    """Steps of each thread, calls taken in the order of time."""
    steps: list[list[ScriptStep]] = [[] for _ in pids]
    thread_of = {pid: thread for thread, pid in enumerate(pids)}
    start = int(trace.time_ns.min())
    last_on: tuple[int, int] | None = None
    for row in np.argsort(trace.time_ns, kind="stable").tolist():
        thread, func_id = thread_of[int(trace.pid[row])], int(trace.func_id[row])
        mine = steps[thread]
        is_started = not mine or mine[-1].func_id in CPU_OFF
        after = last_on if is_started and last_on is not None and last_on[0] != thread else None
        conduit = Conduit.HVC_IMM if trace.imm[row] else Conduit.HVC
        mine.append(ScriptStep(float(trace.time_ns[row] - start), func_id, after, conduit))
        if func_id in CPU_ON:
            last_on = thread, len(mine) - 1
    return steps
