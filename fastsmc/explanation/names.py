"""Function ids and register ids by the names that people type: ours, those of Linux' macros, and their ends.

Sources of Linux' names: include/linux/arm-smccc.h, include/uapi/linux/psci.h and arch/arm64/include/uapi/asm/kvm.h.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache

from fastsmc.checks import cut, shown
from fastsmc.errors import InputError
from fastsmc.facts.call_spellings import BITS, Spelled, call_spelled, calls_alike, calls_of, owner_meant
from fastsmc.facts.other_calls import OTHER_BY_NAME
from fastsmc.facts.register_macros import MACROS
from fastsmc.facts.register_names import sysreg_ids
from fastsmc.facts.register_spellings import QEMU_WORDS, register_spelled
from fastsmc.facts.registers import FW_REGISTERS
from fastsmc.facts.smccc import FUNCTIONS, Function, Service, name_key, names_meant

FORMS = "write a number (0x86000001), a function (VENDOR_HYP_PTP) or a register (STD_BMAP)"
_NUMBER = re.compile(r"0[xX][0-9a-fA-F_]+|[0-9]+")
_MAX_NAMES = 6
"""Names that a message lists before it counts the rest."""
_MOST_ALIKE = 3
"""Names that a message asks about."""
_LONGEST = 80
"""Characters of a wrong name that are compared with others: a giant text costs little."""
_REGISTERS = ("KVM_REG_", "SYS_")
"""What names of registers begin with, and no function's."""


_PSCI_SPEC_OF_LAST_NUMBER = ((0x09, "0_2"), (0x11, "1_0"), (0x14, "1_1"), (0x15, "1_3"))
"""Which PSCI version brought the numbers up to this one. Source: include/uapi/linux/psci.h."""


def psci_stem(name: str) -> str:
    """What versions and conventions of a PSCI function share: PSCI_0_1_CPU_ON, PSCI_CPU_ON64 -> CPU_ON."""
    return name.removeprefix("PSCI_0_1_").removeprefix("PSCI_").removesuffix("64").removesuffix("_")


def linux_name(row: Function) -> str | None:
    """The macro Linux has for a function id; None for the one it lacks.

    >>> from fastsmc.facts.smccc import FUNCTION_BY_ID
    >>> linux_name(FUNCTION_BY_ID[0x86000001]), linux_name(FUNCTION_BY_ID[0xC4000012])
    ('ARM_SMCCC_VENDOR_HYP_KVM_PTP_FUNC_ID', 'PSCI_1_1_FN64_SYSTEM_RESET2')
    """
    match row.service:
        case Service.ARCH if row.name in ("SMCCC_VERSION", "SMCCC_ARCH_FEATURES"):
            return f"ARM_{row.name}_FUNC_ID"
        case Service.ARCH:
            return None if row.name == "SMCCC_ARCH_WORKAROUND_4" else f"ARM_{row.name}"
        case Service.TRNG:
            return f"ARM_SMCCC_{row.name}"
        case Service.PV_TIME:
            return f"ARM_SMCCC_HV_{row.name}"
        case Service.VENDOR_HYP if row.name == "VENDOR_HYP_CALL_UID":
            return f"ARM_SMCCC_{row.name}_FUNC_ID"
        case Service.VENDOR_HYP:
            return f"ARM_SMCCC_VENDOR_HYP_KVM_{row.name.removeprefix('VENDOR_HYP_')}_FUNC_ID"
    stem = psci_stem(row.name)
    if row.name.startswith("PSCI_0_1_"):
        return f"KVM_PSCI_FN_{stem}"
    spec = next(spec for last, spec in _PSCI_SPEC_OF_LAST_NUMBER if row.func_id & 0xFFFF <= last)
    form = "FN64" if row.func_id >> 30 & 1 else "FN"
    return f"PSCI_{spec}_{form}_{'PSCI_' if stem in ('VERSION', 'FEATURES') else ''}{stem}"


@cache
def _short_names() -> dict[str, int]:
    """Ids by our names; a name that a function and a register share is the function's."""
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


