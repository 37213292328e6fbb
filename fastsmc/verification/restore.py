"""Replays register lists, whole register dumps and restores between hosts: `reglist`, `payload-*.bin`, `restore`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from errno import E2BIG, EPERM
from itertools import groupby
from pathlib import Path
from typing import Any

from fastsmc.errors import InputError, RecordingError
from fastsmc.facts.packaged import packaged
from fastsmc.facts.registers import (
    CLASS_CORE,
    CLASS_DEMUX,
    CLASS_FW,
    CLASS_FW_FEAT_BMAP,
    CLASS_SVE,
    CLASS_SYSREG,
    COUNTERS,
    FW_BY_NAME,
    reg_class,
    reg_size,
)
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import FEATURE_SVE, VCPU_FEATURES, feature_bits
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording, payload_path, read_payload
from fastsmc.reference.restore import (
    FIRMWARE_CLASSES,
    Prediction,
    RegisterDump,
    predict,
    vcpu_init_errno,
)
from fastsmc.reference.state import OK
from fastsmc.verification.pair import DisagreementError, Pair
from fastsmc.verification.tally import Tally

NOT_CALLED = -1
ROOM = 8192
"""The recorder offers KVM_GET_REG_LIST room for so many ids, and still reads that number where nothing was written."""

CLASS_ORDER = (CLASS_CORE, CLASS_SVE, CLASS_FW, CLASS_FW_FEAT_BMAP, CLASS_SYSREG, CLASS_DEMUX)
"""Order of the classes in a register list. Source: guest.c, kvm_arm_copy_reg_indices; recorded in every list."""

NOT_MODELLED = "registers of other classes whose fate in a restore is not modelled"

MASK64 = (1 << 64) - 1

KNOWN_PAYLOADS = packaged("payloads")
"""Payloads of the recorded hosts, so that what was restored from them can be judged wherever it was recorded."""


# -- register lists --------------------------------------------------------------------------------------------


def replay_reglist(recording: Recording, host: Host) -> Tally:
    """Replays `reglist`: what vCPU init returns, what is in the list, and what writing it back to its own host does."""
    tally = Tally(recording.name, "reglist")
    caps = _caps(recording)
    dumps: dict[str, RegisterDump] = {}
    line = 0
    try:
        for line, record in recording.records("reglist"):
            features = record["feat"]
            if not _is_known(features):
                tally.cannot_judge(f"register lists with vCPU features {features}")
            elif "self_restore" in record:
                own = dumps[features]
                _judge_restore(tally, host, own, own, record, record["self_restore"], f"line {line}: {features}")
            else:
                if "regs" in record:
                    dumps[features] = _dump(record)
                _judge_list(tally, host, record, caps, line)
    except FORMAT_ERRORS as error:
        raise recording.malformed(tally.kind, line, error) from error
    return tally


def _is_known(features: str) -> bool:
    return set(features.split("+")) <= set(VCPU_FEATURES)


def _caps(recording: Recording) -> frozenset[int]:
    """KVM capabilities a VM of this host has, from its own description."""
    try:
        return frozenset(int(number) for number, (_, on_vm) in recording.meta["caps"].items() if on_vm > 0)
    except (*FORMAT_ERRORS, AttributeError) as error:
        msg = f'{recording.folder / "meta.json"}: "caps" must be {{number: [on /dev/kvm, on the VM]}}: {error!r}'
        raise RecordingError(msg) from error


def _dump(record: Record) -> RegisterDump:
    return RegisterDump(record["feat"], {int(reg, 16): int(value, 16) for reg, value, _ in record["regs"]})


def _judge_list(tally: Tally, host: Host, record: Record, caps: frozenset[int], line: int) -> None:
    """Every result of one list record must be predicted, and be equal."""
    regs = record.get("regs", [])
    ids = [int(reg, 16) for reg, _, _ in regs]
    recorded = {key: value for key, value in record.items() if key not in ("feat", "regs")}
    told: dict[str, Any] = {"init_errno": vcpu_init_errno(record["feat"], host.release, caps)}
    if told["init_errno"] == OK:
        recorded |= {
            "unreadable": [reg for reg, _, errno in regs if errno],
            "classes": [kind for kind, _ in groupby(map(reg_class, ids))],
            "firmware": [row for row, reg in zip(regs, ids, strict=True) if reg_class(reg) in FIRMWARE_CLASSES],
        }
        try:
            told |= _list(ids, record["feat"], host)
        except DisagreementError as error:
            tally.add(f"line {line}: {record['feat']}: {error}")
            return
    differ = [
        f"{key}: recorded {recorded.get(key)}, model {told.get(key)}"
        for key in (recorded | told)
        if recorded.get(key) != told.get(key)
    ]
    tally.add(f"line {line}: {record['feat']}: " + "; ".join(differ) if differ else None)


def _list(ids: list[int], features: str, host: Host) -> dict[str, Any]:
    """What KVM_GET_REG_LIST and GET_ONE_REG say of a vCPU that was initialised, given the ids it lists."""
    has_sve = bool(feature_bits(features) & FEATURE_SVE)
    classes = {CLASS_CORE, CLASS_SYSREG, CLASS_DEMUX, *(CLASS_SVE,) * has_sve}
    classes |= {reg_class(FW_BY_NAME[name].reg) for name in host.release.fw_registers}
    size_of_class: Counter[int] = Counter()
    for reg in ids:
        size_of_class[reg_class(reg)] += reg_size(reg)
    n_of_class, n_of_size = Counter(map(reg_class, ids)), Counter(map(reg_size, ids))
    return {
        "prefinal_errno": EPERM if has_sve else OK,
        "prefinal_n": ROOM if has_sve else len(ids),
        "finalize_errno": OK if has_sve else NOT_CALLED,
        "errno": OK,
        "n": len(ids),
        "n0_errno": E2BIG,
        "n0_n": len(ids),
        "payload_bytes": size_of_class.total(),
        "by_class": {f"0x{kind >> 16:04x}": [n, size_of_class[kind]] for kind, n in n_of_class.items()},
        "by_size_bytes": {str(size): n for size, n in n_of_size.items()},
        "unreadable": [],
        "classes": [kind for kind in CLASS_ORDER if kind in classes],
        "firmware": _firmware(features, host),
    }


def _firmware(features: str, host: Host) -> list[list[object]]:
    """Firmware registers of a fresh vCPU, in the kernel's order: id, value, errno, as recordings print them."""
    pair = Pair(host, features=feature_bits(features), n_vcpu=1)
    rows = []
    for name in host.release.fw_registers:
        errno, value = pair.get(FW_BY_NAME[name].reg)
        rows.append([f"{FW_BY_NAME[name].reg:#x}", f"{value:#x}", errno])
    return rows


