"""What belongs to a compact copy: its meta.json lists the files and how much is in each, so half a copy is noticed.

    "files": {"calls.jsonl.xz": {"records": 512}, "payload-none.bin.xz": {"registers": 312}}

Copies made before there was a list have none: of those it is not known whether they are whole.
"""

from __future__ import annotations

import io
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from fastsmc.checks import shown
from fastsmc.errors import InputError, RecordingError
from fastsmc.files.limits import RECORDS
from fastsmc.files.packed import Refused
from fastsmc.files.source import Source, opened
from fastsmc.recordings.folder import PROBE, Recording

_FILE = re.compile(r"[A-Za-z0-9_]{1,40}\.jsonl\.xz|payload-[A-Za-z0-9_+]{1,80}\.bin\.xz|" + re.escape(PROBE))
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,99}")
_NESTED = re.compile(r"nested/(\d{1,3}(?:\.\d{1,3}){1,2})")
_FEATURES = re.compile(r"[A-Za-z0-9_+]{1,80}")
_MAX_NESTED = "-max-nested"
_CHUNK = 1 << 20


def host_name(text: object) -> str:
    """The name of a host's folder, as a record gives it: no path, so that nothing outside can be meant.

    Hosts in the mode `nested` call each other nested/6.18.15, which is linux-6.18.15-max-nested here.

    Raises:
        InputError: something else.

    >>> host_name("nested/6.18.15")
    'linux-6.18.15-max-nested'
    """
    if isinstance(text, str) and (nested := _NESTED.fullmatch(text)):
        return f"linux-{nested[1]}{_MAX_NESTED}"
    if not isinstance(text, str) or not _FOLDER.fullmatch(text):
        msg = f"src is {shown(text)}: it must be the name of a host's folder, letters, digits and . _ + ~ -"
        raise InputError(msg)
    return text


def folder_names(name: str) -> tuple[str, ...]:
    """The names that a host's folder may have: the recorder calls those of hosts in the mode `nested` by release.

    >>> folder_names("linux-6.18.15-max-nested"), folder_names("linux-6.18.15-max")
    (('linux-6.18.15-max-nested', '6.18.15'), ('linux-6.18.15-max',))
    """
    if not name.endswith(_MAX_NESTED):
        return (name,)
    return name, name.removeprefix("linux-").removesuffix(_MAX_NESTED)


def feature_set(text: object) -> str:
    """A feature set, as a record gives it; it is part of the name of a file.

    Raises:
        InputError: something else.
    """
    if not isinstance(text, str) or not _FEATURES.fullmatch(text):
        msg = f"feat is {shown(text)}: it must be vCPU features such as psci02+pmu"
        raise InputError(msg)
    return text


def require_inside(path: Path, recording: Recording) -> None:
    """A file of a recording, or of one beside it, is a file there.

    Raises:
        RecordingError: a link that leads elsewhere, or no file.
    """
    real = path.resolve()
    if not real.is_relative_to(recording.folder.resolve().parent):
        msg = f"{path}: a link that leads out of the folder of recordings; put the file itself there"
        raise RecordingError(msg)
    if not real.is_file():
        msg = f"{path}: no file, where a file of a recording is needed"
        raise RecordingError(msg)


def amount(name: str, content: bytes) -> dict[str, int]:
    """What the list says of a file's packed content.

    Raises:
        RecordingError: it cannot be unpacked.
    """
    try:
        return _amount(name, Source(io.BytesIO(content), RECORDS))
    except Refused as error:
        msg = f"{name}: cannot be read ({error}); is the file whole?"
        raise RecordingError(msg) from error


def _amount(name: str, unpacked: Source) -> dict[str, int]:
    if name.endswith(".bin.xz"):
        return {"registers": int.from_bytes(unpacked.head[:8], "little")}
    n_line = sum(part.count(b"\n") for part in iter(lambda: unpacked.read(_CHUNK), b""))
    return {"lines" if name == PROBE else "records": n_line}


def is_known_whole(recording: Recording, kinds: Container[str] | None = None) -> bool:
    """Whether a compact copy is known to be whole; every file of its list is there with what the list says.

    Args:
        kinds: kinds of records of which the records are counted; all by default.

    Raises:
        RecordingError: a file is missing, holds more or less, or does not belong to it; or the list is none.
    """
    meta = recording.folder / "meta.json"
    if "files" not in recording.meta:
        return False
    listed = recording.meta["files"]
    if not isinstance(listed, dict) or not all(map(_FILE.fullmatch, listed)):
        msg = f'{meta}: "files" is {shown(listed)}: it must list the files of this copy by name, none of another folder'
        raise RecordingError(msg)
    for name, told in listed.items():
        path = recording.folder / name
        if not path.is_file():
            msg = f"{path}: missing, but meta.json lists it with {_told(told)}: the copy is not whole; copy it again"
            raise RecordingError(msg)
        if kinds is None or name.partition(".")[0] in kinds:
            _check_amount(path, told)
    for kind in recording.kinds():
        if f"{kind}.jsonl.xz" not in listed:
            msg = f"{recording.folder / kind}.jsonl.xz: not among the files that meta.json lists: of another copy?"
            raise RecordingError(msg)
    return recording.meta.get("source_is_unlisted") is not True


def _check_amount(path: Path, told: object) -> None:
    try:
        with opened(path, RECORDS, is_named=False) as unpacked:
            found = _amount(path.name, unpacked)
    except Refused as error:
        msg = f"{path}: cannot be read ({error}); is the file whole?"
        raise RecordingError(msg) from error
    if told != found:
        msg = f"{path}: it holds {_told(found)}, but meta.json lists it with {_told(told)}; copy it again"
        raise RecordingError(msg)


def _told(what: Any) -> str:
    if isinstance(what, dict) and len(what) == 1 and type(next(iter(what.values()))) is int:
        name, number = next(iter(what.items()))
        return f"{number} {name}" if name in ("records", "registers", "lines") else shown(what)
    return shown(what)
