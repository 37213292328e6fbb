"""Recordings of real kernels: folders of one host each, JSON lines compressed with xz.

A host's folder holds meta.json and <kind>.jsonl.xz files; the format is described in tests/recordings/README.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastsmc.checks import shown
from fastsmc.errors import FastsmcError, InputError, RecordingError
from fastsmc.facts.releases import Release, release
from fastsmc.facts.smccc import Conduit
from fastsmc.files import strict_json
from fastsmc.files.limits import MAX_RECORD, META, PAYLOAD, RECORDS
from fastsmc.files.packed import Refused
from fastsmc.files.source import opened
from fastsmc.recordings.mode import meta_of_name

Record = dict[str, Any]

CALL_KINDS = ("calls", "random", "sweep", "fuzz_calls", "filter", "a32")
"""Kinds whose records are calls, below headers that describe the VMs which made them."""
GUEST_KINDS = ("nested", "protected")
"""Kinds of records of guests that are not ordinary: vCPUs with EL2, and protected VMs."""
PROBE = "trace_probe_hvc_only.txt.xz"
"""The file in which the tracepoint itself recorded a host's first calls."""

CONDUIT = {"hvc0": Conduit.HVC, "smc0": Conduit.SMC, "hvc1": Conduit.HVC_IMM, "smc1": Conduit.SMC_IMM}
"""How recordings spell a conduit; the digit is the immediate."""

FORMAT_ERRORS = (
    *(KeyError, ValueError, TypeError, IndexError, AttributeError),
    *(OverflowError, RecursionError, MemoryError, InputError),
)
"""The errors that come of reading a record of another shape, or one that asks for what no VM can do."""


@dataclass(frozen=True, slots=True, repr=False)
class Recording:
    """One recorded host.

    Attributes:
        folder: where its files lie.
        name: the folder's name.
        meta: meta.json, read whole.
        release: the rules of its kernel, as its own meta.json names it.
    """

    folder: Path
    name: str
    meta: Record
    release: Release

    def __repr__(self) -> str:
        return f"Recording({shown(self.name)}, Linux {shown(self.release.name)})"

    @property
    def is_compact(self) -> bool:
        """Whether it is a compact copy, in which lines were left out."""
        return self.meta.get("compact") is True

    def kinds(self) -> tuple[str, ...]:
        """Kinds of records there are, by file name, sorted."""
        return tuple(sorted(path.name.removesuffix(".jsonl.xz") for path in self.folder.glob("*.jsonl.xz")))

    def other_files(self) -> tuple[str, ...]:
        """Files that hold no records: whatever is not meta.json, *.jsonl.xz or a payload, sorted."""
        others = (path.name for path in self.folder.iterdir() if path.is_file() and path.name != "meta.json")
        return tuple(sorted(name for name in others if not name.endswith((".jsonl.xz", ".bin.xz"))))

    def has(self, kind: str) -> bool:
        """Whether there are records of a kind."""
        return (self.folder / f"{kind}.jsonl.xz").exists()

    def records(self, kind: str) -> Iterator[tuple[int, Record]]:
        """Line number and record of every line of a kind.

        Raises:
            RecordingError: the file is truncated or damaged, or a line is not a JSON object.
        """
        path = self.folder / f"{kind}.jsonl.xz"
        number = 0
        try:
            with opened(path, RECORDS, is_named=False) as source:
                for number, line in enumerate(source.lines(MAX_RECORD), 1):
                    record = json.loads(line)
                    if not isinstance(record, dict):
                        found = shown(line.decode(errors="replace").strip())
                        msg = f"{path}:{number}: a record must be a JSON object, found {found}"
                        raise RecordingError(msg)
                    yield number, record
        except RecursionError as error:
            msg = f"{path}:{number + 1}: nested too deeply for a record"
            raise RecordingError(msg) from error
        except (Refused, UnicodeDecodeError) as error:
            msg = f"{path}: cannot be read past line {number} ({error}); is the file whole?"
            raise RecordingError(msg) from error
        except json.JSONDecodeError as error:
            msg = f"{path}:{number}: not JSON ({error.msg} at column {error.colno})"
            raise RecordingError(msg) from error
        except ValueError as error:  # of int()
            msg = f"{path}:{number}: a number of thousands of digits, which no record has"
            raise RecordingError(msg) from error

    def payloads(self) -> tuple[str, ...]:
        """Feature sets of which there is a payload-<features>.bin.xz, sorted."""
        return tuple(sorted(map(_payload_features, self.folder.glob("payload-*.bin.xz"))))

    def malformed(self, kind: str, line: int, error: Exception) -> RecordingError:
        """The error for a record that is JSON but not what the format says."""
        missing = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        return RecordingError(f"{self.folder / kind}.jsonl.xz:{line}: not a record of this kind: {missing}")


