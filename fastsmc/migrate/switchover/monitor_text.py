"""What people print of a migration as text: HMP's `info migrate` and `virsh domjobinfo`, in the terms of query-migrate.

HMP has two forms: a line per number up to 10.0 (seen from 7.2.22), and "Time (ms): total=…, setup=…, down=…" from 10.1
on (seen in a public note on 10.2). domjobinfo has a line per number with its unit, or names of libvirt's fields with
--rawstats. Sources: QEMU migration/migration-hmp-cmds.c; libvirt tools/virsh-domain.c (cmdDomjobinfo).
"""

from __future__ import annotations

import re
from typing import Any

from fastsmc.checks import shown
from fastsmc.errors import InputError

MAX_LINES = 4096

HMP, LIBVIRT = "info migrate", "domjobinfo"

_NUMBER = r"(\d{1,15}(?:\.\d{1,9})?)"
_LINE = re.compile(r"\s*([A-Za-z][\w/() -]{1,40}?)\s*:\s*(\S.{0,200}?)\s*", re.ASCII)
_VALUE = re.compile(rf"{_NUMBER}\s*([A-Za-z/]{{0,12}})", re.ASCII)
_PAIR = re.compile(rf"(\w+)={_NUMBER}(?:\s(B|[KMGT]iB))?", re.ASCII)
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "kbytes": 1 << 10, "": 1}

_HMP_TIMES = {"total time": "total-time", "downtime": "downtime", "setup": "setup-time"}
_HMP_TIMES |= {"expected downtime": "expected-downtime"}
_HMP_RAM = {"transferred ram": "transferred", "downtime ram": "downtime-bytes"}
_HMP_PAIRS = {"total": "total-time", "setup": "setup-time", "down": "downtime", "exp_down": "expected-downtime"}
_JOB_TIMES = {"Time elapsed": "total-time", "Total downtime": "downtime", "Setup time": "setup-time"}
_JOB_TIMES |= {"Expected downtime": "expected-downtime"}
_RAW = {"time_elapsed": "total-time", "downtime": "downtime", "setup_time": "setup-time"}
_JOB_TYPES = {"Completed": "completed", "Bounded": "active", "Unbounded": "active"}
_HEADS = ("Migration status", "Status", "Job type")
"""Lines with which an answer begins."""
_TIMES = _HMP_TIMES.keys() | _JOB_TIMES.keys() | _RAW.keys()
_MBIT = 8 / 1e6


def kind_of(text: str) -> str | None:
    """Which of the two a text is, None if neither."""
    head = text[:16384]
    if re.search(r"^[ \t]*(Migration status:|Status:[ \t]+[\w-]+[ \t\r]*$)", head, re.MULTILINE):
        return HMP
    is_job = re.search(r"^[ \t]*(Job type:|(time_elapsed|memory_processed):)", head, re.MULTILINE)
    return LIBVIRT if is_job else None


def answer_of(text: str, where: str) -> dict[str, Any]:
    """The numbers of such a text under the names that query-migrate has for them; of several answers the last.

    Sizes that were printed in KiB or MiB are as exact as they were printed. A line that is not understood is left out,
    as QEMU and libvirt print many more.

    Args:
        where: path of the file, for messages.

    Raises:
        InputError: a time that is no number, or a number told twice, with its line.
    """
    found: dict[str, Any] = {"ram": {}}
    line_of: dict[tuple[str, str], int] = {}
    for number, line in enumerate(text.split("\n")[:MAX_LINES], 1):
        match = _LINE.fullmatch(line[:300])
        if match is None:
            continue
        name = match[1]
        new: dict[str, Any] = {"ram": {}}
        if name in _HEADS and "status" in found:
            found, line_of = {"ram": {}}, {}
        _hmp(name, match[2], new)
        _job(name, match[2], new)
        if len(new) == 1 and (name in _TIMES or name == "Time (ms)"):
            msg = f"{where}: line {number}: {shown(line.strip())} is no time as QEMU or libvirt print it"
            raise InputError(msg)
        for place, table, into in (("", new, found), ("ram", new["ram"], found["ram"])):
            for key in table.keys() - {"ram"}:
                before = line_of.setdefault((place, key), number)
                if into.get(key, table[key]) != table[key]:
                    msg = f"{where}: line {number}: {key} is {table[key]}, but line {before} says {into[key]}"
                    raise InputError(msg)
                into[key] = table[key]
    return found


def _hmp(name: str, value: str, found: dict[str, Any]) -> None:
    ram = found["ram"]
    if name in ("Migration status", "Status"):
        found["status"] = value.split()[0]
    elif name in _HMP_TIMES:
        _put(found, _HMP_TIMES[name], _number(value, "ms", "milliseconds"))
    elif name in _HMP_RAM:
        _put(ram, _HMP_RAM[name], _size(value))
    elif name == "throughput":
        _put(ram, "mbps", _number(value, "mbps"))
    elif name == "Throughput (Mbps)":
        _put(ram, "mbps", _number(value, ""))
    elif name == "Time (ms)":
        for key, number, _ in _PAIR.findall(value):
            if key in _HMP_PAIRS:
                found[_HMP_PAIRS[key]] = float(number)
    elif name == "Transfers":
        for key, number, unit in _PAIR.findall(value):
            if key == "transferred":
                ram["transferred"] = float(number) * _UNITS[unit]


def _job(name: str, value: str, found: dict[str, Any]) -> None:
    ram = found["ram"]
    if name == "Job type":
        found["status"] = _JOB_TYPES.get(value, value.lower())
    elif name == "success":
        found["status"] = "completed" if value in ("true", "yes", "1") else "failed"
    elif name == "operation" or name == "Operation":
        found["operation"] = value
    elif name in _JOB_TIMES:
        _put(found, _JOB_TIMES[name], _number(value, "ms"))
    elif name in _RAW:
        _put(found, _RAW[name], _number(value, ""))
    elif name == "Memory processed":
        _put(ram, "transferred", _size(value))
    elif name == "memory_processed":
        _put(ram, "transferred", _number(value, ""))
    elif name == "Memory bandwidth":
        size = _size(value.removesuffix("/s"))
        _put(ram, "mbps", None if size is None else size * _MBIT)
    elif name == "memory_bps":
        speed = _number(value, "")
        _put(ram, "mbps", None if speed is None else speed * _MBIT)


def _put(table: dict[str, Any], key: str, value: float | None) -> None:
    if value is not None:
        table[key] = value


def _number(value: str, *units: str) -> float | None:
    match = _VALUE.fullmatch(value)
    return float(match[1]) if match and match[2] in units else None


def _size(value: str) -> float | None:
    match = _VALUE.fullmatch(value)
    return float(match[1]) * _UNITS[match[2]] if match and match[2] in _UNITS else None
