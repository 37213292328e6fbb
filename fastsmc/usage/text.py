"""What a guest used, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastsmc.facts.smccc import FilterAction
from fastsmc.results.layout import drawn, number, width, words
from fastsmc.results.units import number_of

if TYPE_CHECKING:
    from fastsmc.usage.policy import Policy
    from fastsmc.usage.used import Used


def text_of(used: Used) -> str:
    """The functions, the bits, the least policy, what the policy asked about would change, and what is not known."""
    return "\n".join(
        [
            *textwrap.wrap(used.answer, width(), subsequent_indent="  ", break_on_hyphens=False),
            *_head(used),
            *_rows(used),
            *([] if used.least is None else _needs(used, used.least)),
            *_wrapped("note", used.notes),
        ]
    )


def _needs(used: Used, least: Policy) -> Iterator[str]:
    yield from _unanswered(used)
    yield from _bits(used)
    yield from _least(used, least)
    yield from _policy(used)


def _head(used: Used) -> list[str]:
    calls, functions = number_of(used.n_call, "call"), number_of(len(used.rows), "function")
    services = number_of(len({row.service for row in used.rows}), "service")
    told = f"{used.name}: {calls} of {functions} in {services} (recorded); verdicts of Linux {used.release} (modelled)"
    return textwrap.wrap(told, width(), subsequent_indent="  ", break_on_hyphens=False)


def _rows(used: Used) -> list[str]:
    heads = [words("service"), words("function"), number("calls"), number("calls%")]
    return drawn(
        [*heads, words("verdict"), words("let through by")],
        [
            (
                row.service,
                row.function,
                row.n_call,
                f"{row.n_call / used.n_call:.2%}",
                row.verdict.name,
                row.gate or "-",
            )
            for row in used.rows
        ],
    )


def _unanswered(used: Used) -> Iterator[str]:
    """What Linux guests lack on this release, as far as it is known here."""
    for row in used.unanswered:
        if row.loss:
            yield from _wrapped(
                "lacks", [f"{row.function} is not answered, {number_of(row.n_call, 'call')}; {row.loss}"]
            )


def _bits(used: Used) -> Iterator[str]:
    if not used.shown:
        yield f"bits used: Linux {used.release} has no bitmaps; every service is on"
        return
    words = [f"{name} {used.bits[name]:#x} of {word:#x}" for name, word in used.shown.items()]
    yield from textwrap.wrap(f"bits used: {', '.join(words)}", width(), subsequent_indent=" " * 11)


def _least(used: Used, least: Policy) -> Iterator[str]:
    calls = number_of(used.n_call, "call")
    yield from textwrap.wrap(f"the least under which no verdict changes (checked: {calls} dispatched)", width())
    if least.bitmaps:
        words = ", ".join(f"{name} {word:#x}" for name, word in least.bitmaps)
        yield from _wrapped("bitmaps", [words], indent="  ")
    label = "filter"
    for action, meaning in ((FilterAction.DENY, ""), (FilterAction.FWD_TO_USER, ", which the VMM answers")):
        ranges = [str(one) for one in least.ranges if one.action == action]
        if ranges:
            told = f"{action.name} {number_of(len(ranges), 'range')}{meaning}, base+functions: {', '.join(ranges)}"
            yield from _wrapped(label, [told], indent="  ")
            label = ""
    if not least.ranges:
        yield f"  filter   none: Linux {used.release} has no SMCCC filter"


def _policy(used: Used) -> Iterator[str]:
    if used.policy is None:
        return
    n_call = sum(row.n_call for row in used.changed)
    get = "gets" if n_call == 1 else "get"
    calls = number_of(used.n_call, "call")
    yield from _wrapped("policy", [f"{used.policy}: {n_call} of {calls} {get} another verdict"])
    for row in used.changed:
        assert row.under is not None
        told = f"{row.function}, {number_of(row.n_call, 'call')}: {row.verdict.name} -> {row.under.name}"
        lost = f"; {row.loss}" if row.loss and row.under.name != "FORWARDED" else ""
        vmm = "; the VMM has to answer" if row.under.name == "FORWARDED" else ""
        yield from _wrapped("", [f"{told}{lost}{vmm}"])


def _wrapped(label: str, texts: tuple[str, ...] | list[str], *, indent: str = "") -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(
            text,
            width(),
            initial_indent=f"{indent}{label:8} ",
            subsequent_indent=" " * (len(indent) + 9),
            break_on_hyphens=False,
        )
        label = ""
