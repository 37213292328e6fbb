"""`inspect`: what a file is, told by its content, and its registers."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from fastsmc.checks import one_of, shown
from fastsmc.errors import RegisterFileError
from fastsmc.files.limits import MIB, REGISTERS, TEXT_BYTES
from fastsmc.files.packed import Refused
from fastsmc.files.strict_json import parse
from fastsmc.files.text import encoding_of, text_of
from fastsmc.migrate.read import (
    analyze_migration,
    cloud_hypervisor,
    cpu_model,
    cpu_template,
    fingerprint,
    host_profile,
    idregs,
    qemu_log,
    recorded,
    reg_list,
    reg_report,
    snapshot_editor,
    vmm_log,
)
from fastsmc.migrate.read.banks import banks
from fastsmc.migrate.read.cpu_model import CpuModel
from fastsmc.migrate.read.cpu_template import CpuTemplate
from fastsmc.migrate.read.limits import MAX_SESSION_BYTES
from fastsmc.migrate.read.lines import printable
from fastsmc.migrate.read.listing import MAX_BANKS
from fastsmc.migrate.read.naming import NamedRegisters
from fastsmc.migrate.read.qemu import stream as qemu_stream
from fastsmc.migrate.read.qemu.framing import MAGIC
from fastsmc.migrate.read.result import FileProvenance, Format, Part, RegisterFile
from fastsmc.migrate.read.source import Cursor, cursor_on, opened
from fastsmc.migrate.read.told import Told
from fastsmc.migrate.switchover import monitor_text
from fastsmc.migrate.switchover.query_migrate import QMP, is_answer

_JSON_READERS: dict[
    Format,
    tuple[Callable[[object], bool], Callable[[dict[str, Any], bytes], Told | CpuTemplate | CpuModel | NamedRegisters]],
] = {
    Format.CPU_TEMPLATE: (cpu_template.is_ours, lambda value, _: cpu_template.read(value)),
    Format.CPU_MODEL: (cpu_model.is_ours, lambda value, _: cpu_model.read(value)),
    Format.FINGERPRINT: (fingerprint.is_ours, fingerprint.read),
    Format.CLOUD_HYPERVISOR: (cloud_hypervisor.is_ours, cloud_hypervisor.read),
    Format.ANALYZE_MIGRATION: (analyze_migration.is_ours, analyze_migration.read),
    Format.VMM_LOG: (vmm_log.is_answer, vmm_log.read_answer),
}
_TEXT_READERS: dict[Format, tuple[Callable[[str], bool], Callable[[str], Told | NamedRegisters]]] = {
    Format.SNAPSHOT_EDITOR: (snapshot_editor.is_ours, snapshot_editor.read),
    Format.IDREGS: (idregs.is_ours, idregs.read),
    Format.VMM_LOG: (vmm_log.is_ours, vmm_log.read),
    Format.REG_LIST_REPORT: (reg_report.is_ours, reg_report.read),
    Format.REG_LIST: (reg_list.is_ours, reg_list.read),
    Format.QEMU_LOG: (qemu_log.is_ours, qemu_log.read),
}
_KNOWN = (
    "a QEMU migration stream, the JSON of analyze-migration.py, a Firecracker fingerprint or CPU template, Cloud "
    "Hypervisor's state.json, the text of snapshot-editor or of get-reg-list, KVM's debugfs idregs, QMP's "
    "query-cpu-model-expansion, a log of a VMM, a host profile, or a recorded reglist or payload"
)

_FOUR = re.compile(b"[\xf0-\xff]")
"""Bytes that a letter of UTF-8 beyond U+FFFF begins with."""
_GREETING = (b'{"QMP":', b'{"return": {}}', b'{"return":{}}', b'{"execute":')
"""How a QMP session begins: QEMU's greeting, the answer to qmp_capabilities, or what a client sent."""
_FIRECRACKER = 0x0710_1984_AAAA_0000.to_bytes(8, "little")
"""How an unpacked snapshot begins on arm64. Source: Firecracker src/vmm/src/snapshot/mod.rs, SNAPSHOT_MAGIC_ID."""

_INFO_REGISTERS = re.compile(r"^\s*PC=[0-9a-f]{16}\s+X00=[0-9a-f]{16}", re.MULTILINE | re.ASCII)
"""HMP's text. Source: QEMU target/arm/cpu.c, aarch64_cpu_dump_state, from memory."""

Inspected = RegisterFile | CpuTemplate | CpuModel | NamedRegisters
"""What a file may turn out to be; of the last three no vCPU's list can be had, and `no_host` says why."""


_Read = Told | CpuTemplate | CpuModel | NamedRegisters


def inspect(
    file: Path | str | BinaryIO, *, format: Format | str | None = None, features: str | None = None
) -> Inspected:
    """The registers of every vCPU that a file tells about, with their values where it has them; or what else it is.

    Args:
        file: a path, "-" for standard input, or a file open as binary; pipes do. It may be compressed with xz.
        format: a `Format`, if the content shall not decide.
        features: which feature set of a recorded reglist or a host profile: "psci02+sve".

    Raises:
        RegisterFileError: missing, unreadable, of no known format, damaged, cut off, or beyond `read.limits`; the
            message names the file and the byte or line.
        InputError: no such format.
    """
    wanted = None if format is None else one_of("format", format, Format)
    is_path = isinstance(file, Path | str)
    path = str(file) if is_path else str(getattr(file, "name", "the file"))
    try:
        if not is_path:
            return _read(cursor_on(file), path, wanted, features)  # type: ignore[arg-type]
        with opened(file) as cursor:  # type: ignore[arg-type]
            return _read(cursor, path, wanted, features)
    except (RegisterFileError, Refused) as error:
        msg = f"{path}: {error}"
        raise RegisterFileError(msg) from error


