"""Which services a guest used, by its recorded calls; the least that answers them on a release; and what is lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsmc.calls.counts import Counts
from fastsmc.calls.trace import Trace
from fastsmc.calls.workload import Calls, replay
from fastsmc.checks import shown
from fastsmc.dispatcher.batch import verdicts
from fastsmc.facts.other_calls import service_and_name
from fastsmc.facts.registers import BIT_NAMES, BITMAP_REGISTERS
from fastsmc.facts.releases import Release
from fastsmc.facts.releases import release as rules_of
from fastsmc.facts.smccc import FUNCTION_BY_ID, Gate, Verdict
from fastsmc.traces.text import trace as read
from fastsmc.usage.least import bits_used, least
from fastsmc.usage.losses import loss_of
from fastsmc.usage.policy import Policy, policy_of
from fastsmc.usage.text import text_of

_DECIDES = ("answers", "psci_versions", "is_gated", "bitmap_limit", "has_filter")
"""Fields of a release that verdicts rest on."""


@dataclass(frozen=True, slots=True)
class Row:
    """A function that the guest called.

    Attributes:
        n_call: how often (recorded).
        verdict: what the release does with it in a VM that nobody configured (modelled).
        gate: what lets it through: a bit of a bitmap, or the list of calls that are always allowed.
        under: its verdict under the policy that was asked about; None if none was.
        loss: what a Linux guest lacks without it.
    """

    service: str
    function: str
    func_id: int
    n_call: int
    verdict: Verdict
    gate: str
    under: Verdict | None
    loss: str

    @property
    def is_unanswered(self) -> bool:
        """Whether nothing answers it in a VM that nobody configured."""
        return self.verdict in (Verdict.DENIED, Verdict.NOT_SUPPORTED)

    @property
    def is_changed(self) -> bool:
        """Whether the policy that was asked about changes its verdict."""
        return self.under is not None and self.under != self.verdict

    @property
    def is_lost(self) -> bool:
        """Whether nobody answers it: neither KVM nor, where the policy forwards it, the VMM."""
        return (self.is_changed or self.is_unanswered) and self.under is not Verdict.FORWARDED

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "service": self.service,
            "function": self.function,
            "func_id": f"0x{self.func_id:08x}",
            "calls": self.n_call,
            "verdict": self.verdict.name,
            "gate": self.gate,
            "under_policy": None if self.under is None else self.under.name,
            "loss": self.loss if self.is_lost else "",
        }


@dataclass(frozen=True, slots=True, repr=False)
class Used:
    """What a guest used of the services, on a release.

    Attributes:
        name: of the trace.
        release: whose rules the verdicts follow.
        rows: a row a function, most calls first.
        bits: by bitmap register, the bits of the functions that the kernel answered.
        shown: by bitmap register that the release has, the bits that a VM has that nobody configured.
        least: bitmaps and filter under which not one verdict changes: each call was dispatched under them.
        policy: what was asked about; None if nothing was.
        notes: what the trace does not show and the verdicts do not say.
    """

    name: str
    release: str
    rows: tuple[Row, ...]
    bits: dict[str, int]
    shown: dict[str, int]
    least: Policy
    policy: Policy | None
    notes: tuple[str, ...]

    @property
    def n_call(self) -> int:
        """Number of calls."""
        return sum(row.n_call for row in self.rows)

    @property
    def unanswered(self) -> tuple[Row, ...]:
        """The functions that nothing answers on this release, whatever the policy."""
        return tuple(row for row in self.rows if row.is_unanswered)

    @property
    def changed(self) -> tuple[Row, ...]:
        """The functions whose verdict the policy changes."""
        return tuple(row for row in self.rows if row.is_changed)

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Ids and bitmaps are hexadecimal text."""
        return {
            "trace": self.name,
            "release": self.release,
            "calls": self.n_call,
            "rows": [row.as_dict() for row in self.rows],
            "bits": {
                name: {"used": f"0x{self.bits[name]:x}", "default": f"0x{word:x}"} for name, word in self.shown.items()
            },
            "least": self.least.as_dict() | {"verdicts_changed": 0},
            "policy": None
            if self.policy is None
            else self.policy.as_dict() | {"calls_changed": sum(row.n_call for row in self.changed)},
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return text_of(self)

    def __repr__(self) -> str:
        return f"Used({shown(self.name)} on {shown(self.release)}, {self.n_call} calls of {len(self.rows)} functions)"


def services(
    trace: str | os.PathLike[str] | Trace | Counts,
    *,
    release: str = "7.3",
    bitmaps: Mapping[str, int] | None = None,
    psci_version: str | int | None = None,
    deny: Iterable[str | int] = (),
    forward: Iterable[str | int] = (),
    lenient: bool = False,
) -> Used:
    """Which services, bits and functions a guest used, and the least policy that still answers all of it.

    Args:
        trace: a trace, counts, or a file of either ("-": standard input).
        release: whose rules the verdicts follow.
        bitmaps, psci_version, deny, forward: the policy asked about: words by bitmap register, "1.0" or its word, and
            the filter's ranges, each an id, a name, FIRST-LAST or BASE+N. Nothing given: none is asked about.
        lenient: as of `trace`.

    Raises:
        TraceError: as `trace`.
        InputError: no such release, bitmap, version or function.
        RegisterError, FilterError: what KVM of the release refuses of the policy.

    Cost: five dispatches of the calls, besides reading them.

    >>> from fastsmc.traces.text import parse_trace
    >>> line = "a-71 [000] .... 2.478778: kvm_hvc_arm64: HVC at 0x40 (r0: 0x86000001, imm: 0x0)"
    >>> used = services(parse_trace(line), release="6.12", bitmaps={"VENDOR_HYP_BMAP": 1})
    >>> used.least.bitmaps
    (('STD_BMAP', 0), ('STD_HYP_BMAP', 0), ('VENDOR_HYP_BMAP', 2))
    >>> [(row.function, row.under.name, row.loss) for row in used.changed]
    [('VENDOR_HYP_PTP', 'DENIED', 'no clock of the host (ptp_kvm)')]
    """
    rules = rules_of(release)
    asked = policy_of(bitmaps or {}, psci_version, deny, forward)
    seen = trace if isinstance(trace, Trace | Counts) else read(trace, lenient=lenient)
    if isinstance(seen, Counts):
        calls, n_call = Calls.of(np.zeros(len(seen.func_id), np.uint32), seen.func_id), seen.n_call
    else:
        calls = replay(seen, n_vcpu=1)
        n_call = np.ones(len(seen), np.int64)
    before = verdicts(Policy().fleet(rules.name), calls)
    has_policy = asked != Policy()
    under = verdicts(asked.fleet(rules.name), calls) if has_policy else None
    ids, first, of_call = np.unique(calls.func_id, return_index=True, return_inverse=True)
    totals = np.zeros(ids.size, np.int64)
    np.add.at(totals, of_call.reshape(-1), n_call)
    rows = [
        _row(int(ids[k]), int(totals[k]), rules, int(before[first[k]]), None if under is None else int(under[first[k]]))
        for k in np.argsort(-totals, kind="stable").tolist()
    ]
    shows = {row.name: rules.bitmap_reset[row.index] for row in BITMAP_REGISTERS if row.name in rules.fw_registers}
    found = least(rules, calls, before)
    return Used(
        seen.name,
        rules.name,
        tuple(rows),
        bits_used([row.func_id for row in rows], [row.verdict for row in rows]),
        shows,
        found,
        asked if has_policy else None,
        _notes(seen, rules, rows, shows, found),
    )


def _row(func_id: int, n_call: int, rules: Release, before: int, under: int | None) -> Row:
    service, name = service_and_name(func_id)
    function = FUNCTION_BY_ID.get(func_id)
    gate = ""
    if function and function.gate is Gate.BITMAP:
        register = BITMAP_REGISTERS[function.bitmap].name
        bit = BIT_NAMES.get((register, function.bit), "")
        gate = f"{register} bit {function.bit} ({bit})" if rules.is_gated else "always allowed"
    elif Verdict(before) is not Verdict.DENIED:
        gate = "always allowed"
    return Row(
        service, name, func_id, n_call, Verdict(before), gate, None if under is None else Verdict(under),
        loss_of(service, name),
    )  # fmt: skip


def _notes(
    seen: Trace | Counts, rules: Release, rows: list[Row], shows: dict[str, int], found: Policy
) -> tuple[str, ...]:
    """What the trace does not show, and what a verdict does not say."""
    notes = [
        "only calls that were recorded count: a guest may call more when it is used otherwise, and workaround calls "
        "are answered before the tracepoint"
    ]
    exits = seen.exits if isinstance(seen, Trace) else {}
    if smc := sum(n for name, n in exits.items() if name.startswith("SMC")):
        notes.append(f"{smc} SMC exits: their functions are not recorded, and the filter holds for SMCs too")
    if n := exits.get("KVM_EXIT_HYPERCALL"):
        notes.append(
            f"{n} KVM_EXIT_HYPERCALL: the VMM answered calls that a filter forwarded, which a verdict here does not "
            "know of; keep their ranges FWD_TO_USER"
        )
    if n := exits.get("KVM_EXIT_SYSTEM_EVENT"):
        notes.append(f"{n} KVM_EXIT_SYSTEM_EVENT: the VMM carried PSCI calls out, with capabilities that it had set")
    if seen.n_skipped:
        notes.append(f"{seen.n_skipped} lines were skipped, the first at line {seen.first_skipped_line}")
    skipped = seen.n_skipped_call if isinstance(seen, Trace) else 0
    if missing := seen.n_lost + skipped:
        notes.append(f"{missing} events are missing, lost by the tracer or skipped: functions may be missing")
    narrowed = [name for name, word in found.bitmaps if word != shows[name]]
    called = {row.function for row in rows}
    discovery = {
        "VENDOR_HYP_FEATURES": [name for name in narrowed if name.startswith("VENDOR_HYP")],
        "SMCCC_ARCH_FEATURES": [name for name in narrowed if name == "STD_HYP_BMAP"],
    }
    for function, names in discovery.items():
        if function in called and names:
            notes.append(
                f"{function} would show less, as it answers from {' and '.join(names)}; its verdict is the same"
            )
    if uncertain := [name for name in _DECIDES if name in rules.uncertain]:
        notes.append(f"of Linux {rules.name}, {', '.join(uncertain)} lie between two recordings and may differ")
    return tuple(notes)
