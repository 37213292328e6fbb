"""What a doubt about a release touches: the functions whose outcome it may change, asked of the reference.

This is told once per release and kind of vCPU, so that a batch of calls need not be looked at call by call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from fastsmc.facts.registers import BITMAP_REGISTERS
from fastsmc.facts.releases import Doubt, Host, Release
from fastsmc.facts.smccc import FUNCTIONS, Conduit
from fastsmc.facts.vcpu import FEATURE_EL1_32BIT, FEATURE_PSCI_0_2
from fastsmc.reference.state import Outcome
from fastsmc.reference.vm import Vm

NAMELESS = "ids without a name"
"""How all ids that KVM does not know are called together."""
_WITHOUT_A_NAME = (0x8400_001E, 0xC600_1234)
"""Such an id on PSCI's allowed list, and one that is not."""
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
        return f"Linux {self.release} is not certain about {names}: {self.doubt}"

    def __repr__(self) -> str:
        return f"Touched({self.release[:40]!r}, {', '.join(self.doubt.fields)[:60]!r}, {len(self.functions)} functions)"


@cache
def touched(release: Release, features: int = FEATURE_PSCI_0_2) -> tuple[Touched, ...]:
    """The doubts about a release that touch a function, for vCPUs with these features.

    VMs as nobody configured them and VMs that allow all they can are asked, by HVC and by SMC.

    >>> from fastsmc.facts.releases import release
    >>> [one.functions for one in touched(release("5.15.0-125-generic"))], touched(release("5.15"))
    ([('SMCCC_ARCH_WORKAROUND_3',)], ())
    """
    if not release.doubts:
        return ()
    seen = features & (FEATURE_PSCI_0_2 | FEATURE_EL1_32BIT)
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
    found = []
    for conduit in (Conduit.HVC, Conduit.SMC):
        closed, opened = Vm(Host(rules), features=features), Vm(Host(rules), features=features)
        for row in BITMAP_REGISTERS:
            opened.set_one_reg(0, row.reg, rules.bitmap_limit[row.index])
        opened.enable_system_suspend()
        found += [vm.call(0, func_id, conduit=conduit) for vm in (closed, opened)]
    return found
