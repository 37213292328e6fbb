"""What a trace does not show of what a guest used, and what a verdict does not say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastsmc.calls.counts import Counts
from fastsmc.calls.missing import of_what
from fastsmc.calls.trace import Trace
from fastsmc.facts.releases import Release
from fastsmc.facts.smccc import Verdict
from fastsmc.results.units import number_of
from fastsmc.usage.policy import Policy

if TYPE_CHECKING:
    from fastsmc.usage.used import Row

_DECIDES = ("answers", "psci_versions", "is_gated", "bitmap_limit", "has_filter")
"""Fields of a release that verdicts rest on."""
_MOST_NAMES = 8


def notes(
    seen: Trace | Counts, rules: Release, rows: list[Row], shows: dict[str, int], found: Policy
) -> tuple[str, ...]:
    """All of it, a sentence each."""
    return (
        "only calls that were recorded count: a guest may call more when it is used otherwise, and workaround calls "
        "are answered before the tracepoint",
        *_to_the_vmm(seen, rows),
        *missing(seen),
        *_discovery(rows, shows, found),
        *_uncertain(rules),
    )


def _to_the_vmm(seen: Trace | Counts, rows: list[Row]) -> Iterator[str]:
    exits = seen.exits if isinstance(seen, Trace) else {}
    if smc := sum(n for name, n in exits.items() if name.startswith("SMC")):
        whose = "its function is" if smc == 1 else "their functions are"
        yield f"{number_of(smc, 'SMC exit')}: {whose} not recorded, and the filter holds for SMCs too"
    forwarded = [row for row in rows if row.verdict is Verdict.FORWARDED]
    n = sum(row.n_call for row in forwarded)
    if forwarded:
        yield (
            f"{n} KVM_EXIT_HYPERCALL after {_names(forwarded)}: the VMM answered, because its filter "
            "forwarded; here and in the least filter these are FWD_TO_USER"
        )
    if n := exits.get("KVM_EXIT_HYPERCALL", 0) - n:
        tells = any(name.startswith(("HVC", "SMC")) for name in exits)
        remedy = "" if tells else "; record kvm_exit too, which tells calls by HVC from those by SMC"
        yield (
            f"{n} KVM_EXIT_HYPERCALL of calls that the trace does not name: the VMM answered what its filter "
            "forwarded, which a verdict here does not know of and the least filter may deny; keep those ranges "
            f"FWD_TO_USER{remedy}"
        )
    denied = [row for row in rows if row.verdict is Verdict.DENIED]
    if denied and not any(name.startswith("KVM_EXIT") for name in exits):
        yield (
            f"{_names(denied)}: KVM by itself denies {'it' if len(denied) == 1 else 'them'}, and whether the VMM "
            "answered instead shows only in kvm_userspace_exit, which was not recorded; no range of the least filter "
            "has what was called"
        )
    if events := exits.get("KVM_EXIT_SYSTEM_EVENT"):
        calls = "a PSCI call" if events == 1 else "PSCI calls"
        yield f"{events} KVM_EXIT_SYSTEM_EVENT: the VMM carried {calls} out, with capabilities that it had set"


def missing(seen: Trace | Counts) -> Iterator[str]:
    """What the tracer lost and reading skipped."""
    if seen.n_skipped:
        were = "line was" if seen.n_skipped == 1 else "lines were"
        yield f"{seen.n_skipped} {were} skipped, the first at line {seen.first_skipped_line}"
    is_least = seen.is_lost_least or (isinstance(seen, Counts) and seen.is_skipped_least)
    n = seen.n_lost + seen.n_skipped_call
    if lost := of_what(n, "event" if isinstance(seen, Trace) else "call", is_least=is_least):
        are = "is" if n == 1 and not is_least else "are"
        yield f"{lost} {are} missing, lost by the tracer or skipped: functions may be missing"
    if isinstance(seen, Counts) and seen.left_out:
        yield f"left out, for it does not count by function id: {', '.join(seen.left_out)}"


def _discovery(rows: list[Row], shows: dict[str, int], found: Policy) -> Iterator[str]:
    narrowed = [name for name, word in found.bitmaps if word != shows[name]]
    called = {row.function for row in rows if row.verdict is not Verdict.FORWARDED}
    discovery = {
        "VENDOR_HYP_FEATURES": [name for name in narrowed if name.startswith("VENDOR_HYP")],
        "SMCCC_ARCH_FEATURES": [name for name in narrowed if name == "STD_HYP_BMAP"],
    }
    for function, names in discovery.items():
        if function in called and names:
            yield f"{function} would show less, as it answers from {' and '.join(names)}; its verdict is the same"


def _uncertain(rules: Release) -> Iterator[str]:
    if uncertain := [name for name in _DECIDES if name in rules.uncertain]:
        lie = "lies" if len(uncertain) == 1 else "lie"
        yield f"of Linux {rules.name}, {', '.join(uncertain)} {lie} between two recordings and may differ"


def _names(rows: list[Row]) -> str:
    told = ", ".join(f"{row.function} ({number_of(row.n_call, 'call')})" for row in rows[:_MOST_NAMES])
    return told + ", ..." * (len(rows) > _MOST_NAMES)
