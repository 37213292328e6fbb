"""The jitted loop of full answers: x0..x3 as the guest, or userspace at an exit, finds them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsmc._jit import kernel
from fastsmc._simd import copy_row
from fastsmc.kernels import BUCKET_SHIFT, Index
from fastsmc.kernels_power import affinity_info, vcpu_number

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]
Hash = tuple[np.uint32, U8, U32]
"""Multiplier, slot of each bucket, id of each slot."""

N_KIND = 11
FIXED, WORD, FEATURE, TRNG_FEATURES, TRNG_RND, PTP, CPU_ON, AFFINITY_INFO, SUSPEND, SYSTEM2, KEPT = range(N_KIND)
"""How an answer comes about: as the table has it, from words of the policy, from what x1 asks about, and so on.

SYSTEM2: SYSTEM_RESET2 and SYSTEM_OFF2. KEPT: no service answered, and some of the caller's registers stay.
"""
CHUNK = 1024
"""Calls listed by kind at a time: ids, lists and answers stay in L1 and L2."""
_FIXED, _HANDLED, _FORWARDED, _FAST_PATH = np.uint8(FIXED), np.uint8(0), np.uint8(2), np.uint8(5)
_LOW32, _ZERO, _ONE = np.uint64(0xFFFF_FFFF), np.uint64(0), np.uint64(1)
_NOT_SUPPORTED, _INVALID = np.uint64(0xFFFF_FFFF_FFFF_FFFF), np.uint64(0xFFFF_FFFF_FFFF_FFFE)
_ALREADY_ON, _FAILURE = np.uint64(0xFFFF_FFFF_FFFF_FFFC), np.uint64(0xFFFF_FFFF_FFFF_FFFA)
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
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
def _word(x: U64, c: np.uint32) -> np.uint64:
    return x[c] if x.size else _ZERO


@kernel
def _queries(
    listed: U32, how: int, s: U8, p: Index, x1: U64, parameter: U8, hash_table: Hash, feature: I64, out: U64
) -> None:
    """x0 of feature queries, by what x1 asks about; TRNG_FEATURES compares all of its bits."""
    multiplier, slot_of_bucket, slot_id = hash_table
    for c in listed:
        asked = _word(x1, c)
        if how == FEATURE or asked <= _LOW32:
            slot = slot_of(np.uint32(asked & _LOW32), multiplier, slot_of_bucket, slot_id)
            out[c, 0] = np.uint64(feature[p[c], parameter[s[c]], slot])


@kernel
def _numbers(listed: U32, how: int, s: U8, p: Index, x1: U64, parameter: U8, flags: Flags, out: U64) -> None:
    """x0 of TRNG_RND and of PTP, by the number in x1: bits wanted, which counter."""
    for c in listed:
        number = _word(x1, c) & _LOW32
        if how == TRNG_RND:
            out[c, 0] = _INVALID if number > np.uint64(3) * np.uint64(parameter[s[c]]) else _ZERO
        elif flags[p[c], 2] and number <= _ONE:
            out[c, 0] = _ZERO


@kernel
def _power(
    listed: U32,
    how: int,
    s: U8,
    p: Index,
    m: U32,
    x1: U64,
    x2: U64,
    is_narrow: Flags,
    flags: Flags,
    first_vcpu: I64,
    mp_state: U8,
    out: U64,
) -> None:
    """x0 of CPU_ON and AFFINITY_INFO, nothing switched."""
    for c in listed:
        seen = _LOW32 if is_narrow[s[c]] else _ALL
        first = first_vcpu[m[c]]
        n_vcpu = first_vcpu[m[c] + 1] - first
        target, level = _word(x1, c) & seen, _word(x2, c) & seen
        masks, is_0_1 = flags[p[c], 0], flags[p[c], 1]
        out[c, 0] = _power_answer(how == CPU_ON, target, level, masks, is_0_1, first, n_vcpu, mp_state)


@kernel
def _kept(
    listed: U32,
    how: int,
    func_id: U32,
    verdict: U8,
    s: U8,
    x1: U64,
    x2: U64,
    x3: U64,
    parameter: U8,
    is_narrow: Flags,
    out: U64,
) -> None:
    """Answers that leave some of the caller's registers as they were."""
    for c in listed:
        what = verdict[c]
        if how == SYSTEM2:
            out[c, 0] = _INVALID if what == _HANDLED else _FAILURE
            if what == _HANDLED or parameter[s[c]] == 0:
                continue
        elif what != _FAST_PATH and (how == SUSPEND or what == _FORWARDED):
            out[c, 0] = np.uint64(func_id[c])
        seen = _LOW32 if is_narrow[s[c]] else _ALL
        out[c, 1] = _ZERO if what == _FAST_PATH else _word(x1, c) & seen
        out[c, 2], out[c, 3] = _word(x2, c) & seen, _word(x3, c) & seen


