"""A compact copy of recordings: every release, every kind of answer, small enough to live beside the tests."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastsmc.disk.staged import staged
from fastsmc.errors import InputError, RecordingError
from fastsmc.facts.smccc import FUNCTION_BY_ID, FUNCTIONS, OWNER_MASK, OWNER_SHIFT, is_psci_allowed
from fastsmc.files.limits import AS_PACKED, COPY
from fastsmc.files.source import as_it_is, too_much
from fastsmc.progress import Progress
from fastsmc.recordings.belongs import amount, feature_set, folder_names, host_name, is_known_whole, require_inside
from fastsmc.recordings.folder import (
    CALL_KINDS,
    FORMAT_ERRORS,
    GUEST_KINDS,
    PROBE,
    Record,
    Recording,
    find_recordings,
    payload_path,
)

WHOLE_KINDS = ("sweep", "setreg", "danger", "misc", "reglist", "restore", *GUEST_KINDS)
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
    that are gone. Everything is read before anything is written, and all hosts appear at once in a new folder; one that
    is there gets them one by one, each whole.

    Raises:
        RecordingError: nothing to copy, a source that is damaged or not whole, or a destination that is its own source
            or cannot be written.
    """
    recordings = list({r.folder.resolve(): r for path in paths for r in find_recordings(path)}.values())
    _require_apart(recordings, destination)
    files: dict[str, bytes] = {}
    for done, recording in enumerate(recordings):
        if progress is not None:
            progress(recording.name, done, len(recordings))
        files |= _copy(recording, destination)
        if sum(map(len, files.values())) > COPY.most_bytes:
            msg = f"{recording.folder}: with it the copy has {too_much(COPY)}"
            raise RecordingError(msg)
    try:
        with staged() as writing:
            writing.folder(destination, files, without=frozenset(_stale(recordings, destination, files)))
    except OSError as error:
        msg = f"{destination}: a compact copy cannot be written there ({error.strerror or error})"
        raise RecordingError(msg) from error
    return sum(len(content) for name, content in files.items() if name.endswith(".xz"))


def _require_apart(recordings: list[Recording], destination: Path) -> None:
    for recording in recordings:
        folder = destination / recording.name
        if folder.resolve() == recording.folder.resolve():
            msg = f"{folder}: a compact copy cannot replace its own source; give another folder"
            raise RecordingError(msg)
    names = [recording.name for recording in recordings]
    if twice := next((name for name in names if names.count(name) > 1), None):
        msg = f"two of the recordings are called {twice}, and a copy has one folder of that name: copy one of them"
        raise RecordingError(msg)


def _copy(recording: Recording, destination: Path) -> dict[str, bytes]:
    """The files of a host's copy, meta.json last, and payloads of other hosts, each with its folder's name."""
    for path in recording.folder.iterdir():
        if path.name == "meta.json" or path.suffix == ".xz":
            require_inside(path, recording)
    others = dict(_payloads_restored(recording, destination))
    is_unlisted = recording.is_compact and not is_known_whole(recording)
    files = {
        f"{kind}.jsonl.xz": _packed(recording, kind)
        for kind in dict.fromkeys((*CALL_KINDS, *WHOLE_KINDS, *SEQUENCE_KINDS))
        if recording.has(kind)
    }
    try:
        if (recording.folder / PROBE).exists():
            files[PROBE] = as_it_is(recording.folder / PROBE, AS_PACKED)
        for features in map(feature_set, recording.payloads()):
            path = payload_path(recording.folder, features)
            files[path.name] = as_it_is(path, AS_PACKED)
    except (OSError, InputError) as error:
        msg = f"{recording.folder}: cannot be copied ({error})"
        raise RecordingError(msg) from error
    meta = {key: value for key, value in recording.meta.items() if key not in ("files", "source_is_unlisted")}
    meta |= {"compact": True, "files": {name: amount(name, content) for name, content in files.items()}}
    meta |= {"source_is_unlisted": True} if is_unlisted else {}
    files["meta.json"] = f"{json.dumps(meta, indent=1)}\n".encode()
    return {f"{recording.name}/{name}": content for name, content in files.items()} | others


def _payloads_restored(recording: Recording, destination: Path) -> Iterator[tuple[str, bytes]]:
    """Payloads of other hosts from which a host restored: a copy of one host stands alone."""
    wanted: set[tuple[str, str]] = set()
    kind, line = "restore", 0
    try:
        for line, record in recording.records(kind) if recording.has(kind) else ():  # noqa: B007
            wanted.add((host_name(record["src"]), feature_set(record["feat"])))
    except FORMAT_ERRORS as error:
        raise recording.malformed(kind, line, error) from error
    beside = recording.folder.resolve().parent
    for host, features in sorted(wanted):
        names = folder_names(host)
        name = next((one for one in names if payload_path(beside / one, features).exists()), None)
        if name is None or recording.name in names:
            continue
        source = payload_path(beside / name, features)
        require_inside(source, recording)
        copy = payload_path(destination / name, features)
        try:
            content = as_it_is(source, AS_PACKED)
            is_there = copy.is_file() and as_it_is(copy, AS_PACKED) == content
        except InputError as error:
            msg = f"{source}: cannot be copied to {copy} ({error})"
            raise RecordingError(msg) from error
        if not is_there:
            yield f"{name}/{copy.name}", content


def _stale(recordings: list[Recording], destination: Path, files: dict[str, bytes]) -> Iterator[str]:
    """Records that an earlier copy has of these hosts and the new one has not."""
    for recording in recordings:
        for path in (destination / recording.name).glob("*.jsonl.xz"):
            if f"{recording.name}/{path.name}" not in files:
                yield f"{recording.name}/{path.name}"


def _packed(recording: Recording, kind: str) -> bytes:
    line = 0

    def numbered() -> Iterator[Record]:
        nonlocal line
        for line, record in recording.records(kind):  # noqa: B007 - the handler below names it
            yield record

    packed: list[bytes] = []
    packer = lzma.LZMACompressor(preset=9 | lzma.PRESET_EXTREME)
    try:
        # One by one: what is kept of 512 MiB of records is no text in memory.
        kept = (f"{json.dumps(record, separators=(',', ':'))}\n" for record in _kept(numbered(), kind))
        packed.extend(packer.compress(line.encode()) for line in kept)
    except FORMAT_ERRORS as error:
        raise recording.malformed(kind, line, error) from error
    return b"".join((*packed, packer.flush()))


def _kept(records: Iterator[Record], kind: str) -> Iterator[Record]:
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
