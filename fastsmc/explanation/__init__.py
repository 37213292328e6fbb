"""Everything known about one id: what its bits mean, what KVM does with it, since when, and on whose word."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from operator import index

from fastsmc.errors import InputError
from fastsmc.explanation.answers import linux_name
from fastsmc.explanation.explanation import Explanation, Near
from fastsmc.explanation.functions import explain_function
from fastsmc.explanation.registers import explain_register
from fastsmc.facts.history import newest
from fastsmc.facts.register_names import name_of, recorded_ids, sysreg_ids
from fastsmc.facts.registers import FW_BY_ID, FW_REGISTERS
from fastsmc.facts.releases import release as rules_of
from fastsmc.facts.smccc import FUNCTION_BY_ID, FUNCTIONS

__all__ = ["Explanation", "explain"]

_MAX_NAMES = 6
_FORMS = "write a number (0x86000001), a function (VENDOR_HYP_PTP) or a register (STD_BMAP)"


def explain(what: int | str, *, release: str | None = None) -> Explanation:
    """Everything known about a function id or a register id.

    Args:
        what: a number, or a name of ours or of Linux. A value of 32 bits is a function id; a longer one is a
            register id if it has the 0x60 of arm64 in bits 63:56, else an x0 whose low half is a function id.
        release: say also what this one does; the newest is always there.

    Raises:
        InputError: a name that is not known or not unique, or a number beyond 64 bits.

    >>> explain(0xC6000001).summary
    'SMC64 form is unknown; the SMC32 form 0x86000001 is PTP'
    """
    rules = (newest(),) if release is None else tuple({row.name: row for row in (newest(), rules_of(release))}.values())
    number, also = _number(what)
    if number is None:
        number = _named(str(what))
    if not 0 <= number < 1 << 64:
        msg = f"{hex(number)[:24]} is not an id: function ids have 32 bits, register ids and x0 have 64, unsigned"
        raise InputError(msg)
    if number >> 56 == 0x60:
        return explain_register(number, rules, also)
    return explain_function(number & 0xFFFF_FFFF, rules, also, number >> 32)


def _number(what: int | str) -> tuple[int | None, tuple[Near, ...]]:
    """The number that was written, and the one that was perhaps meant: 86000001 for 0x86000001."""
    if not isinstance(what, str):
        try:
            return index(what), ()
        except TypeError:
            msg = f"{what!r} is neither a number nor a name; {_FORMS}"
            raise InputError(msg) from None
    try:
        number = int(what, 0)
    except ValueError:
        return None, ()
    if not re.fullmatch(r"\d{8}|\d{16}", what.strip()):
        return number, ()
    meant = int(what, 16)
    if meant in FUNCTION_BY_ID:
        return number, ((meant, FUNCTION_BY_ID[meant].name, "read as hexadecimal"),)
    if meant in FW_BY_ID or meant in recorded_ids():
        return number, ((meant, name_of(meant) or "a register", "read as hexadecimal"),)
    return number, ()


@cache
def _short_names() -> dict[str, int]:
    """Ids by our names; where a function and a register share one, it is the function's."""
    registers = {row.name: row.reg for row in FW_REGISTERS}
    return registers | sysreg_ids() | {row.name: row.func_id for row in FUNCTIONS}


@cache
def _linux_names() -> dict[str, int]:
    """Ids by the names of Linux' macros, less what every one of a kind begins and ends with."""
    functions = {name: row.func_id for row in FUNCTIONS if (name := linux_name(row))}
    trimmed = {name.removeprefix("ARM_").removesuffix("_FUNC_ID"): value for name, value in functions.items()}
    registers = {f"KVM_REG_ARM_{row.name}": row.reg for row in FW_REGISTERS}
    system = {f"SYS_{name}": reg for name, reg in sysreg_ids().items() if not name.startswith("KVM_REG_")}
    return registers | system | trimmed | functions


def _named(text: str) -> int:
    key = text.strip().upper().replace("-", "_")
    exact = _linux_names() | _short_names()
    if key in exact:
        return exact[key]
    for names in (_short_names(), _linux_names()):
        ends = {name: value for name, value in names.items() if name.endswith(f"_{key}") and "PSCI_0_1_" not in name}
        if len(set(ends.values())) == 1:
            return next(iter(ends.values()))
        if ends:
            more = f" and {len(ends) - _MAX_NAMES} more" if len(ends) > _MAX_NAMES else ""
            msg = f"{text!r} may be {', '.join([*ends][:_MAX_NAMES])}{more}; name one of them"
            raise InputError(msg)
    shown = f"{text[:40]!r}"
    if re.fullmatch(r"(?i)[0-9a-f]{8}|[0-9a-f]{16}", text.strip()):
        msg = f"{shown} is not a number: write 0x{text.strip()}"
        raise InputError(msg)
    close = get_close_matches(key[:40], exact, n=3)
    msg = f"no function or register is called {shown}; {f'did you mean {_either(close)}?' if close else _FORMS}"
    raise InputError(msg)


def _either(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
