"""One line of a tracer's text: a call, an exit, another event, a notice of missing events, or nothing it should be.

Sources of the notices: Linux kernel/trace/trace.c (lost events, the dump of a buffer), trace-cmd trace-read.c ("EVENTS
DROPPED"), tools/perf/builtin-script.c (side-band records, call chains).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from fastsmc.traces.bodies import CALLS, EVENT, EXITS, call_of, exit_of, field_of, tracepoint
from fastsmc.traces.context import GREP, LOG, Context, Task, contexts, task_of, usual
from fastsmc.traces.counted import is_row

_OVERRUN = re.compile(r"#\s*entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})", re.ASCII)
# perf's summary counts chunks, each an unknown number of events, or percent of samples; without a group, none is told.
_LOST = re.compile(
    r"CPU:\d+ \[(?:LOST (?P<ftrace>\d{1,18} )?EVENTS|(?P<trace_cmd>\d{1,18} )?EVENTS DROPPED)\]\s*"
    r"|.*PERF_RECORD_LOST\s+lost\s(?P<perf>\d{1,18})\s*"
    r"|.*PERF_RECORD_LOST_SAMPLES\s+lost\s(?P<samples>\d{1,18})\s*(?:\(BPF\)\s*)?"
    r"|LOST (?P<perf_trace>\d{1,18}) events!\s*"
    r"|Processed \d{1,18} (?:events and lost \d{1,18} chunks|samples and lost [\d.]{1,20}%)!\s*"
    r"|Processed \d{1,18} events and lost (?P<perf_events>\d{1,18}) events!\s*"
    r"|(?:\[(?:warning|error)\]|WARNING:) (?:Tracer )?(?:may have )?[Dd]iscarded "
    r"(?:(?P<lttng>\d{1,18}) events?|(?:\d{1,18} )?packets?|events?)\b.*",  # a packet holds many events
    re.ASCII,
)
_RECORD = re.compile(r".{0,300}?\bPERF_RECORD_(?!LOST)[A-Z0-9_]{1,40}\b", re.ASCII)
_HARMLESS = re.compile(
    r"\s*|.{0,255}?cpus=\d+\s*|version = \d+\s*|CPU \d+ is empty\s*|TRACE:\s*"
    r"|\s+=> .*"  # a kernel stack of ftrace, a stack trace's end
    r"|\s+[0-9a-fA-F]{1,16} (?:\S.*|\s*)|\s+\S+ \(inlined\)\s*|\s+[\w./+-]+:\d+\s*"  # perf's call chains, its srcline
    r"|Warning:\s*|Check IO/CPU overload!\s*|\[ perf record: .*|==> .* <==\s*"
    r"|-{10,}\s*|\s*\.{3}\s*|--\s*"  # grep's between groups
    r"|\s*(?:`{3}|~{3})\w{0,20}\s*",  # around code in Markdown
    re.ASCII,
)
# What a terminal shows before a command: "$ ", "user@host:~# ", "[user@host dir]$ ", "host:/sys # ", "sh-5.1# ".
_PROMPT = re.compile(
    r"\s{0,8}(?:\([\w.-]{1,40}\) )?(?:"
    r"\[?[\w.-]{1,64}@[\w.-]{1,255}(?:[:\s][^\s$#%>\]]{0,255})?\]?\s?[$#%>]"
    r"|[\w.-]{1,255}:[~/][^\s$#%>]{0,255}\s?[$#%>]|[~/][^\s$#%>]{0,255} [$#%]|(?:\w{1,20}-\d[\d.]{0,10})?[$#%]"
    r"|PS [^>]{1,255}>"
    r")(?:\s.*|)",
    re.ASCII,
)
_COLOUR = re.compile(r"\x1b\[[0-9;?]{0,40}[@-~]", re.ASCII)
# What `sort | uniq -c` writes before lines that it found more than once, which have no time; no time has a colon there.
_UNIQ = re.compile(rf" *\d{{1,18}} (?:[^:]{{0,300}}\s|\s*)(?:(?:kvm:)?{EVENT}: |HVC at 0x)", re.ASCII)
# What function_graph and perf trace print besides events.
_FUNCTION = re.compile(
    r"\s*(?:\d{1,10}\.\d{6}\s+\|\s+)?\d{1,5}\)\s+(?:\S.{0,60}\|)?[^|]{0,80}\|.*|\s*\d{1,5}\)\s+\S.{0,40}? => .*"
    r"|\s*(?:\d{1,12}\.\d{3}|\?) \([^()]{0,30}\): .*",  # perf trace: a system call
    re.ASCII,
)
_NO_EVENT = re.compile(r"<(?:user )?stack trace>\s*|[^\s:]+ <-[^\s:]+\s*|PERF_RECORD_(?!LOST)[A-Z0-9_]+\b.*", re.ASCII)
# Not the kernel's function trace_event_raw_event_..., nor a command that names the event: what stands around it tells.
_CALL_LIKE = re.compile(rf"HVC at 0x(?![^0-9a-fA-F])|\b{EVENT}(?=[:(])|\d:\s+(?:kvm:)?{EVENT}\s*$", re.ASCII)
_NO_FIELDS = re.compile(rf"\bkvm:{EVENT}:\s*(?:$|[0-9a-f]{{1,16}} )", re.ASCII)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


_QUOTED = 120
"""Characters of a line that a message shows."""
_LENIENT = "lenient reading (--lenient, lenient=True) skips and counts such lines"


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
    """An event that is no call; `exit` says which kind of call made the guest leave, if one did, and `who` called."""

    event: str
    exit: str | None = None
    who: Who | None = None


Who = tuple[int, int]
"""Which vCPU it was: its thread and -1, or -1 and the CPU where the text has no thread."""


def who(pid: int, cpu: int) -> Who | None:
    """The same from what a line has; None where it has neither."""
    return (pid, -1) if pid >= 0 else (-1, cpu) if cpu >= 0 else None


class Missing(NamedTuple):
    """A line that is no event.

    Attributes:
        n: how many it says are missing, 0 as a rule. is_least: there are more, untold.
        is_again: another record may have told the same ones: perf counts a loss by buffer and by event.
    """

    n: int = 0
    is_least: bool = False
    is_again: bool = False


@dataclass(slots=True)
class Seen:
    """What is kept from one line to the next.

    Attributes:
        tasks: what task fields were found to say, because many lines share few fields.
        n_rare: lines that had to be compared with every rare form.
    """

    tasks: dict[tuple[str, str], tuple[Task, str] | None] = field(default_factory=dict)
    n_rare: int = 0


Told = Call | Other | Missing
"""What a line tells."""
_NOTHING = Missing()
_SPACE = " \t\n\r\f\v"


def told_by(line: str, seen: Seen) -> Told | None:
    """What a line tells; None if it is not understood.

    Args:
        seen: what lines before it were found to say.
    """
    if not line.strip(_SPACE):
        return _NOTHING
    if not line.isascii() and _NOT_UTF8.search(line):
        return None
    if "PERF_RECORD_LOST" in line:
        return _notice(line)
    match = usual(line) if "[" in line else None
    if match is None and ("HVC at 0x" in line or EVENT in line) and _UNIQ.match(line):
        return None
    if match and (event := tracepoint(match["event"])) and event not in CALLS:
        if event not in EXITS:
            return Other(event)
        context = Context(match["task"], int(match["cpu"]), None, False, event, match.end(), is_perf_trace=False)
        return _exit(line, context, event, seen)
    if match is None and (notice := _notice(line)) is not None:
        return notice
    seen.n_rare += match is None
    told = _told(line, 0, match, seen)
    if told is None and not is_row(line):  # whose count, behind a colon, would pass for an address of a call chain
        told = _behind_a_file(line, seen)
    if told is None and "HVC at 0x" not in line and "vcpu_pc" not in line and _PROMPT.fullmatch(line):
        return _NOTHING
    return told


def _behind_a_file(line: str, seen: Seen) -> Told | None:
    """What a line tells behind what grep, cat -n or the kernel's log put before it."""
    for pattern in (LOG, GREP):
        before = pattern.match(line)
        if before is None or not before.end():
            continue
        told = _told(line, before.end(), None, seen)
        if isinstance(told, Call) and pattern is GREP and before["file"]:
            return told._replace(file=before["file"].rstrip(":-"))
        if told is not None:
            return told
        rest = line[before.end() :]
        if rest.strip() and (notice := _notice(rest)) is not None:
            return notice
        if pattern is LOG and not is_call_like(line):
            return _NOTHING  # the log says other things, too
    return None