@kernel
def _copied(
    func_id: U32,
    verdict: U8,
    hash_table: Hash,
    keeps_slot: U8,
    row_of_verdict: U8,
    kind: U8,
    fixed: U64,
    row: U8,
    listed: U32,
    out: U64,
) -> np.uint64:
    """Copies an answer for every call and lists the calls that need more; no branch depends on a call.

    A known id's bucket names its slot; an id whose verdict says that it was answered is a known one.
    """
    multiplier, slot_of_bucket, _ = hash_table
    for c in range(func_id.size):
        what = verdict[c]
        slot = slot_of_bucket[np.uint32(func_id[c] * multiplier) >> BUCKET_SHIFT]
        row[c] = (slot & keeps_slot[what]) + row_of_verdict[what]
    n = _ZERO
    for c in range(func_id.size):
        listed[n] = c
        n += np.uint64(kind[row[c]] != _FIXED)
    for c in range(func_id.size):
        copy_row(fixed, np.uint64(row[c]), out, np.uint64(c))
    return n


@kernel
def _words(listed: U32, s: U8, p: Index, parameter: U8, word: U64, out: U64) -> None:
    """x0, or x0 and x2, as the policy has them."""
    for c in listed:
        first = parameter[s[c]]
        out[c, 0] = word[p[c], first]
        if first:
            out[c, 2] = word[p[c], 2]


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
    hash_table: Hash,
    keeps_slot: U8,
    row_of_verdict: U8,
    kind: U8,
    is_narrow: Flags,
    parameter: U8,
    fixed: U64,
    word: U64,
    feature: I64,
    flags: Flags,
    out: U64,
) -> None:
    """Registers after every call, each made on its own in the power state given.

    Calls whose answers depend on more than function and policy are listed by kind, and each kind has a loop of its own:
    one loop that asked every call for its kind was three times slower on random ids, by mispredicted branches.

    uint32[n_call], unsigned[n_call], uint64[n_call or 0 = all 0] x 3, uint8[n_call], then answering.Profiles ->
    uint64[n_call, 4].
    """
    row, listed = np.empty(CHUNK, np.uint8), np.empty(CHUNK + 1, np.uint32)
    by_kind, n_kind = np.empty((N_KIND, CHUNK), np.uint32), np.zeros(N_KIND, np.uint32)
    p, m = np.empty(CHUNK, np.uint32), np.empty(CHUNK, np.uint32)
    for first in range(0, func_id.size, CHUNK):
        end = min(first + CHUNK, func_id.size)
        f, v, what, words = func_id[first:end], vcpu[first:end], verdict[first:end], out[first:end]
        a1, a2, a3 = x1[first:end], x2[first:end], x3[first:end]
        n = _copied(f, what, hash_table, keeps_slot, row_of_verdict, kind, fixed, row, listed, words)
        n_kind[:] = 0
        for j in range(n):
            c = listed[j]
            how = kind[row[c]]
            p[c], m[c] = profile_of_vcpu[v[c]], vm_of_vcpu[v[c]]
            by_kind[how, n_kind[how]] = c
            n_kind[how] += np.uint32(1)
        _words(by_kind[WORD, : n_kind[WORD]], row, p, parameter, word, words)
        for how in (FEATURE, TRNG_FEATURES):
            _queries(by_kind[how, : n_kind[how]], how, row, p, a1, parameter, hash_table, feature, words)
        for how in (TRNG_RND, PTP):
            _numbers(by_kind[how, : n_kind[how]], how, row, p, a1, parameter, flags, words)
        for how in (CPU_ON, AFFINITY_INFO):
            these = by_kind[how, : n_kind[how]]
            _power(these, how, row, p, m, a1, a2, is_narrow, flags, first_vcpu, mp_state, words)
        for how in (SUSPEND, SYSTEM2, KEPT):
            _kept(by_kind[how, : n_kind[how]], how, f, what, row, a1, a2, a3, parameter, is_narrow, words)
