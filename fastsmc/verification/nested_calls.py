"""Replays lists of calls that guests with EL2 made, from vEL2 or vEL1, under some HCR_EL2.

A header says what the VM and the guest were given. Then come the times the guest was left (`stop`), the end of its run,
and the calls of the list in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fastsmc.checks import shown, whole
from fastsmc.errors import InputError
from fastsmc.facts.guests import why_refused
from fastsmc.facts.registers import BITMAP_REGISTERS
from fastsmc.facts.releases import Host
from fastsmc.facts.vcpu import FEATURE_EL2_E2H0, FEATURE_PSCI_0_2
from fastsmc.recordings.folder import FORMAT_ERRORS, Record
from fastsmc.reference.guests import INSTRUCTION
from fastsmc.reference.state import MASK32, OK, PSTATE_EL1, Outcome
from fastsmc.verification.fields import conduit_of, word, words
from fastsmc.verification.nested_given import HCR_E2H, HCR_JUDGED, N_FILTER_ERRNO, Given, Mode, given_of, mode_of
from fastsmc.verification.pair import DisagreementError, Made, Pair
from fastsmc.verification.tally import Tally

T = TypeVar("T")

CALL_TYPES = ("calls", "stop", "end")
HEADER_INPUTS = ("t", "features", "vgic", "cfg", "mode", "calls")
CALL_KEYS = frozenset({"id", "c", "a", "el", "x", "to_vEL2", "to_vEL1"})

INSTRUCTION_AT = {"hvc0": 120, "smc0": 128, "hvc1": 136, "smc1": 144}
"""Where the recorder's guest code has each instruction, in bytes from its start."""
IMMEDIATE = {"hvc0": 0, "smc0": 0, "hvc1": 1, "smc1": 1}
FLAGS = 0xF000_0000
"""NZCV in PSTATE: left by the recorder's own comparisons."""
CAME_TO_USERSPACE, WAS_NOT_RUN = 2, 3
"""What `stop` calls a return from KVM_RUN: an exit, an errno."""


class LineError(Exception):
    """A record that is none, found when later lines were read already."""

    def __init__(self, line: int, error: Exception) -> None:
        super().__init__(line, error)
        self.line, self.error = line, error


@dataclass(slots=True)
class CallList:
    """The lines of one header: each with its number."""

    line: int
    header: Record
    stops: list[tuple[int, Record]] = field(default_factory=list)
    ends: list[tuple[int, Record]] = field(default_factory=list)
    calls: list[tuple[int, Record]] = field(default_factory=list)

    def lines(self) -> list[int]:
        """The numbers of all its lines."""
        return sorted([self.line, *(line for line, _ in (*self.stops, *self.ends, *self.calls))])


class CallLists:
    """Lists of calls, one after another; each is judged once all of it was taken."""

    def __init__(self, host: Host, tally: Tally) -> None:
        self.host, self.tally = host, tally
        self.open: CallList | None = None

    def take(self, line: int, record: Record) -> None:
        """Takes a header, or a line below one."""
        if record.get("t") == "calls":
            self.close()
            self.open = CallList(line, record)
            return
        if self.open is None:
            msg = "the header of a list of calls must come first"
            raise InputError(msg)
        lists = {"stop": self.open.stops, "end": self.open.ends}
        lists.get(record.get("t", ""), self.open.calls).append((line, record))

    def close(self) -> None:
        """Has the reference judge the open list, if there is one."""
        if self.open is None:
            return
        one, self.open = self.open, None
        try:
            self._judge(one)
        except FORMAT_ERRORS as error:
            raise LineError(one.line, error) from error

    def _judge(self, one: CallList) -> None:
        mode, given = mode_of(one.header["mode"]), given_of(one.header["cfg"])
        if mode is None or given is None:
            what = f"modes called {shown(one.header['mode'])}" if mode is None else f"cfg {shown(one.header['cfg'])}"
            for _ in one.lines():
                self.tally.cannot_judge(f"calls of guests with EL2 in {what}")
            return
        features = word("features", one.header["features"], last=MASK32)
        if refused := why_refused(self.host, features):
            for line in one.lines():
                self.tally.add(f"line {line}: recorded of features {features:#x}; model: {refused}")
            return
        try:
            judged = Judged(self.host, one, mode, given, features)
        except DisagreementError as error:
            for line in one.lines():
                self.tally.add(f"line {line}: {error}")
            return
        for story in judged.stories.values():
            self.tally.add(story)


