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
from fastsmc.errors import UnknownError
from fastsmc.facts.other_calls import service_and_name
from fastsmc.facts.registers import BIT_NAMES, BITMAP_REGISTERS
from fastsmc.facts.releases import Release
from fastsmc.facts.releases import release as rules_of
from fastsmc.facts.smccc import FUNCTION_BY_ID, RESERVED_RANGES, FilterAction, Gate, Verdict
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.results.rows import table_of_rows
from fastsmc.results.tables import Table
from fastsmc.results.units import number_of
from fastsmc.traces.text import trace as read
from fastsmc.usage import nested
from fastsmc.usage.least import bits_used, forwarding, least
from fastsmc.usage.losses import loss_of
from fastsmc.usage.notes import notes
from fastsmc.usage.policy import Policy, policy_of
from fastsmc.usage.text import text_of


@dataclass(frozen=True, slots=True)
class Row:
    """A function that the guest called.

    Attributes:
        n_call: how often (recorded).
        verdict: what the release does with it in a VM that nobody configured (modelled), but for what the trace
            shows to have gone to the VMM: that is forwarded.
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
        least: bitmaps and filter under which not one verdict changes: each call was dispatched under them. None: it is
            not known, as the guest has EL2.
        policy: what was asked about; None if nothing was.
        notes: what the trace does not show and the verdicts do not say.
        has_el2: the guest has EL2, so that its calls need neither bits nor filter, and those that do are not known.
    """

    name: str
    release: str
    rows: tuple[Row, ...]
    bits: dict[str, int]
    shown: dict[str, int]
    least: Policy | None
    policy: Policy | None
    notes: tuple[str, ...]
    has_el2: bool = False

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

    @property
    def answer(self) -> str:
        """One sentence: what the policy that was asked about would change, or the least that answers every call."""
        if self.least is None:
            return nested.UNKNOWN
        if self.policy is not None:
            n, lost = sum(row.n_call for row in self.changed), sum(row.is_lost for row in self.changed)
            told = f"{self.policy}: {n} of {number_of(self.n_call, 'call')} get another verdict"
            return f"{told}, and nobody answers {number_of(lost, 'function')} (modelled)"
        words = ", ".join(f"{name} {word:#x}" for name, word in self.least.bitmaps) or "no bitmap"
        denied = sum(one.action is FilterAction.DENY for one in self.least.ranges)
        rest = f" and a filter that denies {number_of(denied, 'range')}" if denied else ""
        return f"{number_of(self.n_call, 'call')} of this guest need no more than {words}{rest} (modelled)"

    @property
    def exit_code(self) -> int:
        """5 where what the guest needs is not known, else 0."""
        return UnknownError.exit_code if self.least is None else 0

    def table(self) -> Table:
        """A row per function, most calls first."""
        return table_of_rows(
            "A row per function that the guest called.", [row.as_dict() for row in self.rows], "recorded"
        )

    def numbers(self) -> dict[str, list[float | None]]:
        """Counts of calls and functions, for thresholds; None where they are not known."""
        known: dict[str, float] = {
            "calls_changed": sum(row.n_call for row in self.changed),
            "functions_lost": sum(row.is_lost for row in self.rows),
            "functions_unanswered": len(self.unanswered),
        }
        return {"calls": [self.n_call], **{name: [None if self.has_el2 else n] for name, n in known.items()}}

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
            "el2": self.has_el2,
            "least": None if self.least is None else self.least.as_dict() | {"verdicts_changed": 0},
            "policy": None
            if self.policy is None
            else self.policy.as_dict()
            | {"calls_changed": None if self.has_el2 else sum(row.n_call for row in self.changed)},
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return text_of(self)

    def __repr__(self) -> str:
        calls, functions = number_of(self.n_call, "call"), number_of(len(self.rows), "function")
        return f"Used({shown(self.name)} on {shown(self.release)}, {calls} of {functions})"


