"""PSCI as KVM answers it: power state of the vCPUs of a VM, and exits to userspace.

Each answer is a function of (vm, vcpu, x1, x2, x3). Source: Linux arch/arm64/kvm/psci.c.
"""

from __future__ import annotations

from dataclasses import replace

from fastsmc.facts.services import MPIDR_AFFINITY, PSCI_FEATURES_KNOWN, SMC64_REFUSED_EARLY
from fastsmc.facts.smccc import PSCI_0_1, PSCI_1_1, PSCI_1_3, SMC64, Verdict
from fastsmc.facts.vcpu import RUNNABLE, STOPPED
from fastsmc.reference.state import (
    EVENT_RESET,
    EVENT_SHUTDOWN,
    EVENT_SUSPEND,
    EXIT_SYSTEM_EVENT,
    MASK32,
    OFF2_FLAG,
    REFUSED,
    RESET2_FLAG,
    Exit,
    FourWords,
    Outcome,
    Start,
    VmState,
    answered,
    words,
)

PSCI_INVALID_PARAMS, PSCI_ALREADY_ON, PSCI_INTERNAL_FAILURE = -2, -4, -6
AFFINITY_ON, AFFINITY_OFF, MIGRATE_INFO_NOT_NEEDED, OFF2_HIBERNATE = 0, 1, 2, 1
AFFINITY_MASK = tuple(MPIDR_AFFINITY & ~((1 << 8 * level) - 1) for level in range(4))
"""The affinity fields from each level up."""


def mpidr_affinity(vcpu: int) -> int:
    """Affinity fields of the MPIDR KVM gives vCPU number `vcpu`: 16 per cluster. Source: sys_regs.c, reset_mpidr."""
    return (vcpu & 0xF) | (vcpu >> 4 & 0xFF) << 8 | (vcpu >> 12 & 0xFF) << 16


def _psci_version(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    return answered(vm.effective_psci_version())


def _cpu_suspend(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    """Waits for an interrupt as WFI does, whatever power state the arguments ask for."""
    return Outcome(Verdict.HANDLED, words(0), blocks=True)


def _cpu_off(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    vm.mp_state[vcpu] = STOPPED
    return Outcome(Verdict.HANDLED, words(0), blocks=True)


def _cpu_on(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    """Starts the stopped vCPU whose affinity is in x1: at x2, with x3 in its x0."""
    target = vm.affinity_target(x1)
    for other, mp_state in enumerate(vm.mp_state):
        if target is not None and mpidr_affinity(other) == target:
            if mp_state != STOPPED:
                is_0_1 = vm.effective_psci_version() == PSCI_0_1
                return answered(PSCI_INVALID_PARAMS if is_0_1 else PSCI_ALREADY_ON)
            vm.mp_state[other] = RUNNABLE
            return replace(answered(0), starts=Start(other, vm.start_pstate, entry=x2, x0=x3))
    return answered(PSCI_INVALID_PARAMS)


def _affinity_info(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    """Whether any vCPU is on among those that share the affinity in x1, from level x2 up."""
    target = vm.affinity_target(x1)
    if target is None or x2 > 3:
        return answered(PSCI_INVALID_PARAMS)
    mask = AFFINITY_MASK[x2]
    found = [state for other, state in enumerate(vm.mp_state) if mpidr_affinity(other) & mask == target & mask]
    if not found:
        return answered(PSCI_INVALID_PARAMS)
    return answered(AFFINITY_OFF if all(state == STOPPED for state in found) else AFFINITY_ON)


def _migrate_info_type(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    return answered(MIGRATE_INFO_NOT_NEEDED)


def _system_event(event: int, data: tuple[int, ...], x: FourWords) -> Outcome:
    return Outcome(Verdict.EXIT, x, exit=Exit(EXIT_SYSTEM_EVENT, event=event, data=data))


def _system_off(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    vm.stop_all()
    return _system_event(EVENT_SHUTDOWN, vm.event_data(0), words(PSCI_INTERNAL_FAILURE))


def _system_reset(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    vm.stop_all()
    return _system_event(EVENT_RESET, vm.event_data(0), words(PSCI_INTERNAL_FAILURE))


def _psci_features(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    """Whether a PSCI function is there; neither filter nor bitmaps change that."""
    asked = x1 & MASK32
    version = vm.effective_psci_version()
    refused = asked & SMC64 and vm.is_a32
    if refused and (vm.release.a32_refuses_all_smc64 or asked in SMC64_REFUSED_EARLY):
        return REFUSED
    if asked in PSCI_FEATURES_KNOWN:
        return answered(0)
    if asked & ~SMC64 == 0x8400_000E and vm.has_system_suspend:
        return answered(0)
    if asked & ~SMC64 == 0x8400_0012 and version >= PSCI_1_1:
        return answered(0)
    if asked & ~SMC64 == 0x8400_0015 and version >= PSCI_1_3:
        return answered(OFF2_HIBERNATE)
    return REFUSED


def system_suspend(x0: int, x1: int, x2: int, x3: int) -> Outcome:
    """Leaves the guest and writes no register, so that x0 still holds the id; other vCPUs run on."""
    return _system_event(EVENT_SUSPEND, (), (x0, x1, x2, x3))


def _system_reset2(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    """Type 0 is a warm reset, those from 0x80000000 up are the vendor's; the cookie in x2 is not looked at."""
    reset_type = x1 & MASK32
    if reset_type != 0 and reset_type < 0x8000_0000:
        return answered(PSCI_INVALID_PARAMS)
    vm.stop_all()
    return _system_event(EVENT_RESET, vm.event_data(RESET2_FLAG), words(PSCI_INTERNAL_FAILURE, x1, x2, x3))


def _system_off2(vm: VmState, vcpu: int, x1: int, x2: int, x3: int) -> Outcome:
    """Hibernates: types 0 and 1 mean the same, and the cookie in x2 must be 0."""
    if x1 & MASK32 > 1 or x2 != 0:
        return answered(PSCI_INVALID_PARAMS)
    vm.stop_all()
    return _system_event(EVENT_SHUTDOWN, vm.event_data(OFF2_FLAG), words(PSCI_INTERNAL_FAILURE))


PSCI = {
    0x95C1_BA5F: _cpu_off,
    0x95C1_BA60: _cpu_on,
    0x8400_0000: _psci_version,
    0x8400_0001: _cpu_suspend,
    0xC400_0001: _cpu_suspend,
    0x8400_0002: _cpu_off,
    0x8400_0003: _cpu_on,
    0xC400_0003: _cpu_on,
    0x8400_0004: _affinity_info,
    0xC400_0004: _affinity_info,
    0x8400_0006: _migrate_info_type,
    0x8400_0008: _system_off,
    0x8400_0009: _system_reset,
    0x8400_000A: _psci_features,
    0x8400_0012: _system_reset2,
    0xC400_0012: _system_reset2,
    0x8400_0015: _system_off2,
    0xC400_0015: _system_off2,
}
"""The answer of each PSCI id that any release answers, SYSTEM_SUSPEND apart."""

SYSTEM_SUSPEND = frozenset({0x8400_000E, 0xC400_000E})
"""The ids whose answer needs x0 too, as SYSTEM_SUSPEND writes no register."""
PSCI_ANSWERED = SYSTEM_SUSPEND | frozenset(PSCI)
