"""Which rule settles a call: the range of a filter, the bit of a bitmap, the list of allowed calls, or PSCI.

The rules are those of `reference.vm.Vm.call`, whose order this follows; what a rule says is in its words.
"""

from __future__ import annotations

from fastsmc.facts.registers import BIT_NAMES, BITMAP_REGISTERS
from fastsmc.facts.smccc import FUNCTION_BY_ID, PSCI_0_1, FilterAction, Function, Gate, Service, Verdict, psci_name
from fastsmc.facts.vcpu import FEATURE_PSCI_0_2
from fastsmc.reference.vm import Vm


def rule_of(vm: Vm, func_id: int, verdict: Verdict) -> str:
    """What settles a call of a function, in words."""
    row = FUNCTION_BY_ID.get(func_id)
    if verdict is Verdict.TO_VEL2:
        return "an exception to the guest's own EL2, which KVM does not answer"
    if verdict is Verdict.FAST_PATH:
        return "answered at EL2, before filter and bitmaps"
    if verdict is Verdict.SMC_REFUSED:
        return f"Linux {vm.release.name} serves no SMC of a guest"
    for first, last, action in vm.filter:
        if first <= func_id <= last and action is not FilterAction.HANDLE:
            return f"filter {first:#010x}+{last - first + 1} ({action.name})"
    if row is not None and row.gate is Gate.BITMAP and vm.release.is_gated:
        register = BITMAP_REGISTERS[row.bitmap].name
        state = "is clear" if verdict is Verdict.DENIED else "is set"
        told = f"{register} bit {row.bit} ({BIT_NAMES[register, row.bit]}) {state}"
    elif verdict is Verdict.DENIED:
        told = "not on the list of allowed calls"
    else:
        told = "always allowed" if vm.release.is_gated else f"Linux {vm.release.name} has no bitmaps: all are allowed"
    return told if verdict is not Verdict.NOT_SUPPORTED else f"{told}, and {_unanswered(vm, row)}"


def _unanswered(vm: Vm, row: Function | None) -> str:
    """Why an allowed call is answered by nothing."""
    if row is None:
        return "nothing knows this id"
    if row.needs == "-" or (row.needs and row.needs not in vm.release.answers):
        return f"Linux {vm.release.name} has no answer to it"
    if row.service is Service.PSCI:
        version = vm.effective_psci_version()
        if row.psci_max == PSCI_0_1 < version:
            return f"the guest has PSCI {psci_name(version)}, which fixes other ids"
        if not row.psci_min <= version <= row.psci_max:
            has_psci_0_2 = bool(vm.features & FEATURE_PSCI_0_2)
            needed = f"PSCI {psci_name(row.psci_min)}" if has_psci_0_2 else "the vCPU feature psci02"
            return f"the guest has PSCI {psci_name(version)}; it needs {needed}"
        if row.vm_cap and not vm.has_system_suspend:
            return f"the VMM has not enabled KVM_CAP_ARM_{row.vm_cap}"
        if vm.is_a32:
            return "the caller is AArch32"
    return "nothing answers it"
