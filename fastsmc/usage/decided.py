"""What becomes of one's own mix of calls: a row per call, and the answer in a sentence."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastsmc.facts.smccc import Verdict
from fastsmc.reference.state import MASK64, Exit
from fastsmc.results.layout import drawn, number, width, words
from fastsmc.results.tables import Column, Table
from fastsmc.results.units import number_of
from fastsmc.usage.policy import Policy

_BY_KVM = (Verdict.HANDLED, Verdict.FAST_PATH)
_WAYS = {
    "answered": "answered by KVM",
    "to_vmm": "to the VMM",
    "refused": "answered NOT_SUPPORTED (-1)",
    "to_vel2": "to the guest's own EL2",
}
WAY = {
    **dict.fromkeys(_BY_KVM, "answered"),
    **dict.fromkeys((Verdict.FORWARDED, Verdict.EXIT), "to_vmm"),
    **dict.fromkeys((Verdict.DENIED, Verdict.NOT_SUPPORTED, Verdict.SMC_REFUSED), "refused"),
    Verdict.TO_VEL2: "to_vel2",
}
"""Who answers: KVM, the VMM, nobody, or the guest's own hypervisor."""


@dataclass(frozen=True, slots=True)
class DecidedCall:
    """A call of the mix, and what becomes of it (modelled).

    Attributes:
        arguments: x1, x2, x3 that it is made with.
        share: of all calls of the mix, 0 to 1.
        verdict: what becomes of it.
        x: x0..x3 as the guest finds them, or the VMM at an exit.
        free: per register, the bits that may be anything (random, clocks); they are 0 in `x`.
        rule: what settles it: a range of the filter, a bit of a bitmap, the list of allowed calls.
        exit: how it leaves the guest, if it does.
        loss: what a Linux guest lacks that gets no answer; "" where it is not known here.
        doubts: what is not known of the release and would make it another outcome.
    """

    service: str
    function: str
    func_id: int
    arguments: tuple[int, int, int]
    share: float
    verdict: Verdict
    x: tuple[int, int, int, int]
    free: tuple[int, int, int, int]
    rule: str
    exit: Exit | None
    loss: str
    doubts: tuple[str, ...]

    @property
    def name(self) -> str:
        """The function with the arguments that were given."""
        some = [hex(value) for value in self.arguments]
        while some and some[-1] == "0x0":
            some.pop()
        return f"{self.function}({', '.join(some)})" if some else self.function

    @property
    def x0(self) -> str:
        """What x0 holds: a number, signed where it is an error code; "varies" where bits of it may be anything."""
        if self.free[0]:
            return "varies"
        return str(self.x[0] - (MASK64 + 1)) if self.x[0] >> 63 else hex(self.x[0])

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Ids, arguments and registers are hexadecimal text."""
        return {
            "service": self.service,
            "function": self.function,
            "func_id": f"0x{self.func_id:08x}",
            "arguments": [hex(value) for value in self.arguments],
            "percent": 100 * self.share,
            "verdict": self.verdict.name,
            "x": [hex(value) for value in self.x],
            "free_bits": [hex(bits) for bits in self.free],
            "exit": None if self.exit is None else _exit(self.exit),
            "rule": self.rule,
            "loss": self.loss,
            "doubts": list(self.doubts),
        }


def _exit(exit: Exit) -> dict[str, Any]:
    if exit.reason == 3:
        return {"reason": "KVM_EXIT_HYPERCALL", "nr": f"0x{exit.nr:08x}", "flags": hex(exit.flags)}
    return {"reason": "KVM_EXIT_SYSTEM_EVENT", "type": exit.event, "data": [hex(word) for word in exit.data]}


@dataclass(frozen=True, slots=True, repr=False)
class Decided:
    """What becomes of a mix of calls in one VM of a release.

    Attributes:
        features: vCPU features, joined by +.
        conduit: hvc or smc.
        policy: bitmaps, PSCI version and filter that the VM has.
        rows: a row per call, in the order in which they were given; those of a trace by id.
    """

    release: str
    features: str
    conduit: str
    policy: Policy
    rows: tuple[DecidedCall, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Functions by who answers: KVM, the VMM, nobody, the guest's own hypervisor."""
        return {way: sum(WAY[row.verdict] == way for row in self.rows) for way in _WAYS}

    @property
    def shares(self) -> dict[str, float]:
        """The same as percent of the calls."""
        return {way: 100 * sum(row.share for row in self.rows if WAY[row.verdict] == way) for way in _WAYS}

    @property
    def answer(self) -> str:
        """One sentence: how many functions, and which part of the calls, are answered by whom."""
        shares = self.shares
        told = [f"{n} {_WAYS[way]} ({shares[way]:.4g} % of calls)" for way, n in self.counts.items() if n]
        functions = number_of(len(self.rows), "function")
        return f"Linux {self.release}, {functions}: {', '.join(told)}"

    def numbers(self) -> dict[str, list[float | None]]:
        """What --fail-if compares: functions and percent of calls by who answers, and by verdict."""
        found: dict[str, list[float | None]] = {}
        for way in _WAYS:
            found |= {f"{way}_functions": [self.counts[way]], f"{way}_percent": [self.shares[way]]}
        for verdict in Verdict:
            some = [row for row in self.rows if row.verdict is verdict]
            name = verdict.name.lower()
            found |= {f"{name}_functions": [len(some)], f"{name}_percent": [100 * sum(row.share for row in some)]}
        return found

    def table(self) -> Table:
        """A row per call: service, function, func_id, percent, verdict, x0, rule, loss."""
        rows = self.rows
        columns = {
            "service": Column.of([row.service for row in rows]),
            "function": Column.of([row.name for row in rows]),
            "func_id": Column.of([f"0x{row.func_id:08x}" for row in rows]),
            "percent": Column.of([100 * row.share for row in rows], "input", "of the calls of the mix"),
            "verdict": Column.of([row.verdict.name for row in rows], "modelled"),
            "x0": Column.of([row.x0 for row in rows], "modelled", "as the guest finds it, or the VMM at an exit"),
            "rule": Column.of([row.rule for row in rows], "modelled", "what settles the call"),
            "loss": Column.of([row.loss for row in rows], "", "what a Linux guest lacks without an answer"),
        }
        return Table("A row per call of the mix.", columns)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "release": self.release,
            "features": self.features,
            "conduit": self.conduit,
            "answer": self.answer,
            "policy": self.policy.as_dict(),
            "functions": self.counts,
            "percent": self.shares,
            "rows": [row.as_dict() for row in self.rows],
        }

    def __str__(self) -> str:
        return "\n".join([self.answer, *self._lines()])

    def _lines(self) -> Iterator[str]:
        heads = [words("function", names_row=True), words("id"), number("calls%"), words("verdict"), words("x0")]
        cells = [
            (row.name, f"0x{row.func_id:08x}", f"{row.share:.2%}", row.verdict.name, row.x0, row.rule)
            for row in self.rows
        ]
        yield from drawn([*heads, words("by")], cells)
        notes = [f"policy: {self.policy}; vCPU features {self.features}; called by {self.conduit.upper()}"]
        if any(not any(row.arguments) for row in self.rows):
            notes.append("where no arguments are given, x0 is that of a call with x1 = x2 = x3 = 0")
        notes += [f"lacks: {row.function} is not answered; {row.loss}" for row in self.rows if row.loss]
        doubts = dict.fromkeys(f"not certain: {row.function}: {doubt}" for row in self.rows for doubt in row.doubts)
        for note in (*notes, *doubts):
            yield from textwrap.wrap(note, width(), subsequent_indent="  ", break_on_hyphens=False)

    def __repr__(self) -> str:
        return f"<Decided of {self.answer[:150]}>"
