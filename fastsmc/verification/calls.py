"""Replays recorded calls: answers through the reference, verdicts through the vectorized path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EINVAL

import numpy as np

from fastsmc.dispatcher import verdicts
from fastsmc.filters import FilterRange
from fastsmc.recordings import CONDUIT, FORMAT_ERRORS, Record, Recording
from fastsmc.reference import Vm
from fastsmc.reference_state import EXIT_HYPERCALL, EXIT_SYSTEM_EVENT, MASK32, MASK64, OK, Outcome, Words
from fastsmc.releases import Host
from fastsmc.smccc import FUNCTION_BY_NAME, SMC64, FilterAction, Verdict
from fastsmc.vcpu import FEATURE_PSCI_0_2, STOPPED
from fastsmc.verification.filters import FILTER
from fastsmc.verification.tally import Tally
from fastsmc.verification.typed import judge_typed
from fastsmc.vm import Fleet
from fastsmc.workload import Calls

STEAL_TIME_IPA, STEAL_TIME_STRIDE = 0x4038_0000, 64
"""Where the recorder put vCPU 0's steal-time record, and the distance to the next vCPU's."""

PC_AFTER_CALL = {"hvc0": 52, "smc0": 60, "hvc1": 68, "smc1": 76}
"""`pc_off` of the instruction after each call in the recorder's guest code: HVC #0 is at 48, then every 8 bytes."""

NOT_SUPPORTED: Words = (MASK64, 0, 0, 0)

SWEEP_NUMBERS = 0x180
"""A sweep calls numbers 0..0x17f of every type, convention and owner; some higher ones too, which it does not name."""

_POWER = (
    "CPU_SUSPEND",
    "CPU_OFF",
    "CPU_ON",
    "SYSTEM_OFF",
    "SYSTEM_RESET",
    "SYSTEM_SUSPEND",
    "SYSTEM_RESET2",
    "SYSTEM_OFF2",
)
_POWER_IDS = frozenset(FUNCTION_BY_NAME[f"PSCI_{name}"].func_id for name in _POWER)
SWEEP_LEFT_OUT = _POWER_IDS | {func_id | SMC64 for func_id in _POWER_IDS}
"""Ids a sweep leaves out, since they stop or start vCPUs or leave the guest."""

PAD_NOTE = "filter inserts replayed with a non-zero pad byte, which their recording does not print"


@dataclass(slots=True)
class Configuration:
    """One recorded VM: its header, what of it came out otherwise than recorded, and the calls made on it so far."""

    header: Record
    line: int
    vm: Vm
    wrong: list[str]
    pending_exits: Counter[tuple[object, ...]] = field(default_factory=Counter)
    listed: list[int] = field(default_factory=list)
    n_answer: int = 0
    n_not_supported: int = 0


@dataclass(slots=True)
class Batch:
    """What the vectorized path is asked after the reference has been: parallel lists, a call each."""

    vm: list[int] = field(default_factory=list)
    x: list[tuple[int, int, int, int]] = field(default_factory=list)
    conduit: list[int] = field(default_factory=list)
    verdict: list[int] = field(default_factory=list)
    story: list[str | None] = field(default_factory=list)
    where: list[tuple[int, Record]] = field(default_factory=list)

    def add(
        self, vm: int, x: Words, conduit: int, outcome: Outcome, story: str | None, line: int, record: Record
    ) -> None:
        self.vm.append(vm)
        self.x.append(x)
        self.conduit.append(conduit)
        self.verdict.append(outcome.verdict)
        self.story.append(story)
        self.where.append((line, record))


def replay_calls(recording: Recording, kind: str, host: Host) -> Tally:
    """Replays one kind of call records of one host."""
    tally = Tally(recording.name, kind)
    configurations: list[Configuration] = []
    batch = Batch()
    line = 0
    try:
        for line, record in recording.records(kind):
            _judge(configurations, batch, tally, host, line, record)
    except FORMAT_ERRORS as error:
        raise recording.malformed(kind, line, error) from error
    if configurations:
        fleet, troubles = fleet_of(configurations, host, tally)
        for trouble in troubles:
            tally.add(trouble)
        _judge_verdicts(fleet, batch, tally)
    return tally


def _judge(
    configurations: list[Configuration], batch: Batch, tally: Tally, host: Host, line: int, record: Record
) -> None:
    if "fw" in record:
        vm = reference_vm(host, record)
        configurations.append(Configuration(record, line, vm, set_up(vm, record)))
    elif "note" in record:
        return
    elif "t" in record:
        judge_typed(tally, FILTER if tally.kind == "filter" else {}, host, line, record, {})
    elif not configurations:
        msg = "a configuration's header must come first"
        raise ValueError(msg)
    elif record.get("summary"):
        tally.add(_judge_summary(configurations[-1], tally.kind, line, record))
    elif "id" in record:
        _judge_call(configurations, batch, line, record)
    else:
        tally.cannot_judge(f"lines with keys {', '.join(record)}")


