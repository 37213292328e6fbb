"""The part of a VM's policy that a VMM chooses for a guest: bitmaps, PSCI version, filter; and the VM that has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastsmc.checks import LAST_U32, LAST_U64, not_among, shown, whole
from fastsmc.errors import InputError
from fastsmc.facts.call_spellings import call_named
from fastsmc.facts.registers import BITMAP_REGISTERS, register
from fastsmc.facts.releases import Host
from fastsmc.facts.smccc import (
    PSCI_1_0,
    PSCI_1_1,
    PSCI_1_2,
    PSCI_1_3,
    FilterAction,
    name_key,
    psci_name,
)
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.fleet.filters import FilterRange
from fastsmc.vm import Fleet

_PSCI = {psci_name(word): word for word in (0x2, PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3)}
_BITMAPS = [row.name for row in BITMAP_REGISTERS]
_RANGE = re.compile(
    r"(?P<first>.+?)\s*(?:\.\.|-)\s*(?P<last>0x[0-9a-f]+|\d+)|(?P<base>.+?)\s*\+\s*(?P<n>0x[0-9a-f]+|\d+)", re.I
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a VM answers, as far as it differs from a VM that nobody configured.

    Attributes:
        bitmaps: words of feature bitmap registers, by name.
        psci_version: word of PSCI_VERSION; None: the release's default.
        ranges: of the SMCCC filter.
    """

    bitmaps: tuple[tuple[str, int], ...] = ()
    psci_version: int | None = None
    ranges: tuple[FilterRange, ...] = ()

    def fleet(self, release: str | Host, *, features: int = FEATURE_PSCI_0_2) -> Fleet:
        """One VM of one vCPU that has this policy, through the ioctls of a release.

        Args:
            release: a release, or a host of one.
            features: word 0 of the vCPU's features.

        Raises:
            InputError: no such release, or features that no VM of it has.
            RegisterError, FilterError: what KVM of that release refuses.
        """
        fleet = Fleet.uniform(n_vm=1, n_vcpu=1, host=release, features=features)
        if self.psci_version is not None:
            fleet.set_one_reg(register("PSCI_VERSION"), self.psci_version)
        for name, word in self.bitmaps:
            fleet.set_one_reg(register(name), word)
        if self.ranges:
            fleet.install_filter(self.ranges)
        return fleet

    def beside(self, other: Policy) -> Policy:
        """This policy with those ranges of another that it does not touch, as a filter takes no id twice."""
        kept = (one for one in other.ranges if not any(o.base <= one.last and one.base <= o.last for o in self.ranges))
        return Policy(self.bitmaps, self.psci_version, (*self.ranges, *kept))

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Ids and words are hexadecimal text."""
        return {
            "bitmaps": {name: f"0x{word:x}" for name, word in self.bitmaps},
            "psci_version": None if self.psci_version is None else psci_name(self.psci_version),
            "filter": [
                {"base": f"0x{one.base:08x}", "functions": one.nr_functions, "action": FilterAction(one.action).name}
                for one in self.ranges
            ],
        }

    def __str__(self) -> str:
        words = [f"{name} {word:#x}" for name, word in self.bitmaps]
        if self.psci_version is not None:
            words.append(f"PSCI {psci_name(self.psci_version)}")
        words += [f"{FilterAction(one.action).name} {one}" for one in self.ranges]
        return ", ".join(words) or "as nobody configured it"


def policy_of(
    bitmaps: Mapping[str, int], psci_version: str | int | None, deny: Iterable[str | int], forward: Iterable[str | int]
) -> Policy:
    """A policy as a user gives it.

    Raises:
        InputError: no such bitmap, version or function; a word that is no number; a range that is none.
    """
    words = []
    for name, word in bitmaps.items():
        key = name_key(str(name))
        if key not in _BITMAPS:
            raise InputError(not_among("a bitmap", key, _BITMAPS))
        words.append((key, whole(key, word, last=LAST_U64)))
    ranges = [range_of(what, FilterAction.DENY) for what in deny]
    ranges += [range_of(what, FilterAction.FWD_TO_USER) for what in forward]
    return Policy(tuple(words), _psci(psci_version), tuple(ranges))


def _psci(version: str | int | None) -> int | None:
    if version is None or (isinstance(version, int) and version in _PSCI.values()):
        return version
    if version not in _PSCI:
        raise InputError(not_among("psci_version", version, list(_PSCI)))
    return _PSCI[str(version)]


def range_of(what: str | int, action: FilterAction) -> FilterRange:
    """A range of function ids: an id, a name, FIRST-LAST, or BASE+N.

    Raises:
        InputError: it is none of these.

    >>> str(range_of("0xc5000020-0xc5000021", FilterAction.DENY)), str(range_of("ptp", FilterAction.DENY))
    ('0xc5000020+2', '0x86000001+1')
    """
    found = _RANGE.fullmatch(what.strip()) if isinstance(what, str) else None
    if found and found["n"]:
        return FilterRange(_id(found["base"]), whole("functions", int(found["n"], 0), first=1, last=LAST_U32), action)
    if found and found["last"] and found["first"][:1].isdigit():
        first, last = _id(found["first"]), whole("function id", int(found["last"], 0), last=LAST_U32)
        if last < first:
            message = f"the range {shown(what)} falls; write the smaller id first"
            raise InputError(message)
        return FilterRange(first, last - first + 1, action)
    return FilterRange(_id(what), 1, action)


def _id(what: object) -> int:
    if not isinstance(what, str):
        return whole("function id", what, last=LAST_U32)
    try:
        number = int(what, 0)
    except ValueError:
        return call_named(what)
    return whole("function id", number, last=LAST_U32)
