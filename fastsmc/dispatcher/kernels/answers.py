"""The jitted loop of full answers: x0..x3 as the guest, or userspace at an exit, finds them.

Calls whose answers depend on more than function and verdict are listed by kind, and each kind has a loop of its own:
one loop that asked every call for its kind was three times slower on random ids, by mispredicted branches. A loop finds
another row of a table of answers; only answers that keep registers are written word by word.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.dispatcher.kernels.power import Power, power_answer
from fastsmc.jit.compiled import inner_kernel, kernel
from fastsmc.jit.simd import copy_row, copy_two, finish_streams
from fastsmc.jit.types import I64, U8, U16, U32, U64, Flags, Index, u8, u32, u64
from fastsmc.kernels import BUCKET_SHIFT

N_KIND = 11
FIXED, WORD, FEATURE, TRNG_FEATURES, TRNG_RND, PTP, CPU_ON, AFFINITY_INFO, SUSPEND, SYSTEM2, KEPT = range(N_KIND)
"""Kinds of answers: what an answer depends on besides function and verdict.

FIXED: nothing. WORD: a word of the policy. FEATURE and TRNG_FEATURES: the id in x1. SUSPEND: SYSTEM_SUSPEND. SYSTEM2:
SYSTEM_RESET2 and SYSTEM_OFF2. KEPT: no service answered, and some of the caller's registers stay. The other kinds bear
the names of their functions.
"""
CHUNK = 1024
"""Calls whose answers are written at a time; those that keep registers are completed while their lines are in L1."""
BLOCK = 1 << 16
"""Calls whose rows are found at a time: ids, vCPUs, rows and lists stay in L2. A uint16 counts them."""
LISTED = BLOCK + 64
"""Places in a list of a block's calls: a vector may be written past the last one."""
LOWEST = -6
"""The least x0 that has a row of its own; the greatest is 3."""
BUCKET_AT, KEEPS_AT, VERDICT_AT, KIND_AT, LOOKUP_BYTES = 0, 128, 192, 256, 384
"""Byte offsets in the table that `list_block` takes, and its size. BUCKET_AT: the slot of each bucket. KEEPS_AT: by
verdict, 0xff where the slot's row answers. VERDICT_AT: by verdict, the row that answers otherwise. KIND_AT: by row, the
kind."""
_FIXED, _HANDLED, _FORWARDED, _FAST_PATH = u8(FIXED), u8(0), u8(2), u8(5)
INVALID = -2
"""PSCI_RET_INVALID_PARAMS, and SMCCC_RET_INVALID_PARAMETER of TRNG as KVM has it."""
_LOW32, _ALL = u64(0xFFFF_FFFF), ~u64(0)
_INVALID, _FAILURE = u64(0xFFFF_FFFF_FFFF_FFFE), u64(0xFFFF_FFFF_FFFF_FFFA)


class Asked(NamedTuple):
    """The calls of a block and their verdicts; x1..x3 are empty where all are 0."""

    func_id: U32
    vcpu: Index
    x1: U64
    x2: U64
    x3: U64
    verdict: U8


class Vms(NamedTuple):
    """The policy (answer_tables.AnswerTables) and the power state of every vCPU."""

    policy_of_vcpu: Index
    vm_of_vcpu: U32
    first_vcpu: I64
    mp_state: U8
    affinity: np.uint64


class Functions(NamedTuple):
    """How each slot is answered: kind, whether arguments are narrowed, parameter; and the slot of each id."""

    kind: U8
    is_narrow: Flags
    parameter: U8
    multiplier: np.uint32
    slot_of_bucket: U8
    slot_id: U32


class ByPolicy(NamedTuple):
    """What answers of policies differ in (answer_tables.AnswerTables), and the row of the answer x0..x3 = 0."""

    word_row: U16
    feature: I64
    flags: Flags
    value_row: int


@inner_kernel
def _sort(listed: U16, kind: U8, row: U16, by_kind: U16, n_kind: I64) -> None:
    """Lists the calls of each kind, and counts them."""
    for c in listed:
        how = kind[row[c]]
        by_kind[how, n_kind[how]] = c
        n_kind[how] += 1


