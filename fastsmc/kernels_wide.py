"""Dispatch by wide registers: 64 calls a step, for CPUs with AVX-512 and VBMI.

Ids are split into byte planes; the bucket of an id, its key and its class are then look-ups of bytes in registers, 64
at a time. Calls of one row are finished the same way, others gather their row. Only ids that a range may decide are
looked at one by one. Nothing here may be compiled unless `_jit.HAS_WIDE`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core.types import uint64
from numba.extending import intrinsic

from fastsmc import _simd
from fastsmc._jit import kernel
from fastsmc._simd import (
    BYTES,
    I8,
    I32,
    I64,
    WORDS,
    Value,
    const,
    data,
    extremes_64,
    extremes_256,
    lanes,
    list_bits,
    load,
)
from fastsmc.kernels import CLASS_AT, CODE_AT, FEW_VCPUS, PLANE_AT, U8, U32, UNKNOWN_AT, Index, group_of, searched

STEP, GROUP = 64, 256
CHUNK = 2048
"""Calls between two looks at those to search for: their ids, vCPUs, rows, codes and verdicts stay in L1."""
_LOW_HALF, _HIGH, _NONE = np.uint64(0xFFFF_FFFF), np.uint64(32), np.uint64(0)
_LAST_LANE, _LAST_OF_GROUP = np.uint64(STEP - 1), np.uint64(GROUP - 1)
_COUNT, _SERVICE = np.uint32(1), np.uint8(0x38)
_SMC, _IMMEDIATE = np.uint8(1), np.uint8(2)


def _joined(builder: ir.IRBuilder, parts: list[Value]) -> Value:
    """Vectors of one length end to end; a power of two of them."""
    while len(parts) > 1:
        every = lanes(list(range(2 * parts[0].type.count)))
        parts = [builder.shuffle_vector(*parts[k : k + 2], every) for k in range(0, len(parts), 2)]
    return parts[0]


def _byte_planes(builder: ir.IRBuilder, words: list[Value]) -> list[Value]:
    """The lowest bytes of 64 words in order, the next ones, and so on; the words are four registers."""
    whole = [builder.bitcast(word, BYTES) for word in words]
    quarters = ir.VectorType(I64, 8)
    planes = []
    for byte in range(4):
        # Of two registers at once: byte `byte % 2` of each word, then byte `byte % 2 + 2`; equal ones are made once.
        pick = ir.Constant(BYTES, [lane % 32 * 4 + byte % 2 + lane // 32 * 2 for lane in range(64)])
        halves = [_simd.look_up_128(builder, whole[k], pick, whole[k + 1]) for k in (0, 2)]
        low, high = (builder.bitcast(half, quarters) for half in halves)
        first = byte // 2 * 4
        joined = builder.shuffle_vector(low, high, lanes([*range(first, first + 4), *range(8 + first, 12 + first)]))
        planes.append(builder.bitcast(joined, BYTES))
    return planes


def _classes(builder: ir.IRBuilder, func_id: Value, at: Value, table: Value, multiplier: Value) -> Value:
    """The class of each of 64 calls: known ids by bucket and key, the others by the PSCI allow rule.

    The key is compared as a product: an odd multiplier gives different ids different products. So the ids themselves
    need no planes.
    """
    offset = builder.mul(at, ir.Constant(I64, 4))
    ids = [load(builder, func_id, builder.add(offset, ir.Constant(I64, 64 * k)), WORDS) for k in range(4)]
    planes = _byte_planes(builder, [builder.mul(words, _simd.splat(builder, multiplier, 16)) for words in ids])
    bucket = builder.lshr(planes[3], const(1, 64, I8))

    def of_bucket(first: int) -> Value:
        low, high = (load(builder, table, first + half, BYTES, is_table=True) for half in (0, 64))
        return _simd.look_up_128(builder, low, bucket, high)

    different = const(0, 64, I8)
    for byte, plane in enumerate(planes):
        different = builder.or_(different, builder.xor(of_bucket(PLANE_AT + 128 * byte), plane))
    is_known = builder.icmp_unsigned("==", different, const(0, 64, I8))
    known = of_bucket(CLASS_AT)
    before = builder.block
    with builder.if_then(builder.icmp_unsigned("!=", builder.bitcast(is_known, I64), ir.Constant(I64, -1))):
        refused, passed = (
            _simd.splat(builder, load(builder, table, UNKNOWN_AT + k, I8, is_table=True), 16) for k in (0, 1)
        )
        parts = []
        for words in ids:
            bits = builder.and_(words, const(0x3F00_FFE0, 16, I32))
            is_psci = builder.icmp_unsigned("==", bits, const(0x0400_0000, 16, I32))
            parts.append(builder.select(is_psci, passed, refused))
        mixed = builder.select(is_known, known, _joined(builder, parts))
        inside = builder.block
    classes = builder.phi(BYTES)
    classes.add_incoming(known, before)
    classes.add_incoming(mixed, inside)
    return classes


def _finish(
    builder: ir.IRBuilder,
    classes: Value,
    verdict: Value,
    table: Value,
    at: Value,
    out: Value,
    code: Value,
    coded: Value,
) -> Value:
    """Stores verdicts and, if `coded`, their codes; returns the bits of the calls to search for."""
    _simd.store(builder, verdict, out, at)
    with builder.if_then(coded):
        codes = load(builder, table, CODE_AT, BYTES, is_table=True)
        _simd.store(builder, builder.or_(_simd.look_up_64(builder, codes, classes), verdict), code, at)
    search = builder.icmp_unsigned("!=", builder.and_(verdict, const(8, 64, I8)), const(0, 64, I8))
    return builder.bitcast(search, I64)


@intrinsic
def decide_row(
    _typing: Any,
    func_id: Any,
    at: Any,
    table: Any,
    multiplier: Any,
    verdict: Any,
    row: Any,
    out: Any,
    code: Any,
    coded: Any,
) -> Any:
    """64 calls from `at` on, all of one row: verdicts, codes, and which calls to search for."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        ids, tables, rows, outs, codes = (
            data(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 4, 6, 7)
        )
        classes = _classes(builder, ids, arguments[1], tables, arguments[3])
        offset = builder.mul(builder.zext(arguments[5], I64), ir.Constant(I64, 64))
        verdicts = _simd.look_up_64(builder, load(builder, rows, offset, BYTES, is_table=True), classes)
        return _finish(builder, classes, verdicts, tables, arguments[1], outs, codes, arguments[8])

    return uint64(func_id, at, table, multiplier, verdict, row, out, code, coded), generate


