"""Replays recorded calls: answers through the reference, verdicts through the vectorized path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EINVAL, ENXIO

import numpy as np

from fastsmc.calls.workload import Calls
from fastsmc.checks import whole
from fastsmc.dispatcher.batch import verdicts
from fastsmc.dispatcher.power import switch
from fastsmc.facts.registers import FW_BY_NAME
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import FUNCTION_BY_NAME, FUNCTIONS, SMC64, FilterAction, Service, Verdict
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2, MAX_VCPU_PER_VM, STOPPED
from fastsmc.fleet.filters import FilterRange
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording
from fastsmc.reference.state import EXIT_HYPERCALL, MASK32, MASK64, OK, FourWords, Outcome
from fastsmc.reference.vm import Vm
from fastsmc.verification.fields import conduit_of, fleet_get, word, words
from fastsmc.verification.filters import FILTER
from fastsmc.verification.tally import Tally
from fastsmc.verification.typed import judge_typed
from fastsmc.vm import Fleet

STEAL_TIME_IPA, STEAL_TIME_STRIDE = 0x4038_0000, 64
"""Where the recorder put vCPU 0's steal-time record, and the distance to the next vCPU's."""

PC_AFTER_CALL = {"hvc0": 52, "smc0": 60, "hvc1": 68, "smc1": 76}
"""`pc_off` of the instruction after each call in the recorder's guest code: HVC #0 is at 48, then every 8 bytes."""

NOT_SUPPORTED: FourWords = (MASK64, 0, 0, 0)

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
POWER_ANSWERS = [f.func_id for f in FUNCTIONS if "CPU_ON" in f.name or "AFFINITY_INFO" in f.name]
"""Ids whose x0 depends on power state alone."""
_POWER_IDS = frozenset(FUNCTION_BY_NAME[f"PSCI_{name}"].func_id for name in _POWER)
SWEEP_LEFT_OUT = _POWER_IDS | {func_id | SMC64 for func_id in _POWER_IDS}
"""Ids a sweep leaves out, since they stop or start vCPUs or leave the guest."""

_HIGH_NUMBERS = {
    f.func_id & 0xFF00_0000: [g.func_id for g in FUNCTIONS if (f.func_id ^ g.func_id) < 1 << 24]
    for f in FUNCTIONS
    if f.service is not Service.PSCI
}
"""Ids with a name that lie above those numbers, by their upper byte; every sweep calls these too."""

SUMMARISED = ("calls", "random", "sweep", "fuzz_calls", "filter")
"""Kinds whose configurations are closed by a summary; a compact copy leaves most of them out."""

HEADER_KEYS = frozenset({"cfg", "features", "nvcpu", "sets", "filter", "fw", "enable_system_suspend_errno"})
PVTIME_KEYS = frozenset({"pvtime_errno_v0", "pvtime_errno_v1"})
ANSWER_KEYS, ANSWER32_KEYS = frozenset({"cfg", "id", "c", "a", "x"}), frozenset({"cfg", "id", "c", "a", "r"})
EXIT_KEYS = ANSWER_KEYS - {"x"} | {"exit", "hc_nr", "hc_flags", "hc_args", "hc_ret", "pc_off", "x0_at_exit"}

MAX_PAD_SHARE = 0.05
"""Of a host's inserts; recorded are 1.6 to 2.4 %. More cannot be explained by a pad byte that was not printed."""

UNCLOSED_NOTE = "configurations without the summary that closes one: lines may be missing"
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
    n_summary: int = 0

    @property
    def has_filter(self) -> bool:
        """Whether its release has one; elsewhere every insert is EINVAL."""
        return self.vm.release.has_filter


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
        self, vm: int, x: FourWords, conduit: int, outcome: Outcome, story: str | None, line: int, record: Record
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
        if configurations:
            fleet = fleet_of(configurations, host)
            wrong = []
            for number, configuration in enumerate(configurations):
                line = configuration.line
                wrong.append(configuration.wrong + set_up_fleet(fleet, number, configuration.header))
                wrong[-1] += _unclosed(configuration)
                if kind in SUMMARISED and not configuration.n_summary and not recording.is_compact:
                    tally.notes[UNCLOSED_NOTE] += 1
            _judge_headers(configurations, wrong, tally)
            _judge_vectorized(fleet, batch, tally)
    except FORMAT_ERRORS as error:
        raise recording.malformed(kind, line, error) from error
    return tally


