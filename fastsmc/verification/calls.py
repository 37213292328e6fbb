"""Replays recorded calls: answers through the reference, verdicts through the vectorized path."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fastsmc.calls.workload import Calls
from fastsmc.dispatcher.batch import verdicts
from fastsmc.dispatcher.power import switch
from fastsmc.errors import InputError
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import FUNCTIONS, Verdict
from fastsmc.recordings.folder import FORMAT_ERRORS, Record, Recording
from fastsmc.reference.state import EXIT_HYPERCALL, MASK32, MASK64, FourWords, Outcome
from fastsmc.verification.configurations import (
    HEADER_KEYS,
    PVTIME_KEYS,
    Configuration,
    fleet_of,
    judge_headers,
    reference_vm,
    set_up,
    set_up_fleet,
    unclosed,
)
from fastsmc.verification.fields import conduit_of, word, words
from fastsmc.verification.filters import FILTER
from fastsmc.verification.summaries import SUMMARISED, judge_summary
from fastsmc.verification.tally import Tally
from fastsmc.verification.typed import judge_typed
from fastsmc.vm import Fleet

PC_AFTER_CALL = {"hvc0": 52, "smc0": 60, "hvc1": 68, "smc1": 76}
"""`pc_off` of the instruction after each call in the recorder's guest code: HVC #0 is at 48, then every 8 bytes."""

POWER_ANSWERS = [f.func_id for f in FUNCTIONS if "CPU_ON" in f.name or "AFFINITY_INFO" in f.name]
"""Ids whose x0 depends on power state alone."""

ANSWER_KEYS, ANSWER32_KEYS = frozenset({"cfg", "id", "c", "a", "x"}), frozenset({"cfg", "id", "c", "a", "r"})
EXIT_KEYS = ANSWER_KEYS - {"x"} | {"exit", "hc_nr", "hc_flags", "hc_args", "hc_ret", "pc_off", "x0_at_exit"}

UNCLOSED_NOTE = "configurations without the summary that closes one: lines may be missing"


@dataclass(slots=True)
class Batch:
    """The calls that the vectorized path is asked once the reference has answered them: parallel lists.

    Attributes:
        vm: number of the configuration.
        x: x0..x3 of the caller.
        verdict: the reference's.
        story: how the reference differs from the recording, None where it does not.
        where: line and record.
    """

    vm: list[int] = field(default_factory=list)
    x: list[tuple[int, int, int, int]] = field(default_factory=list)
    conduit: list[int] = field(default_factory=list)
    verdict: list[int] = field(default_factory=list)
    story: list[str | None] = field(default_factory=list)
    where: list[tuple[int, Record]] = field(default_factory=list)

    def add(
        self, vm: int, x: FourWords, conduit: int, outcome: Outcome, story: str | None, line: int, record: Record
    ) -> None:
        """Appends one call, with what the reference made of it."""
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
                wrong[-1] += unclosed(configuration)
                if kind in SUMMARISED and not configuration.n_summary and not recording.is_compact:
                    tally.notes[UNCLOSED_NOTE] += 1
            judge_headers(configurations, wrong, tally)
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
        raise InputError(msg)
    elif record["cfg"] != configurations[-1].header["cfg"]:
        msg = f"cfg is {record['cfg']!r} among the lines of configuration {configurations[-1].header['cfg']!r}"
        raise InputError(msg)
    elif record.get("summary") is True:
        configurations[-1].n_summary += 1
        tally.add(judge_summary(configurations[-1], tally.kind, line, record))
    else:
        _judge_call(configurations, batch, line, record)


def _unknown_keys(record: Record) -> InputError:
    """A key the format does not have may say something that no rule looks at."""
    return InputError(f"a record with the keys {', '.join(record)} is none this format has")


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
