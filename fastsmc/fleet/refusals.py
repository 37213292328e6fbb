"""The errors of ioctls on many VMs: which VMs refuse, and why the first of them does."""

from __future__ import annotations

from errno import ENOEXEC

import numpy as np

from fastsmc.checks import I64Array
from fastsmc.errors import FilterError, KvmError, RegisterError
from fastsmc.facts.registers import FwRegister
from fastsmc.fleet.filters import FilterRange
from fastsmc.fleet.firmware import Errnos


def vm_list(vms: I64Array) -> str:
    """VM numbers for a sentence: the first few, and how many more."""
    shown = ", ".join(str(vm) for vm in vms[:5])
    more = f" and {vms.size - 5} more" if vms.size > 5 else ""
    return f"VM{'s' if vms.size > 1 else ''} {shown}{more}"


def run_refused(vcpu: int, vms: I64Array, errnos: Errnos) -> KvmError:
    """The error for the VMs whose errno is not 0: their vCPU of that number cannot run."""
    refusing = np.flatnonzero(errnos)
    first = int(errnos[refusing[0]])
    why = "it has not had KVM_ARM_VCPU_INIT" if first == ENOEXEC else "a vCPU with EL2 needs an in-kernel GIC"
    msg = f"KVM_RUN of vCPU {vcpu} of {vm_list(vms[refusing])}: {why}"
    return KvmError(msg, first, vms=vms[refusing].tolist(), errnos=errnos[refusing].tolist())


def register_refused(
    reg: int, row: FwRegister | None, value: int | None, vms: I64Array, errnos: Errnos, reason: str
) -> RegisterError:
    """The error for the VMs whose errno is not 0.

    Args:
        value: what was to be set on the first of them; None for a GET.
    """
    refusing = np.flatnonzero(errnos)
    name = row.name if row else f"{reg:#018x}"
    asked = f"GET_ONE_REG {name}" if value is None else f"SET_ONE_REG {name} = {value:#x}"
    msg = f"{asked} on {vm_list(vms[refusing])}: {reason}"
    return RegisterError(msg, int(errnos[refusing[0]]), vms=vms[refusing].tolist(), errnos=errnos[refusing].tolist())


def filter_refused(new: FilterRange, vms: I64Array, errnos: list[int], reason: str) -> FilterError:
    """The error for VMs that refuse some range: `new` is the first that the first VM refuses."""
    msg = f"range {new} of {vm_list(vms)}: {reason}"
    return FilterError(msg, errnos[0], vms=vms.tolist(), errnos=errnos)
