"""Replays `reglist`: what vCPU init returns, which registers a vCPU lists, and what writing them back does."""

from __future__ import annotations

from collections import Counter
from errno import E2BIG, EPERM
from itertools import groupby
from typing import Any

from fastsmc.errors import RecordingError
from fastsmc.facts.registers import (
    CLASS_CORE,
    CLASS_DEMUX,
    CLASS_ORDER,
    CLASS_SVE,
    CLASS_SYSREG,
    FIRMWARE_CLASSES,
    FW_BY_NAME,
    reg_class,
    reg_size,
)
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import FEATURE_SVE, feature_bits
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording
from fastsmc.reference.restore import RegisterDump, as_ordinary, vcpu_init_errno
from fastsmc.reference.state import OK
from fastsmc.verification.pair import DisagreementError, Pair
from fastsmc.verification.restore import dump_of, is_known, judge_restore
from fastsmc.verification.tally import Tally

NOT_CALLED = -1
"""What the recorder prints as the errno of a call it did not make."""

ROOM = 8192
"""The recorder offers KVM_GET_REG_LIST room for so many ids, and still reads that number where nothing was written."""


def replay_reglist(recording: Recording, host: Host) -> Tally:
    """Replays `reglist`: what vCPU init returns, what is in the list, and what writing it back to its own host does."""
    tally = Tally(recording.name, "reglist")
    caps = _caps(recording)
    dumps: dict[str, RegisterDump] = {}
    line = 0
    try:
        for line, record in recording.records("reglist"):
            features = record["feat"]
            if not is_known(features):
                tally.cannot_judge(f"register lists with vCPU features {features}")
            elif "self_restore" in record:
                own = dumps[features]
                judge_restore(tally, host, own, own, record, record["self_restore"], f"line {line}: {features}")
            else:
                if "regs" in record:
                    dumps[features] = dump_of(record)
                _judge_list(tally, host, record, caps, line)
    except FORMAT_ERRORS as error:
        raise recording.malformed(tally.kind, line, error) from error
    return tally


def _caps(recording: Recording) -> frozenset[int]:
    """KVM capabilities a VM of this host has, from its own description."""
    try:
        return frozenset(int(number) for number, (_, on_vm) in recording.meta["caps"].items() if on_vm > 0)
    except (*FORMAT_ERRORS, AttributeError) as error:
        msg = f'{recording.folder / "meta.json"}: "caps" must be {{number: [on /dev/kvm, on the VM]}}: {error!r}'
        raise RecordingError(msg) from error


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
    pair = Pair(host, features=as_ordinary(features), n_vcpu=1)
    rows = []
    for name in host.release.fw_registers:
        errno, value = pair.get(FW_BY_NAME[name].reg)
        rows.append([f"{FW_BY_NAME[name].reg:#x}", f"{value:#x}", errno])
    return rows
