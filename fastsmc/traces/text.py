"""Hypercalls a real host recorded: the kvm:kvm_hvc_arm64 tracepoint, read from text.

The text is what ftrace, `trace-cmd report` or `perf script` prints, plain or compressed. The tracepoint sees HVCs only:
no SMC, no argument beyond r0, and not the workaround ids, which are answered before it.
"""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections import Counter
from collections.abc import Iterable
from io import BufferedReader, TextIOWrapper
from pathlib import Path

import numpy as np

from fastsmc.calls.trace import Trace
from fastsmc.errors import TraceError
from fastsmc.traces.lines import EVENT, Call, Tasks, call_of, comms_of, is_call, not_understood, notice_of, prefix_of

RECORD_COMMAND = "trace-cmd record -e kvm:kvm_hvc_arm64"

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
    rows: list[Call] = []
    line_numbers: list[int] = []
    tasks: Tasks = {}
    other: Counter[str] = Counter()
    n_lost = n_skipped = first_skipped_line = 0
    for number, line in enumerate(lines, 1):
        prefix = prefix_of(line)
        if prefix and not is_call(prefix["event"]):
            other[prefix["event"]] += 1
            continue
        if prefix and (call := call_of(prefix, line, tasks)):
            rows.append(call)
            line_numbers.append(number)
            continue
        lost = None if prefix else notice_of(line)
        if lost is not None:
            n_lost += lost
        elif lenient:
            n_skipped += 1
            first_skipped_line = first_skipped_line or number
        else:
            raise TraceError(not_understood(f"{where}:{number}", line))
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
        comm=comms_of(tasks),
        n_other_event=other.total(),
        n_lost=n_lost,
        n_skipped=n_skipped,
        first_skipped_line=first_skipped_line,
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
