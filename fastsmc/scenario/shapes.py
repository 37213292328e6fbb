"""Named shapes: what a real guest calls in some situation, with the recorded times, for VMs of any size.

All are cut from the packaged recording of a Linux 7.3 guest with two vCPUs that boots, reads PTP and plugs a CPU out
and in. What a larger VM does beyond it is assumed; each script says what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fastsmc.calls.trace import Trace
from fastsmc.errors import InputError
from fastsmc.facts.costs import Figure
from fastsmc.facts.packaged import GUEST_BOOT_TRACE
from fastsmc.facts.smccc import FUNCTION_BY_NAME
from fastsmc.scenario.problems import meant
from fastsmc.scenario.scripts import Script, ScriptStep, script_of
from fastsmc.scenario.trace_scripts import CLOCK, CPU_ON
from fastsmc.traces.text import timed_trace as read_trace

RECORDING = GUEST_BOOT_TRACE
SOURCE = f"recorded: {RECORDING.name}, a guest of two vCPUs"

PTP_PERIOD_MS = Figure(1000, "ms", "read", "phc2sys(8), option -R: the default is 1 update per second")
PTP_POLLS = 60
_ON, _ST, _PTP, _RND, _PV_FEATURES, _ARCH_FEATURES = (
    FUNCTION_BY_NAME[name].func_id
    for name in (
        "PSCI_CPU_ON64",
        "PV_TIME_ST",
        "VENDOR_HYP_PTP",
        "TRNG_RND64",
        "PV_TIME_FEATURES",
        "SMCCC_ARCH_FEATURES",
    )
)
_ONE_BY_ONE = "vCPU 0 turns on the next vCPU when the last one has made its PV_TIME_ST: Linux starts them one by one"
_ALIKE = "every vCPU beyond the second calls as the second did"


@dataclass(frozen=True, slots=True)
class Options:
    """What a scenario may say about a shape.

    Attributes:
        every_vcpu: every vCPU of a VM calls as the one recorded caller did (trng-reseed, ptp-poll).
        period_ms, polls: of ptp-poll.
    """

    every_vcpu: bool = False
    period_ms: float = PTP_PERIOD_MS.value
    polls: int = PTP_POLLS


@cache
def _recording() -> Trace:
    return read_trace(RECORDING)


def _calls(trace: Trace, rows: list[int], start_ns: int) -> list[ScriptStep]:
    return [ScriptStep(float(trace.time_ns[i] - start_ns), int(trace.func_id[i])) for i in rows]


@dataclass(frozen=True, slots=True)
class _Boot:
    """The recorded bring-up, in ns.

    Attributes:
        first: vCPU 0's calls up to its first CPU_ON, since the first of them.
        st_ns: from CPU_ON to the second vCPU's PV_TIME_ST.
        asks_ns: from there to the SMCCC_ARCH_FEATURES of vCPU 0 and of the second vCPU: when all vCPUs are up, each
            asks about its mitigations.
    """

    first: list[ScriptStep]
    st_ns: float
    asks_ns: tuple[float, float]


@cache
def _boot() -> _Boot:
    trace = _recording()
    on = int(np.flatnonzero(np.isin(trace.func_id, list(CPU_ON)))[0])
    is_second = trace.pid != trace.pid[on]
    st, *asks = (_next(trace, on, func_id, is_second) for func_id in (_ST, _ARCH_FEATURES))
    asks.insert(0, _next(trace, on, _ARCH_FEATURES, ~is_second))
    first = [i for i in range(on + 1) if not is_second[i]]
    since_st = [float(trace.time_ns[i] - trace.time_ns[st]) for i in asks]
    return _Boot(
        _calls(trace, first, int(trace.time_ns[0])),
        float(trace.time_ns[st] - trace.time_ns[on]),
        (since_st[0], since_st[1]),
    )


def _next(trace: Trace, row: int, func_id: int, is_caller: NDArray[np.bool_]) -> int:
    """Row of the first call of a function after a row by some caller."""
    return row + int(np.flatnonzero((trace.func_id[row:] == func_id) & is_caller[row:])[0])


def _boot_storm(n_vcpu: int, _options: Options) -> Script:
    """vCPU 0 boots and turns the others on, one by one; when all are up, all ask about mitigations at once."""
    boot = _boot()
    vcpus = [boot.first[:-1]]
    on_ns, last = boot.first[-1].at_ns, None
    for vcpu in range(1, n_vcpu):
        vcpus[0].append(ScriptStep(on_ns, _ON, last))
        on_ns, last = on_ns + boot.st_ns, (vcpu, 0)
        vcpus.append([ScriptStep(on_ns, _ST, (0, len(vcpus[0]) - 1))])
    if last is not None:
        for vcpu, steps in enumerate(vcpus):
            steps.append(ScriptStep(on_ns + boot.asks_ns[min(vcpu, 1)], _ARCH_FEATURES, last))
    assumed = [CLOCK] if n_vcpu <= 2 else [CLOCK, _ONE_BY_ONE, _ALIKE]
    return script_of(vcpus, name="boot-storm", source=SOURCE, assumed=assumed)


def _pv_time(n_vcpu: int, _options: Options) -> Script:
    """Steal time: vCPU 0 asks whether it is there, and every vCPU for its own area as it comes up."""
    boot = _boot()
    has = next(k for k, step in enumerate(boot.first) if step.func_id == _PV_FEATURES)
    asked = boot.first[has - 1 : has + 2]  # SMCCC_ARCH_FEATURES, PV_TIME_FEATURES, PV_TIME_ST
    zero_ns = asked[0].at_ns
    vcpus = [[ScriptStep(step.at_ns - zero_ns, step.func_id) for step in asked]]
    at_ns, waits_for = boot.first[-1].at_ns - zero_ns, (0, 2)
    for vcpu in range(1, n_vcpu):
        at_ns += boot.st_ns
        vcpus.append([ScriptStep(at_ns, _ST, waits_for)])
        waits_for = vcpu, 0
    assumed = [CLOCK] if n_vcpu <= 2 else [CLOCK, _ONE_BY_ONE, _ALIKE]
    return script_of(vcpus, name="pv-time-bring-up", source=SOURCE, assumed=assumed)


def _trng(n_vcpu: int, options: Options) -> Script:
    """The guest's kernel fills and reseeds its generator: reads of 192 bits, two for 256 bits, from one vCPU."""
    trace = _recording()
    rows = np.flatnonzero(trace.func_id == _RND).tolist()
    return _one_caller("trng-reseed", _calls(trace, rows, int(trace.time_ns[rows[0]])), n_vcpu, options, [CLOCK])