# -- restores --------------------------------------------------------------------------------------------------


def replay_restore(recording: Recording, host: Host, given: Mapping[str, Path] | None = None) -> Tally:
    """Replays `restore`: dumps of other hosts written into a fresh VM of this one.

    Args:
        given: folders of other hosts by name, for sources that do not lie beside this host's folder.
    """
    tally = Tally(recording.name, "restore")
    lists = _lists(recording)
    line = 0
    try:
        for line, record in recording.records("restore"):
            source, features = record["src"], record["feat"]
            path = _source_path(recording, given or {}, source, features)
            if path is None:
                tally.cannot_judge(f"restores from {source}, whose payload-{features} is not to be had")
            elif not _is_known(features):
                tally.cannot_judge(f"restores with vCPU features {features}")
            elif features not in lists:
                tally.cannot_judge(f"restores of {features}, of which this host has no register list")
            else:
                where = f"line {line}: {source}, {features}"
                _judge_restore(tally, host, _parsed(path, features), lists[features], record, record["fails"], where)
    except FORMAT_ERRORS as error:
        raise recording.malformed(tally.kind, line, error) from error
    return tally


def _lists(recording: Recording) -> dict[str, RegisterDump]:
    """What a fresh vCPU of a host lists, by feature set."""
    if not recording.has("reglist"):
        return {}
    kind = "reglist"
    lists = {}
    for line, record in recording.records(kind):
        if "regs" in record:
            try:
                lists[record["feat"]] = _dump(record)
            except FORMAT_ERRORS as error:
                raise recording.malformed(kind, line, error) from error
    return lists