def _judge(
    configurations: list[Configuration], batch: Batch, tally: Tally, host: Host, line: int, record: Record
) -> None:
    if "fw" in record:
        if not record.keys() <= HEADER_KEYS | PVTIME_KEYS:
            raise _unknown_keys(record)
        vm = reference_vm(host, record)
        configurations.append(Configuration(record, line, vm, set_up(vm, record)))
    elif record.keys() == {"note"}:
        return
    elif "t" in record:
        judge_typed(tally, FILTER if tally.kind == "filter" else {}, host, line, record, {})
    elif not configurations:
        msg = "a configuration's header must come first"
        raise ValueError(msg)
    elif record["cfg"] != configurations[-1].header["cfg"]:
        msg = f"cfg is {record['cfg']!r} among the lines of configuration {configurations[-1].header['cfg']!r}"
        raise ValueError(msg)
    elif record.get("summary") is True:
        configurations[-1].n_summary += 1
        tally.add(_judge_summary(configurations[-1], tally.kind, line, record))
    else:
        _judge_call(configurations, batch, line, record)


def _unknown_keys(record: Record) -> ValueError:
    """A key the format does not have may say something that no rule looks at."""
    return ValueError(f"a record with the keys {', '.join(record)} is none this format has")


def _unclosed(configuration: Configuration) -> list[str]:
    """What is missing, or too much, at the end of a configuration's lines."""
    wrong = [f"an exit {key} after which the guest did not go on" for key in +configuration.pending_exits]
    if configuration.n_summary > 1:
        wrong.append(f"{configuration.n_summary} summaries close it, where one does")
    return wrong


def _judge_headers(configurations: list[Configuration], wrong: list[list[str]], tally: Tally) -> None:
    """Counts the headers; inserts whose pad byte must have been set are an input, as long as they are few."""
    n_insert = sum(len(c.header.get("filter", ())) for c in configurations)
    n_pad = sum(pad for c in configurations for *_, pad in inserts(c.header)) if configurations[0].has_filter else 0
    if n_pad:
        tally.notes[PAD_NOTE] += n_pad
    for configuration, parts in zip(configurations, wrong, strict=True):
        if n_pad > max(MAX_PAD_SHARE * n_insert, 2) and any(pad for *_, pad in inserts(configuration.header)):
            parts.append(
                f"EINVAL from well-formed fields, and {n_pad} of {n_insert} such inserts are too many for pads"
            )
        where = f"line {configuration.line}, configuration {configuration.header['cfg']}: "
        tally.add(where + "; ".join(parts) if parts else None)


def reference_vm(host: Host, header: Record) -> Vm:
    """The VM a header describes, before its SET_ONE_REG and filter calls."""
    n_vcpu = whole("nvcpu", header["nvcpu"], first=1, last=MAX_VCPU_PER_VM)
    vm = Vm(host, features=word("features", header["features"], last=MASK32), n_vcpu=n_vcpu)
    if vm.features & FEATURE_PSCI_0_2:
        vm.mp_state[1:] = [STOPPED] * (header["nvcpu"] - 1)
    for vcpu in range(n_vcpu):
        if f"pvtime_errno_v{vcpu}" in header:
            vm.steal_base[vcpu] = STEAL_TIME_IPA + STEAL_TIME_STRIDE * vcpu
    return vm


def inserts(header: Record) -> Iterator[tuple[int, int, int, int, bool]]:
    """Filter inserts of a header: base, nr, action, recorded errno, and whether the pad must have been non-zero.

    A header prints neither pad nor why an insert failed: EINVAL from well-formed fields can only be the pad.
    """
    for f in header.get("filter", ()):
        base, nr = word("base", f["base"], last=MASK32), whole("nr", f["nr"], last=MASK32)
        action = whole("action", f["action"], last=0xFF)
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
    for key in header:
        if key.startswith("pvtime_errno"):
            compare(key, OK if "PV_TIME" in vm.release.answers else ENXIO, header[key])
    for s in header["sets"]:
        reg, value = word("reg", s["reg"]), word("val", s["val"])
        compare(f"SET {s['reg']} = {s['val']}", vm.set_one_reg(0, reg, value), s["errno"])
    has_filter = vm.release.has_filter
    for base, nr, action, errno, pad in inserts(header):
        mine = vm.insert_filter(base, nr, action, pad=pad and has_filter)
        compare(f"filter 0x{base:08x}+{nr} action {action}", mine, errno)
    present = [f"{FW_BY_NAME[name].reg:#x}" for name in vm.release.fw_registers]
    compare("firmware registers", sorted(present), sorted(header["fw"]))
    for reg, value in header["fw"].items():
        compare(f"GET {reg}", vm.get_one_reg(0, word("a register of fw", reg)), (OK, word("a value of fw", value)))
    return wrong