def _ptp(n_vcpu: int, options: Options) -> Script:
    """A clock daemon reads the host's clock at a period, from one vCPU."""
    period_ns = options.period_ms * 1e6
    is_default = options.period_ms == PTP_PERIOD_MS.value
    assumed = [
        f"period: {PTP_PERIOD_MS.source}" if is_default else f"a period of {options.period_ms:g} ms is the scenario's",
        "one call a poll, as for PTP_SYS_OFFSET_PRECISE; the recording has the calls, not at a period",
    ]
    steps = [ScriptStep(k * period_ns, _PTP) for k in range(options.polls)]
    return _one_caller("ptp-poll", steps, n_vcpu, options, assumed)


def _one_caller(name: str, steps: list[ScriptStep], n_vcpu: int, options: Options, assumed: list[str]) -> Script:
    if options.every_vcpu and n_vcpu > 1:
        assumed = [*assumed, "every vCPU calls at the same times; in a recorded guest one calls at a time"]
        return script_of([steps] * n_vcpu, name=name, source=SOURCE, assumed=assumed)
    return script_of([steps, *([] for _ in range(1, n_vcpu))], name=name, source=SOURCE, assumed=assumed)


SHAPES: dict[str, Callable[[int, Options], Script]] = {
    "boot-storm": _boot_storm,
    "ptp-poll": _ptp,
    "pv-time-bring-up": _pv_time,
    "trng-reseed": _trng,
}
"""Shapes by name."""


def shape(name: str, n_vcpu: int, options: Options | None = None) -> Script:
    """The script of a named shape for a VM of n vCPUs.

    Raises:
        InputError: no such shape, or a VM without vCPUs.

    Cost: O(n_vcpu); the recording is read once.

    >>> storm = shape("boot-storm", 4)
    >>> storm.n_vcpu, len(storm), storm.assumed[1][:24]
    (4, 32, 'vCPU 0 turns on the next')
    """
    if name not in SHAPES:
        message = f"no shape is called {name!r}: {meant(name, list(SHAPES))}"
        raise InputError(message)
    if n_vcpu < 1:
        message = f"a VM of {n_vcpu} vCPUs makes no calls: it must have 1 or more"
        raise InputError(message)
    return SHAPES[name](n_vcpu, options or Options())