def payload_path(folder: Path, features: str) -> Path:
    """Where a host's folder keeps all registers of a vCPU with these features, whole values."""
    return folder / f"payload-{features}.bin.xz"


def _payload_features(path: Path) -> str:
    return path.name.removeprefix("payload-").removesuffix(".bin.xz")


def read_payload(path: Path) -> bytes:
    """A payload as recorded, decompressed: u64 count, then u64 id and value per register, little-endian.

    Raises:
        RecordingError: missing, truncated or damaged.
    """
    try:
        with opened(path, PAYLOAD, is_named=False) as source:
            return source.all()
    except Refused as error:
        msg = f"{path}: {error}; is the file whole?"
        raise RecordingError(msg) from error


def kernel_name(meta: Record) -> str:
    """The Linux version of a recorded host: the stable update from the distribution's version text where it has one."""
    series = re.match(r"v?\d+\.\d+", str(meta.get("release", "")))
    update = re.search(r"\b(\d+\.\d+)\.\d+(?=[-+~])", str(meta.get("version", "")))
    if series and update and update.group(1) == series.group():
        return update.group()
    return str(meta.get("release", ""))


def open_recording(folder: Path) -> Recording:
    """Opens one host's folder.

    A folder without meta.json is opened where its own name tells release and kvm-arm.mode: 7.3.4-mode-protected.

    Raises:
        RecordingError: no readable meta.json, or a kernel outside the known releases.
    """
    path = folder / "meta.json"
    meta = meta_of_name(folder.resolve().name) if _is_named_alone(folder) else None
    try:
        meta = strict_json.read(path, META, is_named=False) if meta is None else meta
    except Refused as error:
        msg = f"{path}: {error}"
        raise RecordingError(msg) from error
    if not isinstance(meta, dict) or not isinstance(meta.get("release"), str):
        msg = f'{path}: must be an object with "release", the kernel\'s `uname -r`'
        raise RecordingError(msg)
    if not isinstance(meta.get("version", ""), str) or not isinstance(meta.get("compact", False), bool):
        msg = f'{path}: "version" must be text, the kernel\'s `uname -v`, and "compact" true or false'
        raise RecordingError(msg)
    try:
        rules = release(kernel_name(meta))
    except FastsmcError as error:
        msg = f"{path}: {error}"
        raise RecordingError(msg) from error
    return Recording(folder, folder.resolve().name, meta, rules)


def _is_named_alone(folder: Path) -> bool:
    """Whether a folder holds records, no meta.json, and has a name that says what a meta.json would."""
    is_without = not (folder / "meta.json").exists() and any(folder.glob("*.jsonl.xz"))
    return is_without and meta_of_name(folder.resolve().name) is not None


def find_recordings(path: Path | str) -> list[Recording]:
    """The recordings at a path: a host's folder, or a folder of such folders, sorted by release and name.

    Raises:
        RecordingError: nothing there, or nothing that looks like a recording.
    """
    root = Path(path)
    if not root.is_dir():
        msg = f"{root}: not a folder; give a host's folder (with meta.json) or a folder of such folders"
        raise RecordingError(msg)
    if (root / "meta.json").exists() or _is_named_alone(root):
        return [open_recording(root)]
    children = (child for child in sorted(root.iterdir()) if child.is_dir())
    found = [open_recording(child) for child in children if (child / "meta.json").exists() or _is_named_alone(child)]
    if not found:
        msg = f"{root}: holds no recording; a host's folder has a meta.json and *.jsonl.xz files"
        raise RecordingError(msg)
    return sorted(found, key=lambda one: (one.release.series, one.release.stable or 0, one.name))
