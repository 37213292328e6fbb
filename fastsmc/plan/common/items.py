"""What a kernel can have or lack: each service, firmware register, bit, PSCI version and vCPU feature, and its rule.

A release whose rules are in doubt may have a thing or not. So whether it has one is YES, NO or MAYBE, and what several
have in common is the least of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastsmc.facts.registers import BIT_NAMES, FW_BY_NAME, FW_REGISTERS
from fastsmc.facts.releases import Host, Release
from fastsmc.facts.smccc import FUNCTIONS, PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3, Gate, psci_name
from fastsmc.facts.vcpu import CAPS_OF_FEATURE, VCPU_FEATURES

NO, MAYBE, YES = range(3)
WORDS = ("no", "unknown", "yes")
"""What a table says of NO, MAYBE and YES."""
States = NDArray[np.int8]

Rule = Callable[[Release], bool]


class Item(NamedTuple):
    """Something that a kernel has or lacks.

    Attributes:
        what: service, register, bit, psci or feature.
        has: whether a release has it.
        gives: whether a new VM has it there before its VMM sets any register; None for features, which a VM asks for.
        bits: word 0 of KVM_ARM_VCPU_INIT's features, of a feature.
        needs_cpu: a feature that the CPU must have too.
    """

    what: str
    name: str
    has: Rule
    gives: Rule | None
    bits: int = 0
    needs_cpu: bool = False


def _items() -> tuple[Item, ...]:
    return (*_services(), *_registers(), *_bits(), *_versions(), *_features())


def _services() -> list[Item]:
    """Services that releases differ in. A VM whose bitmap has the service's bit clear is not given it."""
    found: dict[str, Item] = {}
    for function in FUNCTIONS:
        need = function.needs
        if need in ("", "-") or need in found:
            continue

        def has(release: Release, need: str = need) -> bool:
            return need in release.answers

        def gives(
            release: Release,
            need: str = need,
            gate: Gate = function.gate,
            at: tuple[int, int] = (function.bitmap, function.bit),
        ) -> bool:
            is_on = gate is not Gate.BITMAP or bool(release.bitmap_reset[at[0]] >> at[1] & 1)
            return need in release.answers and (is_on or not release.is_gated)

        found[need] = Item("service", need, has, gives)
    return list(found.values())


def _registers() -> list[Item]:
    def rule(name: str) -> Rule:
        return lambda release: name in release.fw_registers

    return [Item("register", row.name, rule(row.name), rule(row.name)) for row in FW_REGISTERS]


def _bits() -> list[Item]:
    def rule(field: str, bitmap: int, bit: int) -> Rule:
        return lambda release: bool(getattr(release, field)[bitmap] >> bit & 1)

    found = []
    for (register, bit), name in BIT_NAMES.items():
        bitmap = FW_BY_NAME[register].index
        has, gives = rule("bitmap_limit", bitmap, bit), rule("bitmap_reset", bitmap, bit)
        found.append(Item("bit", f"{register}.{name}", has, gives))
    return found


PSCI_WORDS = (PSCI_0_1, PSCI_0_2, PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3)


def _versions() -> list[Item]:
    def rule(word: int) -> tuple[Rule, Rule]:
        return lambda release: word in release.psci_versions, lambda release: word == release.psci_versions[-1]

    return [Item("psci", f"PSCI {psci_name(word)}", *rule(word)) for word in PSCI_WORDS]


def _features() -> list[Item]:
    def rule(bits: int) -> Rule:
        return lambda release: bits.bit_length() <= release.n_vcpu_feature

    left_out = ("none", "power_off", "pauth_address_only")  # no feature, a state, and half of one
    named = {name: bits for name, bits in VCPU_FEATURES.items() if name not in left_out}
    return [
        Item("feature", name, rule(bits), None, bits, any(bits & bit for bit in CAPS_OF_FEATURE))
        for name, bits in named.items()
    ]


ITEMS = _items()
IS_FEATURE = np.array([item.what == "feature" for item in ITEMS])
IS_REGISTER = np.array([item.what == "register" for item in ITEMS])
IS_SEEN = np.array([item.what in ("service", "psci", "feature") for item in ITEMS])
"""What a guest sees. Registers and bits are a VMM's: a kernel without bitmaps serves all that it has."""
IS_VERSION = np.array([item.what == "psci" for item in ITEMS])


def doubts_of(host: Host, items: Sequence[int]) -> list[str]:
    """Why it is not known whether a host has some of the items, each reason once."""
    rules = [ITEMS[i].has for i in items]
    return list(
        dict.fromkeys(
            doubt.text
            for doubt in host.release.doubts
            if any(rule(other) != rule(host.release) for other in doubt.others for rule in rules)
        )
    )


def states(hosts: Sequence[Host | None], *, of_new_vms: bool = False) -> States:
    """int8[n_host, n_item]: what each has; with `of_new_vms`, what a new VM there has. Of None all is MAYBE.

    A release may be otherwise by each of its doubts, one at a time.
    """
    found = np.full((len(hosts), len(ITEMS)), MAYBE, np.int8)
    for row, host in zip(found, hosts, strict=True):
        if host is None:
            continue
        variants = (host.release, *(other for doubt in host.release.doubts for other in doubt.others))
        for i, item in enumerate(ITEMS):
            rule = item.gives if of_new_vms else item.has
            told = {rule(release) for release in variants} if rule is not None else {False}
            row[i] = MAYBE if len(told) > 1 else YES if told.pop() else NO
    return found
