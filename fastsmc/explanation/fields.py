"""A field of an ID register, "ID_AA64PFR0_EL1.CSV2": where it is, and which values each release lets be written."""

from __future__ import annotations

from difflib import get_close_matches

from fastsmc.checks import cut, shown
from fastsmc.errors import InputError
from fastsmc.explanation.explanation import Line
from fastsmc.facts.field_names import Field, named_fields
from fastsmc.facts.history import turning_points
from fastsmc.facts.id_fields import IdField, Rule, id_fields
from fastsmc.facts.register_names import sysreg_ids
from fastsmc.facts.registers import Encoding
from fastsmc.facts.releases import Release

_OWN = "no other value than its own"


def field_named(text: str) -> tuple[int, Field] | None:
    """The register and the field that a text names; None for a text that is no known register, a dot and a word.

    Raises:
        InputError: the register has no such field.

    >>> field_named("id_aa64pfr0_el1.csv2")[1]
    Field(name='CSV2', high=59, low=56)
    """
    register, dot, name = text.strip().rstrip(",;").partition(".")
    reg = sysreg_ids().get(register.strip().upper().removeprefix("SYS_")) if dot else None
    fields = {field.name: field for field in named_fields(reg) if field.name} if reg is not None else {}
    if reg is None or not fields or not name.strip():
        return None
    by_key = {each.upper(): each for each in fields}
    found = by_key.get(name.strip().upper())
    if found is None:
        close = get_close_matches(name.strip().upper()[:40], by_key, n=1)
        meant = f"did you mean {by_key[close[0]]}?" if close else f"there are {', '.join(fields)}"
        msg = f"{cut(register.strip().upper())} has no field called {shown(name.strip())}; {meant}"
        raise InputError(msg)
    return reg, fields[found]


def field_lines(reg: int, field: Field, rules: tuple[Release, ...]) -> list[Line]:
    """What is known of a field: its bits, what a VMM may write in it by release, and since when."""
    row = next((each for each in id_fields().get(Encoding.of(reg), ()) if each.low == field.low), None)
    lines: list[Line] = [("field", f"{field.name}, bits {field.high}:{field.low}")]
    if row is None:
        return [*lines, ("accepts", "no rule of it is known here: a VMM may write its own value at least")]
    lines += [(f"accepts {release.name}", _accepted(row, release)) for release in rules]
    turns = turning_points(lambda one: _accepted(row, one))
    past = [f"{release.series[0]}.{release.series[1]} {_accepted(row, release)}" for release in turns]
    return [*lines, ("by release", "; ".join(past))]


def _accepted(field: IdField, release: Release) -> str:
    """Which values beside a fresh vCPU's own a release accepts."""
    names = {field.name} if field.is_named else {field.name, field.register}
    if field.name in release.unknown_id_fields:
        return "what it accepts was not seen"
    if field.rule is Rule.HARDWARE:
        is_ignored = field.name in release.ignored_id_fields
        return Rule.HARDWARE.value if is_ignored else _OWN
    if field.rule is Rule.FIXED or field.name in release.fixed_id_fields:
        return _OWN
    what = field.rule.value if field.rule is not Rule.EXACT else f"its own and {field.safe:#x}"
    what += " but 0" if field.name in release.nonzero_id_fields else ""
    if names & release.writable_id_fields:
        return what
    return f"perhaps {what}" if names & release.maybe_writable_id_fields else _OWN
