"""The jitted loop of full answers: x0..x3 as the guest, or userspace at an exit, finds them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsmc._jit import kernel
from fastsmc.kernels import BUCKET_SHIFT, Index
from fastsmc.kernels_power import affinity_info, vcpu_number

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

FIXED, BY_FEATURE, TRNG_FEATURES, TRNG_RND, PTP, CPU_ON, AFFINITY_INFO, KEPT, KEPT_FAILURE, BY_VERDICT = range(10)
"""How an answer comes about: as the table has it, from what x1 asks about, and so on; KEPT: x0 stays as it was."""
_HANDLED, _FORWARDED, _FAST_PATH = np.uint8(0), np.uint8(2), np.uint8(5)
_LOW32, _ZERO, _ONE = np.uint64(0xFFFF_FFFF), np.uint64(0), np.uint64(1)
_NOT_SUPPORTED, _INVALID = np.uint64(0xFFFF_FFFF_FFFF_FFFF), np.uint64(0xFFFF_FFFF_FFFF_FFFE)
_ALREADY_ON, _FAILURE = np.uint64(0xFFFF_FFFF_FFFF_FFFC), np.uint64(0xFFFF_FFFF_FFFF_FFFA)
_AFFINITY, _MOST_LEVELS = np.uint64(0xFF_00FF_FFFF), np.uint64(3)


@kernel
def slot_of(func_id: np.uint32, multiplier: np.uint32, slot_of_bucket: U8, slot_id: U32) -> int:
    """The slot of a known id, or the one after the last."""
    s = slot_of_bucket[np.uint32(func_id * multiplier) >> BUCKET_SHIFT]
    return int(s) if slot_id[s] == func_id else slot_id.size


@kernel
def _power_answer(
    is_on: bool, x1: np.uint64, x2: np.uint64, masks: bool, is_0_1: bool, first: int, n_vcpu: int, mp_state: U8
) -> np.uint64:
    """x0 of CPU_ON or AFFINITY_INFO, nothing switched."""
    if x1 & ~_AFFINITY != _ZERO and not masks:
        return _INVALID
    target = x1 & _AFFINITY
    if not is_on:
        if x2 > _MOST_LEVELS:
            return _INVALID
        return np.uint64(affinity_info(target, x2, first, n_vcpu, mp_state))
    number = vcpu_number(target)
    if number < 0 or number >= n_vcpu:
        return _INVALID
    if mp_state[first + number] == np.uint8(5):
        return _ZERO
    return _INVALID if is_0_1 else _ALREADY_ON


@kernel
def _adjusted(
    how: int,
    func_id: np.uint32,
    verdict: np.uint8,
    parameter: np.uint8,
    x1: np.uint64,
    x2: np.uint64,
    x3: np.uint64,
    multiplier: np.uint32,
    slot_of_bucket: U8,
    slot_id: U32,
    feature: I64,
    has_clock: bool,
    out: U64,
) -> None:
    """Puts what depends on arguments into an answer, power calls apart. int64[3, n_slot + 1] -> uint64[4]."""
    if how == BY_VERDICT:  # forwarded, refused as an SMC, or a fast path, which changes x0 and x1 only
        if verdict != _FAST_PATH:
            out[1] = x1
        out[2], out[3] = x2, x3
        if verdict == _FORWARDED:
            out[0] = np.uint64(func_id)
    elif how == BY_FEATURE:
        asked = slot_of(np.uint32(x1 & _LOW32), multiplier, slot_of_bucket, slot_id)
        out[0] = np.uint64(feature[parameter, asked])
    elif how == TRNG_FEATURES:
        if x1 <= _LOW32:  # all 64 bits are compared
            asked = slot_of(np.uint32(x1), multiplier, slot_of_bucket, slot_id)
            out[0] = np.uint64(feature[parameter, asked])
    elif how == TRNG_RND:
        if x1 & _LOW32 > np.uint64(3) * np.uint64(parameter):
            out[0] = _INVALID
    elif how == PTP:
        if has_clock and x1 & _LOW32 <= _ONE:
            out[0] = _ZERO
    elif verdict == _HANDLED:  # SYSTEM_RESET2 and SYSTEM_OFF2 refuse their arguments
        out[0] = _INVALID
    else:
        out[0] = np.uint64(func_id) if how == KEPT else _FAILURE
        if parameter:
            out[1], out[2], out[3] = x1, x2, x3


@kernel
def answer(
    func_id: U32,
    vcpu: Index,
    x1: U64,
    x2: U64,
    x3: U64,
    verdict: U8,
    profile_of_vcpu: Index,
    vm_of_vcpu: U32,
    first_vcpu: I64,
    mp_state: U8,
    multiplier: np.uint32,
    slot_of_bucket: U8,
    slot_id: U32,
    keeps_slot: U8,
    kind: U8,
    is_narrow: Flags,
    parameter: U8,
    fixed: U64,
    feature: I64,
    flags: Flags,
    out: U64,
) -> None:
    """Registers after every call, each made on its own in the power state given.

    A row is copied for every call, whatever it is: by slot where the call was answered, else by verdict. The few kinds
    that look at arguments then change it. An id whose verdict says that it was answered is a known one, so its bucket
    names its slot.

    uint32[n_call], unsigned[n_call], uint64[n_call or 0 = all 0] x 3, uint8[n_call], then answering.Profiles ->
    uint64[n_call, 4].
    """
    n_slot = np.uint64(slot_id.size)
    for c in range(func_id.size):
        f, what, v = func_id[c], verdict[c], vcpu[c]
        p = np.uint64(profile_of_vcpu[v])
        keeps = keeps_slot[what]
        slot = slot_of_bucket[np.uint32(f * multiplier) >> BUCKET_SHIFT]
        s = np.uint64(slot & keeps) + (n_slot + np.uint64(what)) * np.uint64(~keeps & np.uint8(1))
        r0, r1, r2, r3 = fixed[p, s, 0], fixed[p, s, 1], fixed[p, s, 2], fixed[p, s, 3]
        out[c, 0], out[c, 1], out[c, 2], out[c, 3] = r0, r1, r2, r3
        how = kind[s]
        if how == FIXED:
            continue
        a1 = x1[c] if x1.size else _ZERO
        a2 = x2[c] if x2.size else _ZERO
        a3 = x3[c] if x3.size else _ZERO
        if is_narrow[s]:
            a1, a2, a3 = a1 & _LOW32, a2 & _LOW32, a3 & _LOW32
        if how in (CPU_ON, AFFINITY_INFO):
            m = vm_of_vcpu[v]
            first = first_vcpu[m]
            n_vcpu = first_vcpu[m + 1] - first
            out[c, 0] = _power_answer(how == CPU_ON, a1, a2, flags[p, 0], flags[p, 1], first, n_vcpu, mp_state)
        else:
            _adjusted(
                how,
                f,
                what,
                parameter[s],
                a1,
                a2,
                a3,
                multiplier,
                slot_of_bucket,
                slot_id,
                feature[p],
                flags[p, 2],
                out[c],
            )