def _read(cursor: Cursor, path: str, wanted: Format | None, features: str | None) -> Inspected:
    head = cursor.peek(16)
    if not head:
        msg = "is empty"
        raise RegisterFileError(msg)
    if features is not None and wanted not in (None, Format.RECORDED_LIST, Format.HOST_PROFILE):
        msg = "features choose from a recorded reglist or a host profile only"
        raise RegisterFileError(msg)
    if wanted is Format.QEMU_STREAM or (wanted is None and head.startswith(MAGIC)):
        return qemu_stream.read(cursor, path)
    cursor.section = "the text"
    data = _as_utf8(bytes(cursor.rest(REGISTERS.most_bytes)))
    told = _told(data, head, wanted, features)
    if not isinstance(told, Told):
        return replace(told, path=path)
    told_by = {key: printable(value) for key, value in told.told_by.items()}
    name = " ".join((path, *told_by.values()))
    left = len(data) - sum(part.n_bytes for part in told.parts)
    parts = (*told.parts, Part("other" if told.parts else "registers", None, left))
    provenance = FileProvenance(path, len(data), cursor.sha256(), told_by)
    found = banks(told.vcpus, name)
    apart: tuple[str, ...] = ("The vCPUs do not all list the same registers.",) if len(found) > 1 else ()
    if len(found) > MAX_BANKS:
        apart += (f"They list registers in {len(found)} ways; those of the first {MAX_BANKS} ways are listed.",)
    notes = told.notes + apart
    return RegisterFile(told.format, provenance, found, parts, notes=notes, part_of=told.part_of, rules=told.rules)


def _as_utf8(data: bytes) -> bytes:
    """The content as most files have it: text of other encodings anew, without a mark at the beginning."""
    if encoding_of(data[:64]) != "utf-8-sig":
        data = text_of(data).encode()
    width = 1 if data.isascii() else 4 if _FOUR.search(data) else 2
    if len(data) * width > max(TEXT_BYTES, len(data)):
        msg = f"{len(data)} bytes of text with letters that take {width} bytes each; {TEXT_BYTES // MIB} MiB are read"
        raise RegisterFileError(msg)
    return data.removeprefix(BOM_UTF8)


def _told(data: bytes, head: bytes, wanted: Format | None, features: str | None) -> _Read:
    """The registers of anything but a stream."""
    if head.startswith(_FIRECRACKER):
        msg = "is a Firecracker snapshot: snapshot-editor info-vmstate vcpu-states prints the registers in it"
        raise RegisterFileError(msg)
    if wanted is Format.RECORDED_PAYLOAD or (wanted is None and recorded.is_payload(head)):
        return recorded.read_payload(data)
    first = data.lstrip(b" \t\r\n")[:1]
    if wanted is Format.RECORDED_LIST or (wanted is None and first == b"{" and data.lstrip().startswith(b'{"feat"')):
        return recorded.read_list(data, features)
    if wanted in (*_JSON_READERS, Format.HOST_PROFILE) or (wanted is None and first in (b"{", b"[")):
        answer = None if wanted else _answer_in(data)
        value = parse(data, "the file") if answer is None else answer
        if isinstance(value, dict) and (
            wanted is Format.HOST_PROFILE or (wanted is None and host_profile.is_ours(value))
        ):
            return host_profile.read(value, features)
        return _from_json(value, data, wanted)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"byte {error.start}: not UTF-8, and no known binary format; known are {_KNOWN}"
        raise RegisterFileError(msg) from error
    if wanted is None and (kind := monitor_text.kind_of(text)):
        raise _a_migration(kind)
    for name, (is_ours, read) in _TEXT_READERS.items():
        if wanted is name or (wanted is None and is_ours(text)):
            return read(text)
    if _INFO_REGISTERS.search(text[:16384]):
        msg = (
            "is what QEMU's monitor prints of info registers: PC, SP and X0 to X30 of a vCPU, no register by KVM's id; "
            'a stream has them all: migrate "exec:cat > FILE"'
        )
        raise RegisterFileError(msg)
    msg = f"begins with {head!r}, like no known format; known are {_KNOWN}"
    raise RegisterFileError(msg)


def _answer_in(data: bytes) -> object:
    """The last answer of a QMP session that is known here, None if the text is no session."""
    if not data.lstrip().startswith(_GREETING) or len(data) > MAX_SESSION_BYTES:
        return None
    found = None
    for number, line in enumerate(data.split(b"\n"), 1):
        value = parse(line, f"line {number}") if line.strip() else None
        if cpu_model.is_ours(value) or is_answer(value):
            found = value
    return found


def _from_json(value: object, data: bytes, wanted: Format | None) -> _Read:
    for name, (is_ours, read) in _JSON_READERS.items():
        if wanted is name or (wanted is None and is_ours(value)):
            if not isinstance(value, dict):
                break
            return read(value, data)
    if is_answer(value):
        raise _a_migration(QMP)
    keys = ", ".join(map(shown, islice(value, 5))) if isinstance(value, dict) else type(value).__name__
    msg = f"JSON of no known shape ({keys[:200]}); known are {_KNOWN}"
    raise RegisterFileError(msg)


def _a_migration(kind: str) -> RegisterFileError:
    return RegisterFileError(
        f"is what {kind} tells of a migration: times and bytes, no registers; "
        "fastsmc migrate downtime --query-migrate takes it"
    )
