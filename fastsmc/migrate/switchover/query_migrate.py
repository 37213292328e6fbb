"""QMP's answer to query-migrate, or what HMP and libvirt print of it, read from a file.

Source: QEMU qapi/migration.json, MigrationInfo and MigrationStats; seen from QEMU 7.2.22 and 10.0.2. `monitor_text`
reads what is no JSON.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.files.limits import MONITOR
from fastsmc.files.packed import Refused
from fastsmc.files.source import opened
from fastsmc.files.text import text_of
from fastsmc.migrate.switchover import monitor_text

_MAX_NUMBER = 1 << 64
_LONGEST_MS = 3_600_000
"""No downtime is over an hour: a sanity bound of ours. QEMU's downtime-limit is at most 2,000 s."""
_ROUNDED_MS, _ROUNDED_BYTES = 2, 1024
"""By which sums may be off: times are in whole ms, sizes of HMP in KiB."""
_SPACE = re.compile(r"[ \t\r\n]*")
QMP = "query-migrate"
_POSTCOPY = ("postcopy-requests", "postcopy-bytes")
_GIVE = "give what QMP answers to query-migrate, or what HMP's info migrate or virsh domjobinfo --completed print"


@dataclass(frozen=True, slots=True)
class QueryMigrate:
    """One finished migration as its source tells it (measured). Times in ms; None where the answer has no such key.

    Attributes:
        downtime_ms: from stopping the guest to the end of sending; the destination's work is not in it.
        stopped_ram_bytes: guest memory sent while the guest was stopped (ram.downtime-bytes).
        mbps: of guest memory, over the whole migration (ram.mbps).
        told_by: query-migrate, info migrate (HMP) or domjobinfo (libvirt).
        notes: what a reader of the downtime should know, one sentence each.
    """

    path: str
    downtime_ms: float
    setup_ms: float | None
    total_ms: float | None
    stopped_ram_bytes: int | None
    transferred_bytes: int | None
    mbps: float | None
    told_by: str = QMP
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"QueryMigrate({self.path[:80]!r}, downtime_ms={self.downtime_ms:g}, total_ms={self.total_ms})"

    def __str__(self) -> str:
        stopped = "" if self.stopped_ram_bytes is None else f", {self.stopped_ram_bytes} B of memory sent meanwhile"
        return f"{self.path}: downtime {self.downtime_ms:g} ms{stopped} (measured)"


def read_query_migrate(path: str | os.PathLike[str]) -> QueryMigrate:
    """Read the answer, bare, within {"return": …} or the last of a QMP session; or HMP's or libvirt's text of it.

    Raises:
        InputError: no such file, neither JSON (with its line) nor such text, not an answer to query-migrate, a
            migration that has not completed, or a number out of range.
    """
    name = os.fspath(path)
    content = _content(Path(path), name)
    told_by = monitor_text.kind_of(content)
    table = monitor_text.answer_of(content, name) if told_by else _answer(_parsed(content, name), name)
    if table.get("status") != "completed":
        expected = table.get("expected-downtime")
        until = f" (until then it expects {shown(expected)} ms)" if isinstance(expected, int | float) else ""
        msg = f'{name}: "status" is {shown(table.get("status"))}; only a completed migration tells its downtime{until}'
        raise InputError(msg)
    ram = _object(table.get("ram", {}), name, '"ram"')
    downtime = _number(table, "downtime", name)
    if downtime is None:
        msg = f'{name}: "downtime" is missing: this is no answer of a migration\'s source'
        raise InputError(msg)
    setup, whole = (_number(table, key, name) for key in ("setup-time", "total-time"))
    stopped, sent = (_number(ram, key, name) for key in ("downtime-bytes", "transferred"))
    _check_sums(name, downtime, setup if told_by != monitor_text.LIBVIRT else None, whole, stopped, sent)
    return QueryMigrate(
        name,
        downtime,
        setup,
        whole,
        None if stopped is None else int(stopped),
        None if sent is None else int(sent),
        _number(ram, "mbps", name),
        told_by or QMP,
        tuple(_notes(table, name, told_by)),
    )


