"""What the recorded calls of a guest with EL2 say of its VM: next to nothing, as its HVCs go to its own EL2.

The calls that its bitmaps, PSCI version and filter are about are its SMCs, and no trace has their function ids. So
nothing is said of what it needs: not that a bit is unused, and not that a policy takes nothing away.
"""

from __future__ import annotations

from fastsmc.calls.counts import Counts
from fastsmc.calls.trace import Trace
from fastsmc.calls.vel2 import EL2_COMMAND, passed_on
from fastsmc.errors import InputError, UnknownError
from fastsmc.facts.guests import vcpu_init_errno
from fastsmc.facts.history import since
from fastsmc.facts.releases import Host, Release
from fastsmc.facts.vcpu import FEATURE_EL2, FEATURE_PSCI_0_2
from fastsmc.results.units import number_of
from fastsmc.usage.notes import missing
from fastsmc.usage.policy import Policy

FEATURES = FEATURE_PSCI_0_2 | FEATURE_EL2
"""Of the vCPUs of such a guest that nobody configured."""
UNKNOWN = (
    "what this guest needs is not known: it has EL2, so bitmaps, PSCI version and filter hold for its SMCs alone, and "
    "no SMC is in the trace"
)
"""The answer, whatever policy was asked about."""


def host_of(rules: Release, *, el2: bool) -> Host:
    """The host of a guest with or without EL2."""
    return Host(rules, kvm_arm_mode="nested" if el2 else "default")


def _has_el2(rules: Release) -> bool:
    """Whether a host of a release can run guests with EL2."""
    return not vcpu_init_errno(host_of(rules, el2=True), FEATURES)


def check(seen: Trace | Counts, rules: Release, *, el2: bool) -> None:
    """Refuses a trace that shows a guest's own EL2 while nobody said so, and a release that has no such guests.

    Raises:
        InputError: the release has no guests with EL2.
        UnknownError: a vendor's kernel that may have them; or the trace shows HVCs that KVM did not answer, and not
            which of its calls these are.
    """
    if el2 and not _has_el2(rules):
        first = since(_has_el2)
        doubt = next((one for one in rules.doubts if any(map(_has_el2, one.others))), None)
        if doubt is not None:
            message = (
                f"whether Linux {rules.name} has guests with EL2 is not known: {doubt.text}; name {first} or later"
            )
            raise UnknownError(message)
        message = f"Linux {rules.name} has no guests with EL2: name {first} or later, or leave out el2 (--el2)"
        raise InputError(message)
    if not el2 and isinstance(seen, Trace) and (n := passed_on(seen.exits)):
        message = (
            f"{seen.name}: by kvm_inject_nested_exception KVM passed {n} of its HVCs on to a guest's own EL2, so what "
            "was called needs no bit of a bitmap; say el2 (--el2) if all calls are that guest's, or keep the lines of "
            "the other guests' threads alone"
        )
        raise UnknownError(message)


def notes(seen: Trace | Counts, asked: Policy) -> tuple[str, ...]:
    """What the trace of such a guest does not show, a sentence each.

    Args:
        asked: the policy that was asked about; one that says nothing if none was.
    """
    exits = seen.exits if isinstance(seen, Trace) else {}
    told = []
    if asked != Policy():
        told.append(f"{asked}: it changes no HVC of this guest, and whether it changes its SMCs is not known")
    if smc := sum(n for name, n in exits.items() if name.startswith("SMC")):
        told.append(
            f"{number_of(smc, 'SMC exit')}: what KVM answers is among them, and their functions are not recorded"
        )
    if n := exits.get("KVM_EXIT_HYPERCALL"):
        told.append(f"{n} KVM_EXIT_HYPERCALL: SMCs that a filter forwarded to the VMM, as no HVC gets there")
    return (
        *told,
        *missing(seen),
        f"count its SMCs with `{EL2_COMMAND}` (by Linux' source; not tried here), and read these counts without el2 "
        "(--el2)",
    )
