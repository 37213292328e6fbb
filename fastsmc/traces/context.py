"""What stands before an event on a line of a tracer's text: who, where, when, and the event's name.

Each tracer, and each of its options, has a form of its own. A form is a regular expression that is anchored at the
start of the line, because a marker may quote the line of a call.

Sources: Linux kernel/trace/trace_output.c (trace_print_context, trace_print_lat_context, lat_print_generic) and
trace_functions_graph.c; libtraceevent tep_print_event and trace-cmd trace-read.c; tools/perf/builtin-script.c
(perf_sample__fprintf_start) and builtin-trace.c (trace__event_handler); Babeltrace 2, plugins/text/pretty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# Bounded counts keep a line of a million spaces from costing quadratic time.
_TASK = r"(?P<task>\S.{0,259}?)"
_CPU = r"\[(?P<cpu>\d{3,5})\]"
_STAMP = r"(?P<s>[0-8]?\d{1,9})\.(?P<fraction>\d{6}(?:\d{3})?)"
_TIME = rf"(?:{_STAMP}|(?P<ticks>\d{{1,20}}))"
_DELTA = r"(?:\(\+\d{1,20}\)\s+)?"  # trace-cmd report --ts-diff
_PERIOD = r"(?:\d+\s+)?"  # perf's period, before events that have one
_NAME = r"(?P<event>[^\s:]+(?::[^\s:]+)*):(?:\s+|$)"
_MAYBE_NAME = rf"(?:{_NAME})?"
_KVM = r"(?P<event>(?:kvm:)?kvm_[a-z_0-9]+):(?:\s+|$)"

# A comm is 15 characters at most, too short to hold "[000] 1.000000: x:", so the leftmost prefix is the real one.
_USUAL = re.compile(
    rf"\s*{_TASK}\s{{1,32}}{_CPU}\s+"
    r"(?:[^\s:]{1,8}\s+)?"  # ftrace flags: "....", "d..1.", 7 columns on RT kernels; perf's misc: "U", "K"
    rf"{_TIME}:\s+{_DELTA}{_PERIOD}{_MAYBE_NAME}",
    re.ASCII,
)
_OTHERS = tuple(
    re.compile(form, re.ASCII)
    for form in (
        # ftrace's latency-format, trace-cmd report -l: the CPU stands against its flags, ftrace's time is in us
        rf"\s*{_TASK}\s{{1,32}}(?P<cpu>\d{{1,5}})[.a-zA-Z][^\s:]{{2,7}}\s+"
        rf"(?:(?P<us>\d{{1,15}})us[ +!#*@$]?\s*|{_TIME}):\s+{_DELTA}{_MAYBE_NAME}",
        # ftrace's latency-format with the option verbose
        rf"\s*{_TASK}\s{{1,32}}(?P<cpu>\d{{1,5}})\s+\d+\s+[0-9a-f]{{8}}\s+[0-9a-f]{{8}}\s+\[[0-9a-f]{{8,16}}\]\s+"
        rf"(?P<ms>\d{{1,12}})\.(?P<ms_fraction>\d{{3}})ms\s+\(\+[\d.]{{1,20}}ms\):\s+{_MAYBE_NAME}",
        # ftrace's function_graph: the event is a comment among the functions
        rf"\s*(?:{_STAMP}\s+\|\s+)?(?P<cpu>\d{{1,5}})\)\s+(?:(?P<task>\S.{{0,40}}?-\d{{1,9}})\s+\|)?[^|]{{0,60}}\|\s+"
        rf"/\*\s+{_NAME}",
        # perf trace: milliseconds, comm/tid, and the fields as arguments
        r"\s*(?P<ms>\d{1,12})\.(?P<ms_fraction>\d{3})\s+(?:\([^()]{0,30}\):\s+)?"
        r"(?:(?P<task>\S.{0,40}?/\d{1,9})\s+)?(?P<event>\w+:\w+)(?P<arguments>[(:])",
        # Babeltrace, of LTTng and of perf data convert --to-ctf
        r"\[(?:(?P<date>\d{4}-\d\d-\d\d) )?(?:(?P<clock>\d\d:\d\d:\d\d\.\d{9})|(?P<cs>[0-8]?\d{1,9})\.(?P<cns>\d{9})"
        r"|(?P<ticks>\d{1,20}))\]\s+(?:\(\+[\d.?]{1,40}\)\s+)?(?:[^\s{]{1,255}\s+){0,3}?"
        r"(?P<event>[\w.-]+(?::[\w.-]+)?):\s+(?P<arguments>\{)",
        # perf script -F without some of comm, pid, cpu and time, or all of them
        rf"\s*(?:{_TASK}\s{{1,32}})??(?:{_CPU}\s+)?(?:[A-Z]{{1,5}}\s+)?(?:{_STAMP}:\s+){_PERIOD}(?:(?P<event>\w+(?::\w+)?):\s+)?"
        r"(?=\S)",
        rf"\s*(?:(?P<task>[^\s\[][^\[\]]{{0,259}}?)(?<!:)\s{{1,32}})??(?:{_CPU}\s+)?(?P<event>kvm:\w+):\s+(?=\S)",
        # ftrace's option nocontext-info: the event alone
        rf"\s*{_KVM}",
    )
)
_FTRACE_TASK = re.compile(r"(?P<comm>.*)-(?P<pid>\d{1,9})(?:\s+\(\s*[\d-]+\))?", re.ASCII)
_PERF_TASK = re.compile(r"(?:(?P<comm>.*)\s)?\s*(?:-?\d+/)?(?P<pid>-?\d{1,9})", re.ASCII)
_PERF_TRACE_TASK = re.compile(r"(?P<comm>.*)/(?P<pid>\d{1,9})", re.ASCII)
_SPACE = " \t\r\f\v"  # what \s means above: a comm may end in other white space
_MAX_COMM = 15
"""Bytes of a comm. Source: Linux include/linux/sched.h, TASK_COMM_LEN less its zero."""
# What grep -n, grep over several files, and trace-cmd report with several files put before a line.
_FILE = re.compile(
    r"(?!\d{1,9}[:\t-])(?P<file>[^\s:][^:]{0,254}?:|[^\s:]{1,254}?-(?=\d{1,9}-))?(?:\d{1,9}[:-])?\s*|\d{1,9}[:\t-]\s*",
    re.ASCII,
)
GREP = re.compile(r"(?P<file>[^\s:][^\s:]{0,254}:|[^\s:]{1,254}?-(?=\d{1,9}-))?(?:\s*\d{1,9}(?:[:-]|\t))?", re.ASCII)
# What the kernel's log puts before a line of a dumped buffer: dmesg, dmesg -x, dmesg -T, journalctl -k.
_JOURNAL = r"(?:\w{3} [ \d]\d \d\d:\d\d:\d\d \S{1,255} kernel: |\S{1,40} \S{1,255} kernel: )"
LOG = re.compile(
    rf"{_JOURNAL}(?!\[)|(?:{_JOURNAL}|\w{{1,8}} {{0,2}}: ?\w{{1,8}} {{0,2}}: ?)?"
    r"(?:<\d{1,3}>)?\[(?:\s*\d{1,10}\.\d{6}|\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\]\s?(?:\[\s*[TC]\d+\]\s?)?",
    re.ASCII,
)
# What else stamps a line: ts, kubectl logs --timestamps, docker compose, syslog, journalctl of a service.
_STAMPED = re.compile(
    r"(?:<\d{1,3}>1 )?(?:\d{4}-\d\d-\d\d[T ]|\w{3} [ \d]\d )?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\s+"
    r"(?:\S{1,255} \S{1,64}(?:\[\d{1,9}\]:|(?<!:) \d{1,9} - -) )?|\[pod/\S{1,255}\]\s+|[\w.-]{1,64}\s{1,64}\| ",
    re.ASCII,
)

Task = tuple[str, int]
"""Comm and pid; -1 where the text has no pid, as perf prints for a thread that it does not know."""


class Context(NamedTuple):
    """What stands before an event.

    Attributes:
        task: as text; "" where there is none.
        cpu: -1 where the text does not have it.
        time_ns: None where the text has no time, or counts in a unit of its own.
        is_time_of_day: the clock starts anew at midnight.
        event: the name, "" where there is none.
        end: where the event's own text begins.
        is_perf_trace: it is a line of perf trace, which writes comm/tid.
    """

    task: str
    cpu: int
    time_ns: int | None
    is_time_of_day: bool
    event: str
    end: int
    is_perf_trace: bool


def usual(line: str) -> re.Match[str] | None:
    """The form of ftrace, trace-cmd report and perf script without options: nearly every line has it."""
    return _USUAL.match(line)


def contexts(line: str, match: re.Match[str] | None, start: int = 0) -> Iterator[Context]:
    """What may stand before an event of a line, in the forms that fit, the usual one first."""
    if match:  # quicker than by name
        task, cpu, s, fraction, _ticks, event = match.groups()
        time_ns = int(s) * 1_000_000_000 + int(fraction.ljust(9, "0")) if s else None
        yield Context(task, int(cpu), time_ns, False, event or "", match.end(), False)
    for form in _OTHERS:
        if other := form.match(line, start):
            yield _context(other)


def _context(match: re.Match[str]) -> Context:
    groups = match.groupdict()
    time_ns = None
    if groups.get("s"):
        time_ns = int(groups["s"]) * 1_000_000_000 + int(groups["fraction"].ljust(9, "0"))
    elif groups.get("us"):
        time_ns = int(groups["us"]) * 1_000
    elif groups.get("ms"):
        time_ns = int(groups["ms"]) * 1_000_000 + int(groups["ms_fraction"]) * 1_000
    elif groups.get("cs"):
        time_ns = int(groups["cs"]) * 1_000_000_000 + int(groups["cns"])
    elif clock := groups.get("clock"):
        hours, minutes, seconds = clock.split(":")
        time_ns = (int(hours) * 3600 + int(minutes) * 60 + int(seconds[:2])) * 1_000_000_000 + int(seconds[3:])
    arguments = groups.get("arguments")
    return Context(
        task=groups.get("task") or "",
        cpu=int(groups.get("cpu") or -1),
        time_ns=time_ns,
        is_time_of_day=bool(groups.get("clock")),
        event=groups.get("event") or "",
        end=match.end() - (arguments == "{"),
        is_perf_trace=arguments in ("(", ":"),
    )


def task_of(context: Context) -> tuple[Task, str] | None:
    """Who the task field names, and the file that a tool put before it ("" if none); None for a malformed field.

    A comm has 15 bytes at most. A longer one holds what `grep -n`, or trace-cmd with several files, put before it.
    """
    text = context.task
    if not text:
        return ("", -1), ""
    is_perf = ":" in context.event or not context.event
    grammars: tuple[re.Pattern[str], ...] = (_PERF_TASK, _FTRACE_TASK) if is_perf else (_FTRACE_TASK, _PERF_TASK)
    if context.is_perf_trace:
        grammars = (_PERF_TRACE_TASK,)
    task = next(filter(None, (grammar.fullmatch(text) for grammar in grammars)), None)
    if task is None and not is_perf:
        return None
    comm, pid = ((task["comm"] or "").rstrip(_SPACE), int(task["pid"])) if task else (text, -1)
    file = ""
    if len(comm.encode("utf-8", "surrogateescape")) > _MAX_COMM:
        if stamp := LOG.match(comm) or _STAMPED.match(comm):
            comm = comm[stamp.end() :]
        elif before := _FILE.match(comm):
            file, comm = (before["file"] or "").rstrip(":-"), comm[before.end() :]
    return (comm.strip(_SPACE), pid), file