def _source_path(recording: Recording, given: Mapping[str, Path], source: str, features: str) -> Path | None:
    folders = (recording.folder.resolve().parent / source, given.get(source), KNOWN_PAYLOADS / source)
    return next((path for folder in folders if folder and (path := payload_path(folder, features)).exists()), None)


def _parsed(path: Path, features: str) -> RegisterDump:
    try:
        return RegisterDump.parse(read_payload(path), features)
    except InputError as error:
        msg = f"{path}: {error}"
        raise RecordingError(msg) from error


def _judge_restore(
    tally: Tally,
    host: Host,
    source: RegisterDump,
    fresh: RegisterDump,
    record: Record,
    fails: list[tuple[str, int]],
    where: str,
) -> None:
    """One dump written into a fresh VM: every register with a rule is judged, reference and fleet alike.

    Args:
        record: tells how many registers were written (n) and how many failed. fails: which, and with what errno.
    """
    predictions = predict(source, host, fresh)
    recorded = {int(reg, 16): errno for reg, errno in fails}
    told = [*_differences(predictions, recorded), *_disagreements(predictions, host, fresh.features)]
    if (record["n"], record["failed"]) != (len(source.values), len(fails)):
        counted = f"{record['n']} registers, {record['failed']} failed"
        told.append(f"{counted}; the dump has {len(source.values)}, and {len(fails)} failures are listed")
    if list(recorded) != [p.reg for p in predictions if p.reg in recorded] or len(recorded) != len(fails):
        told.append("the failures are not in the order of the dump, or not of its registers")
    tally.add(f"{where}: " + "; ".join(told) if told else None)
    if unknown := sum(p.errno is None for p in predictions):
        tally.notes[NOT_MODELLED] += unknown


def _differences(predictions: tuple[Prediction, ...], recorded: Mapping[int, int]) -> Iterator[str]:
    for p in predictions:
        errno = recorded.get(p.reg, OK)
        if p.errno is not None and p.errno != errno:
            yield f"SET {p.reg:#x} = {p.value:#x}: recorded {errno}, model {p.errno} ({p.why})"


def _disagreements(predictions: tuple[Prediction, ...], host: Host, features: str) -> Iterator[str]:
    """Firmware registers of which the fleet says something else than the reference."""
    pair = Pair(host, features=feature_bits(features), n_vcpu=1)
    for p in predictions:
        if reg_class(p.reg) in FIRMWARE_CLASSES:
            try:
                pair.set(p.reg, p.value)
            except DisagreementError as error:
                yield str(error)


# -- payloads --------------------------------------------------------------------------------------------------


def replay_payloads(recording: Recording, host: Host) -> Tally:
    """Reads every payload-*.bin of a host: whole, and register by register what `reglist` says.

    `host` is not needed; the signature is that of the other replays.
    """
    tally = Tally(recording.name, "payload")
    lists = _lists(recording)
    for features in recording.payloads():
        dump = _parsed(payload_path(recording.folder, features), features)
        if features not in lists:
            tally.cannot_judge(f"payload-{features}, of which this host has no register list")
            continue
        tally.add(_told_apart(dump, lists[features]))
    return tally


def _told_apart(dump: RegisterDump, listed: RegisterDump) -> str | None:
    """The registers in which two readings differ, counters apart."""
    if list(dump.values) != list(listed.values):
        only = [f"{reg:#x}" for reg in dump.values.keys() ^ listed.values.keys()]
        return f"payload-{dump.features}: other registers or another order than reglist; in one of them only: {only}"
    differ = [
        f"{reg:#x} is {value:#x}, in reglist {listed.values[reg]:#x}"
        for reg, value in dump.values.items()
        if reg not in COUNTERS and value & MASK64 != listed.values[reg]
    ]
    return f"payload-{dump.features}: " + "; ".join(differ) if differ else None
