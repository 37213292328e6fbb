"""A downtime as text: a line per step, the sums, and what they rest on."""

from __future__ import annotations

from fastsmc.migrate.span import Span
from fastsmc.migrate.switchover.steps import Waterfall


def steps(found: Waterfall) -> str:
    """The table of all steps, its sums and its notes."""
    lines = [
        f"QEMU, {found.subject}: {found.n_vcpu} vCPUs{'*' * found.is_hypothetical}, {found.n_reg} registers carried "
        f"per vCPU{', SVE' * found.has_sve}, {found.link} ({', '.join(found.kinds)})",
        f"{'step':26} {'stage':6} {'ioctls':>8} {'bytes':>10} {'low ms':>9} {'mid ms':>9} {'high ms':>9}  kind",
    ]
    for step in found.steps:
        counts = f"{step.ioctls or '':>8} {step.n_byte or '':>10}"
        lines += [f"{step.name:26} {step.stage.value:6} {counts} {_columns(step.ms)}  {step.kind}"]
    for name, span in (
        ("one after another", found.total_ms),
        ("saving, wire and loading at once", found.overlapped_ms),
        ("not in QEMU's estimate", found.unseen_ms),
    ):
        lines += [f"{name:52} {_columns(span)}"]
    shares = " ".join(f"{one:9.1%}" for one in found.share_of_limit)
    lines += [f"{f'of the {found.limit_ms:g} ms limit':52} {shares}"]
    lines += [f"not in QEMU's estimate: {found.unseen_share:.1%} of the middle sum"]
    lines += [f"left out: {text}" for text in found.left_out]
    lines += _sources(found)
    lines += [f"note: {note}" for note in found.notes]
    if found.is_hypothetical:
        lines += ["* hypothetical: QEMU's virt and arm64 KVM stop at 512 vCPUs per VM"]
    return "\n".join(lines)


def _sources(found: Waterfall) -> list[str]:
    """What the steps' times rest on; steps of one source together."""
    names: dict[str, list[str]] = {}
    for step in found.steps:
        names.setdefault(step.source, []).append(step.name)
    return [f"{'; '.join(steps)}: {source}" for source, steps in names.items()]


def _columns(span: Span) -> str:
    return " ".join(f"{one:9.3f}" for one in span)
