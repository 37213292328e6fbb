"""Replays `danger`: calls that stop or start vCPUs or leave the guest, one per fresh VM."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.dispatcher.power import switch
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import Verdict
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording
from fastsmc.reference.state import MASK32, MASK64, Outcome
from fastsmc.reference.vm import Vm
from fastsmc.verification.configurations import fleet_with, reference_vm, set_up, set_up_fleet
from fastsmc.verification.fields import word, words
from fastsmc.verification.tally import Tally

CAME_BACK, LEFT, BLOCKED = 0, 2, 4
"""What a record calls the end of its call: the guest went on, it left for the VMM, its vCPU waits."""
PC_AFTER_CALL, PC_END = 52, 112
"""What a record's `pc_off` is after the HVC, and at the end of the recorder's guest code."""
AFFINITY_INFO = 0x8400_0004


@dataclass(slots=True)
class Batch:
    """The records that the reference answers as recorded, for the vectorized path to answer all at once: lists.

    Attributes:
        header: of each record's configuration.
        x: x0..x3 of the caller.
        outcome, vm: what the reference makes of the call, and its VM afterwards.
        told: the record that the reference would have made.
        where: line and record.
    """

    header: list[Record] = field(default_factory=list)
    x: list[tuple[int, int, int, int]] = field(default_factory=list)
    outcome: list[Outcome] = field(default_factory=list)
    vm: list[Vm] = field(default_factory=list)
    told: list[Record] = field(default_factory=list)
    where: list[tuple[int, Record]] = field(default_factory=list)


def replay_danger(recording: Recording, host: Host) -> Tally:
    """Replays `danger`; its configurations are those of `calls`, by name.

    The vectorized path must give the same verdict, the same x0 and the same mp_state of both vCPUs.
    """
    tally, batch = Tally(recording.name, "danger"), Batch()
    stories: dict[int, str | None] = {}
    line, kind = 0, "calls"
    try:
        headers = {h["cfg"]: h for line, h in recording.records("calls") if "fw" in h} if recording.has("calls") else {}
        kind = tally.kind
        for line, record in recording.records(kind):
            if record["cfg"] not in headers:
                tally.cannot_judge(f"danger records whose configuration no `calls` record describes: {record['cfg']}")
            else:
                stories[line] = _judge(host, headers[record["cfg"]], line, record, batch)
        if batch.where:
            line = batch.where[0][0]
            stories |= _vectorized(host, batch)
    except FORMAT_ERRORS as error:
        raise recording.malformed(kind, line, error) from error
    for story in stories.values():
        tally.add(story)
    return tally


def _judge(host: Host, header: Record, line: int, record: Record, batch: Batch) -> str | None:
    """How the reference differs from the recording; where it does not, the record joins the batch."""
    vm = reference_vm(host, header)
    set_up(vm, header)
    x0, (x1, x2, x3) = word("id", record["id"]), words("a", record["a"], n=3)
    outcome = vm.call(0, x0, x1, x2, x3)
    told = _told(vm, outcome, record)
    recorded = {key: value for key, value in record.items() if key not in ("cfg", "id", "a")}
    if told != recorded:
        return f"line {line}: recorded {record}; reference {told}"
    batch.header.append(header)
    batch.x.append((x0, x1, x2, x3))
    batch.outcome.append(outcome)
    batch.vm.append(vm)
    batch.told.append(told)
    batch.where.append((line, record))
    return None


def how_it_ended(outcome: Outcome) -> Record:
    """The part of a record that says how its call ended."""
    if outcome.exit is not None:
        event = outcome.exit
        told: Record = {"kind": LEFT, "exit": event.reason, "sev_type": event.event, "sev_ndata": len(event.data)}
        return told | {"sev_data0": f"{event.data[0] if event.data else 0:#x}"}
    return {"kind": BLOCKED, "blocked": True} if outcome.blocks else {"kind": CAME_BACK}


def _told(vm: Vm, outcome: Outcome, record: Record) -> Record:
    """The record that the reference would have made of this call."""
    told = how_it_ended(outcome)
    is_back = told["kind"] == CAME_BACK
    told |= {"completed": int(is_back), "x0": f"{outcome.x[0]:#x}", "pc_off": PC_END if is_back else PC_AFTER_CALL}
    told["mp"] = list(vm.mp_state)
    if "second_x0" in record:
        x1, x2, x3 = record["a"]
        told["second_x0"] = f"{vm.call(0, int(record['id'], 16), x1, x2, x3).x[0]:#x}"
        told["affinity_info"] = f"{vm.call(0, AFFINITY_INFO, x1).x[0]:#x}"
    return told


def _vectorized(host: Host, batch: Batch) -> dict[int, str]:
    """By line, what a fleet with one VM per record makes of the same calls, where that differs."""
    fleet = fleet_with(batch.header, host)
    same = defaultdict[str, list[int]](list)
    for number, header in enumerate(batch.header):
        same[header["cfg"]].append(number)
    for numbers in same.values():
        set_up_fleet(fleet, numbers, batch.header[numbers[0]])
    made, expected = [], []
    for number, (told, outcome, (x0, x1, x2, _)) in enumerate(zip(batch.told, batch.outcome, batch.x, strict=True)):
        made.append((number, x0 & MASK32, x1, x2))
        expected.append([outcome.x[0]])
        if "second_x0" in told:
            made += [made[-1], (number, AFFINITY_INFO, x1, 0)]
            expected[-1] += [int(told["second_x0"], 16), int(told["affinity_info"], 16)]
    vm, func_id, x1s, x2s = (np.array(column, np.uint64) for column in zip(*made, strict=True))
    calls = Calls.of(fleet.first_vcpu[vm.astype(np.int64)], func_id.astype(np.uint32), x1=x1s, x2=x2s)
    verdict = verdicts(fleet, calls)
    done = switch(fleet, calls, verdict)
    wrong, first = {}, 0
    for number, (line, record) in enumerate(batch.where):
        of_calls = slice(first, first := first + len(expected[number]))
        seen = Seen(
            verdict=Verdict(verdict[of_calls][0]),
            mp_state=fleet.mp_state[fleet.first_vcpu[number] : fleet.first_vcpu[number + 1]].tolist(),
            x0=[int(value) & MASK64 for value in done.x0[of_calls]],
            all_ran=bool(done.ran[of_calls].all()),
        )
        difference = told_apart(batch.outcome[number], batch.vm[number], batch.x[number][0], expected[number], seen)
        if difference:
            wrong[line] = f"line {line}: {record}: {difference}"
    return wrong


class Seen(NamedTuple):
    """What the fleet made of one record: its verdict, and where the call was repeated, of every call x0."""

    verdict: Verdict
    mp_state: list[int]
    x0: list[int]
    all_ran: bool


def told_apart(outcome: Outcome, vm: Vm, x0: int, expected: list[int], seen: Seen) -> str | None:
    """How the fleet differs from the reference over one record."""
    if seen.verdict != outcome.verdict:
        return f"reference {outcome.verdict.name}, vectorized {seen.verdict.name}"
    if seen.mp_state != vm.mp_state:
        return f"mp_state: reference {vm.mp_state}, vectorized {seen.mp_state}"
    sets_x0 = outcome.verdict in (Verdict.HANDLED, Verdict.EXIT) and outcome.x[0] != x0
    if sets_x0 and (seen.x0 != expected or not seen.all_ran):
        return f"x0 of the calls: reference {expected}, vectorized {seen.x0}"
    return None