def _told(line: str, start: int, match: re.Match[str] | None, seen: Seen) -> Told | None:
    for context in contexts(line, match, start):
        event = tracepoint(context.event)
        if event in CALLS or (not event and line.startswith("HVC at 0x", context.end)):
            if call := _call(line, context, seen):
                return call
        elif event in EXITS:
            return _exit(line, context, event, seen)
        elif event:
            return Other(event)
        elif _NO_EVENT.match(line, context.end) and not is_call_like(line):
            return Other(line[context.end :].split()[0])
    if is_call_like(line):
        text = line.find("HVC at 0x", start)
        if text >= 0 and not line[start:text].strip():  # perf script -F trace
            return _call(line, Context("", -1, None, False, f"kvm:{EVENT}", text, False), seen)
        return None
    return _NOTHING if _FUNCTION.match(line, start) else None


def _call(line: str, context: Context, seen: Seen) -> Call | None:
    is_perf = ":" in context.event or not context.event
    body = call_of(line, context.end, is_perf=is_perf, is_perf_trace=context.is_perf_trace)
    if body is None:
        return None
    key = context.task, context.event  # the tools' event names go with different task fields
    if key not in seen.tasks:
        seen.tasks[key] = task_of(context)
    task = seen.tasks[key]
    if task is None:
        return None
    (comm, pid), file = task
    cpu = context.cpu
    if line.startswith("{", context.end):  # Babeltrace has the CPU and the thread among the fields
        found = (field_of(line, context.end, "cpu_id"), field_of(line, context.end, "perf_tid", "vtid", "tid"))
        cpu, pid = (-1 if number is None or not 0 <= number < 1 << 31 else number for number in found)
    return Call(context.time_ns, cpu, (comm, pid), *body, file, context.is_time_of_day)


