"""Replays random sequences of operations on one VM: `fuzz_regs` and `fuzz_filter`. A record is one operation."""

from __future__ import annotations

from collections.abc import Callable

from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording
from fastsmc.verification.pair import DisagreementError, Pair
from fastsmc.verification.tally import Tally
from fastsmc.verification.typed import Predicted, hexed

Predictor = Callable[[Pair, Record], Predicted | None]
"""What the model predicts of one operation; None for a kind of operation without a rule."""


def replay_fuzz_regs(recording: Recording, host: Host) -> Tally:
    """Replays `fuzz_regs`: SET_ONE_REG with read-back, and runs, on a VM of three vCPUs."""
    return _replay(recording, host, "fuzz_regs", _register_op)


def replay_fuzz_filter(recording: Recording, host: Host) -> Tally:
    """Replays `fuzz_filter`: filter inserts, and runs."""
    return _replay(recording, host, "fuzz_filter", _filter_op)


def _replay(recording: Recording, host: Host, kind: str, predict: Predictor) -> Tally:
    tally = Tally(recording.name, kind)
    line = 0
    try:
        for line, record in recording.records(kind):
            pair = Pair(host, features=record.get("features", FEATURE_PSCI_0_2), n_vcpu=3)
            for number, op in enumerate(record["ops"]):
                _judge(tally, pair, op, predict, f"line {line}, operation {number}")
    except FORMAT_ERRORS as error:
        raise recording.malformed(kind, line, error) from error
    return tally


def _judge(tally: Tally, pair: Pair, op: Record, predict: Predictor, where: str) -> None:
    try:
        told = predict(pair, op)
    except DisagreementError as error:
        tally.add(f"{where}: {op}: {error}")
        return
    if told is None:
        tally.cannot_judge(f"{tally.kind} operations {op['op']!r}")
        return
    recorded = {key: op[key] for key in told}
    tally.add(None if told == recorded else f"{where}: recorded {op}; model {told}")


def _register_op(pair: Pair, op: Record) -> Predicted | None:
    if op["op"] == "run":
        return {"res": pair.run(op["vcpu"])}
    if op["op"] != "set":
        return None
    reg = int(op["reg"], 16)
    errno = pair.set(reg, int(op["val"], 16), op["vcpu"])
    got = pair.get(reg, op["vcpu"])
    return {"errno": errno, "get_errno": got[0], "rb": hexed(got)}


def _filter_op(pair: Pair, op: Record) -> Predicted | None:
    if op["op"] == "run":
        return {"res": pair.run()}
    if op["op"] != "ins":
        return None
    return {"errno": pair.insert(int(op["base"], 16), op["nr"], op["action"], pad=bool(op["pad"]))}