@inner_kernel
def _slot_of(func_id: np.uint32, functions: Functions) -> int:
    """The slot of a known id, or the one after the last."""
    s = functions.slot_of_bucket[u32(func_id * functions.multiplier) >> BUCKET_SHIFT]
    return int(s) if functions.slot_id[s] == func_id else functions.slot_id.size


@inner_kernel
def _word(x: U64, c: np.uint32) -> np.uint64:
    return x[c] if x.size else u64(0)


@inner_kernel
def _words(listed: U16, asked: Asked, vms: Vms, functions: Functions, policies: ByPolicy, row: U16) -> None:
    """Finds the rows of answers that are a word of the policy."""
    for c in listed:
        policy = vms.policy_of_vcpu[asked.vcpu[c]]
        row[c] = policies.word_row[policy, functions.parameter[row[c]]]


@inner_kernel
def _queries(listed: U16, how: int, asked: Asked, vms: Vms, functions: Functions, policies: ByPolicy, row: U16) -> None:
    """Finds the rows of feature queries, by the id in x1; TRNG_FEATURES compares all bits of x1."""
    for c in listed:
        x1, policy = _word(asked.x1, c), vms.policy_of_vcpu[asked.vcpu[c]]
        if how == FEATURE or x1 <= _LOW32:
            slot = _slot_of(u32(x1 & _LOW32), functions)
            row[c] = policies.value_row + policies.feature[policy, functions.parameter[row[c]], slot]


@inner_kernel
def _numbers(listed: U16, how: int, asked: Asked, vms: Vms, functions: Functions, policies: ByPolicy, row: U16) -> None:
    """Finds the rows of TRNG_RND, by the bits wanted, and of PTP, by the counter wanted; x1 has either number."""
    for c in listed:
        number = _word(asked.x1, c) & _LOW32
        if how == TRNG_RND:
            refused = number > u64(3) * u64(functions.parameter[row[c]])
            row[c] = policies.value_row + (INVALID if refused else 0)
        elif policies.flags[vms.policy_of_vcpu[asked.vcpu[c]], 2] and number <= u64(1):
            row[c] = policies.value_row


@inner_kernel
def _power(listed: U16, how: int, asked: Asked, vms: Vms, functions: Functions, policies: ByPolicy, row: U16) -> None:
    """Finds the rows of CPU_ON and AFFINITY_INFO; no vCPU is switched."""
    for c in listed:
        seen = _LOW32 if functions.is_narrow[row[c]] else _ALL
        vcpu = asked.vcpu[c]
        m, policy = vms.vm_of_vcpu[vcpu], vms.policy_of_vcpu[vcpu]
        first, flags = vms.first_vcpu[m], policies.flags
        n_vcpu = vms.first_vcpu[m + 1] - first
        power = Power(vms.mp_state, first, n_vcpu, vms.affinity, flags[policy, 0], flags[policy, 1])
        x0 = power_answer(how == CPU_ON, _word(asked.x1, c) & seen, _word(asked.x2, c) & seen, power)
        row[c] = policies.value_row + x0


@inner_kernel
def _kept(listed: U16, how: int, asked: Asked, functions: Functions, row: U16, out: U64) -> None:
    """Writes the words of answers that leave some of the caller's registers as they were."""
    for c in listed:
        what = asked.verdict[c]
        if how == SYSTEM2:
            out[c, 0] = _INVALID if what == _HANDLED else _FAILURE
            if what == _HANDLED or functions.parameter[row[c]] == 0:
                continue
        elif what != _FAST_PATH and (how == SUSPEND or what == _FORWARDED):
            out[c, 0] = u64(asked.func_id[c])
        seen = _LOW32 if functions.is_narrow[row[c]] else _ALL
        out[c, 1] = u64(0) if what == _FAST_PATH else _word(asked.x1, c) & seen
        out[c, 2], out[c, 3] = _word(asked.x2, c) & seen, _word(asked.x3, c) & seen


