"""Replays `nested`: what a host gives vCPUs with EL2, and what becomes of their calls. Every line is a record."""

from __future__ import annotations

from collections.abc import Callable
from errno import ENOENT
from typing import Any, NamedTuple

from fastsmc.facts.guests import vcpu_init_errno
from fastsmc.facts.registers import BITMAP_REGISTERS, FIRMWARE_CLASSES, FW_BY_NAME, PSTATE, reg_class, register
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import FEATURE_EL2
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording
from fastsmc.reference.state import MASK32, OK
from fastsmc.verification.fields import word
from fastsmc.verification.nested_calls import CALL_KEYS, CALL_TYPES, CallLists, LineError
from fastsmc.verification.nested_power import judge_power
from fastsmc.verification.pair import DisagreementError, Pair
from fastsmc.verification.tally import Tally
from fastsmc.verification.typed import Predicted, hexed

PSCI_VERSION = register("PSCI_VERSION")


class OneVcpu(NamedTuple):
    """How records of one type, about one fresh vCPU, are judged.

    Attributes:
        inputs: keys that say what was done, or what the machine is; every other one is a result.
        predict: the results, of the vCPU's VM and a record.
        seen: the results as recorded, where that is not the record itself.
    """

    inputs: frozenset[str]
    predict: Callable[[Pair, Record], Predicted]
    seen: Callable[[Record], Predicted] | None = None


def _reset_state(pair: Pair, record: Record) -> Predicted:
    """A vCPU has HCR_EL2 if it has EL2; which ID registers there are, and their values, is the machine's."""
    told: Predicted = {"pstate": f"{pair.vm.start_pstate:#x}", "pc": "0x0", "hcr_el2": "0x0"}
    return told | {"hcr_el2_errno": OK if pair.vm.has_el2 else ENOENT, "id_aa64mmfr4_errno": OK}


def _firmware(pair: Pair) -> dict[str, str]:
    registers = [FW_BY_NAME[name].reg for name in pair.vm.release.fw_registers]
    return {f"{reg:#x}": hexed(pair.get(reg)) for reg in registers}


def _fw_default(pair: Pair, record: Record) -> Predicted:
    return {"regs": {reg: [OK, value] for reg, value in _firmware(pair).items()}}


def _reg_list(pair: Pair, record: Record) -> Predicted:
    told: Predicted = {
        "errno": OK,
        "n": len(record["regs"]),
        "unreadable": [],
        "pstate": [f"{pair.vm.start_pstate:#x}"],
    }
    return told | {"firmware": _firmware(pair)}


def _listed(record: Record) -> Predicted:
    """What is judged of a register list: its firmware registers, PSTATE, and that each can be read."""
    values = {word("a register", reg): value for reg, value, _ in record["regs"]}
    firmware = {f"{reg:#x}": value for reg, value in values.items() if reg_class(reg) in FIRMWARE_CLASSES}
    told: Predicted = {"errno": record["errno"], "n": record["n"], "firmware": firmware}
    told["unreadable"] = [reg for reg, _, errno in record["regs"] if errno]
    return told | {"pstate": [value for reg, value in values.items() if reg == PSTATE]}


def _bitmap(pair: Pair, record: Record) -> Predicted:
    reg = BITMAP_REGISTERS[record["n"]].reg
    before = pair.get(reg)
    supported = sum(1 << bit for bit in range(64) if pair.set(reg, 1 << bit) == OK)
    told: Predicted = {"default": hexed(before), "supported": f"{supported:#x}", "set0_errno": pair.set(reg, 0)}
    return told | {"rb": hexed(pair.get(reg)), "set_default_errno": pair.set(reg, before[1])}


def _psci_version(pair: Pair, record: Record) -> Predicted:
    told: Predicted = {"errno": pair.set(PSCI_VERSION, word("val", record["val"]))}
    return told | {"rb": hexed(pair.get(PSCI_VERSION))}


