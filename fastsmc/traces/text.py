"""Hypercalls a real host recorded: the kvm:kvm_hvc_arm64 tracepoint, read from text.

The text is what ftrace, trace-cmd, perf, Perfetto, Babeltrace or bpftrace prints, plain or packed. The tracepoint sees
HVCs only: no SMC, no argument beyond r0, and not the workaround ids, which are answered before it.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from fastsmc.calls.counts import Counts
from fastsmc.calls.missing import of_what
from fastsmc.calls.trace import Trace
from fastsmc.checks import LAST_U32
from fastsmc.errors import TraceError
from fastsmc.results.units import number_of
from fastsmc.traces.context import Task
from fastsmc.traces.counted import TOO_MANY, Counted, is_row
from fastsmc.traces.formats import RECORD_COMMAND, Recognised, no_call, nothing_in
from fastsmc.traces.lines import (
    Call,
    Missing,
    Other,
    Seen,
    Who,
    cut_short,
    is_call_like,
    not_understood,
    plain,
    told_by,
    who,
)
from fastsmc.traces.source import MAX_LINE, lines_in, lines_of, name_of

__all__ = ["RECORD_COMMAND", "parse_trace", "timed_trace", "trace", "traced_calls"]

_DAY_NS = 86_400_000_000_000
MOST_LINES = 1 << 20
"""Lines that are read; 64 MiB of calls have 600,000."""
_CHECKED_EVERY = 1 << 10
_MOST_NAMES = 1 << 16
"""Tasks, and whatever else is kept by name; the largest host has some thousand vCPUs."""
_MOST_CELLS = 1 << 20
"""Functions times tasks: a table of them has a place for each."""
_MOST_RARE = 3 << 16
"""Lines in other forms than the usual one, 20 to 75 us each."""
_MOST_SKIPPED = 1 << 17
"""Lines that may be skipped, which take as long, and of which a trace has few."""
_CUT = "cut it (head, --cpu), or count in the kernel (hist:keys=r0.hex)"
_GREP = "keep the lines of calls alone (grep kvm_hvc_arm64), cut the file, or count in the kernel"
_SEE = "see whether the file is what a tracer wrote, or keep the lines of calls (grep kvm_hvc_arm64)"


def trace(path: str | os.PathLike[str], *, lenient: bool = False, el2: bool = False) -> Trace | Counts:
    """The hypercalls of a trace file, in file order; of a file of counts, how often each function was called.

    Args:
        path: text of ftrace, trace-cmd report, perf script, perf trace, Perfetto or Babeltrace, or counts of bpftrace
            or a hist trigger; plain, .gz, .xz, .bz2 or .zst, which is told from the first bytes. "-" is standard input.
        lenient: skip and count lines that are not understood instead of raising.
        el2: the guest that was traced has EL2 itself. KVM answered none of its HVCs, but for the workaround ids: it
            passed them on to the guest's own EL2 (vEL2). Nothing in a line says so, so it holds for all of the file.

    Returns:
        A Trace, or Counts where the tracer kept no more than those.

    Raises:
        TraceError: no such file, a directory, a binary recording, a text without single calls (perf kvm stat and
            others, by their names), damaged compression, a line that is not understood (unless lenient), or no
            hypercall in it.

    Cost: one pass; the memory of the calls, 56 bytes each. Measured 5 us for a line of another event, 14 us for a call,
    up to 40 us for one in a rarer form.
    """
    with lines_of(path) as (lines, name):
        return _Reading(name, os.fspath(path), lenient=lenient, has_ends=True, el2=el2).read(lines)


def traced_calls(path: str | os.PathLike[str], *, lenient: bool = False) -> Trace:
    """The same for who needs every call and their order.

    Raises:
        TraceError: as `trace`; and a file of counts.
    """
    return _no_counts(trace(path, lenient=lenient), os.fspath(path))


def timed_trace(path: str | os.PathLike[str], *, lenient: bool = False) -> Trace:
    """The same for who needs the time of every call, too.

    Raises:
        TraceError: as `traced_calls`; and a file without times, or with those of a clock that is no time.
    """
    read = traced_calls(path, lenient=lenient)
    if not read.has_times:
        message = (
            f"{os.fspath(path)}: its calls have no times in seconds (a counter as clock, or a tool's option that "
            f"leaves the time out); record them with `{RECORD_COMMAND} -C mono`, and print them with their times"
        )
        raise TraceError(message)
    return read


def parse_trace(lines: str | Iterable[str], *, name: str = "<text>", lenient: bool = False, el2: bool = False) -> Trace:
    """The hypercalls of trace text that is already in memory, as `trace` reads them from a file.

    Raises:
        TraceError: as `trace`; and text of counts.

    >>> line = "CPU 0/KVM-71  [000] .... 2.478778: kvm_hvc_arm64: HVC at 0xffffb523b702a0ac (r0: 0x84000000, imm: 0x0)"
    >>> read = parse_trace(line)
    >>> read.time_ns.tolist(), read.comm, read.by_service()
    ([2478778000], {71: ('CPU 0/KVM',)}, {('PSCI', 'PSCI_VERSION'): 1})
    """
    is_text = isinstance(lines, str)
    ended = lines_in(lines) if isinstance(lines, str) else lines
    read = _Reading(name, name, lenient=lenient, has_ends=is_text, el2=el2).read(ended)
    return _no_counts(read, name)


def _no_counts(read: Trace | Counts, where: str) -> Trace:
    if isinstance(read, Counts):
        message = f"{where}: {read.kind}, calls without times or order; record them with `{RECORD_COMMAND}`"
        raise TraceError(message)
    return read


class _Reading:
    """One pass over the lines of a file: calls as columns, and what else there was.

    Args:
        has_ends: each line has its line end, so that one without is cut.
        el2: the guest has EL2, on the caller's word.
    """

    def __init__(self, name: str, where: str, *, lenient: bool, has_ends: bool, el2: bool) -> None:
        self.name, self.where, self.lenient = name_of(where) if where == "-" else name, where, lenient
        self.has_ends, self.is_blank, self.has_el2 = has_ends, True, el2
        self.time_ns, self.line = array("q"), array("q")
        self.cpu, self.pid, self.imm = array("i"), array("i"), array("I")
        self.pc, self.r0 = array("Q"), array("Q")
        self.seen = Seen()
        self.comms: dict[Task, None] = {}
        self.files: Counter[str] = Counter()
        self.other: Counter[str] = Counter()
        self.exits: Counter[str] = Counter()
        self.last: dict[Who, int] = {}
        self.forwarded: Counter[int] = Counter()
        self.n_lost_records = self.n_lost_samples = self.n_skipped = self.n_skipped_call = self.first_skipped_line = 0
        self.has_times, self.is_loss_untold = True, False
        self.counted, self.recognised = Counted(), Recognised()
        self._day_ns = self._last_ns = 0

    def read(self, lines: Iterable[str]) -> Trace | Counts:
        """All lines, sorted into calls, other events, notices, and what is not understood."""
        number = 0
        for number, ended in enumerate(lines, 1):
            if number % _CHECKED_EVERY == 0:
                self._check(number)
            if ended == "\n":
                continue
            line = plain(ended)
            is_whole = not self.has_ends or ended.endswith(("\n", "\r")) or len(ended) >= MAX_LINE
            told = told_by(line, self.seen)
            if not is_whole and _may_go_on(line) and (isinstance(told, Call) or (isinstance(told, Missing) and told.n)):
                told = None
            if isinstance(told, Call):
                self._add(told, number)
            elif isinstance(told, Other):
                self.other[told.event] += 1
                if told.exit:
                    self._leave(told.exit, told.who)
            elif told is None:
                self._not_understood(line, number, is_whole=is_whole)
            else:
                self._miss(told, line)
        self._check(number)
        return self._result()

    def _check(self, number: int) -> None:
        """Refuses what is far beyond a trace, before it takes more memory or time.

        Raises:
            TraceError: more lines, tasks, or other names than limits allow.
        """
        if len(self.seen.tasks) > _MOST_NAMES:  # kept for speed; line numbers of grep -n make each one new
            self.seen.tasks.clear()
        n_name = max(len(self.comms), len(self.other), len(self.files), len(self.last))
        for n, most, what, to_do in (
            (number, MOST_LINES, "lines", _CUT),
            (n_name, _MOST_NAMES, "tasks, events or files by name", TOO_MANY),
            (self.seen.n_rare, _MOST_RARE, "lines in rare forms, which take long to read", _GREP),
            (self.n_skipped, _MOST_SKIPPED, "lines that are not understood", _SEE),
            (self.counted.has_too_many(), 0, "counts than a map or a histogram of function ids has", TOO_MANY),
        ):
            if n > most:
                much = f"more than {most} {what}" if most else f"more {what}"
                message = f"{self.where}:{number}: {much}; {to_do}"
                raise TraceError(message)

    def _check_calls(self) -> None:
        """Refuses calls of which no table can be made.

        Raises:
            TraceError: more functions, or functions by task, than limits allow.
        """
        func_ids = np.array(self.r0, np.uint64) & np.uint64(LAST_U32)
        called = np.unique((func_ids << np.uint64(16)) | np.array(self.imm, np.uint64))
        n_task = len(np.unique(np.array(self.pid, np.int32)))
        if len(called) > _MOST_NAMES or len(called) * n_task > _MOST_CELLS:
            many = f"{number_of(len(called), 'function')} called by {number_of(n_task, 'task')}"
            message = (
                f"{self.where}: {many}: more than {_MOST_NAMES} functions, or {_MOST_CELLS} of one with the other; "
                f"{TOO_MANY}"
            )
            raise TraceError(message)

    def _leave(self, kind: str, who: Who | None) -> None:
        """Counts an exit; of one to the VMM with a call, the function is that of the HVC before it on its vCPU."""
        self.exits[kind] += 1
        before = self.last.pop(who, None) if who else None
        if kind == "KVM_EXIT_HYPERCALL" and before is not None:
            self.forwarded[before] += 1

    @property
    def n_lost(self) -> int:
        """Events lost. One loss may be told twice, by its buffer and by its event; the larger sum has all of either."""
        return max(self.n_lost_records, self.n_lost_samples)

    @property
    def is_lost_least(self) -> bool:
        """Whether more were lost than is told: a notice without a number, or two sums of which neither has all."""
        return self.is_loss_untold or 0 < self.n_lost_samples != self.n_lost_records > 0

    def _miss(self, told: Missing, line: str) -> None:
        """Takes over what a line says that is no event."""
        if told.is_again:
            self.n_lost_samples += told.n
        else:
            self.n_lost_records += told.n
        self.is_loss_untold |= told.is_least
        self.is_blank &= not line.strip()
        if line.startswith("#"):
            self.counted.notes(line)
            self.recognised.takes(line)

    def _add(self, call: Call, number: int) -> None:
        time_ns = call.time_ns
        if time_ns is None:
            self.has_times, time_ns = False, 0
        elif call.is_time_of_day:  # such a clock starts anew at midnight
            self._day_ns += _DAY_NS if time_ns < self._last_ns - _DAY_NS // 2 else 0
            self._last_ns, time_ns = time_ns, time_ns + self._day_ns
        self.time_ns.append(time_ns)
        self.cpu.append(call.cpu)
        self.pid.append(call.task[1])
        self.pc.append(call.pc)
        self.r0.append(call.r0)
        self.imm.append(call.imm)
        self.line.append(number)
        if vcpu := who(call.task[1], call.cpu):
            self.last[vcpu] = call.r0 & LAST_U32
        self.comms[call.task] = None
        if call.file:
            self.files[call.file] += 1

    def _not_understood(self, line: str, number: int, *, is_whole: bool) -> None:
        self.is_blank = False
        if (is_whole or not _may_go_on(line)) and self.counted.takes(line):
            return
        if not self.line and self.recognised.takes(line):
            return
        if not self.lenient:
            has_begun = self.line or self.other or self.counted or is_call_like(line) or is_row(line)
            says = cut_short if has_begun and not is_whole else not_understood
            raise TraceError(says(f"{self.where}:{number}", line))
        self.n_skipped += 1
        self.n_skipped_call += is_call_like(line)
        self.first_skipped_line = self.first_skipped_line or number
        self.counted.skips(line, is_whole=is_whole)

    def _result(self) -> Trace | Counts:
        if not self.line:
            if self.counted and not self.other:
                skipped = {"n_skipped": self.n_skipped, "first_skipped_line": self.first_skipped_line}
                return replace(self.counted.result(self.name, self.where, **skipped), has_el2=self.has_el2)
            raise TraceError(self._no_call())
        if self.counted:
            message = f"{self.where}: it has both single calls and counts of calls; give them as two files"
            raise TraceError(message)
        self._check_calls()
        names: dict[int, list[str]] = {}
        for name, pid in self.comms:
            names.setdefault(pid, []).extend([name] if name or pid >= 0 else [])
        return Trace(
            name=self.name,
            time_ns=np.array(self.time_ns, np.int64) if self.has_times else np.zeros(len(self.line), np.int64),
            cpu=np.array(self.cpu, np.int32),
            pid=np.array(self.pid, np.int32),
            pc=np.array(self.pc, np.uint64),
            r0=np.array(self.r0, np.uint64),
            imm=np.array(self.imm, np.uint32),
            line=np.array(self.line, np.int64),
            comm={pid: tuple(its) for pid, its in names.items()},
            n_other_event=self.other.total(),
            n_lost=self.n_lost,
            is_lost_least=self.is_lost_least,
            n_skipped=self.n_skipped,
            first_skipped_line=self.first_skipped_line,
            n_skipped_call=self.n_skipped_call,
            exits=dict(sorted(self.exits.items())),
            forwarded=dict(sorted(self.forwarded.items())),
            files=dict(self.files),
            has_times=self.has_times,
            has_el2=self.has_el2,
        )

    def _no_call(self) -> str:
        if self.recognised.kind:
            return self.recognised.sentence(self.where)
        missing = f", {number_of(self.n_skipped, 'line')} not understood" if self.n_skipped else ""
        if self.n_skipped_call:
            missing += f", {number_of(self.n_skipped_call, 'call')} among them"
        lost = of_what(self.n_lost, "event", is_least=self.is_lost_least)
        missing += f", {lost} lost" if lost else ""
        if not (self.other or missing):
            return nothing_in(self.where, is_blank=self.is_blank)
        return no_call(self.where, self.other, self.exits, missing, el2=self.has_el2)


def _may_go_on(line: str) -> bool:
    """Whether a last line that has no line end may have lost a digit there."""
    return line[-1:].isalnum()
