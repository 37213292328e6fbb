"""The jitted loop of power state: PSCI calls that switch vCPUs, in the order they were made.

Order matters inside a VM (the first CPU_ON wins) and not between VMs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsmc.jit.compiled import kernel

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

_HANDLED, _EXIT = np.uint8(0), np.uint8(4)
_RUNNABLE, _STOPPED = np.uint8(0), np.uint8(5)
_SMC64, _LOW32 = np.uint32(0x4000_0000), np.uint64(0xFFFF_FFFF)
_AFFINITY = np.uint64(0xFF_00FF_FFFF)
_CPU_OFF_0_1, _CPU_ON_0_1 = np.uint32(0x95C1_BA5F), np.uint32(0x95C1_BA60)
_CPU_OFF, _CPU_ON, _AFFINITY_INFO = np.uint32(0x8400_0002), np.uint32(0x8400_0003), np.uint32(0x8400_0004)
_SUSPEND, _RESET2, _OFF2 = np.uint32(0x8400_000E), np.uint32(0x8400_0012), np.uint32(0x8400_0015)
_AFF0_VCPUS = np.uint64(16)
_INVALID, _ALREADY_ON, _FAILURE = -2, -4, -6


@kernel
def _mpidr(number: int) -> np.uint64:
    """Affinity fields of vCPU `number` of a VM: 16 to a cluster, as KVM numbers them."""
    n = np.uint64(number)
    low = n & np.uint64(0xF)
    return (
        low
        | ((n >> np.uint64(4)) & np.uint64(0xFF)) << np.uint64(8)
        | ((n >> np.uint64(12)) & np.uint64(0xFF)) << np.uint64(16)
    )


@kernel
def vcpu_number(target: np.uint64) -> np.int64:
    """The vCPU number whose affinity fields these are; one no VM has, where Aff0 or Aff3 names none."""
    aff0 = target & np.uint64(0xFF)
    if aff0 >= _AFF0_VCPUS or target >> np.uint64(24) != np.uint64(0):
        return np.int64(-1)
    rest = (target >> np.uint64(8)) & np.uint64(0xFFFF)
    return np.int64(aff0 | rest << np.uint64(4))


@kernel
def affinity_info(target: np.uint64, level: np.uint64, first: int, n_vcpu: int, mp_state: U8) -> int:
    mask = _AFFINITY & ~((np.uint64(1) << (np.uint64(8) * level)) - np.uint64(1))
    if level == np.uint64(3):
        mask = np.uint64(0xFF_0000_0000)
    found = False
    for number in range(n_vcpu):
        if _mpidr(number) & mask == target & mask:
            found = True
            if mp_state[first + number] != _STOPPED:
                return 0
    return 1 if found else _INVALID


@kernel
def switch_power(
    func_id: U32,
    vcpu: U32,
    x1: U64,
    x2: U64,
    verdict: U8,
    vm_of_vcpu: U32,
    first_vcpu: I64,
    is_psci_0_1: Flags,
    masks_extra_bits: Flags,
    mp_state: U8,
    ran: Flags,
    x0: I64,
) -> None:
    """Makes the calls one after another: power state is changed, x0 filled where PSCI power calls set it, else 0.

    uint32[n_call] x 2, uint64[n_call] x 2, uint8[n_call], uint32[n_vcpu], int64[n_vm + 1], bool[n_vm] x 2 ->
    uint8[n_vcpu] in place, bool[n_call], int64[n_call].
    """
    for c in range(func_id.size):
        v = vcpu[c]
        x0[c] = 0
        ran[c] = mp_state[v] != _STOPPED
        if not ran[c] or (verdict[c] != _HANDLED and verdict[c] != _EXIT):
            continue
        m = vm_of_vcpu[v]
        first = first_vcpu[m]
        n_vcpu = first_vcpu[m + 1] - first
        f = func_id[c]
        base = f & ~_SMC64
        if verdict[c] == _EXIT:
            if base != _SUSPEND:
                x0[c] = _FAILURE
                mp_state[first : first + n_vcpu] = _STOPPED
            continue
        if base in (_RESET2, _OFF2):
            x0[c] = _INVALID  # handled, not an exit: it refused its arguments
            continue
        if f in (_CPU_OFF, _CPU_OFF_0_1):
            mp_state[v] = _STOPPED
            continue
        is_on = base == _CPU_ON or f == _CPU_ON_0_1
        if not is_on and base != _AFFINITY_INFO:
            continue
        is_narrow = f in (_CPU_ON, _AFFINITY_INFO)
        target = x1[c] & _LOW32 if is_narrow else x1[c]
        level = x2[c] & _LOW32 if is_narrow else x2[c]
        if target & ~_AFFINITY != np.uint64(0) and not masks_extra_bits[m]:
            x0[c] = _INVALID
            continue
        target &= _AFFINITY
        if not is_on:
            x0[c] = _INVALID if level > np.uint64(3) else affinity_info(target, level, first, n_vcpu, mp_state)
            continue
        number = vcpu_number(target)
        if number < 0 or number >= n_vcpu:
            x0[c] = _INVALID
        elif mp_state[first + number] != _STOPPED:
            x0[c] = _INVALID if is_psci_0_1[m] else _ALREADY_ON
        else:
            mp_state[first + number] = _RUNNABLE
