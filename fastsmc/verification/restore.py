"""Replays restores between hosts: whole register dumps, written into a fresh VM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from fastsmc.errors import InputError, RecordingError
from fastsmc.facts.packaged import packaged
from fastsmc.facts.registers import FIRMWARE_CLASSES, reg_class
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import VCPU_FEATURES
from fastsmc.recordings.belongs import feature_set, folder_names, host_name, require_inside
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording, payload_path, read_payload
from fastsmc.reference.restore import Prediction, RegisterDump, as_ordinary, predict
from fastsmc.reference.state import OK
from fastsmc.verification.by_list import UNTOLD, by_list, source_release
from fastsmc.verification.pair import DisagreementError, Pair
from fastsmc.verification.tally import Tally

NOT_MODELLED = "registers of other classes whose fate in a restore is not modelled"

KNOWN_PAYLOADS = packaged("payloads")
"""Payloads of the recorded hosts, so that what was restored from them can be judged wherever it was recorded."""


def replay_restore(recording: Recording, host: Host, given: Mapping[str, Path] | None = None) -> Tally:
    """Replays `restore`: dumps of other hosts written into a fresh VM of this one.

    Args:
        given: folders of other hosts by name, for sources that do not lie beside this host's folder.
    """
    tally = Tally(recording.name, "restore")
    lists = lists_of(recording)
    line = 0
    try:
        for line, record in recording.records("restore"):
            source, features = host_name(record["src"]), feature_set(record["feat"])
            path = _source_path(recording, given or {}, source, features)
            where = f"line {line}: {source}, {features}"
            if not is_known(features):
                tally.cannot_judge(f"restores with vCPU features {features}")
            elif features not in lists:
                tally.cannot_judge(f"restores of {features}, of which this host has no register list")
            elif path is not None:
                judge_restore(tally, host, parsed(path, features), lists[features], record, record["fails"], where)
            elif (rules := source_release(source, features)) is not None:
                told, n_untold = by_list(host, source, rules, lists[features], record, record["fails"])
                tally.add(f"{where}: " + "; ".join(told) if told else None)
                tally.notes[UNTOLD] += n_untold
            else:
                tally.cannot_judge(f"restores from {source}, whose payload-{features} is not to be had")
    except FORMAT_ERRORS as error:
        raise recording.malformed(tally.kind, line, error) from error
    return tally


def _source_path(recording: Recording, given: Mapping[str, Path], source: str, features: str) -> Path | None:
    names = folder_names(source)
    for name in names:
        beside = payload_path(recording.folder.resolve().parent / name, features)
        if beside.exists():
            require_inside(beside, recording)
            return beside
    folders = (*(given.get(name) for name in names), KNOWN_PAYLOADS / source)
    return next((path for folder in folders if folder and (path := payload_path(folder, features)).exists()), None)


def judge_restore(
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
    pair = Pair(host, features=as_ordinary(features), n_vcpu=1)
    for p in predictions:
        if reg_class(p.reg) in FIRMWARE_CLASSES:
            try:
                pair.set(p.reg, p.value)
            except DisagreementError as error:
                yield str(error)


def is_known(features: str) -> bool:
    """Whether all features of a set's name have a known bit."""
    return set(features.split("+")) <= set(VCPU_FEATURES)


def dump_of(record: Record) -> RegisterDump:
    """The registers of a `reglist` record, the wide ones with their first 64 bits."""
    return RegisterDump(record["feat"], {int(reg, 16): int(value, 16) for reg, value, _ in record["regs"]})


def lists_of(recording: Recording) -> dict[str, RegisterDump]:
    """What a fresh vCPU of a host lists, by feature set."""
    if not recording.has("reglist"):
        return {}
    kind = "reglist"
    lists = {}
    for line, record in recording.records(kind):
        if "regs" in record:
            try:
                lists[record["feat"]] = dump_of(record)
            except FORMAT_ERRORS as error:
                raise recording.malformed(kind, line, error) from error
    return lists


def parsed(path: Path, features: str) -> RegisterDump:
    """The registers of a payload.

    Raises:
        RecordingError: missing, or no payload.
    """
    try:
        return RegisterDump.parse(read_payload(path), features)
    except InputError as error:
        msg = f"{path}: {error}"
        raise RecordingError(msg) from error
