"""What a doubt about a release touches: the functions whose outcome it may change, asked of the reference.

This is told once per release and kind of vCPU, so that a batch of calls need not be looked at call by call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np

from fastsmc.checks import I64Array, U32Array
from fastsmc.facts.registers import BITMAP_REGISTERS
from fastsmc.facts.releases import Doubt, Host, Release
from fastsmc.facts.smccc import FUNCTION_BY_ID, FUNCTIONS, Conduit
from fastsmc.facts.vcpu import FEATURE_EL1_32BIT, FEATURE_PSCI_0_2
from fastsmc.reference.state import Outcome
from fastsmc.reference.vm import Vm

NAMELESS = "ids without a name"
"""How all ids that KVM does not know are called together."""
_WITHOUT_A_NAME = (0x8400_001E, 0xC600_1234)
"""Such an id on PSCI's allowed list, and one that is not."""
_IDS = (*((row.func_id, row.name) for row in FUNCTIONS), *((func_id, NAMELESS) for func_id in _WITHOUT_A_NAME))
_RESERVED_BITS = 1 << 31
"""No affinity field, and a vendor's own kind of reset."""
_LEVELS = ((0, 0, 0), (2, 3, 2), (0, 0, 0))
"""Workaround levels of the machines of three VMs: it mitigates nothing, or needs nothing."""
_SHOWN = 6


@dataclass(frozen=True, slots=True, repr=False)
class Touched:
    """One doubt about a release, and the functions that it touches.

    Attributes:
        release: name of the release.
        functions: names of functions, in the order of their ids; NAMELESS stands for all other ids.
    """

    release: str
    doubt: Doubt
    functions: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.functions) - _SHOWN} more" if len(self.functions) > _SHOWN else ""
        names = ", ".join(self.functions[:_SHOWN]) + more
        return f"{names} on Linux {self.release}: {self.doubt}"

    def __repr__(self) -> str:
        return f"Touched({self.release[:40]!r}, {', '.join(self.doubt.fields)[:60]!r}, {len(self.functions)} functions)"


def touched(release: Release, features: int = FEATURE_PSCI_0_2) -> tuple[Touched, ...]:
    """The doubts about a release that touch a function, for vCPUs with these features.

    VMs as nobody configured them, VMs that allow all they can and VMs that allow nothing are asked, by HVC and by SMC,
    with no argument, with one that has reserved bits, and, where a function asks for another, with the id of each.
    Guests with EL2 and protected VMs are told what ordinary ones are, whose answers they get by SMC.

    >>> from fastsmc.facts.releases import release
    >>> [one.functions for one in touched(release("5.15.0-125-generic"))], touched(release("5.15"))
    ([('SMCCC_ARCH_FEATURES', 'SMCCC_ARCH_WORKAROUND_3')], ())
    """
    return _touched(release, features & (FEATURE_PSCI_0_2 | FEATURE_EL1_32BIT)) if release.doubts else ()


@cache
def _touched(release: Release, seen: int) -> tuple[Touched, ...]:
    mine = _told(replace(release, doubts=()), seen)
    found = []
    for doubt in release.doubts:
        others = [_told(rules, seen) for rules in doubt.others]
        names = [name for func_id, name in _IDS if any(other[func_id] != mine[func_id] for other in others)]
        if names:
            found.append(Touched(release.name, doubt, tuple(dict.fromkeys(names))))
    return tuple(found)


def _told(rules: Release, features: int) -> dict[int, list[Outcome]]:
    """What becomes of every function by a release's rules, in the order in which it is asked about."""
    _, opened, shut = vms = [Vm(Host(rules, workaround=levels), features=features) for levels in _LEVELS]
    for bitmap in BITMAP_REGISTERS:
        opened.set_one_reg(0, bitmap.reg, rules.bitmap_limit[bitmap.index])
        shut.set_one_reg(0, bitmap.reg, 0)
    opened.enable_system_suspend()
    found: dict[int, list[Outcome]] = {}
    for func_id, name in _IDS:
        words = (0, _RESERVED_BITS, *(FUNCTION_BY_ID if name.endswith("_FEATURES") else ()))
        told = found[func_id] = []
        for x1, conduit, vm in product(words, (Conduit.HVC, Conduit.SMC), vms):
            told.append(vm.call(0, func_id, x1, conduit=conduit))
            vm.vcpu_init(0)  # which a call may have stopped
    return found


def touched_by(hosts: Sequence[Host], host_of_vm: I64Array, features: U32Array) -> tuple[Touched, ...]:
    """The doubts about the releases of a fleet, for the vCPUs that its VMs have; () at no cost where there are none.

    Args:
        host_of_vm: int64[n_vm], index into `hosts`. features: uint32[n_vm], as vCPUs are initialised.
    """
    found: dict[Touched, None] = {}
    for number, host in enumerate(hosts):
        words = np.unique(features[host_of_vm == number]).tolist() if host.release.doubts else []
        for word in words:
            found |= dict.fromkeys(touched(host.release, word))
    return tuple(found)
