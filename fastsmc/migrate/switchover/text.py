"""A downtime as text: a line per step, the sums, and what they rest on."""

from __future__ import annotations

from fastsmc.migrate.span import Span
from fastsmc.migrate.switchover.steps import Waterfall
from fastsmc.results.layout import drawn, number, words


def steps(found: Waterfall) -> str:
    """The table of all steps, its sums and its notes."""
    lines = [
        found.answer,
        f"QEMU, {found.subject}: {found.n_vcpu} vCPUs{'*' * found.is_hypothetical}, {found.n_reg} registers carried "
        f"per vCPU{', SVE' * found.has_sve}, {found.link} ({', '.join(found.kinds)})",
        *_table(found),
    ]
    if found.unseen_share < 1:
        lines += [f"not in QEMU's estimate: {found.unseen_share:.1%} of the middle sum"]
    lines += [f"left out: {text}" for text in found.left_out]
    lines += _sources(found)
    lines += [f"note: {note}" for note in found.notes]
    if found.is_hypothetical:
        lines += ["* hypothetical: QEMU's virt and arm64 KVM stop at 512 vCPUs per VM"]
    return "\n".join(lines)


def _table(found: Waterfall) -> list[str]:
    heads = (
        *(words("step"), words("stage"), number("ioctls"), number("bytes")),
        *(number("low ms"), number("mid ms"), number("high ms"), words("kind")),
    )
    rows: list[tuple[object, ...]] = [
        (step.name, step.stage.value, step.ioctls or None, step.n_byte or None, *_columns(step.ms), step.kind)
        for step in found.steps
    ]
    sums = [("one after another", found.total_ms), ("saving, wire and loading at once", found.overlapped_ms)]
    if found.unseen_share < 1:  # all of it says nothing
        sums.append(("not in QEMU's estimate", found.unseen_ms))
    for name, span in sums:
        rows.append((name, None, None, None, *_columns(span), None))
    shares = (f"{one:.1%}" for one in found.share_of_limit)
    return drawn(heads, [*rows, (f"of the {found.limit_ms:g} ms limit", None, None, None, *shares, None)])


def _sources(found: Waterfall) -> list[str]:
    """What the steps' times rest on; steps of one source together."""
    names: dict[str, list[str]] = {}
    for step in found.steps:
        names.setdefault(step.source, []).append(step.name)
    return [f"{'; '.join(steps)}: {source}" for source, steps in names.items()]


def _columns(span: Span) -> tuple[str, ...]:
    return tuple(f"{one:.3f}" for one in span)
