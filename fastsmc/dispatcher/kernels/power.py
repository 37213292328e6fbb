"""The jitted loop of power state: PSCI calls that switch vCPUs, in the order they were made.

Order matters inside a VM (the first CPU_ON wins) and not between VMs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.jit.compiled import inlined_kernel, inner_kernel, kernel
from fastsmc.jit.types import I64, U8, U32, U64, Flags, u8, u32, u64

_HANDLED, _EXIT = u8(0), u8(4)
_RUNNABLE, _STOPPED = u8(0), u8(5)
_SMC64, _LOW32 = u32(0x4000_0000), u64(0xFFFF_FFFF)
_CPU_OFF_0_1, _CPU_ON_0_1 = u32(0x95C1_BA5F), u32(0x95C1_BA60)
_CPU_OFF, _CPU_ON, _AFFINITY_INFO = u32(0x8400_0002), u32(0x8400_0003), u32(0x8400_0004)
_SUSPEND, _RESET2, _OFF2 = u32(0x8400_000E), u32(0x8400_0012), u32(0x8400_0015)
_AFF0_VCPUS, _MOST_LEVELS = u64(16), u64(3)
_INVALID, _ALREADY_ON, _FAILURE = -2, -4, -6


class Power(NamedTuple):
    """The power state of one VM's vCPUs, which lie from `first` on, and how its release reads MPIDR fields.

    `affinity` are the fields; `masks`: bits outside them are ignored; `is_0_1`: PSCI is 0.1.
    """

    mp_state: U8
    first: int
    n_vcpu: int
    affinity: np.uint64
    masks: bool
    is_0_1: bool


@inner_kernel
def _mpidr(number: int) -> np.uint64:
    """Affinity fields of vCPU `number` of a VM: 16 to a cluster, as KVM numbers them."""
    n = u64(number)
    return n & u64(0xF) | ((n >> u64(4)) & u64(0xFF)) << u64(8) | ((n >> u64(12)) & u64(0xFF)) << u64(16)


@inner_kernel
def vcpu_number(target: np.uint64) -> np.int64:
    """The number of the vCPU with these affinity fields; where Aff0 or Aff3 names none, a number that no VM has."""
    aff0 = target & u64(0xFF)
    if aff0 >= _AFF0_VCPUS or target >> u64(24) != u64(0):
        return np.int64(-1)
    rest = (target >> u64(8)) & u64(0xFFFF)
    return np.int64(aff0 | rest << u64(4))


@inlined_kernel
def _affinity_info(target: np.uint64, level: np.uint64, power: Power) -> int:
    """x0 of AFFINITY_INFO: whether a vCPU with these fields, from a level up, is on (0) or all are off (1)."""
    mask = power.affinity & ~((u64(1) << (u64(8) * level)) - u64(1))
    mp_state, found = power.mp_state, False
    for number in range(power.n_vcpu):
        if _mpidr(number) & mask == target & mask:
            found = True
            if mp_state[power.first + number] != _STOPPED:
                return 0
    return 1 if found else _INVALID


@inlined_kernel
def power_answer(is_on: bool, x1: np.uint64, x2: np.uint64, power: Power) -> int:
    """x0 of CPU_ON, or else of AFFINITY_INFO, nothing switched."""
    if x1 & ~power.affinity != u64(0) and not power.masks:
        return _INVALID
    target = x1 & power.affinity
    if not is_on:
        return _INVALID if x2 > _MOST_LEVELS else _affinity_info(target, x2, power)
    number = vcpu_number(target)
    if number < 0 or number >= power.n_vcpu:
        return _INVALID
    if power.mp_state[power.first + number] == _STOPPED:
        return 0
    return _INVALID if power.is_0_1 else _ALREADY_ON


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
    affinity: np.uint64,
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
        m, f = vm_of_vcpu[v], func_id[c]
        first, base = first_vcpu[m], f & ~_SMC64
        n_vcpu = first_vcpu[m + 1] - first
        if verdict[c] == _EXIT:
            if base != _SUSPEND:
                x0[c] = _FAILURE
                mp_state[first : first + n_vcpu] = _STOPPED
        elif base in (_RESET2, _OFF2):
            x0[c] = _INVALID  # handled, not an exit: it refused its arguments
        elif f in (_CPU_OFF, _CPU_OFF_0_1):
            mp_state[v] = _STOPPED
        elif base in (_CPU_ON, _AFFINITY_INFO) or f == _CPU_ON_0_1:
            is_on, seen = base != _AFFINITY_INFO, ~u64(0)
            if f in (_CPU_ON, _AFFINITY_INFO):
                seen = _LOW32
            power = Power(mp_state, first, n_vcpu, affinity, masks_extra_bits[m], is_psci_0_1[m])
            x0[c] = power_answer(is_on, x1[c] & seen, x2[c] & seen, power)
            if is_on and x0[c] == 0:
                mp_state[first + vcpu_number(x1[c] & seen & affinity)] = _RUNNABLE