def fleet_of(configurations: list[Configuration], host: Host) -> Fleet:
    """The same VMs as a fleet, before their headers' calls; other vCPUs than the caller start as recorded."""
    headers = [c.header for c in configurations]
    features = np.array([int(h["features"], 16) for h in headers])
    fleet = Fleet([h["nvcpu"] for h in headers], hosts=host, features=features)
    starts_off = fleet.features[fleet.vm_of_vcpu] & FEATURE_PSCI_0_2 != 0
    starts_off[fleet.first_vcpu[:-1]] = False
    fleet.vcpu_init(np.flatnonzero(starts_off), power_off=True)
    return fleet


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
        wrong += _unless_equal(f"fleet: GET {reg}", fleet_get(fleet, int(reg, 16), number), (OK, int(value, 16)))
    return wrong


def _unless_equal(what: str, mine: object, recorded: object) -> list[str]:
    return [] if mine == recorded else [f"{what}: recorded {recorded}, model {mine}"]


def _judge_call(configurations: list[Configuration], batch: Batch, line: int, record: Record) -> None:
    if record.keys() not in (ANSWER_KEYS, ANSWER32_KEYS, EXIT_KEYS):
        raise _unknown_keys(record)
    configuration = configurations[-1]
    x0, conduit = word("id", record["id"]), conduit_of(record["c"])
    x1, x2, x3 = words("a", record["a"], n=3)
    outcome = configuration.vm.call(0, x0, x1, x2, x3, conduit)
    key = (record["id"], record["c"], x1, x2, x3)
    configuration.listed.append(x0)
    if "exit" in record:
        configuration.pending_exits[key] += 1
        matches, seen = _exit_matches(outcome, record), None
    else:
        name, width = ("r", MASK32) if "r" in record else ("x", MASK64)
        seen = words(name, [int(text, 16) for text in record[name]], n=4, last=width)
        configuration.n_answer += 1
        configuration.n_not_supported += seen[0] == width
        matches = outcome.matches((seen[0], seen[1], seen[2], seen[3]), width=width)
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
        told = (int(record["hc_nr"], 16), int(record["hc_flags"], 16), set(record["hc_args"]), record["hc_ret"])
        return told == (leaves.nr, leaves.flags, {0}, 0) and record["pc_off"] == PC_AFTER_CALL[record["c"]]
    return False  # the recorder kept calls that exit with a SYSTEM_EVENT apart, in `danger`


def _judge_summary(configuration: Configuration, kind: str, line: int, record: Record) -> str | None:
    """Whether the counts agree with the lines, and for a sweep, that every id it does not list is answered -1."""
    wrong = []
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
        for func_id in (*range(upper, upper + SWEEP_NUMBERS), *_HIGH_NUMBERS.get(upper, ()))
        if func_id not in listed and call(0, func_id).x != NOT_SUPPORTED
    ]


def _judge_vectorized(fleet: Fleet, batch: Batch, tally: Tally) -> None:
    """Verdicts of the fleet against the reference's, and x0 of the calls that power state answers."""
    x = np.array(batch.x, np.uint64).reshape(-1, 4)
    func_id = (x[:, 0] & np.uint64(MASK32)).astype(np.uint32)
    vcpu = fleet.first_vcpu[np.array(batch.vm, np.int64)]
    calls = Calls.of(vcpu, func_id, conduit=np.array(batch.conduit, np.uint8), x1=x[:, 1], x2=x[:, 2])
    vectorized = verdicts(fleet, calls)
    done = switch(fleet, calls, vectorized)
    is_power = np.isin(func_id, POWER_ANSWERS) & (vectorized == Verdict.HANDLED)
    for c, (mine, reference, story) in enumerate(zip(vectorized, batch.verdict, batch.story, strict=True)):
        line, record = batch.where[c]
        if story is None and mine != reference:
            story = f"line {line}: {record}: reference {Verdict(reference).name}, vectorized {Verdict(mine).name}"
        elif story is None and is_power[c]:
            seen = int(record["r" if "r" in record else "x"][0], 16)
            width = MASK32 if "r" in record else MASK64
            if not done.ran[c] or int(done.x0[c]) & width != seen:
                story = f"line {line}: {record}: vectorized power state says x0 = {int(done.x0[c]) & width:#x}"
        tally.add(story)
