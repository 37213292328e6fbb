"""Function ids by the macros of headers: a rule for each prefix, which tells whose call it is, and one parser for all.

A rule has the calls of one owner; a macro's name is what the prefix leaves. So a name that no rule completes still
tells whose it was meant to be.

Sources: Linux include/uapi/linux/{psci,arm_sdei}.h, include/linux/{arm-smccc,arm_ffa}.h, drivers/tee/optee/optee_smc.h,
arch/arm64/include/asm/{rsi_smc,rmi_smc}.h and drivers/firmware/smccc/kvm_guest.c; Android's arm-smccc.h; TF-A's
include/lib/psci/psci.h and include/services/*.h; EDK2's ArmStdSmc.h.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple

from fastsmc.checks import shown
from fastsmc.errors import InputError
from fastsmc.facts.other_calls import OTHER_BY_NAME
from fastsmc.facts.registers import BIT_NAMES, FW_BY_NAME
from fastsmc.facts.smccc import FUNCTION_BY_NAME, SMC64, Owner, func_id, name_key, names_meant


class Rule(NamedTuple):
    """What macros of one owner begin with, and what our names of its calls begin with.

    Attributes:
        shape: a regular expression of the prefix, in capitals; its group tells the convention, 32 or 64.
        ours: beginnings of our names, the likeliest first.
    """

    shape: str
    ours: tuple[str, ...]


_ANY = r"(?:ARM_SMC_ID_|ARM_FID_|SMC_|ARM_)?"
"""Headers of EDK2, TF-A and the RMM have one of these before every name."""
RULES = (
    Rule(r"KVM_PSCI_FN_|PSCI_0_1_(?:FN_)?", ("PSCI_0_1_",)),
    Rule(rf"(?:QEMU_)?{_ANY}PSCI_(?:\d_\d_)?(?:FN(32|64)?_)?(?:PSCI_)?", ("PSCI_",)),
    Rule(rf"{_ANY}SDEI_(?:\d_\d_FN_)?(?:SDEI_)?", ("SDEI_",)),
    Rule(rf"{_ANY}FFA_(?:FN(32|64)_)?", ("FFA_",)),
    Rule(r"OPTEE_(?:SMC_|MSG_)?(?:FUNCID_)?(?:CALL_(?!WITH))?", ("OPTEE_",)),
    Rule(rf"{_ANY}(?:SMCCC_)?TRNG_", ("TRNG_",)),
    Rule(rf"{_ANY}(?:SMCCC_)?(?:HV_)?PV_TIME_", ("PV_TIME_",)),
    Rule(rf"{_ANY}(?:SMCCC_)?(?:VENDOR_HYP_(?:KVM_)?|KVM_FUNC_)", ("VENDOR_HYP_", "PKVM_")),
    Rule(rf"{_ANY}SMCCC_(?:ARCH_)?", ("SMCCC_ARCH_", "SMCCC_")),
)
"""The first rule that fits has the name. Other owners' macros are our names, perhaps with a prefix of `_ANY`."""

ALIASES = {
    **{"RSI_ABI_VERSION": "RSI_VERSION", "RMI_ABI_VERSION": "RMI_VERSION"},
    **{f"RSI_ATTESTATION_TOKEN_{what}": f"RSI_ATTEST_TOKEN_{what}" for what in ("INIT", "CONTINUE")},
    **{"FFA_YIELD": "FFA_MSG_YIELD", "FFA_RUN": "FFA_MSG_RUN"},
    **{"OPTEE_CALLS_COUNT": "TRUSTED_OS_CALL_COUNT", "OPTEE_CALLS_UID": "TRUSTED_OS_CALL_UID"},
    **{"OPTEE_CALLS_REVISION": "TRUSTED_OS_REVISION"},
    **{"PSCI_MIG": "PSCI_MIGRATE", "PSCI_MIG_INFO_TYPE": "PSCI_MIGRATE_INFO_TYPE"},
    **{"PSCI_MIG_INFO_UP_CPU": "PSCI_MIGRATE_INFO_UP_CPU", "PSCI_MEM_CHK_RANGE": "PSCI_MEM_PROTECT_CHECK_RANGE"},
    **{"VENDOR_HYP_MMIO_GUARD_MAP": "VENDOR_HYP_MMIO_GUARD"},
}
"""Names that headers have for a call which its document calls otherwise, after the prefix was made ours. MMIO_GUARD_MAP
is Android's word for mainline's MMIO_GUARD."""

_ENDS = re.compile(r"_(?:FUNC_ID|FID)$|_(?:SMC|AARCH)(32|64)$")
BITS = {
    f"KVM_REG_ARM_{register.partition('_BMAP')[0]}_BIT_{name}": (FW_BY_NAME[register].reg, bit)
    for (register, bit), name in BIT_NAMES.items()
}
"""Bits of bitmap registers by their macro: the register's id and the bit."""
_NUMBER = re.compile(rf"{_ANY}(?:SMCCC_)?KVM_FUNC_(?:(PKVM_RESV_\d{{1,3}})|(\w+))", re.ASCII)
_MOST_ALIKE, _LONGEST = 3, 80
"""A message asks about at most _MOST_ALIKE names, of those alike to the first _LONGEST characters."""
_LAST_NUMBER = 127
"""ARM_SMCCC_KVM_NUM_FUNCS is 128."""


class Spelled(NamedTuple):
    """An id that a macro stands for.

    Attributes:
        id: of a function, or of a register.
        note: what the macro itself is, where it is no id: the number of a bit.
    """

    id: int
    note: str = ""


class Meant(NamedTuple):
    """Whose call a name is, as far as its beginning tells, and what is left of it."""

    ours: tuple[str, ...]
    rest: str
    form: str