class Judged:
    """One list of calls as the model has it, reference and fleet.

    Attributes:
        run_errno: what the first KVM_RUN returns.
        told: of each call line, the reference's outcome and how the fleet differs.
        number: of each call line, its place in the list.
        stopped: the places at which the guest was left.
        stories: by line, how it differs from the recording; None where it does not.

    Raises:
        DisagreementError: reference and fleet differ before or after the calls.
        LineError: a line is no such record.
    """

    def __init__(self, host: Host, one: CallList, mode: Mode, given: Given, features: int) -> None:
        self.one, self.mode, self.given = one, mode, given
        self.pair = Pair(host, features=features, has_gic=bool(whole("vgic", one.header["vgic"], last=1)))
        self.pair.init(1, power_off=bool(features & FEATURE_PSCI_0_2))
        self.filter_errnos = self._set_up()
        self.run_errno = self.pair.run()
        made = list(_each(one.calls, self._made).values())
        self.told = self.pair.calls(made) if made else []
        self.number = {line: number for number, (line, _) in enumerate(one.calls)}
        self.stopped = [record.get("index") for _, record in one.stops]
        self.stories = _each([(one.line, one.header)], self._of_header) | _each(one.calls, self._of_call)
        self.stories |= _each(one.stops, self._of_stop) | _each(one.ends, self._of_end)

    def _set_up(self) -> list[int]:
        if self.given.is_cleared:
            for row in BITMAP_REGISTERS:
                self.pair.set(row.reg, 0)
        errnos = [self.pair.insert(*insert) for insert in self.given.inserts]
        return errnos + [OK] * (N_FILTER_ERRNO - len(errnos))

    def _of_header(self, line: int, header: Record) -> str | None:
        runs = self.run_errno == OK
        recorded = {key: value for key, value in header.items() if key not in HEADER_INPUTS}
        recorded |= {"ends": len(self.one.ends), "lines": len(self.one.calls), "stops": len(self.one.stops)}
        told: Record = {"filter_errnos": self.filter_errnos, "ends": int(runs)}
        told["lines"] = whole("calls", header["calls"], last=MASK32) if runs else 0
        told["stops"] = sum(outcome.exit is not None for outcome, _ in self.told) if runs else 1
        return _unless_equal(line, recorded, told)

    def _made(self, line: int, record: Record) -> Made:
        x1, x2, x3 = words("a", record["a"], n=3)
        return Made((word("id", record["id"]), x1, x2, x3), conduit_of(record["c"]), self.mode.level)

    def _of_call(self, line: int, record: Record) -> str | None:
        number = self.number[line]
        outcome, apart = self.told[number]
        seen = words("x", [int(text, 16) for text in record["x"]], n=4)
        recorded = {key: value for key, value in record.items() if key not in ("id", "c", "a", "x")}
        if "to_vEL2" in recorded:
            recorded["to_vEL2"] = dict(recorded["to_vEL2"])
            recorded["to_vEL2"]["spsr"] = f"{word('spsr', recorded['to_vEL2']['spsr']) & ~FLAGS:#x}"
        told: Record = {"el": 1 if self.mode.pstate == PSTATE_EL1 else 2}
        if outcome.exception is not None:
            told["to_vEL2"] = exception_told(outcome, record["c"]) | {
                "elr_off": INSTRUCTION_AT[record["c"]] + outcome.exception.elr,
                "spsr": f"{self.mode.pstate:#x}",
            }
        if not outcome.matches((seen[0], seen[1], seen[2], seen[3])):
            told["x"], recorded["x"] = [f"{value:#x}" for value in outcome.x], record["x"]
        if (outcome.exit is not None) != (number in self.stopped):
            told["stopped"], recorded["stopped"] = outcome.exit is not None, number in self.stopped
        return _unless_equal(line, recorded, told, record) or (f"line {line}: {record}: {apart}" if apart else None)

    def _of_stop(self, line: int, record: Record) -> str | None:
        recorded = dict(record)
        if self.run_errno:
            told: Record = {"t": "stop", "index": 0, "kind": WAS_NOT_RUN, "run_errno": self.run_errno, "pc_off": 0}
            told |= {"pstate": f"{self.pair.vm.start_pstate:#x}", "x0": "0x0", "id": record["id"], "c": record["c"]}
            return _unless_equal(line, recorded, told)
        index = whole("index", record["index"], last=MASK32)
        leaves = self.told[index][0].exit if index < len(self.told) else None
        if leaves is None:
            return f"line {line}: recorded {record}; reference: the call does not leave the guest"
        (outcome, _), (_, call) = self.told[index], self.one.calls[index]
        recorded["pstate"] = f"{word('pstate', record['pstate']) & ~FLAGS:#x}"
        recorded["hc_args"] = sorted(set(record["hc_args"]))
        told = {"t": "stop", "index": index, "kind": CAME_TO_USERSPACE, "id": call["id"], "c": call["c"]}
        told |= {"exit": leaves.reason, "hc_nr": f"{leaves.nr:#x}", "hc_flags": f"{leaves.flags:#x}"}
        told |= {"hc_args": [0], "hc_ret": 0, "pc_off": INSTRUCTION_AT[call["c"]] + INSTRUCTION}
        return _unless_equal(line, recorded, told | {"pstate": f"{self.mode.pstate:#x}", "x0": f"{outcome.x[0]:#x}"})

    def _of_end(self, line: int, record: Record) -> str | None:
        hcr, pstate = word("HCR_EL2", record["hcr_el2_seen_by_guest"]), word("pstate", record["pstate"])
        recorded = record | {"hcr_el2_seen_by_guest": f"{hcr & HCR_JUDGED:#x}", "pstate": f"{pstate & ~FLAGS:#x}"}
        expected = self.mode.hcr & HCR_JUDGED | (0 if self.pair.vm.features & FEATURE_EL2_E2H0 else HCR_E2H)
        told = {"t": "end", "hcr_el2_seen_by_guest": f"{expected:#x}", "pstate": f"{self.mode.pstate:#x}"}
        return _unless_equal(line, recorded, told)


def _each(lines: list[tuple[int, Record]], judge: Callable[[int, Record], T]) -> dict[int, T]:
    """What a rule says of each line, by line.

    Raises:
        LineError: a line is no such record.
    """
    told = {}
    for line, record in lines:
        try:
            told[line] = judge(line, record)
        except FORMAT_ERRORS as error:
            raise LineError(line, error) from error
    return told


def exception_told(outcome: Outcome, conduit: str) -> Record:
    """What a record tells of an exception to vEL2, the immediate in its syndrome; {} where there is none."""
    taken = outcome.exception
    if taken is None:
        return {}
    return {"vector": f"{taken.vector:#x}", "esr": f"{taken.esr | IMMEDIATE[conduit]:#x}"}


def _unless_equal(line: int, recorded: Record, told: Record, record: Record | None = None) -> str | None:
    if recorded == told:
        return None
    keys = [key for key in recorded | told if recorded.get(key) != told.get(key)]
    parts = (f"{key}: recorded {recorded.get(key)}, reference {told.get(key)}" for key in keys)
    return f"line {line}{'' if record is None else f': {record}'}: " + "; ".join(parts)
