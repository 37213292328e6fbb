"""What if scope were different: the origin's question as a switch of the model.

VM-global through per-vCPU accessors, as KVM does; truly per vCPU, the bug that was feared; or VM-scoped register ids,
as version 4 of the series proposed. `model` gives a fleet under one of them, `asymmetric` and `differing_calls` say
what breaks under the second, `scope` and `scope_cost` what each costs when a VM moves. Commands reach `scope` alone;
the rest is for the library.

>>> from fastsmc.vm import Fleet
>>> from fastsmc.facts.registers import register
>>> vms = split(Fleet.uniform(n_vm=4, n_vcpu=64))
>>> vms.set_one_reg(register("VENDOR_HYP_BMAP"), 1, vms=3, vcpu=63)
>>> print(asymmetric(vms))
1 of 4 VMs is asymmetric (modelled: KVM has no such state)
VM 3: VENDOR_HYP_BMAP is 0x3 on vCPUs 0-62, 0x1 on 63: VENDOR_HYP_PTP is HANDLED or DENIED depending on the vCPU
VM 3: VENDOR_HYP_FEATURES answers 0x3 or 0x1 in x0, depending on the vCPU
"""

from __future__ import annotations

from fastsmc.scopes.asymmetry import (
    Asymmetry,
    Difference,
    DifferingAnswer,
    DifferingCall,
    asymmetric,
    calls_that_differ,
    differing_answers,
    differing_calls,
)
from fastsmc.scopes.compare import ScopeComparison, scope
from fastsmc.scopes.cost import ScopeCost, ScopeRow, compare_scopes, scope_cost
from fastsmc.scopes.per_vcpu import PerVcpuFleet, split
from fastsmc.scopes.vm_scoped import Marked, Scope, ScopedFleet, marked_mask, model, plain_id, scoped_id

__all__ = [
    "Asymmetry",
    "Difference",
    "DifferingAnswer",
    "DifferingCall",
    "Marked",
    "PerVcpuFleet",
    "Scope",
    "ScopeComparison",
    "ScopeCost",
    "ScopeRow",
    "ScopedFleet",
    "asymmetric",
    "calls_that_differ",
    "compare_scopes",
    "differing_answers",
    "differing_calls",
    "marked_mask",
    "model",
    "plain_id",
    "scope",
    "scope_cost",
    "scoped_id",
    "split",
]
