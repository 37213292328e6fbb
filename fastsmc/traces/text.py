"""Hypercalls a real host recorded: the kvm:kvm_hvc_arm64 tracepoint, read from text.

Three tools print the event, each with its own prefix: raw ftrace (/sys/kernel/tracing/trace), `trace-cmd report` and
`perf script`. The tracepoint sees HVCs only: no SMC, no argument beyond r0, and not the workaround ids, which are
answered before it.

Sources: Linux arch/arm64/kvm/trace_arm.h, TRACE_EVENT(kvm_hvc_arm64): "HVC at 0x%016lx (r0: 0x%016lx, imm: 0x%lx)";
prefixes from kernel/trace/trace_output.c (trace_print_context), kernel/trace/trace.c (lost events), trace-cmd
trace-read.c ("EVENTS DROPPED") and tools/perf/builtin-script.c (perf_sample__fprintf_start).
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from io import BufferedReader, TextIOWrapper
from pathlib import Path

import numpy as np

from fastsmc.calls.trace import Trace
from fastsmc.errors import TraceError

EVENT = "kvm_hvc_arm64"
RECORD_COMMAND = "trace-cmd record -e kvm:kvm_hvc_arm64"

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
_BINARY = {
    b"\x17\x08\x44tracing": ("a binary trace.dat", "trace-cmd report -i"),
    b"PERFILE2": ("a binary perf.data", "perf script -i"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "zstd -dc"),
}


def trace(path: str | os.PathLike[str], *, lenient: bool = False) -> Trace:
    """The hypercalls of a trace file, in file order.

    The file is text of ftrace, `trace-cmd report` or `perf script`, plain, .gz or .xz.

    Args:
        path: the file; compression is told from its first bytes, not from its name.
        lenient: skip and count lines that are not understood instead of raising.

    Raises:
        TraceError: no such file, a directory, a binary recording, damaged compression, a line that is not understood
            (unless lenient), or no hypercall in it.

    Cost: one pass; measured 2 us for a line of another event, 6 us for a call.
    """
    path = Path(path)
    try:
        with _open(path) as stream:
            _refuse_binary(stream.peek(16), path)
            # newline="\n": a comm may hold a carriage return.
            lines = TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="\n")
            return _parse(lines, path.name, str(path), lenient=lenient)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        message = f"{path}: compressed data is damaged or cut short ({error}); copy or record the file again"
        raise TraceError(message) from error
    except OSError as error:
        reason = error.strerror or error
        message = f"{path}: {reason}; expected a text file as written by `trace-cmd report` or `perf script`"
        raise TraceError(message) from error


def parse_trace(lines: str | Iterable[str], *, name: str = "<text>", lenient: bool = False) -> Trace:
    """The hypercalls of trace text that is already in memory, as `trace` reads them from a file.

    >>> line = "CPU 0/KVM-71  [000] .... 2.478778: kvm_hvc_arm64: HVC at 0xffffb523b702a0ac (r0: 0x84000000, imm: 0x0)"
    >>> read = parse_trace(line)
    >>> read.time_ns.tolist(), read.comm, read.by_service()
    ([2478778000], {71: ('CPU 0/KVM',)}, {('PSCI', 'PSCI_VERSION'): 1})
    """
    return _parse(lines.split("\n") if isinstance(lines, str) else lines, name, name, lenient=lenient)


def _open(path: Path) -> BufferedReader | gzip.GzipFile | lzma.LZMAFile:
    with path.open("rb") as raw:
        magic = raw.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path, "rb")
    if magic == b"\xfd7zXZ\x00":
        return lzma.open(path, "rb")
    return path.open("rb")


def _refuse_binary(head: bytes, path: Path) -> None:
    for magic, (what, command) in _BINARY.items():
        if head.startswith(magic):
            message = f"{path}: {what}, not text; make text of it with `{command} {path} > trace.txt`"
            raise TraceError(message)


def _parse(lines: Iterable[str], name: str, where: str, *, lenient: bool) -> Trace:
    """Sort every line into a call, another event, a notice, or one that is not understood."""
    rows: list[tuple[int, int, int, int, int, int]] = []
    line_numbers: list[int] = []
    tasks: dict[str, tuple[str, int] | None] = {}  # a line's task field -> (comm, pid): few fields, many lines
    other: Counter[str] = Counter()
    n_lost = n_skipped = first_skipped_line = 0
    for number, line in enumerate(lines, 1):
        prefix = None if "PERF_RECORD_LOST" in line or _is_not_utf8(line) else _PREFIX.match(line)
        event = prefix["event"] if prefix else ""
        if prefix and event not in _TASK:
            other[event] += 1
            continue
        if prefix and (call := _call(prefix, line, tasks)):
            rows.append(call)
            line_numbers.append(number)
            continue
        lost = None if prefix else _notice(line)
        if lost is not None:
            n_lost += lost
        elif lenient:
            n_skipped += 1
            first_skipped_line = first_skipped_line or number
        else:
            raise TraceError(_not_understood(f"{where}:{number}", line))
    if not rows:
        raise TraceError(_no_call(where, other, n_lost, n_skipped))
    time_ns, cpu, pid, pc, r0, imm = zip(*rows, strict=True)
    return Trace(
        name=name,
        time_ns=np.array(time_ns, np.int64),
        cpu=np.array(cpu, np.int32),
        pid=np.array(pid, np.int32),
        pc=np.array(pc, np.uint64),
        r0=np.array(r0, np.uint64),
        imm=np.array(imm, np.uint32),
        line=np.array(line_numbers, np.int64),
        comm=_comm(tasks),
        n_other_event=other.total(),
        n_lost=n_lost,
        n_skipped=n_skipped,
        first_skipped_line=first_skipped_line,
    )


def _is_not_utf8(line: str) -> bool:
    return not line.isascii() and _NOT_UTF8.search(line) is not None


def _call(
    prefix: re.Match[str], line: str, tasks: dict[str, tuple[str, int] | None]
) -> tuple[int, int, int, int, int, int] | None:
    """The (time_ns, cpu, pid, pc, r0, imm) of a kvm_hvc_arm64 line, or None if it is malformed."""
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


def _comm(tasks: dict[str, tuple[str, int] | None]) -> dict[int, tuple[str, ...]]:
    names: dict[int, dict[str, None]] = {}
    for comm, pid in filter(None, tasks.values()):
        names.setdefault(pid, {})[comm] = None
    return {pid: tuple(comms) for pid, comms in names.items()}


def _notice(line: str) -> int | None:
    """How many events a line that is no event says are missing; None when it is no notice either."""
    if _is_not_utf8(line):
        return None
    if line.startswith("#"):
        overrun = _OVERRUN.match(line)
        return max(0, int(overrun[2]) - int(overrun[1])) if overrun else 0
    if lost := _LOST.fullmatch(line):
        return int(lost["ftrace"] or lost["trace_cmd"] or lost["perf"] or 1)
    return 0 if _HARMLESS.fullmatch(line) else None


def _not_understood(place: str, line: str) -> str:
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


def _no_call(where: str, other: Counter[str], n_lost: int, n_skipped: int) -> str:
    held = [f"{count} {event}" for event, count in other.most_common(5)]
    if len(other) > 5:
        held.append(f"{len(other) - 5} more kinds")
    skipped = f", {n_skipped} lines not understood" if n_skipped else ""
    lost = f", {n_lost} events lost" if n_lost else ""
    return (
        f"{where}: no {EVENT} event in it (it holds {', '.join(held) or 'no event at all'}{skipped}{lost}); "
        f"record it with `{RECORD_COMMAND}`"
    )