@cache
def _other_names() -> dict[str, int]:
    """Ids of functions that KVM does not know, by their names."""
    return {name: row.func_id for name, row in OTHER_BY_NAME.items()}


def id_named(text: str) -> Spelled:
    """The id of a function or register, by its name, another spelling, or the end of a name that no other id shares.

    Raises:
        InputError: no such name, with those that are spelled alike; or the end of several.

    >>> hex(id_named("ptp").id), hex(id_named("SYS_CLIDR_EL1").id)
    ('0x86000001', '0x603000000013c801')
    """
    text = text.strip().rstrip(",;").rstrip()
    key = name_key(text)
    exact = _other_names() | _linux_names() | _short_names()
    for written in (key, key.removeprefix("ARM_").removesuffix("_FUNC_ID").removesuffix("_FID")):
        if written in exact:
            return Spelled(exact[written])
    reg = register_spelled(text)
    spelled = call_spelled(text) if reg is None else Spelled(reg)
    if spelled is not None:
        return spelled
    for names in (_short_names(), _linux_names(), _other_names()):
        ends: dict[int, str] = {}
        for end in names_meant(key, names):
            ends.setdefault(names[end], end)
        if len(ends) == 1:
            return Spelled(next(iter(ends)))
        if ends:
            msg = f"{shown(text)} may be {', '.join(_some(list(ends.values())))}; name one of them"
            raise InputError(msg)
    raise InputError(_refusal(text, exact))


def _refusal(text: str, names: Mapping[str, int]) -> str:
    """The sentence about a text that names nothing: a number with a slip, several ids, or a wrong name."""
    if re.fullmatch(r"(?i)[0-9a-f]{8}|[0-9a-f]{16}", text):
        return f"{shown(text)} is not a number: write 0x{text}"
    parts = [part for part in re.split(r"[\s,;|]+", text) if part]
    if len(parts) > 1 and all(_NUMBER.fullmatch(part) or names_meant(part, names) for part in parts):
        return f"{shown(text)} is {len(parts)} ids: give each apart, {cut(' '.join(parts))}"
    if re.match(r"0[xX]", text):
        return f"{shown(text)} is not a number: after 0x come digits 0 to 9 and a to f"
    return f"no function or register is called {shown(text)}; {_hint(text, names)}"


def _hint(text: str, names: Mapping[str, int]) -> str:
    """What may have been meant: a name that is spelled alike, or one of QEMU's phrases, which are several words.

    A name whose beginning tells whose it is gets names of that owner only.
    """
    key = name_key(text)[:_LONGEST]
    if key.startswith(_REGISTERS):
        registers = {name: reg for name, reg in names.items() if name.startswith(_REGISTERS)}
        return _alike(key, [*registers, *BITS, *MACROS], registers) or FORMS
    meant = owner_meant(key)
    if meant is not None and meant.rest:
        if close := calls_alike(key):
            return f"did you mean {_either(close)}?"
        return f"calls of that owner are {', '.join(_some(calls_of(meant.ours)))}"
    if hint := _alike(key, [*names, *MACROS], names):
        return hint
    words = re.sub(r"(?:reg|op0).*", "", text.strip().lower()[:_LONGEST]).strip()
    phrase = get_close_matches(words, QEMU_WORDS, n=1, cutoff=0.7)
    return f"QEMU's words are one name, in quotes: '{QEMU_WORDS[phrase[0]]}'" if phrase else FORMS


def _alike(key: str, names: list[str], ids: Mapping[str, int]) -> str:
    """The question for names that are spelled alike, one of each id; "" where none is."""
    found: dict[int | str, str] = {}
    for name in get_close_matches(key, names, n=3 * _MOST_ALIKE):
        found.setdefault(ids.get(name, name), name)
    close = list(found.values())[:_MOST_ALIKE]
    return f"did you mean {_either(close)}?" if close else ""


def _some(names: list[str]) -> list[str]:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return [*names[: _MAX_NAMES - 1], names[_MAX_NAMES - 1] + more] if more else names


def _either(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
