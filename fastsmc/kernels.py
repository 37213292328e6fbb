"""Jitted loops of dispatch: arrays in, `out` filled; a driver returns how many calls it decided.

Portable: no CPU is asked for anything. Tables come in as arguments; a global would be baked into the machine code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsmc.jit.compiled import borrowing_kernel, formula, inner_kernel, kernel
from fastsmc.jit.simd import keys_below, stand_alone
from fastsmc.jit.types import I64, U8, U16, U32, U64, Index, u8, u32, u64
from fastsmc.jit.words import load_u32

KEY_AT, PLANE_AT, HIT_AT, CLASS_AT, CODE_AT, UNKNOWN_AT, WORD_AT = 0, 512, 896, 1024, 1152, 1216, 1280
LOOKUP_BYTES = 1792
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
CODES_AT, UNKNOWN_CODE_AT, ROWS_AT, ROW_BYTES = 512, 640, 704, 128
"""Byte offsets of what rows.Rows.table holds after the keys of the buckets: the code of each bucket and of an unknown
id, without a verdict; then the rows, a verdict by bucket each."""
CHUNK = 2048
"""Calls that are counted while they and their verdicts are in L1."""
BUCKET_SHIFT = u32(25)
"""Leaves the top 7 bits: 128 buckets."""
SEARCH = 8
"""Added to a row's verdict where ranges may overrule it. Verdicts end at 7, so a field of 4 bits holds both."""
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


IDENTITY = u64(1 << 31)
"""The factor of a division by 1: a group is one vCPU, and nothing has to be multiplied."""


class Groups(NamedTuple):
    """Which row every vCPU has: a group's vCPUs share one."""

    by: Division
    row: Index


class Places(NamedTuple):
    """Where in rows.Rows.table the row of each group of vCPUs begins, and how far the planes lie apart."""

    n_vcpu: int
    by: Division
    offset: U32
    plane_bytes: np.uint64


class Trees(NamedTuple):
    """The search trees of all filters, and what of them each row needs (rows.Rows, rows.FilterTrees)."""

    search_of_row: U64
    depth: int
    nodes: U32


class Tables(NamedTuple):
    """What decides a call by one look-up (rows.Rows)."""

    places: Places
    multiplier: np.uint32
    table: U8
    trees: Trees


class Columns(NamedTuple):
    """The columns that verdicts depend on; no conduits where all calls are HVC."""

    func_id: U32
    vcpu: Index
    conduit: U8


@formula
def group_of(vcpu: int | np.uint64, by: Division) -> np.uint64:
    """A vCPU's group."""
    return (u64(vcpu) * by.magic) >> by.shift


@formula
def row_of(vcpu: int | np.uint64, groups: Groups) -> np.uint32:
    """A vCPU's row."""
    return u32(groups.row[group_of(vcpu, groups.by)])


@formula
def plane_of(conduit: np.uint8) -> int:
    """The plane of rows that decides a conduit: 0 HVC with any immediate, 1 SMC, 2 SMC with an immediate."""
    return 0 if conduit & _SMC == 0 else 2 if conduit & _IMMEDIATE else 1


@formula
def is_psci(func_id: np.uint32) -> bool:
    """Whether the PSCI allow rule passes an id without a name."""
    return func_id & _PSCI_BITS == _PSCI  # type: ignore[no-any-return]


@formula
def decided(word: np.uint32, step: np.uint32, default: np.uint8) -> np.uint8:
    """The verdict of an unknown id: what its range decides, or the row's own where no range may overrule that.

    `word` has the FilterAction of each step of a leaf: DENY and FWD_TO_USER are numbered as the verdicts they lead to.
    No branches: half of the ids lie in a range, and which is anybody's guess.
    """
    action = u8(word >> (step + step)) & _ACTION
    overrules = u8(0) - ((default >> _SEARCH_BIT) & (action | action >> u8(1)))
    return u8((action & overrules) | (default & _VERDICT & ~overrules))


@formula
def default_of(search: np.uint64, func_id: np.uint32) -> np.uint8:
    """What becomes of an id without a name and range, plus SEARCH where a range may overrule it."""
    return u8(search >> (u64(is_psci(func_id)) << u64(2)) & u64(15))


