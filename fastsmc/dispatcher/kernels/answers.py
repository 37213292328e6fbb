"""The jitted loop of full answers: x0..x3 as the guest, or userspace at an exit, finds them."""

from __future__ import annotations

import numpy as np

from fastsmc.dispatcher.kernels.power import affinity_info, vcpu_number
from fastsmc.jit.compiled import kernel
from fastsmc.jit.simd import copy_row, copy_two, finish_streams
from fastsmc.jit.types import I64, U8, U16, U32, U64, Flags, Index
from fastsmc.kernels import BUCKET_SHIFT

Hash = tuple[np.uint32, U8, U32]
"""Multiplier, slot of each bucket, id of each slot."""

N_KIND = 11
FIXED, WORD, FEATURE, TRNG_FEATURES, TRNG_RND, PTP, CPU_ON, AFFINITY_INFO, SUSPEND, SYSTEM2, KEPT = range(N_KIND)
"""How an answer comes about: as the table has it, from words of the policy, from what x1 asks about, and so on.

SYSTEM2: SYSTEM_RESET2 and SYSTEM_OFF2. KEPT: no service answered, and some of the caller's registers stay.
"""
CHUNK = 1024
"""Calls whose answers are written at a time; those that keep registers are completed while their lines are in L1."""
BLOCK = 1 << 16
"""Calls whose rows are found at a time: ids, vCPUs, rows and lists stay in L2. A uint16 counts them."""
LISTED = BLOCK + 64
"""Places in a list of a block's calls: a vector may be written past the last one."""
LOWEST = -6
"""Rows may be of one word x0 from here up to 3."""
BUCKET_AT, KEEPS_AT, VERDICT_AT, KIND_AT, LOOKUP_BYTES = 0, 128, 192, 256, 384
"""Where the table that `list_block` takes holds what: slot of each bucket; by verdict, 0xff where the slot's row
answers, and the row that answers otherwise; by row, the kind."""
_FIXED, _HANDLED, _FORWARDED, _FAST_PATH = np.uint8(FIXED), np.uint8(0), np.uint8(2), np.uint8(5)
INVALID = -2
"""PSCI_RET_INVALID_PARAMS, and SMCCC_RET_INVALID_PARAMETER of TRNG as KVM has it."""
_LOW32, _ZERO, _ONE, _TWO = np.uint64(0xFFFF_FFFF), np.uint64(0), np.uint64(1), np.uint64(2)
_INVALID = np.uint64(0xFFFF_FFFF_FFFF_FFFE)
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
    listed: U16,
    how: int,
    vcpu: Index,
    profile_of_vcpu: Index,
    x1: U64,
    parameter: U8,
    hash_table: Hash,
    feature: I64,
    value_row: int,
    row: U16,
) -> None:
    """Rows of feature queries, by what x1 asks about; TRNG_FEATURES compares all of its bits."""
    multiplier, slot_of_bucket, slot_id = hash_table
    for c in listed:
        asked = _word(x1, c)
        if how == FEATURE or asked <= _LOW32:
            slot = slot_of(np.uint32(asked & _LOW32), multiplier, slot_of_bucket, slot_id)
            row[c] = value_row + feature[profile_of_vcpu[vcpu[c]], parameter[row[c]], slot]


@kernel
def _numbers(
    listed: U16,
    how: int,
    vcpu: Index,
    profile_of_vcpu: Index,
    x1: U64,
    parameter: U8,
    flags: Flags,
    value_row: int,
    row: U16,
) -> None:
    """Rows of TRNG_RND and of PTP, by the number in x1: bits wanted, which counter."""
    for c in listed:
        number = _word(x1, c) & _LOW32
        if how == TRNG_RND:
            refused = number > np.uint64(3) * np.uint64(parameter[row[c]])
            row[c] = value_row + (INVALID if refused else 0)
        elif flags[profile_of_vcpu[vcpu[c]], 2] and number <= _ONE:
            row[c] = value_row


@kernel
def _power(
    listed: U16,
    how: int,
    vcpu: Index,
    profile_of_vcpu: Index,
    vm_of_vcpu: U32,
    x1: U64,
    x2: U64,
    is_narrow: Flags,
    flags: Flags,
    first_vcpu: I64,
    mp_state: U8,
    value_row: int,
    row: U16,
) -> None:
    """Rows of CPU_ON and AFFINITY_INFO, nothing switched."""
    for c in listed:
        seen = _LOW32 if is_narrow[row[c]] else _ALL
        m, p = vm_of_vcpu[vcpu[c]], profile_of_vcpu[vcpu[c]]
        first = first_vcpu[m]
        n_vcpu = first_vcpu[m + 1] - first
        target, level = _word(x1, c) & seen, _word(x2, c) & seen
        masks, is_0_1 = flags[p, 0], flags[p, 1]
        x0 = _power_answer(how == CPU_ON, target, level, masks, is_0_1, first, n_vcpu, mp_state)
        row[c] = value_row + np.int64(x0)


@kernel
def _kept(
    listed: U16,
    how: int,
    func_id: U32,
    verdict: U8,
    row: U16,
    x1: U64,
    x2: U64,
    x3: U64,
    parameter: U8,
    is_narrow: Flags,
    out: U64,
) -> None:
    """Answers that leave some of the caller's registers as they were; their rows are those of function or verdict."""
    for c in listed:
        what = verdict[c]
        if how == SYSTEM2:
            out[c, 0] = _INVALID if what == _HANDLED else _FAILURE
            if what == _HANDLED or parameter[row[c]] == 0:
                continue
        elif what != _FAST_PATH and (how == SUSPEND or what == _FORWARDED):
            out[c, 0] = np.uint64(func_id[c])
        seen = _LOW32 if is_narrow[row[c]] else _ALL
        out[c, 1] = _ZERO if what == _FAST_PATH else _word(x1, c) & seen
        out[c, 2], out[c, 3] = _word(x2, c) & seen, _word(x3, c) & seen


