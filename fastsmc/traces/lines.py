"""One line of a tracer's text: a call, an exit, another event, a notice of missing events, or nothing it should be.

Sources of the notices: Linux kernel/trace/trace.c (lost events, the dump of a buffer), trace-cmd trace-read.c ("EVENTS
DROPPED"), tools/perf/builtin-script.c (side-band records, call chains).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fastsmc.traces.bodies import CALLS, EVENT, EXITS, call_of, exit_of, field_of
from fastsmc.traces.context import GREP, LOG, Context, Task, contexts, task_of, usual

_OVERRUN = re.compile(r"#\s*entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})", re.ASCII)
_LOST = re.compile(
    r"CPU:\d+ \[(?:LOST (?P<ftrace>\d{1,18} )?EVENTS|(?P<trace_cmd>\d{1,18} )?EVENTS DROPPED)\]\s*"
    r"|.*PERF_RECORD_LOST(?:_SAMPLES)?\s+lost\s(?P<perf>\d{1,18})\s*"
    r"|LOST (?P<perf_trace>\d{1,18}) events!\s*"
    r"|Processed \d{1,18} events and lost (?P<chunks>\d{1,18}) \w{1,20}!\s*"
    r"|\[(?:warning|error)\] (?:Tracer )?[Dd]iscarded (?P<lttng>\d{1,18}) events.*",
    re.ASCII,
)
_RECORD = re.compile(r".{0,300}?\bPERF_RECORD_(?!LOST)[A-Z0-9_]{1,40}\b", re.ASCII)
_HARMLESS = re.compile(
    r"\s*|.{0,255}?cpus=\d+\s*|version = \d+\s*|CPU \d+ is empty\s*|TRACE:\s*"
    r"|\s+=> .*"  # a kernel stack of ftrace, a stack trace's end
    r"|\s+[0-9a-fA-F]{1,16} (?:\S.*|\s*)|\s+\S+ \(inlined\)\s*|\s+[\w./+-]+:\d+\s*"  # perf's call chains, its srcline
    r"|Warning:\s*|Check IO/CPU overload!\s*|\[ perf record: .*|==> .* <==\s*"
    r"|-{10,}\s*|\s*\.{3}\s*|--\s*",  # grep's between groups
    re.ASCII,
)
# What function_graph and perf trace print besides events.
_FUNCTION = re.compile(
    r"\s*(?:\d{1,10}\.\d{6}\s+\|\s+)?\d{1,5}\)\s+(?:\S.{0,60}\|)?[^|]{0,80}\|.*|\s*\d{1,5}\)\s+\S.{0,40}? => .*"
    r"|\s*(?:\d{1,12}\.\d{3}|\?) \([^()]{0,30}\): .*",  # perf trace: a system call
    re.ASCII,
)
_NO_EVENT = re.compile(r"<(?:user )?stack trace>\s*|[^\s:]+ <-[^\s:]+\s*|PERF_RECORD_(?!LOST)[A-Z0-9_]+\b.*", re.ASCII)
_EVENT = re.compile(rf"\b{EVENT}\b", re.ASCII)  # not the kernel's function trace_event_raw_event_...
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


_QUOTED = 120
"""Characters of a line that a message shows."""


class Call(NamedTuple):
    """A call.

    Attributes:
        time_ns: None where the text has no time. cpu, task: see Context and Task.
        file: what a tool put before the line to say where it is from.
    """

    time_ns: int | None
    cpu: int
    task: Task
    pc: int
    r0: int
    imm: int
    file: str
    is_time_of_day: bool


class Other(NamedTuple):
    """An event that is no call; `exit` says which kind of call made the guest leave, if one did."""

    event: str
    exit: str | None = None


Told = Call | Other | int
"""What a line tells. A number is of events that are missing, 0 on a line that says nothing."""


def told_by(line: str, tasks: dict[tuple[str, str], tuple[Task, str] | None]) -> Told | None:
    """What a line tells; None if it is not understood.

    Args:
        tasks: what task fields were found to say. It is kept because many lines share few fields.
    """
    if not line.isascii() and _NOT_UTF8.search(line):
        return None
    if "PERF_RECORD_LOST" in line:
        return _notice(line)
    match = usual(line)
    if match and (event := match["event"]) and event not in CALLS:
        return Other(event, exit_of(event, line, match.end()) if event in EXITS else None)
    if match is None and (notice := _notice(line)) is not None:
        return notice
    told = _told(line, 0, match, tasks)
    return _behind_a_file(line, tasks) if told is None else told


def _behind_a_file(line: str, tasks: dict[tuple[str, str], tuple[Task, str] | None]) -> Told | None:
    """What a line tells behind what grep, cat -n or the kernel's log put before it."""
    for pattern in (LOG, GREP):
        before = pattern.match(line)
        if before is None or not before.end():
            continue
        told = _told(line, before.end(), None, tasks)
        if isinstance(told, Call) and pattern is GREP and before["file"]:
            return told._replace(file=before["file"].rstrip(":-"))
        if told is not None:
            return told
        rest = line[before.end() :]
        if rest.strip() and (notice := _notice(rest)) is not None:
            return notice
        if pattern is LOG and not is_call_like(line):
            return 0  # the log says other things, too
    return None


