"""Jitted loops of dispatch: arrays in, `out` filled; a driver returns how many calls it decided.

Portable: no CPU is asked for anything. Tables come in as arguments; a global would be baked into the machine code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.jit.compiled import inner_kernel, kernel
from fastsmc.jit.simd import keys_below
from fastsmc.jit.types import I64, U8, U32, U64, Index, u8, u32, u64

KEY_AT, PLANE_AT, HIT_AT, CLASS_AT, CODE_AT, UNKNOWN_AT, LOOKUP_BYTES = 0, 512, 896, 1024, 1152, 1216, 1280
"""Byte offsets of what rows.Rows.lookup holds, and its size."""
KEY_TOP, IS_EMPTY, CLASS = 0x80, 0x40, 0x3F
"""Bits of a byte at HIT_AT: the top bit of the key's product, whether the bucket has no key, the class."""
BIT_ROWS, N_BIT_PLANE, N_BIT_CLASS, N_BIT_VCPU = 256, 3, 32, 1024
"""At most so many rows, bytes of bits in a row, classes and vCPUs fit a look-up in registers (bit_rows.BitRows)."""
BITS_AT, WHICH_AT, ONE_AT, OTHER_AT, VALUE_AT, VCPU_AT, BIT_ROW_BYTES = 0, 768, 832, 896, 960, 1088, 2112
"""Where bit_rows.BitRows.table holds what: planes of a byte per row; by class the plane, the first bit and the second,
as masks; the verdict by second bit, first bit and class; the row by vCPU."""
N_CODE = 64
"""Cells of a counter: service * 8 + verdict."""
BUCKET_SHIFT = u32(25)
"""Leaves the top 7 bits: 128 buckets."""
SEARCH = 8
"""Added to a row's verdict where ranges may overrule it. Verdicts end at 6, so a field of 4 bits holds both."""
WORD = u64(15)
"""Where in a node of rows.FilterTrees the word after the keys is."""
_HANDLED, _EXIT, _ACTION = u8(0), u8(4), u8(3)
_SEARCH_BIT, _VERDICT = u8(3), u8(7)
_SMC, _IMMEDIATE = u8(1), u8(2)
_PSCI_BITS, _PSCI = u32(0x3F00_FFE0), u32(0x0400_0000)
_RESET2, _RESET2_64 = u32(0x8400_0012), u32(0xC400_0012)
_OFF2, _OFF2_64 = u32(0x8400_0015), u32(0xC400_0015)
_LOW32, _VENDOR_RESET = u64(0xFFFF_FFFF), u64(0x8000_0000)


class Division(NamedTuple):
    """The division that gives a vCPU's group, as a multiplication and a shift (rows.Rows.magic)."""

    magic: np.uint64
    shift: np.uint64


class Groups(NamedTuple):
    """Which row every vCPU has: a group's vCPUs share one."""

    by: Division
    row: Index


@inner_kernel
def group_of(vcpu: int | np.uint64, by: Division) -> np.uint64:
    """A vCPU's group."""
    return (u64(vcpu) * by.magic) >> by.shift


@inner_kernel
def row_of(vcpu: int | np.uint64, groups: Groups) -> np.uint32:
    """A vCPU's row."""
    return u32(groups.row[group_of(vcpu, groups.by)])


@inner_kernel
def plane_of(conduit: np.uint8) -> int:
    """The plane of rows that decides a conduit: 0 HVC with any immediate, 1 SMC, 2 SMC with an immediate."""
    return 0 if conduit & _SMC == 0 else 2 if conduit & _IMMEDIATE else 1


@inner_kernel
def is_psci(func_id: np.uint32) -> bool:
    """Whether the PSCI allow rule passes an id without a name."""
    return bool(func_id & _PSCI_BITS == _PSCI)


@inner_kernel
def decided(word: np.uint32, step: np.uint32, default: np.uint8) -> np.uint8:
    """The verdict of an unknown id: what its range decides, or the row's own where no range may overrule that.

    `word` has the FilterAction of each step of a leaf: DENY and FWD_TO_USER are numbered as the verdicts they lead to.
    No branches: half of the ids lie in a range, and which is anybody's guess.
    """
    action = u8(word >> (step + step)) & _ACTION
    overrules = u8(0) - ((default >> _SEARCH_BIT) & (action | action >> u8(1)))
    return u8((action & overrules) | (default & _VERDICT & ~overrules))