@inner_kernel
def searched(func_id: np.uint32, search: np.uint64, depth: int, nodes: U32) -> np.uint8:
    """The verdict of the range an id lies in, or the row's own: one node per level of the row's tree."""
    node = u32(search >> u64(8))
    for _ in range(depth - 1):
        node = nodes[node, WORD] + keys_below(nodes, node, func_id)
    return decided(nodes[node, WORD], keys_below(nodes, node, func_id), default_of(search, func_id))


@formula
def unnamed(func_id: np.uint32, row: np.uint64, trees: Trees) -> np.uint8:
    """The verdict of an id without a name, by a row's PSCI allow rule and ranges."""
    search = trees.search_of_row[row]
    what = default_of(search, func_id)
    return searched(func_id, search, trees.depth, trees.nodes) if what >= SEARCH else what


@formula
def bucket_of(func_id: np.uint32, multiplier: np.uint32) -> np.uint64:
    """The bucket that an id would be in."""
    return u64(u32(func_id * multiplier) >> BUCKET_SHIFT)


@formula
def is_key(func_id: np.uint32, bucket: np.uint64, table: U8) -> bool:
    """Whether an id is the one with a name in its bucket."""
    return load_u32(table, bucket * u64(4)) == func_id  # type: ignore[no-any-return]


@inner_kernel
def _by_vcpu(
    func_id: U32, vcpu: Index, places: Places, multiplier: np.uint32, table: U8, listed: U16, out: U8
) -> np.uint64:
    """Decides calls by HVC up to one by a vCPU the fleet lacks, and lists those whose ids have no name.

    Returns how many were looked up, and from bit 32 on how many are listed. A function of its own, as is each of the
    loops like it: searches beside it would take registers of which every one counts (0.55x).
    """
    stand_alone()
    n_vcpu, offset, n = places.n_vcpu, places.offset, u64(0)
    for c in range(u64(func_id.size)):
        f, v = func_id[c], vcpu[c]
        if v >= n_vcpu:
            return c | n << u64(32)
        bucket = bucket_of(f, multiplier)
        out[c] = table[u64(offset[v]) + bucket]
        if not is_key(f, bucket, table):
            listed[n] = c
            n += u64(1)
    return u64(func_id.size) | n << u64(32)


@inner_kernel
def _by_group(
    func_id: U32, vcpu: Index, conduit: U8, places: Places, multiplier: np.uint32, table: U8, listed: U16, out: U8
) -> np.uint64:
    """As `_by_vcpu`, in a fleet of any size and by any conduit."""
    stand_alone()
    n_vcpu, has_conduit, n = places.n_vcpu, conduit.size > 0, u64(0)
    for c in range(u64(func_id.size)):
        f, v = func_id[c], vcpu[c]
        if v >= n_vcpu:
            return c | n << u64(32)
        bucket = bucket_of(f, multiplier)
        at = u64(places.offset[group_of(v, places.by)])
        if has_conduit:
            at += places.plane_bytes * u64(plane_of(conduit[c]))
        out[c] = table[at + bucket]
        if not is_key(f, bucket, table):
            listed[n] = c
            n += u64(1)
    return u64(func_id.size) | n << u64(32)