def reference_vm(host: Host, header: Record) -> Vm:
    """The VM a header describes, before its SET_ONE_REG and filter calls."""
    vm = Vm(host, features=int(header["features"], 16), n_vcpu=header["nvcpu"])
    if vm.features & FEATURE_PSCI_0_2:
        vm.mp_state[1:] = [STOPPED] * (header["nvcpu"] - 1)
    for vcpu in range(header["nvcpu"]):
        if header.get(f"pvtime_errno_v{vcpu}") == OK:
            vm.steal_base[vcpu] = STEAL_TIME_IPA + STEAL_TIME_STRIDE * vcpu
    return vm


def inserts(header: Record) -> Iterator[tuple[int, int, int, int, bool]]:
    """Filter inserts of a header: base, nr, action, recorded errno, and whether the pad must have been non-zero.

    A header prints neither pad nor why an insert failed: EINVAL from well-formed fields can only be the pad.
    """
    for f in header.get("filter", ()):
        base, nr, action = int(f["base"], 16), f["nr"], f["action"]
        last = (base + nr - 1) & MASK32
        is_malformed = action > FilterAction.FWD_TO_USER or last < base or nr == 0
        yield base, nr, action, f["errno"], f["errno"] == EINVAL and not is_malformed


def set_up(vm: Vm, header: Record) -> list[str]:
    """Makes the header's calls on the reference VM; what came out otherwise than recorded."""
    wrong = []

    def compare(what: str, mine: object, recorded: object) -> None:
        if mine != recorded:
            wrong.append(f"{what}: recorded {recorded}, reference {mine}")

    if "enable_system_suspend_errno" in header:
        compare("enable SYSTEM_SUSPEND", vm.enable_system_suspend(), header["enable_system_suspend_errno"])
    for s in header["sets"]:
        compare(f"SET {s['reg']} = {s['val']}", vm.set_one_reg(0, int(s["reg"], 16), int(s["val"], 16)), s["errno"])
    has_filter = vm.release.has_filter
    for base, nr, action, errno, pad in inserts(header):
        mine = vm.insert_filter(base, nr, action, pad=pad and has_filter)
        compare(f"filter 0x{base:08x}+{nr} action {action}", mine, errno)
    read = {f"{r:#x}": vm.get_one_reg(0, r) for r in (int(reg, 16) for reg in header["fw"])}
    for reg, value in header["fw"].items():
        compare(f"GET {reg}", read[reg], (OK, int(value, 16)))
    return wrong


def fleet_of(configurations: list[Configuration], host: Host, tally: Tally) -> tuple[Fleet, list[str | None]]:
    """The same VMs as a fleet, set up through its own calls; per header, what differs in reference or fleet."""
    headers = [c.header for c in configurations]
    fleet = Fleet(
        [h["nvcpu"] for h in headers], hosts=host, features=np.array([int(h["features"], 16) for h in headers])
    )
    return fleet, [_header_difference(fleet, number, c, tally) for number, c in enumerate(configurations)]


def _header_difference(fleet: Fleet, number: int, configuration: Configuration, tally: Tally) -> str | None:
    header = configuration.header
    if fleet.hosts[0].release.has_filter and (n_pad := sum(pad for *_, pad in inserts(header))):
        tally.notes[PAD_NOTE] += n_pad
    wrong = configuration.wrong + set_up_fleet(fleet, number, header)
    if not wrong:
        return None
    return f"line {configuration.line}, configuration {header['cfg']}: " + "; ".join(wrong)


def set_up_fleet(fleet: Fleet, number: int, header: Record) -> list[str]:
    """Makes the header's calls on one VM of a fleet; what came out otherwise than recorded."""
    wrong = []
    if "enable_system_suspend_errno" in header:
        errno = int(fleet.enable_system_suspend(vms=number)[0])
        wrong += _unless_equal("fleet: enable SYSTEM_SUSPEND", errno, header["enable_system_suspend_errno"])
    for s in header["sets"]:
        errno = int(fleet.try_set_one_reg(int(s["reg"], 16), int(s["val"], 16), vms=number)[0])
        wrong += _unless_equal(f"fleet: SET {s['reg']} = {s['val']}", errno, s["errno"])
    for base, nr, action, recorded, pad in inserts(header):
        if not pad:  # a fleet has no pad bytes to set wrong
            errno = int(fleet.try_install_filter(FilterRange(base, nr, action), vms=number)[0, 0])
            wrong += _unless_equal(f"fleet: filter 0x{base:08x}+{nr} action {action}", errno, recorded)
    for reg, value in header["fw"].items():
        wrong += _unless_equal(f"fleet: GET {reg}", int(fleet.get_one_reg(int(reg, 16), vms=number)[0]), int(value, 16))
    return wrong


