"""A compact copy of recordings: every release, every kind of answer, small enough to live beside the tests."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastsmc.errors import RecordingError
from fastsmc.facts.smccc import FUNCTION_BY_ID, FUNCTIONS, OWNER_MASK, OWNER_SHIFT, is_psci_allowed
from fastsmc.progress import Progress
from fastsmc.recordings.folder import CALL_KINDS, PROBE, Record, Recording, find_recordings, payload_path

WHOLE_KINDS = ("sweep", "setreg", "danger", "misc", "reglist", "restore")
"""Kinds that are small as they are, or whose lines count each other."""

EVERY_NTH = {"fuzz_calls": 5, "fuzz_regs": 8, "fuzz_filter": 8}
"""Of so many configurations or sequences of a random kind, one is kept; each stands alone."""

SEQUENCE_KINDS = ("fuzz_regs", "fuzz_filter")
"""Kinds of which a record is a sequence of operations on one VM."""

ASKS_ABOUT_AN_ID = frozenset(f.func_id for f in FUNCTIONS if f.name.endswith("_FEATURES"))
"""Functions whose answer depends on the function id in x1."""


def compact(paths: Iterable[Path | str], destination: Path, *, progress: Progress | None = None) -> int:
    """Writes a compact copy of recordings that `verify` reads like the originals; returns its bytes.

    Of the calls of one configuration, the first of each (function or kind of id, conduit, answer, id asked about) is
    kept, in order; nothing is changed in a line that is kept. Summaries of calls are left out, since they count lines
    that are gone.

    Raises:
        RecordingError: nothing to copy, or a destination that is its own source.
    """
    recordings = [r for path in paths for r in find_recordings(path)]
    try:
        return _written(recordings, destination, progress)
    except OSError as error:
        msg = f"{destination}: a compact copy cannot be written there ({error})"
        raise RecordingError(msg) from error


def _written(recordings: list[Recording], destination: Path, progress: Progress | None) -> int:
    destination.mkdir(parents=True, exist_ok=True)
    size = 0
    copied: set[Path] = set()
    for done, recording in enumerate(recordings):
        if progress is not None:
            progress(recording.name, done, len(recordings))
        folder = destination / recording.name
        if folder.resolve() == recording.folder.resolve():
            msg = f"{folder}: a compact copy cannot replace its own source; give another folder"
            raise RecordingError(msg)
        folder.mkdir(exist_ok=True)
        (folder / "meta.json").write_text(
            json.dumps({**recording.meta, "compact": True}, indent=1) + "\n", encoding="utf-8"
        )
        for kind in dict.fromkeys((*CALL_KINDS, *WHOLE_KINDS, *SEQUENCE_KINDS)):
            if recording.has(kind):
                size += _write(folder / f"{kind}.jsonl.xz", _kept(recording, kind))
        if (recording.folder / PROBE).exists():
            (folder / PROBE).write_bytes((recording.folder / PROBE).read_bytes())
            copied.add(folder / PROBE)
        copied.update(_copy_payloads(recording, destination))
    return size + sum(path.stat().st_size for path in copied)


def _copy_payloads(recording: Recording, destination: Path) -> Iterator[Path]:
    """Copies a host's payloads, and those of other hosts from which it restored: a copy of one host stands alone."""
    wanted = {(recording.name, features) for features in recording.payloads()}
    if recording.has("restore"):
        wanted |= {(record["src"], record["feat"]) for _, record in recording.records("restore")}
    for name, features in sorted(wanted):
        source = payload_path(recording.folder.resolve().parent / name, features)
        if source.exists():
            copy = payload_path(destination / name, features)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(source.read_bytes())
            yield copy


def _write(path: Path, records: Iterator[Record]) -> int:
    text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
    packed = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
    path.write_bytes(packed)
    return len(packed)


def _kept(recording: Recording, kind: str) -> Iterator[Record]:
    records = (record for _, record in recording.records(kind))
    if kind in WHOLE_KINDS:
        yield from records
    elif kind in CALL_KINDS:
        yield from _kept_calls(records, EVERY_NTH.get(kind, 1))
    else:
        yield from (record for number, record in enumerate(records) if number % EVERY_NTH[kind] == 0)


def _kept_calls(records: Iterator[Record], every: int) -> Iterator[Record]:
    number = -1
    seen: set[Any] = set()
    for record in records:
        if "fw" in record:
            number += 1
            seen = set()
        if number % every or record.get("summary"):
            continue
        signature = _signature(record) if "id" in record else None
        if signature is None or signature not in seen:
            seen.add(signature)
            yield record


def _signature(record: Record) -> tuple[object, ...]:
    """What makes a call worth keeping: function or kind of unknown id, conduit, answer, and an id it asks about.

    An exit and the registers seen after it are two lines of one call and are kept or left out together.
    """
    func_id = int(record["id"], 16) & 0xFFFF_FFFF
    what: object = func_id
    if func_id not in FUNCTION_BY_ID:
        owner = func_id >> OWNER_SHIFT & OWNER_MASK
        what = (func_id >> 30, min(owner, 7), is_psci_allowed(func_id))
    if _is_forwarded(record):
        return ("forwarded", record["id"], record["c"], *record["a"], "exit" in record)
    asked = record["a"][0] & 0xFFFF_FFFF if func_id in ASKS_ABOUT_AN_ID else None
    return (what, record["c"], _answer(record), asked if asked in FUNCTION_BY_ID else None)


def _is_forwarded(record: Record) -> bool:
    """Whether userspace saw the call: only after an exit does the guest find x0 as it was."""
    return "exit" in record or (_seen(record)[0] == record["id"] and int(record["id"], 16) != 0)


def _answer(record: Record) -> object:
    """x0 and the shape of x1..x3; the words themselves may be random."""
    return (_seen(record)[0], *(word == "0x0" for word in _seen(record)[1:]))


def _seen(record: Record) -> list[str]:
    """x0..x3 after the call, or r0..r3 of an AArch32 caller."""
    words: list[str] = record["r" if "r" in record else "x"]
    return words
