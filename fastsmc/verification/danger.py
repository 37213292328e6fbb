"""Replays `danger`: calls that stop or start vCPUs or leave the guest, one per fresh VM."""

from __future__ import annotations

import numpy as np

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.dispatcher.power import switch
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import Verdict
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording
from fastsmc.reference.state import MASK32, MASK64, Outcome
from fastsmc.reference.vm import Vm
from fastsmc.verification.configurations import reference_vm, set_up, set_up_fleet
from fastsmc.verification.fields import word, words
from fastsmc.verification.tally import Tally
from fastsmc.vm import Fleet

CAME_BACK, LEFT, BLOCKED = 0, 2, 4
"""What a record calls the end of its call: the guest went on, it left for the VMM, its vCPU waits."""
PC_AFTER_CALL, PC_END = 52, 112
"""What a record's `pc_off` is after the HVC, and at the end of the recorder's guest code."""
AFFINITY_INFO = 0x8400_0004


def replay_danger(recording: Recording, host: Host) -> Tally:
    """Replays `danger`; its configurations are those of `calls`, by name.

    The vectorized path must give the same verdict, the same x0 and the same mp_state of both vCPUs.
    """
    tally = Tally(recording.name, "danger")
    line, kind = 0, "calls"
    try:
        headers = {h["cfg"]: h for line, h in recording.records("calls") if "fw" in h} if recording.has("calls") else {}
        kind = tally.kind
        for line, record in recording.records(kind):
            if record["cfg"] not in headers:
                tally.cannot_judge(f"danger records whose configuration no `calls` record describes: {record['cfg']}")
            else:
                tally.add(_judge(host, headers[record["cfg"]], line, record))
    except FORMAT_ERRORS as error:
        raise recording.malformed(kind, line, error) from error
    return tally


def _judge(host: Host, header: Record, line: int, record: Record) -> str | None:
    vm = reference_vm(host, header)
    set_up(vm, header)
    x0, arguments = word("id", record["id"]), words("a", record["a"], n=3)
    x1, x2, x3 = arguments
    outcome = vm.call(0, x0, x1, x2, x3)
    told = _told(vm, outcome, record)
    recorded = {key: value for key, value in record.items() if key not in ("cfg", "id", "a")}
    if told != recorded:
        return f"line {line}: recorded {record}; reference {told}"
    wrong = _vectorized(host, header, x0, arguments, outcome, vm, told)
    return f"line {line}: {record}: {wrong}" if wrong else None


def _told(vm: Vm, outcome: Outcome, record: Record) -> Record:
    """The record that the reference would have made of this call."""
    told: Record = {"kind": CAME_BACK}
    if outcome.exit is not None:
        event = outcome.exit
        told = {"kind": LEFT, "exit": event.reason, "sev_type": event.event, "sev_ndata": len(event.data)}
        told["sev_data0"] = f"{event.data[0] if event.data else 0:#x}"
    elif outcome.blocks:
        told = {"kind": BLOCKED, "blocked": True}
    is_back = told["kind"] == CAME_BACK
    told |= {"completed": int(is_back), "x0": f"{outcome.x[0]:#x}", "pc_off": PC_END if is_back else PC_AFTER_CALL}
    told["mp"] = list(vm.mp_state)
    if "second_x0" in record:
        x1, x2, x3 = record["a"]
        told["second_x0"] = f"{vm.call(0, int(record['id'], 16), x1, x2, x3).x[0]:#x}"
        told["affinity_info"] = f"{vm.call(0, AFFINITY_INFO, x1).x[0]:#x}"
    return told


def _vectorized(
    host: Host, header: Record, x0: int, arguments: list[int], outcome: Outcome, vm: Vm, told: Record
) -> str | None:
    """What the fleet makes of the same calls, where it differs: the call, and where it was repeated, what followed."""
    fleet = Fleet([header["nvcpu"]], hosts=host, features=int(header["features"], 16))
    set_up_fleet(fleet, 0, header)
    if int(header["features"], 16) & FEATURE_PSCI_0_2:
        fleet.vcpu_init(slice(1, None), power_off=True)
    x1, x2, _ = arguments
    made = [(x0 & MASK32, x1, x2)]
    expected = [outcome.x[0]]
    if "second_x0" in told:
        made += [made[0], (AFFINITY_INFO, x1, 0)]
        expected += [int(told["second_x0"], 16), int(told["affinity_info"], 16)]
    func_id, first, second = zip(*made, strict=True)
    words64 = [np.array(column, np.uint64) for column in (first, second)]
    calls = Calls.of(np.zeros(len(made), np.uint32), list(func_id), x1=words64[0], x2=words64[1])
    verdict = verdicts(fleet, calls)
    done = switch(fleet, calls, verdict)
    if verdict[0] != outcome.verdict:
        return f"reference {outcome.verdict.name}, vectorized {Verdict(verdict[0]).name}"
    if fleet.mp_state.tolist() != vm.mp_state:
        return f"mp_state: reference {vm.mp_state}, vectorized {fleet.mp_state.tolist()}"
    seen = [int(value) & MASK64 for value in done.x0]
    sets_x0 = outcome.verdict in (Verdict.HANDLED, Verdict.EXIT) and outcome.x[0] != x0
    if sets_x0 and (seen != expected or not done.ran.all()):
        return f"x0 of the calls: reference {expected}, vectorized {seen}"
    return None