def services(
    trace: str | os.PathLike[str] | Trace | Counts,
    *,
    release: str = "7.3",
    bitmaps: Mapping[str, int] | None = None,
    psci_version: str | int | None = None,
    deny: Iterable[str | int] = (),
    forward: Iterable[str | int] = (),
    lenient: bool = False,
    el2: bool = False,
) -> Used:
    """Which services, bits and functions a guest used, and the least policy that still answers all of it.

    Args:
        trace: a trace, counts, or a file of either ("-": standard input).
        release: whose rules the verdicts follow.
        bitmaps, psci_version, deny, forward: the policy asked about: words by bitmap register, "1.0" or its word, and
            the filter's ranges, each an id, a name, FIRST-LAST or BASE+N. Nothing given: none is asked about.
        lenient: as of `trace`.
        el2: the guest has EL2, as of `trace`. What it needs is then not known, and `least` is None: bitmaps and filter
            hold for its SMCs, which no trace names.

    Raises:
        TraceError: as `trace`.
        InputError: no such release, bitmap, version or function; a release that has no guests with EL2.
        UnknownError: the trace shows that some of its HVCs went to a guest's own EL2, and `el2` was not said.
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
    el2 = el2 or seen.has_el2
    nested.check(seen, rules, el2=el2)
    if isinstance(seen, Counts):
        calls, n_call = Calls.of(np.zeros(len(seen.func_id), np.uint32), seen.func_id), seen.n_call
    else:
        calls = replay(seen, n_vcpu=1)
        n_call = np.ones(len(seen), np.int64)
    ids, first, of_call = np.unique(calls.func_id, return_index=True, return_inverse=True)
    totals = np.zeros(ids.size, np.int64)
    np.add.at(totals, of_call.reshape(-1), n_call)
    base = forwarding(rules, [] if el2 else _forwarded(seen, dict(zip(ids.tolist(), totals.tolist(), strict=True))))
    host, features = nested.host_of(rules, el2=el2), nested.FEATURES if el2 else FEATURE_PSCI_0_2
    before = verdicts(base.fleet(host, features=features), calls)
    has_policy = asked != Policy()
    under = verdicts(asked.beside(base).fleet(host, features=features), calls) if has_policy else None
    rows = [
        _row(int(ids[k]), int(totals[k]), rules, int(before[first[k]]), None if under is None else int(under[first[k]]))
        for k in np.argsort(-totals, kind="stable").tolist()
    ]
    shows = {row.name: rules.bitmap_reset[row.index] for row in BITMAP_REGISTERS if row.name in rules.fw_registers}
    if el2:
        told = nested.notes(seen, asked)
        return Used(seen.name, rules.name, tuple(rows), {}, {}, None, asked if has_policy else None, told, has_el2=True)
    found = least(rules, calls, base, before)
    return Used(
        seen.name,
        rules.name,
        tuple(rows),
        bits_used([row.func_id for row in rows], [row.verdict for row in rows]),
        shows,
        found,
        asked if has_policy else None,
        notes(seen, rules, rows, shows, found),
    )


def _forwarded(seen: Trace | Counts, n_call: dict[int, int]) -> list[int]:
    """The functions that a filter handed to the VMM: those of which every call ended there.

    A filter is set before a VM runs and never changes, so that of a function all calls are forwarded or none.
    Exits after some calls only are those of SMCs, whose functions no trace tells; without kvm_exit, no SMC is seen at
    all. Calls of Arm's architecture are in no filter.
    """
    if isinstance(seen, Counts) or not any(name.startswith("HVC") for name in seen.exits):
        return []
    found = (i for i, n in seen.forwarded.items() if n == n_call[i])
    return [i for i in found if not any(first <= i <= last for first, last in RESERVED_RANGES)]


def _row(func_id: int, n_call: int, rules: Release, before: int, under: int | None) -> Row:
    service, name = service_and_name(func_id)
    function = FUNCTION_BY_ID.get(func_id)
    gate = ""
    if Verdict(before) is Verdict.TO_VEL2:
        pass  # nothing has to let it through
    elif function and function.gate is Gate.BITMAP:
        register = BITMAP_REGISTERS[function.bitmap].name
        bit = BIT_NAMES.get((register, function.bit), "")
        gate = f"{register} bit {function.bit} ({bit})" if rules.is_gated else "always allowed"
    elif Verdict(before) is not Verdict.DENIED:
        gate = "always allowed"
    if Verdict(before) is Verdict.FORWARDED:
        gate = "the VMM's filter"
    return Row(
        service, name, func_id, n_call, Verdict(before), gate, None if under is None else Verdict(under),
        loss_of(service, name),
    )  # fmt: skip
