"""QMP's answer to query-migrate, read from a file.

Source: QEMU qapi/migration.json, MigrationInfo and MigrationStats; seen from QEMU 7.2.22 and 10.0.2.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fastsmc.errors import InputError

MAX_BYTES = 1 << 20
"""A real answer has less than 2 kB."""
_MAX_NUMBER = 1 << 64


@dataclass(frozen=True, slots=True)
class QueryMigrate:
    """One finished migration as its source tells it (measured). Times in ms; None where the answer has no such key.

    Attributes:
        downtime_ms: from stopping the guest to the end of sending; the destination's work is not in it.
        stopped_ram_bytes: guest memory sent while the guest was stopped (ram.downtime-bytes).
        mbps: of guest memory, over the whole migration (ram.mbps).
    """

    path: str
    downtime_ms: float
    setup_ms: float | None
    total_ms: float | None
    stopped_ram_bytes: int | None
    transferred_bytes: int | None
    mbps: float | None

    def __repr__(self) -> str:
        return f"QueryMigrate({self.path[:80]!r}, downtime_ms={self.downtime_ms:g}, total_ms={self.total_ms})"

    def __str__(self) -> str:
        stopped = "" if self.stopped_ram_bytes is None else f", {self.stopped_ram_bytes} B of memory sent meanwhile"
        return f"{self.path}: downtime {self.downtime_ms:g} ms{stopped} (measured)"


def read_query_migrate(path: str | os.PathLike[str]) -> QueryMigrate:
    """Read the answer, bare or within {"return": …}.

    Raises:
        InputError: no such file, not JSON (with its line), not an answer to query-migrate, a migration that has not
            completed, or a number out of range.
    """
    name = os.fspath(path)
    table = _object(_parsed(Path(path), name), name, "the answer")
    if "return" in table:
        table = _object(table["return"], name, '"return"')
    if table.get("status") != "completed":
        msg = f'{name}: "status" is {str(table.get("status"))[:40]!r}; only a completed migration tells its downtime'
        raise InputError(msg)
    ram = _object(table.get("ram", {}), name, '"ram"')
    downtime = _number(table, "downtime", name)
    if downtime is None:
        msg = f'{name}: "downtime" is missing: this is no answer of a migration\'s source'
        raise InputError(msg)
    stopped, sent = (_number(ram, key, name) for key in ("downtime-bytes", "transferred"))
    return QueryMigrate(
        name,
        downtime,
        _number(table, "setup-time", name),
        _number(table, "total-time", name),
        None if stopped is None else int(stopped),
        None if sent is None else int(sent),
        _number(ram, "mbps", name),
    )


def _parsed(path: Path, name: str) -> Any:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        msg = f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}"
        raise InputError(msg) from None
    if len(content) > MAX_BYTES:
        msg = f"{name}: over {MAX_BYTES} bytes; an answer to query-migrate has less than 2000"
        raise InputError(msg)
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_constant)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        msg = f"{name}: line {line}: not UTF-8"
    except json.JSONDecodeError as error:
        msg = f"{name}: line {error.lineno}: not JSON ({error.msg}); give what QMP answers to query-migrate"
    except (RecursionError, ValueError) as error:  # too deep, NaN, or a number of thousands of digits
        msg = f"{name}: not JSON as QEMU writes it: {'too deep' if isinstance(error, RecursionError) else error}"
    raise InputError(msg)


def _constant(text: str) -> NoReturn:
    msg = f"{text} is no number"
    raise ValueError(msg)


def _object(value: Any, name: str, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        msg = f"{name}: {what} is {str(value)[:40]!r}, not an object; give what QMP answers to query-migrate"
        raise InputError(msg)
    return value


def _number(table: dict[str, Any], key: str, name: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MAX_NUMBER:
        msg = f'{name}: "{key}" is {str(value)[:40]!r}: it must be a number of 0 or more'
        raise InputError(msg)
    assert math.isfinite(value)
    return value