@inner_kernel
def _unnamed(calls: Columns, tables: Tables, listed: U16, out: U8) -> None:
    """Verdicts of calls whose ids have no name."""
    places = tables.places
    last = u64(places.n_vcpu - 1)  # another thread may have written to the column since the call was looked at
    for c in listed:
        v = u64(calls.vcpu[c])
        at = u64(places.offset[group_of(v if v < last else last, places.by)])
        if calls.conduit.size:
            at += places.plane_bytes * u64(plane_of(calls.conduit[c]))
        out[c] = unnamed(calls.func_id[c], (at - u64(ROWS_AT)) // u64(ROW_BYTES), tables.trees)


@inner_kernel
def by_table(calls: Columns, tables: Tables, listed: U16, out: U8) -> int:
    """Verdicts of up to CHUNK calls by one look-up each, and how many come before one by a vCPU the fleet lacks."""
    func_id, vcpu, conduit = calls
    its = (tables.multiplier, tables.table, listed, out)
    if tables.places.by.magic == IDENTITY and conduit.size == 0:
        both = _by_vcpu(func_id, vcpu, tables.places, *its)
    else:
        both = _by_group(func_id, vcpu, conduit, tables.places, *its)
    if both >> u64(32):
        _unnamed(calls, tables, listed[: both >> u64(32)], out)
    return int(both & u64(0xFFFF_FFFF))


@inner_kernel
def any_lacks(vcpu: Index, n_vcpu: int) -> bool:
    """Whether the fleet lacks the vCPU of any call. Vectorized."""
    if not vcpu.size:
        return False
    high = vcpu[0]
    for c in range(vcpu.size):
        high = vcpu[c] if vcpu[c] > high else high  # `max` is a function to compile
    return high >= n_vcpu  # type: ignore[no-any-return]


@inner_kernel
def count_by_table(calls: Columns, tables: Tables, verdict: U8, vm_of_vcpu: U32, counts: U32) -> None:
    """Adds decided calls to their cells; counts of one VM are those of all.

    A vCPU that was overwritten meanwhile by one that the fleet lacks counts as the last one. uint8[n_call], whose size
    counts, uint32[n_vcpu] -> uint32[n_vm or 1, N_CODE], added to.
    """
    table, last, by_vm = tables.table, u64(vm_of_vcpu.size - 1), len(counts) > 1
    for c in range(u64(verdict.size)):
        f, v = calls.func_id[c], u64(calls.vcpu[c])
        bucket = bucket_of(f, tables.multiplier)
        code = table[(u64(CODES_AT) + bucket) if is_key(f, bucket, table) else u64(UNKNOWN_CODE_AT)] | verdict[c]
        vm = vm_of_vcpu[v if v < last else last] if by_vm else u32(0)
        counts[vm, code] += u32(1)


@borrowing_kernel
def decide(
    func_id: U32,
    vcpu: Index,
    conduit: U8,
    n_vcpu: int,
    magic: np.uint64,
    magic_shift: np.uint64,
    offset: U32,
    plane_bytes: np.uint64,
    multiplier: np.uint32,
    table: U8,
    search_of_row: U64,
    depth: int,
    nodes: U32,
    vm_of_vcpu: U32,
    counts: U32,
    looks_first: bool,
    listed: U16,
    out: U8,
) -> int:
    """The verdict of every call, arguments not looked at; how many were decided before one by a vCPU the fleet lacks.

    `looks_first`: all vCPUs are looked at before the first verdict is written, so `out` is filled whole or not at all.

    uint32[n_call], unsigned[n_call], uint8[n_call or 0 = all HVC], then rows.Rows, uint32[n_vcpu] ->
    uint32[n_vm, 1 or 0, N_CODE], added to; scratch uint16[CHUNK]; uint8[n_call].
    """
    places = Places(n_vcpu, Division(magic, magic_shift), offset, plane_bytes)
    tables = Tables(places, multiplier, table, Trees(search_of_row, depth, nodes))
    if looks_first and any_lacks(vcpu, n_vcpu):
        return 0
    for first in range(0, func_id.size, CHUNK):
        end = first + CHUNK if first + CHUNK < func_id.size else func_id.size
        calls, verdict = Columns(func_id[first:end], vcpu[first:end], conduit[first:end]), out[first:end]
        n_decided = by_table(calls, tables, listed, verdict)
        if len(counts):
            count_by_table(calls, tables, verdict[:n_decided], vm_of_vcpu, counts)
        if n_decided < end - first:
            return first + n_decided
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


@formula
def refuses(func_id: np.uint32, x1: np.uint64, x2: np.uint64) -> bool:
    """Whether SYSTEM_RESET2 or SYSTEM_OFF2 refuses its arguments. A call by SMC32 has the low halves only."""
    kind, is_low = x1 & _LOW32, x2 & _LOW32 != u64(0)
    resets = (func_id == _RESET2) | (func_id == _RESET2_64)
    turns_off = (func_id == _OFF2) | (func_id == _OFF2_64)
    has_cookie = is_low | ((func_id == _OFF2_64) & (x2 != u64(0)))
    return (resets & (kind != u64(0)) & (kind < _VENDOR_RESET)) | (turns_off & ((kind > u64(1)) | has_cookie))  # type: ignore[no-any-return]


@kernel
def check_arguments(func_id: U32, x1: U64, x2: U64, out: U8) -> None:
    """Turns EXIT into HANDLED where SYSTEM_RESET2 or SYSTEM_OFF2 refuse their arguments (INVALID_PARAMETERS).

    uint32[n_call], uint64[n_call or 0 = all 0] x 2 -> uint8[n_call], in place.
    """
    for c in range(func_id.size):
        if out[c] != _EXIT:
            continue
        one, two = x1[c] if x1.size else u64(0), x2[c] if x2.size else u64(0)
        if refuses(func_id[c], one, two):
            out[c] = _HANDLED