def _check_sums(
    name: str, downtime: float, setup: float | None, whole: float | None, stopped: float | None, sent: float | None
) -> None:
    """Raises if the parts are more than their whole."""
    if downtime > _LONGEST_MS:
        msg = f'{name}: "downtime" is {downtime:g} ms, which is over an hour: no guest is stopped for so long'
        raise InputError(msg)
    parts = downtime + (setup or 0)
    if whole is not None and parts > whole + _ROUNDED_MS:
        named = f"{downtime:g} ms" + (f' and "setup-time" {setup:g} ms' if setup else "")
        msg = f'{name}: "downtime" {named} are more than "total-time", {whole:g} ms: they contradict each other'
        raise InputError(msg)
    if stopped is not None and sent is not None and stopped > sent + _ROUNDED_BYTES:
        msg = f'{name}: "downtime-bytes" {stopped:.0f} are more than all that was "transferred", {sent:.0f}'
        raise InputError(msg)


def _notes(table: dict[str, Any], name: str, told_by: str | None) -> Iterator[str]:
    """What else the answer says that bears on the downtime."""
    if told_by == monitor_text.LIBVIRT:
        yield "libvirt's own count, which may go on until the guest runs at the destination"
        if isinstance(operation := table.get("operation"), str) and not operation.startswith("Outgoing"):
            yield f"the job is {shown(operation)}"
    if told_by == monitor_text.HMP:
        yield "bytes are rounded as HMP prints them"
    vfio = table.get("vfio")
    sent = _number(vfio, "transferred", name) if isinstance(vfio, dict) else None
    if sent:
        yield f"{sent:.0f} B of VFIO devices were sent too; what of them while the guest was stopped is not told"
    ram = table.get("ram", {})
    is_postcopy = any(isinstance(ram.get(key), int | float) and ram[key] for key in _POSTCOPY)
    if is_postcopy or isinstance(table.get("postcopy-blocktime"), int | float):
        yield "postcopy: memory came after the guest went on"


def is_answer(value: object) -> bool:
    """Whether a JSON value looks like an answer to query-migrate."""
    inner = value.get("return", value) if isinstance(value, dict) else None
    return (
        isinstance(inner, dict) and "status" in inner and not inner.keys().isdisjoint(("ram", "total-time", "downtime"))
    )


def _answer(values: list[Any], name: str) -> dict[str, Any]:
    """The answer among the values of a QMP session, which greets and answers other commands too; the last of them."""
    answers = [value for value in values if is_answer(value)]
    table = _object(answers[-1] if answers else values[-1], name, "the answer")
    return _object(table["return"], name, '"return"') if "return" in table else table


def _content(path: Path, name: str) -> str:
    try:
        with opened(path, MONITOR) as source:
            return text_of(source.all()).removeprefix("\ufeff")
    except Refused as error:
        msg = f"{name}: {error}"
        raise InputError(msg) from None


def _parsed(text: str, name: str) -> list[Any]:
    """The JSON values of a text, one after another; at least one."""
    decoder = json.JSONDecoder(parse_constant=_constant, object_pairs_hook=_once)
    values: list[Any] = []
    try:
        at = _after_space(text, 0)
        while at < len(text):
            value, end = decoder.raw_decode(text, at)
            values.append(value)
            at = _after_space(text, end)
        if values:
            return values
        msg = f"{name}: is empty; {_GIVE}"
    except json.JSONDecodeError as error:
        msg = f"{name}: line {error.lineno}: not JSON ({error.msg}); {_GIVE}"
    except (RecursionError, ValueError) as error:  # too deep, NaN, or a number of thousands of digits
        msg = f"{name}: not JSON as QEMU writes it: {'too deep' if isinstance(error, RecursionError) else error}"
    raise InputError(msg)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _constant(text: str) -> NoReturn:
    msg = f"{text} is no number"
    raise ValueError(msg)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, none of whose keys is given twice."""
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            msg = f"the key {shown(key)} stands twice in one object"
            raise ValueError(msg)
        table[key] = value
    return table


def _object(value: Any, name: str, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        msg = f"{name}: {what} is {shown(value)}, not an object; {_GIVE}"
        raise InputError(msg)
    return value


def _number(table: dict[str, Any], key: str, name: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MAX_NUMBER:
        msg = f'{name}: "{key}" is {shown(value)}: it must be a number of 0 or more'
        raise InputError(msg)
    assert math.isfinite(value)
    return value
