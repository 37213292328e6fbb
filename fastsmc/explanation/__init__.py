"""Everything known about one id: what its bits mean, what KVM does with it, since when, and on whose word."""

from __future__ import annotations

import re
from dataclasses import replace
from operator import index
from typing import overload

from fastsmc.checks import LAST_U64
from fastsmc.errors import InputError
from fastsmc.explanation.explanation import Explanation, Explanations, Near
from fastsmc.explanation.fields import field_lines, field_named
from fastsmc.explanation.functions import explain_function
from fastsmc.explanation.known import Known, releases
from fastsmc.explanation.names import FORMS, id_named
from fastsmc.explanation.registers import explain_foreign, explain_register
from fastsmc.facts.history import newest
from fastsmc.facts.other_calls import call_name
from fastsmc.facts.register_arches import foreign_architecture
from fastsmc.facts.register_names import name_of, recorded_ids
from fastsmc.facts.registers import FW_BY_ID
from fastsmc.facts.releases import Release
from fastsmc.facts.releases import release as rules_of

__all__ = ["Explanation", "Explanations", "Known", "explain", "releases"]

_FIELDS = ("Arm DDI 0487", "arch/arm64/kernel/cpufeature.c", "arch/arm64/kvm/sys_regs.c")
"""Sources of the fields and of what may be written in them."""
SeveralIds = list[int] | list[str] | list[int | str] | tuple[int | str, ...]
"""Numbers and names of ids, in a list or a tuple."""


@overload
def explain(what: int | str, *, release: str | None = None) -> Explanation: ...


@overload
def explain(what: SeveralIds, *, release: str | None = None) -> Explanations: ...


def explain(what: int | str | SeveralIds, *, release: str | None = None) -> Explanation | Explanations:
    """Everything known about a function id or a register id, or about several.

    Args:
        what: a number, a name of ours or of Linux, a register as C, the Arm manual or QEMU spells it, or a field of an
            ID register, "ID_AA64PFR0_EL1.CSV2"; several in a list or tuple. A value of 32 bits is a function id; a
            longer one is a register id if it has the 0x60 of arm64 in bits 63:56 or is one of another architecture,
            else an x0 whose low half is a function id.
        release: a release whose rules are told too; those of the newest always are.

    Raises:
        InputError: a name that is not known or not unique, or a number beyond 64 bits.

    >>> explain(0xC6000001).summary
    'SMC64 form is unknown; the SMC32 form 0x86000001 is PTP'
    >>> len(explain(["PTP", "STD_BMAP"], release="6.12.118"))
    2
    """
    rules = (newest(),) if release is None else tuple({row.name: row for row in (newest(), rules_of(release))}.values())
    if isinstance(what, list | tuple):
        return Explanations(tuple(_explained(one, rules) for one in what))
    return _explained(what, rules)


def _explained(what: int | str, rules: tuple[Release, ...]) -> Explanation:
    number, also = _number(what)
    note = ""
    if number is None and (field := field_named(str(what))) is not None:
        found = explain_register(field[0], rules)
        return replace(found, lines=(*field_lines(*field, rules), *found.lines), sources=(*found.sources, *_FIELDS))
    if number is None:
        number, note = id_named(str(what))
    if not 0 <= number <= LAST_U64:
        msg = f"{hex(number)[:24]} is not an id: function ids have 32 bits, register ids and x0 have 64, unsigned"
        raise InputError(msg)
    if number >> 56 == 0x60:
        found = explain_register(number, rules, also)
    elif foreign_architecture(number):
        found = explain_foreign(number)
    else:
        found = explain_function(number & 0xFFFF_FFFF, rules, also, number >> 32)
    return replace(found, lines=(("spelled", note), *found.lines)) if note else found


def _number(what: int | str) -> tuple[int | None, tuple[Near, ...]]:
    """The number that was written, and the one that was perhaps meant: 86000001 for 0x86000001."""
    if not isinstance(what, str):
        try:
            return index(what), ()
        except TypeError:
            msg = f"{what!r} is neither a number nor a name; {FORMS}"
            raise InputError(msg) from None
    try:
        number = int(what.strip().rstrip(",;").encode("ascii"), 0)  # Python reads digits of other scripts, too
    except ValueError:  # UnicodeEncodeError is one
        return None, ()
    if not re.fullmatch(r"\d{8}|\d{16}", what.strip()):
        return number, ()
    meant = int(what, 16)
    name = call_name(meant)
    if name:
        return number, ((meant, name, "read as hexadecimal"),)
    if meant in FW_BY_ID or meant in recorded_ids():
        return number, ((meant, name_of(meant) or "a register", "read as hexadecimal"),)
    return number, ()