def _workaround(pair: Pair, record: Record) -> Predicted:
    reg = register(f"SMCCC_ARCH_WORKAROUND_{record['n']}")
    told: Predicted = {"errno": pair.set(reg, record["val"])}
    return told | {"rb": hexed(pair.get(reg))}


_OF_VCPU = frozenset({"t", "features"})
ONE_VCPU = {
    "reset_state": OneVcpu(_OF_VCPU | {"id_aa64mmfr4", "id_aa64pfr0", "id_aa64mmfr2"}, _reset_state),
    "fw_default": OneVcpu(_OF_VCPU, _fw_default),
    "reg_list": OneVcpu(_OF_VCPU, _reg_list, _listed),
    "bitmap": OneVcpu(_OF_VCPU | {"n"}, _bitmap),
    "psci_version": OneVcpu(_OF_VCPU | {"val"}, _psci_version),
    "workaround": OneVcpu(_OF_VCPU | {"n", "val"}, _workaround),
}
"""What the model predicts of a vCPU, in the order in which its registers were written: one VM takes all writes."""


def replay_nested(recording: Recording, host: Host) -> Tally:
    """Replays `nested`: capabilities, vCPUs and their firmware registers, calls from two levels, power."""
    tally = Tally(recording.name, "nested")
    pairs: dict[int, Pair] = {}
    lists = CallLists(host, tally)
    line = 0
    try:
        for line, record in recording.records("nested"):
            kind = record.get("t")
            if kind in CALL_TYPES or ("t" not in record and record.keys() <= CALL_KEYS):
                lists.take(line, record)
                continue
            lists.close()
            if kind == "power":
                tally.add(judge_power(host, line, record))
            elif kind in ("caps", "init", *ONE_VCPU):
                tally.add(_judged(host, pairs, line, record))
            else:
                tally.cannot_judge(f"nested records of type {kind!r}")
        lists.close()
    except LineError as error:
        raise recording.malformed(tally.kind, error.line, error.error) from error
    except FORMAT_ERRORS as error:
        raise recording.malformed(tally.kind, line, error) from error
    return tally


def _judged(host: Host, pairs: dict[int, Pair], line: int, record: Record) -> str | None:
    """How the model differs from a record about a host or one vCPU."""
    try:
        recorded, told = _compared(host, pairs, record)
    except DisagreementError as error:
        return f"line {line}: {record}: {error}"
    if told == recorded:
        return None
    differ = {key: (recorded.get(key), told.get(key)) for key in recorded | told if recorded.get(key) != told.get(key)}
    parts = (f"{key}: recorded {seen}, model {mine}" for key, (seen, mine) in differ.items())
    return f"line {line}, {record['t']} of features {record.get('features')}: " + "; ".join(parts)


def _compared(host: Host, pairs: dict[int, Pair], record: Record) -> tuple[dict[str, Any], Predicted]:
    """The results of a record, and what the model says."""
    if record["t"] == "caps":
        has = int(vcpu_init_errno(host, FEATURE_EL2) == OK)
        told: Predicted = {f"KVM_CAP_ARM_EL2{name}": [has, has] for name in ("(240)", "_E2H0(241)")}
        return {key: value for key, value in record.items() if key != "t"}, told
    features = word("features", record["features"], last=MASK32)
    if record["t"] == "init":
        errno = vcpu_init_errno(host, features)
        if errno == OK:
            pairs[features] = Pair(host, features=features, n_vcpu=1)
        return {key: value for key, value in record.items() if key not in _OF_VCPU}, {"errno": errno}
    rule = ONE_VCPU[record["t"]]
    recorded = {key: value for key, value in record.items() if key not in rule.inputs}
    recorded = rule.seen(record) if rule.seen is not None else recorded
    if features not in pairs:
        return recorded, {"": f"no vCPU with features {features:#x} was initialised"}
    return recorded, rule.predict(pairs[features], record)
