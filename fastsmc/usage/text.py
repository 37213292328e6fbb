"""What a guest used, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsmc.usage.used import Used

_WIDTH = 110


def text_of(used: Used) -> str:
    """The functions, the bits, the least policy, what the policy asked about would change, and what is not known."""
    return "\n".join(
        [*_rows(used), *_unanswered(used), *_bits(used), *_least(used), *_policy(used), *_wrapped("note", used.notes)]
    )


def _rows(used: Used) -> Iterator[str]:
    services = len({row.service for row in used.rows})
    yield (
        f"{used.name}: {used.n_call} calls of {len(used.rows)} functions in {services} services (recorded); "
        f"verdicts of Linux {used.release} (modelled)"
    )
    yield f"{'service':12} {'function':28} {'calls':>10} {'calls%':>7}  {'verdict':14} let through by"
    for row in used.rows:
        share = f"{row.n_call / used.n_call:7.2%}"
        yield f"{row.service:12} {row.function:28} {row.n_call:10d} {share}  {row.verdict.name:14} {row.gate or '-'}"


def _unanswered(used: Used) -> Iterator[str]:
    """What Linux guests lack on this release, as far as it is known here."""
    for row in used.unanswered:
        if row.loss:
            yield from _wrapped("lacks", [f"{row.function} is not answered, {row.n_call} calls; {row.loss}"])


def _bits(used: Used) -> Iterator[str]:
    if not used.shown:
        yield f"bits used: Linux {used.release} has no bitmaps; every service is on"
        return
    words = [f"{name} {used.bits[name]:#x} of {word:#x}" for name, word in used.shown.items()]
    yield f"bits used: {', '.join(words)}"


def _least(used: Used) -> Iterator[str]:
    yield f"the least under which no verdict changes (checked: {used.n_call} calls dispatched)"
    if used.least.bitmaps:
        yield f"  bitmaps  {', '.join(f'{name} {word:#x}' for name, word in used.least.bitmaps)}"
    if not used.least.ranges:
        yield f"  filter   none: Linux {used.release} has no SMCCC filter"
        return
    ranges = ", ".join(map(str, used.least.ranges))
    yield from _wrapped("filter", [f"DENY {len(used.least.ranges)} ranges, base+functions: {ranges}"], indent="  ")


def _policy(used: Used) -> Iterator[str]:
    if used.policy is None:
        return
    n_call = sum(row.n_call for row in used.changed)
    yield from _wrapped("policy", [f"{used.policy}: {n_call} of {used.n_call} calls get another verdict"])
    for row in used.changed:
        assert row.under is not None
        told = f"{row.function}, {row.n_call} calls: {row.verdict.name} -> {row.under.name}"
        lost = f"; {row.loss}" if row.loss and row.under.name != "FORWARDED" else ""
        vmm = "; the VMM has to answer" if row.under.name == "FORWARDED" else ""
        yield from _wrapped("", [f"{told}{lost}{vmm}"])


def _wrapped(label: str, texts: tuple[str, ...] | list[str], *, indent: str = "") -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(
            text,
            _WIDTH,
            initial_indent=f"{indent}{label:8} ",
            subsequent_indent=" " * (len(indent) + 9),
            break_long_words=False,
            break_on_hyphens=False,
        )
        label = ""