@kernel
def list_block(func_id: U32, verdict: U8, multiplier: np.uint32, lookup: U8, row: U16, listed: U16) -> int:
    """The row that holds each call's answer, and the calls whose answer is another; no branch depends on a call.

    A known id's bucket names its slot; an id whose verdict says that it was answered is a known one.

    uint32[n_call], uint8[n_call], uint8[LOOKUP_BYTES] -> uint16[n_call], uint16[LISTED]; n_listed.
    """
    slot_of_bucket, keeps_slot = lookup[BUCKET_AT:KEEPS_AT], lookup[KEEPS_AT:VERDICT_AT]
    row_of_verdict, kind = lookup[VERDICT_AT:KIND_AT], lookup[KIND_AT:]
    n = _ZERO
    for c in range(func_id.size):
        what = verdict[c]
        slot = slot_of_bucket[np.uint32(func_id[c] * multiplier) >> BUCKET_SHIFT]
        row[c] = (slot & keeps_slot[what]) + row_of_verdict[what]
    for c in range(func_id.size):
        listed[n] = c
        n += np.uint64(kind[row[c]] != _FIXED)
    return int(n)


@kernel
def _words(listed: U16, vcpu: Index, profile_of_vcpu: Index, parameter: U8, word_row: U16, row: U16) -> None:
    """Rows of what the policy has."""
    for c in listed:
        row[c] = word_row[profile_of_vcpu[vcpu[c]], parameter[row[c]]]


@kernel
def _copied(first: int, end: int, row: U16, answer_row: U64, is_streamed: bool, out: U64) -> None:
    """Copies an answer for every call."""
    c, last = np.uint64(first), np.uint64(end)
    if is_streamed:
        for _ in range((end - first) // 2):
            copy_two(answer_row, np.uint64(row[c]), np.uint64(row[c + _ONE]), out, c)
            c += _TWO
    for _ in range(last - c):
        copy_row(answer_row, np.uint64(row[c]), out, c)
        c += _ONE


@kernel
def answer(
    func_id: U32,
    vcpu: Index,
    x1: U64,
    x2: U64,
    x3: U64,
    verdict: U8,
    row: U16,
    listed: U16,
    by_kind: U16,
    is_streamed: bool,
    profile_of_vcpu: Index,
    vm_of_vcpu: U32,
    first_vcpu: I64,
    mp_state: U8,
    hash_table: Hash,
    kind: U8,
    is_narrow: Flags,
    parameter: U8,
    answer_row: U64,
    value_row: int,
    word_row: U16,
    feature: I64,
    flags: Flags,
    out: U64,
) -> None:
    """Registers after every call of a block, each made on its own in the power state given.

    Calls whose answers depend on more than function and verdict are listed by kind, and each kind has a loop of its
    own: one loop that asked every call for its kind was three times slower on random ids, by mispredicted branches.
    A loop finds another row; only answers that keep registers are written word by word.

    uint32[n_call], unsigned[n_call], uint64[n_call or 0 = all 0] x 3, uint8[n_call], what list_block leaves,
    uint16[N_KIND, BLOCK] of scratch, whether `out`, of whole cache lines then, is written around the caches, then
    answering.Profiles -> uint64[n_call, 4].
    """
    n_kind = np.zeros(N_KIND, np.int64)
    for c in listed:
        how = kind[row[c]]
        by_kind[how, n_kind[how]] = c
        n_kind[how] += 1
    _words(by_kind[WORD, : n_kind[WORD]], vcpu, profile_of_vcpu, parameter, word_row, row)
    for how in (FEATURE, TRNG_FEATURES):
        these = by_kind[how, : n_kind[how]]
        _queries(these, how, vcpu, profile_of_vcpu, x1, parameter, hash_table, feature, value_row, row)
    for how in (TRNG_RND, PTP):
        _numbers(by_kind[how, : n_kind[how]], how, vcpu, profile_of_vcpu, x1, parameter, flags, value_row, row)
    for how in (CPU_ON, AFFINITY_INFO):
        these, its = by_kind[how, : n_kind[how]], (is_narrow, flags, first_vcpu, mp_state, value_row)
        _power(these, how, vcpu, profile_of_vcpu, vm_of_vcpu, x1, x2, *its, row)
    has_kept = n_kind[SUSPEND] + n_kind[SYSTEM2] + n_kind[KEPT] > 0
    done = np.zeros(N_KIND, np.int64)
    for first in range(0, func_id.size, CHUNK):
        end = min(first + CHUNK, func_id.size)
        _copied(first, end, row, answer_row, is_streamed and not has_kept, out)
        if not has_kept:
            continue
        for how in (SUSPEND, SYSTEM2, KEPT):
            j = done[how]
            while done[how] < n_kind[how] and by_kind[how, done[how]] < end:
                done[how] += 1
            _kept(by_kind[how, j : done[how]], how, func_id, verdict, row, x1, x2, x3, parameter, is_narrow, out)
    if is_streamed:
        finish_streams()
