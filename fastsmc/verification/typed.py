"""Replays records that carry a type `t`: each type has a predictor, which must tell every result of its records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastsmc.facts.releases import Host
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording
from fastsmc.verification.pair import DisagreementError, Pair
from fastsmc.verification.tally import Tally

Predicted = dict[str, Any]
Shared = dict[object, Pair]
"""VMs that outlive one record, by what their records have in common."""
Predictors = dict[str, Callable[[Host, Record, Shared], Predicted]]

INPUTS = frozenset(
    [
        "t",
        "reg",
        "init",
        "ran_vcpu",
        "writer",
        "psci02",
        "phase",
        "n",
        "mode",
        "c",
        "base",
        "nr",
        "action",
        "byte",
        "first",
        "second",
    ]
)
"""Keys of a record that say what was done; every other one is a result and must be predicted. `val` is either."""


def replay_typed(recording: Recording, host: Host, kind: str, table: Predictors) -> Tally:
    """Replays records that carry a type `t`, each by its predictor in a table."""
    tally = Tally(recording.name, kind)
    shared: Shared = {}
    line = 0
    try:
        for line, record in recording.records(kind):
            judge_typed(tally, table, host, line, record, shared)
    except FORMAT_ERRORS as error:
        raise recording.malformed(kind, line, error) from error
    return tally


def judge_typed(
    tally: Tally,
    table: Predictors,
    host: Host,
    line: int,
    record: Record,
    shared: Shared,
) -> None:
    """Counts one record with a type `t`, whose results must all be what the model predicts."""
    predict = table.get(record.get("t", ""))
    if predict is None:
        tally.cannot_judge(f"{tally.kind} records of type {record.get('t')!r}")
        return
    try:
        told = predict(host, record, shared)
    except DisagreementError as error:
        tally.add(f"line {line}: {record}: {error}")
        return
    is_input = INPUTS if "val" in told else INPUTS | {"val"}
    recorded = {key: record[key] for key in record if key in told or key not in is_input}
    tally.add(None if told == recorded else f"line {line}: recorded {record}; model {told}")


def hexed(errno_value: tuple[int, int]) -> str:
    """The value of a GET, as recordings print it."""
    return f"{errno_value[1]:#x}"
