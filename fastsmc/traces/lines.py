"""One line of a tracer's text: a call, another event, a notice that events are missing, or nothing it should be.

Three tools print the event, each with its own prefix: raw ftrace (/sys/kernel/tracing/trace), `trace-cmd report` and
`perf script`.

Sources: Linux arch/arm64/kvm/trace_arm.h, TRACE_EVENT(kvm_hvc_arm64): "HVC at 0x%016lx (r0: 0x%016lx, imm: 0x%lx)";
prefixes from kernel/trace/trace_output.c (trace_print_context), kernel/trace/trace.c (lost events), trace-cmd
trace-read.c ("EVENTS DROPPED") and tools/perf/builtin-script.c (perf_sample__fprintf_start).
"""

from __future__ import annotations

import re

EVENT = "kvm_hvc_arm64"

# A comm is 15 characters at most, too short to hold "[000] 1.000000: x:", so the leftmost prefix is the real one.
# Bounded counts keep a line of a million spaces from costing quadratic time.
_PREFIX = re.compile(
    r"\s*(?P<task>\S.{0,95}?)\s{1,32}\[(?P<cpu>\d{3,5})\]\s+"
    r"(?:[^\s:]{4,8}\s+)?"  # ftrace flags: "....", "d..1.", 7 columns on RT kernels
    r"(?P<s>[0-8]?\d{1,9})\.(?P<fraction>\d{6}(?:\d{3})?):\s+"
    r"(?:\d+\s+)?"  # perf's period, before events that have one
    r"(?P<event>[^\s:]+(?::[^\s:]+)*):(?:\s+|$)",
    re.ASCII,
)
# The immediate of an HVC is 16 bits (ESR_ELx.ISS), printed as an unsigned long.
_HVC = re.compile(
    r"HVC at 0x([0-9a-fA-F]{1,16}) \(r0: 0x([0-9a-fA-F]{1,16}), imm: 0x(0{0,12}[0-9a-fA-F]{1,4})\)\s*", re.ASCII
)
_TASK = {
    EVENT: re.compile(r"(?P<comm>.*)-(?P<pid>\d{1,9})(?:\s+\(\s*[\d-]+\))?", re.ASCII),
    f"kvm:{EVENT}": re.compile(r"(?:(?P<comm>.*)\s)?\s*(?:-?\d+/)?(?P<pid>-?\d{1,9})", re.ASCII),
}
_SPACE = " \t\r\f\v"  # what \s means above: a comm may end in other white space
_OVERRUN = re.compile(r"# entries-in-buffer/entries-written: (\d+)/(\d+)", re.ASCII)
_LOST = re.compile(
    r"CPU:\d+ \[(?:LOST (?P<ftrace>\d+ )?EVENTS|(?P<trace_cmd>\d+ )?EVENTS DROPPED)\]\s*"
    r"|.*PERF_RECORD_LOST(?:_SAMPLES)?\s+lost\s(?P<perf>\d+)\s*",
    re.ASCII,
)
_HARMLESS = re.compile(r"\s*|cpus=\d+\s*|version = \d+\s*|CPU \d+ is empty\s*", re.ASCII)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")

Tasks = dict[str, tuple[str, int] | None]
"""(comm, pid) by a line's task field, None for a malformed field. It is kept because many lines share few fields."""
Call = tuple[int, int, int, int, int, int]
"""A call: time_ns, cpu, pid, pc, r0, imm."""


def prefix_of(line: str) -> re.Match[str] | None:
    """What stands before a line's event, and the event's name; None where the line is no event."""
    return None if "PERF_RECORD_LOST" in line or _is_not_utf8(line) else _PREFIX.match(line)


def is_call(event: str) -> bool:
    """Whether an event of that name is a hypercall."""
    return event in _TASK


def _is_not_utf8(line: str) -> bool:
    return not line.isascii() and _NOT_UTF8.search(line) is not None


def call_of(prefix: re.Match[str], line: str, tasks: Tasks) -> Call | None:
    """The call that a kvm_hvc_arm64 line tells, None if the line is malformed; remembers its task field."""
    _, cpu, s, fraction, event = prefix.groups()
    body = _HVC.fullmatch(line, prefix.end())
    if body is None:
        return None
    key = prefix["task"] + event  # the two event names go with different task fields
    if key not in tasks:
        task = _TASK[event].fullmatch(prefix["task"])
        tasks[key] = ((task["comm"] or "").strip(_SPACE), int(task["pid"])) if task else None
    known = tasks[key]
    if known is None:
        return None
    time_ns = int(s) * 1_000_000_000 + int(fraction.ljust(9, "0"))
    pc, r0, imm = body.groups()
    return time_ns, int(cpu), known[1], int(pc, 16), int(r0, 16), int(imm, 16)


def comms_of(tasks: Tasks) -> dict[int, tuple[str, ...]]:
    """The names that each pid had, in order of appearance."""
    names: dict[int, dict[str, None]] = {}
    for comm, pid in filter(None, tasks.values()):
        names.setdefault(pid, {})[comm] = None
    return {pid: tuple(comms) for pid, comms in names.items()}


def notice_of(line: str) -> int | None:
    """How many events a line that is no event says are missing; None when it is no notice either."""
    if _is_not_utf8(line):
        return None
    if line.startswith("#"):
        overrun = _OVERRUN.match(line)
        return max(0, int(overrun[2]) - int(overrun[1])) if overrun else 0
    if lost := _LOST.fullmatch(line):
        return int(lost["ftrace"] or lost["trace_cmd"] or lost["perf"] or 1)
    return 0 if _HARMLESS.fullmatch(line) else None


def not_understood(place: str, line: str) -> str:
    """The sentence about a line that is none of these, and what a line should be."""
    text = line.strip()
    if _is_not_utf8(text):
        what = "bytes that are not UTF-8 text"
    elif EVENT in text:
        what = f"damaged {EVENT} line"
    else:
        what = "not a line of ftrace, trace-cmd report or perf script"
    quoted = ascii(text[:120])[1:-1] + ("..." if len(text) > 120 else "")
    return (
        f"{place}: {what}: '{quoted}'; expected '<task>-<pid> [<cpu>] <flags> <s>.<us>: {EVENT}: "
        "HVC at 0x<pc> (r0: 0x<hex>, imm: 0x<16-bit hex>)' or the same from perf script; "
        "lenient reading skips and counts such lines"
    )