@cache
def named_calls() -> dict[str, int]:
    """Ids of all functions by our names: KVM's, and those that KVM does not answer."""
    others = {name: row.func_id for name, row in OTHER_BY_NAME.items()}
    return others | {name: row.func_id for name, row in FUNCTION_BY_NAME.items()}


def owner_meant(text: str) -> Meant | None:
    """Whose call a name is by its beginning; None where that tells nothing.

    >>> owner_meant("SDEI_1_0_FN_SDEI_EVNT_ENABLE")
    Meant(ours=('SDEI_',), rest='EVNT_ENABLE', form='')
    """
    key, form = name_key(text), ""
    while found := _ENDS.search(key):
        key, form = key[: found.start()], found[1] or form
    for rule in RULES:
        if found := re.match(rule.shape, key, re.ASCII):
            return Meant(rule.ours, key[found.end() :], (found.lastindex and found[found.lastindex]) or form)
    found = re.match(rf"{_ANY}([A-Z0-9]+_)", key, re.ASCII)
    if found and any(name.startswith(found[1]) for name in OTHER_BY_NAME):
        return Meant((found[1],), key[found.end() :], form)
    return None


def call_spelled(text: str) -> Spelled | None:
    """What a macro of a header stands for; None for a text that no rule completes.

    >>> [hex(call_spelled(text).id) for text in ("SDEI_1_0_FN_SDEI_PE_MASK", "FFA_FN64_MEM_SHARE")]
    ['0xc400002b', '0xc4000073']
    >>> call_spelled("ARM_SMCCC_KVM_FUNC_PTP").note
    'ARM_SMCCC_KVM_FUNC_PTP is 1, the number of this function: bit 1 of what VENDOR_HYP_FEATURES answers in x0'
    """
    key = name_key(text)
    if key in BITS:
        return Spelled(BITS[key][0], f"{key} is bit {BITS[key][1]} of this register")
    if found := _NUMBER.fullmatch(key):
        return _numbered(found)
    meant = owner_meant(key)
    if meant is None:
        return None
    for ours in meant.ours:
        reg = _with_form(ALIASES.get(ours + meant.rest, ours + meant.rest), meant.form)
        if reg is not None:
            return Spelled(reg)
    return None


def _with_form(name: str, form: str) -> int | None:
    """The id of a call in one convention; in the one that its name has if none is asked for."""
    ids = named_calls()
    written = (f"{name}64", f"{name}_64", name) if form == "64" else (name, f"{name}{form}")
    for each in written:
        if each in ids and (not form or bool(ids[each] & SMC64) == (form == "64")):
            return ids[each]
    return None


def _numbered(found: re.Match[str]) -> Spelled | None:
    """ARM_SMCCC_KVM_FUNC_*: the number of one of KVM's functions, which is also its bit."""
    if found[1]:
        number = int(found[1].rpartition("_")[2])
        func = func_id(fast=True, smc64=True, owner=Owner.VENDOR_HYP, number=number)
        if number > _LAST_NUMBER:
            return None
    else:
        told = call_spelled(f"VENDOR_HYP_{found[2]}")
        if told is None or told.id & 0xFFFF > _LAST_NUMBER:
            return None
        func, number = told.id, told.id & 0xFFFF
    answer = f"bit {number % 32} of what VENDOR_HYP_FEATURES answers in x{number // 32}"
    return Spelled(func, f"{found[0]} is {number}, the number of this function: {answer}")


def calls_meant(text: str) -> dict[str, int]:
    """Ids by the names that a user may mean: in full, as a header has it, or by the end that KVM's or others' have.

    >>> calls_meant("ptp"), calls_meant("notification-bind2")
    ({'VENDOR_HYP_PTP': 2248146945}, {'FFA_NOTIFICATION_BIND2': 3288334484})
    >>> calls_meant("PSCI_0_2_FN64_CPU_ON")
    {'PSCI_CPU_ON64': 3288334339}
    """
    known = names_meant(text, FUNCTION_BY_NAME)
    if not known and (told := call_spelled(text)) is not None and not told.note:
        known = [name for name, number in named_calls().items() if number == told.id]
    known = known or names_meant(text, OTHER_BY_NAME)
    return {name: named_calls()[name] for name in known}


def calls_alike(text: str) -> list[str]:
    """Our names of the calls that a wrong name may mean: of the owner that its beginning tells, else of any.

    >>> calls_alike("FFA_VERSOIN"), calls_alike("SDEI_1_0_FN_SDEI_PE_MASC")
    (['FFA_VERSION'], ['SDEI_PE_MASK', 'SDEI_PE_UNMASK'])
    """
    key = name_key(text)[:_LONGEST]
    meant = owner_meant(key)
    if meant is None or not meant.rest:
        names = {name: name for name in named_calls()}
    else:
        key = meant.rest
        names = {name.removeprefix(ours): name for ours in meant.ours for name in calls_of((ours,))}
    return [names[each] for each in get_close_matches(key, names, n=_MOST_ALIKE)]


def calls_of(ours: tuple[str, ...]) -> list[str]:
    """The names of calls that begin with one of these."""
    return [name for name in named_calls() if name.startswith(ours)]


def call_named(text: str) -> int:
    """The id of the call that a text names, as `calls_meant` finds it.

    Raises:
        InputError: no call is named so, or several are; the message has those.

    >>> hex(call_named("ptp"))
    '0x86000001'
    """
    meant = calls_meant(text)
    if len(meant) == 1:
        return next(iter(meant.values()))
    close = list(meant)[:_MOST_ALIKE] or calls_alike(text)
    hint = f"did you mean {' or '.join(close)}?" if close else "see `fastsmc explain`, or give the id as a number"
    msg = f"no function is called {shown(text)}: {hint}"
    raise InputError(msg)