@kernel
def list_block(func_id: U32, verdict: U8, multiplier: np.uint32, lookup: U8, row: U16, listed: U16) -> int:
    """Finds the row of each call's answer, and lists the calls whose answer is more than a row; without branches.

    A known id's bucket names its slot; an id whose verdict says that it was answered is a known one.

    uint32[n_call], uint8[n_call], uint8[LOOKUP_BYTES] -> uint16[n_call], uint16[LISTED]; n_listed.
    """
    slot_of_bucket, keeps_slot = lookup[BUCKET_AT:KEEPS_AT], lookup[KEEPS_AT:VERDICT_AT]
    row_of_verdict, kind = lookup[VERDICT_AT:KIND_AT], lookup[KIND_AT:]
    n = u64(0)
    for c in range(func_id.size):
        what = verdict[c]
        slot = slot_of_bucket[u32(func_id[c] * multiplier) >> BUCKET_SHIFT]
        row[c] = (slot & keeps_slot[what]) + row_of_verdict[what]
    for c in range(func_id.size):
        listed[n] = c
        n += u64(kind[row[c]] != _FIXED)
    return int(n)


@inner_kernel
def _copied(first: int, end: int, row: U16, answer_row: U64, is_streamed: bool, out: U64) -> None:
    """Copies an answer for every call."""
    c, last = u64(first), u64(end)
    if is_streamed:
        for _ in range((end - first) // 2):
            copy_two(answer_row, u64(row[c]), u64(row[c + u64(1)]), out, c)
            c += u64(2)
    for _ in range(last - c):
        copy_row(answer_row, u64(row[c]), out, c)
        c += u64(1)


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
    policy_of_vcpu: Index,
    vm_of_vcpu: U32,
    first_vcpu: I64,
    mp_state: U8,
    affinity: np.uint64,
    kind: U8,
    is_narrow: Flags,
    parameter: U8,
    multiplier: np.uint32,
    slot_of_bucket: U8,
    slot_id: U32,
    word_row: U16,
    feature: I64,
    flags: Flags,
    value_row: int,
    answer_row: U64,
    out: U64,
) -> None:
    """Registers after every call of a block, each made on its own in the power state given.

    uint32[n_call], unsigned[n_call], uint64[n_call or 0 = all 0] x 3, uint8[n_call], what list_block leaves,
    uint16[N_KIND, BLOCK] of scratch, whether `out`, of whole cache lines then, is written around the caches, then
    what Vms, Functions and ByPolicy gather, the table of answers -> uint64[n_call, 4].
    """
    asked, vms = (
        Asked(func_id, vcpu, x1, x2, x3, verdict),
        Vms(policy_of_vcpu, vm_of_vcpu, first_vcpu, mp_state, affinity),
    )
    functions = Functions(kind, is_narrow, parameter, multiplier, slot_of_bucket, slot_id)
    policies = ByPolicy(word_row, feature, flags, value_row)
    n_kind, done = np.zeros(N_KIND, np.int64), np.zeros(N_KIND, np.int64)
    _sort(listed, kind, row, by_kind, n_kind)
    _words(by_kind[WORD, : n_kind[WORD]], asked, vms, functions, policies, row)
    for how in (FEATURE, TRNG_FEATURES):
        _queries(by_kind[how, : n_kind[how]], how, asked, vms, functions, policies, row)
    for how in (TRNG_RND, PTP):
        _numbers(by_kind[how, : n_kind[how]], how, asked, vms, functions, policies, row)
    for how in (CPU_ON, AFFINITY_INFO):
        _power(by_kind[how, : n_kind[how]], how, asked, vms, functions, policies, row)
    has_kept = n_kind[SUSPEND] + n_kind[SYSTEM2] + n_kind[KEPT] > 0
    for first in range(0, func_id.size, CHUNK):
        end = min(first + CHUNK, func_id.size)
        _copied(first, end, row, answer_row, is_streamed and not has_kept, out)
        for how in (SUSPEND, SYSTEM2, KEPT):
            j = done[how]
            while done[how] < n_kind[how] and by_kind[how, done[how]] < end:
                done[how] += 1
            _kept(by_kind[how, j : done[how]], how, asked, functions, row, out)
    if is_streamed:
        finish_streams()
