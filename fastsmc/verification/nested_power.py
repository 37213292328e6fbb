"""Replays power calls of guests with EL2, one per fresh VM: who stops, who starts, and at which level."""

from __future__ import annotations

from fastsmc.checks import whole
from fastsmc.facts.guests import why_refused
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import Level
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.recordings.folder import Record
from fastsmc.reference.guests import INSTRUCTION
from fastsmc.reference.state import MASK32, Outcome, Start
from fastsmc.reference.vm import Vm
from fastsmc.verification.danger import CAME_BACK, LEFT, how_it_ended
from fastsmc.verification.fields import conduit_of, word
from fastsmc.verification.nested_calls import exception_told
from fastsmc.verification.pair import DisagreementError, Made, Pair

CPU_ON = 0xC400_0003
GUEST, ENTRY, CONTEXT = 0x4000_0000, 192, 0x77
"""What the recorder gave CPU_ON, and does not print: where the guest's code lies, the entry point in it, and x3."""
MMIO = 0x1000_0010
"""Where a started vCPU writes its CurrentEL."""
INPUTS = ("t", "features", "el", "c", "id", "a1")
LEVEL = {1: Level.VEL1, 2: Level.VEL2}
CURRENT_EL = 0xC
"""The level in PSTATE, where CurrentEL has it."""


def judge_power(host: Host, line: int, record: Record) -> str | None:
    """How the model, reference or fleet, differs from the record of one power call; None where it does not."""
    features, el = word("features", record["features"], last=MASK32), whole("el", record["el"], first=1, last=2)
    if refused := why_refused(host, features):
        return f"line {line}: recorded of features {features:#x}; model: {refused}"
    pair = Pair(host, features=features)
    pair.init(1, power_off=bool(features & FEATURE_PSCI_0_2))
    x0, x1 = word("id", record["id"]), word("a1", record["a1"])
    x2, x3 = (GUEST + ENTRY, CONTEXT) if x0 & MASK32 == CPU_ON else (0, 0)
    try:
        ((outcome, apart),) = pair.calls([Made((x0, x1, x2, x3), conduit_of(record["c"]), LEVEL[el])])
    except DisagreementError as error:
        return f"line {line}: {record}: {error}"
    told = _told(pair.vm, outcome, record["c"])
    recorded = {key: value for key, value in record.items() if key not in INPUTS}
    if told != recorded:
        return f"line {line}: recorded {record}; reference {told}"
    return f"line {line}: {record}: {apart}" if apart else None


def _told(vm: Vm, outcome: Outcome, conduit: str) -> Record:
    """The results that the reference would have had recorded."""
    told = how_it_ended(outcome)
    told |= {"done": int(told["kind"] == CAME_BACK), "x0": f"{outcome.x[0]:#x}", "mp": list(vm.mp_state)}
    if outcome.exception is not None:
        told["to_vEL2"] = exception_told(outcome, conduit)
    return told if outcome.starts is None else told | {"cpu1": _started(outcome.starts)}


def _started(start: Start) -> Record:
    """What the recorder saw of the vCPU that was started, in the instruction after its entry."""
    told: Record = {"kind": LEFT, "mmio": f"{MMIO:#x}", "currentel": f"{start.pstate & CURRENT_EL:#x}"}
    pc_off = start.entry - GUEST + INSTRUCTION
    return told | {"pstate": f"{start.pstate:#x}", "pc_off": pc_off, "x0": f"{start.x0:#x}"}