@inner_kernel
def default_of(search: np.uint64, func_id: np.uint32) -> np.uint8:
    """What becomes of an id without a name and range, plus SEARCH where a range may overrule it."""
    return u8(search >> (u64(4) if is_psci(func_id) else u64(0)) & u64(15))


@inner_kernel
def searched(func_id: np.uint32, search: np.uint64, depth: int, nodes: U32) -> np.uint8:
    """The verdict of the range an id lies in, or the row's own: one node per level of the row's tree."""
    node = u32(search >> u64(8))
    for _ in range(depth - 1):
        node = nodes[node, WORD] + keys_below(nodes, node, func_id)
    return decided(nodes[node, WORD], keys_below(nodes, node, func_id), default_of(search, func_id))


@kernel
def decide(
    func_id: U32,
    vcpu: Index,
    conduit: U8,
    n_vcpu: int,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: Index,
    n_row: np.uint32,
    multiplier: np.uint32,
    lookup: U8,
    verdict: U8,
    search_of_row: U64,
    depth: int,
    nodes: U32,
    vm_of_vcpu: U32,
    counts: U32,
    looks_first: bool,
    out: U8,
) -> int:
    """The verdict of every call, arguments not looked at; how many were decided before one by a vCPU the fleet lacks.

    `looks_first`: all vCPUs are looked at before the first verdict is written, so `out` is filled whole or not at all.

    One loop whose branches a predictor learns where most ids are known. Passes over chunks of calls, so that LLVM
    might vectorize the look-ups, were slower or no faster on AVX-512 and AVX2 alike (docs/performance.md).

    uint32[n_call], unsigned[n_call], uint8[n_call or 0 = all HVC], then rows.Rows, uint32[n_vcpu] ->
    uint32[n_vm, 1 or 0, N_CODE], added to; uint8[n_call].
    """
    groups = Groups(Division(magic, magic_shift), row_of_group)
    keys, classes = lookup[KEY_AT:PLANE_AT].view(np.uint32), lookup[CLASS_AT:CODE_AT]
    refused, passed = lookup[UNKNOWN_AT], lookup[UNKNOWN_AT + 1]
    code_of_class = lookup[CODE_AT:UNKNOWN_AT]
    has_conduit, coded, one_vm = conduit.size > 0, len(counts) > 0, len(counts) == 1
    if looks_first:
        for c in range(vcpu.size):
            if vcpu[c] >= n_vcpu:
                return 0
    for c in range(func_id.size):
        f, v = func_id[c], vcpu[c]
        if v >= n_vcpu:
            return c
        row = row_of(v, groups)
        if has_conduit:
            row += n_row * u32(plane_of(conduit[c]))
        b = u32(f * multiplier) >> BUCKET_SHIFT
        k = classes[b] if keys[b] == f else passed if is_psci(f) else refused
        what = verdict[row, k]
        if what >= SEARCH:
            what = searched(f, search_of_row[row], depth, nodes)
        out[c] = what
        if coded:
            m = u32(0) if one_vm else vm_of_vcpu[v]
            counts[m, code_of_class[k] | what] += u32(1)
    return func_id.size


@kernel
def spread(block_first: I64, block_vcpu: U32, block: int, first: int, out: U32) -> None:
    """The vCPU of each call from number `first`, in block `block`, on. int64[n_block + 1], uint32[n_block]."""
    at = 0
    while at < out.size:
        end = min(block_first[block + 1] - first, out.size)
        vcpu = block_vcpu[block]
        for c in range(at, end):
            out[c] = vcpu
        at = end
        block += 1


@kernel
def check_arguments(func_id: U32, x1: U64, x2: U64, out: U8) -> None:
    """Turns EXIT into HANDLED where SYSTEM_RESET2 or SYSTEM_OFF2 refuse their arguments (INVALID_PARAMETERS).

    uint32[n_call], uint64[n_call or 0 = all 0] x 2 -> uint8[n_call], in place.
    """
    for c in range(func_id.size):
        if out[c] != _EXIT:
            continue
        f = func_id[c]
        kind = x1[c] & _LOW32 if x1.size else u64(0)
        if f in (_RESET2, _RESET2_64):
            if kind != u64(0) and kind < _VENDOR_RESET:
                out[c] = _HANDLED
        elif f in (_OFF2, _OFF2_64):
            cookie = x2[c] if x2.size else u64(0)
            cookie = cookie if f == _OFF2_64 else cookie & _LOW32
            if kind > u64(1) or cookie != u64(0):
                out[c] = _HANDLED
