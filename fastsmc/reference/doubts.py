"""What a doubt about a release touches: the functions whose outcome it may change, asked of the reference.

This is told once per release and kind of vCPU, so that a batch of calls need not be looked at call by call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

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
_RESERVED_BITS = 1 << 31
"""No affinity field, and a vendor's own kind of reset."""
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

    VMs as nobody configured them and VMs that allow all they can are asked, by HVC and by SMC, with no argument, with
    one that has reserved bits, and, where a function asks for another, with the id of each.

    >>> from fastsmc.facts.releases import release
    >>> [one.functions for one in touched(release("5.15.0-125-generic"))], touched(release("5.15"))
    ([('SMCCC_ARCH_WORKAROUND_3',)], ())
    """
    return _touched(release, features & (FEATURE_PSCI_0_2 | FEATURE_EL1_32BIT)) if release.doubts else ()


@cache
def _touched(release: Release, seen: int) -> tuple[Touched, ...]:
    ids = [*((row.func_id, row.name) for row in FUNCTIONS), *((func_id, NAMELESS) for func_id in _WITHOUT_A_NAME)]
    plain = replace(release, doubts=())
    mine = {func_id: _outcomes(plain, seen, func_id) for func_id, _ in ids}
    found = []
    for doubt in release.doubts:
        names = [
            name
            for func_id, name in ids
            if any(_outcomes(rules, seen, func_id) != mine[func_id] for rules in doubt.others)
        ]
        if names:
            found.append(Touched(release.name, doubt, tuple(dict.fromkeys(names))))
    return tuple(found)


def _outcomes(rules: Release, features: int, func_id: int) -> list[Outcome]:
    row = FUNCTION_BY_ID.get(func_id)
    asks = row is not None and row.name.endswith("_FEATURES")
    found = []
    for x1 in (0, _RESERVED_BITS, *(FUNCTION_BY_ID if asks else ())):
        for conduit in (Conduit.HVC, Conduit.SMC):
            closed, opened = Vm(Host(rules), features=features), Vm(Host(rules), features=features)
            for bitmap in BITMAP_REGISTERS:
                opened.set_one_reg(0, bitmap.reg, rules.bitmap_limit[bitmap.index])
            opened.enable_system_suspend()
            found += [vm.call(0, func_id, x1, conduit=conduit) for vm in (closed, opened)]
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