def _exit(line: str, context: Context, event: str, seen: Seen) -> Other:
    kind = exit_of(event, line, context.end)
    if kind is None or line.startswith("{", context.end):  # of Babeltrace's fields none is read here
        return Other(event, kind)
    key = context.task, context.event
    if key not in seen.tasks:
        seen.tasks[key] = task_of(context)
    task = seen.tasks[key]
    return Other(event, kind, None if task is None else who(task[0][1], context.cpu))


def _notice(line: str) -> Missing | None:
    """What a line that is no event says is missing; None when it is no notice either."""
    if line.startswith("#"):
        overrun = _OVERRUN.match(line)
        return Missing(max(0, int(overrun[2]) - int(overrun[1]))) if overrun else _NOTHING
    is_loss = "LOST" in line or "lost " in line or "DROPPED" in line or "iscarded " in line
    if is_loss and (lost := _LOST.fullmatch(line)):
        number = next(filter(None, lost.groups()), None)
        is_again = lost["samples"] is not None
        return Missing(is_least=True) if number is None else Missing(int(number), is_again=is_again)
    if is_call_like(line):
        return None
    is_harmless = _HARMLESS.fullmatch(line) or ("PERF_RECORD_" in line and _RECORD.match(line))
    return _NOTHING if is_harmless else None


def plain(line: str) -> str:
    """A line without its end, and without the colours that grep and terminals put around what they found."""
    line = line.rstrip("\r\n")
    return _COLOUR.sub("", line) if "\x1b" in line else line


def is_call_like(line: str) -> bool:
    """Whether a line that is not understood was a hypercall."""
    return ("HVC at 0x" in line or EVENT in line) and _CALL_LIKE.search(line) is not None


def cut_short(place: str, line: str) -> str:
    """The sentence about the last line of a file that has no line end."""
    return (
        f"{place}: the file ends in the middle of a line: '{_quoted(line)}'; record or copy it again, or end the line "
        f"if nothing is missing; {_LENIENT}"
    )


def not_understood(place: str, line: str) -> str:
    """The sentence about a line that is none of these, and what a line should be."""
    text, quoted = line.strip(), _quoted(line)
    if not text.isascii() and _NOT_UTF8.search(text):
        return (
            f"{place}: bytes that are not UTF-8 text: '{quoted}'; convert the file from what it is in, such as with "
            f"`iconv -f LATIN1 -t UTF-8`; {_LENIENT}"
        )
    if is_call_like(text) and _NO_FIELDS.search(text):
        return (
            f"{place}: a call without its function id: '{quoted}'; print it with its fields, perf script with "
            f"`-F +trace`; {_LENIENT}"
        )
    if _UNIQ.match(line):
        return (
            f"{place}: '{quoted}': the number that it begins with is a count of `uniq -c` or a thread's, which look "
            f"alike; print each call with its time, perf script with `-F +time`; {_LENIENT}"
        )
    if is_row(text):
        return (
            f"{place}: damaged row of counts: '{quoted}'; expected '@[<id>]: <calls>' as bpftrace prints a map, its "
            f"JSON, or '{{ r0: <id> }} hitcount: <calls>'; {_LENIENT}"
        )
    what = f"damaged {EVENT} line" if is_call_like(text) else "not a line of ftrace, trace-cmd report or perf script"
    return (
        f"{place}: {what}: '{quoted}'; expected '<task>-<pid> [<cpu>] <flags> <s>.<us>: {EVENT}: "
        f"HVC at 0x<pc> (r0: 0x<hex>, imm: 0x<16-bit hex>)' or the same from perf script; {_LENIENT}"
    )


def _quoted(line: str) -> str:
    quoted = ascii(line.strip()[: _QUOTED + 1])[1:-1]
    return f"{quoted[:_QUOTED]}..." if len(quoted) > _QUOTED else quoted
