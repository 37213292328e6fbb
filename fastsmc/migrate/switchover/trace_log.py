"""QEMU's own clock of a downtime: the vmstate_downtime_* events of its trace log.

QEMU has them from 8.2 on (from memory); 7.2 has not. Source: QEMU migration/trace-events; checked with logs of 10.0.2:

    1234@1700000000.123456:vmstate_downtime_save type=non-iterable idstr=cpu instance_id=0 downtime=85
    1234@1700000000.123999:vmstate_downtime_checkpoint src-vm-stopped

The process and time before the colon are there with "-msg timestamp=on" and missing without.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastsmc.checks import shown
from fastsmc.errors import TraceError
from fastsmc.files.limits import LOG, MIB
from fastsmc.files.packed import Refused
from fastsmc.files.source import opened
from fastsmc.migrate.switchover.trace_order import START, STOPPED, Order

MAX_LINE = 4096
MAX_EVENTS = 1 << 20
"""Bytes of a line and events of a log, at most: sanity bounds of ours. 512 vCPUs give some 2,000 events."""

_EVENT = re.compile(
    rb"(?:\d{1,10}@(?P<s>\d{1,12})\.(?P<us>\d{6}):\s?)?vmstate_downtime_(?P<what>save|load|checkpoint)\s(?P<rest>.*)"
)
_BEFORE = 48
_EVENT_IN = re.compile(
    rb"^.{0,%d}vmstate_downtime_|vmstate_downtime_(?:(?:save|load) type=|checkpoint (?:src|dst)-)" % _BEFORE
)
"""An event that is none as QEMU writes it, behind whatever another program put before it; far behind, it must have
more than its name, as a command line with -trace has the names."""
_PART = re.compile(
    rb"type=(?P<type>iterable|non-iterable) idstr=(?P<name>.{1,256}?) instance_id=(?P<instance>-?\d{1,10}) "
    rb"downtime=(?P<us>\d{1,13})"
)
_NAME = re.compile(rb"[a-z][a-z0-9-]{1,60}")

Key = tuple[str, str, int]
"""Type, name and instance of a section."""


@dataclass(slots=True, eq=False)
class DowntimeLog:
    """The events of one log (measured); times are in microseconds.

    Attributes:
        save, load: what each section took, by type, name and instance, in the order of the log.
        checkpoints: when each checkpoint was reached, by name; those without a time are left out.
        lines: where each checkpoint stands, those without a time too.
        last_load_us: when the last section was loaded.
        n_event, n_skipped: lines understood, and lines of anything else.
        n_earlier: migrations before the last one, which are left out.
    """

    path: str
    save: dict[Key, int] = field(default_factory=dict)
    load: dict[Key, int] = field(default_factory=dict)
    checkpoints: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    last_load_us: int | None = None
    n_event: int = 0
    n_skipped: int = 0
    n_earlier: int = 0

    def __repr__(self) -> str:
        return f"DowntimeLog({self.path[:80]!r}, {self.n_event} events, {self.n_skipped} other lines)"

    def __str__(self) -> str:
        counts = f"{len(self.save)} sections saved, {len(self.load)} loaded, {len(self.checkpoints)} checkpoints"
        return f"{self.path}: {self.n_event} events, {self.n_skipped} other lines skipped; {counts} (measured)"

    def sections(self, side: str, kind: str) -> dict[tuple[str, int], int]:
        """What the sections of one kind took, by name and instance; `side` is save or load."""
        events = self.save if side == "save" else self.load
        return {key[1:]: us for key, us in events.items() if key[0] == kind}

    def between(self, first: str, last: str) -> int | None:
        """Microseconds from one checkpoint to another; None if the log lacks one of them.

        Raises:
            TraceError: they are in the other order, which happens in logs put together only.
        """
        if first not in self.checkpoints or last not in self.checkpoints:
            return None
        passed = self.checkpoints[last] - self.checkpoints[first]
        if passed < 0:
            msg = f"{self.path}: {last} (line {self.lines.get(last, 0)}) comes {-passed} us before {first} "
            msg += f"(line {self.lines.get(first, 0)}): give the logs of one migration"
            raise TraceError(msg)
        return passed


def read_downtime_log(path: str | os.PathLike[str]) -> DowntimeLog:
    """Read the log of one end of a migration, or of both ends put together; other lines are skipped and counted.

    Of several migrations from one source the last is told.

    Raises:
        TraceError: no such file, an event that is cut short or changed (with its line), no event at all, or events that
            contradict each other (`trace_order`, with both lines).
    """
    name = os.fspath(path)
    log, order = DowntimeLog(name), Order(name)
    try:
        with opened(path, LOG) as source:
            for number, line in enumerate(source.lines(MIB), 1):
                _read(log, order, line[:MAX_LINE].strip(b"\r\n"), number)
    except Refused as error:
        msg = f"{name}: {error}"
        raise TraceError(msg) from None
    if not log.n_event:
        msg = f"{name}: no vmstate_downtime_* event in {log.n_skipped} lines; QEMU 8.2 and later write them"
        raise TraceError(msg)
    order.check_end()
    return log


def merged(logs: Sequence[DowntimeLog]) -> DowntimeLog:
    """Logs of one migration, such as its source's and its destination's, as one.

    Raises:
        TraceError: two of them tell the same: they are of two migrations.
    """
    whole = DowntimeLog(" + ".join(log.path for log in logs))
    for log in logs:
        whole.lines |= log.lines
        for name in ("save", "load", "checkpoints"):
            known, new = getattr(whole, name), getattr(log, name)
            if twice := known.keys() & new.keys():
                msg = f"{log.path}: {name} of {min(twice)!r} is in another log too: give the logs of one migration"
                raise TraceError(msg)
            known |= new
        whole.last_load_us = log.last_load_us if whole.last_load_us is None else whole.last_load_us
        whole.n_event += log.n_event
        whole.n_skipped += log.n_skipped
        whole.n_earlier += log.n_earlier
    return whole


def _read(log: DowntimeLog, order: Order, line: bytes, number: int) -> None:
    where, match = f"{log.path}: line {number}", _EVENT.fullmatch(line)
    if match is None:
        if found := _EVENT_IN.search(line):
            msg = f"{where}: {_shown(line[max(0, found.start() - _BEFORE) :])} is no event as QEMU writes it"
            raise TraceError(msg)
        log.n_skipped += 1
        return
    log.n_event += 1
    if log.n_event > MAX_EVENTS:
        msg = f"{where}: more than {MAX_EVENTS} events; 512 vCPUs give some 2000"
        raise TraceError(msg)
    at = None if match["s"] is None else int(match["s"]) * 1_000_000 + int(match["us"])
    if match["what"] == b"checkpoint":
        _checkpoint(log, order, match["rest"], at, number)
    else:
        _section(log, order, match["what"].decode(), match["rest"], at, number)


def _checkpoint(log: DowntimeLog, order: Order, rest: bytes, at: int | None, line: int) -> None:
    if _NAME.fullmatch(rest) is None:
        msg = f"{log.path}: line {line}: {_shown(rest)} is no name of a checkpoint, such as {STOPPED}"
        raise TraceError(msg)
    name = rest.decode()
    if name == START and order.begin(line):
        log.n_earlier += 1
        log.save.clear()
        for table in (log.checkpoints, log.lines):
            for key in [key for key in table if key.startswith("src-")]:
                del table[key]
    order.checkpoint(name, at, line)
    log.lines[name] = line
    if at is not None:
        log.checkpoints[name] = at


def _section(log: DowntimeLog, order: Order, side: str, rest: bytes, at: int | None, line: int) -> None:
    match = _PART.fullmatch(rest)
    if match is None:
        msg = f"{log.path}: line {line}: {_shown(rest)} must be type=… idstr=… instance_id=… downtime=<us>"
        raise TraceError(msg)
    kind, name, us = match["type"].decode(), match["name"].decode("utf-8", "replace"), int(match["us"])
    key = (kind, name, int(match["instance"]))
    events = log.save if side == "save" else log.load
    what = f"{shown(name)} instance {key[2]}"
    if key in events:
        msg = f"{log.path}: line {line}: a second {side} of {what}: two migrations are mixed here; give one"
        raise TraceError(msg)
    order.section(side, kind, what, us, at, line)
    events[key] = us
    if side == "load" and at is not None:
        log.last_load_us = at


def _shown(text: bytes) -> str:
    return shown(text[:80].decode("utf-8", "replace"))