def _unless_equal(what: str, mine: int, recorded: int) -> list[str]:
    return [] if mine == recorded else [f"{what}: recorded {recorded}, model {mine}"]


def _judge_call(configurations: list[Configuration], batch: Batch, line: int, record: Record) -> None:
    configuration = configurations[-1]
    x0, conduit = int(record["id"], 16), CONDUIT[record["c"]]
    x1, x2, x3 = record["a"]
    outcome = configuration.vm.call(0, x0, x1, x2, x3, conduit)
    key = (record["id"], record["c"], x1, x2, x3)
    configuration.listed.append(x0)
    if "exit" in record:
        configuration.pending_exits[key] += 1
        matches = _exit_matches(outcome, record)
    else:
        width = MASK32 if "r" in record else MASK64
        x0_seen, x1_seen, x2_seen, x3_seen = (int(word, 16) for word in record["r" if "r" in record else "x"])
        configuration.n_answer += 1
        configuration.n_not_supported += x0_seen == width
        matches = outcome.matches((x0_seen, x1_seen, x2_seen, x3_seen), width=width) and "y" not in record
        if outcome.exit is not None:
            # The guest went on after the exit, with the registers userspace left alone.
            matches = matches and configuration.pending_exits[key] > 0
            configuration.pending_exits[key] -= 1
    story = None if matches else f"line {line}: recorded {record}; reference {outcome}"
    batch.add(len(configurations) - 1, (x0, x1, x2, x3), conduit, outcome, story, line, record)


def _exit_matches(outcome: Outcome, record: Record) -> bool:
    leaves = outcome.exit
    if leaves is None or leaves.reason != record["exit"] or int(record["x0_at_exit"], 16) != outcome.x[0]:
        return False
    if leaves.reason == EXIT_HYPERCALL:
        told = (int(record["hc_nr"], 16), int(record["hc_flags"], 16), any(record["hc_args"]), record["hc_ret"])
        return told == (leaves.nr, leaves.flags, False, 0) and record["pc_off"] == PC_AFTER_CALL[record["c"]]
    return leaves.reason == EXIT_SYSTEM_EVENT and _event_matches(leaves.event, leaves.data, record)


def _event_matches(event: int, data: tuple[int, ...], record: Record) -> bool:
    if (record["sev_type"], record["sev_ndata"]) != (event, len(data)):
        return False
    return not data or int(str(record["sev_data0"]), 0) == data[0]


def _judge_summary(configuration: Configuration, kind: str, line: int, record: Record) -> str | None:
    """Whether the counts agree with the lines, and for a sweep, that every id it does not list is answered -1."""
    wrong = [f"an exit {key} after which the guest did not go on" for key in +configuration.pending_exits]
    if record["not_supported"] + record["other"] != record["calls"]:
        wrong.append("its counts do not add up")
    if kind == "sweep":
        if record["other"] != configuration.n_answer - configuration.n_not_supported:
            wrong.append(f"it counts {record['other']} answers, the lines {configuration.n_answer}")
        wrong += _unlisted(configuration)
    elif (record["calls"], record["not_supported"]) != (configuration.n_answer, configuration.n_not_supported):
        wrong.append(f"the lines hold {configuration.n_answer} answers, {configuration.n_not_supported} of them -1")
    return f"line {line}, summary {record}: " + "; ".join(wrong[:3]) if wrong else None


def _unlisted(configuration: Configuration) -> list[str]:
    listed = SWEEP_LEFT_OUT.union(configuration.listed)
    call = configuration.vm.call
    return [
        f"unlisted id {func_id:#010x} was answered -1, reference {call(0, func_id)}"
        for upper in range(0, 1 << 32, 1 << 24)
        for func_id in range(upper, upper + SWEEP_NUMBERS)
        if func_id not in listed and call(0, func_id).x != NOT_SUPPORTED
    ]


def _judge_verdicts(fleet: Fleet, batch: Batch, tally: Tally) -> None:
    x = np.array(batch.x, np.uint64).reshape(-1, 4)
    func_id = (x[:, 0] & np.uint64(MASK32)).astype(np.uint32)
    calls = Calls.of(
        fleet.first_vcpu[np.array(batch.vm, np.int64)],
        func_id,
        conduit=np.array(batch.conduit, np.uint8),
        x1=x[:, 1],
        x2=x[:, 2],
    )
    vectorized = verdicts(fleet, calls)
    for mine, reference, story, (line, record) in zip(vectorized, batch.verdict, batch.story, batch.where, strict=True):
        if story is None and mine != reference:
            story = f"line {line}: {record}: reference {Verdict(reference).name}, vectorized {Verdict(mine).name}"
        tally.add(story)