def _told(
    line: str, start: int, match: re.Match[str] | None, tasks: dict[tuple[str, str], tuple[Task, str] | None]
) -> Told | None:
    has_call = is_call_like(line)
    for context in contexts(line, match, start):
        event = context.event
        if event in CALLS or (not event and line.startswith("HVC at 0x", context.end)):
            if call := _call(line, context, tasks):
                return call
        elif event in EXITS:
            return Other(event, exit_of(event, line, context.end))
        elif event:
            return Other(event)
        elif _NO_EVENT.match(line, context.end) and not has_call:
            return Other(line[context.end :].split()[0])
    if has_call:
        text = line.find("HVC at 0x", start)
        if text >= 0 and not line[start:text].strip():  # perf script -F trace
            return _call(line, Context("", -1, None, False, f"kvm:{EVENT}", text, False), tasks)
        return None
    return 0 if _FUNCTION.match(line, start) else None


def _call(line: str, context: Context, tasks: dict[tuple[str, str], tuple[Task, str] | None]) -> Call | None:
    is_perf = ":" in context.event or not context.event
    body = call_of(line, context.end, is_perf=is_perf, is_perf_trace=context.is_perf_trace)
    if body is None:
        return None
    key = context.task, context.event  # the tools' event names go with different task fields
    if key not in tasks:
        tasks[key] = task_of(context)
    task = tasks[key]
    if task is None:
        return None
    (comm, pid), file = task
    cpu = context.cpu
    if line.startswith("{", context.end):  # Babeltrace has the CPU and the thread among the fields
        found = (field_of(line, context.end, "cpu_id"), field_of(line, context.end, "perf_tid", "vtid", "tid"))
        cpu, pid = (-1 if number is None or not 0 <= number < 1 << 31 else number for number in found)
    return Call(context.time_ns, cpu, (comm, pid), *body, file, context.is_time_of_day)


def _notice(line: str) -> int | None:
    """How many events a line that is no event says are missing; None when it is no notice either."""
    if line.startswith("#"):
        overrun = _OVERRUN.match(line)
        return max(0, int(overrun[2]) - int(overrun[1])) if overrun else 0
    if lost := _LOST.fullmatch(line):
        return int(next(filter(None, lost.groups()), 1))
    if is_call_like(line):
        return None
    return 0 if _HARMLESS.fullmatch(line) or _RECORD.match(line) else None


def is_call_like(line: str) -> bool:
    """Whether a line that is not understood was a hypercall."""
    return "HVC at 0x" in line or _EVENT.search(line) is not None


def not_understood(place: str, line: str) -> str:
    """The sentence about a line that is none of these, and what a line should be."""
    text = line.strip()
    if not text.isascii() and _NOT_UTF8.search(text):
        what = "bytes that are not UTF-8 text"
    elif is_call_like(text):
        what = f"damaged {EVENT} line"
    else:
        what = "not a line of ftrace, trace-cmd report or perf script"
    quoted = ascii(text[: _QUOTED + 1])[1:-1]
    if len(quoted) > _QUOTED:
        quoted = f"{quoted[:_QUOTED]}..."
    if is_call_like(text) and "r0" not in text:
        return (
            f"{place}: a call without its function id: '{quoted}'; print it with its fields, perf script with "
            "`-F +trace`; lenient reading (--lenient, lenient=True) skips and counts such lines"
        )
    return (
        f"{place}: {what}: '{quoted}'; expected '<task>-<pid> [<cpu>] <flags> <s>.<us>: {EVENT}: "
        "HVC at 0x<pc> (r0: 0x<hex>, imm: 0x<16-bit hex>)' or the same from perf script; "
        "lenient reading (--lenient, lenient=True) skips and counts such lines"
    )
