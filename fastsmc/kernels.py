"""Jitted loops of dispatch: arrays in, `out` filled, nothing returned.

Portable first form. Table rows come in as arguments; a module global would be baked into machine code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsmc._jit import kernel

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

_HANDLED, _DENIED, _FORWARDED, _EXIT, _SMC_REFUSED = np.uint8(0), np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(6)
_DENY = np.uint8(1)
_UNKNOWN_SERVICE = 5
_SMC, _IMMEDIATE = np.uint8(1), np.uint8(2)
_OWNER4, _OWNER_BITS = np.uint32(0x0400_0000), np.uint32(0x3F00_0000)
_LOW_HALF, _PSCI_LAST = np.uint32(0xFFFF), np.uint32(0x1F)
_RESET2, _RESET2_64 = np.uint32(0x8400_0012), np.uint32(0xC400_0012)
_OFF2, _OFF2_64 = np.uint32(0x8400_0015), np.uint32(0xC400_0015)
_LOW32, _VENDOR_RESET, _ONE64, _ZERO64 = np.uint64(0xFFFF_FFFF), np.uint64(0x8000_0000), np.uint64(1), np.uint64(0)


@kernel
def step_action(start: U32, action: U8, first: int, end: int, func_id: np.uint32) -> np.uint8:
    """The action of the last step in [first, end) that starts at or before func_id; start[first] is 0."""
    low, high = first, end
    while high - low > 1:
        middle = (low + high) >> 1
        if start[middle] <= func_id:
            low = middle
        else:
            high = middle
    found: np.uint8 = action[low]
    return found


@kernel
def decide(
    func_id: U32,
    vcpu: U32,
    conduit: U8,
    policy_of_vcpu: U32,
    multiplier: np.uint32,
    shift: np.uint32,
    slot_of_bucket: U8,
    slot_id: U32,
    action: U8,
    unknown: U8,
    filter_of_policy: U32,
    step_first: I64,
    step_start: U32,
    step_act: U8,
    out: U8,
) -> None:
    """The verdict of every call, arguments not looked at.

    uint32[n_call], uint32[n_call], uint8[n_call or 0 = all HVC], uint32[n_vcpu], then bitmaps.Tables -> uint8[n_call].
    """
    has_conduit = conduit.size > 0
    for c in range(func_id.size):
        f = func_id[c]
        p = policy_of_vcpu[vcpu[c]]
        plane = 0
        if has_conduit and conduit[c] & _SMC:
            plane = 2 if conduit[c] & _IMMEDIATE else 1
        s = slot_of_bucket[np.uint32(f * multiplier) >> shift]
        if slot_id[s] == f:
            out[c] = action[p, plane, s]
            continue
        allowed = 1 if (f & _OWNER_BITS) == _OWNER4 and (f & _LOW_HALF) <= _PSCI_LAST else 0
        verdict = unknown[p, plane, allowed]
        if verdict != _SMC_REFUSED:
            r = filter_of_policy[p]
            first, end = step_first[r], step_first[r + 1]
            if end - first > 1:
                what = step_action(step_start, step_act, first, end, f)
                if what == _DENY:
                    verdict = _DENIED
                elif what > _DENY:
                    verdict = _FORWARDED
        out[c] = verdict


@kernel
def check_arguments(func_id: U32, x1: U64, x2: U64, out: U8) -> None:
    """Turns EXIT into HANDLED where SYSTEM_RESET2 or SYSTEM_OFF2 refuse their arguments (INVALID_PARAMETERS).

    uint32[n_call], uint64[n_call], uint64[n_call] -> uint8[n_call], in place.
    """
    for c in range(func_id.size):
        if out[c] != _EXIT:
            continue
        f = func_id[c]
        kind = x1[c] & _LOW32
        if f in (_RESET2, _RESET2_64):
            if kind != _ZERO64 and kind < _VENDOR_RESET:
                out[c] = _HANDLED
        elif f in (_OFF2, _OFF2_64):
            cookie = x2[c] if f == _OFF2_64 else x2[c] & _LOW32
            if kind > _ONE64 or cookie != _ZERO64:
                out[c] = _HANDLED


@kernel
def tally(
    func_id: U32,
    vcpu: U32,
    verdict: U8,
    vm_of_vcpu: U32,
    multiplier: np.uint32,
    shift: np.uint32,
    slot_of_bucket: U8,
    slot_id: U32,
    slot_service: U8,
    by_service: I64,
    by_vm: I64,
) -> None:
    """Counts verdicts per service and per VM.

    uint32[n_call], uint32[n_call], uint8[n_call], uint32[n_vcpu], hash tables ->
    int64[n_service, n_verdict], int64[n_vm, n_verdict], added to.
    """
    for c in range(func_id.size):
        f = func_id[c]
        s = slot_of_bucket[np.uint32(f * multiplier) >> shift]
        service = slot_service[s] if slot_id[s] == f else _UNKNOWN_SERVICE
        by_service[service, verdict[c]] += 1
        by_vm[vm_of_vcpu[vcpu[c]], verdict[c]] += 1