@intrinsic
def decide_mixed(
    _typing: Any,
    func_id: Any,
    at: Any,
    table: Any,
    multiplier: Any,
    packed: Any,
    word_bits: Any,
    index: Any,
    out: Any,
    code: Any,
    coded: Any,
) -> Any:
    """64 calls from `at` on, of any rows: `index` counts groups of `1 << word_bits` words in `packed`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        ids, tables, words, indices, outs, codes = (
            data(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 4, 6, 7, 8)
        )
        classes = _classes(builder, ids, arguments[1], tables, arguments[3])
        bits = signature.args[6].dtype.bitwidth
        first = builder.mul(arguments[1], ir.Constant(I64, bits // 8))
        shift = _simd.splat(builder, arguments[5], 16)
        parts = []
        for part in range(4):
            offset = builder.add(first, ir.Constant(I64, 2 * bits * part))
            group = load(builder, indices, offset, ir.VectorType(ir.IntType(bits), 16))
            group = builder.zext(group, WORDS) if bits < 32 else group
            these = builder.shuffle_vector(classes, classes, lanes(list(range(16 * part, 16 * part + 16))))
            these = builder.zext(these, WORDS)
            word = builder.add(builder.shl(group, shift), builder.lshr(these, const(3, 16, I32)))
            field = builder.shl(builder.and_(these, const(7, 16, I32)), const(2, 16, I32))
            found = builder.and_(builder.lshr(_simd.gather(builder, words, word), field), const(15, 16, I32))
            parts.append(builder.trunc(found, ir.VectorType(I8, 16)))
        verdicts = _joined(builder, parts)
        return _finish(builder, classes, verdicts, tables, arguments[1], outs, codes, arguments[9])

    return uint64(func_id, at, table, multiplier, packed, word_bits, index, out, code, coded), generate


@intrinsic
def decide_few(
    _typing: Any,
    func_id: Any,
    at: Any,
    table: Any,
    multiplier: Any,
    few: Any,
    vcpu: Any,
    out: Any,
    code: Any,
    coded: Any,
) -> Any:
    """64 calls from `at` on, in a fleet of few vCPUs and few rows: rows.Rows.few is looked up in registers."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Value:
        ids, tables, maps, vcpus, outs, codes = (
            data(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 4, 5, 6, 7)
        )
        classes = _classes(builder, ids, arguments[1], tables, arguments[3])
        bits = signature.args[5].dtype.bitwidth
        offset = builder.mul(arguments[1], ir.Constant(I64, bits // 8))
        wide = load(builder, vcpus, offset, ir.VectorType(ir.IntType(bits), 64))
        low = builder.trunc(wide, BYTES) if bits > 8 else wide
        high = (
            builder.trunc(builder.lshr(wide, const(8, 64, ir.IntType(bits))), BYTES) if bits > 8 else const(0, 64, I8)
        )
        bit = [_is_set(builder, low, 7), _is_set(builder, high, 0), _is_set(builder, high, 1)]
        place = _look_up(builder, maps, 0, low, bit if bits > 8 else bit[:1])
        index = builder.or_(builder.and_(place, const(0xFC, 64, I8)), builder.lshr(classes, const(1, 64, I8)))
        block = [_is_set(builder, place, 0), _is_set(builder, place, 1)]
        pair = _look_up(builder, maps, FEW_VCPUS, index, block)
        upper = builder.lshr(pair, const(4, 64, I8))
        verdicts = builder.select(_is_set(builder, classes, 0), upper, builder.and_(pair, const(15, 64, I8)))
        return _finish(builder, classes, verdicts, tables, arguments[1], outs, codes, arguments[8])

    return uint64(func_id, at, table, multiplier, few, vcpu, out, code, coded), generate


def _is_set(builder: ir.IRBuilder, value: Value, bit: int) -> Value:
    return builder.icmp_unsigned("!=", builder.and_(value, const(1 << bit, 64, I8)), const(0, 64, I8))


def _look_up(builder: ir.IRBuilder, table: Value, first: int, index: Value, block: list[Value]) -> Value:
    """64 look-ups in `1 << len(block)` blocks of 128 bytes from byte `first` on; `block` has the bits of the block."""
    found = []
    for k in range(1 << len(block)):
        low, high = (load(builder, table, first + 128 * k + half, BYTES, is_table=True) for half in (0, 64))
        found.append(_simd.look_up_128(builder, low, index, high))
    for bit in block:
        found = [builder.select(bit, found[k + 1], found[k]) for k in range(0, len(found), 2)]
    return found[0]


@kernel
def greatest(index: Index) -> np.uint64:
    """The greatest of some indices: vectorized, which costs a hundredth of what follows it."""
    found = index[0]
    for c in range(index.size):
        found = max(found, index[c])
    return np.uint64(found)


@kernel
def rows_of(
    vcpu: Index,
    conduit: U8,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: Index,
    n_row: np.uint32,
    out: U32,
) -> None:
    """The row of each call.

    unsigned[n_call], uint8[n_call or 0 = all HVC], unsigned[n_group] -> uint32[n_call].
    """
    for c in range(vcpu.size):
        out[c] = row_of_group[group_of(vcpu[c], magic, magic_shift)]
    for c in range(conduit.size):
        plane = 0 if conduit[c] & _SMC == 0 else 2 if conduit[c] & _IMMEDIATE else 1
        out[c] += n_row * np.uint32(plane)


@kernel
def one_row(
    vcpu: Index, magic: np.uint64, magic_shift: np.uint64, run_of_group: U32, first: np.uint64, last: np.uint64
) -> bool:
    """Whether the calls first..last, 64 or 256 of them, are of one row: their vCPUs lie in one run of equal rows."""
    run = run_of_group[group_of(vcpu[first], magic, magic_shift)]
    if run != run_of_group[group_of(vcpu[last], magic, magic_shift)]:
        return False  # soonest told, and true of nearly every step where VMs call in random order
    both = extremes_256(vcpu, first) if last - first > _LAST_LANE else extremes_64(vcpu, first)
    low, high = group_of(both & _LOW_HALF, magic, magic_shift), group_of(both >> _HIGH, magic, magic_shift)
    return bool(run_of_group[low] == run_of_group[high])


@kernel
def count(code: U8, vcpu: Index, vm_of_vcpu: Index, counts: U32) -> None:
    """Adds calls to their cells; counts of one VM are those of all.

    uint8[n_call], unsigned[n_call], uint32[n_vcpu] -> uint32[n_vm or 1, N_CODE], added to.
    """
    if len(counts) == 1:
        for c in range(code.size):
            counts[0, code[c]] += _COUNT
    else:
        for c in range(code.size):
            counts[vm_of_vcpu[vcpu[c]], code[c]] += _COUNT


@kernel
def search_ranges(
    listed: U32,
    func_id: U32,
    row: U32,
    root_of_row: U32,
    depth: int,
    key: U32,
    child: U32,
    step_verdict: U8,
    out: U8,
    code: U8,
) -> None:
    """Verdicts and codes of the calls that ranges may decide, one by one."""
    for c in listed:
        out[c] = searched(func_id[c], root_of_row[row[c]], depth, key, child, step_verdict, out[c])
        code[c] = code[c] & _SERVICE | out[c]


@kernel
def decide(
    func_id: U32,
    vcpu: Index,
    conduit: U8,
    n_vcpu: int,
    magic: np.uint64,
    magic_shift: np.uint64,
    row_of_group: Index,
    run_of_group: U32,
    n_row: np.uint32,
    multiplier: np.uint32,
    lookup: U8,
    verdict: U8,
    packed: U32,
    packed_of_vcpu: U32,
    few: U8,
    word_bits: np.uint32,
    root_of_row: U32,
    depth: int,
    key: U32,
    child: U32,
    step_verdict: U8,
    vm_of_vcpu: U32,
    counts: U32,
    out: U8,
) -> int:
    """The verdict of every call of at least 64, arguments not looked at; how many were decided before a bad vCPU.

    A last step of fewer than 64 calls is moved back over calls decided before, which get the same verdicts again.

    uint32[n_call], unsigned[n_call], uint8[n_call or 0 = all HVC], then rows.Rows, uint32[n_vcpu] ->
    uint32[n_vm, 1 or 0, N_CODE], added to; uint8[n_call].
    """
    row, search, code = np.empty(CHUNK, np.uint32), np.empty(CHUNK + STEP, np.uint32), np.empty(CHUNK, np.uint8)
    has_runs, coded = conduit.size == 0, len(counts) > 0
    is_few, is_direct = has_runs and few.size > 0, has_runs and (len(packed_of_vcpu) > 0 or few.size > 0)
    for start in range(0, func_id.size, CHUNK):
        end = min(start + CHUNK, func_id.size)
        first = min(start, end - STEP)
        f, v, verdicts = func_id[first:end], vcpu[first:end], out[first:end]
        if greatest(v) >= n_vcpu:
            return start
        if not is_direct:
            rows_of(v, conduit[first:end], magic, magic_shift, row_of_group, n_row, row)
        n_search, one_until = _NONE, 0
        for step in range(0, f.size, STEP):
            at = np.uint64(min(step, f.size - STEP))
            starts_group = has_runs and step % GROUP == 0 and step + GROUP <= f.size
            if starts_group and one_row(v, magic, magic_shift, run_of_group, at, at + _LAST_OF_GROUP):
                one_until = step + GROUP
            if has_runs and (step < one_until or one_row(v, magic, magic_shift, run_of_group, at, at + _LAST_LANE)):
                its_row = np.uint32(row_of_group[group_of(v[at], magic, magic_shift)])
                bits = decide_row(f, at, lookup, multiplier, verdict, its_row, verdicts, code, coded)
            elif is_few:
                bits = decide_few(f, at, lookup, multiplier, few, v, verdicts, code, coded)
            elif is_direct:
                bits = decide_mixed(f, at, lookup, multiplier, packed_of_vcpu, word_bits, v, verdicts, code, coded)
            else:
                bits = decide_mixed(f, at, lookup, multiplier, packed, word_bits, row, verdicts, code, coded)
            if bits != _NONE:
                n_search = list_bits(bits, at, search, n_search)
        if is_direct:
            for c in search[:n_search]:
                row[c] = row_of_group[group_of(v[c], magic, magic_shift)]
        search_ranges(search[:n_search], f, row, root_of_row, depth, key, child, step_verdict, verdicts, code)
        if coded:
            count(code[start - first : end - first], v[start - first :], vm_of_vcpu, counts)
    return func_id.size
